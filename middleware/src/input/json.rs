//! A JSON reader that checks and points, and never builds a document.
//!
//! What passes has one reading: every parser sees the same members, strings and numbers in it (RFC 8259 §4
//! calls the behaviour of parsers on duplicate names unpredictable). Strings are handed to the caller with
//! their place, so that a policy can look at the few it names and leave every other byte as it was.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::fault::{Fault, Rule};
use super::pointer::{Segment, written};

/// Objects with more members than this look duplicates up in a set.
const SCANNED_MEMBERS: usize = 16;

/// How large a document may grow in other directions than length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Containers around a value.
    pub(crate) depth: usize,
    /// Object members in the whole document.
    pub(crate) members: usize,
}

/// A string value in a document.
pub(crate) struct StringValue<'a, 'p> {
    /// The way to it.
    pub(crate) path: &'p [Segment<'a>],
    /// Where it stands, quotation marks included.
    pub(crate) span: Range<usize>,
    /// What it says.
    pub(crate) text: Cow<'a, str>,
}

/// Reads a whole document, and calls `on_string` for each string value in it (not for names).
pub(crate) fn read<'a>(
    body: &'a [u8],
    bounds: Bounds,
    on_string: impl FnMut(StringValue<'a, '_>) -> Result<(), Rule>,
) -> Result<(), Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::whole(Rule::Encoding))?;
    if text.starts_with('\u{feff}') {
        return Err(Fault::whole(Rule::ByteOrderMark));
    }
    let mut reader =
        Reader { text, at: 0, path: Vec::new(), members: bounds.members, depth: bounds.depth, on_string };
    let outcome = reader.document();
    outcome.map_err(|rule| Fault { pointer: written(&reader.path), rule })
}

struct Reader<'a, F> {
    text: &'a str,
    at: usize,
    path: Vec<Segment<'a>>,
    /// Members that may still come.
    members: usize,
    /// Containers that may still be opened.
    depth: usize,
    on_string: F,
}

impl<'a, F: FnMut(StringValue<'a, '_>) -> Result<(), Rule>> Reader<'a, F> {
    fn document(&mut self) -> Result<(), Rule> {
        self.skip_space();
        self.value()?;
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(Rule::Trailing) }
    }

    fn value(&mut self) -> Result<(), Rule> {
        match self.peek() {
            Some(b'{') => self.container(Self::object),
            Some(b'[') => self.container(Self::array),
            Some(b'"') => {
                let start = self.at;
                let text = self.string()?;
                (self.on_string)(StringValue { path: &self.path, span: start..self.at, text })
            }
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Rule::Syntax),
        }
    }

    /// Reads a container one level down: the bound on depth is also the bound on this recursion.
    fn container(&mut self, read: fn(&mut Self) -> Result<(), Rule>) -> Result<(), Rule> {
        self.depth = self.depth.checked_sub(1).ok_or(Rule::Depth)?;
        self.at += 1;
        self.skip_space();
        read(self)?;
        self.depth += 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), Rule> {
        if self.take(b']') {
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.path.push(Segment::Index(index));
            self.value()?;
            self.path.pop();
            self.skip_space();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_space();
            index += 1;
        }
    }

    fn object(&mut self) -> Result<(), Rule> {
        if self.take(b'}') {
            return Ok(());
        }
        let mut names = Names::default();
        loop {
            if self.peek() != Some(b'"') {
                return Err(Rule::Syntax);
            }
            let name = self.string()?;
            self.members = self.members.checked_sub(1).ok_or(Rule::Members)?;
            let fresh = names.insert(name.clone());
            self.path.push(Segment::Key(name));
            if !fresh {
                return Err(Rule::DuplicateMember);
            }
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            self.value()?;
            self.path.pop();
            self.skip_space();
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_space();
        }
    }

    /// Reads a string and returns what it says: a piece of the document where nothing is escaped.
    fn string(&mut self) -> Result<Cow<'a, str>, Rule> {
        self.at += 1;
        let plain = self.plain_run();
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut decoded = plain.to_owned();
        loop {
            match self.next() {
                Some(b'"') => return Ok(Cow::Owned(decoded)),
                Some(b'\\') => decoded.push(self.escape()?),
                // A control character must be escaped (RFC 8259 §7), and a document must end outside a string.
                _ => return Err(Rule::Syntax),
            }
            decoded.push_str(self.plain_run());
        }
    }

    /// The characters up to the next quotation mark, backslash or control character.
    fn plain_run(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length =
            rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn escape(&mut self) -> Result<char, Rule> {
        match self.next() {
            Some(plain @ (b'"' | b'\\' | b'/')) => Ok(char::from(plain)),
            Some(b'n') => Ok('\n'),
            Some(b'r') => Ok('\r'),
            Some(b't') => Ok('\t'),
            Some(b'b' | b'f') => Err(Rule::Control),
            Some(b'u') => self.unicode_escape(),
            _ => Err(Rule::Syntax),
        }
    }

    fn unicode_escape(&mut self) -> Result<char, Rule> {
        let unit = self.code_unit()?;
        let code = match unit {
            0xd800..=0xdbff => {
                if !(self.take(b'\\') && self.take(b'u')) {
                    return Err(Rule::LoneSurrogate);
                }
                match self.code_unit()? {
                    low @ 0xdc00..=0xdfff => 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00),
                    _ => return Err(Rule::LoneSurrogate),
                }
            }
            unit => unit,
        };
        match char::from_u32(code).ok_or(Rule::LoneSurrogate)? {
            character @ ('\t' | '\n' | '\r') => Ok(character),
            '\0'..='\u{1f}' => Err(Rule::Control),
            character => Ok(character),
        }
    }

    fn code_unit(&mut self) -> Result<u32, Rule> {
        (0..4).try_fold(0, |unit, _| {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or(Rule::Syntax)?;
            Ok(unit << 4 | digit)
        })
    }

    fn number(&mut self) -> Result<(), Rule> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Rule> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Rule::Syntax) }
    }

    fn literal(&mut self, word: &str) -> Result<(), Rule> {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += word.len();
        if found { Ok(()) } else { Err(Rule::Syntax) }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Rule> {
        if self.take(wanted) { Ok(()) } else { Err(Rule::Syntax) }
    }
}

/// The names of one object: a short list, until it is worth a set.
#[derive(Default)]
struct Names<'a> {
    list: Vec<Cow<'a, str>>,
    set: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    fn insert(&mut self, name: Cow<'a, str>) -> bool {
        if self.list.len() < SCANNED_MEMBERS {
            let fresh = !self.list.contains(&name);
            self.list.push(name);
            return fresh;
        }
        if self.set.is_empty() {
            self.set = self.list.iter().cloned().collect();
        }
        self.set.insert(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 32, members: 10_000 };

    fn check(body: impl AsRef<[u8]>) -> Result<(), (String, Rule)> {
        read(body.as_ref(), BOUNDS, |_| Ok(())).map_err(|fault| (fault.pointer, fault.rule))
    }

    fn rule(body: impl AsRef<[u8]>) -> Rule {
        check(body).unwrap_err().1
    }

    #[test]
    fn documents_that_the_rfc_allows_pass() {
        for body in [
            "0",
            "-0",
            "-0.0e-0",
            "1E+2",
            "12345678901234567890123",
            "1e400",
            "0.10",
            "true",
            "null",
            "\"\"",
            "[]",
            "{}",
            " [ 1 , 2 ] ",
            "\t{\r\n\"a\" : [ { } ] }\n",
            r#""\u00e9\"\\\/\n\r\t\ud83d\ude00""#,
            "\"\u{7f}é😀\"",
            r#"{"":1,"a":{"a":1}}"#,
        ] {
            assert_eq!(check(body), Ok(()), "{body}");
        }
    }

    #[test]
    fn documents_that_the_rfc_forbids_are_refused() {
        for body in [
            "",
            " ",
            "{",
            "}",
            "[",
            "[1",
            "[1,",
            "[,]",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "NaN",
            "Infinity",
            "tru",
            "nul",
            "True",
            "'a'",
            "\"",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\\u00\"",
            "\"\n\"",
            "\"\0\"",
            "/**/1",
            "\u{a0}1",
        ] {
            assert_eq!(rule(body), Rule::Syntax, "{body}");
        }
        for body in ["01", "-01", "0x1", "1 2", "{} {}", "[]]", "1,", "null\0"] {
            assert_eq!(rule(body), Rule::Trailing, "{body}");
        }
    }

    #[test]
    fn text_that_is_not_utf8_or_has_a_mark_is_refused() {
        assert_eq!(rule(b"\"\xff\""), Rule::Encoding);
        assert_eq!(rule(b"\"\xed\xa0\x80\""), Rule::Encoding);
        assert_eq!(rule(b"\xff\xfe1\0"), Rule::Encoding);
        assert_eq!(rule("\u{feff}1"), Rule::ByteOrderMark);
    }

    #[test]
    fn escaped_control_characters_and_lone_surrogates_are_refused_with_their_place() {
        let table = [
            (r#"{"a":["x","\u0000"]}"#, "/a/1", Rule::Control),
            (r#"{"a":"\b"}"#, "/a", Rule::Control),
            (r#"{"a":"\u001F"}"#, "/a", Rule::Control),
            (r#""\ud800""#, "", Rule::LoneSurrogate),
            (r#"["\udc00"]"#, "/0", Rule::LoneSurrogate),
            (r#""\ud800\u0041""#, "", Rule::LoneSurrogate),
            (r#""\ud800x""#, "", Rule::LoneSurrogate),
        ];
        for (body, pointer, rule) in table {
            assert_eq!(check(body), Err((pointer.to_owned(), rule)), "{body}");
        }
    }

    #[test]
    fn a_member_named_twice_is_refused_however_it_is_spelt() {
        assert_eq!(check(r#"{"a":1,"b":2,"a":3}"#), Err(("/a".to_owned(), Rule::DuplicateMember)));
        assert_eq!(check(r#"{"x":{"a":1,"\u0061":2}}"#), Err(("/x/a".to_owned(), Rule::DuplicateMember)));
        let mut members: Vec<String> = (0..100).map(|n| format!("\"k{n}\":{n}")).collect();
        assert_eq!(check(format!("{{{}}}", members.join(","))), Ok(()));
        members.push("\"k3\":0".to_owned());
        assert_eq!(rule(format!("{{{}}}", members.join(","))), Rule::DuplicateMember);
    }

    #[test]
    fn depth_and_members_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(nested(32)), Ok(()));
        assert_eq!(rule(nested(33)), Rule::Depth);
        assert_eq!(rule("[".repeat(1_000_000)), Rule::Depth);
        let object = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(check(object(10_000)), Ok(()));
        assert_eq!(rule(object(10_001)), Rule::Members);
    }

    #[test]
    fn strings_are_handed_over_with_their_place_and_span() {
        let body = r#"{"a":"x","b":[1,"\u0079",{"c":"z"}]}"#;
        let mut seen = Vec::new();
        read(body.as_bytes(), BOUNDS, |value| {
            seen.push(format!("{} {} {}", written(value.path), value.text, &body[value.span]));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [r#"/a x "x""#, r#"/b/1 y "\u0079""#, r#"/b/2/c z "z""#]);
    }
}
