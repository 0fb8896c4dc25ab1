//! The head of a part: which field it is, and whether a file.

use std::ops::Range;

use crate::input::fault::Rule;
use crate::input::media::charset;

/// What the head of a part says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PartHead {
    pub(super) name: String,
    pub(super) file_name: Option<FileName>,
    /// Without parameters, in lower case.
    pub(super) content_type: Option<String>,
    /// Whether it says in which way the bytes of the part are to be read, or how many there are.
    pub(super) is_fixed: bool,
}

/// The name of a file, as it was sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FileName {
    pub(super) text: String,
    /// Where it stands in the head, quotation marks included.
    pub(super) span: Range<usize>,
}

/// A parameter of a field, and where its value stands in the head.
struct Parameter<'a> {
    name: &'a str,
    value: &'a str,
    span: Range<usize>,
}

/// Reads a head, which ends with an empty line.
pub(super) fn parse(head: &[u8]) -> Result<PartHead, Rule> {
    let head = std::str::from_utf8(head).map_err(|_| Rule::Encoding)?;
    let mut disposition = None;
    let mut content_type = None;
    let mut is_fixed = false;
    let mut at = 0;
    for line in head.strip_suffix("\r\n\r\n").ok_or(Rule::PartHead)?.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or(Rule::PartHead)?;
        // A fold, too, begins with what no name begins with (RFC 9112 §5.2).
        if name.is_empty() || !name.bytes().all(is_token) || line.contains(['\r', '\n']) {
            return Err(Rule::PartHead);
        }
        match name.to_ascii_lowercase().as_str() {
            "content-disposition" if disposition.is_some() => return Err(Rule::PartHead),
            "content-disposition" => disposition = Some(form_data(value, at + name.len() + 1)?),
            "content-type" if content_type.is_some() => return Err(Rule::PartHead),
            "content-type" => content_type = Some(media_type(value)?),
            // RFC 7578 §4.7: not used any more, and whoever obeys it sees other bytes than are checked.
            "content-transfer-encoding" if !is_identity(value) => return Err(Rule::PartHead),
            "content-encoding" => return Err(Rule::PartHead),
            "content-length" => is_fixed = true,
            _ => {}
        }
        at += line.len() + 2;
    }
    let (name, file_name) = disposition.ok_or(Rule::PartHead)?;
    Ok(PartHead { name, file_name, content_type, is_fixed })
}

/// The name of the field and that of the file (RFC 7578 §4.2).
fn form_data(value: &str, at: usize) -> Result<(String, Option<FileName>), Rule> {
    let mut rest = Parameters { text: value, at: 0 };
    if !rest.word().eq_ignore_ascii_case("form-data") {
        return Err(Rule::PartHead);
    }
    let (mut name, mut file) = (None, None);
    while let Some(Parameter { name: parameter, value, span }) = rest.next()? {
        let seen = match parameter {
            _ if hides_parameter(value) => true,
            // What is behind a backslash is read in two ways.
            "name" if value.contains('\\') || value.contains(char::is_control) || begins_file_name(value) => {
                true
            }
            "name" => name.replace(value.to_owned()).is_some(),
            // As is a quotation mark behind one: it ends the name, or is part of it.
            "filename" if value.ends_with('\\') || name.is_none() => true,
            "filename" => {
                let span = at + span.start..at + span.end;
                file.replace(FileName { text: value.to_owned(), span }).is_some()
            }
            // There are no others (§4.2), but readers that take letters of either case for these two, or obey `filename*`.
            _ => true,
        };
        if seen {
            return Err(Rule::PartHead);
        }
    }
    Ok((name.ok_or(Rule::PartHead)?, file))
}

/// Whether readers that look for parameters wherever their names stand, quoted or not, would find one in a value.
fn hides_parameter(value: &str) -> bool {
    let is_told = |at: usize| value.get(at..).is_some_and(|behind| behind.trim_start().starts_with('='));
    let hides =
        |name: &str| value.match_indices(name).any(|(at, _)| is_begun(value, at) && is_told(at + name.len()));
    hides("filename") || hides("name")
}

/// Whether a word in the name of a field begins like `filename`: such readers look no further, and miss that it is a file.
fn begins_file_name(name: &str) -> bool {
    name.match_indices("filename").any(|(at, _)| is_begun(name, at))
}

fn is_begun(value: &str, at: usize) -> bool {
    value.get(..at).is_some_and(|before| before.ends_with([';', ' ', '\t', '\u{c}']))
}

fn media_type(value: &str) -> Result<String, Rule> {
    if value.contains(char::is_control) {
        return Err(Rule::PartHead);
    }
    let mut parameters = value.split(';');
    let essence = parameters.next().unwrap_or_default().trim().to_ascii_lowercase();
    if parameters.filter_map(charset).any(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(Rule::Charset);
    }
    Ok(essence)
}

fn is_identity(value: &str) -> bool {
    ["7bit", "8bit", "binary"].iter().any(|own| value.trim().eq_ignore_ascii_case(own))
}

/// The rest of a field of which some was read.
struct Parameters<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parameters<'a> {
    /// The next parameter, or `None` at the end.
    fn next(&mut self) -> Result<Option<Parameter<'a>>, Rule> {
        self.skip_space();
        if self.at == self.text.len() {
            return Ok(None);
        }
        self.expect(';')?;
        let name = self.word();
        self.expect('=')?;
        let start = self.at;
        let value = if self.rest().starts_with('"') { self.quoted()? } else { self.word() };
        // A space after the `=` is not RFC 9110's (§5.6.6).
        // Nor does everybody end a value at a tab.
        let is_spaced = self.text.get(start..).is_some_and(|rest| rest.starts_with([' ', '\t']))
            || self.rest().starts_with('\t');
        if name.is_empty() || start == self.at || is_spaced {
            return Err(Rule::PartHead);
        }
        Ok(Some(Parameter { name, value, span: start..self.at }))
    }

    /// What is between two quotation marks. A backslash quotes nothing: browsers write `%22` for the mark itself.
    fn quoted(&mut self) -> Result<&'a str, Rule> {
        let inside = self.rest().get(1..).unwrap_or_default();
        let length = inside.find('"').ok_or(Rule::PartHead)?;
        self.at += length + 2;
        Ok(inside.get(..length).unwrap_or_default())
    }

    fn word(&mut self) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !is_token(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn expect(&mut self, wanted: char) -> Result<(), Rule> {
        let found = self.rest().starts_with(wanted);
        self.at += 1;
        if found { Ok(()) } else { Err(Rule::PartHead) }
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

/// A character of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The boundary that a content type names (RFC 2046 §5.1.1).
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let at = content_type.find(';')?;
    let mut rest = Parameters { text: content_type, at };
    let mut boundary = None;
    while let Some(Parameter { name, value, .. }) = rest.next().ok()? {
        if name.eq_ignore_ascii_case("boundary") && boundary.replace(value).is_some() {
            return None;
        }
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    boundary
        .filter(|text| (1..=70).contains(&text.len()) && text.bytes().all(is_allowed) && !text.ends_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> Result<PartHead, Rule> {
        parse(format!("{head}\r\n\r\n").as_bytes())
    }

    #[test]
    fn a_head_names_the_field_and_the_file() {
        let head = "Content-Type: Image/PNG; x=y\r\ncontent-disposition: form-data; name=\"a b\"; filename=\"..\\ü.png\"";
        let part = parsed(head).unwrap();
        let file = part.file_name.clone().unwrap();
        assert_eq!((part.name.as_str(), part.content_type.as_deref()), ("a b", Some("image/png")));
        assert_eq!((file.text.as_str(), &head[file.span]), ("..\\ü.png", "\"..\\ü.png\""));
        let plain = parsed("Content-Disposition: form-data;name=note ; filename=x").unwrap();
        assert_eq!((plain.name.as_str(), plain.file_name.unwrap().text.as_str()), ("note", "x"));
        assert!(parsed("Content-Disposition: form-data; name=a\r\nContent-Length: 1").unwrap().is_fixed);
    }

    #[test]
    fn a_head_that_could_be_read_in_two_ways_is_refused() {
        let disposition = "Content-Disposition: form-data; name=a";
        for head in [
            "",
            "Content-Disposition",
            "Content-Type: text/plain",
            "Content-Disposition: attachment; name=a",
            "Content-Disposition: form-data",
            "Content-Disposition: form-data; filename=x",
            "Content-Disposition: form-data; name",
            "Content-Disposition: form-data; name=",
            "Content-Disposition: form-data; name=a;",
            "Content-Disposition: form-data; name=\"a",
            "Content-Disposition: form-data; name=\"a\\\"b\"",
            "Content-Disposition: form-data; name=a; name=b",
            "Content-Disposition: form-data; name=a; filename=b; filename=c",
            "Content-Disposition: form-data; name=a; filename*=utf-8''b",
            "Content-Disposition: form-data; name=a b",
            "Content-Disposition : form-data; name=a",
            "Content-Disposition: form-data;\r\n name=a",
            "Content-Disposition: form-data; name=\"a\nb\"",
            "Content-Disposition: form-data; name=\"a\u{1}b\"",
            "Content-Disposition: form-data; name= a",
            "Content-Disposition: form-data; name= ",
            "Content-Disposition: form-data; name=a\t; filename=b",
            "Content-Disposition: form-data; Name=a",
            "Content-Disposition: form-data; name=a; FileName=b",
            "Content-Disposition: form-data; filename=b; name=a",
            "Content-Disposition: form-data; name=a; size=1",
            "Content-Disposition: form-data; x=\"; name=note;\"; name=a",
            "Content-Disposition: form-data; name=\"a; name=b\"",
            "Content-Disposition: form-data; name=\"a filename=b;\"",
            "Content-Disposition: form-data; name=\"a filenames\"; filename=b",
            "Content-Disposition: form-data; name=a; filename=\"b name=c;\"",
            "Content-Disposition: form-data; name=a; filename=\"b\\\"",
        ] {
            assert_eq!(parsed(head), Err(Rule::PartHead), "{head:?}");
        }
        for more in [
            disposition,
            "Content-Transfer-Encoding: base64",
            "Content-Transfer-Encoding: quoted-printable",
            "Content-Encoding: gzip",
            "Content-Type: text/plain\r\nContent-Type: text/html",
        ] {
            assert_eq!(parsed(&format!("{disposition}\r\n{more}")), Err(Rule::PartHead), "{more}");
        }
        assert_eq!(
            parsed(&format!("{disposition}\r\nContent-Type: text/plain; charset=utf-16")),
            Err(Rule::Charset)
        );
        assert_eq!(parse(b"Content-Disposition: form-data; name=\xff\r\n\r\n"), Err(Rule::Encoding));
    }

    #[test]
    fn a_boundary_is_one_and_short() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=x", Some("x")),
            ("multipart/form-data; charset=utf-8; BOUNDARY=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"\"", None),
            ("multipart/form-data; boundary=\"a \"", None),
            ("multipart/form-data; boundary=\"a\\b\"", None),
            ("multipart/form-data; boundary=x; boundary=y", None),
            ("multipart/form-data; boundary=x,y", None),
        ] {
            assert_eq!(boundary(content_type), expected, "{content_type}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }
}
