//! Clients: registering, changing and switching off the programs that ask for tokens.

pub mod authentication;
pub mod ciba;
mod comparison;
pub mod concessions;
mod details;
pub mod form;
pub mod grants;
pub mod openid;
#[cfg(test)]
mod pairs;
mod profile;
pub mod protocol;
mod reach;
pub(crate) mod registered;
pub mod secrets;
mod signatures;

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::client::{Client, GrantType, Preset};
use crate::domain::client_authentication::{AuthMethod, ClientAuthentication, ClientSecret};
use crate::domain::ids::{ClientId, OrganisationId};
use crate::domain::revocation::Revocation;
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::outbound::Outbound;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::clients::authentication::{Abilities, METHOD};
use crate::services::clients::comparison::{differences, has_other_reach};
use crate::services::clients::form::{Blueprint, ClientForm};
use crate::services::fields::FieldErrors;
use crate::services::owners::Owners;
use crate::services::paging::{Page, PageQuery};
use crate::services::version::{Precondition, Version, Versioned};
use crate::storage::{Store, Turn, Tx, apis, client_removal, clients, organisations, registrations};

/// Registers, changes and switches off clients.
#[derive(Clone)]
pub struct ClientService {
    store: Store,
    entropy: Entropy,
    owners: Owners,
    outbound: Outbound,
    abilities: Abilities,
}

/// A client that was just registered.
#[derive(Debug)]
pub struct CreatedClient {
    /// The client.
    pub client: Versioned<Client>,
    /// Its secret, which nobody can ask for again. `None` when it has none.
    pub secret: Option<OpaqueToken>,
}

/// A client that is to be registered.
pub(crate) struct ClientDraft {
    client: Client,
    secret: Option<OpaqueToken>,
}

impl ClientService {
    /// The service over this store.
    pub(crate) const fn new(
        store: Store,
        entropy: Entropy,
        owners: Owners,
        outbound: Outbound,
        abilities: Abilities,
    ) -> Self {
        Self { store, entropy, owners, outbound, abilities }
    }

    /// Registers a client and makes its secret when it has one.
    pub async fn create(&self, form: &ClientForm, caller: &Caller) -> Result<CreatedClient, AdminError> {
        let draft = self.draft(form, caller)?;
        let (this, caller) = (self.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    this.add(tx, draft, &caller).await
                })
            })
            .await
    }

    /// A new client, checked as far as that goes without the database.
    pub(crate) fn draft(&self, form: &ClientForm, caller: &Caller) -> Result<ClientDraft, FieldErrors> {
        let blueprint = reach::checked(form.parse()?, self.outbound.rules())?;
        let secret = blueprint.method_of_new().needs_secret().then(|| self.secret());
        let authentication = ClientAuthentication {
            method: blueprint.method_of_new(),
            secrets: secret.iter().map(|secret| kept(secret, caller)).collect(),
            keys: blueprint.keys.clone(),
        };
        let client = built(ClientId::generate(caller.now, &self.entropy), blueprint, authentication);
        Ok(ClientDraft { client, secret })
    }

    /// Adds a client, as part of something larger.
    pub(crate) async fn add(
        &self,
        tx: &mut Tx,
        draft: ClientDraft,
        caller: &Caller,
    ) -> Result<CreatedClient, AdminError> {
        let ClientDraft { client, secret } = draft;
        check(tx, (None, &client), self.abilities).await?;
        self.owners.require_rank_over(tx, &client, caller).await?;
        clients::insert(tx, &client).await?;
        let detail = json!({ "preset": client.settings.preset.as_str() });
        tx.audit(caller.event(AuditAction::ClientCreated).on(&client.id).with(detail));
        tx.invalidate();
        Ok(CreatedClient { client: versioned(client), secret })
    }

    /// Lists clients, oldest first.
    pub async fn list(&self, query: &PageQuery) -> Result<Page<Client>, AdminError> {
        let mut tx = self.store.read().await?;
        let found = clients::list(&mut tx, query.after(), query.probe()).await?;
        Ok(Page::of(found, query, |client| client.id.to_string()))
    }

    /// Shows a client.
    pub async fn show(&self, id: &ClientId) -> Result<Versioned<Client>, AdminError> {
        let mut tx = self.store.read().await?;
        find(&mut tx, id).await.map(versioned)
    }

    /// Replaces what can be changed about a client. Its preset and its secret stay; keys are replaced when new ones
    /// are given.
    pub async fn update(
        &self,
        id: &ClientId,
        form: &ClientForm,
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<Versioned<Client>, AdminError> {
        let blueprint = reach::checked(form.parse()?, self.outbound.rules())?;
        let (id, precondition, caller, owners) =
            (id.clone(), precondition.clone(), caller.clone(), self.owners.clone());
        let abilities = self.abilities;
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let before = find(tx, &id).await?;
                    if !precondition.holds(&versioned(before.clone()).version) {
                        return Err(AdminError::Stale);
                    }
                    owners.require_rank_over(tx, &before, &caller).await?;
                    let registration = registrations::find(tx, &id).await?;
                    let after =
                        registered::held_to(registration.as_ref(), &before, changed(&before, blueprint)?);
                    check(tx, (Some(&before), &after), abilities).await?;
                    owners.require_rank_over(tx, &after, &caller).await?;
                    clients::update(tx, &after).await?;
                    registered::bind(tx, registration, (&before, &after)).await?;
                    if has_other_reach(&before, &after) {
                        tx.revoke(Revocation::of_client(after.id.as_str(), caller.now));
                    }
                    let detail = json!({ "changed": differences(&before, &after) });
                    tx.audit(caller.event(AuditAction::ClientUpdated).on(&after.id).with(detail));
                    tx.invalidate();
                    Ok(versioned(after))
                })
            })
            .await
    }

    /// Deletes a client with its roles and with the grants and consents that people gave it.
    pub async fn delete(&self, id: &ClientId, caller: &Caller) -> Result<(), AdminError> {
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let client = find_to_change(tx, &id, &owners, &caller).await?;
                    take_away(tx, &client, &caller).await
                })
            })
            .await
    }

    /// Switches a client off: nothing is issued to it any more, and what it holds is refused.
    pub async fn disable(&self, id: &ClientId, caller: &Caller) -> Result<Versioned<Client>, AdminError> {
        self.switch(id, Switch::Off, caller).await
    }

    /// Switches a client on again.
    pub async fn enable(&self, id: &ClientId, caller: &Caller) -> Result<Versioned<Client>, AdminError> {
        self.switch(id, Switch::On, caller).await
    }

    async fn switch(
        &self,
        id: &ClientId,
        to: Switch,
        caller: &Caller,
    ) -> Result<Versioned<Client>, AdminError> {
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let client = find(tx, &id).await?;
                    if client.is_enabled() == (to == Switch::On) {
                        return Ok(versioned(client));
                    }
                    owners.require_rank_over(tx, &client, &caller).await?;
                    let (action, disabled_at) = match to {
                        Switch::Off => (AuditAction::ClientDisabled, Some(caller.now)),
                        Switch::On => (AuditAction::ClientEnabled, None),
                    };
                    let client = Client { disabled_at, ..client };
                    clients::update(tx, &client).await?;
                    if to == Switch::Off {
                        tx.revoke(Revocation::of_client(client.id.as_str(), caller.now));
                    }
                    tx.audit(caller.event(action).on(&client.id));
                    tx.invalidate();
                    Ok(versioned(client))
                })
            })
            .await
    }

    fn secret(&self) -> OpaqueToken {
        OpaqueToken::generate(TokenKind::ClientSecret, &self.entropy)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Switch {
    Off,
    On,
}

async fn find(tx: &mut Tx, id: &ClientId) -> Result<Client, AdminError> {
    clients::find(tx, id).await?.ok_or(AdminError::NotFound(Thing::Client))
}

/// Finds a client that the caller may change; nobody else changes it meanwhile.
async fn find_to_change(
    tx: &mut Tx,
    id: &ClientId,
    owners: &Owners,
    caller: &Caller,
) -> Result<Client, AdminError> {
    tx.one_at_a_time(Turn::Administration).await?;
    let client = find(tx, id).await?;
    owners.require_rank_over(tx, &client, caller).await?;
    Ok(client)
}

async fn take_away(tx: &mut Tx, client: &Client, caller: &Caller) -> Result<(), AdminError> {
    let event = caller.event(AuditAction::ClientDeleted).with(json!({ "name": client.name }));
    Ok(client_removal::take_away(tx, &client.id, event, caller.now).await?)
}

fn kept(secret: &OpaqueToken, caller: &Caller) -> ClientSecret {
    ClientSecret { digest: secret.digest(), created_at: caller.now }
}

fn built(id: ClientId, mut blueprint: Blueprint, authentication: ClientAuthentication) -> Client {
    blueprint.settings.profile = blueprint.profile.unwrap_or_default();
    with_its_grants(Client {
        id,
        name: blueprint.name,
        organisation: blueprint.organisation,
        authentication,
        grants: blueprint.grants,
        redirects: blueprint.redirects,
        post_logout_redirects: blueprint.post_logout_redirects,
        scopes: blueprint.scopes,
        settings: blueprint.settings,
        disabled_at: None,
    })
}

/// RFC 6749 §4.4: a client without a secret or keys gets nothing for itself by naming itself.
fn with_its_grants(mut client: Client) -> Client {
    if client.authentication.method == AuthMethod::None {
        client.grants.retain(|grant| *grant != GrantType::ClientCredentials);
    }
    client
}

/// The client with new details. What it proves by who it is stays as it is where nothing is said of that.
fn changed(before: &Client, mut blueprint: Blueprint) -> Result<Client, AdminError> {
    if blueprint.settings.preset != before.settings.preset {
        let message = "cannot be changed: make a new client";
        return Err(FieldErrors::of("/preset", "immutable", message).into());
    }
    let held = &before.authentication;
    let method = blueprint.method.unwrap_or(held.method);
    if method.needs_secret() && !held.method.needs_secret() {
        let message = "this client has no secret: make a new client to change how it proves who it is";
        return Err(FieldErrors::of(METHOD, "immutable", message).into());
    }
    blueprint.profile = blueprint.profile.or(Some(before.settings.profile));
    let name = &mut blueprint.settings.protocol.proof.certificate_name;
    if method == AuthMethod::TlsClientAuth && name.is_none() {
        name.clone_from(&before.settings.protocol.proof.certificate_name);
    }
    let authentication = ClientAuthentication {
        method,
        secrets: if method.needs_secret() { held.secrets.clone() } else { Vec::new() },
        keys: blueprint.keys.clone().or_else(|| held.keys.clone()),
    };
    let after = built(before.id.clone(), blueprint, authentication);
    Ok(Client { disabled_at: before.disabled_at, ..after })
}

/// What the client points at exists, and what it is set to can work here. `before` is the client that it takes the place of.
async fn check(
    tx: &mut Tx,
    (before, client): (Option<&Client>, &Client),
    abilities: Abilities,
) -> Result<(), AdminError> {
    let mut errors = FieldErrors::default();
    check_settings(&mut errors, (before, client), abilities);
    if let Some(organisation) = &client.organisation
        && organisations::find(tx, organisation).await?.is_none()
    {
        errors.refuse("/organisation", "unknown", "there is no such organisation");
    }
    for (position, api) in client.settings.apis.iter().enumerate() {
        match apis::find(tx, api).await? {
            Some(api) => profile::check_api(&mut errors, client, position, &api),
            None => errors.refuse(format!("/apis/{position}"), "unknown", "there is no such API"),
        }
    }
    details::check(tx, client, &mut errors).await?;
    if let Some(api) = &client.settings.serves
        && apis::find(tx, api).await?.is_none()
    {
        errors.refuse("/serves", "unknown", "there is no such API");
    }
    Ok(errors.finish(Some(()))?)
}

/// What shows without a look at anything else.
fn check_settings(
    errors: &mut FieldErrors,
    (before, client): (Option<&Client>, &Client),
    abilities: Abilities,
) {
    authentication::check(errors, client, abilities);
    profile::check(errors, client);
    concessions::check(errors, client);
    protocol::check_introspection(errors, client);
    signatures::check(errors, client);
    ciba::check_keys(errors, client);
    let proves_nothing = client.authentication.method == AuthMethod::None;
    if client.settings.preset == Preset::M2m && proves_nothing && !client.allows(GrantType::JwtBearer) {
        let message = "this client has no secret: without a trusted issuer it could not prove who it is";
        errors.refuse("/options/protocol/assertion_issuers", "required", message);
    }
    // Nothing comes of these, and no harm either: whoever changes something else does not have to mend what was taken before.
    let known = before.map(|before| idle(before, abilities)).unwrap_or_default();
    errors.add_new(idle(client, abilities), &known);
}

/// What a client is set to that could never come to anything.
fn idle(client: &Client, abilities: Abilities) -> FieldErrors {
    let mut errors = FieldErrors::default();
    form::check(&mut errors, client);
    openid::check(&mut errors, client);
    protocol::check_requests(&mut errors, client);
    grants::check_exchange(&mut errors, client);
    grants::check_given(&mut errors, client, abilities);
    details::check_asks(&mut errors, client);
    errors
}

fn versioned(client: Client) -> Versioned<Client> {
    let ClientAuthentication { method, secrets, keys } = &client.authentication;
    let secrets: Vec<String> = secrets.iter().map(|secret| secret.digest.hex()).collect();
    let proof = (method.as_str(), secrets, keys.as_ref().map(ToString::to_string));
    let uris = |list: &[crate::domain::redirect_uri::RedirectUri]| -> Vec<String> {
        list.iter().map(|uri| uri.as_str().to_owned()).collect()
    };
    let version = Version::of(&(
        (client.id.as_str(), &client.name, client.organisation.as_ref().map(OrganisationId::as_str)),
        (proof, &client.grants, uris(&client.redirects), uris(&client.post_logout_redirects)),
        (&client.scopes, &client.settings, client.disabled_at),
    ));
    Versioned { value: client, version }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Digest32;
    use crate::services::trial::{Trial, delegate, operator};

    fn web() -> ClientForm {
        ClientForm {
            name: "Shop".to_owned(),
            preset: "web".to_owned(),
            redirect_uris: vec!["https://shop.example/cb".to_owned()],
            ..ClientForm::default()
        }
    }

    fn machine() -> ClientForm {
        ClientForm { name: "Robot".to_owned(), preset: "m2m".to_owned(), ..ClientForm::default() }
    }

    fn stored(client: &Client) -> Digest32 {
        client.authentication.secrets[0].digest
    }

    #[tokio::test]
    async fn a_secret_is_shown_once_and_kept_as_its_digest() {
        let trial = Trial::begin().await;
        let made = trial.clients.create(&web(), &operator()).await.unwrap();
        let secret = made.secret.unwrap();
        assert!(stored(&made.client.value).matches(&secret.digest()));
        let shown = trial.clients.show(&made.client.value.id).await.unwrap();
        assert!(!format!("{shown:?}").contains(secret.expose()));
    }

    #[tokio::test]
    async fn a_new_secret_takes_the_place_of_the_old_one() {
        let trial = Trial::begin().await;
        let made = trial.clients.create(&web(), &operator()).await.unwrap();
        let id = made.client.value.id;
        let new = trial.clients.rotate_secret(&id, &operator()).await.unwrap();
        let now = trial.clients.show(&id).await.unwrap().value;
        assert!(stored(&now).matches(&new.secret.digest()));
        assert!(!stored(&now).matches(&made.secret.unwrap().digest()));
    }

    #[tokio::test]
    async fn a_public_client_has_no_secret_to_rotate() {
        let trial = Trial::begin().await;
        let form = ClientForm { preset: "spa".to_owned(), ..web() };
        let made = trial.clients.create(&form, &operator()).await.unwrap();
        assert_eq!(made.secret.map(|secret| secret.kind()), None);
        let refused = trial.clients.rotate_secret(&made.client.value.id, &operator()).await;
        assert!(matches!(refused, Err(AdminError::Conflict(_))));
    }

    #[tokio::test]
    async fn an_update_keeps_the_secret_and_cannot_change_the_preset() {
        let trial = Trial::begin().await;
        let made = trial.clients.create(&web(), &operator()).await.unwrap();
        let id = made.client.value.id.clone();
        let renamed = ClientForm { name: "Store".to_owned(), ..web() };
        let seen = Precondition::Matches(vec![made.client.version]);
        let after = trial.clients.update(&id, &renamed, &seen, &operator()).await.unwrap();
        assert_eq!(after.value.name, "Store");
        assert!(stored(&after.value).matches(&made.secret.unwrap().digest()));
        let other = ClientForm { preset: "native".to_owned(), ..web() };
        let refused = trial.clients.update(&id, &other, &Precondition::Any, &operator()).await;
        assert!(
            matches!(refused, Err(AdminError::Invalid(errors)) if errors.to_string().contains("/preset"))
        );
        assert!(matches!(
            trial.clients.update(&id, &web(), &seen, &operator()).await,
            Err(AdminError::Stale)
        ));
    }

    #[tokio::test]
    async fn what_a_client_points_at_has_to_exist() {
        let trial = Trial::begin().await;
        let nowhere = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c".to_owned();
        let form = ClientForm { apis: vec![nowhere], ..machine() };
        let refused = trial.clients.create(&form, &operator()).await;
        assert!(
            matches!(refused, Err(AdminError::Invalid(errors)) if errors.to_string().contains("/apis/0"))
        );
    }

    /// The client as a version before might have kept it.
    async fn keep(trial: &Trial, client: Client) {
        let kept = trial.store.write(move |tx| {
            Box::pin(async move {
                clients::update(tx, &client).await?;
                tx.invalidate();
                Ok::<(), crate::storage::StoreError>(())
            })
        });
        kept.await.unwrap();
    }

    fn pointers(refused: Result<Versioned<Client>, AdminError>) -> Vec<String> {
        match refused {
            Ok(_) => Vec::new(),
            Err(AdminError::Invalid(errors)) => errors.iter().map(|error| error.pointer.clone()).collect(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_was_taken_before_stays_until_it_is_taken_away_and_nothing_is_added_to_it() {
        let trial = Trial::begin().await;
        let made = trial.clients.create(&machine(), &operator()).await.unwrap().client.value;
        let id = made.id.clone();
        let mut old = made;
        old.scopes = crate::domain::scope::ScopeSet::parse("email").unwrap();
        old.settings.id_token_alg = crate::domain::signing::SigningAlg::Rs256;
        keep(&trial, old).await;
        let update = async |scopes: &str, alg: Option<&str>| {
            let mut form = ClientForm { scopes: Some(scopes.to_owned()), ..machine() };
            form.options.id_token_alg = alg.map(str::to_owned);
            pointers(trial.clients.update(&id, &form, &Precondition::Any, &operator()).await)
        };
        assert_eq!(update("email", Some("RS256")).await, [""; 0], "the rest can be changed");
        assert_eq!(update("email phone", Some("RS256")).await, ["/scopes"], "one is new");
        assert_eq!(update("email", None).await, [""; 0]);
        assert_eq!(update("email", Some("RS256")).await, ["/options/id_token_alg"], "it was taken away");
    }

    #[tokio::test]
    async fn what_is_switched_off_is_given_to_nobody_and_left_to_those_who_have_it() {
        let trial = Trial::begin().await;
        let (device_grant, ciba_grant) = (false.into(), false.into());
        let abilities = Abilities { device_grant, ciba_grant, ..crate::services::trial::ABLE };
        let off = ClientService { abilities, ..trial.clients.clone() };
        let mut both = web();
        both.options.protocol.device_grant = true;
        both.options.protocol.openid.ciba.delivery_mode = Some("poll".to_owned());
        let expected =
            ["/options/protocol/device_grant", "/options/protocol/backchannel_token_delivery_mode"];
        assert_eq!(pointers(off.create(&both, &operator()).await.map(|made| made.client)), expected);
        let device =
            ClientForm { preset: "device".to_owned(), name: "Screen".to_owned(), ..ClientForm::default() };
        assert_eq!(pointers(off.create(&device, &operator()).await.map(|made| made.client)), ["/preset"]);
        for form in [&both, &device] {
            let made = trial.clients.create(form, &operator()).await.unwrap().client.value.id;
            let after = off.update(&made, form, &Precondition::Any, &operator()).await;
            assert_eq!(pointers(after), [""; 0], "{form:?}");
        }
        let plain = off.create(&web(), &operator()).await.unwrap().client.value.id;
        let widened = off.update(&plain, &both, &Precondition::Any, &operator()).await;
        assert_eq!(pointers(widened), expected);
    }

    /// A delegate could otherwise send an owner through a client of his own, and keep what comes back.
    #[tokio::test]
    async fn only_an_owner_has_a_client_that_reaches_the_admin_api() {
        let trial = Trial::begin().await;
        let api = trial.admin_api().await.id.to_string();
        let reaches = ClientForm { apis: vec![api.clone()], ..web() };
        let serves = ClientForm {
            preset: "service".to_owned(),
            serves: Some(api),
            redirect_uris: Vec::new(),
            ..web()
        };
        for form in [&reaches, &serves] {
            let refused = trial.clients.create(form, &delegate()).await;
            assert!(matches!(refused, Err(AdminError::OwnersOnly)), "{form:?}");
            let theirs = trial.clients.create(form, &operator()).await.unwrap().client.value.id;
            let taken = trial.clients.update(&theirs, form, &Precondition::Any, &delegate()).await;
            assert!(matches!(taken, Err(AdminError::OwnersOnly)), "{form:?}");
            let rotated = trial.clients.rotate_secret(&theirs, &delegate()).await;
            assert!(matches!(rotated, Err(AdminError::OwnersOnly)), "{form:?}");
            assert!(matches!(trial.clients.disable(&theirs, &delegate()).await, Err(AdminError::OwnersOnly)));
        }
        let own = trial.clients.create(&web(), &delegate()).await.unwrap().client.value.id;
        let widened = trial.clients.update(&own, &reaches, &Precondition::Any, &delegate()).await;
        assert!(matches!(widened, Err(AdminError::OwnersOnly)));
    }

    #[tokio::test]
    async fn only_an_owner_gets_hold_of_the_secret_of_an_administrator() {
        let trial = Trial::begin().await;
        let made = trial.clients.create(&machine(), &operator()).await.unwrap();
        let id = made.client.value.id;
        trial.clients.rotate_secret(&id, &delegate()).await.unwrap();
        trial.grant(&trial.admin_api().await.id, "owner", id.as_str()).await;
        assert!(matches!(trial.clients.rotate_secret(&id, &delegate()).await, Err(AdminError::OwnersOnly)));
        assert!(matches!(trial.clients.disable(&id, &delegate()).await, Err(AdminError::OwnersOnly)));
    }
}
