//! The signing keys of this server, loaded and ready.
//!
//! The database is the truth; every replica holds the same keys in memory. A key is in the published set before it signs, on every
//! replica, because it is stored long before its time comes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::signing::{SigningAlg, StoredKey};
use crate::keys::jwk::{JwkError, PublicKey};
use crate::keys::jwks::{PublishedKeys, VerifyingKey};
use crate::keys::jwt::{CompactJwt, JwtError, JwtType, VerifiedJwt};
use crate::keys::rotate::{Schedule, Urgency};
use crate::keys::seal::{CannotOpen, Sealer};
use crate::keys::signer::{FreshKey, KeyRefused, Signer};
use crate::storage::{Store, StoreError, signing_keys};

/// What a sealed signing key says that it is for.
const PURPOSE: &str = "signing key";

/// The signing keys. Clones share them.
#[derive(Clone)]
pub struct KeyRing(Arc<Inner>);

struct Inner {
    store: Store,
    sealer: Sealer,
    clock: Clock,
    schedule: Schedule,
    loaded: ArcSwap<Loaded>,
}

/// One reading of the database.
struct Loaded {
    /// The keys of each algorithm, in the order in which they sign.
    chains: BTreeMap<SigningAlg, Vec<Link>>,
    published: Arc<PublishedKeys>,
}

/// A key and its place in the chain.
#[derive(Clone)]
struct Link {
    key: Arc<RingKey>,
    /// When its successor takes over.
    signs_until: Option<Timestamp>,
}

struct RingKey {
    stored: StoredKey,
    public: PublicKey,
    signer: Signer,
    verifying: VerifyingKey,
}

/// Why keys cannot be loaded or made.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The master key does not open a stored key.
    #[error("signing key {kid} {cause}")]
    Sealed {
        /// Which key.
        kid: String,
        /// What opening it said.
        cause: CannotOpen,
    },
    /// A stored key is not what its row says.
    #[error("signing key {kid} is damaged")]
    Damaged {
        /// Which key.
        kid: String,
    },
    /// A new key could not be made.
    #[error(transparent)]
    Refused(#[from] KeyRefused),
    /// The database did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a token cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The claims are not JSON.
    #[error("the claims cannot be written as JSON")]
    Claims(#[from] serde_json::Error),
    /// No key of the algorithm signs at present.
    #[error("there is no key that signs {0} at present")]
    NoKey(SigningAlg),
    /// The cryptographic library refused.
    #[error(transparent)]
    Refused(#[from] KeyRefused),
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

impl KeyRing {
    /// Loads the keys, and makes those that are missing or due.
    pub(crate) async fn open(
        store: Store,
        sealer: Sealer,
        clock: Clock,
        schedule: Schedule,
    ) -> Result<Self, RingError> {
        let empty =
            Loaded { chains: BTreeMap::new(), published: Arc::new(PublishedKeys::of([].into_iter())) };
        let ring =
            Self(Arc::new(Inner { store, sealer, clock, schedule, loaded: ArcSwap::from_pointee(empty) }));
        ring.tend().await?;
        Ok(ring)
    }

    /// Makes what is missing or due, deletes what is over, and loads the result. Safe on every replica at any time.
    pub(crate) async fn tend(&self) -> Result<(), RingError> {
        self.reload().await?;
        let now = self.0.clock.now();
        let mut changed = false;
        for alg in SigningAlg::ALL {
            let last = self.0.loaded.load().last(alg).map(|key| key.stored.activates_at);
            let due = match last {
                Some(signs_from) => self.0.schedule.successor_due(signs_from, now),
                None => Some(now),
            };
            if let Some(signs_from) = due {
                self.add(alg, signs_from, Actor::System).await?;
                changed = true;
            }
        }
        for kid in self.over(now) {
            self.delete(kid).await?;
            changed = true;
        }
        if changed { self.reload().await } else { Ok(()) }
    }

    /// Makes the successor of a key because an operator wants it.
    pub(crate) async fn rotate(
        &self,
        alg: SigningAlg,
        urgency: Urgency,
        actor: Actor,
    ) -> Result<(), RingError> {
        self.reload().await?;
        self.add(alg, Schedule::successor_asked(self.0.clock.now(), urgency), actor).await?;
        self.reload().await
    }

    /// Reads the database again: another replica may have made a key.
    pub(crate) async fn reload(&self) -> Result<(), RingError> {
        let stored = signing_keys::list(&mut self.0.store.read().await?).await?;
        let known = self.0.loaded.load_full();
        let mut keys = Vec::with_capacity(stored.len());
        for row in stored {
            keys.push(match known.find(&row.kid) {
                Some(key) => Arc::clone(key),
                None => Arc::new(self.open_key(row)?),
            });
        }
        self.0.loaded.store(Arc::new(Loaded::of(keys, &self.0.schedule, self.0.clock.now())));
        Ok(())
    }

    /// Signs a token.
    pub(crate) fn sign(
        &self,
        alg: SigningAlg,
        kind: JwtType,
        claims: &impl Serialize,
    ) -> Result<String, SignError> {
        let loaded = self.0.loaded.load();
        let key = loaded.signing(alg, self.0.clock.now()).ok_or(SignError::NoKey(alg))?;
        Ok(key.signer.sign(kind, &serde_json::to_vec(claims)?)?)
    }

    /// Verifies the signature of a token that we should have made. Its kind and claims are for the caller to check.
    pub(crate) fn verify(&self, token: &str) -> Result<VerifiedJwt, JwtError> {
        let jwt = CompactJwt::parse(token)?;
        let loaded = self.0.loaded.load();
        let kid = jwt.header.kid.as_deref().ok_or(JwtError::UnknownKey)?;
        let link = loaded.links().find(|link| link.key.stored.kid == kid).ok_or(JwtError::UnknownKey)?;
        if !link.is_published(&self.0.schedule, self.0.clock.now()) {
            return Err(JwtError::UnknownKey);
        }
        link.key.verifying.verify(&jwt)?;
        jwt.into_verified()
    }

    /// The document at our `jwks_uri`.
    pub(crate) fn published(&self) -> Arc<PublishedKeys> {
        Arc::clone(&self.0.loaded.load().published)
    }

    /// Every key, in the order of algorithm and time.
    pub fn list(&self) -> Vec<KeySummary> {
        let now = self.0.clock.now();
        self.0.loaded.load().links().map(|link| link.summary(now)).collect()
    }

    fn open_key(&self, stored: StoredKey) -> Result<RingKey, RingError> {
        let kid = || stored.kid.clone();
        let pkcs8 = self
            .0
            .sealer
            .open(PURPOSE, stored.kid.as_bytes(), &stored.sealed)
            .map_err(|cause| RingError::Sealed { kid: kid(), cause })?;
        let damaged = || RingError::Damaged { kid: kid() };
        let signer = Signer::parse(stored.alg, &pkcs8, &stored.kid).map_err(|KeyRefused| damaged())?;
        let public = signer.public().map_err(|KeyRefused| damaged())?;
        if public.thumbprint() != stored.kid {
            return Err(damaged());
        }
        let verifying = VerifyingKey::new(None, &public).map_err(|_: JwkError| damaged())?;
        Ok(RingKey { stored, public, signer, verifying })
    }

    /// Stores a new key. When another replica was faster there is nothing to do: its key does the same.
    async fn add(&self, alg: SigningAlg, signs_from: Timestamp, actor: Actor) -> Result<(), RingError> {
        let generation =
            self.0.loaded.load().chain(alg).map(|link| link.key.stored.generation).max().unwrap_or(0) + 1;
        let fresh = tokio::task::spawn_blocking(move || FreshKey::generate(alg)).await;
        // The task only fails when it panics, and making a key does not.
        let fresh = fresh.map_err(|_| KeyRefused)??;
        let kid = fresh.public.thumbprint();
        let key = StoredKey {
            sealed: self.0.sealer.seal(PURPOSE, kid.as_bytes(), &fresh.pkcs8),
            public_jwk: fresh.public.to_jwk().to_string(),
            created_at: self.0.clock.now(),
            activates_at: signs_from,
            kid,
            alg,
            generation,
        };
        let action = if generation == 1 { AuditAction::KeyCreated } else { AuditAction::KeyRotated };
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if signing_keys::insert(tx, &key).await? {
                        tx.audit(AuditEvent::new(actor, action).on(&key.kid));
                        tx.invalidate();
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        Ok(())
    }

    async fn delete(&self, kid: String) -> Result<(), StoreError> {
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if signing_keys::delete(tx, &kid).await? {
                        tx.audit(AuditEvent::new(Actor::System, AuditAction::KeyDeleted).on(&kid));
                        tx.invalidate();
                    }
                    Ok(())
                })
            })
            .await
    }

    /// The keys that nobody needs any more.
    fn over(&self, now: Timestamp) -> Vec<String> {
        let loaded = self.0.loaded.load();
        let over = loaded.links().filter(|link| !link.is_published(&self.0.schedule, now));
        over.map(|link| link.key.stored.kid.clone()).collect()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

impl Loaded {
    fn of(mut keys: Vec<Arc<RingKey>>, schedule: &Schedule, now: Timestamp) -> Self {
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

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.chains.values().flatten()
    }

    fn chain(&self, alg: SigningAlg) -> impl DoubleEndedIterator<Item = &Link> {
        self.chains.get(&alg).into_iter().flatten()
    }

    fn last(&self, alg: SigningAlg) -> Option<&Arc<RingKey>> {
        self.chain(alg).next_back().map(|link| &link.key)
    }

    fn find(&self, kid: &str) -> Option<&Arc<RingKey>> {
        self.links().map(|link| &link.key).find(|key| key.stored.kid == kid)
    }

    /// The key that signs: the last one whose time has come.
    fn signing(&self, alg: SigningAlg, now: Timestamp) -> Option<&Arc<RingKey>> {
        self.chain(alg).rev().map(|link| &link.key).find(|key| key.stored.activates_at <= now)
    }
}

impl Link {
    fn is_published(&self, schedule: &Schedule, now: Timestamp) -> bool {
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

    fn summary(&self, now: Timestamp) -> KeySummary {
        KeySummary {
            kid: self.key.stored.kid.clone(),
            alg: self.key.stored.alg,
            state: self.state(now),
            signs_from: self.key.stored.activates_at.rfc3339(),
            signs_until: self.signs_until.map(Timestamp::rfc3339),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::secret::Entropy;
    use crate::keys::master::MasterKey;
    use crate::storage::StoreOptions;

    const DAY: Duration = Duration::from_hours(24);
    const SCHEDULE: Schedule =
        Schedule { rotate_after: Duration::from_hours(90 * 24), overlap: Duration::from_hours(7 * 24) };

    /// One database, on which any number of replicas open their rings.
    struct Place {
        _dir: tempfile::TempDir,
        url: String,
        clock: Clock,
        sealer: Sealer,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", dir.path().join("test.db").display());
            let sealer = Sealer::from_master(&MasterKey::generate(&Entropy::seeded(1)), Entropy::os());
            Self { _dir: dir, url, clock: Clock::manual(Timestamp::from_secs(1_800_000_000)), sealer }
        }

        async fn store(&self) -> Store {
            let store = Store::open(&StoreOptions::new(self.url.clone()), self.clock.clone()).await.unwrap();
            store.migrate().await.unwrap();
            store
        }

        async fn replica(&self) -> KeyRing {
            KeyRing::open(self.store().await, self.sealer.clone(), self.clock.clone(), SCHEDULE)
                .await
                .unwrap()
        }
    }

    fn signed(ring: &KeyRing) -> String {
        ring.sign(SigningAlg::Es256, JwtType::AccessToken, &json!({ "sub": "alice" })).unwrap()
    }

    fn published(ring: &KeyRing) -> usize {
        let set: Value = serde_json::from_slice(&ring.published().body).unwrap();
        set["keys"].as_array().unwrap().len()
    }

    fn states(ring: &KeyRing, alg: SigningAlg) -> Vec<KeyState> {
        ring.list().into_iter().filter(|key| key.alg == alg).map(|key| key.state).collect()
    }

    #[tokio::test]
    async fn the_first_start_makes_one_key_of_each_algorithm_and_signs_with_them() {
        let place = Place::new();
        let ring = place.replica().await;
        assert_eq!(published(&ring), 3);
        for alg in SigningAlg::ALL {
            let token = ring.sign(alg, JwtType::IdToken, &json!({ "sub": "alice" })).unwrap();
            let jwt = ring.verify(&token).unwrap();
            assert!(jwt.header.is(JwtType::IdToken));
            assert_eq!(jwt.claims["sub"], "alice");
        }
    }

    #[tokio::test]
    async fn a_restart_keeps_the_keys() {
        let place = Place::new();
        let token = signed(&place.replica().await);
        let ring = place.replica().await;
        assert!(ring.verify(&token).is_ok());
        assert_eq!(published(&ring), 3);
    }

    #[tokio::test]
    async fn a_successor_is_published_first_then_signs_and_the_old_key_is_published_on_and_then_deleted() {
        use KeyState::{Next, Retired, Signing};
        let place = Place::new();
        let ring = place.replica().await;
        let old = signed(&ring);
        place.clock.advance(83 * DAY);
        ring.tend().await.unwrap();
        ring.tend().await.unwrap();
        assert_eq!(states(&ring, SigningAlg::Es256), [Signing, Next]);
        assert_eq!(published(&ring), 6);
        assert_eq!(kid_of(&signed(&ring)), kid_of(&old), "published, but it does not sign yet");
        place.clock.advance(7 * DAY);
        assert_ne!(kid_of(&signed(&ring)), kid_of(&old), "its time comes without a reload");
        assert_eq!(states(&ring, SigningAlg::Es256), [Retired, Signing]);
        assert!(ring.verify(&old).is_ok());
        place.clock.advance(8 * DAY);
        assert_eq!(ring.verify(&old).err(), Some(JwtError::UnknownKey));
        ring.tend().await.unwrap();
        assert_eq!(published(&ring), 3);
        assert_eq!(states(&ring, SigningAlg::Es256), [Signing]);
    }

    #[tokio::test]
    async fn two_replicas_that_rotate_at_once_make_one_key() {
        let place = Place::new();
        let (one, two) = tokio::join!(place.replica(), place.replica());
        assert_eq!(one.list().len(), 3);
        for round in 1..=5 {
            place.clock.advance(90 * DAY);
            let (first, second) = tokio::join!(one.tend(), two.tend());
            first.unwrap();
            second.unwrap();
            one.reload().await.unwrap();
            two.reload().await.unwrap();
            let signing_or_next = one.list().into_iter().filter(|key| key.state != KeyState::Retired).count();
            assert_eq!(one.published().etag, two.published().etag, "round {round}");
            assert_eq!(
                signing_or_next, 6,
                "round {round}: each algorithm has one key that signs and one that will"
            );
            place.clock.advance(DAY);
        }
    }

    #[tokio::test]
    async fn an_asked_for_key_is_known_to_every_replica_before_it_signs() {
        let place = Place::new();
        let (one, two) = (place.replica().await, place.replica().await);
        one.rotate(SigningAlg::Es256, Urgency::Urgent, Actor::Operator).await.unwrap();
        assert!(two.verify(&signed(&one)).is_ok(), "the old key still signs");
        two.reload().await.unwrap();
        place.clock.advance(Duration::from_mins(1));
        assert!(two.verify(&signed(&one)).is_ok(), "the new key signs, and the other replica has it");
    }

    #[tokio::test]
    async fn keys_that_were_sealed_with_another_master_key_do_not_load() {
        let place = Place::new();
        place.replica().await;
        let other = Sealer::from_master(&MasterKey::generate(&Entropy::seeded(2)), Entropy::os());
        let refused =
            KeyRing::open(place.store().await, other, place.clock.clone(), SCHEDULE).await.unwrap_err();
        assert!(matches!(refused, RingError::Sealed { .. }), "{refused}");
    }

    #[tokio::test]
    async fn a_token_of_a_stranger_or_with_another_key_id_is_not_ours() {
        let (place, elsewhere) = (Place::new(), Place::new());
        let (ring, stranger) = (place.replica().await, elsewhere.replica().await);
        assert_eq!(ring.verify(&signed(&stranger)).err(), Some(JwtError::UnknownKey));
        let ours = signed(&ring);
        let (signed_part, _) = ours.rsplit_once('.').unwrap();
        let (_, foreign) = stranger_signature(&stranger);
        assert_eq!(ring.verify(&format!("{signed_part}.{foreign}")).err(), Some(JwtError::BadSignature));
    }

    fn stranger_signature(ring: &KeyRing) -> (String, String) {
        let token = signed(ring);
        let (signed_part, signature) = token.rsplit_once('.').unwrap();
        (signed_part.to_owned(), signature.to_owned())
    }

    fn kid_of(token: &str) -> Option<String> {
        CompactJwt::parse(token).unwrap().header.kid
    }
}
