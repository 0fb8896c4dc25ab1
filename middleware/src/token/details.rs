//! What a token may be used for in detail ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)).

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// What a token carries of it (RFC 9396 §9.1).
#[derive(Deserialize)]
struct Carried<'p> {
    #[serde(default, borrow)]
    authorization_details: Vec<&'p RawValue>,
}

/// What every detail has (RFC 9396 §2.1).
#[derive(Deserialize)]
struct Typed<'d> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'d, str>,
}

/// The details of one type among the claims of a token. Claims that hold them as anything but a list hold none.
pub(super) fn of_type<T: DeserializeOwned>(claims: &[u8], kind: &str) -> Vec<T> {
    let Ok(Carried { authorization_details }) = serde_json::from_slice::<Carried<'_>>(claims) else {
        return Vec::new();
    };
    let is_meant = |detail: &&&RawValue| {
        serde_json::from_str::<Typed<'_>>(detail.get()).is_ok_and(|typed| typed.kind == kind)
    };
    let meant = authorization_details.iter().filter(is_meant);
    meant.filter_map(|detail| serde_json::from_str(detail.get()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(details: &Value, kind: &str) -> Vec<Value> {
        of_type(json!({ "sub": "a", "authorization_details": details }).to_string().as_bytes(), kind)
    }

    #[test]
    fn details_are_those_of_the_type_and_compared_whole() {
        let (one, other) = (json!({ "type": "payment", "a": 1 }), json!({ "type": "payments", "a": 2 }));
        let escaped = json!({ "type": "pay\"ment" });
        let all = json!([one, other, one, escaped]);
        assert_eq!(found(&all, "payment"), [one.clone(), one]);
        assert_eq!(found(&all, "pay\"ment"), [escaped]);
        assert!(found(&all, "Payment").is_empty() && found(&all, "").is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_no_detail() {
        for odd in [
            json!(null),
            json!({ "type": "a" }),
            json!("a"),
            json!([1]),
            json!(["a"]),
            json!([{ "type": 1 }]),
        ] {
            assert!(found(&odd, "a").is_empty(), "{odd}");
        }
        assert!(of_type::<Value>(b"{}", "a").is_empty() && of_type::<Value>(b"nonsense", "a").is_empty());
        let twice = br#"{"authorization_details":[{"type":"b","type":"a"}]}"#;
        assert!(of_type::<Value>(twice, "a").is_empty(), "of two readers each could believe another");
        let lists = br#"{"authorization_details":[],"authorization_details":[{"type":"a"}]}"#;
        assert!(of_type::<Value>(lists, "a").is_empty());
    }
}
