//! Hashing and checking of passwords on threads of its own: by Argon2id, and by whatever made a hash that was brought along from
//! another system, once.

mod function;
mod pool;
mod stored;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use argon2::{Algorithm, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::config::Passwords;
use crate::domain::secret::Entropy;
use crate::domain::user::{Password, PasswordHash};
use crate::services::password::function::{DeriveError, Function};
use crate::services::password::pool::{Derivation, Pool};
pub(crate) use crate::services::password::stored::Unreadable;
use crate::services::password::stored::{Brought, Stored, without_scheme};
use crate::services::password_quality::{Examiner, Weakness};

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
    /// Whoever looked at a new password panicked.
    #[error("a new password could not be examined")]
    Examined,
    /// The operator's list of passwords that became known.
    #[error("passwords.breached_file: {0}")]
    List(#[source] io::Error),
    /// A thread could not be started.
    #[error("a worker did not start: {0}")]
    Start(#[from] io::Error),
    /// The database holds something that is not a hash we can check.
    #[error("a stored hash cannot be read")]
    Stored,
    /// What was brought along is no hash we can check.
    #[error("the hash {0}")]
    Unreadable(#[from] Unreadable),
}

/// Why a password that somebody chose was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Weak(#[from] Weakness),
}

/// What a check found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// The password is right and its hash as strong as the configuration asks.
    Right,
    /// The password is right, but its hash was made with other parameters, or by another system: hash it again while it is at hand.
    RightButStale,
    Wrong,
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct PasswordHasher {
    pool: Arc<Pool>,
    params: Params,
    entropy: Entropy,
    examiner: Examiner,
}

impl PasswordHasher {
    /// Starts the workers.
    pub(crate) fn start(settings: &Passwords, entropy: Entropy) -> Result<Self, HashError> {
        let params =
            Params::new(settings.memory_kib, settings.iterations, settings.parallelism, Some(OUTPUT_LEN))?;
        let workers =
            settings.workers.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        let pool = Arc::new(Pool::start(workers, settings.queue_deadline())?);
        let examiner = Examiner::new(settings).map_err(HashError::List)?;
        Ok(Self { pool, params, entropy, examiner })
    }

    /// Hashes a password that somebody chose for the account with this name, once it was found hard enough to guess.
    pub(crate) async fn take(&self, password: &Password, username: &str) -> Result<PasswordHash, NotTaken> {
        let (examiner, chosen, name) = (self.examiner.clone(), password.clone(), username.to_owned());
        let found = tokio::task::spawn_blocking(move || examiner.examine(&chosen, &name)).await;
        found.map_err(|_| HashError::Examined)??;
        Ok(self.hash(password).await?)
    }

    /// Hashes a password with a fresh salt.
    pub(crate) async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        self.hash_bytes(password.expose()).await.map(PasswordHash::from_text)
    }

    /// Takes over a hash that another system made, as it is to be kept. A digest that is quick to compute is hashed itself.
    pub(crate) async fn bring(&self, text: &str) -> Result<PasswordHash, HashError> {
        match readable(text)? {
            Readable::Hash(text) => Ok(PasswordHash::from_text(text.to_owned())),
            Readable::Digest(brought) => {
                let hash = self.hash_bytes(&brought.digest).await?;
                Ok(PasswordHash::from_text(brought.around(&hash)))
            }
        }
    }

    async fn hash_bytes(&self, password: &[u8]) -> Result<String, HashError> {
        let salt = self.entropy.bytes::<SALT_LEN>();
        let output = self.derive(self.current(password, salt.to_vec())).await?;
        let params = &self.params;
        Ok(format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            params.m_cost(),
            params.t_cost(),
            params.p_cost(),
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(output.as_slice()),
        ))
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
            self.derive(self.current(password.expose(), vec![0; SALT_LEN])).await?;
            return Ok(Verdict::Wrong);
        };
        let stored = Stored::read(stored.as_text()).map_err(|_| HashError::Stored)?;
        let output = self.derive(stored.derivation(password.expose())).await?;
        if !bool::from(output.ct_eq(&stored.output)) {
            return Ok(Verdict::Wrong);
        }
        let is_current = stored.is_current(&self.params, OUTPUT_LEN);
        Ok(if is_current { Verdict::Right } else { Verdict::RightButStale })
    }

    fn current(&self, password: &[u8], salt: Vec<u8>) -> Derivation {
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        Derivation {
            function: Function::Argon2 { algorithm, version, params: self.params.clone() },
            salt,
            password: Zeroizing::new(password.to_vec()),
            output_len: OUTPUT_LEN,
        }
    }

    async fn derive(&self, derivation: Derivation) -> Result<Zeroizing<Vec<u8>>, HashError> {
        match self.pool.run(derivation).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(DeriveError::Argon2(error))) => Err(error.into()),
            Ok(Err(DeriveError::Foreign)) => Err(HashError::Stored),
            Err(pool::Late) => Err(HashError::Busy { retry_after: self.pool.deadline() }),
        }
    }
}

/// A hash of another system, looked at and not yet taken over.
enum Readable<'a> {
    /// It is kept as it is.
    Hash(&'a str),
    Digest(Brought),
}

fn readable(text: &str) -> Result<Readable<'_>, Unreadable> {
    if let Some(brought) = Brought::read(text)? {
        return Ok(Readable::Digest(brought));
    }
    let text = without_scheme(text);
    // What this server made of a digest, with its salt in front, is no form in which anybody brings one.
    if text.starts_with('{') {
        return Err(Unreadable::Kind);
    }
    if Stored::read(text)?.is_dear() { Err(Unreadable::Dear) } else { Ok(Readable::Hash(text)) }
}

/// Whether a hash of another system can be taken over.
pub(crate) fn check_brought(text: &str) -> Result<(), Unreadable> {
    readable(text).map(drop)
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
        assert!(hash.as_text().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert_eq!(hasher.verify(Some(&hash), &password("correct horse")).await.unwrap(), Verdict::Right);
        assert_eq!(hasher.verify(Some(&hash), &password("correct horsf")).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn two_hashes_of_one_password_differ() {
        let hasher = hasher(64);
        let first = hasher.hash(&password("correct horse")).await.unwrap();
        let second = hasher.hash(&password("correct horse")).await.unwrap();
        assert_ne!(first.as_text(), second.as_text());
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
        let hash = PasswordHash::from_text(
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
                .to_owned(),
        );
        let verdict = hasher(64).verify(Some(&hash), &password("password")).await.unwrap();
        assert_eq!(verdict, Verdict::RightButStale);
    }

    const HORSE: &str = "correct horse battery";

    /// Made by Python 3.11: `hashlib`, and `bcrypt` 5.0.0. The salt is `0123456789abcdef`, or as much of it as there is room for.
    const ELSEWHERE: [&str; 11] = [
        "$2b$04$CJ.9/yt4dHGpztU1A2DtjOGXsY8kqJzl46g8p00IZsKaTVoYwFnvS",
        "$2a$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
        "{CRYPT}$2y$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
        "$pbkdf2-sha1$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$rDjxw4qmzpl4HTyqLNYNsdE5Zi4",
        "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg==$BVALGMmC/K/8ELErc5VgJxyPFApArIZRCQsqjEgZWJ4=",
        "$pbkdf2-sha512$1000$MDEyMzQ1Njc4OWFiY2RlZg$7F/Y1rnWXXurLCfFvAmyjyXtbABhgzBTBNcm//wlnvGBOz7OExlgRFs5qwaY5PzB3/WjR7P4yv/ACDQZpDXIfQ",
        "$scrypt$ln=4,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$LYtM8Mh+uD5qDLQWvjcUOTNEVL2STXzMHwI4lieKYvI",
        "{SSHA}8RaBJlNv5vlzZQlCesDUZc21BCgwMTIzNDU2Nw==",
        "{ssha256}QPKXtOcTeRITiBB/81NkSZy0o2/QZpEAZsuksejeyYQwMTIzNDU2Nw==",
        "{SSHA384}J9lpaeKR+AxBALUSnLVRKvRfcaKqHxZhUs63QN0xZrytGL6fc3YBTwok/UYyC1wqMDEyMzQ1Njc=",
        "{SSHA512}4IcOsI6AVS1BbWOnHshi2UKwl1FUN13nKtN/ogoPqb8eQK4OLi/rwnrkdNc9CsWpAV0mtqCm2zbLKQsz6ZrIBzAxMjM0NTY3",
    ];

    /// The example that Firebase publishes beside its scrypt: the account `user1`.
    const FIREBASE: &str = "$firebase-scrypt$ln=14,r=8,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,ss=Bw==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";

    #[tokio::test]
    async fn a_hash_of_another_system_is_right_for_its_password_and_stale() {
        let hasher = hasher(64);
        let (horse, wrong) = (password(HORSE), password("correct horse batterx"));
        for text in ELSEWHERE {
            let hash = hasher.bring(text).await.unwrap();
            assert_eq!(hasher.verify(Some(&hash), &horse).await.unwrap(), Verdict::RightButStale, "{text}");
            assert_eq!(hasher.verify(Some(&hash), &wrong).await.unwrap(), Verdict::Wrong, "{text}");
        }
        let hash = hasher.bring(FIREBASE).await.unwrap();
        let of_user1 = hasher.verify(Some(&hash), &password("user1password")).await.unwrap();
        assert_eq!(of_user1, Verdict::RightButStale);
        assert_eq!(hasher.verify(Some(&hash), &horse).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_digest_that_is_quick_to_guess_is_not_kept() {
        let hasher = hasher(64);
        let digest = ELSEWHERE[7];
        let hash = hasher.bring(digest).await.unwrap();
        let kept = hash.as_text();
        assert!(kept.starts_with("{SSHA:MDEyMzQ1Njc}$argon2id$v=19$m=64,t=1,p=1$"), "{kept}");
        assert!(!kept.contains("8RaBJlNv5vlzZQlCesDUZc21BCg"));
        assert!(check_brought(kept).is_err(), "as it is kept it is not brought");
    }

    #[test]
    fn what_is_no_hash_or_too_dear_to_check_is_refused_for_what_it_is() {
        use Unreadable::{Dear, Form, Kind, Length};
        let long = "A".repeat(2_000);
        for (text, why) in [
            ("", Kind),
            ("secret", Kind),
            ("$1$salt$hash", Kind),
            ("$2x$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", Kind),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", Kind),
            ("{SSHA:MDEy}$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc$AAAAAAAAAAAAAAAAAAAAAA", Kind),
            ("$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoO", Form),
            ("$2b$03$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", Form),
            ("$2b$31$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", Dear),
            ("$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQo\u{e4}", Form),
            ("$pbkdf2-sha256$i=0$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC/K/8ELErc5VgJw", Form),
            ("$pbkdf2-sha256$i=4000000000$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC/K/8ELErc5VgJw", Dear),
            ("$pbkdf2-sha256$i=1000$MDE$BVALGMmC/K/8ELErc5VgJw", Length),
            ("$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC", Length),
            ("$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg", Form),
            ("$scrypt$ln=30,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC/K/8ELErc5VgJw", Dear),
            ("$scrypt$ln=64,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC/K/8ELErc5VgJw", Dear),
            ("$scrypt$ln=14,r=8,p=1000$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC/K/8ELErc5VgJw", Dear),
            ("$scrypt$ln=14,r=0,p=1$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC/K/8ELErc5VgJw", Form),
            ("$scrypt$r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$BVALGMmC/K/8ELErc5VgJw", Form),
            ("$firebase-scrypt$ln=14,r=8,sk=AAAA,ss=Bw$MDEyMzQ1Njc$BVALGMmC/K/8ELErc5VgJw", Length),
            ("$argon2id$v=19$m=4194304,t=1,p=1$MDEyMzQ1Njc$AAAAAAAAAAAAAAAAAAAAAA", Dear),
            ("$argon2id$v=19$m=65536,t=1000,p=1$MDEyMzQ1Njc$AAAAAAAAAAAAAAAAAAAAAA", Dear),
            ("$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc", Form),
            ("{SSHA}AAAA", Length),
            ("{SSHA}not base64", Form),
            (&long, Length),
            (&format!("$pbkdf2-sha256$i=1000${long}$BVALGMmC/K/8ELErc5VgJw"), Length),
        ] {
            assert_eq!(check_brought(text), Err(why), "{text}");
        }
    }

    #[tokio::test]
    async fn a_text_with_an_end_inside_is_not_its_beginning_for_bcrypt() {
        let hasher = hasher(64);
        let hash = hasher.bring(ELSEWHERE[1]).await.unwrap();
        let longer = password(&format!("{HORSE}\0"));
        assert_eq!(hasher.verify(Some(&hash), &longer).await.unwrap(), Verdict::Wrong);
    }
}
