//! What a token request wants of a grant: which of its scopes, at which of its APIs, and what there in detail.

use crate::domain::client::Client;
use crate::domain::details::Details;
use crate::domain::details::fault::DetailsFault;
use crate::domain::ids::ApiId;
use crate::domain::parameters::Parameters;
use crate::domain::reach::Reach;
use crate::domain::scope::ScopeSet;
use crate::services::details::{self, asked};
use crate::services::token::target::Asked;
use crate::services::token::{TokenError, TokenService, request};

/// What is wanted of a grant.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) scopes: Option<ScopeSet>,
    pub(super) target: Asked,
    details: Option<Details>,
}

/// What a grant gives for it.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) api: Option<ApiId>,
    pub(super) details: Details,
}

impl Wish {
    /// What the grant gives for it. More than was granted is refused, and nothing is spent.
    pub(super) fn within(&self, reach: &Reach, scopes: &ScopeSet) -> Result<Given, TokenError> {
        let api = self.target.within(&reach.apis, scopes)?;
        let details = reach.details.narrowed(self.details.as_ref()).ok_or(DetailsFault::Exceeding)?;
        Ok(Given { api, details })
    }
}

impl TokenService {
    /// Reads what is wanted; `scopes` says how scopes are narrowed by the grant.
    pub(super) async fn wish(
        &self,
        parameters: &Parameters,
        client: &Client,
        scopes: Option<ScopeSet>,
    ) -> Result<Wish, TokenError> {
        let target = self.asked(request::resource(parameters)?.as_deref()).await?;
        target.meet(scopes.as_ref())?;
        let details = asked(parameters)?;
        if let Some(details) = &details {
            let places = details::places(&self.store, client, details).await?;
            let named = target.api().map(|api| &api.id);
            let elsewhere = match &target {
                Asked::Granted => false,
                Asked::Api(_) | Asked::Issuer => places.iter().any(|place| Some(place) != named),
            };
            if elsewhere {
                return Err(DetailsFault::Elsewhere.into());
            }
        }
        Ok(Wish { scopes, target, details })
    }

    /// Of what was granted in detail, what a token for one API carries. Types are looked up only where there is something.
    pub(super) async fn details_at(
        &self,
        client: &Client,
        api: Option<&ApiId>,
        granted: &Details,
    ) -> Result<Details, TokenError> {
        if granted.is_empty() {
            return Ok(Details::default());
        }
        let types = self.store.details_types().await?;
        Ok(details::at(&types, client, api, granted))
    }
}
