//! The policy of the admin API as the server's own guard reads it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_guard::SharedPolicy;
use portcullis_policy::{PolicySource, Snapshot};
use tokio::sync::Mutex;

use crate::domain::rbac::RoleName;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::owners::Owners;
use crate::services::permission::Permission;
use crate::services::policies::candidate::{apart, source};
use crate::storage::{Store, policies};

/// The policy of the admin API: swapped when a revision is activated, here or by another replica.
#[derive(Clone)]
pub(crate) struct AdminPolicy {
    store: Store,
    owners: Owners,
    current: Arc<ArcSwap<Snapshot>>,
    shared: SharedPolicy,
    /// Readings follow one another, so that an older one never comes last.
    turn: Arc<Mutex<()>>,
}

impl AdminPolicy {
    /// Loads the active revision. The admin API has to exist.
    pub(crate) async fn open(store: Store, owners: Owners) -> Result<Self, AdminError> {
        let snapshot = load(&store, &owners).await?;
        let shared = SharedPolicy::new(Arc::clone(&snapshot));
        Ok(Self { store, owners, current: Arc::new(ArcSwap::new(snapshot)), shared, turn: Arc::default() })
    }

    /// What the guard of the admin API reads.
    pub(crate) fn shared(&self) -> SharedPolicy {
        self.shared.clone()
    }

    /// Takes over the active revision if it is not the one in force. What is in force stays when that fails. It is done beside the
    /// requests, and not counted among their statements.
    pub(crate) async fn refresh(&self) -> Result<(), AdminError> {
        let _turn = self.turn.lock().await;
        let mut tx = self.store.read().await?.uncounted();
        let active = self.owners.api(&mut tx).await?.active_revision;
        drop(tx);
        if active != self.shared.revision() {
            let snapshot = load(&self.store, &self.owners).await?;
            tracing::info!(policy.revision = snapshot.revision(), "policy of the admin API in force");
            self.current.store(Arc::clone(&snapshot));
            self.shared.store(snapshot);
        }
        Ok(())
    }

    /// Whether somebody with these roles has a permission in the admin API.
    pub(crate) fn allows(&self, roles: &[RoleName], permission: Permission) -> bool {
        permission.is_given(&self.current.load(), roles)
    }

    /// Whether somebody with these roles has it who meets what a rule asks of the sign-in.
    pub(crate) fn may_allow(&self, roles: &[RoleName], permission: Permission) -> bool {
        permission.may_be_given(&self.current.load(), roles)
    }
}

async fn compile(source: PolicySource, revision: u64) -> Result<Arc<Snapshot>, AdminError> {
    let compiled = apart(move || Snapshot::compile(&source, revision)).await?;
    compiled.map(Arc::new).map_err(AdminError::Policy)
}

async fn load(store: &Store, owners: &Owners) -> Result<Arc<Snapshot>, AdminError> {
    let mut tx = store.read().await?.uncounted();
    let api = owners.api(&mut tx).await?;
    let number = api.active_revision.ok_or(AdminError::NotFound(Thing::Policy))?;
    let revision = policies::find_revision(&mut tx, &api.id, number).await?;
    let revision = revision.ok_or(AdminError::NotFound(Thing::Revision))?;
    drop(tx);
    compile(source(&revision.text), number).await
}
