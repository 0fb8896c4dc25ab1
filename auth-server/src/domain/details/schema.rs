//! What details of a type may say: a JSON Schema of bounded effort.
//!
//! Whoever registers a schema is trusted with an API, and not with the server: a schema is compiled once, and a detail is checked in
//! time that its size and that of the schema bound. So there are only keywords whose effort is known, references only to definitions
//! beside it that do not come back to themselves, and patterns only of the kind that is matched in linear time.

use std::fmt;
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};

use crate::domain::details::Detail;

/// The largest schema in bytes.
const LARGEST: usize = 16 * 1024;
/// The most schemas that one may hold, each reference counted as what it refers to.
const MOST_SCHEMAS: usize = 500;
/// How deep schemas may lie within each other.
const DEEPEST: usize = 16;
/// The longest pattern.
const LONGEST_PATTERN: usize = 256;
/// The most memory that a compiled pattern may take, in bytes.
const PATTERN_BYTES: usize = 256 * 1024;

/// The dialect, which a schema need not name.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// What a reference begins with.
const DEFINITION: &str = "#/$defs/";

/// Formats that are checked. Others are refused: a check that does not happen would be a surprise.
const FORMATS: [&str; 8] = ["date", "date-time", "email", "ipv4", "ipv6", "time", "uri", "uuid"];

/// Keywords that hold no schema.
const PLAIN: [&str; 26] = [
    "$comment",
    "const",
    "default",
    "dependentRequired",
    "deprecated",
    "description",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
];
/// Keywords that hold a schema.
const ONE: [&str; 7] = ["additionalProperties", "contains", "else", "if", "items", "not", "propertyNames"];
/// Keywords that hold a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords that hold schemas by name.
const BY_NAME: [&str; 2] = ["dependentSchemas", "properties"];

/// What details of a type may say, compiled.
#[derive(Clone)]
pub struct DetailsSchema {
    document: Value,
    validator: Arc<Validator>,
}

/// Why a schema is not accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidSchema {
    /// A detail with unknown members has to be refused (RFC 9396 §5).
    #[error("has to say \"additionalProperties\": false, so that details with unknown members are refused")]
    Open,
    /// Not the schema of an object.
    #[error("has to be a JSON Schema of \"type\": \"object\"")]
    NoObject,
    /// Something in it is not what a schema says.
    #[error("is no JSON Schema (2020-12): `{0}` cannot be what it is")]
    Malformed(String),
    /// A keyword that is not checked here, or not in bounded time.
    #[error("`{0}` is not supported here")]
    Keyword(String),
    /// A reference that leads elsewhere, nowhere or back.
    #[error("a reference has to be to one of `$defs` beside it, and not come back to itself")]
    Reference,
    /// Too much of it.
    #[error(
        "is too large: at most 16 KiB, 500 schemas with those that are referred to, and 16 within each other"
    )]
    TooLarge,
    /// A pattern that takes too much, or cannot be matched in linear time.
    #[error("a pattern is too long, needs too much memory, or looks around or back")]
    Pattern,
}

impl DetailsSchema {
    /// Compiles the schema of the type of this name.
    pub fn parse(name: &str, document: Value) -> Result<Self, InvalidSchema> {
        let Value::Object(members) = &document else { return Err(InvalidSchema::NoObject) };
        if document.to_string().len() > LARGEST {
            return Err(InvalidSchema::TooLarge);
        }
        if members.get("type") != Some(&json!("object")) {
            return Err(InvalidSchema::NoObject);
        }
        if members.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err(InvalidSchema::Open);
        }
        let mut scale = Scale { definitions: definitions(members)?, left: MOST_SCHEMAS };
        scale.root(members)?;
        let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(patterns)
            .should_validate_formats(true)
            .build(&with_type(name, &document))
            .map_err(|error| {
                let place = error.instance_path().to_string();
                if place.ends_with("/pattern") || place.contains("/patternProperties") {
                    InvalidSchema::Pattern
                } else {
                    InvalidSchema::Malformed(place)
                }
            })?;
        Ok(Self { document, validator: Arc::new(validator) })
    }

    /// The schema as it was registered.
    pub const fn document(&self) -> &Value {
        &self.document
    }

    /// Whether a detail says what it may.
    pub fn allows(&self, detail: &Detail) -> bool {
        self.validator.is_valid(&Value::Object(detail.members().clone()))
    }
}

impl fmt::Debug for DetailsSchema {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("DetailsSchema").field(&self.document).finish()
    }
}

/// Each detail has its type as a member; a schema need not say so.
fn with_type(name: &str, document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(members) = document.as_object_mut() {
        let properties = members.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.entry("type").or_insert_with(|| json!({ "const": name }));
        }
    }
    document
}

fn definitions(members: &Map<String, Value>) -> Result<Option<&Map<String, Value>>, InvalidSchema> {
    match members.get("$defs") {
        None => Ok(None),
        Some(Value::Object(definitions)) => Ok(Some(definitions)),
        Some(_) => Err(InvalidSchema::Malformed("/$defs".to_owned())),
    }
}

/// Counts the schemas in a schema, references followed.
struct Scale<'s> {
    definitions: Option<&'s Map<String, Value>>,
    left: usize,
}

impl<'s> Scale<'s> {
    fn root(&mut self, members: &'s Map<String, Value>) -> Result<(), InvalidSchema> {
        if members.get("$schema").is_some_and(|dialect| dialect != DIALECT) {
            return Err(InvalidSchema::Keyword("$schema".to_owned()));
        }
        let others = members.iter().filter(|(keyword, _)| !["$schema", "$defs"].contains(&keyword.as_str()));
        for (keyword, value) in others {
            self.keyword(keyword, value, 1)?;
        }
        // Those that nobody refers to as well: somebody may, with the next change.
        for definition in self.definitions.into_iter().flat_map(Map::values) {
            self.schema(definition, 1)?;
        }
        Ok(())
    }

    fn schema(&mut self, schema: &'s Value, depth: usize) -> Result<(), InvalidSchema> {
        self.left = self.left.checked_sub(1).ok_or(InvalidSchema::TooLarge)?;
        match schema {
            _ if depth > DEEPEST => Err(InvalidSchema::TooLarge),
            Value::Bool(_) => Ok(()),
            Value::Object(members) => {
                members.iter().try_for_each(|(keyword, value)| self.keyword(keyword, value, depth))
            }
            _ => Err(InvalidSchema::Malformed("a schema".to_owned())),
        }
    }

    fn keyword(&mut self, keyword: &str, value: &'s Value, depth: usize) -> Result<(), InvalidSchema> {
        let odd = || InvalidSchema::Malformed(keyword.to_owned());
        match keyword {
            "$ref" => self.reference(value, depth),
            "format" => match value.as_str() {
                Some(format) if FORMATS.contains(&format) => Ok(()),
                _ => Err(InvalidSchema::Keyword("format".to_owned())),
            },
            "pattern" => short(value.as_str().ok_or_else(odd)?),
            "patternProperties" => {
                let named = value.as_object().ok_or_else(odd)?;
                named.iter().try_for_each(|(pattern, schema)| {
                    short(pattern)?;
                    self.schema(schema, depth + 1)
                })
            }
            _ if PLAIN.contains(&keyword) => Ok(()),
            _ if ONE.contains(&keyword) => self.schema(value, depth + 1),
            _ if LIST.contains(&keyword) => {
                let listed = value.as_array().ok_or_else(odd)?;
                listed.iter().try_for_each(|schema| self.schema(schema, depth + 1))
            }
            _ if BY_NAME.contains(&keyword) => {
                let named = value.as_object().ok_or_else(odd)?;
                named.values().try_for_each(|schema| self.schema(schema, depth + 1))
            }
            _ => Err(InvalidSchema::Keyword(keyword.to_owned())),
        }
    }

    /// A circle of references is deeper than any schema may be.
    fn reference(&mut self, value: &'s Value, depth: usize) -> Result<(), InvalidSchema> {
        let name = value.as_str().and_then(|target| target.strip_prefix(DEFINITION));
        let definition = name.and_then(|name| self.definitions?.get(name));
        self.schema(definition.ok_or(InvalidSchema::Reference)?, depth + 1)
    }
}

fn short(pattern: &str) -> Result<(), InvalidSchema> {
    if pattern.len() > LONGEST_PATTERN { Err(InvalidSchema::Pattern) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::details::Details;

    fn parse(document: Value) -> Result<DetailsSchema, InvalidSchema> {
        DetailsSchema::parse("payment", document)
    }

    /// A schema of an object with these keywords beside what each needs.
    fn closed(more: &Value) -> Value {
        let mut document = json!({ "type": "object", "additionalProperties": false });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    }

    fn allows(schema: &DetailsSchema, detail: &Value) -> bool {
        let details = Details::parse(&json!([detail]).to_string()).unwrap();
        details.iter().all(|detail| schema.allows(detail))
    }

    #[test]
    fn details_say_what_the_schema_of_their_type_says() {
        let amount = json!({ "type": "object", "additionalProperties": false, "required": ["currency", "value"],
            "properties": { "currency": { "enum": ["EUR", "USD"] }, "value": { "$ref": "#/$defs/decimal" } } });
        let schema = parse(closed(&json!({
            "$schema": DIALECT,
            "properties": { "amount": amount, "due": { "type": "string", "format": "date" } },
            "required": ["amount"],
            "$defs": { "decimal": { "type": "string", "pattern": "^[0-9]{1,9}\\.[0-9]{2}$" } },
        })))
        .unwrap();
        let good = json!({ "type": "payment", "amount": { "currency": "EUR", "value": "1.50" } });
        assert!(allows(&schema, &good));
        for (pointer, value) in [
            ("/amount/value", json!("1.5")),
            ("/amount/value", json!(1.5)),
            ("/amount/currency", json!("GBP")),
            ("/amount", json!("1.50")),
            ("/type", json!("other")),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert!(!allows(&schema, &bad), "{bad}");
        }
        assert!(!allows(&schema, &json!({ "type": "payment" })), "a member is missing");
        let with = |name: &str, value: Value| {
            let mut more = good.clone();
            more[name] = value;
            more
        };
        assert!(!allows(&schema, &with("note", json!("x"))), "a member that is not known");
        assert!(!allows(&schema, &with("due", json!("soon"))), "formats are checked");
        assert!(allows(&schema, &with("due", json!("2026-11-26"))));
    }

    #[test]
    fn a_schema_is_of_an_object_that_knows_its_members() {
        for bad in [json!(null), json!(true), json!([]), json!({}), json!({ "type": "string" })] {
            assert_eq!(parse(bad.clone()).err(), Some(InvalidSchema::NoObject), "{bad}");
        }
        for open in [json!({ "type": "object" }), json!({ "type": "object", "additionalProperties": true })] {
            assert_eq!(parse(open.clone()).err(), Some(InvalidSchema::Open), "{open}");
        }
        assert!(parse(closed(&json!({}))).is_ok());
    }

    #[test]
    fn what_costs_without_bound_or_leads_elsewhere_is_refused() {
        for keyword in
            ["$dynamicRef", "$id", "$anchor", "unevaluatedProperties", "unevaluatedItems", "madeUp"]
        {
            let refused = parse(closed(&json!({ keyword: "x" }))).err();
            assert_eq!(refused, Some(InvalidSchema::Keyword(keyword.to_owned())));
        }
        for target in
            ["https://evil.test/schema", "file:///etc/passwd", "#", "#/properties/a", "#/$defs/none"]
        {
            let refused = parse(closed(&json!({ "properties": { "a": { "$ref": target } } }))).err();
            assert_eq!(refused, Some(InvalidSchema::Reference), "{target}");
        }
        assert_eq!(
            parse(closed(&json!({ "$schema": "http://json-schema.org/draft-04/schema#" }))).err(),
            Some(InvalidSchema::Keyword("$schema".to_owned()))
        );
        let regex = closed(&json!({ "properties": { "a": { "format": "regex" } } }));
        assert_eq!(parse(regex).err(), Some(InvalidSchema::Keyword("format".to_owned())));
    }

    #[test]
    fn references_neither_go_round_nor_multiply() {
        let round = json!({ "a": { "$ref": "#/$defs/b" }, "b": { "allOf": [{ "$ref": "#/$defs/a" }] } });
        assert_eq!(parse(closed(&json!({ "$defs": round }))).err(), Some(InvalidSchema::TooLarge));
        let mut doubled = json!({ "a0": { "type": "string" } });
        for step in 1..12 {
            let before = json!({ "$ref": format!("#/$defs/a{}", step - 1) });
            doubled[format!("a{step}")] = json!({ "anyOf": [before, before] });
        }
        assert_eq!(parse(closed(&json!({ "$defs": doubled }))).err(), Some(InvalidSchema::TooLarge));
    }

    #[test]
    fn a_schema_is_neither_large_nor_deep() {
        let deep = (0..DEEPEST).fold(json!({}), |inner, _| json!({ "items": inner }));
        let refused = parse(closed(&json!({ "properties": { "a": deep } })));
        assert_eq!(refused.err(), Some(InvalidSchema::TooLarge));
        let long = closed(&json!({ "description": "x".repeat(LARGEST) }));
        assert_eq!(parse(long).err(), Some(InvalidSchema::TooLarge));
        let many: Map<String, Value> = (0..=MOST_SCHEMAS).map(|n| (n.to_string(), json!(true))).collect();
        assert_eq!(parse(closed(&json!({ "properties": many }))).err(), Some(InvalidSchema::TooLarge));
    }

    #[test]
    fn patterns_are_short_small_and_matched_in_linear_time() {
        let with = |pattern: &str| parse(closed(&json!({ "properties": { "a": { "pattern": pattern } } })));
        assert!(with("^(a+)+$").is_ok(), "linear, whatever it looks like");
        for bad in [&"a".repeat(LONGEST_PATTERN + 1), "(", "(?=a)", "(a)\\1", "^(([a-z]{1,99}){1,99}){1,99}$"]
        {
            assert_eq!(with(bad).err(), Some(InvalidSchema::Pattern), "{bad}");
        }
        let named = closed(&json!({ "patternProperties": { "(?=a)": {} } }));
        assert_eq!(parse(named).err(), Some(InvalidSchema::Pattern));
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for bad in [
            json!({ "properties": [] }),
            json!({ "allOf": {} }),
            json!({ "$defs": [] }),
            json!({ "required": 1 }),
        ] {
            assert!(matches!(parse(closed(&bad)).err(), Some(InvalidSchema::Malformed(_))), "{bad}");
        }
    }
}
