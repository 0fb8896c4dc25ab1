//! What a page request brings along.

use std::net::IpAddr;

use crate::domain::clock::Timestamp;
use crate::domain::consent::Consent;
use crate::domain::ids::ClientId;
use crate::domain::secret::{Digest32, OpaqueToken};
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::storage::sessions::{Found, SentWith};

/// Somebody opens a page: which browser it is, who is signed in there, from where, and when.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// The browser, signed in or not. Interactions are bound to it.
    pub(crate) browser: OpaqueToken,
    pub(crate) session: Option<LiveSession>,
    pub(crate) address: IpAddr,
    pub(crate) now: Timestamp,
}

/// A session that is neither ended nor expired, of a user who may sign in.
#[derive(Clone, Debug)]
pub(crate) struct LiveSession {
    pub(crate) session: Session,
    pub(crate) user: User,
    /// What was read with it, where a client asks for something. Whoever finds none reads it.
    pub(crate) remembered: Option<Remembered>,
    /// The same where a client sent somebody with a request that it pushed.
    pub(crate) waiting: Option<Waiting>,
}

/// Who sends somebody, and with what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sender {
    /// The client.
    pub(crate) client: Option<ClientId>,
    /// What stands for a request that it pushed.
    pub(crate) handle: Option<Digest32>,
}

/// A request that was pushed, and can still be answered. Its handle is not spent yet.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) handle: Digest32,
    /// As it was kept.
    pub(crate) request: String,
}

impl Visit {
    /// Drops what was read of consents: others decided how long ago that is.
    pub(crate) fn forget(&mut self) {
        if let Some(live) = &mut self.session {
            live.remembered = None;
        }
    }
}

impl Sender {
    /// What is read beside a session because of it.
    pub(crate) fn with(&self) -> SentWith<'_> {
        SentWith { client: self.client.as_ref(), handle: self.handle.as_ref() }
    }

    /// Somebody who is sent, as they were found.
    pub(crate) fn sent(&self, found: Found) -> LiveSession {
        let Found { session, user, consents, request } = found;
        let remembered = self.client.clone().zip(consents);
        let waiting = self.handle.zip(request);
        LiveSession {
            session,
            user,
            remembered: remembered.map(|(client, consents)| Remembered { client, consents }),
            waiting: waiting.map(|(handle, request)| Waiting { handle, request }),
        }
    }
}

/// What somebody who is signed in allowed a client, wherever.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) client: ClientId,
    pub(crate) consents: Vec<Consent>,
}
