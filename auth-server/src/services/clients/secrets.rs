//! The secrets of a client: two may work at once, so that a program can be given the new one before the old one stops.

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::client::Client;
use crate::domain::client_authentication::{ClientAuthentication, ClientSecret};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::secret::OpaqueToken;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::clients::{ClientService, find, find_to_change};
use crate::storage::{Tx, clients, secret_uses};

/// How many work at once.
const MOST: usize = 2;

/// A secret, as far as it is known.
#[derive(Clone, Debug)]
pub struct KnownSecret {
    /// What names it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was used last, to some minutes; `None` when it was not since this is noted.
    pub last_used_at: Option<Timestamp>,
}

/// A secret that was just made.
#[derive(Debug)]
pub struct NewSecret {
    /// What names it.
    pub name: String,
    /// The secret, which nobody can ask for again.
    pub secret: OpaqueToken,
}

impl ClientService {
    /// The secrets of a client, the newest first.
    pub async fn secrets(&self, id: &ClientId) -> Result<Vec<KnownSecret>, AdminError> {
        let mut tx = self.store.read().await?;
        let client = find(&mut tx, id).await?;
        let uses = secret_uses::list(&mut tx, id).await?;
        let known = |secret: &ClientSecret| KnownSecret {
            name: secret.name(),
            created_at: secret.created_at,
            last_used_at: uses.iter().find(|(digest, _)| *digest == secret.digest).map(|(_, at)| *at),
        };
        Ok(client.authentication.secrets.iter().map(known).collect())
    }

    /// Makes a second secret. The first one goes on working.
    pub async fn add_secret(&self, id: &ClientId, caller: &Caller) -> Result<NewSecret, AdminError> {
        let add = |secrets: &mut Vec<ClientSecret>, new| {
            if secrets.len() >= MOST {
                return Err(AdminError::Conflict("This client has two secrets: retire one of them first."));
            }
            secrets.insert(0, new);
            Ok(Vec::new())
        };
        self.new_secret(id, caller, AuditAction::ClientSecretAdded, add).await
    }

    /// Makes a new secret in the place of all others, which stop working at once.
    pub async fn rotate_secret(&self, id: &ClientId, caller: &Caller) -> Result<NewSecret, AdminError> {
        let replace = |secrets: &mut Vec<ClientSecret>, new| Ok(std::mem::replace(secrets, vec![new]));
        self.new_secret(id, caller, AuditAction::ClientSecretRotated, replace).await
    }

    /// Has a secret stop working at once. The last one stays: without any, the client would be nobody.
    pub async fn retire_secret(&self, id: &ClientId, name: &str, caller: &Caller) -> Result<(), AdminError> {
        let (id, name, caller, owners) = (id.clone(), name.to_owned(), caller.clone(), self.owners.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let client = find_to_change(tx, &id, &owners, &caller).await?;
                    let (gone, kept): (Vec<_>, Vec<_>) =
                        client.authentication.secrets.iter().partition(|secret| secret.name() == name);
                    if gone.is_empty() {
                        return Err(AdminError::NotFound(Thing::Secret));
                    }
                    if kept.is_empty() {
                        return Err(AdminError::Conflict(
                            "This is the only secret of the client: add the next one first.",
                        ));
                    }
                    keep(tx, client, kept).await?;
                    for secret in gone {
                        secret_uses::forget(tx, &id, &secret.digest).await?;
                    }
                    let event = caller.event(AuditAction::ClientSecretRetired).on(&id);
                    tx.audit(event.with(json!({ "secret": name })));
                    Ok(())
                })
            })
            .await
    }

    /// Makes a secret, and has it take its place; what is gone for it is forgotten.
    async fn new_secret(
        &self,
        id: &ClientId,
        caller: &Caller,
        action: AuditAction,
        place: impl FnOnce(&mut Vec<ClientSecret>, ClientSecret) -> Result<Vec<ClientSecret>, AdminError>
        + Send
        + 'static,
    ) -> Result<NewSecret, AdminError> {
        let secret = self.secret();
        let new = ClientSecret { digest: secret.digest(), created_at: caller.now };
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let client = find_to_change(tx, &id, &owners, &caller).await?;
                    if !client.authentication.method.needs_secret() {
                        return Err(AdminError::Conflict("This client has no secret."));
                    }
                    let mut secrets = client.authentication.secrets.clone();
                    for gone in place(&mut secrets, new)? {
                        secret_uses::forget(tx, &id, &gone.digest).await?;
                    }
                    keep(tx, client, secrets).await?;
                    tx.audit(caller.event(action).on(&id).with(json!({ "secret": new.name() })));
                    Ok(())
                })
            })
            .await?;
        Ok(NewSecret { name: new.name(), secret })
    }
}

async fn keep(tx: &mut Tx, client: Client, secrets: Vec<ClientSecret>) -> Result<(), AdminError> {
    let authentication = ClientAuthentication { secrets, ..client.authentication };
    clients::update(tx, &Client { authentication, ..client }).await?;
    tx.invalidate();
    Ok(())
}
