//! The userinfo endpoint ([OpenID Connect Core §5.3]), with a bearer token in the header or in a form ([RFC 6750 §2]).
//!
//! [OpenID Connect Core §5.3]: https://openid.net/specs/openid-connect-core-1_0.html#UserInfo
//! [RFC 6750 §2]: https://www.rfc-editor.org/rfc/rfc6750#section-2

use std::error::Error;

use axum::Json;
use axum::extract::{FromRef, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;

use crate::domain::clock::Clock;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::{Parameters, ParametersError};
use crate::http::cors;
use crate::http::dpop::Proofs;
use crate::http::error::Cause;
use crate::http::extract::certificate::Certificates;
use crate::http::extract::form::is_form;
use crate::http::oauth::no_store::NoStore;
use crate::services::possession::{Possession, ShownToken, TokenScheme};
use crate::services::userinfo::{UserInfo, UserInfoError, UserInfoService};

/// What a signed answer is.
const JWT: HeaderValue = HeaderValue::from_static("application/jwt");

/// What the endpoint works with.
#[derive(Clone)]
pub(super) struct Desk {
    userinfo: UserInfoService,
    proofs: Proofs,
    certificates: Certificates,
    clock: Clock,
}

impl<S> FromRef<S> for Desk
where
    UserInfoService: FromRef<S>,
    Certificates: FromRef<S>,
    Clock: FromRef<S>,
    Proofs: FromRef<S>,
{
    fn from_ref(state: &S) -> Self {
        Self {
            userinfo: UserInfoService::from_ref(state),
            proofs: Proofs::from_ref(state),
            certificates: Certificates::from_ref(state),
            clock: Clock::from_ref(state),
        }
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

/// A token as it was sent.
type Sent<'a> = (TokenScheme, &'a str);

/// `GET /userinfo`. A token in the query is not looked at (OAuth 2.1 forbids it): such a request has none.
pub(super) async fn by_header(State(desk): State<Desk>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match from_header(&parts.headers) {
        Ok(Some(sent)) => desk.answer(&parts, sent).await,
        Ok(None) => desk.refuse(BearerError::Missing),
        Err(error) => desk.refuse(error),
    }
}

/// `POST /userinfo`. A token that is bound to a key comes in the header (RFC 9449 §7.1): in a form it is a bearer token.
pub(super) async fn by_header_or_form(State(desk): State<Desk>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = if is_form(&parts.headers) {
        let Ok(body) = body.collect().await else { return desk.refuse(BearerError::Unreadable) };
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
        (Ok(Some(sent)), Ok(None)) => desk.answer(&parts, sent).await,
        (Ok(None), Ok(Some(token))) => desk.answer(&parts, (TokenScheme::Bearer, token)).await,
        (Ok(None), Ok(None)) => desk.refuse(BearerError::Missing),
        // RFC 6750 §2: clients MUST NOT use more than one way.
        _ => desk.refuse(BearerError::Unreadable),
    }
}

fn from_header(headers: &HeaderMap) -> Result<Option<Sent<'_>>, BearerError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BearerError::Unreadable);
    }
    let text = first.to_str().map_err(|_| BearerError::Unreadable)?;
    // Another scheme is no token: the answer names those that are.
    let Some((scheme, token)) = text.split_once(' ') else { return Ok(None) };
    let scheme = match scheme {
        bearer if bearer.eq_ignore_ascii_case("bearer") => TokenScheme::Bearer,
        dpop if dpop.eq_ignore_ascii_case("dpop") => TokenScheme::Dpop,
        _ => return Ok(None),
    };
    let token = token.trim_matches(' ');
    // b64token of RFC 6750 §2.1: no comma, so no second credential hides in a list.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    let valid = !token.is_empty() && token.bytes().all(plain);
    if valid { Ok(Some((scheme, token))) } else { Err(BearerError::Unreadable) }
}

impl Desk {
    async fn answer(&self, parts: &Parts, (scheme, token): Sent<'_>) -> Response {
        let proof = match scheme {
            // A proof beside it means nothing then (RFC 9449 §7.1).
            TokenScheme::Bearer => Ok(None),
            TokenScheme::Dpop => self.proofs.read(parts, Some(token)),
        };
        let proof = match proof {
            Ok(proof) => proof,
            Err(error) => {
                let why = Why { code: error.code(), description: error.to_string(), scheme };
                return self.told(&why, &error);
            }
        };
        let possession = Possession { proof, certificate: self.certificates.shown(parts) };
        let shown = ShownToken { token, scheme, possession: &possession };
        match self.userinfo.userinfo(shown, self.clock.now()).await {
            Ok(UserInfo::Plain(info)) => cors::open(NoStore(Json(info)).into_response()),
            // OpenID Connect Core §5.3.2.
            Ok(UserInfo::Signed(jwt)) => cors::open(NoStore(([(CONTENT_TYPE, JWT)], jwt)).into_response()),
            Err(error) => {
                let scheme =
                    if matches!(error, UserInfoError::Unproven) { TokenScheme::Dpop } else { scheme };
                let why = Why { code: error.code(), description: description(&error).to_owned(), scheme };
                self.told(&why, &error)
            }
        }
    }

    fn refuse(&self, error: BearerError) -> Response {
        match error {
            BearerError::Missing => {
                // RFC 6750 §3.1: without a token the answer says no more than which schemes to use.
                let mut response = NoStore(StatusCode::UNAUTHORIZED).into_response();
                response.extensions_mut().insert(Cause::of(&error));
                let headers = response.headers_mut();
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"portcullis\""));
                if let Ok(challenge) = HeaderValue::try_from(self.dpop()) {
                    headers.append(WWW_AUTHENTICATE, challenge);
                }
                cors::open(response)
            }
            BearerError::Unreadable => {
                let description = "the token was sent in several ways or cannot be read".to_owned();
                let scheme = TokenScheme::Bearer;
                self.told(&Why { code: OAuthErrorCode::InvalidRequest, description, scheme }, &error)
            }
        }
    }

    /// What a client of bound tokens is asked for (RFC 9449 §7.1).
    fn dpop(&self) -> String {
        format!("DPoP realm=\"portcullis\", algs=\"{}\"", self.proofs.algorithms().join(" "))
    }

    /// An error as bearer tokens have it: in the challenge, and in the body for people.
    fn told(&self, why: &Why, cause: &(dyn Error + 'static)) -> Response {
        let name = why.code.as_str();
        // Where a token is shown, a proof that is not good leaves it unproven (RFC 9449 §7.1, §9).
        let status = match why.code {
            OAuthErrorCode::InvalidDpopProof | OAuthErrorCode::UseDpopNonce => StatusCode::UNAUTHORIZED,
            code => code.status(),
        };
        let body = serde_json::json!({ "error": name, "error_description": why.description });
        let mut response = NoStore((status, Json(body))).into_response();
        response.extensions_mut().insert(Cause::of(cause).coded(name));
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let scope = if why.code == OAuthErrorCode::InsufficientScope { ", scope=\"openid\"" } else { "" };
        let scheme = match why.scheme {
            TokenScheme::Bearer => "Bearer realm=\"portcullis\"".to_owned(),
            TokenScheme::Dpop => self.dpop(),
        };
        let description = &why.description;
        let challenge = format!("{scheme}, error=\"{name}\", error_description=\"{description}\"{scope}");
        // All parts are fixed texts of visible ASCII.
        if let (true, Ok(challenge)) = (status.is_client_error(), HeaderValue::try_from(challenge)) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        cors::open(response)
    }
}

/// What a client is told.
struct Why {
    code: OAuthErrorCode,
    description: String,
    scheme: TokenScheme,
}

const fn description(error: &UserInfoError) -> &'static str {
    match error {
        UserInfoError::Fault(_) | UserInfoError::Sign(_) => "the server cannot answer now",
        UserInfoError::InsufficientScope => "the token was not issued for the scope openid",
        UserInfoError::InvalidToken => {
            "the token is malformed, expired, revoked, or meant for something else"
        }
        UserInfoError::ProofAlgorithm => {
            "the DPoP proof is signed by an algorithm that the profile of the client does not permit"
        }
        UserInfoError::ProofUsed => "the DPoP proof was used before: make a new one for each request",
        UserInfoError::Unproven => {
            "the token is bound to a key or a certificate that was not proven, or is not and was sent as if"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<(TokenScheme, String)>, BearerError> {
        let headers: HeaderMap =
            values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).collect();
        from_header(&headers).map(|sent| sent.map(|(scheme, token)| (scheme, token.to_owned())))
    }

    #[test]
    fn the_token_is_read_from_one_header_of_either_scheme() {
        let bearer = |token: &str| Ok(Some((TokenScheme::Bearer, token.to_owned())));
        assert_eq!(read(&["Bearer a.b-c_d"]), bearer("a.b-c_d"));
        assert_eq!(read(&["bearer  x"]), bearer("x"));
        assert_eq!(read(&["dpop x"]), Ok(Some((TokenScheme::Dpop, "x".to_owned()))));
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
