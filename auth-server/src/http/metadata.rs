//! What this server says about itself: one document for
//! [OpenID Connect Discovery](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata) and
//! [RFC 8414](https://www.rfc-editor.org/rfc/rfc8414#section-2).
//!
//! Every list comes from the type that decides, so that nothing is advertised that would then be refused.

use serde::Serialize;

use crate::config::{Config, Documents, Dynamic, Pages, Protocol};
use crate::domain::ciba::Delivery;
use crate::domain::claim::Claim;
use crate::domain::claims::{ADDRESS, EMAIL, OFFLINE_ACCESS, OPENID, PHONE, PROFILE};
use crate::domain::client::GrantType;
use crate::domain::client_authentication::AuthMethod;
use crate::domain::client_openid::SubjectType;
use crate::domain::issuer::Issuer;
use crate::domain::session::Acr;
use crate::domain::signing::SigningAlg;
use crate::http::dpop::Proofs;
use crate::http::mtls_aliases::MtlsAliases;
use crate::http::published::Description;
use crate::services::authorize::request::Prompt;
use crate::services::authorize::response_mode::ResponseMode;
use crate::services::authorize::wishes::DISPLAYS;

/// Scopes that mean something to this server; those of APIs are the APIs' business.
const SCOPES: [&str; 6] = [OPENID, PROFILE, EMAIL, ADDRESS, PHONE, OFFLINE_ACCESS];
/// Claims of ID tokens beside those about the person.
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
    #[serde(flatten)]
    ciba: Option<CibaMetadata>,
    pushed_authorization_request_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    client_id_metadata_document_supported: bool,
    require_pushed_authorization_requests: bool,
    scopes_supported: [&'static str; 6],
    response_types_supported: [&'static str; 1],
    response_modes_supported: Vec<&'static str>,
    authorization_signing_alg_values_supported: [&'static str; 4],
    grant_types_supported: Vec<&'static str>,
    subject_types_supported: [&'static str; 2],
    acr_values_supported: [&'static str; 2],
    prompt_values_supported: Vec<&'static str>,
    display_values_supported: [&'static str; DISPLAYS.len()],
    ui_locales_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 4],
    userinfo_signing_alg_values_supported: [&'static str; 4],
    code_challenge_methods_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 4],
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 4],
    introspection_signing_alg_values_supported: [&'static str; 4],
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 4],
    claim_types_supported: [&'static str; 1],
    claims_supported: Vec<&'static str>,
    claims_parameter_supported: bool,
    request_parameter_supported: bool,
    request_object_signing_alg_values_supported: [&'static str; 4],
    require_signed_request_object: bool,
    request_uri_parameter_supported: bool,
    authorization_response_iss_parameter_supported: bool,
    backchannel_logout_supported: bool,
    backchannel_logout_session_supported: bool,
    dpop_signing_alg_values_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_endpoint_aliases: Option<MtlsAliases>,
    /// Pages of the operator, if there are some.
    #[serde(flatten)]
    pages: Pages,
}

/// What is said of sign-ins that clients start from behind (CIBA §4), as long as they may.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the members are those of the specification")]
struct CibaMetadata {
    backchannel_authentication_endpoint: String,
    backchannel_token_delivery_modes_supported: [&'static str; 2],
    backchannel_authentication_request_signing_alg_values_supported: [&'static str; 4],
    backchannel_user_code_parameter_supported: bool,
}

impl CibaMetadata {
    fn of(issuer: &Issuer) -> Self {
        Self {
            backchannel_authentication_endpoint: issuer.endpoint("/bc-authorize"),
            backchannel_token_delivery_modes_supported: Delivery::NAMES,
            backchannel_authentication_request_signing_alg_values_supported: SigningAlg::ALL
                .map(SigningAlg::as_str),
            backchannel_user_code_parameter_supported: false,
        }
    }
}

impl Metadata {
    fn of(issuer: &Issuer, config: &Config, proofs: &Proofs) -> Self {
        let registration = &config.reach.registration;
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
            device_authorization_endpoint: config.protocol.device_grant.then(|| at("/device_authorization")),
            ciba: config.protocol.ciba_grant.then(|| CibaMetadata::of(issuer)),
            pushed_authorization_request_endpoint: at("/par"),
            registration_endpoint: (registration.dynamic != Dynamic::Off).then(|| at("/register")),
            client_id_metadata_document_supported: registration.client_id_metadata_documents
                != Documents::Off,
            require_pushed_authorization_requests: config.protocol.require_pushed_requests,
            scopes_supported: SCOPES,
            response_types_supported: ["code"],
            response_modes_supported: response_modes(),
            authorization_signing_alg_values_supported: algs,
            grant_types_supported: grant_types(&config.protocol),
            subject_types_supported: SubjectType::NAMES,
            acr_values_supported: Acr::ALL.map(Acr::as_str),
            prompt_values_supported: Prompt::supported(config.reach.accounts.sign_up),
            display_values_supported: DISPLAYS,
            ui_locales_supported: ["en"],
            id_token_signing_alg_values_supported: algs,
            userinfo_signing_alg_values_supported: algs,
            code_challenge_methods_supported: ["S256"],
            token_endpoint_auth_methods_supported: methods(config, |_| true),
            token_endpoint_auth_signing_alg_values_supported: algs,
            introspection_endpoint_auth_methods_supported: methods(config, |method| {
                method != AuthMethod::None
            }),
            introspection_endpoint_auth_signing_alg_values_supported: algs,
            introspection_signing_alg_values_supported: algs,
            revocation_endpoint_auth_methods_supported: methods(config, |_| true),
            revocation_endpoint_auth_signing_alg_values_supported: algs,
            claim_types_supported: ["normal"],
            claims_supported: claims(),
            claims_parameter_supported: true,
            request_parameter_supported: true,
            request_object_signing_alg_values_supported: algs,
            require_signed_request_object: false,
            request_uri_parameter_supported: false,
            authorization_response_iss_parameter_supported: true,
            backchannel_logout_supported: true,
            backchannel_logout_session_supported: true,
            dpop_signing_alg_values_supported: proofs.algorithms(),
            tls_client_certificate_bound_access_tokens: config.server.tls.client_certificates.sees_any(),
            mtls_endpoint_aliases: config.mtls_address().map(|second| MtlsAliases::of(&second, config)),
            pages: config.server.pages.clone(),
        }
    }
}

/// Every mode by its name, and the short name of the signed one.
fn response_modes() -> Vec<&'static str> {
    ResponseMode::ALL.map(ResponseMode::as_str).into_iter().chain(["jwt"]).collect()
}

fn grant_types(protocol: &Protocol) -> Vec<&'static str> {
    let is_on = |grant: &GrantType| match grant {
        GrantType::Ciba => protocol.ciba_grant,
        GrantType::DeviceCode => protocol.device_grant,
        GrantType::AuthorizationCode
        | GrantType::ClientCredentials
        | GrantType::JwtBearer
        | GrantType::RefreshToken
        | GrantType::TokenExchange => true,
    };
    GrantType::ALL.into_iter().filter(is_on).map(GrantType::as_str).collect()
}

/// The methods by which a client can prove here who it is.
fn methods(config: &Config, is_meant: impl Fn(AuthMethod) -> bool) -> Vec<&'static str> {
    let tls = &config.server.tls;
    let works = |method: AuthMethod| match method {
        AuthMethod::SelfSignedTlsClientAuth => tls.client_certificates.sees_any(),
        AuthMethod::TlsClientAuth => tls.client_certificates.sees_any() && tls.client_ca.is_some(),
        AuthMethod::ClientSecret
        | AuthMethod::ClientSecretBasic
        | AuthMethod::ClientSecretPost
        | AuthMethod::None
        | AuthMethod::PrivateKeyJwt => true,
    };
    AuthMethod::NAMED
        .into_iter()
        .filter(|method| works(*method) && is_meant(*method))
        .map(AuthMethod::as_str)
        .collect()
}

fn claims() -> Vec<&'static str> {
    let mut claims: Vec<&str> = Claim::ALL.map(Claim::as_str).to_vec();
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
    pub(crate) fn of(issuer: &Issuer, config: &Config, proofs: &Proofs) -> Self {
        Self(Description::of(&Metadata::of(issuer, config, proofs)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::Registration;
    use crate::domain::clock::{Clock, Timestamp};

    fn document() -> Value {
        with(&Registration::default())
    }

    fn with(registration: &Registration) -> Value {
        let mut config = Config::default();
        config.reach.registration = registration.clone();
        of(&config)
    }

    fn of(config: &Config) -> Value {
        let issuer = Issuer::parse("https://id.example.com").unwrap();
        let clock = Clock::manual(Timestamp::from_secs(1));
        let proofs = Proofs::new(std::slice::from_ref(&issuer), None, clock).unwrap();
        serde_json::from_slice(&Discovery::of(&issuer, config, &proofs).0.body).unwrap()
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
    fn pages_of_the_operator_are_named_where_there_are_some() {
        let members = ["service_documentation", "op_policy_uri", "op_tos_uri"];
        let closed = document();
        assert!(members.iter().all(|member| closed.get(member).is_none()));
        let text = "[server]\nop_policy_uri = \"https://example.com/privacy\"\n\
                    op_tos_uri = \"https://example.com/terms#use\"\n\
                    service_documentation = \"https://docs.example.com/\"";
        let document = of(&Config::from_toml(text).unwrap());
        let said = members.map(|member| document[member].as_str().unwrap());
        let pages =
            ["https://docs.example.com/", "https://example.com/privacy", "https://example.com/terms#use"];
        assert_eq!(said, pages);
    }

    #[test]
    fn aliases_name_the_endpoints_that_there_are_where_certificates_are_asked_for() {
        assert!(document().get("mtls_endpoint_aliases").is_none());
        let text = "[server]\nissuer = \"https://id.example.com\"\n[server.tls]\ncertificate = \"a\"\nkey = \"b\"\n\
                    client_certificates = \"connection\"\n\
                    mtls = { listen = \"127.0.0.1:8444\", url = \"https://mtls.example.com\" }\n";
        let aliases = |more: &str| of(&Config::from_toml(&format!("{text}{more}")).unwrap());
        let whole = aliases("[registration]\ndynamic = \"open\"");
        let all = whole["mtls_endpoint_aliases"].as_object().unwrap();
        assert_eq!(all.len(), 8);
        for (name, alias) in all {
            let first = whole[name].as_str().unwrap_or_else(|| panic!("{name} is the alias of nothing"));
            let elsewhere = first.replace("https://id.example.com/", "https://mtls.example.com/");
            assert_eq!(alias, &elsewhere, "{name}");
        }
        let few = aliases("[protocol]\ndevice_grant = false\nciba_grant = false");
        assert_eq!(few["mtls_endpoint_aliases"].as_object().unwrap().len(), 5);
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
