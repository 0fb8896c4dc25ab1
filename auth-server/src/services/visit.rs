//! What a page request brings along.

use std::net::IpAddr;

use crate::domain::clock::Timestamp;
use crate::domain::consent::Consent;
use crate::domain::ids::ClientId;
use crate::domain::secret::OpaqueToken;
use crate::domain::session::Session;
use crate::domain::user::User;

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
}

impl Visit {
    /// Drops what was read of consents: others decided how long ago that is.
    pub(crate) fn forget(&mut self) {
        if let Some(live) = &mut self.session {
            live.remembered = None;
        }
    }
}

/// What somebody who is signed in allowed a client, wherever.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) client: ClientId,
    pub(crate) consents: Vec<Consent>,
}

impl Remembered {
    /// What was read, if it was.
    pub(crate) fn of(client: Option<&ClientId>, consents: Option<Vec<Consent>>) -> Option<Self> {
        client.cloned().zip(consents).map(|(client, consents)| Self { client, consents })
    }
}
