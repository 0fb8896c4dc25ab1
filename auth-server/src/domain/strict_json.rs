//! JSON in which no member is said twice: of two readers, each could otherwise believe another.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value in which no object repeats a member.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StrictJson(pub(crate) Value);

impl StrictJson {
    /// Reads a text of at most `longest` bytes whose objects and lists lie at most `deepest` within each other.
    pub(crate) fn parse(text: &str, longest: usize, deepest: usize) -> Result<Value, InvalidJson> {
        if text.len() > longest || depth(text) > deepest {
            return Err(InvalidJson);
        }
        serde_json::from_str::<Self>(text).map(|Self(value)| value).map_err(|_| InvalidJson)
    }
}

/// The text is no JSON, repeats a member, or is larger or deeper than it needs to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected JSON of reasonable size in which no member is repeated")]
pub(crate) struct InvalidJson;

/// How deep a text nests at most. What is no JSON gives some number, and is refused later.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl<'de> Deserialize<'de> for StrictJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(StrictJson(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let StrictJson(value) = object.next_value()?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is repeated"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Value, InvalidJson> {
        StrictJson::parse(text, 64, 3)
    }

    #[test]
    fn what_is_plain_json_is_read_as_it_is() {
        let text = r#"{"a":[1,-2,1.5,true,null,"\"{[x"]}"#;
        assert_eq!(parse(text), Ok(json!({ "a": [1, -2, 1.5, true, null, "\"{[x"] })));
    }

    #[test]
    fn a_member_that_is_said_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert_eq!(parse(text), Err(InvalidJson), "{text}");
        }
    }

    #[test]
    fn what_is_too_long_too_deep_or_no_json_is_refused() {
        assert_eq!(parse("[[[1]]]"), Ok(json!([[[1]]])));
        for text in ["[[[[1]]]]", &format!("[{}1]", " ".repeat(64)), "", "{", "[1] 2", "nul"] {
            assert_eq!(parse(text), Err(InvalidJson), "{text}");
        }
    }
}
