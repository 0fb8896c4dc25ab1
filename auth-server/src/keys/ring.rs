//! The signing keys of this server, loaded and ready.
//!
//! The database is the truth; every replica holds the same keys in memory. A key is in the published set before it signs, on every
//! replica, because it is stored long before its time comes.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_guard::{JwkSet, SharedKeys};
use serde::Serialize;

use crate::domain::audit::Actor;
use crate::domain::client::Client;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::signing::SigningAlg;
use crate::domain::user::{Sub, User};
use crate::keys::chain::{KeySummary, Loaded};
use crate::keys::jwks::PublishedKeys;
use crate::keys::jwt::{CompactJwt, JwtError, JwtType, VerifiedJwt};
use crate::keys::rotate::{Schedule, Urgency};
use crate::keys::seal::Sealer;
use crate::keys::signer::KeyRefused;
use crate::keys::subjects::Subjects;
use crate::keys::vault::{RingError, Vault};
use crate::storage::Store;

/// The signing keys. Clones share them.
#[derive(Clone)]
pub struct KeyRing(Arc<Inner>);

struct Inner {
    vault: Vault,
    loaded: ArcSwap<Loaded>,
    shared: SharedKeys,
    subjects: Subjects,
}

/// Why a token cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
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

impl KeyRing {
    /// Loads the keys, and makes those that are missing or due.
    pub(crate) async fn open(
        store: Store,
        sealer: Sealer,
        clock: Clock,
        schedule: Schedule,
    ) -> Result<Self, RingError> {
        let vault = Vault { store, sealer, clock, schedule };
        let loaded = vault.tend(&Loaded::empty()).await?;
        let shared = SharedKeys::new(JwkSet::parse(&loaded.published.body)?);
        let subjects = Subjects::of(&vault.sealer);
        Ok(Self(Arc::new(Inner { vault, loaded: ArcSwap::from_pointee(loaded), shared, subjects })))
    }

    /// Opens every stored key and forgets it: whether they can be opened is known then. Nothing is made or deleted.
    pub(crate) async fn probe(
        store: Store,
        sealer: Sealer,
        clock: Clock,
        schedule: Schedule,
    ) -> Result<(), RingError> {
        Vault { store, sealer, clock, schedule }.load(&Loaded::empty()).await.map(drop)
    }

    /// Makes what is missing or due, deletes what is over, and loads the result. Safe on every replica at any time.
    pub async fn tend(&self) -> Result<(), RingError> {
        let tended = self.0.vault.tend(&self.0.loaded.load()).await?;
        self.replace(tended)
    }

    /// Makes the successor of a key because an operator wants it.
    pub(crate) async fn rotate(
        &self,
        alg: SigningAlg,
        urgency: Urgency,
        actor: Actor,
    ) -> Result<(), RingError> {
        let vault = &self.0.vault;
        let loaded = vault.load(&self.0.loaded.load()).await?;
        vault.add(&loaded, alg, Schedule::successor_asked(vault.clock.now(), urgency), actor).await?;
        self.reload().await
    }

    /// Withdraws a key that somebody else may have: it is published no longer, and what it signed is refused. A successor takes
    /// over at once when it is the one that signs.
    pub(crate) async fn withdraw(&self, kid: &str, actor: Actor) -> Result<(), RingError> {
        let vault = &self.0.vault;
        let loaded = vault.load(&self.0.loaded.load()).await?;
        let alg = loaded.find(kid).ok_or_else(|| RingError::unknown(kid))?.stored.alg;
        vault.withdraw(kid.to_owned(), alg, actor).await?;
        self.reload().await
    }

    /// Reads the database again: another replica may have made a key.
    pub(crate) async fn reload(&self) -> Result<(), RingError> {
        let loaded = self.0.vault.load(&self.0.loaded.load()).await?;
        self.replace(loaded)
    }

    fn replace(&self, loaded: Loaded) -> Result<(), RingError> {
        if loaded.published.etag != self.published().etag {
            self.0.shared.store(JwkSet::parse(&loaded.published.body)?);
        }
        self.0.loaded.store(Arc::new(loaded));
        Ok(())
    }

    /// Signs a token, on the thread that asks: measured, a signature takes 10 microseconds with Ed25519, 17 with P-256, and 230 to 250
    /// with RSA of 2048 bits, with either padding. Handing it to another thread is for what takes over a millisecond.
    pub(crate) fn sign(
        &self,
        alg: SigningAlg,
        kind: JwtType,
        claims: &impl Serialize,
    ) -> Result<String, SignError> {
        let loaded = self.0.loaded.load();
        let key = loaded.signing(alg, self.now()).ok_or(SignError::NoKey(alg))?;
        Ok(key.signer.sign(kind, &serde_json::to_vec(claims)?)?)
    }

    /// Verifies the signature of a token that we should have made. Its kind and claims are for the caller to check.
    pub(crate) fn verify(&self, token: &str) -> Result<VerifiedJwt, JwtError> {
        let jwt = CompactJwt::parse(token)?;
        let loaded = self.0.loaded.load();
        let kid = jwt.header.kid.as_deref().ok_or(JwtError::UnknownKey)?;
        let link = loaded.links().find(|link| link.key.stored.kid == kid).ok_or(JwtError::UnknownKey)?;
        if !link.is_published(&self.0.vault.schedule, self.now()) {
            return Err(JwtError::UnknownKey);
        }
        link.key.verifying.verify(&jwt)?;
        jwt.into_verified()
    }

    /// What tokens for this client call this user.
    pub(crate) fn subject(&self, client: &Client, user: &User) -> Sub {
        self.subject_of(client, &user.sub)
    }

    /// The same, of a user of whom no more than the subject is known.
    pub(crate) fn subject_of(&self, client: &Client, sub: &Sub) -> Sub {
        self.0.subjects.subject(client, sub)
    }

    /// The published keys for a guard in this process, kept up to date.
    pub(crate) fn shared(&self) -> SharedKeys {
        self.0.shared.clone()
    }

    /// The document at our `jwks_uri`.
    pub(crate) fn published(&self) -> Arc<PublishedKeys> {
        Arc::clone(&self.0.loaded.load().published)
    }

    /// Every key, in the order of algorithm and time.
    pub fn list(&self) -> Vec<KeySummary> {
        let now = self.now();
        self.0.loaded.load().links().map(|link| link.summary(now)).collect()
    }

    fn now(&self) -> Timestamp {
        self.0.vault.clock.now()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::secret::Entropy;
    use crate::keys::chain::KeyState;
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

    #[track_caller]
    fn accept(ring: &KeyRing, token: &str, why: &str) {
        let subject = ring.verify(token).map(|jwt| jwt.claims["sub"].clone());
        assert_eq!(subject, Ok(json!("alice")), "{why}");
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
        assert_eq!(published(&ring), 4);
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
        accept(&ring, &token, "the key is still there");
        assert_eq!(published(&ring), 4);
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
        assert_eq!(published(&ring), 8);
        assert_eq!(kid_of(&signed(&ring)), kid_of(&old), "published, but it does not sign yet");
        place.clock.advance(7 * DAY);
        assert_ne!(kid_of(&signed(&ring)), kid_of(&old), "its time comes without a reload");
        assert_eq!(states(&ring, SigningAlg::Es256), [Retired, Signing]);
        accept(&ring, &old, "the old key is published on");
        place.clock.advance(8 * DAY);
        assert_eq!(ring.verify(&old).err(), Some(JwtError::UnknownKey));
        ring.tend().await.unwrap();
        assert_eq!(published(&ring), 4);
        assert_eq!(states(&ring, SigningAlg::Es256), [Signing]);
    }

    #[tokio::test]
    async fn two_replicas_that_rotate_at_once_make_one_key() {
        let place = Place::new();
        let (one, two) = tokio::join!(place.replica(), place.replica());
        assert_eq!(one.list().len(), 4);
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
                signing_or_next, 8,
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
        let before = kid_of(&signed(&one));
        accept(&two, &signed(&one), "the old key still signs");
        two.reload().await.unwrap();
        place.clock.advance(Duration::from_mins(1));
        assert_ne!(kid_of(&signed(&one)), before, "the new key signs");
        accept(&two, &signed(&one), "and the other replica has it");
    }

    #[tokio::test]
    async fn a_key_that_is_withdrawn_while_others_withdraw_and_rotate_leaves_one_that_signs() {
        let place = Place::new();
        let (one, two) = (place.replica().await, place.replica().await);
        for round in 0..5 {
            let stolen = signed(&one);
            let kid = kid_of(&stolen).unwrap();
            let (first, second, rotated) = tokio::join!(
                one.withdraw(&kid, Actor::Operator),
                two.withdraw(&kid, Actor::Operator),
                two.rotate(SigningAlg::Es256, Urgency::Orderly, Actor::Operator),
            );
            rotated.unwrap();
            let one_was_faster = matches!(
                (&first, &second),
                (Ok(()), Err(RingError::Unknown { .. })) | (Err(RingError::Unknown { .. }), Ok(()))
            );
            assert!(one_was_faster, "round {round}: {first:?} {second:?}");
            for ring in [&one, &two] {
                ring.tend().await.unwrap();
                assert_eq!(ring.verify(&stolen).err(), Some(JwtError::UnknownKey), "round {round}");
                accept(&one, &signed(ring), "a new key signs at once");
            }
            assert_eq!(one.published().etag, two.published().etag, "round {round}");
            place.clock.advance(Duration::from_hours(2));
        }
    }

    #[tokio::test]
    async fn a_key_whose_time_has_not_come_is_withdrawn_without_a_successor() {
        let place = Place::new();
        let ring = place.replica().await;
        let old = signed(&ring);
        ring.rotate(SigningAlg::Es256, Urgency::Orderly, Actor::Operator).await.unwrap();
        let next = ring.list().into_iter().find(|key| key.state == KeyState::Next).unwrap();
        ring.withdraw(&next.kid, Actor::Operator).await.unwrap();
        assert_eq!(published(&ring), 4);
        assert_eq!(kid_of(&signed(&ring)), kid_of(&old));
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
