//! Whether the routes of a service and the rules of its policy fit.

use portcullis_policy::Fit;

use crate::domain::ids::ApiId;
use crate::domain::inventory::RouteInventory;
use crate::domain::secret::Digest32;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::policies::announced::routes;
use crate::services::policies::questions::{Answered, Edition, QuestionService, analysis};
use crate::storage::inventories;

/// Routes that no rule opens, and rules that no route asks for.
#[derive(Debug)]
pub(crate) struct RouteReport {
    /// Whose routes: the inventories that are approved, or the one that was asked about.
    pub(crate) inventories: Vec<RouteInventory>,
    /// How many different routes they have.
    pub(crate) routes: usize,
    pub(crate) fit: Fit,
}

impl QuestionService {
    /// Holds a text against the routes of one inventory, or of all that are approved: while two versions of a service run, a
    /// rule is of use when one of them asks for it.
    pub(crate) async fn route_report(
        &self,
        api: &ApiId,
        edition: Edition,
        digest: Option<&Digest32>,
    ) -> Result<Answered<RouteReport>, AdminError> {
        let (seen, text) = self.text(api, edition).await?;
        let mut tx = self.store.read().await?;
        let mut found = match digest {
            Some(digest) => inventories::find(&mut tx, api, digest).await?.into_iter().collect(),
            None => inventories::list_approved(&mut tx, api).await?,
        };
        drop(tx);
        if found.is_empty() {
            return Err(AdminError::NotFound(Thing::Inventory));
        }
        let answer = self
            .work(move || {
                let routes = routes(&mut found)?;
                let fit = analysis(&text)?.fit(&routes);
                Ok(RouteReport { inventories: found, routes: routes.len(), fit })
            })
            .await?;
        Ok(Answered { seen, answer, unknown_roles: Vec::new() })
    }
}
