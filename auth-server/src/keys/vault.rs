//! Where signing keys come from and go to: the database, with each private half sealed.

use std::sync::Arc;

use portcullis_guard::JwksError;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::signing::{SigningAlg, StoredKey};
use crate::keys::chain::{Loaded, RingKey};
use crate::keys::jwk::JwkError;
use crate::keys::jwks::VerifyingKey;
use crate::keys::rotate::Schedule;
use crate::keys::seal::{CannotOpen, Sealer};
use crate::keys::signer::{FreshKey, KeyRefused, Signer};
use crate::storage::{Outcome, Store, StoreError, Turn, signing_keys};

/// What a sealed signing key says that it is for.
const PURPOSE: &str = "signing key";

/// The stored keys, and what it takes to open and make them.
pub(super) struct Vault {
    pub(super) store: Store,
    pub(super) sealer: Sealer,
    pub(super) clock: Clock,
    pub(super) schedule: Schedule,
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
    /// The public keys cannot be handed to the guard.
    #[error(transparent)]
    Shared(#[from] JwksError),
    /// The database did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such key.
    #[error("there is no signing key {kid}")]
    Unknown {
        /// What was asked for.
        kid: String,
    },
}

impl RingError {
    pub(super) fn unknown(kid: &str) -> Self {
        Self::Unknown { kid: kid.to_owned() }
    }
}

impl Outcome for RingError {
    fn is_fault(&self) -> bool {
        true
    }
}

impl Vault {
    pub(super) async fn tend(&self, known: &Loaded) -> Result<Loaded, RingError> {
        let loaded = self.load(known).await?;
        let now = self.clock.now();
        let mut changed = false;
        for alg in SigningAlg::ALL {
            let due = match loaded.chain(alg).next_back() {
                Some(last) => self.schedule.successor_due(last.key.stored.activates_at, now),
                None => Some(now),
            };
            if let Some(signs_from) = due {
                self.add(&loaded, alg, signs_from, Actor::System).await?;
                changed = true;
            }
        }
        for over in loaded.links().filter(|link| !link.is_published(&self.schedule, now)) {
            self.delete(over.key.stored.kid.clone(), Actor::System).await?;
            changed = true;
        }
        if changed { self.load(&loaded).await } else { Ok(loaded) }
    }

    /// Reads the keys; those that are in memory already are not opened again. No request reads them, so it is not counted.
    pub(super) async fn load(&self, known: &Loaded) -> Result<Loaded, RingError> {
        let stored = signing_keys::list(&mut self.store.read().await?.uncounted()).await?;
        let mut keys = Vec::with_capacity(stored.len());
        for row in stored {
            keys.push(match known.find(&row.kid) {
                Some(key) => Arc::clone(key),
                None => Arc::new(self.open(row)?),
            });
        }
        Ok(Loaded::of(keys, &self.schedule, self.clock.now()))
    }

    fn open(&self, stored: StoredKey) -> Result<RingKey, RingError> {
        let kid = || stored.kid.clone();
        let pkcs8 = self
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
    pub(super) async fn add(
        &self,
        loaded: &Loaded,
        alg: SigningAlg,
        signs_from: Timestamp,
        actor: Actor,
    ) -> Result<(), RingError> {
        let generation = loaded.chain(alg).map(|link| link.key.stored.generation).max().unwrap_or(0) + 1;
        let key = StoredKey { generation, ..self.fresh(alg, signs_from).await? };
        let action = if generation == 1 { AuditAction::KeyCreated } else { AuditAction::KeyRotated };
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
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

    /// Deletes a key that is trusted no longer; when it is the one that signs, a new one signs from the same moment on.
    pub(super) async fn withdraw(&self, kid: String, alg: SigningAlg, actor: Actor) -> Result<(), RingError> {
        let now = self.clock.now();
        let successor = self.fresh(alg, now).await?;
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let keys: Vec<_> =
                        signing_keys::list(tx).await?.into_iter().filter(|key| key.alg == alg).collect();
                    if !signing_keys::delete(tx, &kid).await? {
                        return Err(RingError::unknown(&kid));
                    }
                    tx.audit(AuditEvent::new(actor.clone(), AuditAction::KeyRevoked).on(&kid));
                    if signs(&keys, &kid, now) {
                        let generation = keys.iter().map(|key| key.generation).max().unwrap_or(0) + 1;
                        let successor = StoredKey { generation, ..successor };
                        signing_keys::insert(tx, &successor).await?;
                        tx.audit(AuditEvent::new(actor, AuditAction::KeyRotated).on(&successor.kid));
                    }
                    tx.invalidate();
                    Ok(())
                })
            })
            .await
    }

    /// A new key that waits for its place among the others.
    async fn fresh(&self, alg: SigningAlg, signs_from: Timestamp) -> Result<StoredKey, RingError> {
        let fresh = tokio::task::spawn_blocking(move || FreshKey::generate(alg)).await;
        // The task only fails when it panics, and making a key does not.
        let fresh = fresh.map_err(|_| KeyRefused)??;
        let kid = fresh.public.thumbprint();
        Ok(StoredKey {
            sealed: self.sealer.seal(PURPOSE, kid.as_bytes(), &fresh.pkcs8),
            public_jwk: fresh.public.to_jwk().to_string(),
            created_at: self.clock.now(),
            activates_at: signs_from,
            kid,
            alg,
            generation: 0,
        })
    }

    async fn delete(&self, kid: String, actor: Actor) -> Result<(), StoreError> {
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    if signing_keys::delete(tx, &kid).await? {
                        tx.audit(AuditEvent::new(actor, AuditAction::KeyDeleted).on(&kid));
                        tx.invalidate();
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// Whether the key with this id is the one of its algorithm that signs now.
fn signs(keys: &[StoredKey], kid: &str, now: Timestamp) -> bool {
    let signing = keys
        .iter()
        .filter(|key| key.activates_at <= now)
        .max_by_key(|key| (key.activates_at, key.generation));
    signing.is_some_and(|key| key.kid == kid)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;
    use crate::domain::secret::Entropy;
    use crate::keys::master::MasterKey;
    use crate::storage::tests::support::{Backend, Fixture};

    const DAY: Duration = Duration::from_hours(24);

    fn vault(fixture: &Fixture) -> Vault {
        Vault {
            store: fixture.store.clone(),
            sealer: Sealer::from_master(&MasterKey::generate(&Entropy::seeded(1)), Entropy::os()),
            clock: fixture.clock.clone(),
            schedule: Schedule { rotate_after: 90 * DAY, overlap: 7 * DAY },
        }
    }

    async fn put(fixture: &Fixture, key: &StoredKey) {
        let key = key.clone();
        let put = fixture.write(move |tx| {
            Box::pin(async move {
                signing_keys::delete(tx, &key.kid).await?;
                signing_keys::insert(tx, &key).await
            })
        });
        assert!(put.await);
    }

    #[rstest]
    #[tokio::test]
    async fn a_key_that_is_not_what_its_row_says_is_not_used(
        #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    ) {
        let fixture = Fixture::new(backend).await;
        let vault = vault(&fixture);
        let good = vault.tend(&Loaded::empty()).await.unwrap();
        let key = good.chain(SigningAlg::Es256).next().unwrap().key.stored.clone();
        let sealed = |message: &[u8]| vault.sealer.seal(PURPOSE, key.kid.as_bytes(), message);
        let other = FreshKey::generate(SigningAlg::Es256).unwrap();
        for (what, damaged) in [
            ("no key", StoredKey { sealed: sealed(b"no key"), ..key.clone() }),
            ("another key", StoredKey { sealed: sealed(&other.pkcs8), ..key.clone() }),
            ("another kind", StoredKey { alg: SigningAlg::EdDsa, generation: 9, ..key.clone() }),
        ] {
            put(&fixture, &damaged).await;
            let refused = vault.load(&Loaded::empty()).await.map(drop);
            assert!(
                matches!(&refused, Err(RingError::Damaged { kid }) if *kid == key.kid),
                "{what}: {refused:?}"
            );
            assert!(vault.load(&good).await.is_ok(), "{what}: whoever has opened it goes on");
        }
        let foreign = vault.sealer.seal(PURPOSE, b"another kid", b"no key");
        put(&fixture, &StoredKey { sealed: foreign, ..key.clone() }).await;
        let refused = vault.load(&Loaded::empty()).await.map(drop);
        assert!(matches!(refused, Err(RingError::Sealed { .. })), "{refused:?}");
        put(&fixture, &key).await;
        vault.load(&Loaded::empty()).await.unwrap();
    }
}
