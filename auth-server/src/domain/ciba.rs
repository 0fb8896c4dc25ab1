//! Sign-ins that a client starts from behind, and a person approves elsewhere
//! ([OpenID Connect Client-Initiated Backchannel Authentication Core 1.0][core]).
//!
//! [core]: https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::domain::client_url::ClientUrl;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, CibaRequestId, ClientId, UserId};
use crate::domain::scope::ScopeSet;
use crate::domain::session::Session;
use crate::domain::signing::SigningAlg;

/// The claim of an ID token that says which request it answers (§10.3.1).
pub const AUTH_REQ_ID_CLAIM: &str = "urn:openid:params:jwt:claim:auth_req_id";

/// How a client hears what was decided (§5).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It is told that something was decided, and asks then.
    Ping {
        /// Where it is told.
        endpoint: ClientUrl,
    },
    /// It asks.
    Poll,
}

impl Delivery {
    /// The names of both, as metadata have them.
    pub const NAMES: [&'static str; 2] = ["poll", "ping"];

    /// Its name, as metadata have it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ping { .. } => "ping",
            Self::Poll => "poll",
        }
    }
}

/// What an administrator set for a client that may start sign-ins from behind (§4).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CibaSettings {
    /// How it hears what was decided.
    pub delivery: Delivery,
    /// What its requests are signed with; without it they are not.
    pub request_alg: Option<SigningAlg>,
}

impl CibaSettings {
    /// Where it is told of decisions, if it is.
    pub const fn endpoint(&self) -> Option<&ClientUrl> {
        match &self.delivery {
            Delivery::Ping { endpoint } => Some(endpoint),
            Delivery::Poll => None,
        }
    }
}

/// Whether any client may start sign-ins from behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CibaGrant {
    /// Those may that it was allowed.
    Allowed,
    /// None may.
    Refused,
}

impl CibaGrant {
    /// Whether some may.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

impl From<bool> for CibaGrant {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Refused }
    }
}

/// What a request asks of the sign-in of whoever approves it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct CibaWishes {
    /// Any of these values of `acr`, in whatever order.
    pub acr_values: Vec<String>,
    /// How long ago it may have been.
    pub max_age_secs: Option<u32>,
}

impl CibaWishes {
    /// Whether a person has to sign in again before allowing what was asked for at `asked_at`.
    ///
    /// A sign-in after the request is as fresh as any can be. Which `acr` it has is a wish (OpenID Connect Core §3.1.2.1): tokens say
    /// which it was.
    pub fn want_sign_in(&self, session: &Session, asked_at: Timestamp, now: Timestamp) -> bool {
        if session.auth_time >= asked_at {
            return false;
        }
        let is_too_old = self.max_age_secs.is_some_and(|secs| {
            secs == 0 || now.since(session.auth_time) > Duration::from_secs(u64::from(secs))
        });
        let is_other =
            !self.acr_values.is_empty() && !self.acr_values.iter().any(|acr| acr == session.acr.as_str());
        is_too_old || is_other
    }
}

/// What a client asks of a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CibaRequest {
    /// Its name on pages: no secret, unlike what the client asks with.
    pub id: CibaRequestId,
    /// Who asks.
    pub client: ClientId,
    /// Who is asked.
    pub user: UserId,
    /// For what.
    pub scopes: ScopeSet,
    /// The API that access tokens are for (RFC 8707).
    pub resource: Option<ApiId>,
    /// What the client shows as well, to compare.
    pub binding_message: Option<BindingMessage>,
    /// What it asks of the sign-in.
    pub wishes: CibaWishes,
    /// From where.
    pub address: Option<IpAddr>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when the person may decide, and the client may ask what was decided.
    pub expires_at: Timestamp,
}

/// What a client shows as well as the page that asks, so that a person can compare (§7.1).
///
/// Holding one proves that it is short and plain: what is compared has to look the same everywhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BindingMessage(String);

/// The text cannot be compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected 1 to 64 visible characters of ASCII, with single blanks between them")]
pub struct InvalidBindingMessage;

impl BindingMessage {
    const LONGEST: usize = 64;

    /// Accepts a message.
    pub fn parse(raw: &str) -> Result<Self, InvalidBindingMessage> {
        let is_plain = raw.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let is_tidy = raw.trim() == raw && !raw.contains("  ") && !raw.is_empty();
        if is_plain && is_tidy && raw.len() <= Self::LONGEST {
            Ok(Self(raw.to_owned()))
        } else {
            Err(InvalidBindingMessage)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the server proves by at a client that it is the server: the client made it (§7.1).
///
/// It is kept sealed, and printed nowhere.
#[derive(Clone)]
pub struct NotificationToken(Zeroizing<String>);

/// The text is no such token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected 22 to 1024 characters of a bearer token (RFC 6750), of 128 random bits at least")]
pub struct InvalidNotificationToken;

impl NotificationToken {
    /// 128 bits in base64.
    const SHORTEST: usize = 22;
    const LONGEST: usize = 1024;
    /// Fewer different characters come of no 128 random bits, however they are written.
    const VARIETY: usize = 8;

    /// Accepts a token. How random it is cannot be seen; that it is not, often can.
    pub fn parse(raw: &str) -> Result<Self, InvalidNotificationToken> {
        let text = raw.trim_end_matches('=');
        let of_a_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let variety: std::collections::BTreeSet<u8> = text.bytes().collect();
        let is_good = (Self::SHORTEST..=Self::LONGEST).contains(&text.len())
            && raw.len() <= Self::LONGEST
            && text.bytes().all(of_a_token)
            && variety.len() >= Self::VARIETY;
        if is_good { Ok(Self(Zeroizing::new(raw.to_owned()))) } else { Err(InvalidNotificationToken) }
    }

    /// The token itself, for the one header that carries it, and to be sealed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NotificationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotificationToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SessionId;
    use crate::domain::secret::Entropy;
    use crate::domain::session::{Acr, AuthMethod, SessionOrigin};

    const ASKED: Timestamp = Timestamp::from_secs(1_000_000);

    fn session(signed_in: Timestamp) -> Session {
        let entropy = Entropy::seeded(1);
        Session {
            id: SessionId::generate(signed_in, &entropy),
            user: UserId::generate(signed_in, &entropy),
            auth_time: signed_in,
            created_at: signed_in,
            last_seen_at: signed_in,
            expires_at: signed_in.plus(Duration::from_hours(24)),
            ended_at: None,
            methods: vec![AuthMethod::Password],
            acr: Acr::OneFactor,
            origin: SessionOrigin::new(None, ""),
        }
    }

    fn wants(acr_values: &[&str], max_age_secs: Option<u32>, signed_in: i64) -> bool {
        let acr_values = acr_values.iter().map(|acr| (*acr).to_owned()).collect();
        let session = session(Timestamp::from_secs(signed_in));
        CibaWishes { acr_values, max_age_secs }.want_sign_in(
            &session,
            ASKED,
            ASKED.plus(Duration::from_secs(9)),
        )
    }

    #[test]
    fn a_sign_in_that_is_too_old_or_of_another_kind_is_asked_for_again() {
        assert!(!wants(&[], None, 1));
        assert!(!wants(&["x", Acr::OneFactor.as_str()], Some(60), 999_949));
        assert!(wants(&[], Some(60), 999_948));
        assert!(wants(&[], Some(0), 999_999));
        assert!(wants(&["x"], None, 999_999));
        assert!(!wants(&["x"], Some(0), 1_000_000), "it was asked for, and done");
    }

    #[test]
    fn a_binding_message_is_short_and_plain() {
        for good in ["W4SCT", "Pay 12.50 EUR to <Shop> & Co", "~", &"x".repeat(64)] {
            assert_eq!(BindingMessage::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", " a", "a ", "a  b", "a\tb", "a\nb", "\u{202e}a", "caf\u{e9}", &"x".repeat(65)] {
            assert_eq!(BindingMessage::parse(bad), Err(InvalidBindingMessage), "{bad:?}");
        }
    }

    #[test]
    fn a_notification_token_is_one_of_bearers_that_nobody_guesses() {
        for good in
            ["8d67dc78-7faa-4d41-aabd-67707b374255", "mF_9.B5f-4.1JqM/+~ZZ0123==", &"abcdefgh".repeat(128)]
        {
            assert_eq!(NotificationToken::parse(good).unwrap().expose(), good);
        }
        let long = "abcdefgh".repeat(129);
        for bad in [
            "",
            "abcdefghijklmnopqrstu",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcdefghijklmnop qrstuvwxyz",
            &long,
        ] {
            assert_eq!(NotificationToken::parse(bad).err(), Some(InvalidNotificationToken), "{bad}");
        }
        let token = NotificationToken::parse("8d67dc78-7faa-4d41-aabd-67707b374255").unwrap();
        assert_eq!(format!("{token:?}"), "NotificationToken(..)");
    }
}
