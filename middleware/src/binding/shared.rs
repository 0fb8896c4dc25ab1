//! Proofs that were used at any replica, in Redis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use redis::{Cmd, RedisError};

use super::replay::Name;
use super::window::Window;
use super::{BindingFault, Instant};
use crate::clock::Clock;
use crate::link::{Link, Purpose};

/// How long a request waits for its proof to be taken, unless told otherwise.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a name is made from beside the proof, so that the secret may serve for other things, too.
const LABEL: &[u8] = b"portcullis used proofs\0";

/// How much of a name is kept.
const NAME_BYTES: usize = 16;

/// Where used proofs are shared with other replicas: Redis (6 or later) or Valkey.
///
/// ```
/// use portcullis_guard::{Dpop, RedisProofs};
///
/// # fn dpop(secret: [u8; 32]) -> Dpop {
/// // The same at every replica.
/// Dpop::new().shared(RedisProofs::new("rediss://proofs.internal:6379", secret))
/// # }
/// # let _ = dpop([7; 32]);
/// ```
///
/// A replica refuses by itself the proofs that it has seen. Any other it first takes at the server, by one command of which one
/// replica alone is told that it was the first: so each request with a proof costs one round trip. Whoever is over a limit, and
/// whatever is not a good proof, is refused before.
///
/// # While it is away
///
/// A request waits 100 ms at most ([`patience`](Self::patience)); a server that answers after more than 200 ms, that is full or
/// that cannot write counts as away until it was found again. Nobody knows then whether a proof was used elsewhere, so requests with
/// one are answered 503 with `Retry-After`. Otherwise, whoever wants to use a proof of somebody else would only have to keep the
/// server busy. A service that would rather answer says so ([`alone_while_away`](Self::alone_while_away)). Bearer tokens need no
/// proof and are served either way. The log is told at once, then ever more rarely, and when the server is back;
/// [`Status::proofs_shared`](crate::Status::proofs_shared) says so, too.
///
/// A proof is spent once a replica has begun to take it: also if the client hangs up, or is answered 503, meanwhile. Clients make
/// a new one for each request, so for another attempt, too.
///
/// # What is lost
///
/// What the server forgets, as by a restart without its data or by a failover, other replicas do not know any more: such a
/// proof could be used once more at each of them, for the same request, until it is too old. So let it forget nothing by itself
/// (`maxmemory-policy noeviction`), unlike the server that [shares limits](crate::RedisLimits), which may well be another.
///
/// # What is kept there
///
/// A keyed hash of each proof, which says nothing of tokens and clients, at about 150 bytes, until the proof is too old by any
/// clock: for up to `max_age` and three times the leeway between clocks, two minutes and a half unless set. Clocks of replicas
/// may be that leeway apart. A server at `rediss://` has to have a certificate that this system trusts (or `SSL_CERT_FILE`, where
/// that is set).
#[derive(Clone)]
#[must_use = "it shares nothing before it is given to `Dpop::shared`"]
pub struct RedisProofs {
    url: String,
    secret: [u8; 32],
    prefix: String,
    patience: Duration,
    serves_alone: bool,
}

impl RedisProofs {
    /// Shares proofs through the server at `url` (`redis://` or `rediss://`), where they are known by a hash under this secret:
    /// 32 random bytes, the same at every replica. They may be those of [`Dpop::nonces`](crate::Dpop::nonces).
    pub fn new(url: impl Into<String>, secret: [u8; 32]) -> Self {
        let prefix = "portcullis:proofs".to_owned();
        Self { url: url.into(), secret, prefix, patience: PATIENCE, serves_alone: false }
    }

    /// The same with a secret that is a text of at least 32 random characters, such as one that lies in a file or comes with the
    /// environment. `portcullis gateway` takes the text in its `redis_secret_file`, without the line break at its end, by this: a service
    /// for the same audience that is given the same text takes each proof once together with it.
    ///
    /// ```no_run
    /// use portcullis_guard::{Dpop, RedisProofs};
    ///
    /// # fn run() -> std::io::Result<()> {
    /// let secret = std::fs::read_to_string("/etc/portcullis/proofs-secret")?;
    /// let proofs = RedisProofs::with_text("rediss://proofs.internal:6379", secret.trim_end_matches(['\r', '\n']));
    /// let dpop = Dpop::new().shared(proofs);
    /// # let _ = dpop;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_text(url: impl Into<String>, secret: impl AsRef<str>) -> Self {
        let mut key = [0; 32];
        let digest = digest(&SHA256, secret.as_ref().as_bytes());
        // A digest of SHA-256 has so many bytes.
        key.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self::new(url, key)
    }

    /// What the names of all keys there start with: `portcullis:proofs` unless set. Services with different audiences are apart
    /// anyway. Two guards of one audience that one request passes, and that are not clones of each other, need different ones:
    /// the second would find the proof used.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a request waits for its proof to be taken at most: 100 ms unless set.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Answers while the server is away: each replica then refuses the proofs that it has seen itself, so that one could be used
    /// once at each, for the same request. Unless set, requests with a proof are answered 503 meanwhile.
    pub const fn alone_while_away(mut self) -> Self {
        self.serves_alone = true;
        self
    }

    pub(super) fn open(&self, audience: &str, window: Window, clock: &Clock) -> Result<Shared, RedisError> {
        let mut probe = redis::cmd("SET");
        probe.arg(format!("{}:probe", self.prefix)).arg(1).arg("PX").arg(1_000);
        let purpose = Purpose {
            probe,
            away: if self.serves_alone {
                "used DPoP proofs cannot be shared: each replica knows its own alone"
            } else {
                "used DPoP proofs cannot be shared: requests with a proof are answered 503"
            },
            back: "used DPoP proofs are shared with the other replicas again",
        };
        let link = Link::new(&self.url, purpose, clock)?;
        let of_service = sign(&Key::new(HMAC_SHA256, &self.secret), &[LABEL, audience.as_bytes()].concat());
        Ok(Shared {
            link: Arc::new(link),
            key: Key::new(HMAC_SHA256, of_service.as_ref()),
            prefix: self.prefix.clone(),
            patience: self.patience,
            serves_alone: self.serves_alone,
            window,
        })
    }
}

/// The URL may hold a password.
impl fmt::Debug for RedisProofs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RedisProofs").field("serves_alone", &self.serves_alone).finish_non_exhaustive()
    }
}

/// Where the used proofs of a service are shared.
pub(super) struct Shared {
    link: Arc<Link>,
    key: Key,
    prefix: String,
    patience: Duration,
    serves_alone: bool,
    window: Window,
}

impl Shared {
    /// What has to be asked for before a proof counts; nothing if each replica is alone for now.
    pub(super) fn claim(&self, name: Name, now: Instant) -> Result<Option<Claim>, BindingFault> {
        if !self.link.is_up() {
            return if self.serves_alone { Ok(None) } else { Err(BindingFault::Away) };
        }
        let hash = sign(&self.key, &name.proof);
        let hash = hash.as_ref().first_chunk::<NAME_BYTES>().copied().map_or(0, u128::from_be_bytes);
        let mut command = redis::cmd("SET");
        command.arg(format!("{}:{hash:032x}", self.prefix)).arg(1).arg("NX");
        command.arg("PX").arg(millis(self.window.left(name.made, now.unix_secs)));
        let (link, patience) = (Arc::clone(&self.link), self.patience);
        Ok(Some(Claim { link, command, patience, serves_alone: self.serves_alone }))
    }

    /// Whether proofs are taken at the moment, here or there.
    pub(super) fn serves(&self) -> bool {
        self.serves_alone || self.link.is_up()
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.is_up()
    }

    pub(super) async fn refresh(&self) {
        self.link.connect().await;
    }

    pub(super) fn spawn_refresh(&self) {
        self.link.spawn();
    }
}

/// A proof that is to be taken at the server before its request may go on.
pub(crate) struct Claim {
    link: Arc<Link>,
    command: Cmd,
    patience: Duration,
    serves_alone: bool,
}

impl Claim {
    /// Takes the proof, and waits a moment at most.
    pub(crate) async fn settle(self) -> Result<(), BindingFault> {
        let Self { link, command, patience, serves_alone } = self;
        // It goes on when this request waits no longer: a server that hangs has to be found out.
        let asking = tokio::spawn(async move { link.ask::<bool>(&command).await });
        match tokio::time::timeout(patience, asking).await {
            Ok(Ok(Some(true))) => Ok(()),
            Ok(Ok(Some(false))) => Err(BindingFault::USED),
            _ if serves_alone => Ok(()),
            _ => Err(BindingFault::Away),
        }
    }
}

/// The server takes no time of nothing, and none beyond what its clock can show.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_by_its_digest() {
        // `printf %s TEXT | sha256sum`
        let digest = [
            0x82, 0xf0, 0xaf, 0x44, 0x33, 0x43, 0xf5, 0xa9, 0xfd, 0x49, 0x18, 0xf2, 0x63, 0x98, 0x2a, 0x6d,
            0x12, 0x01, 0xee, 0x34, 0x77, 0x8f, 0x2c, 0x98, 0x60, 0xb2, 0x86, 0xf0, 0x85, 0xb6, 0x20, 0x71,
        ];
        let proofs = RedisProofs::with_text("redis://127.0.0.1", "proofs-secret-of-thirty-two-chars");
        assert_eq!(proofs.secret, digest);
        assert_ne!(RedisProofs::with_text("redis://127.0.0.1", "proofs-secret").secret, digest);
    }

    #[test]
    fn a_server_is_never_asked_to_keep_something_for_no_time_or_for_ever() {
        for (time, kept) in [
            (Duration::ZERO, 1),
            (Duration::from_secs(2), 2_000),
            (Duration::MAX, 1 << 50),
            (Duration::from_millis(u64::MAX), 1 << 50),
        ] {
            assert_eq!(millis(time), kept, "{time:?}");
        }
    }
}
