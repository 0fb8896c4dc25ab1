//! Sign-ins that are decided elsewhere than where they were asked for, by somebody whom the client asks about again and again:
//! those of devices ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)) and those that a client starts from behind
//! ([CIBA](https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html)).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, ClientId, GrantId, SessionId, UserId};
use crate::domain::scope::ScopeSet;

/// How long a client waits between two questions, unless it is told otherwise (RFC 8628 §3.5, CIBA §7.3).
pub const INTERVAL: Duration = Duration::from_secs(5);
/// What one that asks too soon has to wait longer from then on (RFC 8628 §3.5, CIBA §11).
pub const STEP: Duration = Duration::from_secs(5);
/// How much too soon is not counted: what was sent in time may be faster on its way than the one before.
pub const LEEWAY: Duration = Duration::from_millis(500);

/// What a person decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// The client gets what it asked for.
    Allow,
    /// It gets nothing.
    Deny,
}

/// What a client that asks is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PollState {
    /// Somebody allowed it.
    Allowed,
    /// Somebody denied it.
    Denied,
    /// Nobody decided in time, or the client came too late.
    Expired,
    /// Nobody decided yet, and it asks too often.
    Hurried,
    /// Nobody decided yet.
    Pending,
}

/// What somebody allowed; it is stored under the digest of what the client asks with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Approval {
    /// The grant that redeeming makes.
    pub grant: GrantId,
    /// Who may redeem it.
    pub client: ClientId,
    /// Who allowed it.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// What was allowed.
    pub scopes: ScopeSet,
    /// The API that access tokens are for (RFC 8707).
    pub resource: Option<ApiId>,
    /// When the person proved who they are.
    pub auth_time: Timestamp,
}
