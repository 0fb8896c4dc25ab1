//! The cause of an answer that is an error.

use std::error::Error;
use std::fmt::Write as _;

/// Why an answer is an error, for the log and for nobody else.
///
/// A handler puts it into the extensions of its answer; the one line that is written for the request holds it.
#[derive(Clone, Debug)]
pub(crate) struct Cause(String);

impl Cause {
    /// The error with everything that led to it, each once: some tell of their cause themselves.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            let told = cause.to_string();
            if !text.ends_with(&told) {
                _ = write!(text, ": {told}");
            }
            next = cause.source();
        }
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the file is not there")]
    struct Missing;

    #[derive(Debug, thiserror::Error)]
    enum Start {
        #[error("no key: {0}")]
        Key(#[source] Missing),
        #[error("no settings")]
        Settings(#[source] Missing),
    }

    #[test]
    fn what_led_to_an_error_is_told_once() {
        for (error, told) in [
            (Start::Key(Missing), "no key: the file is not there"),
            (Start::Settings(Missing), "no settings: the file is not there"),
        ] {
            assert_eq!(Cause::of(&error).as_str(), told);
        }
    }
}
