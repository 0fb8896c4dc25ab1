//! What a request asks for, place by place: consent is given and remembered for one API at a time.

use std::sync::Arc;

use crate::domain::claim::ClaimSet;
use crate::domain::client::Client;
use crate::domain::consent::{Consent, ConsentNeed, ConsentPrompt, details_need, needs_consent};
use crate::domain::details::Details;
use crate::domain::details::kind::DetailsTypes;
use crate::domain::rbac::Api;
use crate::domain::reach::{ApiSet, scopes_at};
use crate::domain::scope::ScopeSet;
use crate::services::authorize::interaction::{Asked, PlaceView};
use crate::services::authorize::request::AuthorizeRequest;
use crate::services::details::view;
use crate::storage::{Store, StoreError};

/// What is asked for at one place.
pub(super) struct Part {
    /// Where; `None` for this server.
    pub(super) api: Option<Arc<Api>>,
    pub(super) scopes: ScopeSet,
    details: Details,
    /// The details that stay allowed, of types that are not asked for each time.
    pub(super) lasting: Details,
}

/// A request in its parts.
pub(super) struct Parts {
    pub(super) all: Vec<Part>,
    types: Option<Arc<DetailsTypes>>,
}

/// The APIs that are there.
pub(super) async fn apis(store: &Store, set: &ApiSet) -> Result<Vec<Arc<Api>>, StoreError> {
    let mut found = Vec::with_capacity(set.len());
    for id in set.iter() {
        found.extend(store.api(id).await?);
    }
    Ok(found)
}

impl Parts {
    /// Takes a request apart. Types of details are looked up only for one that asks for some.
    pub(super) async fn of(store: &Store, request: &AuthorizeRequest) -> Result<Self, StoreError> {
        let reach = &request.reach;
        let apis = apis(store, &reach.apis).await?;
        let types = if reach.details.is_empty() { None } else { Some(store.details_types().await?) };
        let part = |api: Option<&Arc<Api>>, scopes: ScopeSet| {
            let id = api.map(|api| &api.id);
            let details = types.as_ref().map(|types| types.at(id, &reach.details)).unwrap_or_default();
            let lasting = types.as_ref().map(|types| types.remembered(&details)).unwrap_or_default();
            Part { api: api.cloned(), scopes, details, lasting }
        };
        let all = match apis.as_slice() {
            [] | [_] => vec![part(apis.first(), request.scopes.clone())],
            several => several.iter().map(|api| part(Some(api), scopes_of(api, several, request))).collect(),
        };
        Ok(Self { all, types })
    }
}

impl Parts {
    /// Of details those that a page shows: a type may have changed since they were asked for.
    pub(super) fn shown(&self, details: &Details) -> Details {
        details.only(|detail| self.all.iter().any(|part| part.details.contains(detail)))
    }
}

fn scopes_of(api: &Api, all: &[Arc<Api>], request: &AuthorizeRequest) -> ScopeSet {
    let others: Vec<&Api> = all.iter().map(AsRef::as_ref).filter(|other| other.id != api.id).collect();
    scopes_at(&request.scopes, Some(api), &others)
}

impl Part {
    /// Whether the person has to be asked; `held` is what was allowed at this place.
    pub(super) fn need(&self, client: &Client, claims: &ClaimSet, held: Option<&Consent>) -> ConsentNeed {
        let lasting = self.lasting == self.details;
        let scopes = needs_consent(client, (&self.scopes, claims), held, ConsentPrompt::WhenNeeded);
        let details = details_need(client, &self.details, held.filter(|_| lasting));
        if scopes == ConsentNeed::None { details } else { scopes }
    }

    /// What the page shows of it.
    pub(super) fn view(&self, types: &Parts, held: Option<Consent>) -> PlaceView {
        let before = held.as_ref().map(|held| &held.details);
        let shown = self.details.iter().filter_map(|detail| {
            let kind = types.types.as_ref()?.of(detail)?;
            Some(view(kind, detail, before))
        });
        PlaceView {
            api: self.api.as_ref().map(|api| api.name.clone()),
            scopes: self.scopes.clone(),
            details: shown.collect(),
            allowed_before: held
                .map(|held| Asked { scopes: held.scopes, claims: held.claims })
                .unwrap_or_default(),
        }
    }
}
