//! Reading the audit trail.

use crate::domain::audit::AuditRecord;
use crate::services::admin_error::AdminError;
use crate::services::fields::FieldErrors;
use crate::services::paging::{Page, PageQuery};
use crate::storage::{Store, audit};

/// Reads the audit trail.
#[derive(Clone)]
pub struct AuditService {
    store: Store,
}

impl AuditService {
    /// The service over this store.
    pub(crate) const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Lists what happened, newest first.
    pub async fn list(&self, query: &PageQuery) -> Result<Page<AuditRecord>, AdminError> {
        let before =
            query.after().map(str::parse::<u64>).transpose().map_err(|_| {
                FieldErrors::of("/after", "invalid", "has to be the `next` of the page before")
            })?;
        let mut tx = self.store.read().await?;
        let found = audit::list(&mut tx, before, query.probe()).await?;
        Ok(Page::of(found, query, |record| record.seq.to_string()))
    }
}
