//! What a client is told of its registration, or of why there is none.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::domain::client::{Client, GrantType, KeySource};
use crate::domain::client_authentication::CertificateName;
use crate::domain::client_openid::ApplicationType;
use crate::domain::issuer::Issuer;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::registration::About;
use crate::domain::signing::SigningAlg;
use crate::http::error::Cause;
use crate::http::oauth::no_store::NoStore;
use crate::services::registration::Registered;
use crate::services::registration::error::RegistrationError;

/// A registration (RFC 7591 §3.2.1, RFC 7592 §3): what the server acts on, and so knows.
#[derive(Serialize)]
struct Information {
    client_id: String,
    client_id_issued_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// Zero: it does not expire. It is there when there is a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u8>,
    registration_access_token: String,
    registration_client_uri: String,
    client_name: String,
    token_endpoint_auth_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg: Option<&'static str>,
    #[serde(flatten)]
    certificate_name: Option<CertificateName>,
    grant_types: Vec<&'static str>,
    response_types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    post_logout_redirect_uris: Vec<String>,
    scope: String,
    id_token_signed_response_alg: &'static str,
    #[serde(flatten)]
    openid: OpenId,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(flatten)]
    protocol: Protocol,
    #[serde(flatten)]
    about: About,
}

/// What the client wants of OpenID Connect.
#[derive(Serialize)]
struct OpenId {
    subject_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    userinfo_signed_response_alg: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiate_login_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_max_age: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_object_signing_alg: Option<&'static str>,
}

/// What the client is held to in the protocol.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the members are those of the specifications")]
struct Protocol {
    dpop_bound_access_tokens: bool,
    tls_client_certificate_bound_access_tokens: bool,
    require_pushed_authorization_requests: bool,
    require_signed_request_object: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_signed_response_alg: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    introspection_signed_response_alg: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backchannel_logout_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backchannel_logout_session_required: Option<bool>,
}

impl Information {
    fn of(registered: Registered, issuer: &Issuer) -> Self {
        let Registered { client, about, created_at, secret, access } = registered;
        let texts = |uris: &[crate::domain::redirect_uri::RedirectUri]| {
            uris.iter().map(|uri| uri.as_str().to_owned()).collect()
        };
        let (jwks, jwks_uri) = match client.keys() {
            Some(KeySource::At(url)) => (None, Some(url.to_string())),
            Some(KeySource::Registered(jwks)) => (serde_json::from_str(jwks).ok(), None),
            None => (None, None),
        };
        Self {
            client_id: client.id.to_string(),
            client_id_issued_at: created_at.as_secs(),
            client_secret_expires_at: secret.is_some().then_some(0),
            client_secret: secret.map(|secret| secret.expose().to_owned()),
            registration_access_token: access.expose().to_owned(),
            registration_client_uri: issuer.endpoint(&format!("/register/{}", client.id)),
            grant_types: client.grants.iter().map(|grant| grant.as_str()).collect(),
            response_types: client
                .allows(GrantType::AuthorizationCode)
                .then_some("code")
                .into_iter()
                .collect(),
            redirect_uris: texts(&client.redirects),
            post_logout_redirect_uris: texts(&client.post_logout_redirects),
            scope: client.scopes.to_string(),
            id_token_signed_response_alg: client.settings.id_token_alg.as_str(),
            openid: OpenId::of(&client),
            token_endpoint_auth_method: client.authentication.method.as_str(),
            token_endpoint_auth_signing_alg: client.assertion_alg().map(SigningAlg::as_str),
            certificate_name: client.settings.protocol.proof.certificate_name.clone(),
            jwks,
            jwks_uri,
            protocol: Protocol::of(&client),
            client_name: client.name,
            about,
        }
    }
}

impl OpenId {
    fn of(client: &Client) -> Self {
        let settings = &client.settings.protocol.openid;
        Self {
            subject_type: settings.subject.as_str(),
            userinfo_signed_response_alg: settings.userinfo_alg.map(SigningAlg::as_str),
            initiate_login_uri: settings.initiate_login_uri.clone(),
            application_type: settings.application_type.map(ApplicationType::as_str),
            default_max_age: settings.default_max_age_secs,
            request_object_signing_alg: settings.request_object_alg.map(SigningAlg::as_str),
        }
    }
}

impl Protocol {
    fn of(client: &Client) -> Self {
        let settings = &client.settings.protocol;
        let told = settings.backchannel_logout.as_ref();
        let (answers, bound) = (settings.answers, settings.sender_constraint);
        Self {
            dpop_bound_access_tokens: bound.dpop_bound_access_tokens,
            tls_client_certificate_bound_access_tokens: bound.tls_client_certificate_bound_access_tokens,
            require_pushed_authorization_requests: settings.pushed_requests.are_required(),
            require_signed_request_object: settings.request_objects.are_required(),
            authorization_signed_response_alg: answers.authorization_response_alg.map(SigningAlg::as_str),
            introspection_signed_response_alg: answers.introspection_response_alg.map(SigningAlg::as_str),
            backchannel_logout_uri: told.map(|told| told.uri.to_string()),
            backchannel_logout_session_required: told.map(|told| told.session_required),
        }
    }
}

/// Tells a client of its registration.
pub(super) fn told(status: StatusCode, registered: Registered, issuer: &Issuer) -> Response {
    NoStore((status, Json(Information::of(registered, issuer)))).into_response()
}

/// Why a request cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("nobody noted where the request comes from")]
    Address,
    #[error("the body is no application/json")]
    ContentType,
    #[error("the Authorization header cannot be read, or is there twice")]
    Token,
    #[error("the body is too long")]
    TooLong,
}

impl Unreadable {
    const fn status(self) -> StatusCode {
        match self {
            Self::Address => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Token => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

/// The answer to a request that cannot be read.
pub(super) fn unreadable(error: Unreadable) -> Response {
    let code = match error {
        Unreadable::Address => OAuthErrorCode::ServerError,
        Unreadable::ContentType | Unreadable::Token | Unreadable::TooLong => OAuthErrorCode::InvalidRequest,
    };
    let mut response = body(code, &error.to_string());
    *response.status_mut() = error.status();
    response.extensions_mut().insert(Cause::of(&error).coded(code.as_str()));
    response
}

/// The answer to a request that is refused (RFC 7591 §3.2.2, RFC 7592 §2, RFC 6750 §3).
pub(super) fn refused(error: &RegistrationError) -> Response {
    let description = match error {
        RegistrationError::Administration(_) => "the server cannot answer now".to_owned(),
        told => plain(&told.to_string()),
    };
    let mut response = body(error.code(), &description);
    response.extensions_mut().insert(Cause::of(error).coded(error.code().as_str()));
    let (status, wait) = match error {
        RegistrationError::Off => (StatusCode::NOT_FOUND, None),
        RegistrationError::Forbidden => (StatusCode::FORBIDDEN, None),
        RegistrationError::Throttled { retry_after } => (StatusCode::TOO_MANY_REQUESTS, Some(*retry_after)),
        other => (other.code().status(), None),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = match error {
            // Without a token the answer says no more than which scheme to use.
            RegistrationError::TokenMissing => "Bearer realm=\"portcullis\"",
            _ => "Bearer realm=\"portcullis\", error=\"invalid_token\"",
        };
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE || wait.is_some() {
        let wait = wait.unwrap_or_default();
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    response
}

fn body(code: OAuthErrorCode, description: &str) -> Response {
    let body = serde_json::json!({ "error": code.as_str(), "error_description": description });
    NoStore((code.status(), Json(body))).into_response()
}

/// Only the characters that a description may have (RFC 7591 §3.2.2: ASCII; RFC 6749 §5.2: no quote, no backslash).
fn plain(text: &str) -> String {
    text.chars()
        .map(|symbol| if matches!(symbol, ' '..='~') { symbol } else { '?' })
        .collect::<String>()
        .replace(['"', '\\'], "'")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_refusal_has_its_status_and_what_goes_with_it() {
        for (error, status, header) in [
            (RegistrationError::Off, 404, ""),
            (RegistrationError::Forbidden, 403, ""),
            (RegistrationError::Meanwhile, 503, "retry-after"),
            (RegistrationError::Token, 401, "www-authenticate"),
            (RegistrationError::TokenMissing, 401, "www-authenticate"),
            (RegistrationError::Throttled { retry_after: Duration::from_secs(7) }, 429, "retry-after"),
        ] {
            let response = refused(&error);
            assert_eq!(response.status().as_u16(), status, "{error}");
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert!(header.is_empty() || response.headers().contains_key(header), "{error}");
        }
    }

    #[test]
    fn a_description_holds_only_what_it_may() {
        assert_eq!(plain("a \"b\" \\ é\n`c`"), "a 'b' ' ??`c`");
    }
}
