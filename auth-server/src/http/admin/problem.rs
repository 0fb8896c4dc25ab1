//! Every error of the admin API as a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use std::error::Error;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::admin::answer::tag;
use crate::http::admin::cases::CasesDocument;
use crate::http::error::Cause;
use crate::services::admin_error::AdminError;
use crate::services::fields::FieldErrors;
use crate::services::trouble::is_temporary;
use crate::services::version::Version;

/// What the `type` of every problem starts with. The rest names its kind.
const TYPE_PREFIX: &str = "urn:portcullis:problem:";

/// What is wrong with a field that cannot be read.
pub(super) const MALFORMED: &str = "malformed";

/// The kinds of problems: one row per `type`, and the only place where the admin API chooses a status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProblemKind {
    Busy,
    Conflict,
    FailingCases,
    Fault,
    Invalid,
    LastOwner,
    Lockout,
    Malformed,
    MethodNotAllowed,
    ModelUnsupported,
    NotFound,
    NothingChanged,
    OwnersOnly,
    PreconditionRequired,
    ProofRefused,
    SelfApproval,
    ServesNothing,
    Stale,
    Throttled,
    TokenRevoked,
    TooLarge,
    UnsupportedMediaType,
}

impl ProblemKind {
    /// The stable end of the `type`, the status and the title.
    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, "The server is busy"),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "The change contradicts what exists"),
            Self::FailingCases => {
                ("failing-cases", StatusCode::CONFLICT, "The rules decide cases otherwise than they say")
            }
            Self::Fault => ("fault", StatusCode::INTERNAL_SERVER_ERROR, "Something broke on the server"),
            Self::Invalid => ("invalid", StatusCode::UNPROCESSABLE_ENTITY, "Some fields cannot be accepted"),
            Self::LastOwner => ("last-owner", StatusCode::CONFLICT, "The last owner has to stay"),
            Self::Lockout => ("lockout", StatusCode::CONFLICT, "Nobody could edit policies any more"),
            Self::Malformed => ("malformed", StatusCode::BAD_REQUEST, "The request cannot be read"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here")
            }
            Self::ModelUnsupported => (
                "model-unsupported",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The model of the policy does not let this be answered",
            ),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is nothing here"),
            Self::NothingChanged => ("nothing-changed", StatusCode::CONFLICT, "Nothing would change"),
            Self::OwnersOnly => {
                ("owners-only", StatusCode::FORBIDDEN, "Only an owner of this server may do this")
            }
            Self::PreconditionRequired => {
                ("precondition-required", StatusCode::PRECONDITION_REQUIRED, "If-Match is missing")
            }
            Self::ProofRefused => {
                ("proof-refused", StatusCode::UNAUTHORIZED, "The proof of possession is not accepted")
            }
            Self::SelfApproval => {
                ("self-approval", StatusCode::FORBIDDEN, "Another person has to approve this")
            }
            Self::ServesNothing => {
                ("serves-nothing", StatusCode::FORBIDDEN, "This client is not the guard of an API")
            }
            Self::Stale => ("stale", StatusCode::PRECONDITION_FAILED, "It was changed in the meantime"),
            Self::Throttled => ("throttled", StatusCode::TOO_MANY_REQUESTS, "Too many at once"),
            Self::TokenRevoked => {
                ("token-revoked", StatusCode::UNAUTHORIZED, "The access token is no longer valid")
            }
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body has to be application/json",
            ),
        }
    }
}

/// A problem document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What kind of problem it is: a stable name for programs.
    #[serde(rename = "type")]
    kind: String,
    /// What kind of problem it is, for people.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// What happened this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The fields that cannot be accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemField>,
    /// What is there now, where the request expected something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    current: Option<serde_json::Value>,
    /// The findings in a policy that cannot be activated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    report: Option<serde_json::Value>,
    /// The cases that stand against putting a policy in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<CasesDocument>,
    #[serde(skip)]
    headers: Vec<(http::HeaderName, HeaderValue)>,
    /// For the log and for nobody else.
    #[serde(skip)]
    cause: Option<Cause>,
}

/// One field that cannot be accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemField {
    /// Where the field is in the body, as a JSON pointer (RFC 6901).
    #[schema(example = "/redirect_uris/0")]
    pointer: String,
    /// A stable name for the kind of mistake.
    code: &'static str,
    /// What is wrong, for a person.
    detail: String,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind) -> Self {
        let (slug, status, title) = kind.row();
        Self {
            kind: format!("{TYPE_PREFIX}{slug}"),
            title,
            status: status.as_u16(),
            detail: None,
            errors: Vec::new(),
            current: None,
            report: None,
            cases: None,
            headers: Vec::new(),
            cause: None,
        }
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn with_errors(mut self, errors: &FieldErrors) -> Self {
        self.errors.extend(errors.iter().map(|error| ProblemField {
            pointer: error.pointer.clone(),
            code: error.code,
            detail: error.message.clone(),
        }));
        self
    }

    pub(crate) fn with_current(mut self, current: serde_json::Value) -> Self {
        self.current = Some(current);
        self
    }

    pub(crate) fn with_report(mut self, report: serde_json::Value) -> Self {
        self.report = Some(report);
        self
    }

    pub(crate) fn with_header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says in the log why.
    pub(crate) fn because(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        self.cause = Some(Cause::of(error));
        self
    }

    /// Fields that cannot be accepted.
    pub(crate) fn invalid(errors: &FieldErrors) -> Self {
        Self::new(ProblemKind::Invalid).with_errors(errors)
    }

    /// A request that cannot be read at `pointer`.
    pub(crate) fn malformed(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Malformed).with_errors(&FieldErrors::of(pointer, MALFORMED, detail))
    }

    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(ProblemKind::NotFound).with_detail(format!("There is no such {what}."))
    }

    /// A token that was revoked after it was issued (RFC 6750 §3.1: `invalid_token`), as a bearer token or bound to a key that signs
    /// by one of these algorithms (RFC 9449 §7.1).
    pub(crate) fn token_revoked(bound_by: Option<&[&str]>) -> Self {
        let problem = Self::new(ProblemKind::TokenRevoked);
        match bound_by {
            None => problem
                .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer error="invalid_token""#)),
            Some(algorithms) => problem.with_dpop_challenge(algorithms, "invalid_token"),
        }
    }

    /// A proof of possession that counts no longer, where proofs may be signed by `algorithms` (RFC 9449 §7.1).
    pub(crate) fn proof_refused(algorithms: &[&str]) -> Self {
        let problem = Self::new(ProblemKind::ProofRefused).with_detail("Make a new one for each request.");
        problem.with_dpop_challenge(algorithms, "invalid_dpop_proof")
    }

    fn with_dpop_challenge(self, algorithms: &[&str], error: &str) -> Self {
        let challenge = format!(r#"DPoP algs="{}", error="{error}""#, algorithms.join(" "));
        match HeaderValue::try_from(challenge) {
            Ok(challenge) => self.with_header(WWW_AUTHENTICATE, challenge),
            Err(_) => self,
        }
    }

    /// Something went wrong on our side. What passes by itself is a reason to come back.
    pub(crate) fn fault(error: &(dyn Error + 'static)) -> Self {
        let problem = if is_temporary(error) { Self::busy(1) } else { Self::new(ProblemKind::Fault) };
        problem.because(error)
    }

    /// Too much to do at once: come back after `seconds`.
    pub(crate) fn busy(seconds: u64) -> Self {
        Self::new(ProblemKind::Busy).with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Too many of this caller: come back after `seconds`.
    pub(crate) fn throttled(seconds: u64) -> Self {
        Self::new(ProblemKind::Throttled).with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// What is there now, where the caller expected an older version.
    pub(crate) fn stale(current: &impl Serialize, version: &Version) -> Self {
        let problem =
            Self::new(ProblemKind::Stale).with_current(serde_json::to_value(current).unwrap_or_default());
        match HeaderValue::try_from(tag(version)) {
            Ok(tag) => problem.with_header(ETAG, tag),
            Err(_) => problem,
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Busy { retry_after } => Self::busy(retry_after.as_secs()),
            AdminError::Cases(ref outcome) => Self {
                cases: Some(CasesDocument::from(&**outcome)),
                ..Self::new(ProblemKind::FailingCases).with_detail(error.to_string())
            },
            AdminError::Conflict(detail) => Self::new(ProblemKind::Conflict).with_detail(detail),
            AdminError::Invalid(errors) | AdminError::Taken(errors) => Self::invalid(&errors),
            AdminError::LastOwner => Self::new(ProblemKind::LastOwner),
            AdminError::Lockout => Self::new(ProblemKind::Lockout),
            AdminError::NotFound(thing) => Self::not_found(thing),
            AdminError::NothingChanged => {
                Self::new(ProblemKind::NothingChanged).with_detail(error.to_string())
            }
            AdminError::OwnersOnly => Self::new(ProblemKind::OwnersOnly),
            AdminError::Policy(report) => {
                Self::new(ProblemKind::Invalid).with_report(serde_json::to_value(report).unwrap_or_default())
            }
            AdminError::SelfApproval => Self::new(ProblemKind::SelfApproval).with_detail(error.to_string()),
            AdminError::Stale => Self::new(ProblemKind::Stale),
            AdminError::Compiler | AdminError::Hash(_) | AdminError::Store(_) => {
                Self::new(ProblemKind::Fault).because(&error)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let headers = std::mem::take(&mut self.headers);
        let cause = self.cause.take();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, Body::from(body)).into_response();
        let answer = response.headers_mut();
        answer.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer.extend(headers);
        if let Some(cause) = cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_its_kind_status_and_fields_and_may_not_be_stored() {
        let problem = Problem::invalid(&FieldErrors::of("/name", "invalid", "must not be empty"));
        let shown = serde_json::to_value(&problem).unwrap();
        assert_eq!(
            shown,
            serde_json::json!({
                "type": "urn:portcullis:problem:invalid",
                "title": "Some fields cannot be accepted",
                "status": 422,
                "errors": [{"pointer": "/name", "code": "invalid", "detail": "must not be empty"}],
            })
        );
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }

    #[test]
    fn a_revoked_token_is_challenged() {
        let response = Problem::token_revoked(None).into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], r#"Bearer error="invalid_token""#);
    }

    #[test]
    fn a_proof_that_counts_no_longer_is_challenged() {
        let response = Problem::proof_refused(&["ES256", "EdDSA"]).into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let challenge = r#"DPoP algs="ES256 EdDSA", error="invalid_dpop_proof""#;
        assert_eq!(response.headers()[WWW_AUTHENTICATE], challenge);
    }
}
