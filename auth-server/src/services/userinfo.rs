//! Userinfo ([OpenID Connect Core §5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo)).

use serde_json::{Map, Value};

use crate::domain::claim::ClaimSet;
use crate::domain::claims::OPENID;
use crate::domain::clock::Timestamp;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::once::Once;
use crate::keys::ring::SignError;
use crate::services::possession::ShownToken;
use crate::services::token::access::{AccessTokens, LiveToken};
use crate::storage::grants::Standing;
use crate::storage::{Store, StoreError, Unique, single_use};

/// Why nothing is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserInfoError {
    #[error(transparent)]
    Fault(StoreError),
    #[error("the token was not issued for the scope openid")]
    InsufficientScope,
    #[error("the profile of the client does not permit the algorithm of the proof")]
    ProofAlgorithm,
    #[error("the proof of possession was used before")]
    ProofUsed,
    #[error("the token is bound to something that was not proven, or was not shown as what it is")]
    Unproven,
    #[error("the token is malformed, expired, revoked, or meant for something else")]
    InvalidToken,
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What is told.
#[derive(Debug)]
pub(crate) enum UserInfo {
    /// Claims as they are.
    Plain(Map<String, Value>),
    /// A JWT, for a client that wants one.
    Signed(String),
}

impl From<StoreError> for UserInfoError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(Unique::Once) => Self::ProofUsed,
            error => Self::Fault(error),
        }
    }
}

impl UserInfoError {
    /// What the client is told.
    pub(crate) const fn code(&self) -> OAuthErrorCode {
        match self {
            Self::Fault(error) if error.is_temporary() => OAuthErrorCode::TemporarilyUnavailable,
            Self::Fault(_) | Self::Sign(_) => OAuthErrorCode::ServerError,
            Self::InsufficientScope => OAuthErrorCode::InsufficientScope,
            Self::InvalidToken | Self::Unproven => OAuthErrorCode::InvalidToken,
            Self::ProofAlgorithm | Self::ProofUsed => OAuthErrorCode::InvalidDpopProof,
        }
    }
}

/// Tells clients who signed in.
#[derive(Clone)]
pub(crate) struct UserInfoService {
    store: Store,
    tokens: AccessTokens,
}

impl UserInfoService {
    pub(crate) const fn new(store: Store, tokens: AccessTokens) -> Self {
        Self { store, tokens }
    }

    /// Who the token speaks for, as far as its scopes and the claims that were asked for go.
    ///
    /// The token has to be for this server: one for an API would let that API learn what the user told the client only.
    pub(crate) async fn userinfo(
        &self,
        shown: ShownToken<'_>,
        now: Timestamp,
    ) -> Result<UserInfo, UserInfoError> {
        let claims = self.tokens.read(shown.token, now).ok_or(UserInfoError::InvalidToken)?;
        if claims.aud != self.tokens.issuer().as_str() {
            return Err(UserInfoError::InvalidToken);
        }
        // RFC 9449 §7.1, RFC 8705 §3.
        if !shown.proves(&claims.cnf) {
            return Err(UserInfoError::Unproven);
        }
        let live = self.tokens.check(&mut self.store.read().await?, claims, now).await?;
        let LiveToken { claims, client, standing } = live.ok_or(UserInfoError::InvalidToken)?;
        let mut proofs = shown.possession.proof.iter();
        if !proofs.all(|proof| client.settings.profile.permits_alg(proof.alg)) {
            return Err(UserInfoError::ProofAlgorithm);
        }
        if !claims.scope.contains(OPENID) {
            return Err(UserInfoError::InsufficientScope);
        }
        let Standing { grant, user, .. } = standing.ok_or(UserInfoError::InsufficientScope)?;
        // Only now: whoever is refused has nothing written.
        if let Some(once) = shown.possession.proof.clone().map(Once::from) {
            self.store.write(move |tx| Box::pin(async move { single_use::use_up(tx, &once).await })).await?;
        }
        // What the client may ask for can have shrunk since.
        let told = ClaimSet::revealed_by(&claims.scope)
            .union(&grant.identity.claims.userinfo.within(&client.scopes));
        let mut info = told.of(&user);
        // The subject of the ID token (Core §5.3.2): both come of the same grant.
        info.insert("sub".to_owned(), claims.sub.into());
        match client.settings.protocol.openid.userinfo_alg {
            None => Ok(UserInfo::Plain(info)),
            Some(alg) => {
                // Core §5.3.2.
                info.insert("iss".to_owned(), self.tokens.issuer().as_str().into());
                info.insert("aud".to_owned(), client.id.as_str().into());
                Ok(UserInfo::Signed(self.tokens.sign_userinfo(alg, &info)?))
            }
        }
    }
}
