//! How many requests of one caller may be on their way in at once.
//!
//! Counted in a table of fixed size: callers who share a cell share its places, which only matters while one of them sends
//! slowly on purpose.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

const CELLS: usize = 1024;

/// The counters.
pub(crate) struct Places {
    cells: Vec<AtomicUsize>,
    each: usize,
    seed: RandomState,
}

impl Places {
    /// So many places for each caller.
    pub(crate) fn new(each: usize) -> Self {
        let cells = std::iter::repeat_with(AtomicUsize::default).take(CELLS).collect();
        Self { cells, each, seed: RandomState::new() }
    }

    /// Takes a place until the value is dropped; `None` when the caller has them all.
    pub(crate) fn take(&self, caller: IpAddr) -> Option<Place<'_>> {
        let number = self.seed.hash_one(network(caller)) % CELLS as u64;
        let cell = self.cells.get(usize::try_from(number).ok()?)?;
        let taken = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count < self.each).then_some(count + 1)
        });
        taken.is_ok().then(|| Place(cell))
    }
}

/// A place that was taken.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A holder of an IPv6 /64 has as many addresses as he likes.
fn network(caller: IpAddr) -> u128 {
    match caller.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_so_many_places_and_gets_them_back() {
        let places = Places::new(2);
        let caller = IpAddr::from([192, 0, 2, 1]);
        let one = places.take(caller);
        let two = places.take(caller);
        assert_eq!((one.is_some(), two.is_some(), places.take(caller).is_some()), (true, true, false));
        drop(one);
        let again = places.take(caller);
        assert_eq!((again.is_some(), places.take(caller).is_some()), (true, false), "one came back");
    }

    #[test]
    fn the_addresses_of_one_network_are_one_caller() {
        let places = Places::new(1);
        let held = places.take("2001:db8::1".parse().unwrap());
        let neighbour = places.take("2001:db8::2".parse().unwrap());
        assert_eq!((held.is_some(), neighbour.is_some()), (true, false));
    }
}
