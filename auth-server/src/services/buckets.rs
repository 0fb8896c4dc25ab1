//! Counters of tries: a fixed amount of memory, however many keys attackers invent.
//!
//! Each counter is a cell of the generic cell rate algorithm. A key owns no cell; it is hashed, with a secret seed,
//! to one cell in each of two tables, and is refused only when both refuse. So two keys rarely disturb each other,
//! nobody can aim at somebody else's cells, no key is ever evicted (an abuser cannot be forgotten), and nothing grows.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::domain::clock::Clock;
use crate::domain::secret::Digest32;

/// A number of a setting, which cannot be zero where it counts.
pub(crate) const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// Where a key's cells are.
#[derive(Clone, Copy)]
pub(crate) struct Key([u64; 2]);

impl Key {
    /// The key of something, among others of its `kind`. The seed keeps the places secret.
    pub(crate) fn new(seed: &[u8; 32], kind: u8, parts: &[&[u8]]) -> Self {
        let mut all: Vec<&[u8]> = vec![seed.as_slice(), std::slice::from_ref(&kind)];
        all.extend_from_slice(parts);
        let digest = Digest32::of_parts(&all);
        let mut halves = digest
            .as_bytes()
            .chunks_exact(8)
            .map(|chunk| chunk.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)));
        Self([halves.next().unwrap_or_default(), halves.next().unwrap_or_default()])
    }

    /// Where it is among so many places.
    pub(crate) fn place(self, of: usize) -> usize {
        let Self([first, _]) = self;
        usize::try_from(first).unwrap_or_default().checked_rem(of).unwrap_or_default()
    }
}

/// The network that an address belongs to: itself for IPv4, the /64 that one household or host gets for IPv6.
pub(crate) fn network_of(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().into_iter().take(8).collect(),
    }
}

/// The /48 that a provider gives a customer, in which that customer has 65,536 networks. IPv4 has nothing like it.
pub(crate) fn region_of(address: IpAddr) -> Option<Vec<u8>> {
    match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address.octets().into_iter().take(6).collect()),
    }
}

type Limiter = RateLimiter<u64, Table, Dial, NoOpMiddleware<Nanos>>;

/// The counters of one limit.
pub(crate) struct Buckets {
    tables: [Limiter; 2],
}

impl Buckets {
    /// Counters for `quota` in two tables of `1 << bits` cells, eight bytes each.
    pub(crate) fn new(quota: Quota, bits: u32, clock: &Clock) -> Self {
        let table = || Limiter::new(quota, Table::new(bits), Dial(clock.clone()));
        Self { tables: [table(), table()] }
    }

    /// Takes `cells` tries of a key, or says how long to wait.
    pub(crate) fn take(&self, key: Key, cells: NonZeroU32) -> Result<(), Duration> {
        // Both tables count every try, so that both know it.
        let answers = self.tables.iter().zip(key.0).map(|(table, place)| try_one(table, place, cells));
        let answers: Vec<Result<(), Duration>> = answers.collect();
        answers
            .into_iter()
            .reduce(|one, other| match (one, other) {
                (Err(one), Err(other)) => Err(one.min(other)),
                _ => Ok(()),
            })
            .unwrap_or(Ok(()))
    }
}

fn try_one(table: &Limiter, place: u64, cells: NonZeroU32) -> Result<(), Duration> {
    match table.check_key_n(&place, cells) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(later)) => Err(later.wait_time_from(table.clock().now())),
        // More cells than a whole quota: it never fits, and a minute is as good a guess as any.
        Err(_) => Err(Duration::from_mins(1)),
    }
}

/// Cells that are made together.
const CHUNK: u64 = 512;

/// A table whose cells come into being in chunks, when the first of a chunk is needed: most servers never need most.
struct Table {
    size: u64,
    chunks: Vec<OnceLock<Box<[AtomicU64]>>>,
}

impl Table {
    fn new(bits: u32) -> Self {
        let size = 1_u64 << bits;
        let count = size.div_ceil(CHUNK);
        Self { size, chunks: (0..count).map(|_| OnceLock::new()).collect() }
    }

    fn cell(&self, key: u64) -> Option<&AtomicU64> {
        let place = key % self.size;
        let chunk = self.chunks.get(usize::try_from(place / CHUNK).ok()?)?;
        let cells = chunk.get_or_init(|| (0..CHUNK).map(|_| AtomicU64::new(0)).collect());
        cells.get(usize::try_from(place % CHUNK).ok()?)
    }
}

impl StateStore for Table {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Some(cell) = self.cell(*key) else {
            return decide(None).map(|(answer, _)| answer);
        };
        let mut seen = cell.load(Ordering::Acquire);
        loop {
            let (answer, next) = decide((seen != 0).then(|| Nanos::new(seen)))?;
            match cell.compare_exchange_weak(seen, next.as_u64(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(answer),
                Err(changed) => seen = changed,
            }
        }
    }
}

/// Our clock, as governor reads one.
struct Dial(Clock);

impl governor::clock::Clock for Dial {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(u64::try_from(self.0.steady().as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;

    const ONE: NonZeroU32 = NonZeroU32::MIN;
    /// Three a minute: one more each twenty seconds.
    const WAIT: Result<(), Duration> = Err(Duration::from_secs(20));

    fn buckets(clock: &Clock, bits: u32) -> Buckets {
        Buckets::new(Quota::per_minute(NonZeroU32::new(3).unwrap()), bits, clock)
    }

    fn key(text: &str) -> Key {
        Key::new(&[7; 32], 0, &[text.as_bytes()])
    }

    #[test]
    fn a_key_has_its_quota_and_gets_it_back_with_time() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let buckets = buckets(&clock, 8);
        assert_eq!([(); 4].map(|()| buckets.take(key("a"), ONE)), [Ok(()), Ok(()), Ok(()), WAIT]);
        assert_eq!(buckets.take(key("b"), ONE), Ok(()));
        clock.advance(Duration::from_secs(20));
        assert_eq!([(); 2].map(|()| buckets.take(key("a"), ONE)), [Ok(()), WAIT]);
    }

    #[test]
    fn an_abuser_is_not_forgotten_however_many_keys_come_after() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let buckets = buckets(&clock, 12);
        while buckets.take(key("abuser"), ONE).is_ok() {}
        for number in 0..2_000 {
            let _ = buckets.take(key(&format!("k{number}")), ONE);
        }
        assert_eq!(buckets.take(key("abuser"), ONE), WAIT);
    }

    #[test]
    fn one_full_cell_does_not_refuse_a_key_whose_other_cell_is_free() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let buckets = buckets(&clock, 8);
        while buckets.take(Key([5, 9]), ONE).is_ok() {}
        assert_eq!(buckets.take(Key([5, 10]), ONE), Ok(()));
        assert_eq!(buckets.take(Key([6, 9]), ONE), Ok(()));
    }
}
