//! Organisations: the tenants.

use crate::domain::audit::AuditAction;
use crate::domain::ids::OrganisationId;
use crate::domain::organisation::Organisation;
use crate::domain::secret::Entropy;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::fields::{FieldErrors, display_name};
use crate::services::paging::{Page, PageQuery};
use crate::storage::{Store, Turn, organisations};

/// The longest name of an organisation, in characters.
const MAX_NAME: usize = 100;

/// Creates and lists organisations.
#[derive(Clone)]
pub struct OrganisationService {
    store: Store,
    entropy: Entropy,
}

impl OrganisationService {
    /// The service over this store.
    pub(crate) const fn new(store: Store, entropy: Entropy) -> Self {
        Self { store, entropy }
    }

    /// Creates an organisation.
    pub async fn create(&self, name: &str, caller: &Caller) -> Result<Organisation, AdminError> {
        let name = display_name(name, MAX_NAME)
            .map_err(|refusal| FieldErrors::of("/name", "invalid", refusal.to_string()))?;
        let id = OrganisationId::generate(caller.now, &self.entropy);
        let organisation = Organisation { id, name, created_at: caller.now };
        let caller = caller.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    organisations::insert(tx, &organisation).await?;
                    tx.audit(caller.event(AuditAction::OrganisationCreated).on(&organisation.id));
                    tx.invalidate();
                    Ok(organisation)
                })
            })
            .await
    }

    /// Lists organisations, oldest first.
    pub async fn list(&self, query: &PageQuery) -> Result<Page<Organisation>, AdminError> {
        let mut tx = self.store.read().await?;
        let found = organisations::list(&mut tx, query.after(), query.probe()).await?;
        Ok(Page::of(found, query, |organisation| organisation.id.to_string()))
    }

    /// Shows an organisation.
    pub async fn show(&self, id: &OrganisationId) -> Result<Organisation, AdminError> {
        let mut tx = self.store.read().await?;
        organisations::find(&mut tx, id).await?.ok_or(AdminError::NotFound(Thing::Organisation))
    }
}
