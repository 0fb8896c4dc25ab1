//! Names as small numbers.

use std::collections::{HashMap, HashSet};

/// The number that no name has.
pub(crate) const UNNAMED: u32 = u32::MAX;

/// A map with a fast hasher, seeded at random once per process. Its better finish costs an instruction or two: without it, a decision
/// under many rules took up to a sixth more with an unlucky seed.
pub(crate) type Map<K, V> = HashMap<K, V, foldhash::quality::RandomState>;

/// A set with the same hasher.
pub(crate) type Set<T> = HashSet<T, foldhash::quality::RandomState>;

/// Gives each distinct name the next number.
#[derive(Default)]
pub(crate) struct Names {
    numbers: Map<Box<str>, u32>,
}

impl Names {
    pub(crate) fn get(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn intern(&mut self, name: &str) -> u32 {
        if let Some(number) = self.get(name) {
            return number;
        }
        let number = index(self.numbers.len());
        self.numbers.insert(name.into(), number);
        number
    }
}

/// A position as it is stored.
///
/// The limits on the size of a policy keep every position far below the end of `u32`. Should one
/// ever not fit, it becomes [`UNNAMED`]: nothing is found there.
pub(crate) fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(UNNAMED)
}

/// A run of a flat table.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    start: u32,
    end: u32,
}

impl Run {
    /// Appends `items` to `table` and says where they are.
    pub(crate) fn append<T>(table: &mut Vec<T>, items: impl IntoIterator<Item = T>) -> Self {
        let start = index(table.len());
        table.extend(items);
        Self { start, end: index(table.len()) }
    }

    pub(crate) fn of<T>(self, table: &[T]) -> &[T] {
        table.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}
