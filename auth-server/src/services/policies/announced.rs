//! The routes that inventories list.

use std::collections::BTreeSet;

use portcullis_policy::{Route, RouteDocument};

use crate::domain::inventory::RouteInventory;
use crate::services::admin_error::AdminError;
use crate::storage::StoreError;

/// The routes of inventories, each once. Their texts are not needed after that.
pub(super) fn routes(inventories: &mut [RouteInventory]) -> Result<BTreeSet<Route>, AdminError> {
    let mut routes = BTreeSet::new();
    for inventory in inventories {
        routes.extend(parsed(&std::mem::take(&mut inventory.document))?.routes);
    }
    Ok(routes)
}

/// What a stored text says.
pub(crate) fn parsed(document: &str) -> Result<RouteDocument, AdminError> {
    serde_json::from_str(document)
        .map_err(|_| AdminError::Store(StoreError::Corrupt { what: "column document".to_owned() }))
}
