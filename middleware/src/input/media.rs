//! Which bodies the input policy concerns.

use http::{HeaderMap, header};

use super::fault::{Fault, Rule};
use crate::header::{Several, at_most_one};

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
        let declared = at_most_one(headers, header::CONTENT_TYPE);
        let declared = declared.map_err(|Several| Fault::whole(Rule::ContentType))?;
        let Some(declared) = declared else { return Ok(None) };
        let Ok(declared) = declared.to_str() else {
            return Err(Fault::whole(Rule::ContentType));
        };
        let mut parameters = declared.split(';');
        let essence = parameters.next().unwrap_or_default();
        // A list is no type, and who reads its first entry sees another one than who reads none.
        if essence.contains(',') {
            return Err(Fault::whole(Rule::ContentType));
        }
        let Some(media) = Self::named(essence) else { return Ok(None) };
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
            // Some readers end the subtype at its last `+`, others begin the suffix there: JSON on either side is JSON to one of them.
            other => {
                let subtype = other.split_once('/').map_or(other, |(_, subtype)| subtype);
                subtype.split('+').any(|word| word.trim() == "json").then_some(Self::Json)
            }
        }
    }
}

pub(super) fn charset(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=')?;
    name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
}

/// Whether somebody vouches for the bytes of the body, so that changing one breaks the message: by a field of this message, or by
/// one that it announces for its end.
pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    let announced = headers.get_all(header::TRAILER).iter().filter_map(|value| value.to_str().ok());
    headers.keys().map(http::HeaderName::as_str).any(vouches)
        || announced.flat_map(|names| names.split(',')).any(|name| vouches(&name.trim().to_ascii_lowercase()))
}

/// Whether a field of this name vouches for a body: `Content-Digest` and `Repr-Digest` of RFC 9530, `Signature` and
/// `Signature-Input` of RFC 9421, and the many fields of webhooks and storage services, which have one of a few words in their
/// names. Where a field only looks like one of them, nothing is lost but a rewrite.
fn vouches(name: &str) -> bool {
    const WORDS: [&str; 7] = ["checksum", "digest", "hmac", "md5", "sha1", "sha256", "signature"];
    // RFC 9530 §4: what a client would like to get.
    let is_wish = name.starts_with("want-");
    !is_wish
        && (WORDS.iter().any(|word| name.contains(word)) || name.ends_with("-sig") || ALSO.contains(&name))
}

/// Those that have no such word.
const ALSO: [&str; 3] = ["x-content-hash", "x-goog-hash", "x-trello-webhook"];

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
            ("application/json+x", Some(Media::Json)),
            ("application/JSON+xml; charset=utf-8", Some(Media::Json)),
            ("application/x+json+y", Some(Media::Json)),
            ("text/json", Some(Media::Json)),
            ("application/json-seq", None),
            ("application/jsonx", None),
            ("application/x-www-form-urlencoded;charset=\"utf-8\"", Some(Media::Form)),
            ("application/x-www-form-urlencodedX", Some(Media::Form)),
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
        for list in
            ["application/x-www-form-urlencoded,text/html", "text/html, multipart/form-data; boundary=x"]
        {
            assert_eq!(of(&[("content-type", list)]), Err(Rule::ContentType), "{list}");
        }
    }

    #[test]
    fn digests_and_signatures_are_noticed() {
        let signed = |name: &'static str, value: &'static str| {
            let headers = [(http::HeaderName::from_static(name), http::HeaderValue::from_static(value))];
            is_signed(&HeaderMap::from_iter(headers))
        };
        for name in [
            "content-digest",
            "content-md5",
            "digest",
            "paypal-transmission-sig",
            "repr-digest",
            "signature",
            "signature-input",
            "stripe-signature",
            "svix-signature",
            "webhook-signature",
            "x-amz-checksum-crc32",
            "x-amz-content-sha256",
            "x-goog-hash",
            "x-hub-signature",
            "x-hub-signature-256",
            "x-ms-content-sha256",
            "x-shopify-hmac-sha256",
            "x-slack-signature",
            "x-trello-webhook",
        ] {
            assert!(signed(name, "x"), "{name}");
        }
        assert!(signed("trailer", "Expires, Content-Digest"));
        assert!(!signed("trailer", "Expires"));
        for name in
            ["authorization", "content-type", "dpop", "etag", "want-content-digest", "want-repr-digest"]
        {
            assert!(!signed(name, "digest"), "{name}");
        }
    }
}
