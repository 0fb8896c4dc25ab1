//! Telling applications that somebody signed out
//! ([OpenID Connect Back-Channel Logout](https://openid.net/specs/openid-connect-backchannel-1_0.html)).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::client_url::ClientUrl;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, LogoutNoticeId, SessionId};
use crate::domain::user::Sub;

/// Where a client wants to be told (§2.2).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BackchannelLogout {
    /// The address that logout tokens are sent to.
    pub uri: ClientUrl,
    /// Whether it needs the `sid`. Logout tokens of this server always have it.
    pub session_required: bool,
}

/// The claims of a logout token (§2.4). There is no `nonce`, ever: a logout token must not pass for an ID token.
#[derive(Clone, Debug, Serialize)]
pub struct LogoutTokenClaims {
    /// Who says so.
    pub iss: String,
    /// Who signed out.
    pub sub: Sub,
    /// Who is told.
    pub aud: ClientId,
    /// When it was made, in seconds.
    pub iat: i64,
    /// Until when it counts, in seconds.
    pub exp: i64,
    /// Names the token.
    pub jti: String,
    /// The session that ended.
    pub sid: SessionId,
    /// What makes it a logout token.
    pub events: LogoutEvent,
}

/// The one member of `events`: an object without members.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LogoutEvent {
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    backchannel_logout: Nothing,
}

/// `{}`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Nothing {}

/// That a session ended, for one client that took part in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogoutNotice {
    /// Names the notice.
    pub id: LogoutNoticeId,
    /// The session that ended.
    pub session: SessionId,
    /// Who is told.
    pub client: ClientId,
    /// Who signed out.
    pub subject: Sub,
    /// When the session ended.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// How far it came.
    pub state: NoticeState,
    /// When it is tried next; of one that is settled, when it would have been.
    pub due_at: Timestamp,
    /// When it was delivered, or given up.
    pub settled_at: Option<Timestamp>,
    /// Why it was not delivered the last time.
    pub last_error: Option<String>,
}

/// How far a notice came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoticeState {
    /// The client took it.
    Delivered,
    /// The client refused it, or was away for too long.
    Failed,
    /// It is tried, again and again.
    Waiting,
}

/// The text names no state of a notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected one of delivered, failed, waiting")]
pub struct UnknownNoticeState;

impl NoticeState {
    /// Every state there is.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Waiting];

    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
        }
    }
}

impl fmt::Display for NoticeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for NoticeState {
    type Err = UnknownNoticeState;

    fn from_str(raw: &str) -> Result<Self, UnknownNoticeState> {
        Self::ALL.into_iter().find(|state| state.as_str() == raw).ok_or(UnknownNoticeState)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_is_an_empty_object_under_its_name() {
        let event = serde_json::to_string(&LogoutEvent::default()).unwrap();
        assert_eq!(event, r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#);
    }

    #[test]
    fn states_survive_the_way_to_text_and_back() {
        for state in NoticeState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        assert_eq!("dead".parse::<NoticeState>(), Err(UnknownNoticeState));
    }
}
