//! Names that are known beside the rules of an API: what its services ask for, and the roles that were made.
//!
//! Where a rule has another that is near one of them, a check says so.

use portcullis_policy::KnownNames;

use crate::domain::ids::ApiId;
use crate::domain::inventory::RouteInventory;
use crate::services::admin_error::AdminError;
use crate::services::policies::announced::routes;
use crate::storage::{StoreError, Tx, inventories, roles};

/// As it is stored: reading it takes a while.
pub(super) struct Stored {
    inventories: Vec<RouteInventory>,
    roles: Vec<String>,
}

impl Stored {
    /// The routes that are approved, and the roles of the API.
    pub(super) async fn of(tx: &mut Tx, api: &ApiId) -> Result<Self, StoreError> {
        let roles = roles::list(tx, api).await?;
        let roles = roles.into_iter().map(|role| role.name.to_string()).collect();
        Ok(Self { inventories: inventories::list_approved(tx, api).await?, roles })
    }

    pub(super) fn names(mut self) -> Result<KnownNames, AdminError> {
        let mut names = KnownNames::of_routes(&routes(&mut self.inventories)?);
        names.roles.extend(self.roles);
        Ok(names)
    }
}
