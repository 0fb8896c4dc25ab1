//! The services behind the endpoints of OAuth and OpenID Connect.

use axum::extract::FromRef;

use crate::http::oidc::metadata::Discovery;
use crate::http::state::AppState;
use crate::services::authorize::AuthorizeService;
use crate::services::client_auth::ClientAuthenticator;
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
    pub(crate) discovery: Discovery,
    pub(crate) introspection: IntrospectionService,
    pub(crate) logout: LogoutService,
    pub(crate) revocations: RevocationService,
    pub(crate) tokens: TokenService,
    pub(crate) userinfo: UserInfoService,
}

impl FromRef<AppState> for AuthorizeService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.authorize.clone()
    }
}

impl FromRef<AppState> for ClientAuthenticator {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.clients.clone()
    }
}

impl FromRef<AppState> for Discovery {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.discovery.clone()
    }
}

impl FromRef<AppState> for IntrospectionService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.introspection.clone()
    }
}

impl FromRef<AppState> for LogoutService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.logout.clone()
    }
}

impl FromRef<AppState> for RevocationService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.revocations.clone()
    }
}

impl FromRef<AppState> for TokenService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.tokens.clone()
    }
}

impl FromRef<AppState> for UserInfoService {
    fn from_ref(state: &AppState) -> Self {
        state.protocol.userinfo.clone()
    }
}
