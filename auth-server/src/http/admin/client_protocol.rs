//! What a client is held to in the protocol, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::client_openid::OpenIdSettings;
use crate::domain::client_protocol::ProtocolSettings;
use crate::services::clients::openid::OpenIdForm;
use crate::services::clients::protocol::ProtocolForm;

/// What a client is held to beyond what every client is.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProtocolDocument {
    /// Accept its authorization requests only if it pushed them before (RFC 9126).
    require_pushed_requests: bool,
    /// Accept its authorization requests only if it signed them (RFC 9101).
    require_signed_request_object: bool,
    /// `ES256`, `EdDSA`, `PS256` or `RS256`: what signed authorization responses are signed with (JARM). Without it: what ID tokens are.
    authorization_signed_response_alg: Option<String>,
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
}

impl From<ProtocolSettings> for ProtocolDocument {
    fn from(settings: ProtocolSettings) -> Self {
        let response_alg = settings.authorization_response_alg;
        let OpenIdSettings { subject, userinfo_alg, initiate_login_uri } = settings.openid;
        Self {
            subject_type: Some(subject.as_str().to_owned()),
            sector_identifier: subject.sector().map(str::to_owned),
            userinfo_signed_response_alg: userinfo_alg.map(|alg| alg.as_str().to_owned()),
            initiate_login_uri,
            require_signed_request_object: settings.request_objects.are_required(),
            require_pushed_requests: settings.pushed_requests.are_required(),
            authorization_signed_response_alg: response_alg.map(|alg| alg.as_str().to_owned()),
        }
    }
}

impl From<ProtocolDocument> for ProtocolForm {
    fn from(document: ProtocolDocument) -> Self {
        Self {
            require_signed_request_object: document.require_signed_request_object,
            require_pushed_requests: document.require_pushed_requests,
            authorization_signed_response_alg: document.authorization_signed_response_alg,
            openid: OpenIdForm {
                subject_type: document.subject_type,
                sector_identifier: document.sector_identifier,
                userinfo_signed_response_alg: document.userinfo_signed_response_alg,
                initiate_login_uri: document.initiate_login_uri,
            },
        }
    }
}
