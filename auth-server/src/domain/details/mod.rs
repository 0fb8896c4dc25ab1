//! What is asked for in detail ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)).

pub mod fault;
pub mod kind;
pub mod schema;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::strict_json::StrictJson;

/// The longest list of details in bytes: access tokens carry it, and have to fit into a header.
const LONGEST: usize = 4096;
/// How deep lists and objects may lie within each other, the list itself included.
const DEEPEST: usize = 8;
/// Most details of one request.
const MOST: usize = 16;

/// Members of which less is asked for by naming fewer (RFC 9396 §2.2). An identifier names one thing, so there is no less of it.
const LISTS: [&str; 4] = ["actions", "datatypes", "locations", "privileges"];

/// A list of details, each of a type.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Details(Vec<Detail>);

/// One thing that is asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Detail(Map<String, Value>);

/// The text is no list of details.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected a JSON list of at most 16 objects and 4 KiB, each with a type, without repeated members or U+0000, and 8 deep at most"
)]
pub struct InvalidDetails;

impl Details {
    /// Reads `authorization_details` (RFC 9396 §2).
    pub(crate) fn parse(raw: &str) -> Result<Self, InvalidDetails> {
        let Ok(Value::Array(listed)) = StrictJson::parse(raw, LONGEST, DEEPEST) else {
            return Err(InvalidDetails);
        };
        if listed.len() > MOST || listed.iter().any(has_nul) {
            return Err(InvalidDetails);
        }
        let read = |value| match value {
            Value::Object(members) if matches!(members.get("type"), Some(Value::String(_))) => {
                Ok(Detail(members))
            }
            _ => Err(InvalidDetails),
        };
        listed.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is nothing in the list.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The details in the order of the request.
    pub fn iter(&self) -> impl Iterator<Item = &Detail> {
        self.0.iter()
    }

    /// Whether this is one of them.
    pub fn contains(&self, detail: &Detail) -> bool {
        self.0.contains(detail)
    }

    /// The details that `keep` says.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Detail) -> bool) -> Self {
        Self(self.0.iter().filter(|detail| keep(detail)).cloned().collect())
    }

    /// What remains of what was granted when a request asks for this of it: all without a wish; `None` for more than was granted
    /// (RFC 9396 §6).
    pub fn narrowed(&self, asked: Option<&Self>) -> Option<Self> {
        match asked {
            None => Some(self.clone()),
            Some(asked) => self.cover(asked).then(|| asked.clone()),
        }
    }

    /// Whether each of these is within one of those.
    pub fn cover(&self, asked: &Self) -> bool {
        asked.iter().all(|detail| self.iter().any(|granted| detail.is_within(granted)))
    }

    /// These and what of the others is not among them; of very many the last ones.
    #[must_use]
    pub fn and(&self, others: &Self, most: usize) -> Self {
        let new = others.iter().filter(|other| !self.0.contains(other));
        let all: Vec<Detail> = self.iter().chain(new).cloned().collect();
        let surplus = all.len().saturating_sub(most);
        Self(all.into_iter().skip(surplus).collect())
    }
}

impl FromIterator<Detail> for Details {
    fn from_iter<I: IntoIterator<Item = Detail>>(details: I) -> Self {
        Self(details.into_iter().collect())
    }
}

impl Detail {
    /// What type it is of.
    pub fn kind(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Where it is to count; `None` where it does not say (RFC 9396 §2.2).
    pub fn locations(&self) -> Option<impl Iterator<Item = &str>> {
        self.0.get("locations").map(|places| {
            let places = places.as_array().map(Vec::as_slice).unwrap_or_default();
            places.iter().map(|place| place.as_str().unwrap_or_default())
        })
    }

    /// All that it says.
    pub const fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Whether it is this, or less: the same but for fewer entries in one of the lists that add up (RFC 9396 §6.1). No list at all
    /// may mean everything to an API, so it is not less than one.
    fn is_within(&self, granted: &Self) -> bool {
        self.0.len() == granted.0.len()
            && self.0.iter().all(|(name, value)| match (value, granted.0.get(name)) {
                (value, Some(allowed)) if value == allowed => true,
                (Value::Array(some), Some(Value::Array(all))) if LISTS.contains(&name.as_str()) => {
                    !some.is_empty() && some.iter().all(|entry| all.contains(entry))
                }
                _ => false,
            })
    }
}

/// Whether a text in it has U+0000, which JSON can say and much that reads it cannot: PostgreSQL, for one.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::Array(entries) => entries.iter().any(has_nul),
        Value::Bool(_) | Value::Null | Value::Number(_) => false,
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::String(text) => text.contains('\0'),
    }
}

impl fmt::Display for Details {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", serde_json::json!(self.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn details(value: &Value) -> Details {
        Details::parse(&value.to_string()).unwrap()
    }

    fn covers(granted: &Value, asked: &Value) -> bool {
        details(&json!([granted])).cover(&details(&json!([asked])))
    }

    #[test]
    fn a_list_of_objects_with_a_type_is_read_as_it_is() {
        let raw =
            r#"[{"type":"payment","amount":{"value":"1.50"}},{"type":"https://a.test/files","b":"\\u0000"}]"#;
        let read = Details::parse(raw).unwrap();
        assert_eq!(read.iter().map(Detail::kind).collect::<Vec<_>>(), ["payment", "https://a.test/files"]);
        assert_eq!(serde_json::from_str::<Details>(&read.to_string()).unwrap(), read);
        assert!(Details::parse("[]").unwrap().is_empty());
    }

    #[test]
    fn anything_else_is_refused() {
        let many = format!("[{}]", vec![r#"{"type":"a"}"#; MOST + 1].join(","));
        let long = format!(r#"[{{"type":"{}"}}]"#, "a".repeat(LONGEST));
        let deep = format!(r#"[{{"type":"a","b":{}1{}}}]"#, "[".repeat(DEEPEST - 1), "]".repeat(DEEPEST - 1));
        for bad in [
            "",
            "null",
            "{}",
            "[1]",
            "[[]]",
            "[{}]",
            r#"{"type":"a"}"#,
            r#"[{"type":1}]"#,
            r#"[{"type":null}]"#,
            r#"[{"type":"a","type":"a"}]"#,
            r#"[{"type":"a","b":{"c":1,"c":2}}]"#,
            r#"[{"type":"a"}"#,
            r#"[{"type":"a\u0000"}]"#,
            r#"[{"type":"a"},{"type":"a","b":[{"c":"\u0000"}]}]"#,
            r#"[{"type":"a","b":{"\u0000":1}}]"#,
            &many,
            &long,
            &deep,
        ] {
            assert_eq!(Details::parse(bad), Err(InvalidDetails), "{bad}");
        }
    }

    #[test]
    fn less_is_fewer_entries_of_a_list_that_adds_up_and_nothing_else() {
        let granted =
            json!({ "type": "a", "actions": ["read", "write"], "identifier": "x", "tags": ["p", "q"] });
        let but = |name: &str, value: Value| {
            let mut changed = granted.clone();
            changed[name] = value;
            changed
        };
        assert!(covers(&granted, &granted));
        assert!(covers(&granted, &but("actions", json!(["write"]))));
        for (name, value) in [
            ("actions", json!(["read", "delete"])),
            ("actions", json!([])),
            ("actions", json!("read")),
            ("identifier", json!("y")),
            ("tags", json!(["p"])),
            ("type", json!("b")),
            ("more", json!(1)),
        ] {
            assert!(!covers(&granted, &but(name, value.clone())), "{name}: {value}");
        }
        let mut without = granted.clone();
        without.as_object_mut().unwrap().remove("actions");
        assert!(!covers(&granted, &without), "no list may mean everything");
        assert!(!covers(&without, &granted));
    }

    #[test]
    fn a_wish_narrows_and_never_widens() {
        let granted = details(&json!([{ "type": "a", "actions": ["r", "w"] }, { "type": "b" }]));
        assert_eq!(granted.narrowed(None), Some(granted.clone()));
        let less = details(&json!([{ "type": "a", "actions": ["r"] }]));
        assert_eq!(granted.narrowed(Some(&less)), Some(less.clone()));
        assert_eq!(granted.narrowed(Some(&Details::default())), Some(Details::default()));
        assert_eq!(less.narrowed(Some(&granted)), None);
    }

    #[test]
    fn what_was_allowed_is_kept_once_and_the_last_of_it() {
        let of = |kinds: &[&str]| -> Details {
            kinds.iter().map(|kind| Detail(json!({ "type": kind }).as_object().unwrap().clone())).collect()
        };
        assert_eq!(of(&["a", "b"]).and(&of(&["b", "c"]), 9), of(&["a", "b", "c"]));
        assert_eq!(of(&["a", "b"]).and(&of(&["c"]), 2), of(&["b", "c"]));
    }
}
