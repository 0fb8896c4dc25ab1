//! Whether this process can do its work.

use crate::storage::{Store, StoreError};

/// Asks what every request needs.
#[derive(Clone)]
pub(crate) struct HealthService {
    store: Store,
}

impl HealthService {
    /// Watches this store.
    pub(crate) const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The database answers.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        self.store.refresh_if_stale().await
    }
}
