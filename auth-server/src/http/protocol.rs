//! The services behind the endpoints of OAuth and OpenID Connect.

use crate::http::advertised::Advertised;
use crate::http::decision_point::DecisionPoint;
use crate::http::dpop::Proofs;
use crate::http::extract::certificate::Certificates;
use crate::services::authorize::AuthorizeService;
use crate::services::ciba::CibaService;
use crate::services::client_auth::ClientAuthenticator;
use crate::services::device::DeviceService;
use crate::services::introspect::IntrospectionService;
use crate::services::logout::LogoutService;
use crate::services::revocations::RevocationService;
use crate::services::token::TokenService;
use crate::services::userinfo::UserInfoService;

/// The services behind the endpoints of OAuth and OpenID Connect.
#[derive(Clone)]
pub(crate) struct Protocol {
    pub(crate) authorize: AuthorizeService,
    pub(crate) clients: ClientAuthenticator,
    pub(crate) decoupled: Decoupled,
    pub(crate) documents: Documents,
    pub(crate) evidence: Evidence,
    pub(crate) introspection: IntrospectionService,
    pub(crate) logout: LogoutService,
    pub(crate) revocations: RevocationService,
    pub(crate) tokens: TokenService,
    pub(crate) userinfo: UserInfoService,
}

/// What is decided elsewhere than where it is asked for.
#[derive(Clone)]
pub(crate) struct Decoupled {
    pub(crate) ciba: CibaService,
    pub(crate) devices: DeviceService,
}

/// What the server says about itself.
#[derive(Clone)]
pub(crate) struct Documents {
    pub(crate) decision_point: DecisionPoint,
    pub(crate) discovery: Advertised,
}

/// What finds out what the senders of requests hold.
#[derive(Clone)]
pub(crate) struct Evidence {
    pub(crate) certificates: Certificates,
    pub(crate) proofs: Proofs,
}
