//! What every transaction of a store has in common.

use std::sync::atomic::AtomicU64;

use crate::domain::clock::Clock;
use crate::storage::pools::Pools;

/// What every transaction of a store has in common.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) statements: AtomicU64,
    pub(super) pools: Pools,
}
