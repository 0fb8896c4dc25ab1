//! Replacing a few strings in a body and copying the rest, byte for byte.

use std::ops::Range;

use bytes::Bytes;

/// A piece of the body, and the text that it says or shall say.
pub(crate) struct Edit {
    pub(crate) span: Range<usize>,
    pub(crate) text: String,
}

/// How a text is written in a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoding {
    Form,
    Json,
}

/// The body with the edits made. They stand in the order of the body and do not overlap.
pub(crate) fn apply(body: &[u8], edits: &[Edit], encoding: Encoding) -> Bytes {
    let mut out = Vec::with_capacity(body.len());
    let mut copied = 0;
    for edit in edits {
        out.extend_from_slice(body.get(copied..edit.span.start).unwrap_or_default());
        match encoding {
            Encoding::Form => {
                out.extend(form_urlencoded::byte_serialize(edit.text.as_bytes()).flat_map(str::bytes));
            }
            Encoding::Json => {
                out.extend_from_slice(serde_json::Value::from(edit.text.as_str()).to_string().as_bytes());
            }
        }
        copied = edit.span.end;
    }
    out.extend_from_slice(body.get(copied..).unwrap_or_default());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_spans_change() {
        let body = br#"{ "a":"<x>", "n": 0.10 , "b":"y"}"#;
        let edits =
            [Edit { span: 6..11, text: "\"q\"\u{1}".into() }, Edit { span: 29..32, text: "é".into() }];
        assert_eq!(apply(body, &edits, Encoding::Json), r#"{ "a":"\"q\"\u0001", "n": 0.10 , "b":"é"}"#);
        let edits = [Edit { span: 2..5, text: "b & c".into() }];
        assert_eq!(apply(b"a=%3C&x=%41", &edits, Encoding::Form), "a=b+%26+c&x=%41");
    }
}
