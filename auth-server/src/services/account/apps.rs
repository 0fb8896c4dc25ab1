//! The applications that a person let in, and how they are turned out again.

use std::collections::BTreeMap;

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::claim::ClaimSet;
use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::details::Details;
use crate::domain::ids::{ApiId, ClientId};
use crate::domain::reach::ApiSet;
use crate::domain::scope::ScopeSet;
use crate::services::account::AccountService;
use crate::services::authorize::interaction::is_of_host;
use crate::services::details::{self, DetailView};
use crate::services::users::consents::take_back;
use crate::services::visit::{LiveSession, Visit};
use crate::storage::StoreError;
use crate::storage::applications::{self, Allowed, Held};

/// Consents, and kinds of grants, that are read at most.
const MOST_READ: u32 = 300;

/// The applications of a person.
pub(crate) struct OwnApps {
    /// By name.
    pub(crate) found: Vec<OwnApp>,
    /// Whether there are more than are shown.
    pub(crate) more: bool,
}

/// An application that was allowed something, or holds something.
pub(crate) struct OwnApp {
    pub(crate) client: ClientId,
    /// What people know it by.
    pub(crate) title: String,
    /// What its logo is served as, if it has one of its own host.
    pub(crate) logo: Option<String>,
    /// Since when, as far as is known.
    pub(crate) since: Timestamp,
    pub(crate) places: Vec<AppPlace>,
}

/// What an application may do at one place.
pub(crate) struct AppPlace {
    /// What the API is called; `None` for nowhere but here.
    pub(crate) api: Option<String>,
    pub(crate) scopes: ScopeSet,
    pub(crate) claims: ClaimSet,
    pub(crate) details: Vec<DetailView>,
}

/// All that is known of one application.
#[derive(Default)]
struct Known {
    allowed: Vec<Allowed>,
    held: Vec<Held>,
}

impl AccountService {
    /// The applications that whoever is signed in allowed something, and those that hold something without being asked for.
    pub(crate) async fn apps(&self, live: &LiveSession, now: Timestamp) -> Result<OwnApps, StoreError> {
        let user = &live.user.id;
        let (allowed, held) = {
            let mut tx = self.store.read().await?;
            let allowed = applications::allowed(&mut tx, user, MOST_READ).await?;
            (allowed, applications::held(&mut tx, user, now, MOST_READ).await?)
        };
        let most = usize::try_from(MOST_READ).unwrap_or(usize::MAX);
        let more = allowed.len() >= most || held.len() >= most;
        let mut known: BTreeMap<ClientId, Known> = BTreeMap::new();
        for one in allowed {
            known.entry(one.consent.client.clone()).or_default().allowed.push(one);
        }
        for one in held {
            known.entry(one.client.clone()).or_default().held.push(one);
        }
        let mut found = Vec::with_capacity(known.len());
        for (id, known) in known {
            // Whoever is deleted meanwhile holds nothing any more.
            if let Some(client) = self.store.client(&id).await? {
                found.push(self.app(&client, known).await?);
            }
        }
        found.sort_by_key(|app| app.title.to_lowercase());
        Ok(OwnApps { found, more })
    }

    async fn app(&self, client: &Client, known: Known) -> Result<OwnApp, StoreError> {
        let Known { allowed, held } = known;
        let times = allowed.iter().map(|one| one.consent.granted_at).chain(held.iter().map(|one| one.since));
        let since = times.min().unwrap_or(Timestamp::from_micros(0));
        let logo = allowed.iter().find_map(|one| one.logo.as_ref());
        let logo = logo.filter(|(_, uri)| is_its_own(client, uri)).map(|(name, _)| name.clone());
        let places = if allowed.is_empty() {
            self.places_held(&held).await?
        } else {
            self.places_allowed(allowed).await?
        };
        Ok(OwnApp { client: client.id.clone(), title: client.title(), logo, since, places })
    }

    async fn places_allowed(&self, allowed: Vec<Allowed>) -> Result<Vec<AppPlace>, StoreError> {
        let mut places = Vec::with_capacity(allowed.len());
        for Allowed { consent, .. } in allowed {
            places.push(AppPlace {
                api: self.api_name(consent.api.as_ref()).await?,
                scopes: consent.scopes,
                claims: consent.claims,
                details: self.details(&consent.details).await?,
            });
        }
        Ok(places)
    }

    /// What an application of our own holds, which nobody was asked for. Of several APIs each is named behind what is held in all.
    async fn places_held(&self, held: &[Held]) -> Result<Vec<AppPlace>, StoreError> {
        let scopes = held.iter().fold(ScopeSet::default(), |all, one| all.union(&one.scopes));
        let mut apis = ApiSet::default();
        held.iter().flat_map(|one| one.apis.iter()).for_each(|api| apis.add(api.clone()));
        let place = |api, scopes| AppPlace { api, scopes, claims: ClaimSet::default(), details: Vec::new() };
        if apis.len() < 2 {
            return Ok(vec![place(self.api_name(apis.only()).await?, scopes)]);
        }
        let mut places = vec![place(None, scopes)];
        for api in apis.iter() {
            places.push(place(self.api_name(Some(api)).await?, ScopeSet::default()));
        }
        Ok(places)
    }

    async fn api_name(&self, api: Option<&ApiId>) -> Result<Option<String>, StoreError> {
        let Some(api) = api else { return Ok(None) };
        Ok(self.store.api(api).await?.map(|api| api.name.clone()))
    }

    /// Details of types that are not known any more give nobody anything.
    async fn details(&self, allowed: &Details) -> Result<Vec<DetailView>, StoreError> {
        if allowed.is_empty() {
            return Ok(Vec::new());
        }
        let types = self.store.details_types().await?;
        let shown = |detail| types.of(detail).map(|kind| details::view(kind, detail, Some(allowed)));
        Ok(allowed.iter().filter_map(shown).collect())
    }

    /// Takes back what whoever is signed in allowed an application: it is forgotten, and every grant ends with its tokens. Gives whether
    /// there was something.
    pub(crate) async fn withdraw(
        &self,
        client: ClientId,
        live: &LiveSession,
        visit: &Visit,
    ) -> Result<bool, StoreError> {
        let (user, now, address) = (live.user.id.clone(), visit.now, visit.address);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let had = take_back(tx, &user, &client, now).await?;
                    if had {
                        let event = AuditEvent::new(Actor::User(user.clone()), AuditAction::ConsentWithdrawn);
                        let detail = json!({ "client": client.as_str() });
                        tx.audit(event.on(&user).from(Some(address)).with(detail));
                    }
                    Ok(had)
                })
            })
            .await
    }
}

/// Whether an image comes from where the application is at home: one of somebody whom people trust would be borrowed trust.
fn is_its_own(client: &Client, uri: &str) -> bool {
    match client.id.document() {
        Some(document) => is_of_host(uri, document.host()),
        None => {
            !client.redirects.is_empty()
                && client.redirects.iter().all(|redirect| is_of_host(uri, redirect.host()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::redirect_uri::RedirectUri;

    fn client(id: Option<&str>, redirects: &[&str]) -> Client {
        let mut client = Client::sample();
        if let Some(id) = id {
            client.id = ClientId::parse(id).unwrap();
        }
        client.redirects = redirects.iter().map(|uri| RedirectUri::parse(uri).unwrap()).collect();
        client
    }

    #[test]
    fn an_image_is_shown_only_of_an_application_that_is_at_home_where_it_comes_from() {
        let logo = "https://orders.example/logo.png";
        let below = "https://cdn.orders.example/logo.png";
        let registered = client(None, &["https://orders.example/cb"]);
        assert!(is_its_own(&registered, logo) && is_its_own(&registered, below));
        let document = client(Some("https://orders.example/client.json"), &["https://elsewhere.example/cb"]);
        assert!(is_its_own(&document, logo));
        for stranger in [
            client(None, &["https://evil.example/cb"]),
            client(None, &["https://orders.example/cb", "https://evil.example/cb"]),
            client(None, &["https://notorders.example/cb"]),
            client(None, &[]),
            client(Some("https://evil.example/client.json"), &["https://orders.example/cb"]),
        ] {
            assert!(!is_its_own(&stranger, logo), "{:?}", stranger.redirects);
        }
        assert!(!is_its_own(&registered, "no address"));
    }
}
