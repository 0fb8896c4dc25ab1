//! The cause of an answer that is an error.

use std::error::Error;
use std::fmt::Write as _;

/// Why an answer is an error, for the log and for nobody else.
///
/// A handler puts it into the extensions of its answer; the one line that is written for the request holds it.
#[derive(Clone, Debug)]
pub(crate) struct Cause(String);

impl Cause {
    /// The error with everything that led to it.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            _ = write!(text, ": {cause}");
            next = cause.source();
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
