//! Clients that come by themselves: made, changed and taken away by the same rules as those that an administrator makes.

use serde_json::{Value, json};

use crate::domain::audit::AuditAction;
use crate::domain::client::Client;
use crate::domain::ids::ClientId;
use crate::domain::revocation::Revocation;
use crate::domain::secret::OpaqueToken;
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::clients::form::{Blueprint, ClientForm, Proof};
use crate::services::clients::{
    ClientService, built, changed, check_references, differences, find_to_change, reach, take_away,
};
use crate::services::fields::FieldErrors;
use crate::storage::{Tx, clients};

/// What a change makes of who the client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Identity {
    /// Its keys and its secret are those it says now.
    Said,
    /// How it proves who it is stays.
    Stays,
}

impl ClientService {
    /// What a form makes, checked as far as that goes without the database.
    pub(crate) fn blueprint(&self, form: &ClientForm) -> Result<Blueprint, FieldErrors> {
        reach::checked(form.parse()?, self.outbound.rules())
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
        let secret = matches!(blueprint.proof, Proof::Secret).then(|| self.secret());
        let client = built(id, blueprint, secret.as_ref());
        check_references(tx, &client).await?;
        self.owners.require_rank_over(tx, &client, caller).await?;
        clients::insert(tx, &client).await?;
        tx.audit(caller.event(AuditAction::ClientCreated).on(&client.id).with(detail));
        Ok((client, secret))
    }

    /// Replaces what a client says of itself. What an administrator switched off stays off.
    pub(crate) async fn replace(
        &self,
        tx: &mut Tx,
        (before, blueprint): (&Client, Blueprint),
        identity: Identity,
        caller: &Caller,
    ) -> Result<Client, AdminError> {
        let after = match identity {
            Identity::Stays => changed(before, blueprint)?,
            Identity::Said => {
                Client { disabled_at: before.disabled_at, ..built(before.id.clone(), blueprint, None) }
            }
        };
        if after == *before {
            return Ok(after);
        }
        check_references(tx, &after).await?;
        self.owners.require_rank_over(tx, before, caller).await?;
        self.owners.require_rank_over(tx, &after, caller).await?;
        clients::update(tx, &after).await?;
        if before.scopes != after.scopes || before.settings.apis != after.settings.apis {
            tx.revoke(Revocation::of_client(after.id.as_str(), caller.now));
        }
        let detail = json!({ "changed": differences(before, &after) });
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
