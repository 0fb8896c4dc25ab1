//! Error pages: what happened, what to do, whether trying again is safe.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use crate::domain::oauth_error::OAuthErrorCode;
use crate::http::error::Cause;
use crate::http::render::Page;
use crate::services::trouble::is_temporary;

/// What a page can report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorKind {
    /// An application sent a request that must not lead back to it (RFC 6749 §4.1.2.1).
    BadClient,
    BadRequest,
    /// An application sent a request to sign somebody out that is not good.
    BadSignOut,
    Busy,
    /// An interaction that is finished.
    Consumed,
    CrossSite,
    /// An interaction that took too long.
    Expired,
    Fault,
    Forbidden,
    /// An interaction of another browser.
    Foreign,
    Method,
    NotFound,
    Throttled,
    TooLarge,
}

impl ErrorKind {
    #[cfg(test)]
    pub(super) const ALL: [Self; 14] = [
        Self::BadClient,
        Self::BadRequest,
        Self::BadSignOut,
        Self::Busy,
        Self::Consumed,
        Self::CrossSite,
        Self::Expired,
        Self::Fault,
        Self::Forbidden,
        Self::Foreign,
        Self::Method,
        Self::NotFound,
        Self::Throttled,
        Self::TooLarge,
    ];

    const fn status(self) -> StatusCode {
        match self {
            Self::BadClient | Self::BadRequest | Self::BadSignOut => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Consumed | Self::Expired => StatusCode::GONE,
            Self::CrossSite | Self::Forbidden | Self::Foreign => StatusCode::FORBIDDEN,
            Self::Fault => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// What the log says where nobody knows better.
    const fn cause(self) -> &'static str {
        match self {
            Self::BadClient | Self::BadSignOut => "an application sent what it must not",
            Self::BadRequest => "the request is not what a page of this server sends",
            Self::Busy => "there is too much to do at present",
            Self::Consumed => "what the page was for is done",
            Self::CrossSite => {
                "the form comes from another site, or was opened in another browser, or before cookies were cleared"
            }
            Self::Expired => "what the page was for took too long, or is unknown",
            Self::Fault => "something went wrong here",
            Self::Forbidden => "whoever is signed in may not do this",
            Self::Foreign => "what the page is for began in another browser",
            Self::Method => "the address has no such method",
            Self::NotFound => "there is no such page, or none for whoever asks",
            Self::Throttled => "this was done too often",
            Self::TooLarge => "the request is too large",
        }
    }

    /// Where the page leads next, if anywhere that makes sense.
    const fn back(self) -> Option<&'static str> {
        match self {
            Self::BadClient | Self::Foreign | Self::Fault => None,
            Self::Busy | Self::CrossSite | Self::Throttled => Some("/login"),
            Self::BadRequest
            | Self::BadSignOut
            | Self::Consumed
            | Self::Expired
            | Self::Forbidden
            | Self::Method
            | Self::NotFound
            | Self::TooLarge => Some("/account"),
        }
    }
}

/// When to try again after a trouble that passes.
const SOON: Duration = Duration::from_secs(1);

/// An error page.
#[derive(Serialize)]
pub(crate) struct ErrorPage {
    kind: ErrorKind,
    status: u16,
    problem: bool,
    code: Option<&'static str>,
    parameter: Option<&'static str>,
    reason: Option<String>,
    seconds: Option<u64>,
    back: Option<String>,
    reference: Option<String>,
    /// For the log.
    #[serde(skip)]
    cause: Cause,
}

impl ErrorPage {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            status: kind.status().as_u16(),
            problem: true,
            code: None,
            parameter: None,
            reason: None,
            seconds: None,
            back: kind.back().map(str::to_owned),
            reference: None,
            cause: Cause::said(kind.cause()),
        }
    }

    /// The page for something that went wrong on our side. What passes by itself is a reason to come back.
    pub(crate) fn fault(error: &(dyn Error + 'static)) -> Self {
        let page = if is_temporary(error) {
            Self::new(ErrorKind::Busy).retry_after(SOON)
        } else {
            Self::new(ErrorKind::Fault)
        };
        page.because(error)
    }

    /// Why it is shown, for the log.
    #[must_use]
    pub(crate) fn because(self, error: &(dyn Error + 'static)) -> Self {
        self.caused(Cause::of(error))
    }

    /// The same, where more is known than why.
    #[must_use]
    pub(crate) fn caused(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    /// For the developer of the application: which parameter is wrong, and why.
    #[must_use]
    pub(crate) fn parameter(mut self, name: &'static str, reason: impl Into<String>) -> Self {
        self.parameter = Some(name);
        self.reason = Some(reason.into());
        self
    }

    /// What the specifications call it.
    #[must_use]
    pub(crate) fn code(mut self, code: OAuthErrorCode) -> Self {
        self.code = Some(code.as_str());
        self
    }

    /// When trying again makes sense, in whole seconds, rounded up.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.seconds = Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1));
        self
    }

    /// What to quote when asking for help.
    #[must_use]
    pub(crate) fn reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = Some(reference.into());
        self
    }

    /// Where the page leads next: a path of this server.
    #[must_use]
    pub(crate) fn back_to(mut self, path: impl Into<String>) -> Self {
        self.back = Some(path.into());
        self
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Why it is shown, with the code that it says.
    pub(super) fn cause(&self) -> Cause {
        let cause = self.cause.clone();
        match self.code {
            Some(code) => cause.coded(code),
            None => cause,
        }
    }

    pub(super) const fn retry_after_secs(&self) -> Option<u64> {
        self.seconds
    }
}

impl Page for ErrorPage {
    const TEMPLATE: &'static str = "error.html";
}
