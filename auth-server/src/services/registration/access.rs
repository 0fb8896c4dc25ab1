//! A client that looks after its own registration ([RFC 7592](https://www.rfc-editor.org/rfc/rfc7592)).

use crate::config::Dynamic;
use crate::domain::audit::Actor;
use crate::domain::client::Client;
use crate::domain::client_authentication::AuthMethod;
use crate::domain::ids::ClientId;
use crate::domain::registration::{AccessDigests, Registration};
use crate::domain::secret::{Digest32, OpaqueToken, TokenKind};
use crate::services::caller::{Authority, Caller};
use crate::services::clients::form::Blueprint;
use crate::services::clients::registered::Presents;
use crate::services::registration::error::RegistrationError;
use crate::services::registration::metadata::{ClientMetadata, MetadataError};
use crate::services::registration::wish::{Origin, Wish};
use crate::services::registration::{Arrival, Registered, RegistrationService, sector};
use crate::storage::{Turn, Tx, clients, registrations};

/// A client that showed the token of its own registration.
struct Holder {
    client: Client,
    registration: Registration,
    digests: AccessDigests,
    shown: OpaqueToken,
}

impl RegistrationService {
    /// Shows a client its registration (RFC 7592 §2.1).
    pub(crate) async fn read(
        &self,
        id: &str,
        token: Option<&str>,
        arrival: Arrival,
    ) -> Result<Registered, RegistrationError> {
        let Holder { client, registration, shown, .. } = self.holder(id, token, arrival).await?;
        let Registration { about, created_at, .. } = registration;
        Ok(Registered { client, about, created_at, secret: None, access: shown })
    }

    /// Replaces the registration of a client (RFC 7592 §2.2). It gets a new token; the one before counts until the new one is shown.
    pub(crate) async fn update(
        &self,
        id: &str,
        token: Option<&str>,
        body: &[u8],
        arrival: Arrival,
    ) -> Result<Registered, RegistrationError> {
        let holder = self.holder(id, token, arrival).await?;
        let metadata = ClientMetadata::parse(body)?;
        metadata.repeats(&holder.client)?;
        let allowance = match &holder.registration.allowance {
            Some(allowance) => self.permissions.as_far_as_it_exists(allowance.clone()).await?,
            None => self.permissions.of_everybody().await?,
        };
        let mut wish = metadata.wish(&allowance, Origin::Sent)?;
        sector::settle(&mut wish, self.clients.outbound()).await?;
        Box::pin(self.change(holder, wish, arrival)).await
    }

    /// Takes a client away that wants to go (RFC 7592 §2.3).
    pub(crate) async fn delete(
        &self,
        id: &str,
        token: Option<&str>,
        arrival: Arrival,
    ) -> Result<(), RegistrationError> {
        let holder = self.holder(id, token, arrival).await?;
        let (caller, clients) = (caller_of(&holder.client, arrival), self.clients.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    clients.withdraw(tx, &holder.client.id, &caller).await.map_err(RegistrationError::from)
                })
            })
            .await
    }

    async fn change(
        &self,
        holder: Holder,
        wish: Wish,
        arrival: Arrival,
    ) -> Result<Registered, RegistrationError> {
        let mut blueprint = self.clients.blueprint(&wish.form)?;
        wish.refine(&mut blueprint);
        keeps_what_it_is(&holder.client, &blueprint)?;
        let (about, created_at) = (wish.about, holder.registration.created_at);
        let access = OpaqueToken::generate(TokenKind::RegistrationAccess, &self.entropy);
        let tokens = AccessDigests { current: access.digest(), previous: Some(holder.shown.digest()) };
        let (caller, clients) = (caller_of(&holder.client, arrival), self.clients.clone());
        let said = about.clone();
        let client = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    // Of two changes at once, the second was made of what is there no longer.
                    let before = still_held(tx, &holder).await?;
                    let presents = Presents::change(Some(&holder.registration.about), &said);
                    let after = clients.replace(tx, (&before, blueprint), presents, &caller).await?;
                    registrations::update(tx, &after.id, &said, &tokens).await?;
                    Ok::<_, RegistrationError>(after)
                })
            })
            .await?;
        self.logos.settle(&client.id, about.logo_uri.as_deref()).await;
        Ok(Registered { client, about, created_at, secret: None, access })
    }

    /// The client whose token this is. Who is not told apart: there is no such client, or it has another token.
    async fn holder(
        &self,
        id: &str,
        token: Option<&str>,
        arrival: Arrival,
    ) -> Result<Holder, RegistrationError> {
        if self.permissions.settings().dynamic == Dynamic::Off {
            return Err(RegistrationError::Off);
        }
        let token = token.ok_or(RegistrationError::TokenMissing)?;
        self.admit(arrival)?;
        let shown = OpaqueToken::parse_as(TokenKind::RegistrationAccess, token);
        let shown = shown.map_err(|_| RegistrationError::Token)?;
        let id = ClientId::parse(id).map_err(|_| RegistrationError::Token)?;
        let mut tx = self.store.read().await?;
        let digests = registrations::digests(&mut tx, &id).await?.ok_or(RegistrationError::Token)?;
        let digest = shown.digest();
        let is_current = digests.current.matches(&digest);
        if !is_current && !digests.previous.is_some_and(|previous| previous.matches(&digest)) {
            return Err(RegistrationError::Token);
        }
        let client = clients::find(&mut tx, &id).await?.ok_or(RegistrationError::Token)?;
        let registration = registrations::find(&mut tx, &id).await?.ok_or(RegistrationError::Token)?;
        drop(tx);
        if !client.is_enabled() {
            return Err(RegistrationError::Forbidden);
        }
        if is_current && digests.previous.is_some() {
            self.forget_previous(&id, digest).await?;
        }
        Ok(Holder { client, registration, digests, shown })
    }

    async fn forget_previous(&self, id: &ClientId, current: Digest32) -> Result<(), RegistrationError> {
        let id = id.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move { Ok(registrations::forget_previous(tx, &id, &current).await?) })
            })
            .await
    }
}

/// Whoever acts for the client: it showed a token that only the client has.
fn caller_of(client: &Client, arrival: Arrival) -> Caller {
    Caller {
        actor: Actor::Client(client.id.clone()),
        authority: Authority::Delegate,
        address: Some(arrival.address),
        now: arrival.now,
    }
}

async fn still_held(tx: &mut Tx, holder: &Holder) -> Result<Client, RegistrationError> {
    let digests = registrations::digests(tx, &holder.client.id).await?;
    let is_held = digests.is_some_and(|digests| digests.current == holder.digests.current);
    let client = clients::find(tx, &holder.client.id).await?.filter(Client::is_enabled);
    let client = client.filter(|_| is_held).ok_or(RegistrationError::Token)?;
    // What it may have was read before the client's own addresses were asked, which takes as long as they like.
    let registration = registrations::find(tx, &client.id).await?;
    let is_bound_as_before =
        registration.is_some_and(|registration| registration.allowance == holder.registration.allowance);
    if is_bound_as_before { Ok(client) } else { Err(RegistrationError::Meanwhile) }
}

/// A client that could prove who it is does not turn into one that cannot, nor the other way round; and one for people stays one.
fn keeps_what_it_is(before: &Client, after: &Blueprint) -> Result<(), MetadataError> {
    const MESSAGE: &str = "cannot be changed: register another client";
    let kind = |method: AuthMethod| if method.needs_secret() { AuthMethod::ClientSecret } else { method };
    if kind(before.authentication.method) != kind(after.method_of_new()) {
        return Err(MetadataError::of("token_endpoint_auth_method", MESSAGE));
    }
    if before.settings.preset != after.settings.preset {
        return Err(MetadataError::of("grant_types", MESSAGE));
    }
    Ok(())
}

impl ClientMetadata {
    /// What a request for a change has to repeat, and what it must not hold (RFC 7592 §2.2).
    fn repeats(&self, client: &Client) -> Result<(), MetadataError> {
        let issued = [
            ("client_id_issued_at", &self.client_id_issued_at),
            ("client_secret_expires_at", &self.client_secret_expires_at),
            ("registration_access_token", &self.registration_access_token),
            ("registration_client_uri", &self.registration_client_uri),
        ];
        if let Some((member, _)) = issued.iter().find(|(_, value)| value.is_some()) {
            return Err(MetadataError::of(member, "is for the server to say"));
        }
        if self.client_id.as_deref() != Some(client.id.as_str()) {
            return Err(MetadataError::of("client_id", "has to be that of the client"));
        }
        let Some(secret) = &self.client_secret else { return Ok(()) };
        let is_its_own = OpaqueToken::parse_as(TokenKind::ClientSecret, secret).is_ok_and(|shown| {
            let digest = shown.digest();
            client.authentication.secrets.iter().any(|held| held.digest.matches(&digest))
        });
        if is_its_own { Ok(()) } else { Err(MetadataError::of("client_secret", "is not the one it has")) }
    }
}
