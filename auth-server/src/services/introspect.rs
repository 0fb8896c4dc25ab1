//! Token introspection ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)), with answers that are signed for whoever wants them
//! ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)).

use serde::Serialize;

use crate::domain::claim::{Claim, ClaimSet};
use crate::domain::claims::AccessTokenClaims;
use crate::domain::client::Client;
use crate::domain::client_openid::SubjectType;
use crate::domain::clock::Timestamp;
use crate::domain::grant::Grant;
use crate::domain::ids::ClientId;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::refresh::RefreshState;
use crate::domain::scope::ScopeSet;
use crate::domain::secret::{OpaqueToken, TokenKind};
use crate::domain::user::Sub;
use crate::keys::ring::SignError;
use crate::services::client_auth::AuthenticatedClient;
use crate::services::token::access::{AccessTokens, LiveToken, standing_holds};
use crate::storage::{Store, StoreError, grants, refresh_tokens};

/// Why nothing is said about any token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntrospectError {
    #[error(transparent)]
    Fault(#[from] StoreError),
    /// RFC 7662 §2.1: the caller must prove who it is.
    #[error("a public client may not introspect")]
    PublicClient,
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl IntrospectError {
    /// What the client is told.
    pub(crate) const fn code(&self) -> OAuthErrorCode {
        match self {
            Self::Fault(error) if error.is_temporary() => OAuthErrorCode::TemporarilyUnavailable,
            Self::Fault(_) | Self::Sign(_) => OAuthErrorCode::ServerError,
            Self::PublicClient => OAuthErrorCode::InvalidClient,
        }
    }
}

/// What is said about a token.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Introspection {
    Access(Box<ActiveAccess>),
    /// Nothing: not even why.
    Inactive(Inactive),
    Refresh(Box<ActiveRefresh>),
}

/// The whole answer for a token that is not active, not ours, or not the caller's business (RFC 7662 §2.2).
#[derive(Debug, Serialize)]
pub(crate) struct Inactive {
    active: bool,
}

/// An access token that is good: its claims, and whom they mean.
#[derive(Debug, Serialize)]
pub(crate) struct ActiveAccess {
    active: bool,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(flatten)]
    claims: AccessTokenClaims,
}

/// A refresh token that is good.
#[derive(Debug, Serialize)]
pub(crate) struct ActiveRefresh {
    active: bool,
    client_id: ClientId,
    sub: Sub,
    iss: String,
    exp: i64,
    #[serde(skip_serializing_if = "ScopeSet::is_empty")]
    scope: ScopeSet,
}

/// What is signed of an answer (RFC 9701 §5). Without `sub` and `exp` it is nothing that could pass for a token (§8.1).
#[derive(Serialize)]
struct Signed<'a> {
    iss: &'a str,
    aud: &'a ClientId,
    iat: i64,
    token_introspection: &'a Introspection,
}

/// Tells clients about tokens.
#[derive(Clone)]
pub(crate) struct IntrospectionService {
    store: Store,
    tokens: AccessTokens,
}

impl IntrospectionService {
    pub(crate) const fn new(store: Store, tokens: AccessTokens) -> Self {
        Self { store, tokens }
    }

    /// Says whether a token is good, to a client that it concerns.
    pub(crate) async fn introspect(
        &self,
        caller: &AuthenticatedClient,
        token: &str,
        now: Timestamp,
    ) -> Result<Introspection, IntrospectError> {
        if !caller.is_confidential() {
            return Err(IntrospectError::PublicClient);
        }
        let found = match OpaqueToken::parse_as(TokenKind::Refresh, token) {
            Ok(refresh) => self.refresh(caller, &refresh, now).await?,
            Err(_) => self.access(caller, token, now).await?,
        };
        Ok(found.unwrap_or(Introspection::Inactive(Inactive { active: false })))
    }

    /// The same answer as a JWT for whoever asked.
    pub(crate) fn sign(
        &self,
        caller: &AuthenticatedClient,
        said: &Introspection,
        now: Timestamp,
    ) -> Result<String, IntrospectError> {
        let client = caller.client();
        let claims = Signed {
            iss: self.tokens.issuer().as_str(),
            aud: &client.id,
            iat: now.as_secs(),
            token_introspection: said,
        };
        Ok(self.tokens.sign_introspection(client.introspection_alg(), &claims)?)
    }

    async fn access(
        &self,
        caller: &AuthenticatedClient,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Introspection>, StoreError> {
        let Some(claims) = self.tokens.read(token, now) else { return Ok(None) };
        if !self.concerns(caller.client(), &claims).await? {
            return Ok(None);
        }
        let live = self.tokens.check(&mut self.store.read().await?, claims, now).await?;
        let Some(LiveToken { claims, standing, .. }) = live else { return Ok(None) };
        // Whoever does not know the subject of others does not know the user name, which is the same everywhere.
        let is_public = caller.client().settings.protocol.openid.subject == SubjectType::Public;
        // The guard of an API knows people as the API does; a client knows what it was allowed to.
        let is_own = claims.client_id == caller.client().id;
        let standing = standing.filter(|standing| is_public && (!is_own || tells_username(&standing.grant)));
        let username = standing.map(|standing| standing.user.username.as_str().to_owned());
        let active = ActiveAccess { active: true, token_type: claims.cnf.token_type(), username, claims };
        Ok(Some(Introspection::Access(Box::new(active))))
    }

    /// A client learns about its own tokens, and about those for the API whose guard it is.
    async fn concerns(&self, caller: &Client, claims: &AccessTokenClaims) -> Result<bool, StoreError> {
        if claims.client_id == caller.id {
            return Ok(true);
        }
        let Some(serves) = &caller.settings.serves else { return Ok(false) };
        let api = self.store.api(serves).await?;
        Ok(api.is_some_and(|api| api.audience.as_str() == claims.aud))
    }

    /// Only the client itself learns about its refresh tokens: nobody else has one in hand honestly.
    async fn refresh(
        &self,
        caller: &AuthenticatedClient,
        token: &OpaqueToken,
        now: Timestamp,
    ) -> Result<Option<Introspection>, StoreError> {
        let mut tx = self.store.read().await?;
        let found = refresh_tokens::find(&mut tx, &token.digest()).await?;
        let Some(row) = found.filter(|row| row.client == caller.client().id) else { return Ok(None) };
        let RefreshState::Active { expires_at } = row.state else { return Ok(None) };
        let standing = grants::standing(&mut tx, &row.grant).await?;
        let Some(standing) = standing.filter(|standing| now < expires_at && standing_holds(standing, now))
        else {
            return Ok(None);
        };
        Ok(Some(Introspection::Refresh(Box::new(ActiveRefresh {
            active: true,
            client_id: row.client,
            sub: self.tokens.subject(caller.client(), &standing.user),
            iss: self.tokens.issuer().as_str().to_owned(),
            exp: expires_at.as_secs(),
            scope: row.scopes,
        }))))
    }
}

/// Whether the person let the client know the user name: it is the claim `preferred_username` under another name.
fn tells_username(grant: &Grant) -> bool {
    let told = ClaimSet::revealed_by(&grant.scopes).union(&grant.identity.claims.all());
    told.iter().any(|claim| claim == Claim::PreferredUsername)
}
