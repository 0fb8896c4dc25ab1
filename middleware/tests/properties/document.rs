//! A second, slow reading of JSON: by `serde_json`, one level at a time.

use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a document of a service may hold unless told otherwise.
const MAX_DEPTH: usize = 32;
const MAX_MEMBERS: usize = 10_000;

/// A value that is no container.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The names and indices on the way to it.
    pub(super) path: Vec<String>,
    pub(super) span: Range<usize>,
}

/// The members of an object in their order, whatever they are called.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A document, if it is one that a service may be sent.
pub(super) struct Document<'a> {
    text: &'a str,
    members: usize,
    pub(super) leaves: Vec<Leaf>,
}

impl<'a> Document<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut document = Self { text, members: 0, leaves: Vec::new() };
        document.value(serde_json::from_str(text).ok()?, &mut Vec::new())?;
        Some(document)
    }

    fn value(&mut self, value: &'a RawValue, path: &mut Vec<String>) -> Option<()> {
        let raw = value.get();
        let parts = match raw.as_bytes().first()? {
            b'{' => {
                let Members(members) = serde_json::from_str(raw).ok()?;
                self.members += members.len();
                let mut names: Vec<_> = members.iter().map(|(name, _)| name.clone()).collect();
                names.sort();
                let once = names.windows(2).all(|pair| pair.first() != pair.last());
                (once && names.iter().all(|name| is_plain(name))).then_some(members)?
            }
            b'[' => {
                let values: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
                values.into_iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
            }
            first => {
                let plain = *first != b'"' || is_plain(&serde_json::from_str::<String>(raw).ok()?);
                let start = raw.as_ptr().addr() - self.text.as_ptr().addr();
                self.leaves.push(Leaf { path: path.clone(), span: start..start + raw.len() });
                return plain.then_some(());
            }
        };
        for (name, value) in parts {
            path.push(name);
            let fits = path.len() <= MAX_DEPTH && self.members <= MAX_MEMBERS;
            fits.then_some(())?;
            self.value(value, path)?;
            path.pop();
        }
        // An empty container is one level deep as well.
        (path.len() < MAX_DEPTH).then_some(())
    }

    /// What stands between the leaves, before the first and after the last.
    pub(super) fn gaps(&self) -> Vec<&'a str> {
        let starts = std::iter::once(0).chain(self.leaves.iter().map(|leaf| leaf.span.end));
        let ends = self.leaves.iter().map(|leaf| leaf.span.start).chain([self.text.len()]);
        starts.zip(ends).map(|(start, end)| self.text.get(start..end).expect("in order")).collect()
    }

    pub(super) fn raw(&self, leaf: &Leaf) -> &'a str {
        self.text.get(leaf.span.clone()).expect("a leaf lies in its document")
    }
}

fn is_plain(text: &str) -> bool {
    text.chars().all(|character| character >= ' ' || matches!(character, '\t' | '\n' | '\r'))
}
