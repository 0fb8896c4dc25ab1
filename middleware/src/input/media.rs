//! Which bodies the input policy concerns.

use http::{HeaderMap, header};

use super::fault::{Fault, Rule};

/// A content type whose bodies are checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Media {
    Form,
    Json,
    Multipart,
}

impl Media {
    /// The guarded type that a request declares, if it does.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Fault> {
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let Some(declared) = types.next() else { return Ok(None) };
        if types.next().is_some() {
            return Err(Fault::whole(Rule::ContentType));
        }
        let Ok(declared) = declared.to_str() else {
            return Err(Fault::whole(Rule::ContentType));
        };
        let mut parameters = declared.split(';');
        let Some(media) = parameters.next().and_then(Self::named) else { return Ok(None) };
        if parameters.filter_map(charset).any(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
            return Err(Fault::whole(Rule::Charset));
        }
        Ok(Some(media))
    }

    fn named(essence: &str) -> Option<Self> {
        let essence = essence.trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Some(Self::Json),
            // Readers of forms are content with a type that begins so.
            other if other.starts_with("application/x-www-form-urlencoded") => Some(Self::Form),
            other if other.starts_with("multipart/form-data") => Some(Self::Multipart),
            other => other.ends_with("+json").then_some(Self::Json),
        }
    }
}

pub(super) fn charset(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
}

/// Whether somebody vouches for the bytes of the body, so that changing one breaks the message.
///
/// `Content-Digest` and `Repr-Digest` of RFC 9530, `Signature` of RFC 9421, and the many webhook headers that
/// have the word in their name.
pub(crate) fn is_signed(headers: &HeaderMap) -> bool {
    headers.keys().map(http::HeaderName::as_str).any(|name| {
        matches!(name, "content-digest" | "content-md5" | "digest" | "repr-digest")
            || name.contains("signature")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> Result<Option<Media>, Rule> {
        let line = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), value.parse().unwrap())
        };
        Media::of(&lines.iter().map(line).collect()).map_err(|fault| fault.rule)
    }

    #[test]
    fn json_and_forms_are_recognised_and_others_are_not() {
        for (declared, media) in [
            ("application/json", Some(Media::Json)),
            ("Application/JSON; charset=UTF-8", Some(Media::Json)),
            ("application/problem+json", Some(Media::Json)),
            ("application/x-www-form-urlencoded;charset=\"utf-8\"", Some(Media::Form)),
            ("application/x-www-form-urlencodedX", Some(Media::Form)),
            ("application/x-www-form-urlencoded,text/html", Some(Media::Form)),
            ("multipart/form-data; boundary=x", Some(Media::Multipart)),
            ("multipart/mixed; boundary=x", None),
            ("text/plain; charset=latin1", None),
            ("application/octet-stream", None),
        ] {
            assert_eq!(of(&[("content-type", declared)]), Ok(media), "{declared}");
        }
        assert_eq!(of(&[]), Ok(None));
    }

    #[test]
    fn a_body_that_could_be_read_in_another_way_is_refused() {
        let json = ("content-type", "application/json");
        assert_eq!(of(&[json, json]), Err(Rule::ContentType));
        assert_eq!(of(&[json, ("content-type", "text/plain")]), Err(Rule::ContentType));
        assert_eq!(of(&[("content-type", "application/json; charset=utf-7")]), Err(Rule::Charset));
    }

    #[test]
    fn digests_and_signatures_are_noticed() {
        for name in ["content-digest", "signature-input", "x-hub-signature-256", "stripe-signature"] {
            let headers = [(http::HeaderName::from_static(name), http::HeaderValue::from_static("x"))];
            assert!(is_signed(&HeaderMap::from_iter(headers)), "{name}");
        }
        assert!(!is_signed(&HeaderMap::new()));
    }
}
