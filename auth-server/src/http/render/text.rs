//! The sentences that the pages show, in one place for each language.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};

const ENGLISH: &str = include_str!("../../../locales/en.toml");

/// Why the texts of a language cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the texts of a language cannot be read: {0}")]
pub struct BadTexts(#[from] toml::de::Error);

/// The sentences of one language by key.
#[derive(Clone)]
pub(super) struct Texts(Arc<BTreeMap<String, String>>);

impl Texts {
    pub(super) fn english() -> Result<Self, BadTexts> {
        Ok(Self(Arc::new(toml::from_str(ENGLISH)?)))
    }

    /// The sentence of `key` with its `{places}` filled in. An unknown key or an empty place is an error, which a test
    /// that renders every page finds.
    pub(super) fn say(&self, key: &str, places: &Kwargs) -> Result<String, Error> {
        let template = self
            .0
            .get(key)
            .ok_or_else(|| Error::new(ErrorKind::UndefinedError, format!("there is no text `{key}`")))?;
        let mut said = String::with_capacity(template.len());
        let mut rest = template.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| {
                Error::new(ErrorKind::SyntaxError, format!("text `{key}` has an open brace"))
            })?;
            said.push_str(before);
            said.push_str(&places.get::<Value>(name)?.to_string());
            rest = after;
        }
        said.push_str(rest);
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(pairs: &[(&'static str, &'static str)]) -> Kwargs {
        pairs.iter().map(|(name, value)| (*name, Value::from(*value))).collect()
    }

    #[test]
    fn a_place_is_filled_once_and_what_fills_it_is_not_read_again() {
        let texts = Texts::english().unwrap();
        let said = texts.say("login.to_continue", &places(&[("client", "{client} {x}")])).unwrap();
        assert_eq!(said, "to continue to {client} {x}");
    }

    #[test]
    fn an_unknown_text_and_an_empty_place_are_errors() {
        let texts = Texts::english().unwrap();
        let refused = |key| texts.say(key, &places(&[])).unwrap_err().kind();
        assert_eq!(refused("login.nothing"), ErrorKind::UndefinedError);
        assert_eq!(refused("login.to_continue"), ErrorKind::MissingArgument);
    }
}
