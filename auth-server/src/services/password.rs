//! Hashing and checking of passwords: Argon2id on threads of its own.

mod pool;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc;
use argon2::{Algorithm, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::config::Passwords;
use crate::domain::secret::Entropy;
use crate::domain::user::{Password, PasswordHash};
use crate::services::password::pool::{Derivation, Pool};

/// Bytes of salt in a new hash, as RFC 9106 §3.1 recommends.
const SALT_LEN: usize = 16;
/// Bytes of output in a new hash: a 256-bit tag (RFC 9106 §4).
const OUTPUT_LEN: usize = 32;

/// Why a password was not hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Every worker is taken and the line is long.
    #[error("too many passwords wait to be checked")]
    Busy {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The hash function failed.
    #[error("argon2: {0}")]
    Argon2(#[from] argon2::Error),
    /// A thread could not be started.
    #[error("a worker did not start: {0}")]
    Start(#[from] io::Error),
    /// The database holds something that is not a hash we can check.
    #[error("a stored hash cannot be read")]
    Stored,
}

/// What a check found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The password is right and its hash as strong as the configuration asks.
    Right,
    /// The password is right, but its hash was made with other parameters: hash it again while it is at hand.
    RightButStale,
    Wrong,
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct PasswordHasher {
    pool: Arc<Pool>,
    params: Params,
    entropy: Entropy,
}

impl PasswordHasher {
    /// Starts the workers.
    pub(crate) fn start(settings: &Passwords, entropy: Entropy) -> Result<Self, HashError> {
        let params =
            Params::new(settings.memory_kib, settings.iterations, settings.parallelism, Some(OUTPUT_LEN))?;
        let workers =
            settings.workers.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        let pool = Arc::new(Pool::start(workers, settings.queue_deadline())?);
        Ok(Self { pool, params, entropy })
    }

    /// Hashes a new password with a fresh salt.
    pub(crate) async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let salt = self.entropy.bytes::<SALT_LEN>();
        let output = self.derive(self.current(password, salt.to_vec())).await?;
        let params = &self.params;
        Ok(PasswordHash::from_phc(format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            params.m_cost(),
            params.t_cost(),
            params.p_cost(),
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(output.as_slice()),
        )))
    }

    /// Checks a password against the stored hash, if there is one.
    ///
    /// Without one (an unknown user, a user with no password) the same work is done and the answer is no, so that the
    /// time tells nothing.
    pub(crate) async fn verify(
        &self,
        stored: Option<&PasswordHash>,
        password: &Password,
    ) -> Result<Verdict, HashError> {
        let Some(stored) = stored else {
            self.derive(self.current(password, vec![0; SALT_LEN])).await?;
            return Ok(Verdict::Wrong);
        };
        let stored = Stored::read(stored).ok_or(HashError::Stored)?;
        let stale = stored.differs_from(&self.params);
        let output = self.derive(stored.derivation(password)).await?;
        if !bool::from(output.ct_eq(&stored.output)) {
            return Ok(Verdict::Wrong);
        }
        Ok(if stale { Verdict::RightButStale } else { Verdict::Right })
    }

    fn current(&self, password: &Password, salt: Vec<u8>) -> Derivation {
        Derivation {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            params: self.params.clone(),
            salt,
            password: Zeroizing::new(password.expose().to_vec()),
            output_len: OUTPUT_LEN,
        }
    }

    async fn derive(&self, derivation: Derivation) -> Result<Zeroizing<Vec<u8>>, HashError> {
        match self.pool.run(derivation).await {
            Ok(derived) => Ok(derived?),
            Err(pool::Late) => Err(HashError::Busy { retry_after: self.pool.deadline() }),
        }
    }
}

/// A stored hash, taken apart.
struct Stored {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Stored {
    fn read(hash: &PasswordHash) -> Option<Self> {
        let hash = phc::PasswordHash::new(hash.as_phc()).ok()?;
        Some(Self {
            algorithm: Algorithm::try_from(hash.algorithm.as_str()).ok()?,
            // RFC 9106 is version 19; a text without a version is older.
            version: hash.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?,
            params: Params::try_from(&hash).ok()?,
            salt: hash.salt?.as_ref().to_vec(),
            output: hash.hash?.as_bytes().to_vec(),
        })
    }

    fn derivation(&self, password: &Password) -> Derivation {
        Derivation {
            algorithm: self.algorithm,
            version: self.version,
            params: self.params.clone(),
            salt: self.salt.clone(),
            password: Zeroizing::new(password.expose().to_vec()),
            output_len: self.output.len(),
        }
    }

    /// Whether it was made with anything but what is configured now.
    fn differs_from(&self, params: &Params) -> bool {
        self.algorithm != Algorithm::Argon2id
            || self.version != Version::V0x13
            || self.params.m_cost() != params.m_cost()
            || self.params.t_cost() != params.t_cost()
            || self.params.p_cost() != params.p_cost()
            || self.output.len() != OUTPUT_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(memory_kib: u32) -> PasswordHasher {
        let settings = Passwords {
            memory_kib,
            iterations: 1,
            workers: Some(1),
            queue_deadline_ms: 60_000,
            ..Passwords::default()
        };
        PasswordHasher::start(&settings, Entropy::seeded(7)).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_right_only_for_its_own_hash() {
        let hasher = hasher(64);
        let hash = hasher.hash(&password("correct horse")).await.unwrap();
        assert!(hash.as_phc().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert_eq!(hasher.verify(Some(&hash), &password("correct horse")).await.unwrap(), Verdict::Right);
        assert_eq!(hasher.verify(Some(&hash), &password("correct horsf")).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn two_hashes_of_one_password_differ() {
        let hasher = hasher(64);
        let first = hasher.hash(&password("correct horse")).await.unwrap();
        let second = hasher.hash(&password("correct horse")).await.unwrap();
        assert_ne!(first.as_phc(), second.as_phc());
    }

    #[tokio::test]
    async fn without_a_stored_hash_no_password_is_right() {
        assert_eq!(hasher(64).verify(None, &password("correct horse")).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn other_parameters_call_for_a_new_hash() {
        let old = hasher(64).hash(&password("correct horse")).await.unwrap();
        let now = hasher(128);
        assert_eq!(now.verify(Some(&old), &password("correct horse")).await.unwrap(), Verdict::RightButStale);
        assert_eq!(now.verify(Some(&old), &password("wrong horse")).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn passwords_that_share_their_first_72_bytes_or_the_part_before_a_nul_are_distinct() {
        let hasher = hasher(64);
        let long = "x".repeat(72);
        let hash = hasher.hash(&password(&format!("{long}one"))).await.unwrap();
        assert_eq!(
            hasher.verify(Some(&hash), &password(&format!("{long}two"))).await.unwrap(),
            Verdict::Wrong
        );
        let hash = hasher.hash(&password("eight\0chars")).await.unwrap();
        assert_eq!(hasher.verify(Some(&hash), &password("eight\0other")).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_the_reference_implementation_is_checked() {
        // Made with the command line tool of the reference implementation: argon2 somesalt -id -t 2 -m 16 -p 1.
        let hash = PasswordHash::from_phc(
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
                .to_owned(),
        );
        let verdict = hasher(64).verify(Some(&hash), &password("password")).await.unwrap();
        assert_eq!(verdict, Verdict::RightButStale);
    }
}
