//! The cause of an answer that is an error.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;

use crate::domain::ids::ClientId;

/// Why an answer is an error, for the log and for nobody else.
///
/// A handler puts it into the extensions of its answer; the one line that is written for the request holds it.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    text: Cow<'static, str>,
    /// What the client is told, as the specifications call it.
    code: Option<&'static str>,
    /// The client that is told, where the request itself does not name it.
    client: Option<ClientId>,
}

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
        Self::said(text)
    }

    /// What is said where there is no error to say it.
    pub(crate) fn said(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), code: None, client: None }
    }

    /// The same, with the code that the client is told.
    #[must_use]
    pub(crate) fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The same, with the client that is told, if it is known.
    #[must_use]
    pub(crate) fn to(self, client: Option<ClientId>) -> Self {
        Self { client, ..self }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) const fn code(&self) -> Option<&'static str> {
        self.code
    }

    pub(crate) const fn client(&self) -> Option<&ClientId> {
        self.client.as_ref()
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
