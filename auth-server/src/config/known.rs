//! The keys that exist. They are read from the JSON Schema, so that what is published is what is enforced.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::config::secret::SECRET_FORMAT;
use crate::domain::likeness::nearest;

/// The name of one value: `section.name`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    pub(crate) section: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(section: impl Into<String>, name: impl Into<String>) -> Self {
        Self { section: section.into(), name: name.into() }
    }

    /// Reads `section.name`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.split_once('.').map(|(section, name)| Self::new(section, name))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.section),
            name => write!(f, "{}.{name}", self.section),
        }
    }
}

/// What the schema says about one key beyond its type.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    minimum: Option<i64>,
    maximum: Option<i64>,
    pub(crate) secret: bool,
    /// What holds when nobody sets it, if that is no value of the key.
    pub(crate) without: Option<String>,
}

/// What stands before that in the description of a key.
const WITHOUT: &str = "Without it: ";

impl Rule {
    fn of(schema: &Value) -> Self {
        let number = |name| schema.get(name).and_then(Value::as_i64);
        Self {
            minimum: number("minimum"),
            maximum: number("maximum"),
            without: schema.get("description").and_then(Value::as_str).and_then(without),
            secret: schema.get("format").and_then(Value::as_str) == Some(SECRET_FORMAT),
        }
    }

    /// Whether a number lies inside the bounds; everything else has none.
    pub(crate) fn bounds(&self, value: &toml::Value) -> Result<(), String> {
        let Some(number) = value.as_integer() else { return Ok(()) };
        let low = self.minimum.unwrap_or(i64::MIN);
        let high = self.maximum.unwrap_or(i64::MAX);
        if (low..=high).contains(&number) {
            return Ok(());
        }
        Err(format!("must be from {low} to {high}, not {number}"))
    }
}

fn without(description: &str) -> Option<String> {
    let (_, rest) = description.split_once(WITHOUT)?;
    // A sentence may go over the end of a line.
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(words.join(" ").trim_end_matches('.').to_owned())
}

/// Where a JSON Schema says what the elements of a list are.
const ITEMS: &str = "items";

/// Every key that exists, with its rule.
#[derive(Debug)]
pub(crate) struct KnownKeys {
    keys: BTreeMap<Key, Rule>,
    /// The sections of which there may be several.
    lists: BTreeSet<String>,
}

impl KnownKeys {
    /// Those of a JSON Schema.
    pub(crate) fn of(schema: &Value) -> Self {
        let sections = || properties(schema);
        let keys = sections().flat_map(|(section, fields)| {
            let fields = fields.get(ITEMS).unwrap_or(fields);
            properties(fields).map(move |(name, rule)| (Key::new(section, name), Rule::of(rule)))
        });
        let lists = sections().filter(|(_, fields)| fields.get(ITEMS).is_some());
        Self { keys: keys.collect(), lists: lists.map(|(section, _)| section.clone()).collect() }
    }

    pub(crate) fn is_list(&self, section: &str) -> bool {
        self.lists.contains(section)
    }

    pub(crate) fn rule(&self, key: &Key) -> Option<&Rule> {
        self.keys.get(key)
    }

    /// By section and name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Rule)> {
        self.keys.iter()
    }

    pub(crate) fn has_section(&self, section: &str) -> bool {
        self.keys.keys().any(|key| key.section == section)
    }

    /// The section that was probably meant.
    pub(crate) fn suggest_section(&self, wrong: &str) -> Option<&str> {
        let sections = self.keys.keys().map(|key| key.section.as_str());
        nearest(sections.map(|section| (section.to_owned(), section)), wrong)
    }

    /// The key that was probably meant: the same name in another section, or one that is written much like it.
    pub(crate) fn suggest(&self, wrong: &Key) -> Option<&Key> {
        let same_name = self.keys.keys().find(|key| key.name == wrong.name);
        same_name.or_else(|| nearest(self.keys.keys().map(|key| (key.to_string(), key)), &wrong.to_string()))
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}
