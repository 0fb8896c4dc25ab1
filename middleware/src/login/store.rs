//! Where sessions are kept.

use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use crate::status::StoreState;

/// Where sign-ins and sessions are kept: in [memory](crate::MemorySessions), where replicas share them, or where a service likes.
///
/// A store sees neither tokens nor the ids of sessions. It knows each by the digest of an id that the browser alone has; and what it
/// keeps is sealed with a key that is made from that id, so whoever reads the store can use nothing of it. What they may learn is
/// [where sign-ins were begun](StoredSignIn::network).
///
/// Times are seconds since the Unix epoch, by the clock of the guard. What has ended is as if it had never been there, whether the
/// store has removed it or not.
pub trait SessionStore: Send + Sync + 'static {
    /// Keeps a sign-in that was begun. Anybody can begin one, as often as they like: where there is no room, or none that one network may
    /// take, [`StoreFault::Full`]. None that was begun before gives way, since somebody may be typing their password for it.
    fn begin(&self, key: StoreKey, sign_in: StoredSignIn, term: Term) -> StoreFuture<'_, ()>;

    /// Takes a sign-in out: of several calls at once, one gets it.
    fn take(&self, key: StoreKey, now_secs: u64) -> StoreFuture<'_, Option<Vec<u8>>>;

    /// Keeps a new session. Where there is no room, [`StoreFault::Full`]: nobody is signed out for a stranger.
    fn open(&self, key: StoreKey, session: StoredSession, now_secs: u64) -> StoreFuture<'_, ()>;

    /// A session, if it is there.
    fn find(&self, key: StoreKey, now_secs: u64) -> StoreFuture<'_, Option<StoredSession>>;

    /// Puts a session in the place of the one whose version is one lower, and says whether that was there.
    fn replace(&self, key: StoreKey, session: StoredSession, now_secs: u64) -> StoreFuture<'_, bool>;

    /// Keeps a session until another time, if it is there.
    fn prolong(&self, key: StoreKey, term: Term) -> StoreFuture<'_, ()>;

    /// Ends a session.
    fn end(&self, key: StoreKey) -> StoreFuture<'_, ()>;

    /// Ends every session that has this name, and says how many there were.
    fn end_named(&self, name: StoreKey, now_secs: u64) -> StoreFuture<'_, u64>;

    /// Notes a name for some time, and says whether it was not noted yet: of several calls at once, one is told so.
    fn claim(&self, name: StoreKey, term: Term) -> StoreFuture<'_, bool>;

    /// Whether a name is noted.
    fn is_claimed(&self, name: StoreKey, now_secs: u64) -> StoreFuture<'_, bool>;

    /// Forgets a name that was noted.
    fn release(&self, name: StoreKey) -> StoreFuture<'_, ()>;

    /// Looks for the store now, if it is away. Unless it is elsewhere, there is nothing to do.
    fn refresh(&self) -> StoreFuture<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    /// Whether the store can be used, as far as is known without asking it: for [`Guard::status`](crate::Guard::status). Unless it is
    /// elsewhere, it can.
    fn state(&self) -> StoreState {
        StoreState::Reached
    }

    /// Goes on looking for the store whenever it is away, in the background. Unless it is elsewhere, there is nothing to do.
    fn watch(&self) {}
}

/// What a [`SessionStore`] answers, in time.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreFault>> + Send + 'a>>;

/// Why a store does not do what it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFault {
    /// It cannot be reached.
    #[error("where sessions are kept cannot be reached")]
    Away,
    /// It has no room.
    #[error("there is no room for more")]
    Full,
}

/// A sign-in that was begun, as a store keeps it.
#[derive(Clone, Eq, PartialEq)]
pub struct StoredSignIn {
    /// What is kept, sealed.
    pub sealed: Vec<u8>,
    /// The network that it was begun from, by a digest of the address (IPv4) or of its first 48 bits (IPv6) under the secret of the
    /// client, where that is known. A public client has no secret: whoever reads the store finds the address by trying them all.
    pub network: Option<StoreKey>,
}

impl fmt::Debug for StoredSignIn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StoredSignIn").finish_non_exhaustive()
    }
}

/// How many of so many sign-ins one network may have begun.
pub(super) fn share(most: usize) -> usize {
    (most / 10).max(1)
}

/// A session as a store keeps it.
#[derive(Clone, Eq, PartialEq)]
pub struct StoredSession {
    /// What is kept, sealed.
    pub sealed: Vec<u8>,
    /// How often it was replaced.
    pub version: u64,
    /// The names by which an issuer may end it. They stay when it is replaced.
    pub names: Vec<StoreKey>,
    /// The first second at which it has ended.
    pub until_secs: u64,
}

impl fmt::Debug for StoredSession {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StoredSession").field("version", &self.version).finish_non_exhaustive()
    }
}

/// From now until when something is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Term {
    /// The second that it is now.
    pub now_secs: u64,
    /// The first second at which it has ended.
    pub until_secs: u64,
}

impl Term {
    pub(super) fn of(now_secs: u64, length: Duration) -> Self {
        Self { now_secs, until_secs: now_secs.saturating_add(length.as_secs()) }
    }

    /// How long that is.
    pub const fn length(self) -> Duration {
        Duration::from_secs(self.until_secs.saturating_sub(self.now_secs))
    }
}

/// What something is known by: a digest.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// The digest of some parts under a label, which keeps those of different things apart.
    pub(super) fn of(label: &str, parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        // A digest of SHA-256 has so many bytes.
        key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(key)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("StoreKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_things_are_different() {
        let keys = [
            StoreKey::of("a", &[b"b"]),
            StoreKey::of("ab", &[]),
            StoreKey::of("a", &[b"", b"b"]),
            StoreKey::of("a", &[b"b", b""]),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(key));
        }
        assert_eq!(format!("{:?}", keys[0]), "StoreKey(..)");
    }

    #[test]
    fn a_term_never_runs_backwards() {
        assert_eq!(Term::of(10, Duration::from_secs(5)).length(), Duration::from_secs(5));
        assert_eq!(Term { now_secs: 10, until_secs: 5 }.length(), Duration::ZERO);
        assert_eq!(Term::of(10, Duration::MAX).until_secs, u64::MAX);
    }
}
