//! What this server says about itself: one document for
//! [OpenID Connect Discovery](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata) and
//! [RFC 8414](https://www.rfc-editor.org/rfc/rfc8414#section-2).
//!
//! Every list comes from the type that decides, so that nothing is advertised that would then be refused.

use serde::Serialize;

use crate::config::{Documents, Dynamic, Protocol, Registration};
use crate::domain::claims::{EMAIL, OFFLINE_ACCESS, OPENID, PROFILE, claims_of};
use crate::domain::client::GrantType;
use crate::domain::issuer::Issuer;
use crate::domain::session::Acr;
use crate::domain::signing::SigningAlg;
use crate::http::published::Description;
use crate::services::authorize::request::Prompt;
use crate::services::authorize::response_mode::ResponseMode;

/// How clients authenticate where they may be public.
const AUTH_METHODS: [&str; 4] = ["client_secret_basic", "client_secret_post", "none", "private_key_jwt"];
/// How they do where they may not.
const CONFIDENTIAL_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
/// Scopes that mean something to this server; those of APIs are the APIs' business.
const SCOPES: [&str; 4] = [OPENID, PROFILE, EMAIL, OFFLINE_ACCESS];
/// Claims of ID tokens beside those that scopes reveal.
const ID_TOKEN_CLAIMS: [&str; 11] =
    ["iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid", "sub"];

/// The document, as its specifications name the members.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the members are those of the specifications")]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: String,
    jwks_uri: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    end_session_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_authorization_endpoint: Option<String>,
    pushed_authorization_request_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    client_id_metadata_document_supported: bool,
    require_pushed_authorization_requests: bool,
    scopes_supported: [&'static str; 4],
    response_types_supported: [&'static str; 1],
    response_modes_supported: Vec<&'static str>,
    authorization_signing_alg_values_supported: [&'static str; 3],
    grant_types_supported: Vec<&'static str>,
    subject_types_supported: [&'static str; 1],
    acr_values_supported: [&'static str; 1],
    prompt_values_supported: [&'static str; 4],
    id_token_signing_alg_values_supported: [&'static str; 3],
    code_challenge_methods_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: [&'static str; 4],
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 3],
    introspection_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 4],
    revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 3],
    claim_types_supported: [&'static str; 1],
    claims_supported: Vec<&'static str>,
    claims_parameter_supported: bool,
    request_parameter_supported: bool,
    request_object_signing_alg_values_supported: [&'static str; 3],
    require_signed_request_object: bool,
    request_uri_parameter_supported: bool,
    authorization_response_iss_parameter_supported: bool,
    backchannel_logout_supported: bool,
    backchannel_logout_session_supported: bool,
}

impl Metadata {
    fn of(issuer: &Issuer, protocol: &Protocol, registration: &Registration) -> Self {
        let algs = SigningAlg::ALL.map(SigningAlg::as_str);
        let at = |path| issuer.endpoint(path);
        Self {
            issuer: issuer.as_str().to_owned(),
            authorization_endpoint: at("/authorize"),
            token_endpoint: at("/token"),
            userinfo_endpoint: at("/userinfo"),
            jwks_uri: at("/jwks"),
            introspection_endpoint: at("/introspect"),
            revocation_endpoint: at("/revoke"),
            end_session_endpoint: at("/logout"),
            device_authorization_endpoint: protocol.device_grant.then(|| at("/device_authorization")),
            pushed_authorization_request_endpoint: at("/par"),
            registration_endpoint: (registration.dynamic != Dynamic::Off).then(|| at("/register")),
            client_id_metadata_document_supported: registration.client_id_metadata_documents
                != Documents::Off,
            require_pushed_authorization_requests: protocol.require_pushed_requests,
            scopes_supported: SCOPES,
            response_types_supported: ["code"],
            response_modes_supported: ResponseMode::ALL
                .map(ResponseMode::as_str)
                .into_iter()
                .chain(["jwt"])
                .collect(),
            authorization_signing_alg_values_supported: algs,
            grant_types_supported: grant_types(protocol),
            subject_types_supported: ["public"],
            acr_values_supported: Acr::ALL.map(Acr::as_str),
            prompt_values_supported: Prompt::ALL.map(Prompt::as_str),
            id_token_signing_alg_values_supported: algs,
            code_challenge_methods_supported: ["S256"],
            token_endpoint_auth_methods_supported: AUTH_METHODS,
            token_endpoint_auth_signing_alg_values_supported: algs,
            introspection_endpoint_auth_methods_supported: CONFIDENTIAL_METHODS,
            introspection_endpoint_auth_signing_alg_values_supported: algs,
            revocation_endpoint_auth_methods_supported: AUTH_METHODS,
            revocation_endpoint_auth_signing_alg_values_supported: algs,
            claim_types_supported: ["normal"],
            claims_supported: claims(),
            claims_parameter_supported: false,
            request_parameter_supported: true,
            request_object_signing_alg_values_supported: algs,
            require_signed_request_object: false,
            request_uri_parameter_supported: false,
            authorization_response_iss_parameter_supported: true,
            backchannel_logout_supported: true,
            backchannel_logout_session_supported: true,
        }
    }
}

fn grant_types(protocol: &Protocol) -> Vec<&'static str> {
    let is_on = |grant: &GrantType| *grant != GrantType::DeviceCode || protocol.device_grant;
    GrantType::ALL.into_iter().filter(is_on).map(GrantType::as_str).collect()
}

fn claims() -> Vec<&'static str> {
    let mut claims: Vec<&str> = SCOPES.iter().flat_map(|scope| claims_of(scope)).copied().collect();
    claims.extend(ID_TOKEN_CLAIMS);
    claims.sort_unstable();
    claims.dedup();
    claims
}

/// The document as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Discovery(pub(crate) Description);

impl Discovery {
    /// Writes the document of an issuer.
    pub(crate) fn of(issuer: &Issuer, protocol: &Protocol, registration: &Registration) -> Self {
        Self(Description::of(&Metadata::of(issuer, protocol, registration)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        with(&Registration::default())
    }

    fn with(registration: &Registration) -> Value {
        let issuer = Issuer::parse("https://id.example.com").unwrap();
        serde_json::from_slice(&Discovery::of(&issuer, &Protocol::default(), registration).0.body).unwrap()
    }

    #[test]
    fn ways_to_come_by_oneself_are_advertised_when_they_are_open() {
        let closed = document();
        assert!(closed.get("registration_endpoint").is_none());
        assert!(closed.get("client_id_metadata_document_supported").is_none());
        let open = with(&Registration {
            client_id_metadata_documents: Documents::Any,
            dynamic: Dynamic::Token,
            ..Registration::default()
        });
        assert_eq!(open["registration_endpoint"], "https://id.example.com/register");
        assert_eq!(open["client_id_metadata_document_supported"], true);
    }

    #[test]
    fn every_endpoint_is_below_the_issuer() {
        let document = document();
        for (name, value) in document.as_object().unwrap() {
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                assert!(value.as_str().unwrap().starts_with("https://id.example.com/"), "{name}");
            }
        }
        assert_eq!(document["issuer"], "https://id.example.com");
    }

    #[test]
    fn nothing_that_was_not_built_is_advertised() {
        let text = document().to_string();
        for absent in ["plain", "implicit", "\"token\"", "fragment", "HS256", "none\",\"RS", "password"] {
            assert!(!text.contains(absent), "{absent}");
        }
    }

    #[test]
    fn claims_are_named_once() {
        let claims = claims();
        assert!(claims.contains(&"email_verified") && claims.contains(&"preferred_username"));
        assert!(claims.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
