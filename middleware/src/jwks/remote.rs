//! Keys that are fetched: in the background, and once for all requests that meet a new key.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

use super::allowance::Allowance;
use super::discovery::{Answered, Discovery, KeysFault};
use super::set::{JwkSet, Published, next};
use crate::clock::Clock;
use crate::disk::{Folder, Owner, Recalled, Slot};
use crate::fetch::Fetcher;
use crate::outage::{self, OutageLog, OutageReport};
use crate::schedule::{Confirmed, Moment, Schedule};
use crate::status::Provenance;

/// A key that was withdrawn is trusted for one such interval at most, unless [`Ages::rest`] allows more.
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

/// Requests have keys fetched by their [`Allowance`], beside the background, but so soon at the earliest after an attempt that failed.
const FAILED_COOL_DOWN: Duration = Duration::from_secs(30);
/// While nobody can be served, so soon after any that a request had made.
const COLD_COOL_DOWN: Duration = Duration::from_secs(1);

/// The longest that a pause can be between two looks at what is known: a tenth more than [`WARM`] says.
const LONGEST_PAUSE: Duration = Duration::from_secs(66);

/// However long an issuer lets its keys be kept.
const LONGEST_REST: Duration = Duration::from_hours(1);

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
    fetches: Fetches,
    fetcher: Fetcher,
    clock: Clock,
    ages: Ages,
    slot: Option<Slot>,
}

/// How old keys may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    /// While the issuer does not confirm them.
    pub(super) limit: Duration,
    /// Before the issuer is asked again, if it says itself that they hold for so long.
    pub(super) rest: Duration,
}

impl Ages {
    /// After how long the issuer has to have been asked again that says this of its keys. Half of the limit is left for attempts.
    fn rest_of(&self, fresh_for: Duration) -> Duration {
        fresh_for.min(self.rest).min(LONGEST_REST).min(self.limit / 2)
    }
}

#[derive(Clone, Copy, Default)]
struct Attempts {
    last: Option<Duration>,
    /// The last one that a request had made.
    for_request: Option<Duration>,
    allowance: Allowance,
    failures: u32,
    /// For how long the keys hold by the word of the issuer, from when it confirmed them.
    fresh_for: Duration,
}

/// Who had keys fetched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cause {
    Request,
    Schedule,
}

impl RemoteKeys {
    pub(super) fn new(discovery: Discovery, fetcher: Fetcher, clock: Clock, ages: Ages) -> Self {
        Self {
            keys: ArcSwapOption::empty(),
            confirmed: Confirmed::default(),
            attempts: Mutex::default(),
            outage: OutageLog::default(),
            discovery: Arc::new(AsyncMutex::new(discovery)),
            fetches: Fetches { is_asking: AtomicBool::new(false), finished: watch::Sender::new(0) },
            fetcher,
            clock,
            ages,
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
        if age > self.ages.limit {
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
        if self.confirmed.is_older_than(self.ages.limit, moment) {
            Guard::from_inner(None)
        } else {
            self.keys.load()
        }
    }

    /// Whether the issuer may have keys that are not known here: it could not be asked, or has not answered yet.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.attempts().failures > 0
            || self.confirmed.is_by_disk()
            || self.fetches.is_asking.load(Ordering::Acquire)
    }

    /// Whether a request may have the keys fetched.
    ///
    /// A fetch in the background does not count unless it failed: a key that was published right after it is
    /// found by the first request that needs it. A fetch that is not finished does not count either: requests
    /// wait for it.
    pub(crate) fn is_due_for_request(&self) -> bool {
        let now = self.clock.steady();
        let usable = self.current(Moment::strict(now)).is_some();
        let Attempts { last, for_request, allowance, failures, .. } = self.attempts();
        let is_over =
            |then: Option<Duration>, cool_down| then.is_none_or(|then| now.saturating_sub(then) >= cool_down);
        match (usable, failures > 0) {
            (true, true) => is_over(last, FAILED_COOL_DOWN),
            (true, false) => allowance.is_left(now),
            (false, true) => is_over(last, COLD_COOL_DOWN),
            (false, false) => is_over(for_request, COLD_COOL_DOWN),
        }
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
        let mut finished = self.fetches.finished.subscribe();
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
                if !remote.may_rest() {
                    remote.refresh().await;
                }
            }
        });
    }

    /// Whether the issuer need not be asked before the next look: its keys hold until after that by its own word.
    fn may_rest(&self) -> bool {
        let Attempts { failures, fresh_for, .. } = self.attempts();
        let left = self.confirmed.left(self.ages.rest_of(fresh_for), self.clock.steady());
        failures == 0 && !self.confirmed.is_by_disk() && left.is_some_and(|left| left >= LONGEST_PAUSE)
    }

    fn pause(&self) -> Duration {
        let usable = self.current(Moment::strict(self.clock.steady())).is_some();
        let schedule = if usable && !self.confirmed.is_by_disk() { WARM } else { COLD };
        schedule.pause(self.attempts().failures)
    }

    async fn refresh_with(&self, mut discovery: OwnedMutexGuard<Discovery>, cause: Cause) {
        let asking = Asking::begin(&self.fetches.is_asking);
        let outcome = discovery.fetch(&self.fetcher).await;
        let now = self.clock.steady();
        let fresh_for = outcome.as_ref().ok().map(|answered| answered.fresh_for);
        match outcome {
            Ok(Answered { set, .. }) => {
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
        self.record(now, fresh_for, cause);
        // First let go, then wake: whoever comes in between starts a fetch of its own, or finds it done.
        drop(asking);
        drop(discovery);
        self.fetches.finished.send_modify(|count| *count += 1);
    }

    fn tell_failure(&self, issuer: &str, fault: &KeysFault, now: Duration) {
        let Provenance { age, usable, .. } = self.known(now);
        let Some(OutageReport { lasted, attempts }) = self.outage.failed(now, fault, usable) else {
            tracing::debug!(issuer, %fault, "keys could not be fetched");
            return;
        };
        let left = self.confirmed.left(self.ages.limit, now);
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

    /// Notes what came of an attempt: for how long the keys hold, or nothing.
    fn record(&self, now: Duration, fresh_for: Option<Duration>, cause: Cause) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.last = Some(now);
        if cause == Cause::Request {
            attempts.for_request = Some(now);
            attempts.allowance = attempts.allowance.spent(now);
        }
        attempts.failures = if fresh_for.is_none() { attempts.failures.saturating_add(1) } else { 0 };
        attempts.fresh_for = fresh_for.unwrap_or_default();
    }

    fn attempts(&self) -> Attempts {
        *self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What those who meet a new key look at.
struct Fetches {
    /// Whether one is under way. Looking at the lock instead would take it from whoever wants to fetch.
    is_asking: AtomicBool,
    /// Counts those that are finished.
    finished: watch::Sender<u64>,
}

/// That a fetch is under way, until it is over or given up.
struct Asking<'a>(&'a AtomicBool);

impl<'a> Asking<'a> {
    fn begin(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Release);
        Self(flag)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RemoteKeys").field("keys", &self.keys.load()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const KEYS: &str =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    const HOUR: Duration = Duration::from_hours(1);

    fn keys_of(issuer: &str, rest: Duration) -> (RemoteKeys, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(0));
        let hand = Arc::clone(&now);
        let clock = Clock::from_fn(move || Duration::from_secs(hand.load(Ordering::Relaxed)));
        let discovery = Discovery::new(issuer, false).unwrap();
        let ages = Ages { limit: HOUR, rest };
        (RemoteKeys::new(discovery, Fetcher::new().unwrap(), clock, ages), now)
    }

    /// An issuer that says this of its keys, whatever it is asked, and the second time that they are the same.
    async fn issuer(headers: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let metadata = format!(r#"{{"issuer":"{url}","jwks_uri":"{url}/keys"}}"#);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4_096];
                let read = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..read]).to_lowercase();
                let (status, body) = match &request {
                    known if known.contains("if-none-match") => ("304 Not Modified", ""),
                    keys if keys.starts_with("get /keys") => ("200 OK", KEYS),
                    _ => ("200 OK", metadata.as_str()),
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\netag: \"1\"\r\n{headers}content-length: {length}\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        url
    }

    /// At which seconds after a fetch the issuer is not asked again yet.
    fn resting(keys: &RemoteKeys, now: &AtomicU64) -> Vec<u64> {
        let start = now.load(Ordering::Relaxed);
        let seconds = (0..=4_000).filter(|secs| {
            now.store(start + secs, Ordering::Relaxed);
            keys.may_rest()
        });
        let seconds: Vec<u64> = seconds.collect();
        now.store(start, Ordering::Relaxed);
        seconds
    }

    #[tokio::test]
    async fn an_issuer_rests_for_as_long_as_it_says_within_bounds() {
        let (minute, day) = (Duration::from_mins(1), Duration::from_hours(24));
        for (headers, rest, last) in [
            // Unless it is allowed, a withdrawn key is not trusted for longer than a minute, whatever the issuer says.
            ("cache-control: max-age=86400\r\n", minute, None),
            ("cache-control: max-age=300\r\n", HOUR, Some(300 - 66)),
            ("cache-control: max-age=300\r\nage: 100\r\n", HOUR, Some(200 - 66)),
            ("cache-control: max-age=86400\r\n", Duration::from_mins(10), Some(600 - 66)),
            // Half of the hour for which keys are used that nobody confirms.
            ("cache-control: max-age=86400\r\n", day, Some(1_800 - 66)),
            ("cache-control: max-age=60\r\n", HOUR, None),
            ("cache-control: max-age=0\r\n", HOUR, None),
            ("cache-control: no-store, max-age=300\r\n", HOUR, None),
            ("cache-control: no-cache\r\n", HOUR, None),
            ("", HOUR, None),
        ] {
            let (keys, now) = keys_of(&issuer(headers).await, rest);
            assert!(resting(&keys, &now).is_empty(), "nothing is known");
            for attempt in ["fetched", "confirmed"] {
                keys.refresh().await;
                assert!(!keys.is_unsettled(), "{headers}");
                let seconds = resting(&keys, &now);
                let expected: Vec<u64> = last.map_or(Vec::new(), |last| (0..=last).collect());
                assert_eq!(seconds, expected, "{headers} {attempt}");
                now.fetch_add(10_000, Ordering::Relaxed);
            }
        }
    }

    #[tokio::test]
    async fn nobody_rests_after_a_failure_or_with_keys_of_the_disk_and_new_keys_are_found_meanwhile() {
        let (keys, now) = keys_of(&issuer("cache-control: max-age=600\r\n").await, HOUR);
        keys.refresh().await;
        assert!(
            keys.may_rest() && keys.is_due_for_request(),
            "a request that meets a new key has them fetched"
        );
        keys.record(Duration::ZERO, None, Cause::Request);
        assert!(!keys.may_rest(), "the last attempt failed");
        keys.refresh().await;
        assert!(keys.may_rest());
        keys.confirmed.recall(Duration::ZERO, Duration::ZERO);
        assert!(!keys.may_rest(), "the disk says so, and not the issuer");
        now.store(1, Ordering::Relaxed);
        keys.refresh().await;
        assert!(keys.may_rest());
    }

    #[test]
    fn the_longest_pause_is_no_shorter_than_a_pause_can_be() {
        assert!(WARM.every.mul_f64(1.1) <= LONGEST_PAUSE && WARM.last_retry.mul_f64(1.1) <= LONGEST_PAUSE);
    }

    #[test]
    fn keys_are_asked_for_at_a_quick_pace_until_the_issuer_confirms_them_and_when_they_are_too_old() {
        let (keys, now) = keys_of("https://id.test", Duration::from_mins(1));
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
