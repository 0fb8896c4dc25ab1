//! Keys that are fetched: in the background, and once for all requests that meet a new key.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

use super::discovery::{Discovery, KeysFault};
use super::set::{JwkSet, Published, next};
use crate::clock::Clock;
use crate::disk::{Folder, Owner, Recalled, Slot};
use crate::fetch::Fetcher;
use crate::outage::{self, OutageLog, OutageReport};
use crate::schedule::{Confirmed, Moment, Schedule};
use crate::status::Provenance;

/// A key that was withdrawn is trusted for one such interval at most.
const WARM: Schedule = Schedule {
    every: Duration::from_mins(1),
    first_retry: Duration::from_secs(30),
    last_retry: Duration::from_mins(1),
};

/// Until there are keys that are young enough, nobody can be served; and those from the disk are to be confirmed soon.
const COLD: Schedule = Schedule {
    every: Duration::from_secs(1),
    first_retry: Duration::from_secs(1),
    last_retry: Duration::from_secs(4),
};

/// A stranger can invent key ids, so requests have keys fetched this often at most, beside the background.
const REQUEST_COOL_DOWN: Duration = Duration::from_secs(30);
const COLD_COOL_DOWN: Duration = Duration::from_secs(1);

/// How long a request waits for keys.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// The keys of an issuer elsewhere. What was fetched stays until something better was.
pub(crate) struct RemoteKeys {
    keys: ArcSwapOption<Published>,
    confirmed: Confirmed,
    attempts: Mutex<Attempts>,
    outage: OutageLog,
    /// Holding this is what makes a fetch the only one.
    discovery: Arc<AsyncMutex<Discovery>>,
    /// Counts finished fetches.
    finished: watch::Sender<u64>,
    fetcher: Fetcher,
    clock: Clock,
    max_age: Duration,
    slot: Option<Slot>,
}

#[derive(Clone, Copy, Default)]
struct Attempts {
    last: Option<Duration>,
    /// The last one that a request had made.
    for_request: Option<Duration>,
    failures: u32,
}

/// Who had keys fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cause {
    Request,
    Schedule,
}

impl RemoteKeys {
    pub(crate) fn new(discovery: Discovery, fetcher: Fetcher, clock: Clock, max_age: Duration) -> Self {
        Self {
            keys: ArcSwapOption::empty(),
            confirmed: Confirmed::default(),
            attempts: Mutex::default(),
            outage: OutageLog::default(),
            discovery: Arc::new(AsyncMutex::new(discovery)),
            finished: watch::Sender::new(0),
            fetcher,
            clock,
            max_age,
            slot: None,
        }
    }

    /// Keeps the keys on disk as well.
    pub(crate) fn kept_in(self, folder: Option<&Folder>, issuer: &str) -> Self {
        let slot = folder.map(|folder| Slot::new(folder, Owner::new("keys", [issuer])));
        Self { slot, ..self }
    }

    /// Takes over the keys that the disk holds, at the age that they have: as long as the issuer says nothing else.
    ///
    /// Where they were fetched from is not kept. It is asked for again, so that a folder in which somebody could write
    /// decides nothing any more once the issuer answers.
    pub(crate) async fn recall(&self) {
        let Some(slot) = &self.slot else { return };
        let Some(Recalled { content, age }) = slot.recall(self.clock.unix_secs()).await else { return };
        let set = match JwkSet::parse(&content) {
            Ok(set) => set,
            Err(error) => {
                tracing::warn!(file = slot.name(), %error, "a file of the cache folder is not used");
                return;
            }
        };
        tracing::info!(file = slot.name(), age_secs = age.as_secs(), kids = %set.kids(), "keys taken from the cache folder");
        if age > self.max_age {
            tracing::warn!(file = slot.name(), "they are too old except for routes that serve stale");
        }
        self.keys.rcu(|current| Some(next(current.as_ref(), set.clone())));
        self.confirmed.recall(age, self.clock.steady());
    }

    /// Waits until the disk holds what was fetched.
    pub(crate) async fn settle(&self) {
        if let Some(slot) = &self.slot {
            slot.settle().await;
        }
    }

    pub(crate) fn known(&self, now: Duration) -> Provenance {
        Provenance {
            source: self.keys.load().is_some().then(|| self.confirmed.source()),
            age: self.confirmed.age(now),
            usable: self.current(Moment::strict(now)).is_some(),
        }
    }

    /// How many keys there are, usable or not.
    pub(crate) fn count(&self) -> usize {
        self.keys.load().as_ref().map_or(0, |published| published.set.len())
    }

    /// The keys, if there are any that are not too old.
    pub(crate) fn current(&self, moment: Moment) -> Guard<Option<Arc<Published>>> {
        if self.confirmed.is_older_than(self.max_age, moment) {
            Guard::from_inner(None)
        } else {
            self.keys.load()
        }
    }

    /// Whether the issuer may have keys that are not known here: it could not be asked, or has not answered yet.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.attempts().failures > 0 || self.confirmed.is_by_disk() || self.discovery.try_lock().is_err()
    }

    /// Whether a request may have the keys fetched.
    ///
    /// A fetch in the background does not count unless it failed: a key that was published right after it is
    /// found by the first request that needs it. A fetch that is not finished does not count either: requests
    /// wait for it.
    pub(crate) fn is_due_for_request(&self) -> bool {
        let usable = self.current(Moment::strict(self.clock.steady())).is_some();
        let cool_down = if usable { REQUEST_COOL_DOWN } else { COLD_COOL_DOWN };
        let Attempts { last, for_request, failures } = self.attempts();
        let counted = if failures > 0 { last } else { for_request };
        counted.is_none_or(|then| self.clock.steady().saturating_sub(then) >= cool_down)
    }

    /// Fetches the keys now.
    pub(crate) async fn refresh(&self) {
        let discovery = Arc::clone(&self.discovery).lock_owned().await;
        self.refresh_with(discovery, Cause::Schedule).await;
    }

    /// Has the keys fetched if nobody else is at it, and waits for whoever is, but not for ever.
    ///
    /// The fetch runs on its own: a caller who hangs up does not stop it for the others.
    pub(crate) async fn refresh_for_request(self: &Arc<Self>) {
        let mut finished = self.finished.subscribe();
        if let Ok(discovery) = Arc::clone(&self.discovery).try_lock_owned() {
            if !self.is_due_for_request() {
                return;
            }
            let remote = Arc::clone(self);
            tokio::spawn(async move { remote.refresh_with(discovery, Cause::Request).await });
        }
        // A fetch that takes longer is finished for later requests; this one gets 503.
        let _ = tokio::time::timeout(MAX_WAIT, finished.changed()).await;
    }

    /// Keeps fetching for as long as somebody holds the keys.
    pub(crate) fn spawn_refresh(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(pause) = weak.upgrade().map(|remote| remote.pause()) {
                tokio::time::sleep(pause).await;
                let Some(remote) = weak.upgrade() else { return };
                remote.refresh().await;
            }
        });
    }

    fn pause(&self) -> Duration {
        let usable = self.current(Moment::strict(self.clock.steady())).is_some();
        let schedule = if usable && !self.confirmed.is_by_disk() { WARM } else { COLD };
        schedule.pause(self.attempts().failures)
    }

    async fn refresh_with(&self, mut discovery: OwnedMutexGuard<Discovery>, cause: Cause) {
        let outcome = discovery.fetch(&self.fetcher).await;
        let now = self.clock.steady();
        let failed = outcome.is_err();
        match outcome {
            Ok(set) => {
                if let Some(set) = set {
                    tracing::debug!(issuer = discovery.issuer(), kids = %set.kids(), "keys fetched");
                    self.keys.rcu(|current| Some(next(current.as_ref(), set.clone())));
                }
                self.confirmed.mark(now);
                self.tell_end(discovery.issuer(), now);
                if let (Some(slot), Some(published)) = (&self.slot, &*self.keys.load()) {
                    slot.keep(published.set.source(), self.clock.unix_secs());
                }
            }
            Err(fault) => self.tell_failure(discovery.issuer(), &fault, now),
        }
        self.record(now, failed, cause);
        // First let go, then wake: whoever comes in between starts a fetch of its own, or finds it done.
        drop(discovery);
        self.finished.send_modify(|count| *count += 1);
    }

    fn tell_failure(&self, issuer: &str, fault: &KeysFault, now: Duration) {
        let Provenance { age, usable, .. } = self.known(now);
        let Some(OutageReport { lasted, attempts }) = self.outage.failed(now, fault, usable) else {
            tracing::debug!(issuer, %fault, "keys could not be fetched");
            return;
        };
        let left = self.confirmed.left(self.max_age, now);
        tracing::warn!(
            issuer,
            %fault,
            attempts,
            for_secs = lasted.as_secs(),
            age_secs = age.map(|age| age.as_secs()),
            serves_until = left.and_then(|left| self.clock.utc_after(left)),
            "keys could not be fetched: {}",
            outage::consequence(usable, age),
        );
    }

    fn tell_end(&self, issuer: &str, now: Duration) {
        if let Some(OutageReport { lasted, attempts }) = self.outage.ended(now) {
            let kids = self.keys.load().as_ref().map(|published| published.set.kids());
            tracing::info!(issuer, kids, attempts, for_secs = lasted.as_secs(), "keys are fetched again");
        }
    }

    fn record(&self, now: Duration, failed: bool, cause: Cause) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.last = Some(now);
        if cause == Cause::Request {
            attempts.for_request = Some(now);
        }
        attempts.failures = if failed { attempts.failures.saturating_add(1) } else { 0 };
    }

    fn attempts(&self) -> Attempts {
        *self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RemoteKeys").field("keys", &self.keys.load()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const KEYS: &str =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[test]
    fn keys_are_asked_for_at_a_quick_pace_until_the_issuer_confirms_them_and_when_they_are_too_old() {
        let now = Arc::new(AtomicU64::new(0));
        let hand = Arc::clone(&now);
        let clock = Clock::from_fn(move || Duration::from_secs(hand.load(Ordering::Relaxed)));
        let discovery = Discovery::new("https://id.test", false).unwrap();
        let keys = RemoteKeys::new(discovery, Fetcher::new().unwrap(), clock, Duration::from_hours(1));
        let is_quick = || keys.pause() < Duration::from_secs(2);
        assert!(is_quick(), "there are none");
        keys.keys.store(Some(next(None, JwkSet::parse(KEYS).unwrap())));
        keys.confirmed.recall(Duration::from_mins(30), Duration::ZERO);
        assert!(is_quick() && keys.is_unsettled(), "they are from the disk");
        keys.confirmed.mark(Duration::ZERO);
        assert!(!is_quick() && !keys.is_unsettled());
        now.store(3_601, Ordering::Relaxed);
        assert!(is_quick(), "nobody is served");
    }
}
