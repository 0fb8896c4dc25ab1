//! Parameters of a query or a form, each of which is there once.

use std::collections::BTreeMap;

/// Parameters by their names.
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// `None` where one is there twice: which one counts would depend on who reads.
    pub(super) fn read(encoded: &[u8]) -> Option<Self> {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_is_there_twice_is_none() {
        let fields = Fields::read(b"a=1&b=%2F").unwrap();
        assert_eq!((fields.get("a"), fields.get("b"), fields.get("c")), (Some("1"), Some("/"), None));
        assert!(Fields::read(b"a=1&%61=1").is_none());
        assert!(Fields::read(b"").is_some());
    }
}
