//! What handlers are given: each takes the one service it calls.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::keys::ring::KeyRing;
use crate::storage::Store;

/// Everything that handlers may ask for. A handler names the part that it uses: `State(clock): State<Clock>`.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) clock: Clock,
    pub(crate) config: Arc<Config>,
    pub(crate) entropy: Entropy,
    pub(crate) keys: KeyRing,
    pub(crate) store: Store,
}

impl FromRef<AppState> for Clock {
    fn from_ref(state: &AppState) -> Self {
        state.clock.clone()
    }
}

impl FromRef<AppState> for Arc<Config> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.config)
    }
}

impl FromRef<AppState> for Entropy {
    fn from_ref(state: &AppState) -> Self {
        state.entropy.clone()
    }
}

impl FromRef<AppState> for KeyRing {
    fn from_ref(state: &AppState) -> Self {
        state.keys.clone()
    }
}

impl FromRef<AppState> for Store {
    fn from_ref(state: &AppState) -> Self {
        state.store.clone()
    }
}
