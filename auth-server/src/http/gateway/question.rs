//! What the log is told of a question: one line for each, and the path in what the guard says meanwhile.

use std::fmt;
use std::time::Duration;

use axum::response::Response;
use http::{Method, Request, Uri};
use portcullis_guard::AccessDenied;
use tracing::Span;

use crate::http::bounds::milliseconds;
use crate::http::gateway::entry::Unclear;
use crate::http::gateway::identity;

/// How much of a path is told, in bytes.
const MAX_PATH: usize = 256;

/// Which request is asked about. Its query is told to nobody: it may hold what must not be in a log.
#[derive(Clone, Debug)]
pub(super) struct Question {
    method: Method,
    target: Uri,
}

impl Question {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self { method: request.method().clone(), target: request.uri().clone() }
    }

    /// What the guard says of the request is said in this. It is there at every level, as the line of a refusal is.
    pub(super) fn span(&self) -> Span {
        tracing::error_span!("question", url.path = %self.path())
    }

    fn path(&self) -> Shown<'_> {
        Shown(self.target.path())
    }

    /// The method as `OpenTelemetry` names it: one that nobody knows could be any text.
    fn method_name(&self) -> &str {
        match self.method {
            Method::CONNECT
            | Method::DELETE
            | Method::GET
            | Method::HEAD
            | Method::OPTIONS
            | Method::PATCH
            | Method::POST
            | Method::PUT
            | Method::TRACE => self.method.as_str(),
            _ => "_OTHER",
        }
    }
}

/// A path as the log has it: its beginning, and nothing in it that a terminal or a reader of lines would take for something else.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes().take(MAX_PATH) {
            match byte {
                b'!'..=b'~' => write!(out, "{}", char::from(byte))?,
                _ => write!(out, "%{byte:02X}")?,
            }
        }
        if self.0.len() > MAX_PATH { out.write_str("..") } else { Ok(()) }
    }
}

/// One line for each question.
pub(super) fn log(dialect: &str, response: &Response, took: Duration) {
    let (code, duration_ms) = (response.status().as_u16(), milliseconds(took));
    let asked = response.extensions().get::<Question>();
    let method = asked.map(Question::method_name);
    let path = asked.map(|asked| tracing::field::display(asked.path()));
    if response.status().is_server_error() {
        tracing::error!(
            gateway.dialect = dialect,
            http.request.method = method,
            url.path = path,
            http.status = code,
            duration_ms,
            "asked"
        );
    } else if response.status().is_success() {
        let decision = response.headers().get(identity::DECISION).and_then(|id| id.to_str().ok());
        tracing::debug!(
            gateway.dialect = dialect,
            http.request.method = method,
            url.path = path,
            http.status = code,
            duration_ms,
            decision.id = decision,
            "asked"
        );
    } else {
        tracing::info!(
            gateway.dialect = dialect,
            http.request.method = method,
            url.path = path,
            http.status = code,
            duration_ms,
            cause = cause(response),
            "asked"
        );
    }
}

/// Why it was refused, where the guard cannot say it in the words of the file.
fn cause(response: &Response) -> Option<String> {
    let extensions = response.extensions();
    if let Some(unclear) = extensions.get::<Unclear>() {
        return Some(unclear.to_string());
    }
    let is_unlisted = extensions.get::<AccessDenied>().is_some_and(|denied| denied.route().is_none());
    is_unlisted.then(|| "no [[route]] is for this path and method".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str) -> String {
        Shown(path).to_string()
    }

    #[test]
    fn a_path_is_told_in_printable_letters_and_no_longer_than_the_log_bears() {
        assert_eq!(told("/orders/a%2fb;c=\"d\""), "/orders/a%2fb;c=\"d\"");
        assert_eq!(told("/\u{e9} \u{1b}[31m\r\n\u{7f}"), "/%C3%A9%20%1B[31m%0D%0A%7F");
        assert_eq!(told(&"/".repeat(MAX_PATH)), "/".repeat(MAX_PATH));
        assert_eq!(told(&"/".repeat(MAX_PATH + 1)), format!("{}..", "/".repeat(MAX_PATH)));
    }

    #[test]
    fn neither_the_query_nor_a_method_that_nobody_knows_is_told() {
        let asked = |method: &str| {
            let request = Request::builder().method(method).uri("/orders?key=hush").body(()).unwrap();
            let question = Question::of(&request);
            (question.method_name().to_owned(), question.path().to_string())
        };
        assert_eq!(asked("DELETE"), ("DELETE".to_owned(), "/orders".to_owned()));
        assert_eq!(asked("HUSH"), ("_OTHER".to_owned(), "/orders".to_owned()));
    }
}
