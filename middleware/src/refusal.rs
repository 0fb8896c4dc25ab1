//! Every refusal of the guard, and the one table that gives it a status and a code.

mod challenges;
mod grpc;
mod problem;
mod rejection;
mod tally;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tracing::Level;

pub(crate) use self::challenges::{DpopHint, Hint};
pub(crate) use self::grpc::{Dialect, stream_trailers};
use self::problem::Problem;
pub use self::rejection::Rejection;
pub(crate) use self::tally::Tally;

use crate::authorize::Binding;
use crate::body::Body;
use crate::csrf::CrossSite;
use crate::decision::{AccessDenied, Denied, Place};
use crate::input::{Fault, Part};
use crate::limit::Exceeded;
use crate::panicked::Panicked;
use crate::path::PathFault;
use crate::sign_in::SignIn;
use crate::token::{BearerFault, Scheme, TokenFault};

/// Why a request did not reach its handler.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "no access token: no Authorization header that says Bearer or DPoP, and none elsewhere that is looked at"
    )]
    Anonymous,
    #[error(transparent)]
    Bearer(BearerFault),
    #[error("as many requests are at work as may be")]
    Busy,
    #[error("the claims are not those that the handler reads")]
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "extractors of axum say so"))]
    ClaimsMismatch,
    #[error("{0}")]
    CrossSite(CrossSite),
    #[error("{why}")]
    Forbidden { why: &'static str, denied: Denied },
    #[error("{0}")]
    Input(Fault),
    #[error("the {} limit is exceeded", .0.reading.name)]
    Limited(Exceeded),
    #[error("the handler panicked: {0}")]
    Panicked(Panicked),
    #[error(transparent)]
    Path(PathFault),
    #[error("the token lacks the scope {scope}")]
    Scope { scope: Cow<'static, str>, denied: Denied },
    #[error("the user has to sign in again: {sign_in} is required")]
    SignIn { sign_in: SignIn, denied: Denied },
    #[error("the DPoP proof is refused: {0}")]
    Proof(&'static str),
    #[error("the DPoP proof has no nonce that is known here")]
    ProofNonce(HeaderValue),
    #[error("the answer did not begin in time")]
    SlowAnswer,
    #[error("the body did not arrive in time")]
    SlowBody,
    #[error("{fault}")]
    Token { fault: TokenFault, scheme: Scheme },
    #[error("the body is longer than any may be")]
    TooLong,
    #[error("the token is not bound to {binding}")]
    Unproven {
        binding: Binding,
        /// Where it was decided for a route, and not found with the token.
        denied: Option<Box<Denied>>,
    },
    #[error(transparent)]
    Unavailable(Outage),
    #[error("the handler upgraded the connection and did not take the Permit, so nobody would end it")]
    Unwatched,
}

/// What the guard itself lacks: never the caller's fault.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Outage {
    #[error(
        "the address of the client is not known: serve with into_make_service_with_connect_info, or put a PeerAddress among the extensions of requests"
    )]
    Address,
    #[error("the issuer cannot be asked about the token")]
    Introspection,
    #[error("the keys of the issuer cannot be had")]
    Keys,
    #[error("a limit of the route cannot be kept: the log of the start says why")]
    Limit,
    #[error("the route has no nonce: its headers are not those of pages, SecurityHeaders::html")]
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "extractors of axum say so"))]
    Nonce,
    #[error("the policy cannot be had")]
    Policy,
    #[error("the request has no name: GuardBuilder::request_ids gives them")]
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "extractors of axum say so"))]
    RequestId,
    #[error("too many DPoP proofs are remembered to tell a new one")]
    Proofs,
    #[error("the issuer is being asked about as many tokens as it may be at a time")]
    Questions,
    #[cfg(feature = "login")]
    #[error("the issuer gives the session no new access token at the moment")]
    Renewal,
    #[error("what was revoked is not known for too long")]
    Revocations,
    #[cfg(feature = "login")]
    #[error("where sessions are kept cannot be reached")]
    Sessions,
    #[error("where limits are shared cannot be reached, and this one is closed without")]
    SharedLimits,
    #[error("where used DPoP proofs are shared cannot be reached, so none is known to be new")]
    SharedProofs,
}

impl Refusal {
    /// The status and the code: the only place where they are chosen.
    fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Anonymous => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            // RFC 6750 §3.1: several ways of sending a token are an invalid request.
            Self::Bearer(BearerFault::Several) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::Bearer(BearerFault::Cookie | BearerFault::Malformed | BearerFault::TooLong)
            | Self::Token { .. }
            | Self::Unproven { .. } => (StatusCode::UNAUTHORIZED, "invalid_token"),
            // RFC 9449 §7.1, §9.
            Self::Proof(_) => (StatusCode::UNAUTHORIZED, "invalid_dpop_proof"),
            Self::ProofNonce(_) => (StatusCode::UNAUTHORIZED, "use_dpop_nonce"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::ClaimsMismatch => (StatusCode::FORBIDDEN, "claims_mismatch"),
            Self::CrossSite(_) => (StatusCode::FORBIDDEN, "cross_site"),
            Self::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
            Self::Input(fault) if fault.is_ours() => (fault.rule.status(), "internal"),
            Self::Input(fault) => match fault.part {
                Part::Body => (fault.rule.status(), "invalid_body"),
                Part::Header => (fault.rule.status(), "invalid_header"),
                Part::Path => (fault.rule.status(), "invalid_path"),
                Part::Query => (fault.rule.status(), "invalid_query"),
            },
            // RFC 6585 §4; what the caller has not used up is lacking here.
            Self::Limited(Exceeded { is_reduced: true, .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "reduced_capacity")
            }
            Self::Limited(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::Path(_) => (StatusCode::BAD_REQUEST, "invalid_path"),
            Self::Scope { .. } => (StatusCode::FORBIDDEN, "insufficient_scope"),
            // RFC 9470 §3.
            Self::SignIn { .. } => (StatusCode::UNAUTHORIZED, "insufficient_user_authentication"),
            Self::SlowAnswer => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Panicked(_) | Self::Unwatched => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// What the caller is told in words.
    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Anonymous => "The request carries no access token".into(),
            Self::Bearer(fault) => fault.to_string().into(),
            Self::Busy => "The service has as much to do as it can".into(),
            Self::ClaimsMismatch => "The access token lacks claims that are needed here".into(),
            Self::CrossSite(fault) => fault.to_string().into(),
            Self::Forbidden { .. } => "The policy of this service does not allow this".into(),
            Self::Input(fault) => fault.rule.to_string().into(),
            Self::Limited(Exceeded { is_reduced: true, .. }) => {
                "Less than the usual quota can be served at the moment".into()
            }
            Self::Limited(_) => "There were too many requests".into(),
            Self::Panicked(_) => "The service failed to answer".into(),
            Self::Path(fault) => fault.to_string().into(),
            Self::Scope { scope, .. } => format!("The access token lacks the scope {scope}").into(),
            Self::SignIn { .. } => "This needs a more recent or a stronger sign-in".into(),
            Self::Proof(what) => format!("The DPoP proof is refused: {what}").into(),
            Self::ProofNonce(_) => "The DPoP proof needs the nonce of this answer".into(),
            Self::SlowAnswer => "The answer took too long".into(),
            Self::SlowBody => "The body of the request took too long".into(),
            Self::Token { fault, .. } => fault.told().into(),
            Self::TooLong => "The body of the request is too long".into(),
            Self::Unproven { binding, .. } => format!("This needs a token that is bound to {binding}").into(),
            Self::Unavailable(_) => "The request cannot be decided at the moment".into(),
            Self::Unwatched => "The service is not made to do this safely".into(),
        }
    }

    /// Whether the request tried a token that anybody could have written.
    pub(crate) const fn is_guess(&self) -> bool {
        match self {
            Self::Bearer(fault) => matches!(fault, BearerFault::Malformed | BearerFault::TooLong),
            Self::Token { fault, .. } => fault.is_guess(),
            _ => false,
        }
    }

    /// Whether nobody waits for the answer: the body broke off, or the edge cut it off, which answers in its own words.
    fn is_unheard(&self) -> bool {
        matches!(self, Self::Input(fault) if fault.is_interrupted())
    }

    fn denied(&self) -> Option<&Denied> {
        match self {
            Self::Forbidden { denied, .. } | Self::Scope { denied, .. } | Self::SignIn { denied, .. } => {
                Some(denied)
            }
            Self::Unproven { denied, .. } => denied.as_deref(),
            _ => None,
        }
    }

    /// Says it to the log, once. What strangers can cause as often as they like is for debugging; an outage is ours.
    fn log(&self, place: Option<&Place>) {
        let (status, code) = self.answer();
        let status = status.as_u16();
        // The names are those of OpenTelemetry.
        let route = place.and_then(|place| place.route.as_deref());
        let method = place.map(Place::method_name);
        if let Some(Denied { decision, needed, principal }) = self.denied() {
            tracing::info!(
                code,
                status,
                http.request.method = method,
                http.route = route,
                cause = %self,
                needed = &**needed,
                subject = principal.subject(),
                decision = %decision.id(),
                policy.revision = decision.revision(),
                policy.line = decision.rule_line(),
                "refused"
            );
            return;
        }
        match self.level() {
            Level::ERROR => {
                tracing::error!(code, status, http.request.method = method, http.route = route, cause = %self, "refused");
            }
            Level::WARN => {
                tracing::warn!(code, status, http.request.method = method, http.route = route, cause = %self, "refused");
            }
            _ => {
                tracing::debug!(code, status, http.request.method = method, http.route = route, cause = %self, "refused");
            }
        }
    }

    /// How loudly the log is told, where nothing was decided.
    const fn level(&self) -> Level {
        match self {
            // Nobody is served until the program is changed.
            Self::Panicked(_)
            | Self::Unwatched
            | Self::Unavailable(Outage::Address | Outage::Limit | Outage::Nonce | Outage::RequestId) => {
                Level::ERROR
            }
            Self::Input(fault) if fault.is_ours() && !fault.is_old_news => Level::ERROR,
            // Strangers cause these as often as they like: who counts them says it ever more rarely.
            Self::Unavailable(
                Outage::Introspection
                | Outage::Keys
                | Outage::Policy
                | Outage::Proofs
                | Outage::Questions
                | Outage::Revocations
                | Outage::SharedLimits
                | Outage::SharedProofs,
            ) => Level::DEBUG,
            #[cfg(feature = "login")]
            Self::Unavailable(Outage::Renewal | Outage::Sessions) => Level::DEBUG,
            Self::SlowAnswer => Level::WARN,
            _ => Level::DEBUG,
        }
    }

    /// The name of the decision, where there is one.
    fn decision(&self) -> Option<String> {
        self.denied().map(|denied| denied.decision.id().text())
    }

    fn write_headers(&self, decision: Option<&str>, hint: &Hint<'_>, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match self {
            Self::Input(fault) => {
                if let Some(codings) = fault.rule.accepted_codings() {
                    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(codings));
                }
            }
            Self::Limited(exceeded) => exceeded.write(headers),
            Self::Busy | Self::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        if let Some(Ok(id)) = decision.map(HeaderValue::from_str) {
            headers.insert(DECISION, id);
        }
        if let Self::ProofNonce(nonce) = self {
            headers.insert(DPOP_NONCE, nonce.clone());
        }
        let challenges = self.challenge_headers(hint).into_iter();
        headers.extend(challenges.map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
    }

    fn challenge_headers(&self, hint: &Hint<'_>) -> Vec<HeaderValue> {
        self.challenges(hint).into_iter().filter_map(|challenge| challenge.header()).collect()
    }
}

/// Where the name of the decision stands.
const DECISION: HeaderName = HeaderName::from_static("x-decision-id");
/// How many headers a refusal seldom exceeds.
const HEADERS: usize = 12;
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

impl Refusal {
    /// The answer to the caller, a line in the log, and one more in the tally of the guard.
    pub(crate) fn answered(
        self,
        tally: &Tally,
        dialect: Dialect,
        hint: &Hint<'_>,
        place: Option<Place>,
    ) -> Response<Body> {
        if !self.is_unheard() {
            tally.count(self.answer().1);
        }
        self.log(place.as_ref());
        self.written(dialect, hint, place)
    }

    /// The answer to the caller, where the log has the rest.
    fn written(self, dialect: Dialect, hint: &Hint<'_>, place: Option<Place>) -> Response<Body> {
        let (status, _) = self.answer();
        let decision = self.decision();
        let problem = Problem::of(&self, decision.as_deref());
        let mut response = match dialect {
            Dialect::Grpc | Dialect::GrpcWeb => grpc::refused(dialect, status, &problem.detail),
            Dialect::Http => {
                let mut response = Response::new(problem.body().into());
                *response.status_mut() = status;
                // Room for what is written here and around: a map that grows costs more than all that is in it.
                response.headers_mut().reserve(HEADERS);
                let problem = HeaderValue::from_static("application/problem+json");
                response.headers_mut().insert(header::CONTENT_TYPE, problem);
                response
            }
        };
        self.write_headers(decision.as_deref(), hint, response.headers_mut());
        match self {
            Self::Forbidden { denied, .. } | Self::Scope { denied, .. } | Self::SignIn { denied, .. } => {
                response.extensions_mut().insert(AccessDenied { denied, place });
            }
            Self::Unproven { denied: Some(denied), .. } => {
                response.extensions_mut().insert(AccessDenied { denied: *denied, place });
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Every code in the table of answers.
    pub(super) fn codes() -> BTreeSet<&'static str> {
        let table = include_str!("refusal.rs")
            .split("fn answer(&self)")
            .nth(1)
            .and_then(|rest| rest.split("fn detail(&self)").next())
            .unwrap();
        table.split('"').skip(1).step_by(2).collect()
    }

    #[test]
    fn the_page_about_refusals_names_every_code() {
        let page = include_str!("../docs/refusals.md");
        let codes = codes();
        assert!(codes.len() > 20, "{codes:?}");
        for code in codes {
            assert!(page.contains(&format!("`{code}`")), "{code}");
        }
    }
}
