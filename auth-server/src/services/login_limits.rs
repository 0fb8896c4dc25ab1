//! How often somebody may try to sign in.
//!
//! A try by a stranger counts against its network and against the account. A try from a browser that signed in to the
//! account before counts against that browser only, so strangers cannot use up the owner's tries. Accounts that do
//! not exist count like those that do. The delay grows: the first tries are free, then each costs seconds, and when
//! the tries of a day are used up, a quarter of an hour. (NIST SP 800-63B-4 §3.2.2: at most 100 in a row.)
//!
//! A guesser who spreads over many networks and accounts stays under each of these limits. Failures of strangers are
//! therefore counted together too; while there are more than a server normally sees, every try of a stranger costs
//! its network [`STORM_COST`] tries.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use governor::Quota;

use crate::config::Limits;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::secret::Entropy;
use crate::services::buckets::{Buckets, Key, at_least_one, network_of, region_of};
use crate::services::known_device::KnownDevice;

/// Tries that one try of a stranger costs its network while many strangers fail.
const STORM_COST: NonZeroU32 = NonZeroU32::new(4).expect("four is not zero");
/// How long a storm lasts after its last gust.
const STORM: Duration = Duration::from_mins(1);
/// Networks' worth of failures in a minute that make a storm.
const STORM_NETWORKS: u32 = 5;
/// Tries that are free before the delay begins.
const FREE_TRIES: u32 = 5;
const DAY: Duration = Duration::from_hours(24);
/// Cells for networks and accounts: half a megabyte for each limit.
const MANY: u32 = 15;
/// Cells for browsers that are known, and for pages that are open: only a cookie or a form that we made gets here.
const FEW: u32 = 12;

/// Questions to those who may have passkeys, for each try: every sign-in page that is opened asks one.
const QUESTIONS: NonZeroU32 = at_least_one(5);

/// How many networks' worth of tries the networks of one region have together.
const REGION_NETWORKS: NonZeroU32 = at_least_one(4);

/// Somebody has to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Throttled {
    pub(crate) retry_after: Duration,
}

/// Who tries.
pub(crate) struct Try<'a> {
    pub(crate) address: IpAddr,
    /// The user name as the domain spells it, or the bytes that were sent when they are no user name.
    pub(crate) username: &'a str,
    pub(crate) device: Option<KnownDevice>,
}

/// The limits and their counters.
#[derive(Clone)]
pub(crate) struct LoginLimits(Arc<Inner>);

struct Inner {
    seed: [u8; 32],
    clock: Clock,
    region: Buckets,
    network: Buckets,
    account: Slowing,
    device: Slowing,
    questions: Buckets,
    failures: Buckets,
    storm_until: AtomicI64,
}

impl LoginLimits {
    pub(crate) fn new(limits: &Limits, clock: Clock, entropy: &Entropy) -> Self {
        let per_network = at_least_one(limits.login_per_address_per_minute);
        let per_account = at_least_one(limits.login_per_account_per_minute);
        // In a storm one try costs several: it has to fit into what one network has at once.
        let at_once = at_least_one(per_network.get() / 3).max(STORM_COST);
        let network = Quota::per_minute(per_network).allow_burst(at_once);
        let region = Quota::per_minute(per_network.saturating_mul(REGION_NETWORKS))
            .allow_burst(at_once.saturating_mul(REGION_NETWORKS));
        let failures = Quota::per_minute(per_network.saturating_mul(at_least_one(STORM_NETWORKS)));
        Self(Arc::new(Inner {
            seed: entropy.bytes(),
            region: Buckets::new(region, MANY, &clock),
            network: Buckets::new(network, MANY, &clock),
            account: Slowing::new(per_account, MANY, &clock),
            device: Slowing::new(per_account, FEW, &clock),
            questions: Buckets::new(Quota::per_minute(per_network.saturating_mul(QUESTIONS)), FEW, &clock),
            failures: Buckets::new(failures, 0, &clock),
            storm_until: AtomicI64::new(0),
            clock,
        }))
    }

    /// Counts a try and says whether it may go on.
    pub(crate) fn admit(&self, attempt: &Try<'_>) -> Result<(), Throttled> {
        let Inner { seed, region, network, account, device, .. } = &*self.0;
        let name = attempt.username.as_bytes();
        let admitted = match attempt.device {
            Some(known) => device.take(Key::new(seed, b'd', &[known.as_bytes(), name])),
            // The network first: what it refuses must not use up the tries of a region or an account.
            None => network
                .take(Key::new(seed, b'n', &[&network_of(attempt.address)]), self.cost())
                .and_then(|()| {
                    region_of(attempt.address)
                        .map_or(Ok(()), |place| region.take(Key::new(seed, b'r', &[&place]), self.cost()))
                })
                .and_then(|()| account.take(Key::new(seed, b'a', &[name]))),
        };
        admitted.map_err(|retry_after| Throttled { retry_after })
    }

    /// Counts a try at a second step, and says whether it may go on. How often strangers try at one account is counted in the database.
    pub(crate) fn admit_step(&self, attempt: &Try<'_>) -> Result<(), Throttled> {
        let Inner { seed, network, device, .. } = &*self.0;
        let admitted = match attempt.device {
            Some(known) => {
                device.take(Key::new(seed, b's', &[known.as_bytes(), attempt.username.as_bytes()]))
            }
            None => network.take(Key::new(seed, b'n', &[&network_of(attempt.address)]), self.cost()),
        };
        admitted.map_err(|retry_after| Throttled { retry_after })
    }

    /// Counts a question to whoever may have a passkey, and says whether it may be asked: each lies in the database until it is answered
    /// or too old.
    pub(crate) fn admit_question(&self, address: IpAddr) -> Result<(), Throttled> {
        let Inner { seed, questions, region, .. } = &*self.0;
        let admitted =
            questions.take(Key::new(seed, b'q', &[&network_of(address)]), NonZeroU32::MIN).and_then(|()| {
                region_of(address)
                    .map_or(Ok(()), |place| region.take(Key::new(seed, b'Q', &[&place]), NonZeroU32::MIN))
            });
        admitted.map_err(|retry_after| Throttled { retry_after })
    }

    /// Counts a failure. Only those of strangers make a storm.
    pub(crate) fn failed(&self, attempt: &Try<'_>) {
        let inner = &*self.0;
        if attempt.device.is_none()
            && inner.failures.take(Key::new(&inner.seed, b'f', &[]), NonZeroU32::MIN).is_err()
        {
            let until = inner.clock.now().plus(STORM);
            let before = inner.storm_until.swap(until.as_micros(), Ordering::AcqRel);
            if Timestamp::from_micros(before) < inner.clock.now() {
                tracing::warn!(
                    "many sign-ins of unknown browsers fail: each now costs its network more tries"
                );
            }
        }
    }

    fn cost(&self) -> NonZeroU32 {
        let until = Timestamp::from_micros(self.0.storm_until.load(Ordering::Acquire));
        if self.0.clock.now() < until { STORM_COST } else { NonZeroU32::MIN }
    }
}

/// Two limits at once: the tries of a minute, and those of a day.
struct Slowing {
    minute: Buckets,
    day: Buckets,
}

impl Slowing {
    fn new(per_minute: NonZeroU32, bits: u32, clock: &Clock) -> Self {
        let at_once = per_minute.min(at_least_one(FREE_TRIES)).max(at_least_one(per_minute.get() / 12));
        let per_day = per_minute.saturating_mul(at_least_one(5));
        let day = Quota::with_period(DAY / per_day.get())
            .unwrap_or(Quota::per_minute(per_day))
            .allow_burst(per_day);
        Self {
            minute: Buckets::new(Quota::per_minute(per_minute).allow_burst(at_once), bits, clock),
            day: Buckets::new(day, bits, clock),
        }
    }

    fn take(&self, key: Key) -> Result<(), Duration> {
        self.minute.take(key, NonZeroU32::MIN)?;
        self.day.take(key, NonZeroU32::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> (LoginLimits, Clock) {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let settings = Limits {
            login_per_address_per_minute: 60,
            login_per_account_per_minute: 10,
            ..Limits::default()
        };
        (LoginLimits::new(&settings, clock.clone(), &Entropy::seeded(1)), clock)
    }

    fn stranger<'a>(address: &str, username: &'a str) -> Try<'a> {
        Try { address: address.parse().unwrap(), username, device: None }
    }

    fn wait(seconds: u64) -> Result<(), Throttled> {
        Err(Throttled { retry_after: Duration::from_secs(seconds) })
    }

    fn admitted(limits: &LoginLimits, tries: impl Iterator<Item = (String, String)>) -> usize {
        tries.filter(|(address, name)| limits.admit(&stranger(address, name)).is_ok()).count()
    }

    #[test]
    fn guesses_at_one_account_are_slowed_from_the_sixth_on() {
        let (limits, clock) = limits();
        let each = (0..20).map(|n| (format!("192.0.2.{n}"), "alice".to_owned()));
        assert_eq!(admitted(&limits, each), 5);
        clock.advance(Duration::from_secs(6));
        assert_eq!(limits.admit(&stranger("192.0.2.99", "alice")), Ok(()));
        assert_eq!(limits.admit(&stranger("192.0.2.99", "alice")), wait(6));
        assert_eq!(limits.admit(&stranger("192.0.2.99", "bob")), Ok(()));
    }

    #[test]
    fn a_day_of_guesses_at_one_account_stays_under_a_hundred() {
        let (limits, clock) = limits();
        let mut right = 0;
        for second in 0..24 * 60 * 6 {
            let address = format!("192.0.{}.{}", second / 250 % 250, second % 250);
            right += usize::from(limits.admit(&stranger(&address, "alice")).is_ok());
            clock.advance(Duration::from_secs(10));
        }
        assert!((50..=100).contains(&right), "{right}");
    }

    /// Whoever gets one /48 has 65,536 networks.
    #[test]
    fn a_spray_from_all_networks_of_one_region_stops_too() {
        let (limits, _clock) = limits();
        let each = (0..5_000).map(|n| (format!("2001:db8:1:{n:x}::1"), format!("user-{n}")));
        assert_eq!(admitted(&limits, each), 80);
        assert_eq!(limits.admit(&stranger("2001:db8:2::1", "alice")), Ok(()), "the neighbour is not touched");
    }

    #[test]
    fn a_storm_lets_everybody_try_even_where_few_tries_are_allowed() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let settings = Limits { login_per_address_per_minute: 3, ..Limits::default() };
        let limits = LoginLimits::new(&settings, clock, &Entropy::seeded(1));
        (0..1_000).for_each(|n| limits.failed(&stranger("192.0.2.1", &format!("user-{n}"))));
        assert_eq!(limits.admit(&stranger("198.51.100.1", "alice")), Ok(()));
    }

    #[test]
    fn a_spray_from_one_network_stops_before_thirty_tries() {
        let (limits, _clock) = limits();
        let spray = (0..1000).map(|n| ("192.0.2.1".to_owned(), format!("user-{n}")));
        assert!(admitted(&limits, spray) < 30);
        let spray = (0..1000).map(|n| (format!("2001:db8::{n:x}"), format!("user-{n}")));
        assert!(admitted(&limits, spray) < 30);
        assert_eq!(limits.admit(&stranger("2001:db8:0:1::1", "user")), Ok(()));
    }

    #[test]
    fn one_network_is_asked_for_passkeys_so_often_and_tries_to_sign_in_apart_from_that() {
        let (limits, clock) = limits();
        let address = "192.0.2.1".parse().unwrap();
        assert_eq!((0..1_000).filter(|_| limits.admit_question(address).is_ok()).count(), 300);
        assert_eq!(limits.admit(&stranger("192.0.2.1", "alice")), Ok(()));
        assert_eq!(limits.admit_question("192.0.2.2".parse().unwrap()), Ok(()));
        clock.advance(Duration::from_millis(200));
        assert_eq!(limits.admit_question(address), Ok(()));
    }

    #[test]
    fn an_ipv4_address_counts_the_same_when_it_is_written_as_ipv6() {
        assert_eq!(network_of("::ffff:192.0.2.1".parse().unwrap()), network_of("192.0.2.1".parse().unwrap()));
        assert_ne!(network_of("32.1.13.184".parse().unwrap()), network_of("2001:db8::".parse().unwrap()));
    }

    #[test]
    fn strangers_cannot_use_up_the_tries_of_a_browser_that_the_owner_used_before() {
        let (limits, _clock) = limits();
        let attack = (0..1000).map(|n| (format!("192.0.2.{}", n % 250), "alice".to_owned()));
        admitted(&limits, attack);
        assert_eq!(limits.admit(&stranger("198.51.100.1", "alice")), wait(6));
        let known = crate::services::known_device::DeviceProof::new(&[1; 32]);
        let alice = crate::domain::user::Username::parse("alice").unwrap();
        let cookie = known.remember(None, &alice, &Entropy::seeded(1));
        let owner = || Try { device: known.recognise(&cookie, &alice), ..stranger("198.51.100.1", "alice") };
        // A stolen cookie is no licence to guess for ever.
        let answers: Vec<_> = (0..6).map(|_| limits.admit(&owner())).collect();
        assert_eq!(answers, [Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), wait(6)]);
    }

    #[test]
    fn many_failures_of_strangers_make_each_try_dearer_until_they_stop() {
        let (limits, clock) = limits();
        let from = |n: u32| stranger("203.0.113.7", if n.is_multiple_of(2) { "a" } else { "b" });
        for _ in 0..301 {
            limits.failed(&from(0));
        }
        let spray = (0..100).map(|n| ("198.51.100.2".to_owned(), format!("user-{n}")));
        assert_eq!(admitted(&limits, spray), 5);
        clock.advance(STORM + Duration::from_secs(1));
        let spray = (0..100).map(|n| ("198.51.100.3".to_owned(), format!("user-{n}")));
        assert_eq!(admitted(&limits, spray), 20);
    }
}
