//! What a client may have that comes by itself.

use std::sync::Arc;

use crate::config::{Dynamic, Registration};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ApiId;
use crate::domain::registration::{Allowance, InitialToken, OF_EVERYBODY};
use crate::domain::secret::{Digest32, OpaqueToken, TokenKind};
use crate::services::registration::error::RegistrationError;
use crate::storage::{Store, StoreError, initial_tokens};

/// Says what clients may have that come by themselves.
#[derive(Clone)]
pub(crate) struct Permissions {
    store: Store,
    settings: Arc<Registration>,
}

/// What one client may have, and the token that says so.
#[derive(Debug)]
pub(super) struct Permitted {
    pub(super) allowance: Allowance,
    pub(super) token: Option<(InitialToken, Digest32)>,
}

impl Permissions {
    pub(crate) const fn new(store: Store, settings: Arc<Registration>) -> Self {
        Self { store, settings }
    }

    pub(super) fn settings(&self) -> &Registration {
        &self.settings
    }

    /// What a client may have by the token that it shows.
    pub(super) async fn of_arrival(
        &self,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Permitted, RegistrationError> {
        match (self.settings.dynamic, token) {
            (Dynamic::Off, _) => Err(RegistrationError::Off),
            (Dynamic::Token, None) => Err(RegistrationError::TokenMissing),
            (Dynamic::Open, None) => Ok(Permitted { allowance: self.of_everybody().await?, token: None }),
            (Dynamic::Open | Dynamic::Token, Some(raw)) => {
                let shown = OpaqueToken::parse_as(TokenKind::InitialAccess, raw);
                let digest = shown.map_err(|_| RegistrationError::Token)?.digest();
                let mut tx = self.store.read().await?;
                let found = initial_tokens::find_good(&mut tx, &digest, now).await?;
                let found = found.ok_or(RegistrationError::Token)?;
                drop(tx);
                let allowance = self.as_far_as_it_exists(found.allowance.clone()).await?;
                Ok(Permitted { allowance, token: Some((found, digest)) })
            }
        }
    }

    /// The same without APIs that were deleted since.
    pub(super) async fn as_far_as_it_exists(&self, allowance: Allowance) -> Result<Allowance, StoreError> {
        let mut apis = Vec::new();
        for id in allowance.apis {
            if self.store.api(&id).await?.is_some() {
                apis.push(id);
            }
        }
        Ok(Allowance { apis, ..allowance })
    }

    /// What a client may have that nobody vouched for.
    pub(super) async fn of_everybody(&self) -> Result<Allowance, StoreError> {
        Ok(Allowance {
            grants: OF_EVERYBODY.to_vec(),
            scopes: self.settings.scopes.clone(),
            redirect_hosts: Vec::new(),
            apis: self.apis().await?,
        })
    }

    /// The configured APIs, as far as they exist. The admin API is for nobody who comes by himself.
    async fn apis(&self) -> Result<Vec<ApiId>, StoreError> {
        let mut found = Vec::new();
        for audience in &self.settings.apis {
            match self.store.api_by_audience(audience).await? {
                Some(api) if !api.administers => found.push(api.id.clone()),
                Some(_) => {
                    tracing::warn!(audience, "clients that come by themselves get no tokens for this API");
                }
                None => tracing::warn!(audience, "registration.apis names an API that does not exist"),
            }
        }
        Ok(found)
    }
}
