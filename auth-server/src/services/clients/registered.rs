//! Clients that come by themselves: made, changed and taken away by the same rules as those that an administrator makes.

use serde_json::{Value, json};

use crate::domain::audit::AuditAction;
use crate::domain::client::Client;
use crate::domain::client_authentication::{AuthMethod, ClientAuthentication};
use crate::domain::ids::ClientId;
use crate::domain::registration::{
    About, Allowance, OF_EVERYBODY, REGISTRABLE, Registration, RegistrationSource,
};
use crate::domain::revocation::Revocation;
use crate::domain::secret::OpaqueToken;
use crate::outbound::Outbound;
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::clients::form::{Blueprint, ClientForm};
use crate::services::clients::{
    ClientService, built, check, concessions, details, differences, find_to_change, has_other_reach, kept,
    reach, take_away,
};
use crate::services::fields::FieldErrors;
use crate::storage::{StoreError, Tx, clients, grants, registrations};

/// Whether what people are shown of a client beside its name changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Presents {
    AsBefore,
    Differently,
}

impl Presents {
    /// From one to the other.
    pub(crate) fn change(before: Option<&About>, after: &About) -> Self {
        if before == Some(after) { Self::AsBefore } else { Self::Differently }
    }
}

impl ClientService {
    /// What a form makes, checked as far as that goes without the database.
    pub(crate) fn blueprint(&self, form: &ClientForm) -> Result<Blueprint, FieldErrors> {
        reach::checked(form.parse()?, self.outbound.rules())
    }

    /// The way to what clients publish.
    pub(crate) const fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// A new identifier for a client that registers.
    pub(crate) fn new_id(&self, caller: &Caller) -> ClientId {
        ClientId::generate(caller.now, &self.entropy)
    }

    /// Adds a client that nobody could have asked for before, so that nothing in memory has to go.
    pub(crate) async fn admit(
        &self,
        tx: &mut Tx,
        (id, blueprint): (ClientId, Blueprint),
        caller: &Caller,
        detail: Value,
    ) -> Result<(Client, Option<OpaqueToken>), AdminError> {
        let secret = blueprint.method_of_new().needs_secret().then(|| self.secret());
        let authentication = ClientAuthentication {
            method: blueprint.method_of_new(),
            secrets: secret.iter().map(|secret| kept(secret, caller)).collect(),
            keys: blueprint.keys.clone(),
        };
        let client = built(id, blueprint, authentication);
        check(tx, (None, &client), self.abilities).await?;
        self.owners.require_rank_over(tx, &client, caller).await?;
        clients::insert(tx, &client).await?;
        tx.audit(caller.event(AuditAction::ClientCreated).on(&client.id).with(detail));
        Ok((client, secret))
    }

    /// Replaces what a client says of itself: what it does not say is gone. Its secrets stay, and so does what an administrator bounds it
    /// by: its organisation, its profile, the types of details at its APIs, what it is spared, and that it is switched off. `presents` is whether what
    /// people are shown of it changes.
    pub(crate) async fn replace(
        &self,
        tx: &mut Tx,
        (before, blueprint): (&Client, Blueprint),
        presents: Presents,
        caller: &Caller,
    ) -> Result<Client, AdminError> {
        let authentication = identity(before, &blueprint);
        let mut blueprint = Blueprint {
            organisation: before.organisation.clone(),
            profile: Some(before.settings.profile),
            ..blueprint
        };
        blueprint.settings.details_types = details::kept(tx, before, &blueprint.settings.apis).await?;
        let after =
            Client { disabled_at: before.disabled_at, ..built(before.id.clone(), blueprint, authentication) };
        let after = concessions::kept(before, after);
        if after == *before {
            if presents == Presents::Differently {
                let detail = json!({ "changed": ["about"] });
                tx.audit(caller.event(AuditAction::ClientUpdated).on(&after.id).with(detail));
            }
            return Ok(after);
        }
        check(tx, (Some(before), &after), self.abilities).await?;
        self.owners.require_rank_over(tx, before, caller).await?;
        self.owners.require_rank_over(tx, &after, caller).await?;
        clients::update(tx, &after).await?;
        if has_other_reach(before, &after) {
            tx.revoke(Revocation::of_client(after.id.as_str(), caller.now));
        }
        if proves_less(before, &after) {
            grants::revoke_by_client(tx, &after.id, caller.now).await?;
        }
        let mut changed = differences(before, &after);
        changed.extend((presents == Presents::Differently).then_some("about"));
        let detail = json!({ "changed": changed });
        tx.audit(caller.event(AuditAction::ClientUpdated).on(&after.id).with(detail));
        tx.invalidate();
        Ok(after)
    }

    /// Takes a client away that wants to go.
    pub(crate) async fn withdraw(
        &self,
        tx: &mut Tx,
        id: &ClientId,
        caller: &Caller,
    ) -> Result<(), AdminError> {
        let client = find_to_change(tx, id, &self.owners, caller).await?;
        take_away(tx, &client, caller).await
    }
}

/// What an administrator says of a client that came by itself gives it no grant that it did not ask for, or was not allowed.
pub(super) fn held_to(registration: Option<&Registration>, before: &Client, mut after: Client) -> Client {
    if registration.is_some() {
        after.grants.retain(|grant| !REGISTRABLE.contains(grant) || before.grants.contains(grant));
    }
    after
}

/// What an administrator gives a client that registered, or takes from it, bounds what it can give itself from then on. One that is
/// described by a document is bound as all of them are.
pub(super) async fn bind(
    tx: &mut Tx,
    registration: Option<Registration>,
    (before, after): (&Client, &Client),
) -> Result<(), StoreError> {
    let is_changed = before.scopes != after.scopes || before.settings.apis != after.settings.apis;
    let registration = registration.filter(|found| found.source == RegistrationSource::Dynamic);
    let Some(registration) = registration.filter(|_| is_changed) else { return Ok(()) };
    let allowed = registration.allowance.unwrap_or_else(|| Allowance {
        grants: OF_EVERYBODY.to_vec(),
        scopes: String::new(),
        redirect_hosts: Vec::new(),
        apis: Vec::new(),
    });
    let scopes = after.scopes.to_string();
    let allowance = Allowance { scopes, apis: after.settings.apis.clone(), ..allowed };
    registrations::bind(tx, &after.id, &allowance).await
}

/// Whether a client proved who it is and does so no longer: its tokens were not for whoever knows its name.
fn proves_less(before: &Client, after: &Client) -> bool {
    before.authentication.method != AuthMethod::None && after.authentication.method == AuthMethod::None
}

/// How a client proves who it is that says everything anew. The one thing that only the server can say is the secret.
fn identity(before: &Client, blueprint: &Blueprint) -> ClientAuthentication {
    let method = blueprint.method_of_new();
    let secrets = if method.needs_secret() { before.authentication.secrets.clone() } else { Vec::new() };
    ClientAuthentication { method, secrets, keys: blueprint.keys.clone() }
}
