//! Signed-in sessions.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::ids::{SessionId, UserId};

/// One browser in which somebody signed in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Names the session: the `sid` of tokens.
    pub id: SessionId,
    /// Who signed in.
    pub user: UserId,
    /// When the person last proved who they are: the `auth_time` of tokens.
    pub auth_time: Timestamp,
    /// When the session began.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_seen_at: Timestamp,
    /// When it ends unless it is used: the earlier of its idle limit and its absolute end.
    pub expires_at: Timestamp,
    /// When somebody ended it.
    pub ended_at: Option<Timestamp>,
    /// What proved who the person is: the `amr` of tokens.
    pub methods: Vec<AuthMethod>,
    /// How strong that proof was: the `acr` of tokens.
    pub acr: Acr,
    /// Where it began.
    pub origin: SessionOrigin,
}

impl Session {
    /// What may be done with the session at `now`.
    pub fn state(&self, now: Timestamp) -> SessionState {
        if self.ended_at.is_some() {
            SessionState::Ended
        } else if now < self.expires_at {
            SessionState::Live
        } else {
            SessionState::Expired
        }
    }

    /// Whether nobody proved more in it than that they read a letter. With that another password can be set, which its owner hears of; what
    /// proves more than a letter is neither added nor removed (ADR 0023).
    pub fn is_by_letter_alone(&self) -> bool {
        self.acr == Acr::OneFactor && !self.methods.contains(&AuthMethod::Password)
    }
}

/// What may be done with a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionState {
    /// Somebody ended it.
    Ended,
    /// It lasted too long, or was not used for too long.
    Expired,
    /// It proves who the person is.
    Live,
}

/// Where a session began.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionOrigin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// What the browser said it is, shortened.
    pub user_agent: String,
}

impl SessionOrigin {
    const LONGEST: usize = 256;

    /// Notes an address and a browser; the browser's name is cut to 256 characters without controls.
    pub fn new(address: Option<IpAddr>, user_agent: &str) -> Self {
        let user_agent = user_agent.chars().filter(|c| !c.is_control()).take(Self::LONGEST).collect();
        Self { address, user_agent }
    }
}

/// A way to prove who one is, with its `amr` value (RFC 8176 §2).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum AuthMethod {
    /// More than one factor.
    #[serde(rename = "mfa")]
    Mfa,
    /// A code that counts once: of a device, or one of those kept for the day when it is lost.
    #[serde(rename = "otp")]
    OneTimeCode,
    /// A password.
    #[serde(rename = "pwd")]
    Password,
    /// The key of a passkey. Nobody attests whether it lies in hardware, so neither `hwk` nor `swk` is said of it.
    #[serde(rename = "pop")]
    Possession,
    /// The device made sure that its owner is there.
    #[serde(rename = "user")]
    Presence,
}

impl AuthMethod {
    /// The `amr` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mfa => "mfa",
            Self::OneTimeCode => "otp",
            Self::Password => "pwd",
            Self::Possession => "pop",
            Self::Presence => "user",
        }
    }

    /// What a passkey proves: the device holds the key, and its owner unlocked it there. These are two factors.
    pub fn of_passkey() -> Vec<Self> {
        vec![Self::Possession, Self::Presence, Self::Mfa]
    }
}

/// How strong a proof was: an `acr` value.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Acr {
    /// One factor.
    #[serde(rename = "urn:portcullis:acr:1fa")]
    OneFactor,
    /// Two factors: a password and a code that counts once, or a passkey whose owner unlocked it.
    #[serde(rename = "urn:portcullis:acr:2fa")]
    TwoFactors,
}

/// The text is no `acr` value of this server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown acr value")]
pub struct UnknownAcr;

impl Acr {
    /// Every value there is.
    pub const ALL: [Self; 2] = [Self::OneFactor, Self::TwoFactors];

    /// The `acr` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneFactor => "urn:portcullis:acr:1fa",
            Self::TwoFactors => "urn:portcullis:acr:2fa",
        }
    }

    /// What a proof of this strength is made of that begins with a password.
    pub fn methods(self) -> Vec<AuthMethod> {
        match self {
            Self::OneFactor => vec![AuthMethod::Password],
            Self::TwoFactors => vec![AuthMethod::Password, AuthMethod::OneTimeCode, AuthMethod::Mfa],
        }
    }
}

impl fmt::Display for Acr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Acr {
    type Err = UnknownAcr;

    fn from_str(raw: &str) -> Result<Self, UnknownAcr> {
        Self::ALL.into_iter().find(|acr| acr.as_str() == raw).ok_or(UnknownAcr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Entropy;

    fn session() -> Session {
        let now = Timestamp::from_secs(100);
        let entropy = Entropy::seeded(1);
        Session {
            id: SessionId::generate(now, &entropy),
            user: UserId::generate(now, &entropy),
            auth_time: now,
            created_at: now,
            last_seen_at: now,
            expires_at: Timestamp::from_secs(200),
            ended_at: None,
            methods: vec![AuthMethod::Password],
            acr: Acr::OneFactor,
            origin: SessionOrigin::new(None, "a\nb"),
        }
    }

    #[test]
    fn a_session_lives_until_the_moment_it_expires() {
        assert_eq!(session().state(Timestamp::from_micros(199_999_999)), SessionState::Live);
        assert_eq!(session().state(Timestamp::from_secs(200)), SessionState::Expired);
    }

    #[test]
    fn an_ended_session_is_ended_even_before_it_expires() {
        let ended = Session { ended_at: Some(Timestamp::from_secs(150)), ..session() };
        assert_eq!(ended.state(Timestamp::from_secs(160)), SessionState::Ended);
    }

    #[test]
    fn a_letter_alone_is_less_than_a_password_and_than_two_factors() {
        let by = |methods: &[AuthMethod], acr| Session { methods: methods.to_vec(), acr, ..session() };
        assert!(by(&[AuthMethod::OneTimeCode], Acr::OneFactor).is_by_letter_alone());
        for more in [
            session(),
            by(&Acr::TwoFactors.methods(), Acr::TwoFactors),
            by(&AuthMethod::of_passkey(), Acr::TwoFactors),
        ] {
            assert!(!more.is_by_letter_alone(), "{more:?}");
        }
    }

    #[test]
    fn the_name_of_a_browser_is_bounded_and_has_no_controls() {
        assert_eq!(session().origin.user_agent, "ab");
        assert_eq!(SessionOrigin::new(None, &"é".repeat(9999)).user_agent.chars().count(), 256);
    }
}
