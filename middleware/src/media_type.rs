//! Media types, as headers name them.

use http::HeaderValue;

/// Server-sent events (HTML §9.2.5).
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// Whether a header names a media type, whatever parameters it adds (RFC 9110 §8.3.1).
pub(crate) fn is_of_type(content_type: Option<&HeaderValue>, media: &str) -> bool {
    let Some(value) = content_type else { return false };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(media.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_recognised_in_any_case_and_with_any_parameters() {
        let is_json =
            |value: &'static str| is_of_type(Some(&HeaderValue::from_static(value)), "application/json");
        for json in
            ["application/json", "Application/JSON", "application/json ; charset=utf-8", " application/json;"]
        {
            assert!(is_json(json), "{json}");
        }
        for other in
            ["", ";", "application/jsonp", "application/json, text/html", "text/html; application/json"]
        {
            assert!(!is_json(other), "{other}");
        }
        assert!(!is_of_type(None, "") && !is_of_type(None, "application/json"));
    }
}
