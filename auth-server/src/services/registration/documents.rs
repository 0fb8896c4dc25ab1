//! Clients that are named by a document, and described by it
//! ([OAuth Client ID Metadata Document](https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/)).
//!
//! Anybody can have such a document fetched, so little is done for one who does: a few in a minute, each once however many ask, and never
//! again at once what was bad.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use serde_json::json;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use crate::config::Documents;
use crate::domain::client_document::DocumentUrl;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::registration::{About, Registration, RegistrationSource};
use crate::outbound::{Document, JSON, Outbound, OutboundError};
use crate::services::clients::ClientService;
use crate::services::clients::form::Blueprint;
use crate::services::clients::registered::Presents;
use crate::services::network_limits::NetworkLimits;
use crate::services::registration::Arrival;
use crate::services::registration::error::{DocumentError, RegistrationError};
use crate::services::registration::logo::LogoService;
use crate::services::registration::metadata::{ClientMetadata, MetadataError};
use crate::services::registration::permission::Permissions;
use crate::services::registration::sector;
use crate::services::registration::wish::{Origin, Wish};
use crate::storage::registrations::{Freshness, Upkeep};
use crate::storage::{Store, Turn, clients, registrations};

/// The longest document that is read. The draft recommends 5 KB.
const MAX_BYTES: usize = 8 * 1024;
/// For how long a document is good that says nothing of it.
const USUAL: Duration = Duration::from_hours(1);
/// It is not asked for more often than this, whatever it says.
const SHORTEST: Duration = Duration::from_mins(5);
/// Nor less often.
const LONGEST: Duration = Duration::from_hours(24);
/// How long a client is still known by what was read last, where its document cannot be had.
const AWAY: Duration = Duration::from_hours(24);
/// How soon one that was bad is asked for again.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// How soon a client is taken away that nobody used.
const UNUSED: Duration = Duration::from_hours(24);
/// Documents that are remembered.
const CAPACITY: usize = 4096;
/// Documents that are fetched at once: the rest of the way out is for clients that an administrator made.
const AT_ONCE: usize = 8;

/// Knows the clients that documents describe. Clones share what was fetched.
#[derive(Clone)]
pub(crate) struct DocumentService(Arc<Inner>);

struct Inner {
    store: Store,
    clients: ClientService,
    permissions: Permissions,
    reach: Reach,
    known: Cache<String, Arc<Known>>,
    fetching: Semaphore,
}

/// The way out, and how much of it there is for one.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) outbound: Outbound,
    pub(crate) limits: NetworkLimits,
    pub(crate) logos: LogoService,
}

/// One document.
#[derive(Default)]
struct Known {
    state: Mutex<State>,
    /// Holding this is what makes a fetch the only one.
    turn: AsyncMutex<()>,
}

#[derive(Clone, Default)]
struct State {
    freshness: Option<Freshness>,
    failed: Option<(Timestamp, DocumentError)>,
}

impl State {
    /// Takes over what is stored, unless somebody read the document since that was looked up.
    fn learn(&mut self, stored: Option<Freshness>) {
        let is_newer =
            |stored: &Freshness| self.freshness.is_none_or(|known| known.fetched_at < stored.fetched_at);
        self.freshness = stored.filter(is_newer).or(self.freshness);
    }
}

/// What it took to know a client by its document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    /// Nothing beyond this server.
    AtHand,
    /// The place of the document was asked, or whoever asked it was waited for.
    Fetched,
}

/// What a document says, as far as it is accepted.
struct Described {
    blueprint: Blueprint,
    about: About,
    freshness: Freshness,
}

impl DocumentService {
    pub(crate) fn new(store: Store, clients: ClientService, permissions: Permissions, reach: Reach) -> Self {
        let (known, fetching) = (Cache::new(CAPACITY), Semaphore::new(AT_ONCE));
        Self(Arc::new(Inner { store, clients, permissions, reach, known, fetching }))
    }

    /// Makes sure that a client is known by what its document says now. Of a client that no document names there is nothing to do.
    pub(crate) async fn ensure(&self, client: &ClientId, arrival: Arrival) -> Result<Reading, DocumentError> {
        let Some(url) = client.document() else { return Ok(Reading::AtHand) };
        self.permit(&url)?;
        let remembered = self.0.known.get(url.as_str());
        if let Some(answer) = remembered.and_then(|known| known.answer(arrival.now)) {
            return answer.map(|()| Reading::AtHand);
        }
        let stored = self.stored(client).await?;
        if stored.is_some_and(|stored| arrival.now < stored.fresh_until) {
            self.known(&url).state().learn(stored);
            return Ok(Reading::AtHand);
        }
        let throttled = |retry_after| DocumentError::Throttled { retry_after };
        if let Err(error) = self.0.reach.limits.admit(arrival.address).map_err(throttled) {
            // Whoever used the client before goes on using it.
            return or_while_away(stored, error, arrival.now).map(|()| Reading::AtHand);
        }
        // Only now: what anybody may ask for without end takes no place in memory.
        let known = self.known(&url);
        known.state().learn(stored);
        let _turn = known.turn.lock().await;
        // Somebody who had the turn before may have fetched it.
        if let Some(answer) = known.answer(arrival.now) {
            return answer.map(|()| Reading::Fetched);
        }
        let read = match self.fetched(client, &url, arrival).await {
            Ok(freshness) => {
                *known.state() = State { freshness: Some(freshness), failed: None };
                Ok(())
            }
            Err(error) => {
                tracing::info!(client.id = %client, cause = error.cause(), "the document of a client is not used");
                known.state().failed = Some((arrival.now, error.clone()));
                or_while_away(stored, error, arrival.now)
            }
        };
        read.map(|()| Reading::Fetched)
    }

    /// Whether documents of such a host are looked at, before anything is done for it.
    fn permit(&self, url: &DocumentUrl) -> Result<(), DocumentError> {
        let settings = self.0.permissions.settings();
        match settings.client_id_metadata_documents {
            Documents::Off => Err(DocumentError::Off),
            Documents::AllowListed if !settings.document_hosts.iter().any(|host| host == url.host()) => {
                Err(DocumentError::Host)
            }
            Documents::AllowListed | Documents::Any => self
                .0
                .reach
                .outbound
                .rules()
                .check(url.address().url())
                .map_err(|refused| DocumentError::Outbound(refused.into())),
        }
    }

    fn known(&self, url: &DocumentUrl) -> Arc<Known> {
        let new = || Ok::<_, Infallible>(Arc::new(Known::default()));
        self.0.known.get_or_insert_with(url.as_str(), new).unwrap_or_else(|never| match never {})
    }

    /// When what is stored was read: by another replica, or before a restart.
    async fn stored(&self, client: &ClientId) -> Result<Option<Freshness>, DocumentError> {
        let mut tx = self.0.store.read().await.map_err(DocumentError::Fault)?;
        registrations::freshness(&mut tx, client).await.map_err(DocumentError::Fault)
    }

    /// Fetches a document and takes over what it says.
    async fn fetched(
        &self,
        client: &ClientId,
        url: &DocumentUrl,
        arrival: Arrival,
    ) -> Result<Freshness, DocumentError> {
        let _share =
            self.0.fetching.try_acquire().map_err(|_| DocumentError::Outbound(OutboundError::Busy))?;
        let document = self
            .0
            .reach
            .outbound
            .fetch(url.address(), MAX_BYTES, JSON)
            .await
            .map_err(DocumentError::Outbound)?;
        let described = self.described(url, &document, arrival.now).await?;
        let (freshness, logo) = (described.freshness, described.about.logo_uri.clone());
        self.take_over(client.clone(), described, arrival).await?;
        self.0.reach.logos.settle(client, logo.as_deref()).await;
        Ok(freshness)
    }

    async fn described(
        &self,
        url: &DocumentUrl,
        document: &Document,
        now: Timestamp,
    ) -> Result<Described, DocumentError> {
        if !document.is_json() {
            return Err(DocumentError::NotJson);
        }
        let metadata = ClientMetadata::parse(&document.body)?;
        if metadata.client_id.as_deref() != Some(url.as_str()) {
            return Err(DocumentError::Other);
        }
        if metadata.client_secret.is_some() || metadata.client_secret_expires_at.is_some() {
            return Err(MetadataError::of("client_secret", "what everybody can read holds no secret").into());
        }
        let allowance = self.0.permissions.of_everybody().await.map_err(DocumentError::Fault)?;
        // The Model Context Protocol asks for one, and people are to be shown what somebody chose.
        if metadata.client_name.is_none() {
            return Err(MetadataError::of("client_name", "is missing").into());
        }
        let mut wish = metadata.wish(&allowance, Origin::Document)?;
        check_redirects(url, &wish)?;
        sector::settle(&mut wish, &self.0.reach.outbound).await?;
        let form = self.0.clients.blueprint(&wish.form);
        let mut blueprint = form.map_err(|errors| DocumentError::Metadata(errors.into()))?;
        wish.refine(&mut blueprint);
        let lifetime = document.lifetime.unwrap_or(USUAL).clamp(SHORTEST, LONGEST);
        let freshness = Freshness { fetched_at: now, fresh_until: now.plus(lifetime) };
        Ok(Described { blueprint, about: wish.about, freshness })
    }

    async fn take_over(
        &self,
        client: ClientId,
        described: Described,
        arrival: Arrival,
    ) -> Result<(), DocumentError> {
        let (clients, caller) = (self.0.clients.clone(), arrival.caller());
        let Described { blueprint, about, freshness } = described;
        let written: Result<(), RegistrationError> = self
            .0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    if let Some(before) = clients::find(tx, &client).await? {
                        let known = registrations::find(tx, &client).await?;
                        let presents = Presents::change(known.as_ref().map(|known| &known.about), &about);
                        clients.replace(tx, (&before, blueprint), presents, &caller).await?;
                        return Ok(registrations::refresh(tx, &client, &about, freshness).await?);
                    }
                    let detail = json!({ "source": "document" });
                    clients.admit(tx, (client.clone(), blueprint), &caller, detail).await?;
                    let registration = Registration {
                        client,
                        source: RegistrationSource::Document,
                        about,
                        allowance: None,
                        initial_token: None,
                        created_at: caller.now,
                    };
                    let review_at = caller.now.plus(UNUSED);
                    let upkeep = Upkeep { token: None, freshness: Some(freshness), review_at };
                    Ok(registrations::insert(tx, &registration, upkeep).await?)
                })
            })
            .await;
        Ok(written?)
    }
}

impl Known {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What can be said without asking anybody.
    fn answer(&self, now: Timestamp) -> Option<Result<(), DocumentError>> {
        let state = self.state().clone();
        if state.freshness.is_some_and(|freshness| now < freshness.fresh_until) {
            return Some(Ok(()));
        }
        let (_, error) = state.failed.clone().filter(|(at, _)| now.since(*at) < COOL_DOWN)?;
        Some(or_while_away(state.freshness, error, now))
    }
}

/// A client whose document cannot be had is known for a while by what was read last. One whose document says that it is no client any
/// more is not.
fn or_while_away(last: Option<Freshness>, error: DocumentError, now: Timestamp) -> Result<(), DocumentError> {
    let is_recent = last.is_some_and(|last| now.since(last.fetched_at) < LONGEST + AWAY);
    if is_recent && error.passes() { Ok(()) } else { Err(error) }
}

/// People are sent to the origin of the document, to programs on their own machine, or to a scheme that belongs to the host: with an
/// answer, and after they signed out.
fn check_redirects(url: &DocumentUrl, wish: &Wish) -> Result<(), MetadataError> {
    let answers = wish.redirects.iter().map(RedirectUri::as_str).enumerate();
    let answers = answers.map(|(position, uri)| (format!("redirect_uris/{position}"), uri));
    let departures = wish.form.post_logout_redirect_uris.iter().enumerate();
    let departures =
        departures.map(|(position, uri)| (format!("post_logout_redirect_uris/{position}"), uri.as_str()));
    for (member, uri) in answers.chain(departures) {
        let parsed = url::Url::parse(uri).ok();
        let is_its_own = parsed.is_some_and(|parsed| match parsed.scheme() {
            "https" => url.is_beside(&parsed),
            "http" => RedirectUri::parse_of_device(uri).is_ok_and(|uri| uri.is_loopback()),
            scheme => url.owns_scheme(scheme),
        });
        if !is_its_own {
            return Err(MetadataError::of(&member, "is not of the origin of the document"));
        }
    }
    Ok(())
}

impl fmt::Debug for DocumentService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentService").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looked_it_up_before_it_was_read_does_not_have_it_read_again() {
        let at = |secs| Freshness {
            fetched_at: Timestamp::from_secs(secs),
            fresh_until: Timestamp::from_secs(secs + 100),
        };
        let mut state = State { freshness: Some(at(10)), failed: None };
        state.learn(None);
        state.learn(Some(at(5)));
        assert_eq!(state.freshness, Some(at(10)));
        state.learn(Some(at(20)));
        assert_eq!(state.freshness, Some(at(20)));
    }
}
