//! What the server says by itself, before or instead of a handler, in the form that the route speaks.

use axum::response::{IntoResponse, Response};
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Request, StatusCode};

use crate::domain::oauth_error::OAuthErrorCode;
use crate::http::admin::problem::{Problem, ProblemKind};
use crate::http::extract::request_id::RequestId;
use crate::http::oauth::error::OAuthError;
use crate::http::render::Pages;
use crate::http::render::error_page::{ErrorKind, ErrorPage};

/// Why no handler answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The body ended before it was whole.
    #[error("the body ended early")]
    BrokenBody,
    /// More requests are at work than the server takes on.
    #[error("too many requests are at work")]
    Busy,
    /// The request names no server, or several.
    #[error("the request does not name one host")]
    Host,
    /// The address has no such method.
    #[error("the address has no such method")]
    Method,
    /// No route has the address.
    #[error("no route has the address")]
    NotFound,
    /// A handler panicked.
    #[error("a handler panicked")]
    Panic,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    SlowBody,
    /// The body is larger than any that is read.
    #[error("the body is too large")]
    TooLarge,
    /// The request took longer than any may.
    #[error("the request took too long")]
    TooSlow,
}

impl Refusal {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::BrokenBody | Self::Host => StatusCode::BAD_REQUEST,
            Self::Busy | Self::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// The answer, as a client of `voice` reads it.
    pub(crate) fn response(self, voice: Voice, pages: &Pages, id: RequestId) -> Response {
        let mut response = match voice {
            Voice::OAuth => self.oauth().into_response(),
            Voice::Page => pages.error(&ErrorPage::new(self.page()).because(&self).reference(id.as_str())),
            Voice::Problem => Problem::new(self.problem()).because(&self).into_response(),
        };
        *response.status_mut() = self.status();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    fn oauth(self) -> OAuthError {
        let (code, description) = match self {
            Self::Host => (OAuthErrorCode::InvalidRequest, "the request does not name one host"),
            Self::BrokenBody | Self::SlowBody => {
                (OAuthErrorCode::InvalidRequest, "the body did not arrive whole and in time")
            }
            Self::Busy | Self::TooSlow => {
                (OAuthErrorCode::TemporarilyUnavailable, "the server is busy: try again in a moment")
            }
            Self::Method => (OAuthErrorCode::InvalidRequest, "the method is not allowed here"),
            Self::NotFound => (OAuthErrorCode::InvalidRequest, "there is nothing here"),
            Self::Panic => (OAuthErrorCode::ServerError, "the server cannot answer now"),
            Self::TooLarge => (OAuthErrorCode::InvalidRequest, "the body is too large"),
        };
        OAuthError::new(code, description, &self)
    }

    const fn page(self) -> ErrorKind {
        match self {
            Self::BrokenBody | Self::Host | Self::SlowBody => ErrorKind::BadRequest,
            Self::Busy | Self::TooSlow => ErrorKind::Busy,
            Self::Method => ErrorKind::Method,
            Self::NotFound => ErrorKind::NotFound,
            Self::Panic => ErrorKind::Fault,
            Self::TooLarge => ErrorKind::TooLarge,
        }
    }

    const fn problem(self) -> ProblemKind {
        match self {
            Self::BrokenBody | Self::Host | Self::SlowBody => ProblemKind::Malformed,
            Self::Busy | Self::TooSlow => ProblemKind::Busy,
            Self::Method => ProblemKind::MethodNotAllowed,
            Self::NotFound => ProblemKind::NotFound,
            Self::Panic => ProblemKind::Fault,
            Self::TooLarge => ProblemKind::TooLarge,
        }
    }
}

/// In which form a route says what is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Voice {
    /// JSON with a code ([RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
    OAuth,
    /// A page.
    Page,
    /// A problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
    Problem,
}

impl Voice {
    /// What is spoken at the path of a request; it need not be one that a route has.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let first = request.uri().path().split('/').nth(1).unwrap_or_default();
        match first {
            "introspect" | "jwks" | "register" | "revoke" | "token" | "userinfo" | ".well-known" => {
                Self::OAuth
            }
            "access" | "api" | "policies" => Self::Problem,
            _ => Self::Page,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_speaks_in_its_form() {
        for (path, voice) in [
            ("/token", Voice::OAuth),
            ("/userinfo", Voice::OAuth),
            ("/register/cli_1", Voice::OAuth),
            ("/.well-known/openid-configuration", Voice::OAuth),
            ("/api/v1/users", Voice::Problem),
            ("/policies/snapshot", Voice::Problem),
            ("/access/v1/evaluation", Voice::Problem),
            ("/login", Voice::Page),
            ("/authorize", Voice::Page),
            ("/", Voice::Page),
        ] {
            assert_eq!(Voice::of(&Request::get(path).body(()).unwrap()), voice, "{path}");
        }
    }
}
