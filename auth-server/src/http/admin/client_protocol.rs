//! What a client is held to in the protocol, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::client_concessions::Concessions;
use crate::domain::client_protocol::{AssertionIssuer, ProtocolSettings, SenderConstraint, TokenExchange};
use crate::domain::signing::SigningAlg;
use crate::services::clients::ciba::CibaForm;
use crate::services::clients::concessions::ConcessionsForm;
use crate::services::clients::grants::{AssertionIssuerForm, TokenExchangeForm};
use crate::services::clients::openid::OpenIdForm;
use crate::services::clients::protocol::{AnswersForm, ProtocolForm};

/// What a client is held to beyond what every client is.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the members are those of the specifications")]
pub(crate) struct ProtocolDocument {
    /// Accept its authorization requests only with PKCE (RFC 7636). Without it: `true`. `false` is for a client that proves who it is, whose
    /// redirect URIs are all https, and that sends a `nonce` and checks it (RFC 9700 §2.1.1); a challenge that it sends is held to all the
    /// same.
    require_pkce: Option<bool>,
    /// Whom its assertions are for (`private_key_jwt`): `issuer` (the default), or `endpoint`: the issuer, the token endpoint, or the
    /// endpoint that they are sent to, each as one string (RFC 9126 §2).
    assertion_audience: Option<String>,
    /// Accept its authorization requests only if it pushed them before (RFC 9126).
    require_pushed_requests: bool,
    /// Accept its authorization requests only if it signed them (RFC 9101).
    require_signed_request_object: bool,
    /// `ES256`, `EdDSA`, `PS256` or `RS256`: what signed authorization responses are signed with (JARM). Without it:
    /// RS256, or what ID tokens are where the profile forbids that.
    authorization_signed_response_alg: Option<String>,
    /// `ES256`, `EdDSA`, `PS256` or `RS256`: what signed answers about tokens are signed with (RFC 9701), where it asks for such. Without
    /// it: the same.
    introspection_signed_response_alg: Option<String>,
    /// Where logout tokens are sent when a session ends in which it got an ID token (OpenID Connect Back-Channel Logout).
    #[schema(example = "https://shop.example.com/auth/backchannel")]
    backchannel_logout_uri: Option<String>,
    /// Whether it needs the `sid` in them. They have it in any case.
    backchannel_logout_session_required: bool,
    /// Let it ask for sign-ins on devices without a browser (RFC 8628): for `native` and `web`. A `device` always may.
    device_grant: bool,
    /// Let it exchange tokens of users for others (RFC 8693): for clients with a secret or keys. Without it: it may not.
    token_exchange: Option<TokenExchangeDocument>,
    /// Whose assertions say who it is (RFC 7523 §2.1): for `m2m`. A client that is made with some has no secret.
    assertion_issuers: Vec<AssertionIssuerDocument>,
    /// Give it only access tokens that are bound to a key that it proves (RFC 9449 §5.2). A proof binds them in any case.
    dpop_bound_access_tokens: bool,
    /// Give it only access tokens that are bound to the certificate that it shows (RFC 8705 §3.4).
    tls_client_certificate_bound_access_tokens: bool,
    /// `public` (the default), or `pairwise`: no other client knows what this one calls people, but those of the same sector (OpenID
    /// Connect Core §8). Changing it, or the sector, gives everybody a new name there.
    subject_type: Option<String>,
    /// The host whose clients share pairwise subjects. Without it: that of the redirect URIs, if it is one.
    sector_identifier: Option<String>,
    /// `ES256`, `EdDSA`, `PS256` or `RS256`: what answers of the userinfo endpoint are signed with (OpenID Connect Core §5.3.2). Without
    /// it they are plain JSON.
    userinfo_signed_response_alg: Option<String>,
    /// Where others may send somebody who is to sign in there (OpenID Connect Core §4). It uses https.
    initiate_login_uri: Option<String>,
    /// How many seconds ago somebody may have signed in whose request does not say it by `max_age` (OpenID Connect Registration §2): who
    /// did so earlier signs in again.
    #[schema(example = 3600)]
    default_max_age: Option<u32>,
    /// `ES256`, `EdDSA`, `PS256` or `RS256`: what its request objects are signed by; others are refused. Without it: whatever its keys
    /// sign by.
    request_object_signing_alg: Option<String>,
    /// `native` or `web`: what kind of application it says that it is. Answers of one on the web go by https, and not to `localhost`
    /// (OpenID Connect Registration §2).
    #[schema(example = "web")]
    application_type: Option<String>,
    /// `poll` or `ping`: let it start sign-ins from behind (OpenID Connect CIBA), and say how it hears what was decided. For `web`. Without
    /// it: it may start none.
    backchannel_token_delivery_mode: Option<String>,
    /// Where it is told that somebody decided: for `ping`. It uses https.
    #[schema(example = "https://shop.example.com/auth/ciba")]
    backchannel_client_notification_endpoint: Option<String>,
    /// `ES256`, `EdDSA`, `PS256` or `RS256`: what these requests are signed with. Without it they are not signed.
    backchannel_authentication_request_signing_alg: Option<String>,
}

/// Somebody whose assertions say who a client is: for this server alone, used once, and an hour long at most.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssertionIssuerDocument {
    /// The `iss` of the assertions.
    issuer: String,
    /// The public keys that they are signed with, as a JSON Web Key Set.
    #[schema(value_type = Object)]
    jwks: serde_json::Value,
    /// The `sub` of those that mean this client, compared as they are.
    subjects: Vec<String>,
}

impl From<AssertionIssuer> for AssertionIssuerDocument {
    fn from(trusted: AssertionIssuer) -> Self {
        let AssertionIssuer { issuer, jwks, subjects } = trusted;
        // What is stored was read as JSON before.
        Self { issuer, jwks: serde_json::from_str(&jwks).unwrap_or_default(), subjects }
    }
}

impl From<AssertionIssuerDocument> for AssertionIssuerForm {
    fn from(document: AssertionIssuerDocument) -> Self {
        let AssertionIssuerDocument { issuer, jwks, subjects } = document;
        Self { issuer, jwks: jwks.to_string(), subjects }
    }
}

/// What a client may exchange tokens of users for.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenExchangeDocument {
    /// Which of its APIs.
    apis: Vec<String>,
    /// Let it pass for the user: without an actor, its tokens do not say that somebody acts for the user. What it does is an
    /// audit event.
    #[serde(default)]
    impersonation: bool,
}

impl From<TokenExchange> for TokenExchangeDocument {
    fn from(settings: TokenExchange) -> Self {
        Self {
            apis: settings.apis.iter().map(ToString::to_string).collect(),
            impersonation: settings.impersonation.is_allowed(),
        }
    }
}

impl From<TokenExchangeDocument> for TokenExchangeForm {
    fn from(document: TokenExchangeDocument) -> Self {
        Self { apis: document.apis, impersonation: document.impersonation }
    }
}

impl ProtocolDocument {
    /// What a client is spared, as far as this says it.
    pub(super) fn concessions(&self) -> ConcessionsForm {
        let (require_pkce, assertion_audience) = (self.require_pkce, self.assertion_audience.clone());
        ConcessionsForm { require_pkce, assertion_audience }
    }

    /// The same, as it is shown.
    pub(super) fn with(mut self, concessions: Concessions) -> Self {
        self.require_pkce = Some(concessions.pkce.is_required());
        self.assertion_audience = Some(concessions.assertion_audience.as_str().to_owned());
        self
    }
}

impl From<ProtocolSettings> for ProtocolDocument {
    fn from(settings: ProtocolSettings) -> Self {
        let name = |alg: Option<SigningAlg>| alg.map(|alg| alg.as_str().to_owned());
        let answers = settings.answers;
        let backchannel = settings.backchannel_logout;
        let constraint = settings.sender_constraint;
        let openid = settings.openid;
        let ciba = CibaForm::from(openid.ciba);
        Self {
            require_pkce: None,
            assertion_audience: None,
            backchannel_logout_session_required: backchannel
                .as_ref()
                .is_some_and(|told| told.session_required),
            backchannel_logout_uri: backchannel.map(|told| told.uri.into()),
            subject_type: Some(openid.subject.as_str().to_owned()),
            sector_identifier: openid.subject.sector().map(str::to_owned),
            userinfo_signed_response_alg: name(openid.userinfo_alg),
            initiate_login_uri: openid.initiate_login_uri,
            default_max_age: openid.default_max_age_secs,
            request_object_signing_alg: name(openid.request_object_alg),
            application_type: openid.application_type.map(|kind| kind.as_str().to_owned()),
            backchannel_token_delivery_mode: ciba.delivery_mode,
            backchannel_client_notification_endpoint: ciba.notification_endpoint,
            backchannel_authentication_request_signing_alg: ciba.request_signing_alg,
            require_signed_request_object: settings.request_objects.are_required(),
            require_pushed_requests: settings.pushed_requests.are_required(),
            authorization_signed_response_alg: name(answers.authorization_response_alg),
            introspection_signed_response_alg: name(answers.introspection_response_alg),
            device_grant: settings.device_grant.is_allowed(),
            token_exchange: settings.token_exchange.map(TokenExchangeDocument::from),
            assertion_issuers: settings.assertion_issuers.into_iter().map(Into::into).collect(),
            dpop_bound_access_tokens: constraint.dpop_bound_access_tokens,
            tls_client_certificate_bound_access_tokens: constraint.tls_client_certificate_bound_access_tokens,
        }
    }
}

impl From<ProtocolDocument> for ProtocolForm {
    fn from(document: ProtocolDocument) -> Self {
        Self {
            backchannel_logout_session_required: document.backchannel_logout_session_required,
            backchannel_logout_uri: document.backchannel_logout_uri,
            require_signed_request_object: document.require_signed_request_object,
            require_pushed_requests: document.require_pushed_requests,
            answers: AnswersForm {
                authorization_signed_response_alg: document.authorization_signed_response_alg,
                introspection_signed_response_alg: document.introspection_signed_response_alg,
            },
            device_grant: document.device_grant,
            token_exchange: document.token_exchange.map(TokenExchangeForm::from),
            assertion_issuers: document.assertion_issuers.into_iter().map(Into::into).collect(),
            sender_constraint: SenderConstraint {
                dpop_bound_access_tokens: document.dpop_bound_access_tokens,
                tls_client_certificate_bound_access_tokens: document
                    .tls_client_certificate_bound_access_tokens,
            },
            openid: OpenIdForm {
                subject_type: document.subject_type,
                sector_identifier: document.sector_identifier,
                userinfo_signed_response_alg: document.userinfo_signed_response_alg,
                initiate_login_uri: document.initiate_login_uri,
                default_max_age: document.default_max_age,
                request_object_signing_alg: document.request_object_signing_alg,
                application_type: document.application_type,
                ciba: CibaForm {
                    delivery_mode: document.backchannel_token_delivery_mode,
                    notification_endpoint: document.backchannel_client_notification_endpoint,
                    request_signing_alg: document.backchannel_authentication_request_signing_alg,
                },
            },
        }
    }
}
