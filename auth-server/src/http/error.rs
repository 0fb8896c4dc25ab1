//! Answers that no handler made, and the cause of those that one did.

use std::error::Error;
use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

use crate::http::extract::request_id::RequestId;

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

/// What the server says by itself, before or instead of a handler.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// More requests are at work than the server takes on.
    Busy,
    /// A handler panicked.
    Panic,
    /// The body is larger than any that is read.
    TooLarge,
    /// The request took longer than any may.
    TooSlow,
}

impl Refusal {
    /// A short text with the reference id: no route is known yet that would say in which form to answer.
    pub(crate) fn response(self, id: RequestId) -> Response {
        let (status, text) = match self {
            Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "The server is busy. Please try again in a moment.")
            }
            Self::Panic => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side."),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The request is too large."),
            Self::TooSlow => {
                (StatusCode::SERVICE_UNAVAILABLE, "The request took too long. Please try again.")
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        (status, headers, format!("{text}\nReference: {id}\n")).into_response()
    }
}
