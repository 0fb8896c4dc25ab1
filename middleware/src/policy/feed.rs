//! What the server that signs the policy tells a guard: that the policy or the keys changed, and what was revoked.
//!
//! It is listened to, and asked again and again while that does not work: a proxy may hold events back, and an old
//! server has none.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Mutex;
use url::Url;

use super::endpoint::PolicyEndpoint;
use super::recollection::Recollection;
use super::remote::RemotePolicy;
use super::sse::{Events, MAX_BYTES};
use super::trial::Trial;
use super::{PolicyError, SharedPolicy, Surroundings};
use crate::clock::Clock;
use crate::fetch::{FetchError, Fetched, Fetcher, Get};
use crate::jwks::Trusts;
use crate::media_type::EVENT_STREAM;
use crate::outage::{OutageLog, OutageReport};
use crate::revocation::{Entry, Revoked};
use crate::schedule::{Moment, Schedule};

/// The server speaks every second; after so long it is gone.
const SILENCE: Duration = Duration::from_secs(4);
/// After so many streams without a word, events do not get through here.
const DEAF: u32 = 3;
/// How often it is asked then before it is listened to again.
const ASKED_WHEN_DEAF: u32 = 60;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What holds at the server, and what is new to this guard.
#[derive(serde::Deserialize)]
struct State {
    /// The place of the last revocation.
    seq: u64,
    /// Whether revocations that were told before are to be forgotten.
    reset: bool,
    /// The entity tag of the policy.
    policy: Option<String>,
    /// The entity tag of rules that are to be tried.
    #[serde(default)]
    shadow: Option<String>,
    /// The entity tag of the keys.
    keys: String,
    revoked: Vec<Entry>,
}

/// Follows a server.
pub(crate) struct Feed {
    policy: RemotePolicy,
    /// `None` where nothing is told of decisions.
    trial: Option<Arc<Trial>>,
    revoked: Arc<Revoked>,
    /// `None` where nothing is kept.
    recollection: Option<Recollection>,
    trusts: Arc<Trusts>,
    source: Source,
    schedule: Schedule,
    clock: Clock,
    /// Of the events. What is asked for instead has its own.
    outage: OutageLog,
    /// Holding this makes a state the only one that is taken over.
    heard: Mutex<Heard>,
}

struct Source {
    fetcher: Fetcher,
    url: Url,
    authorization: Option<HeaderValue>,
}

/// What was heard last.
#[derive(Default)]
struct Heard {
    seq: Option<u64>,
    keys: Option<String>,
}

/// What stops a guard from hearing.
#[derive(Debug, thiserror::Error)]
enum FeedFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it is no state of a server")]
    Malformed(#[from] serde_json::Error),
    #[error("it is no stream of events")]
    NotEvents,
    #[error("its events do not get through")]
    Silent,
}

impl Feed {
    pub(crate) fn new(
        endpoint: &PolicyEndpoint,
        fetcher: &Fetcher,
        current: SharedPolicy,
        surroundings: &Surroundings<'_>,
    ) -> Result<Arc<Self>, PolicyError> {
        let source = Source {
            fetcher: fetcher.clone(),
            url: endpoint.events()?,
            authorization: endpoint.authorization(),
        };
        let revoked = Arc::new(Revoked::new(endpoint.max_stale(), surroundings.leeway));
        if let Some(issuer) = endpoint.issuer(surroundings.trusts)? {
            revoked.is_told_by(issuer);
        }
        let policy =
            RemotePolicy::new(endpoint, fetcher.clone(), current, Arc::clone(&revoked), surroundings)?;
        let trial = match endpoint.records().every {
            Some(_) => Some(Arc::new(Trial::new(endpoint, fetcher, policy.proof())?)),
            None => None,
        };
        Ok(Arc::new(Self {
            policy,
            trial,
            revoked,
            recollection: Recollection::new(surroundings, [source.url.as_str(), endpoint.client_id()]),
            trusts: Arc::clone(surroundings.trusts),
            source,
            schedule: endpoint.schedule(),
            clock: surroundings.clock.clone(),
            outage: OutageLog::default(),
            heard: Mutex::default(),
        }))
    }

    pub(crate) const fn policy(&self) -> &RemotePolicy {
        &self.policy
    }

    pub(crate) const fn trial(&self) -> Option<&Arc<Trial>> {
        self.trial.as_ref()
    }

    pub(crate) const fn revoked(&self) -> &Arc<Revoked> {
        &self.revoked
    }

    /// Takes over what the disk holds.
    pub(crate) async fn recall(&self) {
        self.policy.recall().await;
        if let Some(recollection) = &self.recollection {
            recollection.recall(&self.revoked, &self.clock).await;
        }
    }

    /// Waits until the disk holds what was heard.
    pub(crate) async fn settle(&self) {
        self.policy.settle().await;
        if let Some(recollection) = &self.recollection {
            recollection.settle().await;
        }
    }

    /// Listens for as long as somebody holds the guard.
    pub(crate) fn spawn(self: &Arc<Self>) {
        tokio::spawn(follow(Arc::downgrade(self)));
        self.trial.iter().for_each(Trial::spawn);
    }

    /// Asks once. A server that tells no state has a policy all the same.
    pub(crate) async fn poll(&self) {
        let mut heard = self.heard.lock().await;
        match self.source.ask(heard.seq).await {
            Ok(state) => self.take_over(&mut heard, state).await,
            Err(fault) => {
                tracing::debug!(%fault, "the server did not say what holds");
                self.policy.refresh().await;
            }
        }
    }

    async fn hear(&self, data: &str) -> Result<(), FeedFault> {
        let state = serde_json::from_str(data)?;
        let mut heard = self.heard.lock().await;
        self.take_over(&mut heard, state).await;
        if let Some(OutageReport { lasted, attempts }) = self.outage.ended(self.clock.steady()) {
            tracing::info!(
                attempts,
                for_secs = lasted.as_secs(),
                policy.events = %self.source.url,
                "the server is listened to again"
            );
        }
        Ok(())
    }

    fn tell_failure(&self, fault: &FeedFault) {
        let now = self.clock.steady();
        let serves = !self.revoked.is_stale(Moment::strict(now));
        let Some(OutageReport { lasted, attempts }) = self.outage.failed(now, fault, serves) else {
            tracing::debug!(%fault, "the server cannot be listened to");
            return;
        };
        tracing::warn!(
            %fault,
            policy.events = %self.source.url,
            attempts,
            for_secs = lasted.as_secs(),
            revocations_age_secs = self.revoked.age(now).map(|age| age.as_secs()),
            serves_until = self.revoked.left(now).and_then(|left| self.clock.utc_after(left)),
            "the server cannot be listened to: it is asked again and again instead{}",
            if serves { "" } else { ", and what was revoked is not known any more: requests are answered 503" },
        );
    }

    async fn take_over(&self, heard: &mut Heard, state: State) {
        let State { seq, reset, policy, shadow, keys, revoked } = state;
        let is_news = self.revoked.take_over(reset, revoked, self.clock.unix_secs());
        self.revoked.confirm(self.clock.steady());
        if let Some(recollection) = &self.recollection {
            recollection.keep(&self.revoked, is_news, &self.clock);
        }
        heard.seq = Some(if reset { seq } else { heard.seq.unwrap_or_default().max(seq) });
        let known = heard.keys.replace(keys.clone());
        // A key that was withdrawn is trusted until the set is fetched again.
        if known.is_some_and(|known| known != keys) {
            // Keys of others are no news, and who is slow with theirs would keep the next revocation waiting.
            self.trusts.refresh_of(self.revoked.teller()).await;
        }
        if let Some(tag) = policy
            && !self.policy.confirms(&tag).await
        {
            self.policy.refresh().await;
        }
        if let Some(trial) = &self.trial {
            trial.want(shadow);
        }
    }

    async fn open(&self) -> Result<Events, FeedFault> {
        let seq = self.heard.lock().await.seq;
        self.source.listen(seq).await
    }
}

impl Source {
    async fn ask(&self, after: Option<u64>) -> Result<State, FeedFault> {
        let get = Get { url: &self.url, etag: None, authorization: None, max_bytes: MAX_BYTES };
        match self.fetcher.get_with(get, self.headers("application/json", after)).await? {
            Fetched::Document { body, .. } => Ok(serde_json::from_slice(&body)?),
            Fetched::NotModified { .. } => Err(FeedFault::NotEvents),
        }
    }

    async fn listen(&self, after: Option<u64>) -> Result<Events, FeedFault> {
        let response = self.fetcher.open(&self.url, self.headers(EVENT_STREAM, after)).await?;
        Events::of(response).ok_or(FeedFault::NotEvents)
    }

    fn headers(&self, accept: &'static str, after: Option<u64>) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        headers.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        headers.extend(after.map(|seq| (LAST_EVENT_ID, HeaderValue::from(seq))));
        headers
    }
}

/// Listens, and asks when there is nothing to hear.
async fn follow(feed: Weak<Feed>) {
    let (mut failures, mut silent) = (0, 0);
    loop {
        let Some(stream) = listen(&feed).await else { return };
        (failures, silent) = match stream {
            Stream::Heard => (0, 0),
            Stream::Silent => (failures + 1, silent + 1),
            // It is away, or on its way back: that says nothing about what lies between.
            Stream::Unreachable => (failures + 1, 0),
        };
        for _ in 0..if silent < DEAF { 1 } else { ASKED_WHEN_DEAF } {
            let Some(strong) = feed.upgrade() else { return };
            strong.poll().await;
            let pause = strong.schedule.pause(if silent < DEAF { failures } else { 0 });
            drop(strong);
            tokio::time::sleep(pause).await;
        }
    }
}

/// What came of listening.
enum Stream {
    Heard,
    /// The server answered, without a state.
    Silent,
    Unreachable,
}

/// Listens until the stream ends, or gives `None` when nobody holds the guard any more.
async fn listen(feed: &Weak<Feed>) -> Option<Stream> {
    let open = feed.upgrade()?;
    let mut events = match open.open().await {
        Ok(events) => events,
        Err(fault) => {
            open.tell_failure(&fault);
            let is_away = matches!(fault, FeedFault::Fetch(FetchError::Transport(_)));
            return Some(if is_away { Stream::Unreachable } else { Stream::Silent });
        }
    };
    drop(open);
    let mut outcome = Stream::Silent;
    while let Ok(Some(data)) = tokio::time::timeout(SILENCE, events.next()).await {
        if let Err(fault) = feed.upgrade()?.hear(&data).await {
            feed.upgrade()?.tell_failure(&fault);
            return Some(outcome);
        }
        outcome = Stream::Heard;
    }
    if let Stream::Silent = outcome {
        feed.upgrade()?.tell_failure(&FeedFault::Silent);
    }
    Some(outcome)
}
