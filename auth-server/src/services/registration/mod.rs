//! Clients that come by themselves: those that register
//! ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591), [RFC 7592](https://www.rfc-editor.org/rfc/rfc7592)), and those that a document
//! describes. ([Why](../../../docs/adr/0016-clients-that-register-themselves.md).)

mod about;
pub(crate) mod access;
pub(crate) mod admin;
pub(crate) mod documents;
pub(crate) mod error;
mod from_behind;
pub(crate) mod logo;
pub(crate) mod metadata;
pub(crate) mod permission;
mod picture;
mod sector;
mod wish;

use std::net::IpAddr;

use serde_json::json;

use crate::domain::audit::Actor;
use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::registration::{About, Registration, RegistrationSource};
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::services::caller::{Authority, Caller};
use crate::services::clients::ClientService;
use crate::services::network_limits::NetworkLimits;
use crate::services::registration::error::RegistrationError;
use crate::services::registration::logo::LogoService;
use crate::services::registration::metadata::ClientMetadata;
use crate::services::registration::permission::{Permissions, Permitted};
use crate::services::registration::wish::{Origin, Wish};
use crate::storage::registrations::Upkeep;
use crate::storage::{Store, Turn, initial_tokens, registrations};

/// Registers clients, and lets them look after their registration.
#[derive(Clone)]
pub(crate) struct RegistrationService {
    store: Store,
    clients: ClientService,
    permissions: Permissions,
    limits: NetworkLimits,
    logos: LogoService,
    entropy: Entropy,
}

/// Who sends a request, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) address: IpAddr,
    pub(crate) now: Timestamp,
}

/// What a client is told of its registration.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) client: Client,
    pub(crate) about: About,
    pub(crate) created_at: Timestamp,
    /// Its secret, if it was just made.
    pub(crate) secret: Option<OpaqueToken>,
    /// What lets it come back.
    pub(crate) access: OpaqueToken,
}

impl Arrival {
    /// Somebody about whom nothing is known.
    const fn caller(self) -> Caller {
        let Self { address, now } = self;
        Caller { actor: Actor::Anonymous, authority: Authority::Delegate, address: Some(address), now }
    }
}

impl RegistrationService {
    pub(crate) fn new(
        store: Store,
        clients: ClientService,
        permissions: Permissions,
        (limits, logos): (NetworkLimits, LogoService),
        entropy: Entropy,
    ) -> Self {
        Self { store, clients, permissions, limits, logos, entropy }
    }

    /// Registers a client (RFC 7591 §3).
    pub(crate) async fn register(
        &self,
        body: &[u8],
        token: Option<&str>,
        arrival: Arrival,
    ) -> Result<Registered, RegistrationError> {
        self.admit(arrival)?;
        let permitted = self.permissions.of_arrival(token, arrival.now).await?;
        let mut wish = ClientMetadata::parse(body)?.wish(&permitted.allowance, Origin::Sent)?;
        sector::settle(&mut wish, self.clients.outbound()).await?;
        Box::pin(self.add(wish, permitted, arrival)).await
    }

    /// Counts a request, before anything is looked up for it.
    fn admit(&self, arrival: Arrival) -> Result<(), RegistrationError> {
        let throttled = |retry_after| RegistrationError::Throttled { retry_after };
        self.limits.admit(arrival.address).map_err(throttled)
    }

    async fn add(
        &self,
        wish: Wish,
        permitted: Permitted,
        arrival: Arrival,
    ) -> Result<Registered, RegistrationError> {
        let mut blueprint = self.clients.blueprint(&wish.form)?;
        wish.refine(&mut blueprint);
        blueprint.spare(self.permissions.concessions());
        let (caller, about, now) = (arrival.caller(), wish.about, arrival.now);
        let access = OpaqueToken::generate(TokenKind::RegistrationAccess, &self.entropy);
        let (digest, id) = (access.digest(), self.clients.new_id(&caller));
        let upkeep = Upkeep {
            token: Some(digest),
            freshness: None,
            review_at: now.plus(self.permissions.settings().unused()),
        };
        let (clients, Permitted { allowance, token }) = (self.clients.clone(), permitted);
        let said = about.clone();
        let (client, secret) = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let initial_token = match token {
                        None => None,
                        Some((token, digest)) => {
                            if !initial_tokens::spend(tx, &digest, now).await? {
                                return Err(RegistrationError::Token);
                            }
                            Some(token.id)
                        }
                    };
                    let detail = json!({ "source": "dynamic", "initial_token": initial_token,
                        "preset": blueprint.settings.preset.as_str() });
                    let (client, secret) = clients.admit(tx, (id, blueprint), &caller, detail).await?;
                    let registration = Registration {
                        client: client.id.clone(),
                        source: RegistrationSource::Dynamic,
                        about: said,
                        allowance: initial_token.is_some().then_some(allowance),
                        initial_token,
                        created_at: now,
                    };
                    registrations::insert(tx, &registration, upkeep).await?;
                    Ok::<_, RegistrationError>((client, secret))
                })
            })
            .await?;
        self.logos.settle(&client.id, about.logo_uri.as_deref()).await;
        Ok(Registered { client, about, created_at: now, secret, access })
    }
}
