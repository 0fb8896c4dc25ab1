//! What every service stands on.

use std::sync::Arc;

use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::keys::ring::KeyRing;
use crate::keys::seal::Sealer;
use crate::services::password::PasswordHasher;
use crate::storage::Store;

/// What every service stands on: opened first, and handed to each part that is built.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) config: Arc<Config>,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) store: Store,
    pub(super) sealer: Sealer,
    pub(super) keys: KeyRing,
    pub(super) hasher: PasswordHasher,
}
