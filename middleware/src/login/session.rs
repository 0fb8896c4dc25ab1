//! A session: what is kept of it, and how it begins, goes on and ends.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Sessions;
use super::ask::Ask;
use super::id_token::Who;
use super::provider::Tokens;
use super::seal::Handle;
use super::store::{StoreFault, StoreKey, StoredSession};

/// What is kept of a session, sealed.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Session {
    pub(super) tokens: HeldTokens,
    pub(super) who: Who,
    /// What this sign-in was asked for.
    pub(super) ask: Ask,
    pub(super) opened_at: u64,
    pub(super) ends_at: u64,
}

#[derive(Clone, Deserialize, Serialize)]
pub(super) struct HeldTokens {
    pub(super) access: String,
    /// As far as the issuer says it.
    pub(super) access_ends_at: Option<u64>,
    pub(super) refresh: Option<String>,
    /// The last one, for hints.
    pub(super) id: String,
}

/// A session that a request came with, as it was then.
pub(crate) struct Visit {
    pub(super) session: Session,
    pub(super) handle: Handle,
    pub(super) version: u64,
    /// Whether its access token was renewed for this request.
    pub(super) is_renewed: bool,
    /// When it was looked for, by the steady clock.
    pub(super) entered: Duration,
}

impl fmt::Debug for Visit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Visit").field("version", &self.version).finish_non_exhaustive()
    }
}

impl HeldTokens {
    /// What is held after a sign-in or a renewal: what the issuer does not replace stays (RFC 6749 §6).
    pub(super) fn of(tokens: Tokens, id: String, before: Option<Self>, now: u64) -> Self {
        let Tokens { access_token, refresh_token, lifetime, .. } = tokens;
        Self {
            access: access_token,
            access_ends_at: lifetime.map(|lifetime| now.saturating_add(lifetime.as_secs())),
            refresh: refresh_token.or_else(|| before.and_then(|before| before.refresh)),
            id,
        }
    }
}

impl Sessions {
    /// Opens a session, under an id that nobody had before.
    pub(super) async fn open(
        &self,
        tokens: HeldTokens,
        who: Who,
        ask: Ask,
    ) -> Result<Option<Handle>, StoreFault> {
        let rules = self.rules();
        let now = rules.clock.unix_secs();
        let handle = Handle::draw(&rules.entropy);
        let ends_at = now.saturating_add(rules.lifetimes.absolute.as_secs());
        let names = self.names_of(&who).collect();
        let tombstone = who.sid.as_ref().map(|sid| self.named("ended sid", sid));
        let session = Session { tokens, who, ask, opened_at: now, ends_at };
        let sealed = handle.seal(&session, &rules.entropy).ok_or(StoreFault::Away)?;
        let until_secs = self.idle_end(now, ends_at);
        rules.store.open(handle.key(), StoredSession { sealed, version: 0, names, until_secs }, now).await?;
        // Only now: a sign-out that comes later finds the session.
        if let Some(tombstone) = tombstone
            && rules.store.is_claimed(tombstone, now).await?
        {
            rules.store.end(handle.key()).await?;
            return Ok(None);
        }
        Ok(Some(handle))
    }

    /// A session as it is kept, and until when.
    pub(super) async fn look_up(&self, handle: Handle) -> Result<Option<(Visit, u64)>, StoreFault> {
        let rules = self.rules();
        let (now, entered) = (rules.clock.unix_secs(), rules.clock.steady());
        let Some(stored) = rules.store.find(handle.key(), now).await? else { return Ok(None) };
        let StoredSession { sealed, version, until_secs, .. } = stored;
        let Some(session) = handle.open::<Session>(sealed) else {
            tracing::warn!("a session cannot be opened: it was sealed by another version, or damaged");
            rules.store.end(handle.key()).await?;
            return Ok(None);
        };
        if session.ends_at <= now {
            rules.store.end(handle.key()).await?;
            return Ok(None);
        }
        Ok(Some((Visit { session, handle, version, is_renewed: false, entered }, until_secs)))
    }

    /// When a session ends that nobody uses from now on.
    pub(super) fn idle_end(&self, now: u64, ends_at: u64) -> u64 {
        now.saturating_add(self.rules().lifetimes.idle.as_secs()).min(ends_at)
    }

    /// The names by which the issuer ends a session.
    pub(super) fn names_of(&self, who: &Who) -> impl Iterator<Item = StoreKey> {
        let sid = who.sid.iter().map(|sid| self.named("sid", sid));
        sid.chain([self.named("sub", &who.sub)])
    }

    /// What the issuer calls somebody or their session, as stores know it.
    pub(super) fn named(&self, kind: &str, name: &str) -> StoreKey {
        StoreKey::of(kind, &[self.rules().signatures.issuer.as_bytes(), name.as_bytes()])
    }
}
