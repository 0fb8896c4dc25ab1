//! Telling applications that a session ended
//! ([OpenID Connect Back-Channel Logout](https://openid.net/specs/openid-connect-backchannel-1_0.html)).
//!
//! What is to be told is written in the transaction that ends the session, so it is neither lost nor told of a session that goes on.
//! The process that ended it tries at once; what is not taken then is tried again by whichever replica comes to it.

mod deliver;
pub(crate) mod retry;
mod token;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) use self::deliver::{LogoutSender, SenderParts};
use self::retry::new_lease;
use crate::domain::backchannel::{LogoutNotice, NoticeState};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{LogoutNoticeId, SessionId, UserId};
use crate::domain::secret::Entropy;
use crate::storage::leases::Lease;
use crate::storage::logout_notices::{self, Participant};
use crate::storage::{StoreError, Tx, grants, sessions};

/// Notices of one end that are tried at once. More of them wait for the next round.
const FIRST_TRIES: usize = 16;
/// How long somebody waits for the applications at a sign-out.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ends sessions, and tells those who took part.
#[derive(Clone)]
pub(crate) struct LogoutNotices {
    entropy: Entropy,
    /// Who sends. A command that ends a session leaves it to the server.
    sender: Arc<OnceLock<LogoutSender>>,
}

/// What this process is to send at once because a session ended.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Departures(Option<(Lease, Vec<LogoutNotice>)>);

impl LogoutNotices {
    pub(crate) fn new(entropy: Entropy) -> Self {
        Self { entropy, sender: Arc::default() }
    }

    /// From now on this process sends.
    pub(crate) fn attend(&self, sender: LogoutSender) {
        // Told twice, it is the same sender.
        _ = self.sender.set(sender);
    }

    /// Ends a session and the grants that live by it; `None` when it had ended before.
    pub(crate) async fn end(
        &self,
        tx: &mut Tx,
        session: &SessionId,
        now: Timestamp,
    ) -> Result<Option<Departures>, StoreError> {
        if !sessions::end(tx, session, now).await? {
            return Ok(None);
        }
        if !grants::revoke_by_session(tx, session, now).await? {
            return Ok(Some(Departures::default()));
        }
        let told = logout_notices::of_session(tx, session).await?;
        self.note(tx, told, now).await.map(Some)
    }

    /// Ends every session of a user, and every grant.
    pub(crate) async fn end_all(
        &self,
        tx: &mut Tx,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Departures, StoreError> {
        let told = logout_notices::of_user(tx, user).await?;
        sessions::end_all(tx, user, now).await?;
        grants::revoke_by_user(tx, user, now).await?;
        self.note(tx, told, now).await
    }

    async fn note(
        &self,
        tx: &mut Tx,
        told: Vec<Participant>,
        now: Timestamp,
    ) -> Result<Departures, StoreError> {
        let lease = self.sender.get().map(|_| new_lease(&self.entropy, now));
        let mut ours = Vec::new();
        for participant in told {
            let id = LogoutNoticeId::generate(now, &self.entropy);
            let lease = lease.as_ref().filter(|_| ours.len() < FIRST_TRIES);
            let is_new = logout_notices::insert(tx, &id, &participant, now, lease).await?;
            if is_new && lease.is_some() {
                ours.push(first(id, participant, now));
            }
        }
        Ok(Departures(lease.filter(|_| !ours.is_empty()).map(|lease| (lease, ours))))
    }

    /// Sends, and does not wait for it.
    pub(crate) fn send(&self, departures: Departures) {
        if let (Some(sender), Some((lease, notices))) = (self.sender.get(), departures.0) {
            drop(sender.start(&lease, notices));
        }
    }

    /// Sends, and waits for a moment. What takes longer goes on.
    pub(crate) async fn send_and_wait(&self, departures: Departures) {
        if let (Some(sender), Some((lease, notices))) = (self.sender.get(), departures.0) {
            _ = tokio::time::timeout(PATIENCE, sender.start(&lease, notices).join_all()).await;
        }
    }
}

fn first(id: LogoutNoticeId, told: Participant, now: Timestamp) -> LogoutNotice {
    let Participant { session, client, subject } = told;
    LogoutNotice {
        id,
        session,
        client,
        subject,
        created_at: now,
        attempts: 1,
        state: NoticeState::Waiting,
        due_at: now,
        settled_at: None,
        last_error: None,
    }
}

impl fmt::Debug for LogoutNotices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutNotices").field("sends", &self.sender.get().is_some()).finish_non_exhaustive()
    }
}
