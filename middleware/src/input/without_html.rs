//! Where the feature `html` is off, nothing is declared as HTML: none of this can exist.

use std::convert::Infallible;

use super::field::FieldFault;

#[derive(Clone, Debug)]
pub(crate) enum Html {}

/// What would clean.
pub(crate) enum HtmlCleaner {}

impl Html {
    pub(crate) const fn cleaner(&self) -> Result<HtmlCleaner, FieldFault> {
        match *self {}
    }
}

impl HtmlCleaner {
    #[expect(clippy::unnecessary_wraps, reason = "as it is with the feature")]
    pub(crate) const fn concerns(_: &str) -> Result<bool, Infallible> {
        Ok(false)
    }

    pub(crate) const fn rewrite(&self, _: &str) -> Result<Option<String>, Infallible> {
        match *self {}
    }
}
