//! A JSON reader that checks and points, and never builds a document.
//!
//! What passes has one reading: every parser sees the same members, strings and numbers in it (RFC 8259 §4
//! calls the behaviour of parsers on duplicate names unpredictable). Strings are handed to the caller with
//! their place, so that a policy can look at the few it names and leave every other byte as it was.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::fault::{Breach, Fault, Rule};
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

/// A value in a document.
pub(crate) struct Value<'a, 'p> {
    /// The way to it.
    pub(crate) path: &'p [Segment<'a>],
    /// Where it stands, quotation marks included; of a container, where it begins.
    pub(crate) span: Range<usize>,
    pub(crate) token: Token<'a>,
}

/// What a value is.
pub(crate) enum Token<'a> {
    /// An array, whose items come after it.
    Array,
    Boolean,
    Null,
    Number(&'a str),
    /// An object, whose members come after it.
    Object,
    Text(Text<'a>),
}

/// What a string says.
pub(crate) struct Text<'a> {
    pub(crate) text: Cow<'a, str>,
    /// Whether a control character is among it, other than a tab or a line break.
    pub(crate) has_control: bool,
}

/// Reads a whole document, and calls `on_value` for each value in it (not for names). Strings may hold control characters
/// that are escaped: whether those may stand is for the caller to say.
pub(crate) fn read_values<'a>(
    body: &'a [u8],
    bounds: Bounds,
    on_value: impl FnMut(Value<'a, '_>) -> Result<(), Breach>,
) -> Result<(), Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::whole(Rule::Encoding))?;
    if text.starts_with('\u{feff}') {
        return Err(Fault::whole(Rule::ByteOrderMark));
    }
    let (path, names) = (Vec::new(), Vec::new());
    let mut reader =
        Reader { text, at: 0, path, names, members: bounds.members, depth: bounds.depth, on_value };
    let outcome = reader.document();
    outcome.map_err(|breach| breach.at(written(&reader.path)))
}

/// Reads a whole document without control characters, and calls `on_string` for each string value in it.
pub(crate) fn read<'a>(
    body: &'a [u8],
    bounds: Bounds,
    mut on_string: impl FnMut(&[Segment<'a>], Cow<'a, str>),
) -> Result<(), Fault> {
    read_values(body, bounds, |value| {
        if let Token::Text(Text { text, has_control }) = value.token {
            if has_control {
                return Err(Rule::Control.into());
            }
            on_string(value.path, text);
        }
        Ok(())
    })
}

struct Reader<'a, F> {
    text: &'a str,
    at: usize,
    path: Vec<Segment<'a>>,
    /// The names of the objects around this place, those of the innermost last.
    names: Vec<Cow<'a, str>>,
    /// Members that may still come.
    members: usize,
    /// Containers that may still be opened.
    depth: usize,
    on_value: F,
}

impl<'a, F: FnMut(Value<'a, '_>) -> Result<(), Breach>> Reader<'a, F> {
    fn document(&mut self) -> Result<(), Breach> {
        self.skip_space();
        self.value()?;
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(Rule::Trailing.into()) }
    }

    fn value(&mut self) -> Result<(), Breach> {
        let start = self.at;
        let token = match self.peek() {
            Some(b'{') => return self.container(Token::Object, Self::object),
            Some(b'[') => return self.container(Token::Array, Self::array),
            Some(b'"') => Token::Text(self.string()?),
            Some(b't') => self.literal("true", Token::Boolean)?,
            Some(b'f') => self.literal("false", Token::Boolean)?,
            Some(b'n') => self.literal("null", Token::Null)?,
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Token::Number(self.text.get(start..self.at).unwrap_or_default())
            }
            _ => return Err(Rule::Syntax.into()),
        };
        (self.on_value)(Value { path: &self.path, span: start..self.at, token })
    }

    /// Reads a container one level down: the bound on depth is also the bound on this recursion.
    fn container(
        &mut self,
        token: Token<'a>,
        read: fn(&mut Self) -> Result<(), Breach>,
    ) -> Result<(), Breach> {
        self.depth = self.depth.checked_sub(1).ok_or(Rule::Depth)?;
        (self.on_value)(Value { path: &self.path, span: self.at..self.at + 1, token })?;
        self.at += 1;
        self.skip_space();
        read(self)?;
        self.depth += 1;
        Ok(())
    }

    fn array(&mut self) -> Result<(), Breach> {
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

    fn object(&mut self) -> Result<(), Breach> {
        if self.take(b'}') {
            return Ok(());
        }
        let mut names = Names { first: self.names.len(), set: HashSet::new() };
        loop {
            if self.peek() != Some(b'"') {
                return Err(Rule::Syntax.into());
            }
            let name = self.name()?;
            self.members = self.members.checked_sub(1).ok_or(Rule::Members)?;
            let fresh = names.insert(&mut self.names, name.clone());
            self.path.push(Segment::Key(name));
            if !fresh {
                return Err(Rule::DuplicateMember.into());
            }
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            self.value()?;
            self.path.pop();
            self.skip_space();
            if self.take(b'}') {
                self.names.truncate(names.first);
                return Ok(());
            }
            self.expect(b',')?;
            self.skip_space();
        }
    }

    fn name(&mut self) -> Result<Cow<'a, str>, Rule> {
        let Text { text, has_control } = self.string()?;
        if has_control { Err(Rule::Control) } else { Ok(text) }
    }

    /// Reads a string and returns what it says: a piece of the document where nothing is escaped.
    fn string(&mut self) -> Result<Text<'a>, Rule> {
        self.at += 1;
        let plain = self.plain_run();
        if self.take(b'"') {
            return Ok(Text { text: Cow::Borrowed(plain), has_control: false });
        }
        let mut decoded = plain.to_owned();
        let mut has_control = false;
        loop {
            match self.next() {
                Some(b'"') => return Ok(Text { text: Cow::Owned(decoded), has_control }),
                Some(b'\\') => {
                    let character = self.escape()?;
                    has_control |= character < ' ' && !matches!(character, '\t' | '\n' | '\r');
                    decoded.push(character);
                }
                // A control character must be escaped (RFC 8259 §7), and a document must end outside a string.
                _ => return Err(Rule::Syntax),
            }
            decoded.push_str(self.plain_run());
        }
    }

    /// The characters up to the next quotation mark, backslash or control character.
    fn plain_run(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = memchr::memchr2(b'"', b'\\', rest.as_bytes()).unwrap_or(rest.len());
        let run = rest.as_bytes().get(..end).unwrap_or_default();
        // All are looked at, since hardly ever one is found: so many are looked at at once.
        let has_control = run.iter().copied().min().is_some_and(|least| least < 0x20);
        let control = if has_control { run.iter().position(|byte| *byte < 0x20) } else { None };
        let length = control.unwrap_or(end);
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn escape(&mut self) -> Result<char, Rule> {
        match self.next() {
            Some(plain @ (b'"' | b'\\' | b'/')) => Ok(char::from(plain)),
            Some(b'n') => Ok('\n'),
            Some(b'r') => Ok('\r'),
            Some(b't') => Ok('\t'),
            Some(b'b') => Ok('\u{8}'),
            Some(b'f') => Ok('\u{c}'),
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
        char::from_u32(code).ok_or(Rule::LoneSurrogate)
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

    fn literal(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, Rule> {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += word.len();
        if found { Ok(token) } else { Err(Rule::Syntax) }
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

/// The names of one object: the end of the reader's list, until they are worth a set.
struct Names<'a> {
    first: usize,
    set: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    fn insert(&mut self, list: &mut Vec<Cow<'a, str>>, name: Cow<'a, str>) -> bool {
        let own = list.get(self.first..).unwrap_or_default();
        if own.len() < SCANNED_MEMBERS {
            let fresh = !own.contains(&name);
            list.push(name);
            return fresh;
        }
        if self.set.is_empty() {
            self.set = own.iter().cloned().collect();
        }
        self.set.insert(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 32, members: 10_000 };

    fn check(body: impl AsRef<[u8]>) -> Result<(), (String, Rule)> {
        read(body.as_ref(), BOUNDS, |_, _| ()).map_err(|fault| (fault.pointer, fault.rule))
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
        let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
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
    fn values_are_handed_over_with_their_place_and_span() {
        let body = r#"{"a":"x","b":[1,"\u0079",{"c":"\b"}],"d":null,"e":true,"f":-0.10}"#;
        let mut seen = Vec::new();
        read_values(body.as_bytes(), BOUNDS, |value| {
            let said = match value.token {
                Token::Boolean => "boolean".to_owned(),
                Token::Array | Token::Object => "container".to_owned(),
                Token::Null => "null".to_owned(),
                Token::Number(number) => format!("number {number}"),
                Token::Text(Text { text, has_control }) => format!("text {text:?} {has_control}"),
            };
            seen.push(format!("{} {} {said}", written(value.path), &body[value.span]));
            Ok(())
        })
        .unwrap();
        assert_eq!(
            seen,
            [
                " { container",
                r#"/a "x" text "x" false"#,
                "/b [ container",
                "/b/0 1 number 1",
                r#"/b/1 "\u0079" text "y" false"#,
                "/b/2 { container",
                r#"/b/2/c "\b" text "\u{8}" true"#,
                "/d null null",
                "/e true boolean",
                "/f -0.10 number -0.10",
            ]
        );
    }
}
