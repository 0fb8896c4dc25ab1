//! The keys of one reading of the database, each algorithm's in the order in which they sign.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::clock::Timestamp;
use crate::domain::signing::{SigningAlg, StoredKey};
use crate::keys::jwk::PublicKey;
use crate::keys::jwks::{PublishedKeys, VerifyingKey};
use crate::keys::rotate::Schedule;
use crate::keys::signer::Signer;

/// One reading of the database.
pub(crate) struct Loaded {
    /// The keys of each algorithm, in the order in which they sign.
    chains: BTreeMap<SigningAlg, Vec<Link>>,
    pub(crate) published: Arc<PublishedKeys>,
}

/// A key and its place in the chain.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) key: Arc<RingKey>,
    /// When its successor takes over.
    pub(crate) signs_until: Option<Timestamp>,
}

pub(crate) struct RingKey {
    pub(crate) stored: StoredKey,
    pub(crate) public: PublicKey,
    pub(crate) signer: Signer,
    pub(crate) verifying: VerifyingKey,
}

/// What a key is for at a point in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published; its time to sign will come.
    Next,
    /// Published; what it signed has not expired yet.
    Retired,
    /// It signs.
    Signing,
}

/// What an operator sees of a key.
#[derive(Clone, Debug, Serialize)]
pub struct KeySummary {
    /// The key id.
    pub kid: String,
    /// The algorithm.
    pub alg: SigningAlg,
    /// What it is for at present.
    pub state: KeyState,
    /// When it began or will begin to sign, in RFC 3339.
    pub signs_from: String,
    /// When its successor takes over, in RFC 3339.
    pub signs_until: Option<String>,
}

impl Loaded {
    pub(crate) fn empty() -> Self {
        Self { chains: BTreeMap::new(), published: Arc::new(PublishedKeys::of([].into_iter())) }
    }

    pub(crate) fn of(mut keys: Vec<Arc<RingKey>>, schedule: &Schedule, now: Timestamp) -> Self {
        keys.sort_by_key(|key| (key.stored.alg, key.stored.activates_at, key.stored.generation));
        let mut chains: BTreeMap<SigningAlg, Vec<Link>> = BTreeMap::new();
        for key in keys {
            let chain = chains.entry(key.stored.alg).or_default();
            if let Some(predecessor) = chain.last_mut() {
                predecessor.signs_until = Some(key.stored.activates_at);
            }
            chain.push(Link { key, signs_until: None });
        }
        let links = chains.values().flatten().filter(|link| link.is_published(schedule, now));
        let published = Arc::new(PublishedKeys::of(links.map(|link| &link.key.public)));
        Self { chains, published }
    }

    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.chains.values().flatten()
    }

    pub(crate) fn chain(&self, alg: SigningAlg) -> impl DoubleEndedIterator<Item = &Link> {
        self.chains.get(&alg).into_iter().flatten()
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Arc<RingKey>> {
        self.links().map(|link| &link.key).find(|key| key.stored.kid == kid)
    }

    /// The key that signs: the last one whose time has come.
    pub(crate) fn signing(&self, alg: SigningAlg, now: Timestamp) -> Option<&Arc<RingKey>> {
        self.chain(alg).rev().map(|link| &link.key).find(|key| key.stored.activates_at <= now)
    }
}

impl Link {
    pub(crate) fn is_published(&self, schedule: &Schedule, now: Timestamp) -> bool {
        self.signs_until.is_none_or(|until| now < schedule.published_until(until))
    }

    fn state(&self, now: Timestamp) -> KeyState {
        if now < self.key.stored.activates_at {
            KeyState::Next
        } else if self.signs_until.is_some_and(|until| until <= now) {
            KeyState::Retired
        } else {
            KeyState::Signing
        }
    }

    pub(crate) fn summary(&self, now: Timestamp) -> KeySummary {
        KeySummary {
            kid: self.key.stored.kid.clone(),
            alg: self.key.stored.alg,
            state: self.state(now),
            signs_from: self.key.stored.activates_at.rfc3339(),
            signs_until: self.signs_until.map(Timestamp::rfc3339),
        }
    }
}
