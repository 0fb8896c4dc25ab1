//! What may be said of a client, thing by thing.

use crate::services::clients::form::ClientForm;
use crate::services::clients::grants::{AssertionIssuerForm, TokenExchangeForm};

pub(super) const API: &str = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
const METHOD: &str = "/options/authentication/token_endpoint_auth_method";
/// A key that signs by ES256, and names a certificate.
pub(super) const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","x5t#S256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#;

/// One thing that is said of a client.
pub(super) struct Setting {
    /// As the page has it. What stands before `:` is the member: a client has one value of each.
    pub(super) name: &'static str,
    /// Where its refusals may point.
    pointers: &'static [&'static str],
    /// Says it, after all that stands before it in the list.
    pub(super) say: fn(&mut ClientForm),
}

impl Setting {
    pub(super) fn member(&self) -> &'static str {
        self.name.split(':').next().unwrap_or_default()
    }

    pub(super) fn owns(&self, pointer: &str) -> bool {
        self.pointers
            .iter()
            .any(|own| pointer.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

const fn setting(name: &'static str, pointers: &'static [&'static str], say: fn(&mut ClientForm)) -> Setting {
    Setting { name, pointers, say }
}

#[expect(clippy::unnecessary_wraps, reason = "members of a form are options")]
pub(super) fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn with_api(form: &mut ClientForm) {
    form.apis = vec![API.to_owned()];
}

fn with_keys(form: &mut ClientForm) {
    if form.options.jwks_uri.is_none() {
        form.jwks = text(KEYS);
    }
}

fn by_method(form: &mut ClientForm, method: &str) {
    form.options.authentication.token_endpoint_auth_method = text(method);
}

/// Who the client is, and what it may ask for.
const PLAIN: &[Setting] = &[
    setting("`redirect_uris`: at a loopback address", &["/redirect_uris"], |form| {
        form.redirect_uris = vec!["http://127.0.0.1/cb".to_owned()];
    }),
    setting("`redirect_uris`: of a private scheme", &["/redirect_uris"], |form| {
        form.redirect_uris = vec!["com.example.app:/cb".to_owned()];
    }),
    setting("`post_logout_redirect_uris`", &["/post_logout_redirect_uris"], |form| {
        form.post_logout_redirect_uris = vec!["https://app.example/bye".to_owned()];
    }),
    setting("`scopes`: `openid`", &["/scopes"], |form| form.scopes = text("openid")),
    setting("`scopes`: `email`", &["/scopes"], |form| form.scopes = text("email")),
    setting("`scopes`: `orders:read`", &["/scopes"], |form| form.scopes = text("orders:read")),
    setting("`apis`", &["/apis"], with_api),
    setting("`jwks`: keys", &["/jwks"], |form| form.jwks = text(KEYS)),
    setting("`first_party`", &["/options/first_party"], |form| form.options.first_party = true),
    setting("`id_token_alg`: `EdDSA`", &["/options/id_token_alg"], |form| {
        form.options.id_token_alg = text("EdDSA");
    }),
    setting("`id_token_alg`: `RS256`", &["/options/id_token_alg"], |form| {
        form.options.id_token_alg = text("RS256");
    }),
    setting("`jwks_uri`", &["/options/jwks_uri"], |form| {
        form.jwks = None;
        form.options.jwks_uri = text("https://app.example/keys");
    }),
    setting(
        "`authorization_details_types`, with its API",
        &["/options/authorization_details_types"],
        |form| {
            with_api(form);
            form.options.authorization_details_types = vec!["payment".to_owned()];
        },
    ),
];

/// How it proves who it is, and what its tokens are bound to.
const PROOFS: &[Setting] = &[
    setting("`token_endpoint_auth_method`: `none`", &[METHOD], |form| by_method(form, "none")),
    setting("`token_endpoint_auth_method`: `client_secret_basic`", &[METHOD], |form| {
        by_method(form, "client_secret_basic");
    }),
    setting("`token_endpoint_auth_method`: `private_key_jwt`, with keys", &[METHOD, "/jwks"], |form| {
        with_keys(form);
        by_method(form, "private_key_jwt");
    }),
    setting(
        "`token_endpoint_auth_method`: `self_signed_tls_client_auth`, with its certificate",
        &[METHOD, "/jwks"],
        |form| {
            with_keys(form);
            by_method(form, "self_signed_tls_client_auth");
        },
    ),
    setting("`token_endpoint_auth_method`: `tls_client_auth`, with a name", &[METHOD], |form| {
        form.options.authentication.tls_client_auth_san_dns = text("app.example");
        by_method(form, "tls_client_auth");
    }),
    setting(
        "`token_endpoint_auth_signing_alg`",
        &["/options/authentication/token_endpoint_auth_signing_alg"],
        |form| form.options.authentication.token_endpoint_auth_signing_alg = text("ES256"),
    ),
    setting("`assertion_audience`: `endpoint`", &["/options/protocol/assertion_audience"], |form| {
        form.options.concessions.assertion_audience = text("endpoint");
    }),
    setting("`require_pkce`: `false`", &["/options/protocol/require_pkce"], |form| {
        form.options.concessions.require_pkce = Some(false);
    }),
    setting("`dpop_bound_access_tokens`", &["/options/protocol/dpop_bound_access_tokens"], |form| {
        form.options.protocol.sender_constraint.dpop_bound_access_tokens = true;
    }),
    setting(
        "`tls_client_certificate_bound_access_tokens`",
        &["/options/protocol/tls_client_certificate_bound_access_tokens"],
        |form| form.options.protocol.sender_constraint.tls_client_certificate_bound_access_tokens = true,
    ),
];

/// How it asks, and what it is answered.
const REQUESTS: &[Setting] = &[
    setting("`require_pushed_requests`", &["/options/protocol/require_pushed_requests"], |form| {
        form.options.protocol.require_pushed_requests = true;
    }),
    setting(
        "`require_signed_request_object`",
        &["/options/protocol/require_signed_request_object"],
        |form| {
            form.options.protocol.require_signed_request_object = true;
        },
    ),
    setting("`request_object_signing_alg`", &["/options/protocol/request_object_signing_alg"], |form| {
        form.options.protocol.openid.request_object_signing_alg = text("ES256");
    }),
    setting(
        "`authorization_signed_response_alg`",
        &["/options/protocol/authorization_signed_response_alg"],
        |form| form.options.protocol.answers.authorization_signed_response_alg = text("ES256"),
    ),
    setting(
        "`introspection_signed_response_alg`",
        &["/options/protocol/introspection_signed_response_alg"],
        |form| form.options.protocol.answers.introspection_signed_response_alg = text("ES256"),
    ),
    setting("`userinfo_signed_response_alg`", &["/options/protocol/userinfo_signed_response_alg"], |form| {
        form.options.protocol.openid.userinfo_signed_response_alg = text("ES256");
    }),
    setting("`subject_type`: `pairwise`", &["/options/protocol/subject_type"], |form| {
        form.options.protocol.openid.subject_type = text("pairwise");
        // Said as well, so that it does not matter where answers go.
        form.options.protocol.openid.sector_identifier = text("app.example");
    }),
    setting("`sector_identifier`", &["/options/protocol/sector_identifier"], |form| {
        form.options.protocol.openid.sector_identifier = text("app.example");
    }),
    setting("`initiate_login_uri`", &["/options/protocol/initiate_login_uri"], |form| {
        form.options.protocol.openid.initiate_login_uri = text("https://app.example/begin");
    }),
    setting("`default_max_age`", &["/options/protocol/default_max_age"], |form| {
        form.options.protocol.openid.default_max_age = Some(600);
    }),
    setting("`application_type`: `web`", &["/options/protocol/application_type"], |form| {
        form.options.protocol.openid.application_type = text("web");
    }),
    setting("`backchannel_logout_uri`", &["/options/protocol/backchannel_logout_uri"], |form| {
        form.options.protocol.backchannel_logout_uri = text("https://app.example/gone");
    }),
    setting(
        "`backchannel_logout_session_required`",
        &["/options/protocol/backchannel_logout_session_required"],
        |form| form.options.protocol.backchannel_logout_session_required = true,
    ),
];

/// The grants beyond those of its preset.
const GRANTS: &[Setting] = &[
    setting("`device_grant`", &["/options/protocol/device_grant"], |form| {
        form.options.protocol.device_grant = true;
    }),
    setting("`token_exchange`, with its API", &["/options/protocol/token_exchange"], |form| {
        with_api(form);
        form.options.protocol.token_exchange =
            Some(TokenExchangeForm { apis: vec![API.to_owned()], impersonation: false });
    }),
    setting("`assertion_issuers`", &["/options/protocol/assertion_issuers"], |form| {
        form.options.protocol.assertion_issuers = vec![AssertionIssuerForm {
            issuer: "https://builds.example".to_owned(),
            jwks: KEYS.to_owned(),
            subjects: vec!["main".to_owned()],
        }];
    }),
    setting(
        "`backchannel_token_delivery_mode`: `poll`",
        &["/options/protocol/backchannel_token_delivery_mode"],
        |form| form.options.protocol.openid.ciba.delivery_mode = text("poll"),
    ),
    setting(
        "`backchannel_token_delivery_mode`: `ping`, with its endpoint",
        &[
            "/options/protocol/backchannel_token_delivery_mode",
            "/options/protocol/backchannel_client_notification_endpoint",
        ],
        |form| {
            form.options.protocol.openid.ciba.delivery_mode = text("ping");
            form.options.protocol.openid.ciba.notification_endpoint = text("https://app.example/ciba");
        },
    ),
    setting(
        "`backchannel_authentication_request_signing_alg`",
        &["/options/protocol/backchannel_authentication_request_signing_alg"],
        |form| form.options.protocol.openid.ciba.request_signing_alg = text("ES256"),
    ),
];

/// All of them. What is said later may take what was said before as given.
pub(super) fn settings() -> Vec<&'static Setting> {
    [PLAIN, PROOFS, REQUESTS, GRANTS].into_iter().flatten().collect()
}
