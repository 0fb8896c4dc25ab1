//! Names that are known beside the rules of an API: what its services ask for, the roles that were made, and the classes of sign-in
//! that this server gives.
//!
//! Where a rule has another that is near one of them, or asks for a class that is none of them, a check says so.

use std::mem;

use portcullis_policy::{Control, KnownNames, PolicySource, Report, Snapshot, lint_with};

use crate::domain::inventory::RouteInventory;
use crate::domain::rbac::Api;
use crate::domain::session::Acr;
use crate::services::admin_error::AdminError;
use crate::services::owners::OWNER;
use crate::services::policies::announced::routes;
use crate::storage::{StoreError, Tx, inventories, roles};

/// What it takes to change rules by the admin API.
const CONTROL: Control<'_> =
    Control { object: "policies", actions: &["update", "activate"], meant_for: &[OWNER] };

/// As it is stored: reading it takes a while.
pub(super) struct Stored {
    inventories: Vec<RouteInventory>,
    roles: Vec<String>,
    /// Whether its rules say who may change rules.
    administers: bool,
}

impl Stored {
    /// The routes that are approved, and the roles of the API.
    pub(super) async fn of(tx: &mut Tx, api: &Api) -> Result<Self, StoreError> {
        let roles = roles::list(tx, &api.id).await?;
        let roles = roles.into_iter().map(|role| role.name.to_string()).collect();
        let inventories = inventories::list_approved(tx, &api.id).await?;
        Ok(Self { inventories, roles, administers: api.administers })
    }

    /// Everything that is wrong with rules or doubtful, by what is known here.
    pub(super) fn lint(mut self, source: &PolicySource) -> Result<Report, AdminError> {
        let administers = self.administers;
        let mut report = lint_with(source, &self.names()?);
        if administers && let Ok(snapshot) = Snapshot::compile(source, 0) {
            report.findings.extend(CONTROL.check(&snapshot));
        }
        Ok(report)
    }

    fn names(&mut self) -> Result<KnownNames, AdminError> {
        let mut names = KnownNames::of_routes(&routes(&mut self.inventories)?);
        names.roles.extend(mem::take(&mut self.roles));
        names.classes.extend(Acr::ALL.map(|class| class.as_str().to_owned()));
        Ok(names)
    }
}
