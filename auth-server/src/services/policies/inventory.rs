//! What services say about their routes, and what administrators decide about it.
//!
//! A service may say what it likes, and as often as it likes: there is room for a few inventories that nobody decided about,
//! and new ones are taken at a slow pace.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::Quota;
use portcullis_policy::RouteDocument;
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::client::Client;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::ApiId;
use crate::domain::inventory::{InventoryState, RouteInventory};
use crate::domain::rbac::Api;
use crate::domain::secret::{Digest32, Entropy};
use crate::services::admin_error::{AdminError, Thing};
use crate::services::buckets::{Buckets, Key};
use crate::services::caller::Caller;
use crate::services::callers::Arrival;
use crate::services::fields::FieldErrors;
use crate::services::owners::Owners;
use crate::services::policies::find::find_api;
use crate::services::version::{Precondition, Version, Versioned};
use crate::storage::{Outcome, Store, StoreError, Turn, Tx, inventories};

/// How many inventories of an API wait for a decision. The next one takes the place of the oldest.
const MAX_PENDING: u32 = 4;

/// How many rejected ones are remembered, so that a service does not ask again.
const MAX_REJECTED: u32 = 8;

/// How many versions of a service may be approved at once.
const MAX_APPROVED: usize = 20;

/// How many new inventories of an API are taken at once, and how long one more takes.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(4).unwrap();
const PACE: Duration = Duration::from_mins(5);

/// Cells of the table that counts: a few APIs.
const BITS: u32 = 10;

/// Says that an inventory is already what it was to become.
pub(crate) const DECIDED: &str = "That was decided already.";

/// Keeps what services say about their routes.
#[derive(Clone)]
pub(crate) struct InventoryService {
    store: Store,
    pace: Arc<Pace>,
}

struct Pace {
    seed: [u8; 32],
    taken: Buckets,
}

/// What became of an announcement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Announced {
    pub(crate) state: InventoryState,
    pub(crate) is_new: bool,
}

/// Why an announcement was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnnounceError {
    /// It is not what it has to be.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// The client is not the guard of an API.
    #[error("the client serves no API")]
    ServesNothing,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many new ones were announced for the API.
    #[error("too many new inventories were announced for the API")]
    Throttled {
        /// When the next one will be taken.
        retry_after: Duration,
    },
    /// It is longer than any is.
    #[error("the document has more than {} bytes", RouteDocument::MAX_BYTES)]
    TooLong,
}

impl Outcome for AnnounceError {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

impl InventoryService {
    /// The service over this store.
    pub(crate) fn new(store: Store, clock: &Clock, entropy: &Entropy) -> Self {
        let quota =
            Quota::with_period(PACE).map_or_else(|| Quota::per_hour(AT_ONCE), |q| q.allow_burst(AT_ONCE));
        let pace = Pace { seed: entropy.bytes(), taken: Buckets::new(quota, BITS, clock) };
        Self { store, pace: Arc::new(pace) }
    }

    /// What was decided about the inventory of this name, for the guard that would announce it. `None` when it is not known.
    pub(crate) async fn state(
        &self,
        client: &Client,
        digest: &Digest32,
    ) -> Result<Option<InventoryState>, AnnounceError> {
        let api = self.served(client).await?;
        Ok(inventories::find_state(&mut self.store.read().await?, &api.id, digest).await?)
    }

    /// Keeps what the guard of an API says about its routes, until somebody decides about it. What is known stays as it is.
    pub(crate) async fn announce(
        &self,
        client: &Client,
        digest: &Digest32,
        document: &RouteDocument,
        arrival: Arrival,
    ) -> Result<Announced, AnnounceError> {
        let api = self.served(client).await?;
        let text = checked(document, &api, digest)?;
        let known = inventories::find_state(&mut self.store.read().await?, &api.id, digest).await?;
        if let Some(state) = known {
            return Ok(Announced { state, is_new: false });
        }
        let key = Key::new(&self.pace.seed, b'r', &[api.id.as_str().as_bytes()]);
        let taken = self.pace.taken.take(key, NonZeroU32::MIN);
        taken.map_err(|retry_after| AnnounceError::Throttled { retry_after })?;
        let inventory = RouteInventory {
            api: api.id.clone(),
            digest: *digest,
            version: document.version.clone(),
            state: InventoryState::Pending,
            routes: document.routes.len() as u64,
            document: text,
            announced: (client.id.to_string(), arrival.now),
            decided: None,
        };
        let event = AuditEvent::new(Actor::Client(client.id.clone()), AuditAction::RoutesAnnounced)
            .on(&api.id)
            .from(arrival.address)
            .with(detail(&inventory, &[]));
        self.store.write(move |tx| Box::pin(async move { Ok(add(tx, &inventory, event).await?) })).await
    }

    /// The inventories of an API without their texts, newest first.
    pub(crate) async fn list(&self, api: &ApiId) -> Result<Vec<RouteInventory>, AdminError> {
        let mut tx = self.store.read().await?;
        let api = find_api(&mut tx, api).await?;
        Ok(inventories::list(&mut tx, &api.id).await?)
    }

    /// One inventory.
    pub(crate) async fn show(
        &self,
        api: &ApiId,
        digest: &Digest32,
    ) -> Result<Versioned<RouteInventory>, AdminError> {
        let mut tx = self.store.read().await?;
        let api = find_api(&mut tx, api).await?;
        Ok(versioned(find(&mut tx, &api.id, digest).await?))
    }

    /// Says that these are the routes of that version of the service. What was approved for the version before is forgotten.
    pub(crate) async fn approve(
        &self,
        api: &ApiId,
        digest: &Digest32,
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<Versioned<RouteInventory>, AdminError> {
        self.decide((api, digest), InventoryState::Approved, precondition, caller).await
    }

    /// Says that these are not the routes of the service. It does not ask again.
    pub(crate) async fn reject(
        &self,
        api: &ApiId,
        digest: &Digest32,
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<Versioned<RouteInventory>, AdminError> {
        self.decide((api, digest), InventoryState::Rejected, precondition, caller).await
    }

    async fn decide(
        &self,
        (api, digest): (&ApiId, &Digest32),
        state: InventoryState,
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<Versioned<RouteInventory>, AdminError> {
        let (api, digest, precondition, caller) =
            (api.clone(), *digest, precondition.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let before = held(tx, &api, &digest, &precondition, &caller).await?;
                    if before.state == state {
                        return Err(AdminError::Conflict(DECIDED));
                    }
                    let decided = Some((caller.actor.to_string(), caller.now));
                    let after = RouteInventory { state, decided, ..before };
                    let (action, replaced) = if state == InventoryState::Approved {
                        (AuditAction::RoutesApproved, supersede(tx, &after).await?)
                    } else {
                        (AuditAction::RoutesRejected, Vec::new())
                    };
                    inventories::decide(tx, &after).await?;
                    inventories::keep_newest(tx, &api, InventoryState::Rejected, MAX_REJECTED).await?;
                    tx.audit(caller.event(action).on(&api).with(detail(&after, &replaced)));
                    Ok(versioned(after))
                })
            })
            .await
    }

    /// Forgets an inventory. A service that has these routes still will announce them again.
    pub(crate) async fn delete(
        &self,
        api: &ApiId,
        digest: &Digest32,
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<(), AdminError> {
        let (api, digest, precondition, caller) =
            (api.clone(), *digest, precondition.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let found = held(tx, &api, &digest, &precondition, &caller).await?;
                    inventories::delete(tx, &api, &digest).await?;
                    tx.audit(caller.event(AuditAction::RoutesDeleted).on(&api).with(detail(&found, &[])));
                    Ok(())
                })
            })
            .await
    }

    /// The API whose guard a client is.
    async fn served(&self, client: &Client) -> Result<Arc<Api>, AnnounceError> {
        let api = client.settings.serves.as_ref().ok_or(AnnounceError::ServesNothing)?;
        self.store.api(api).await?.ok_or(AnnounceError::ServesNothing)
    }
}

/// The text of a document, if it is one of this API and has this name.
fn checked(document: &RouteDocument, api: &Api, digest: &Digest32) -> Result<String, AnnounceError> {
    document.check().map_err(|fault| FieldErrors::of(fault.pointer, "invalid", fault.message))?;
    if document.api != api.audience.as_str() {
        return Err(FieldErrors::of("/api", "other-api", "has to be the API that the client serves").into());
    }
    // Texts and lists of them: there is nothing that JSON could not say.
    let text = serde_json::to_string(document).unwrap_or_default();
    if text.len() > RouteDocument::MAX_BYTES {
        return Err(AnnounceError::TooLong);
    }
    if Digest32::of(text.as_bytes()) != *digest {
        let message = "has another digest than the one in the address, when written as RFC 8785 says";
        return Err(FieldErrors::of("", "digest", message).into());
    }
    Ok(text)
}

/// Adds an inventory, and forgets the oldest beyond those that may wait. Of several replicas that are told at once, one adds it.
async fn add(tx: &mut Tx, inventory: &RouteInventory, event: AuditEvent) -> Result<Announced, StoreError> {
    tx.one_at_a_time(Turn::Administration).await?;
    if !inventories::insert(tx, inventory).await? {
        let state = inventories::find_state(tx, &inventory.api, &inventory.digest).await?;
        return Ok(Announced { state: state.unwrap_or(inventory.state), is_new: false });
    }
    inventories::keep_newest(tx, &inventory.api, InventoryState::Pending, MAX_PENDING).await?;
    tx.audit(event);
    Ok(Announced { state: inventory.state, is_new: true })
}

/// The inventory that is to be changed, when the caller may change it and knows what it is.
async fn held(
    tx: &mut Tx,
    api: &ApiId,
    digest: &Digest32,
    precondition: &Precondition,
    caller: &Caller,
) -> Result<RouteInventory, AdminError> {
    tx.one_at_a_time(Turn::Administration).await?;
    let api = find_api(tx, api).await?;
    Owners::require_owner_of(&api, caller)?;
    let found = find(tx, &api.id, digest).await?;
    if precondition.holds(&version(&found)) { Ok(found) } else { Err(AdminError::Stale) }
}

/// Forgets what was approved for the same version, and gives its digests.
async fn supersede(tx: &mut Tx, approved: &RouteInventory) -> Result<Vec<String>, AdminError> {
    let mut known = inventories::list(tx, &approved.api).await?;
    known.retain(|other| other.state == InventoryState::Approved);
    let (same, others): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|other| other.version == approved.version);
    if others.len() >= MAX_APPROVED {
        return Err(AdminError::Conflict(
            "So many versions are approved. Delete one that does not run any more.",
        ));
    }
    for old in &same {
        inventories::delete(tx, &old.api, &old.digest).await?;
    }
    Ok(same.iter().map(|old| old.digest.hex()).collect())
}

async fn find(tx: &mut Tx, api: &ApiId, digest: &Digest32) -> Result<RouteInventory, AdminError> {
    inventories::find(tx, api, digest).await?.ok_or(AdminError::NotFound(Thing::Inventory))
}

fn versioned(inventory: RouteInventory) -> Versioned<RouteInventory> {
    Versioned { version: version(&inventory), value: inventory }
}

/// What it takes to change an inventory: it needs no text, so those of a list have it as well.
pub(crate) fn version(inventory: &RouteInventory) -> Version {
    let decided_at = inventory.decided.as_ref().map(|(_, at): &(String, Timestamp)| at.as_micros());
    Version::of(&(inventory.digest.hex(), inventory.state.as_str(), decided_at))
}

fn detail(inventory: &RouteInventory, replaced: &[String]) -> serde_json::Value {
    json!({
        "digest": inventory.digest.hex(),
        "version": inventory.version,
        "routes": inventory.routes,
        "replaces": replaced,
    })
}

#[cfg(test)]
mod tests;
