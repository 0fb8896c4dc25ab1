//! Token revocation ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)).

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::revocation::Revocation;
use crate::domain::secret::{OpaqueToken, TokenKind};
use crate::services::token::TokenCaller;
use crate::services::token::access::AccessTokens;
use crate::storage::{Store, StoreError, grants, refresh_tokens, revocations};

/// The database did not take the revocation.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct RevokeError(#[from] StoreError);

impl RevokeError {
    /// What the client is told: RFC 7009 §2.2.1 lets it try again.
    pub(crate) const fn code(&self) -> OAuthErrorCode {
        if self.0.is_temporary() {
            OAuthErrorCode::TemporarilyUnavailable
        } else {
            OAuthErrorCode::ServerError
        }
    }
}

/// Revokes tokens.
#[derive(Clone)]
pub(crate) struct RevocationService {
    store: Store,
    tokens: AccessTokens,
}

impl RevocationService {
    pub(crate) const fn new(store: Store, tokens: AccessTokens) -> Self {
        Self { store, tokens }
    }

    /// Revokes a token of the caller.
    ///
    /// Whatever else is sent changes nothing and is no error (RFC 7009 §2.2): the client could not act on one, and others
    /// would learn which tokens exist. The token says itself what it is, so a `token_type_hint` is not needed.
    pub(crate) async fn revoke(&self, caller: &TokenCaller, token: &str) -> Result<(), RevokeError> {
        match OpaqueToken::parse_as(TokenKind::Refresh, token) {
            Ok(refresh) => self.revoke_grant(caller, &refresh).await?,
            Err(_) => self.revoke_access(caller, token).await?,
        }
        Ok(())
    }

    /// A refresh token takes its grant with it, and so its access tokens (RFC 7009 §2.1).
    async fn revoke_grant(&self, caller: &TokenCaller, token: &OpaqueToken) -> Result<(), StoreError> {
        let (caller, digest) = (caller.clone(), token.digest());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let found = refresh_tokens::find(tx, &digest).await?;
                    let Some(token) = found.filter(|token| token.client == caller.client.client().id) else {
                        return Ok(());
                    };
                    if grants::revoke(tx, &token.grant, caller.now).await? {
                        refresh_tokens::revoke_family(tx, &token.grant, caller.now).await?;
                        tx.audit(event(&caller, AuditAction::GrantRevoked).on(&token.grant));
                    }
                    Ok(())
                })
            })
            .await
    }

    /// An access token dies alone: it is remembered until it would have expired.
    async fn revoke_access(&self, caller: &TokenCaller, token: &str) -> Result<(), StoreError> {
        let claims = self.tokens.read(token, caller.now);
        let Some(claims) = claims.filter(|claims| claims.client_id == caller.client.client().id) else {
            return Ok(());
        };
        let caller = caller.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    // Said again, it would only have every service hear it again.
                    if revocations::jti_revoked(tx, &claims.jti).await? {
                        return Ok(());
                    }
                    tx.revoke(Revocation::of_token(&claims.jti, Timestamp::from_secs(claims.exp)));
                    let detail = json!({ "jti": claims.jti });
                    tx.audit(event(&caller, AuditAction::TokenRevoked).on(&claims.sub).with(detail));
                    Ok(())
                })
            })
            .await
    }
}

fn event(caller: &TokenCaller, action: AuditAction) -> AuditEvent {
    AuditEvent::new(Actor::Client(caller.client.client().id.clone()), action).from(Some(caller.address))
}
