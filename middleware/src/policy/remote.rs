//! Fetching the policy from the server that signs it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use portcullis_policy::Snapshot;
use tokio::sync::Mutex;
use url::Url;

use super::signed::{Expected, MAX_BYTES, SnapshotFault, open};
use super::{SharedPolicy, Surroundings};
use crate::clock::Clock;
use crate::fetch::{FetchError, Fetched, Fetcher, Get};
use crate::jwks::{Trusts, is_allowed};
use crate::schedule::{Confirmed, Schedule};

/// How often the server is asked, unless told otherwise. The answer is nearly always "not modified".
const DEFAULT_POLL: Duration = Duration::from_secs(1);

/// Where a server hands out the policy of this service, and the client that asks for it.
#[derive(Clone)]
pub struct PolicyEndpoint {
    url: String,
    client_id: String,
    client_secret: String,
    poll_every: Duration,
    max_age: Option<Duration>,
    max_stale: Option<Duration>,
    plain_http: bool,
}

/// A URL that no policy is fetched from.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an https URL (http only for this machine)")]
pub struct UrlRefused(String);

impl PolicyEndpoint {
    /// The policy at `url` (`{issuer}/policies/snapshot`) for a client of the API that it is about.
    pub fn new(
        url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            poll_every: DEFAULT_POLL,
            max_age: None,
            max_stale: None,
            plain_http: false,
        }
    }

    /// How often the server is asked while it cannot be listened to: every second, unless set.
    #[must_use]
    pub const fn poll_every(mut self, pause: Duration) -> Self {
        self.poll_every = pause;
        self
    }

    /// Decides nothing any more (503) when the server has not confirmed the policy for so long. Unless set,
    /// the last good policy holds for as long as the server is away.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Answers 503 to every token when the server has not said for so long what was revoked. It speaks every second, so
    /// less than three seconds would refuse tokens for a hiccup. Unless set, tokens are good until they expire while the
    /// server is away.
    #[must_use]
    pub const fn revocations_max_stale(mut self, age: Duration) -> Self {
        self.max_stale = Some(age);
        self
    }

    /// Where the server says when the policy changed, and what was revoked: beside the policy.
    pub(crate) fn events(&self) -> Result<Url, UrlRefused> {
        let url = Url::parse(&self.url).ok().filter(|url| is_allowed(url, self.plain_http));
        url.and_then(|url| url.join("events").ok()).ok_or_else(|| UrlRefused(self.url.clone()))
    }

    /// How often it is asked.
    pub(crate) fn schedule(&self) -> Schedule {
        let every = self.poll_every;
        Schedule { every, first_retry: every, last_retry: every.max(Duration::from_secs(5)) }
    }

    pub(crate) const fn max_stale(&self) -> Option<Duration> {
        self.max_stale
    }

    /// Sends the client secret over plain `http` to a host that is not this machine: only for networks that
    /// nobody else is on.
    #[must_use]
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// HTTP Basic with both halves form-encoded first (RFC 6749 §2.3.1).
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = format!("{}:{}", encode(&self.client_id), encode(&self.client_secret));
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for PolicyEndpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("PolicyEndpoint");
        shown.field("url", &self.url).field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// A policy elsewhere. What was taken over stays until something newer was.
pub(crate) struct RemotePolicy {
    endpoint: Endpoint,
    fetcher: Fetcher,
    proof: Arc<Proof>,
    current: SharedPolicy,
    /// What is known of the current one. Holding this makes a fetch the only one.
    etag: Mutex<Option<HeaderValue>>,
    confirmed: Confirmed,
    failures: AtomicU32,
    max_age: Option<Duration>,
}

struct Endpoint {
    url: Url,
    authorization: Option<HeaderValue>,
}

/// What a snapshot is checked against, for the thread that does it.
struct Proof {
    trusts: Arc<Trusts>,
    client_id: String,
    api: String,
    clock: Clock,
}

#[derive(Debug, thiserror::Error)]
enum PolicyFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("revision {offered} is older than {current}, which holds")]
    Older { offered: u64, current: u64 },
    #[error(transparent)]
    Snapshot(#[from] SnapshotFault),
    #[error("it could not be compiled")]
    Compiler,
}

impl RemotePolicy {
    pub(crate) fn new(
        endpoint: &PolicyEndpoint,
        fetcher: Fetcher,
        current: SharedPolicy,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, UrlRefused> {
        let url = Url::parse(&endpoint.url).ok().filter(|url| is_allowed(url, endpoint.plain_http));
        let url = url.ok_or_else(|| UrlRefused(endpoint.url.clone()))?;
        let authorization = endpoint.authorization();
        let max_age = endpoint.max_age;
        let proof = Proof {
            trusts: Arc::clone(surroundings.trusts),
            client_id: endpoint.client_id.clone(),
            api: surroundings.audience.to_owned(),
            clock: surroundings.clock.clone(),
        };
        Ok(Self {
            endpoint: Endpoint { url, authorization },
            fetcher,
            proof: Arc::new(proof),
            current,
            etag: Mutex::default(),
            confirmed: Confirmed::default(),
            failures: AtomicU32::new(0),
            max_age,
        })
    }

    pub(crate) fn is_too_old(&self, now: Duration) -> bool {
        self.max_age.is_some_and(|max_age| self.confirmed.is_older_than(max_age, now))
    }

    /// Takes note that a policy with this tag is the one in force; false when it is another one than is held.
    pub(crate) async fn confirms(&self, tag: &str) -> bool {
        let held = self.etag.lock().await.as_ref().is_some_and(|etag| etag.as_bytes() == tag.as_bytes());
        if held {
            self.confirmed.mark(self.proof.clock.steady());
        }
        held
    }

    /// Asks the server once.
    pub(crate) async fn refresh(&self) {
        let mut etag = self.etag.lock().await;
        match self.fetch(&mut etag).await {
            Ok(()) => {
                self.confirmed.mark(self.proof.clock.steady());
                self.failures.store(0, Ordering::Relaxed);
            }
            Err(fault) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed);
                let held = self.current.revision();
                // A server that is away for an hour is one line, not thousands.
                if failures == 0 {
                    tracing::warn!(
                        %fault,
                        policy.url = %self.endpoint.url,
                        policy.client_id = self.proof.client_id,
                        policy.revision = held,
                        "the policy could not be refreshed"
                    );
                } else {
                    tracing::debug!(%fault, policy.revision = held, "the policy could not be refreshed");
                }
            }
        }
    }

    async fn fetch(&self, known: &mut Option<HeaderValue>) -> Result<(), PolicyFault> {
        let Endpoint { url, authorization } = &self.endpoint;
        let get =
            Get { url, etag: known.as_ref(), authorization: authorization.as_ref(), max_bytes: MAX_BYTES };
        if let Fetched::Document { body, etag } = self.fetcher.get(get).await? {
            self.take_over(self.open(body).await?)?;
            *known = etag;
        }
        Ok(())
    }

    /// Opens a snapshot; one by a key that is not known yet, once more after the keys were fetched.
    async fn open(&self, body: Bytes) -> Result<Snapshot, PolicyFault> {
        match self.open_now(body.clone()).await {
            Err(PolicyFault::Snapshot(SnapshotFault::MissingKey(trust))) if trust.may_refresh() => {
                trust.refresh_for_request().await;
                self.open_now(body).await
            }
            outcome => outcome,
        }
    }

    /// Compiling a large policy takes tens of milliseconds, and requests are waiting for this thread.
    async fn open_now(&self, body: Bytes) -> Result<Snapshot, PolicyFault> {
        let proof = Arc::clone(&self.proof);
        let opening = tokio::task::spawn_blocking(move || proof.open(&body));
        Ok(opening.await.map_err(|_| PolicyFault::Compiler)??)
    }

    fn take_over(&self, snapshot: Snapshot) -> Result<(), PolicyFault> {
        let (offered, held) = (snapshot.revision(), self.current.revision());
        match held {
            Some(current) if offered < current => return Err(PolicyFault::Older { offered, current }),
            Some(current) if offered == current => return Ok(()),
            _ => {}
        }
        tracing::info!(
            policy.api = self.proof.api,
            policy.revision = offered,
            policy.rules = snapshot.rule_count(),
            policy.previous = held,
            "policy in force"
        );
        self.current.store(snapshot);
        Ok(())
    }
}

impl Proof {
    fn open(&self, body: &[u8]) -> Result<Snapshot, SnapshotFault> {
        let token = std::str::from_utf8(body).map_err(|_| crate::token::TokenFault::Shape)?;
        open(
            token,
            &Expected {
                trusts: &self.trusts,
                client_id: &self.client_id,
                api: &self.api,
                now: self.clock.unix_secs(),
                steady: self.clock.steady(),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_no_debug_text() {
        let endpoint = PolicyEndpoint::new("https://id.test/policies/snapshot", "orders", "s3cret");
        assert!(!format!("{endpoint:?}").contains("s3cret"));
        assert!(endpoint.authorization().unwrap().is_sensitive());
    }

    #[test]
    fn both_halves_of_the_credentials_are_form_encoded() {
        let endpoint = PolicyEndpoint::new("https://id.test", "a:b", "p %+é");
        let value = endpoint.authorization().unwrap();
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let credentials = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!(credentials, "a%3Ab:p+%25%2B%C3%A9");
    }
}
