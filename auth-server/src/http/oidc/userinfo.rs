//! The userinfo endpoint ([OpenID Connect Core §5.3]), with a bearer token in the header or in a form ([RFC 6750 §2]).
//!
//! [OpenID Connect Core §5.3]: https://openid.net/specs/openid-connect-core-1_0.html#UserInfo
//! [RFC 6750 §2]: https://www.rfc-editor.org/rfc/rfc6750#section-2

use std::error::Error;

use axum::Json;
use axum::extract::{FromRef, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;

use crate::domain::clock::Clock;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::{Parameters, ParametersError};
use crate::http::cors;
use crate::http::error::Cause;
use crate::http::extract::form::is_form;
use crate::http::oauth::no_store::NoStore;
use crate::services::userinfo::{UserInfo, UserInfoError, UserInfoService};

/// What a signed answer is.
const JWT: HeaderValue = HeaderValue::from_static("application/jwt");

/// What the endpoint works with.
#[derive(Clone)]
pub(super) struct Desk {
    userinfo: UserInfoService,
    clock: Clock,
}

impl<S> FromRef<S> for Desk
where
    UserInfoService: FromRef<S>,
    Clock: FromRef<S>,
{
    fn from_ref(state: &S) -> Self {
        Self { userinfo: UserInfoService::from_ref(state), clock: Clock::from_ref(state) }
    }
}

/// Why a request has no usable token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum BearerError {
    #[error("there is no token")]
    Missing,
    #[error("the token was sent in several ways, or the request cannot be read")]
    Unreadable,
}

/// `GET /userinfo`. A token in the query is not looked at (OAuth 2.1 forbids it): such a request has none.
pub(super) async fn by_header(State(desk): State<Desk>, headers: HeaderMap) -> Response {
    match from_header(&headers) {
        Ok(Some(token)) => desk.answer(token).await,
        Ok(None) => refuse(BearerError::Missing),
        Err(error) => refuse(error),
    }
}

/// `POST /userinfo`.
pub(super) async fn by_header_or_form(State(desk): State<Desk>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = if is_form(&parts.headers) {
        let Ok(body) = body.collect().await else { return refuse(BearerError::Unreadable) };
        Parameters::parse(&body.to_bytes())
    } else {
        Ok(Parameters::default())
    };
    let in_form = match &form {
        Ok(form) if form.has_repeats("") => Err(ParametersError::Repeated),
        Ok(form) => form.get("access_token"),
        Err(error) => Err(*error),
    };
    match (from_header(&parts.headers), in_form) {
        (Ok(Some(token)), Ok(None)) | (Ok(None), Ok(Some(token))) => desk.answer(token).await,
        (Ok(None), Ok(None)) => refuse(BearerError::Missing),
        // RFC 6750 §2: clients MUST NOT use more than one way.
        _ => refuse(BearerError::Unreadable),
    }
}

fn from_header(headers: &HeaderMap) -> Result<Option<&str>, BearerError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BearerError::Unreadable);
    }
    let text = first.to_str().map_err(|_| BearerError::Unreadable)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            let token = token.trim_matches(' ');
            // b64token of RFC 6750 §2.1: no comma, so no second credential hides in a list.
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
            let valid = !token.is_empty() && token.bytes().all(plain);
            if valid { Ok(Some(token)) } else { Err(BearerError::Unreadable) }
        }
        // Another scheme is no token: the answer names the one that is.
        _ => Ok(None),
    }
}

impl Desk {
    async fn answer(&self, token: &str) -> Response {
        match self.userinfo.userinfo(token, self.clock.now()).await {
            Ok(UserInfo::Plain(info)) => cors::open(NoStore(Json(info)).into_response()),
            // OpenID Connect Core §5.3.2.
            Ok(UserInfo::Signed(jwt)) => cors::open(NoStore(([(CONTENT_TYPE, JWT)], jwt)).into_response()),
            Err(error) => told(error.code(), description(&error), &error),
        }
    }
}

const fn description(error: &UserInfoError) -> &'static str {
    match error {
        UserInfoError::Fault(_) | UserInfoError::Sign(_) => "the server cannot answer now",
        UserInfoError::InsufficientScope => "the token was not issued for the scope openid",
        UserInfoError::InvalidToken => {
            "the token is malformed, expired, revoked, or meant for something else"
        }
    }
}

fn refuse(error: BearerError) -> Response {
    match error {
        BearerError::Missing => {
            // RFC 6750 §3.1: without a token the answer says no more than which scheme to use.
            let challenge = HeaderValue::from_static("Bearer realm=\"portcullis\"");
            let response = (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]);
            cors::open(NoStore(response).into_response())
        }
        BearerError::Unreadable => told(
            OAuthErrorCode::InvalidRequest,
            "the token was sent in several ways or cannot be read",
            &error,
        ),
    }
}

/// An error as bearer tokens have it: in the challenge, and in the body for people.
fn told(code: OAuthErrorCode, description: &'static str, cause: &(dyn Error + 'static)) -> Response {
    let (name, status) = (code.as_str(), code.status());
    let body = serde_json::json!({ "error": name, "error_description": description });
    let mut response = NoStore((status, Json(body))).into_response();
    response.extensions_mut().insert(Cause::of(cause));
    let headers = response.headers_mut();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let scope = if code == OAuthErrorCode::InsufficientScope { ", scope=\"openid\"" } else { "" };
    let challenge =
        format!("Bearer realm=\"portcullis\", error=\"{name}\", error_description=\"{description}\"{scope}");
    // All parts are fixed texts of visible ASCII.
    if let (true, Ok(challenge)) = (status.is_client_error(), HeaderValue::try_from(challenge)) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    cors::open(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<String>, BearerError> {
        let headers: HeaderMap =
            values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).collect();
        from_header(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn the_token_is_read_from_one_bearer_header() {
        assert_eq!(read(&["Bearer a.b-c_d"]), Ok(Some("a.b-c_d".to_owned())));
        assert_eq!(read(&["bearer  x"]), Ok(Some("x".to_owned())));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Basic YTpi"]), Ok(None));
    }

    #[test]
    fn several_tokens_and_odd_characters_are_refused() {
        for values in [
            &["Bearer a", "Bearer b"][..],
            &["Bearer a, Bearer b"],
            &["Bearer a b"],
            &["Bearer "],
            &["Bearer \"a\""],
        ] {
            assert_eq!(read(values), Err(BearerError::Unreadable), "{values:?}");
        }
    }
}
