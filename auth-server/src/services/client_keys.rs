//! The public keys of clients: registered ones, and those that are fetched from where the client publishes them (`jwks_uri`).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::Mutex as AsyncMutex;

use crate::domain::client::{Client, KeySource};
use crate::domain::client_url::ClientUrl;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::signing::SigningAlg;
use crate::keys::jwks::ExternalKeys;
use crate::keys::jwt::{JwtError, VerifiedJwt};
use crate::outbound::Outbound;

/// For how long fetched keys are used without asking again: so long a key that the client withdrew may count.
const FRESH: Duration = Duration::from_mins(10);
/// For how long beyond that they are used while somebody fetches newer ones.
const WHILE_FETCHING: Duration = Duration::from_mins(1);
/// For how long they are used while nothing newer can be had.
const LONGEST: Duration = Duration::from_hours(24);
/// Anybody can make up a key id, so one that is not known has keys fetched this often at most.
const UNKNOWN_KEY_COOL_DOWN: Duration = Duration::from_secs(30);
/// How soon it is tried again where nothing was had.
const FAILURE_COOL_DOWN: Duration = Duration::from_secs(5);
/// The longest document that is read.
const MAX_BYTES: usize = 64 * 1024;
/// Clients whose keys are remembered.
const CAPACITY: usize = 1024;

/// Verifies what clients sign. Clones share what was fetched.
#[derive(Clone)]
pub(crate) struct ClientKeys {
    outbound: Outbound,
    clock: Clock,
    published: Arc<Cache<String, Arc<Published>>>,
}

/// Why what a client signed is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ClientKeyError {
    #[error("its profile does not permit the algorithm")]
    Algorithm,
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("the client has no keys that can be read")]
    Missing,
    #[error("the client registered another algorithm")]
    OtherAlgorithm,
    #[error("the keys of the client cannot be fetched at present")]
    Unavailable,
}

/// The keys at one address.
#[derive(Default)]
struct Published {
    known: Mutex<Known>,
    /// Holding this is what makes a fetch the only one.
    turn: AsyncMutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    /// What was fetched last, and when.
    keys: Option<(Arc<ExternalKeys>, Timestamp)>,
    /// When it was tried last.
    tried_at: Option<Timestamp>,
}

impl ClientKeys {
    pub(crate) fn new(outbound: Outbound, clock: Clock) -> Self {
        Self { outbound, clock, published: Arc::new(Cache::new(CAPACITY)) }
    }

    /// Verifies the signature of a JWT with the keys of a client, by an algorithm that its profile permits, and by `registered` where
    /// the client said so. What it says is for the caller to check.
    pub(crate) async fn verify(
        &self,
        client: &Client,
        registered: Option<SigningAlg>,
        token: &str,
    ) -> Result<VerifiedJwt, ClientKeyError> {
        let verified = match client.keys() {
            Some(KeySource::At(url)) => self.verify_by_published(url, token).await?,
            Some(KeySource::Registered(jwks)) => {
                let keys = ExternalKeys::parse(jwks).map_err(|_| ClientKeyError::Missing)?;
                keys.verify(token)?
            }
            None => return Err(ClientKeyError::Missing),
        };
        let alg = verified.header.alg.as_str();
        if !client.settings.profile.permits_alg_named(alg) {
            return Err(ClientKeyError::Algorithm);
        }
        let is_other = registered.is_some_and(|registered| registered.as_str() != alg);
        if is_other { Err(ClientKeyError::OtherAlgorithm) } else { Ok(verified) }
    }

    async fn verify_by_published(&self, url: &ClientUrl, token: &str) -> Result<VerifiedJwt, ClientKeyError> {
        let published = self.published(url);
        let keys = self.current(&published, url).await?;
        match keys.verify(token) {
            // It may have been published since.
            Err(JwtError::UnknownKey) => match self.newer(&published, url, &keys).await {
                Some(newer) => Ok(newer.verify(token)?),
                None => Err(JwtError::UnknownKey.into()),
            },
            verified => Ok(verified?),
        }
    }

    fn published(&self, url: &ClientUrl) -> Arc<Published> {
        if let Some(found) = self.published.get(url.as_str()) {
            return found;
        }
        let new = Arc::new(Published::default());
        self.published.insert(url.as_str().to_owned(), Arc::clone(&new));
        new
    }

    /// The keys, fetched when there are none that are fresh; older ones where that fails.
    async fn current(
        &self,
        published: &Published,
        url: &ClientUrl,
    ) -> Result<Arc<ExternalKeys>, ClientKeyError> {
        if let Some(keys) = published.known().younger_than(FRESH, self.clock.now()) {
            return Ok(keys);
        }
        let turn = published.turn.try_lock();
        // While somebody fetches, those that were fresh a moment ago do.
        if turn.is_err()
            && let Some(keys) = published.known().younger_than(FRESH + WHILE_FETCHING, self.clock.now())
        {
            return Ok(keys);
        }
        let _turn = match turn {
            Ok(turn) => turn,
            Err(_) => published.turn.lock().await,
        };
        let known = published.known().clone();
        let now = self.clock.now();
        if let Some(keys) = known.younger_than(FRESH, now) {
            return Ok(keys);
        }
        let fetched = if known.was_tried_within(FAILURE_COOL_DOWN, now) {
            None
        } else {
            self.fetch(published, url, now).await
        };
        fetched.or_else(|| known.younger_than(LONGEST, now)).ok_or(ClientKeyError::Unavailable)
    }

    /// Other keys than those that were tried, if the client has published some.
    async fn newer(
        &self,
        published: &Published,
        url: &ClientUrl,
        tried: &Arc<ExternalKeys>,
    ) -> Option<Arc<ExternalKeys>> {
        let _turn = published.turn.lock().await;
        let known = published.known().clone();
        let now = self.clock.now();
        // Somebody who had the turn before may have fetched them.
        if let Some(keys) = known.younger_than(FRESH, now).filter(|keys| !Arc::ptr_eq(keys, tried)) {
            return Some(keys);
        }
        if known.was_tried_within(UNKNOWN_KEY_COOL_DOWN, now) {
            return None;
        }
        self.fetch(published, url, now).await
    }

    async fn fetch(
        &self,
        published: &Published,
        url: &ClientUrl,
        now: Timestamp,
    ) -> Option<Arc<ExternalKeys>> {
        published.known().tried_at = Some(now);
        let document = match self.outbound.get(url, MAX_BYTES).await {
            Ok(document) => document,
            Err(error) => {
                // From now on: whoever waited meanwhile would ask again at once otherwise.
                published.known().tried_at = Some(self.clock.now());
                tracing::warn!(cause = %error, "the keys of a client cannot be fetched");
                return None;
            }
        };
        match ExternalKeys::of_published(&document) {
            Ok(keys) => {
                let keys = Arc::new(keys);
                published.known().keys = Some((Arc::clone(&keys), now));
                Some(keys)
            }
            Err(error) => {
                tracing::warn!(cause = %error, "what a client publishes as its keys is not used");
                None
            }
        }
    }
}

impl Published {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn younger_than(&self, age: Duration, now: Timestamp) -> Option<Arc<ExternalKeys>> {
        self.keys.as_ref().filter(|(_, at)| now.since(*at) < age).map(|(keys, _)| Arc::clone(keys))
    }

    fn was_tried_within(&self, span: Duration, now: Timestamp) -> bool {
        self.tried_at.is_some_and(|at| now.since(at) < span)
    }
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKeys").finish_non_exhaustive()
    }
}
