//! The issuer says that somebody signed out (OpenID Connect Back-Channel Logout §2.5 to §2.8).

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::json;

use super::Sessions;
use super::fields::Fields;
use super::logout_token::{self, LogoutTokenFault, SignOut};
use super::signed::SignedFault;
use super::store::{StoreFault, StoreKey, Term};
use crate::body::Body;
use crate::media_type::is_of_type;

/// Why nobody is signed out.
#[derive(Debug, thiserror::Error)]
enum BackchannelFault {
    #[error("there is not one logout token in a form")]
    Malformed,
    #[error("it was used before")]
    Replayed,
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error("the logout token is refused: {0}")]
    Token(#[from] LogoutTokenFault),
}

impl BackchannelFault {
    const fn status(&self) -> StatusCode {
        match self {
            // So that the issuer tries again.
            Self::Store(_) | Self::Token(LogoutTokenFault::Signed(SignedFault::Unavailable)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Malformed | Self::Replayed | Self::Token(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// What the sender is told: nothing to probe the checks with.
    const fn told(&self) -> &'static str {
        match self {
            Self::Malformed => "a form with one logout_token is needed",
            Self::Replayed => "the logout token was used before",
            Self::Store(_) => "sessions cannot be ended at the moment",
            Self::Token(LogoutTokenFault::Signed(SignedFault::Unavailable)) => {
                "the logout token cannot be verified at the moment"
            }
            Self::Token(_) => "the logout token is invalid",
        }
    }
}

impl Sessions {
    /// Hears from the issuer that somebody signed out.
    pub(crate) async fn hear(&self, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        let outcome = self.end_told(headers, body).await;
        let (status, body) = match outcome {
            Ok(sessions) => {
                tracing::info!(sessions, "the issuer signed somebody out");
                (StatusCode::OK, Body::empty())
            }
            Err(fault) => {
                let status = fault.status();
                if status.is_server_error() {
                    self.rules().say_away(&fault, "nobody is signed out");
                } else {
                    tracing::debug!(cause = %fault, "nobody is signed out");
                }
                let told = json!({ "error": "invalid_request", "error_description": fault.told() });
                (status, Body::from(told.to_string()))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status != StatusCode::OK {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if status.is_server_error() {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// Ends the sessions that a logout token names, and says how many there were.
    async fn end_told(&self, headers: &HeaderMap, body: &[u8]) -> Result<u64, BackchannelFault> {
        let fields = if is_of_type(headers.get(CONTENT_TYPE), "application/x-www-form-urlencoded") {
            Fields::read(body)
        } else {
            None
        };
        let fields = fields.ok_or(BackchannelFault::Malformed)?;
        let token = fields.get("logout_token").ok_or(BackchannelFault::Malformed)?;
        let rules = self.rules();
        let sign_out = logout_token::verify(&rules.signatures, token, rules.provider.client.id()).await?;
        let used = self.named("logout token", &sign_out.jti);
        let term = Term { now_secs: rules.clock.unix_secs(), until_secs: sign_out.until_secs };
        if !rules.store.claim(used, term).await? {
            return Err(BackchannelFault::Replayed);
        }
        let ended = self.end_named(&sign_out).await;
        if ended.is_err() {
            // The issuer tries again with the same token.
            let _ = rules.store.release(used).await;
        }
        Ok(ended?)
    }

    /// §2.7: the session that is named, or all of a person where none is.
    async fn end_named(&self, sign_out: &SignOut) -> Result<u64, StoreFault> {
        let rules = self.rules();
        let now = rules.clock.unix_secs();
        match (&sign_out.sid, &sign_out.sub) {
            (Some(sid), _) => {
                // Somebody may be on the way back from the issuer with it: see where sessions are opened.
                let term = Term::of(now, rules.lifetimes.attempt);
                rules.store.claim(self.named("ended sid", sid), term).await?;
                self.end_all(self.named("sid", sid), now).await
            }
            (None, Some(sub)) => self.end_all(self.named("sub", sub), now).await,
            (None, None) => Ok(0),
        }
    }

    async fn end_all(&self, name: StoreKey, now: u64) -> Result<u64, StoreFault> {
        let rules = self.rules();
        let ended = rules.store.end_named(name, now).await?;
        rules.underway.ends.note(name, rules.clock.steady());
        Ok(ended)
    }
}
