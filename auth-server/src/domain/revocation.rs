//! What is taken back before it expires, as it is told to the services that verify tokens by themselves.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::ids::GrantId;

/// The longest that an access token may live. A revocation is remembered that long: then no token is left that it could concern.
pub const LONGEST_TOKEN: Duration = Duration::from_hours(24);

/// How much longer than to its expiry a token may be accepted, because clocks differ: a revocation is remembered as much longer.
const LONGEST_LEEWAY: Duration = Duration::from_mins(5);

/// Tokens that are no longer to be accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    /// The claim by which they are recognised.
    pub claim: RevokedClaim,
    /// Its value.
    pub value: String,
    /// Only tokens issued until then (`iat`) are meant. `None`: all.
    pub not_before: Option<Timestamp>,
    /// When the last of them has expired, wherever it is looked at.
    pub expires_at: Timestamp,
}

/// A claim that tokens are revoked by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RevokedClaim {
    /// `client_id`
    Client,
    /// `gid`: everything that a grant bought. A session ends with its grants, so no revocation names a session: a grant with
    /// `offline_access` outlives it, and its tokens name it all the same.
    Grant,
    /// `jti`: one token.
    Token,
    /// `sub`
    Subject,
}

impl RevokedClaim {
    const ALL: [Self; 4] = [Self::Client, Self::Grant, Self::Token, Self::Subject];

    /// The name of the claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client_id",
            Self::Grant => "gid",
            Self::Token => "jti",
            Self::Subject => "sub",
        }
    }
}

/// The text names no claim that tokens are revoked by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("tokens are revoked by client_id, gid, jti or sub")]
pub struct UnknownClaim;

impl std::str::FromStr for RevokedClaim {
    type Err = UnknownClaim;

    fn from_str(raw: &str) -> Result<Self, UnknownClaim> {
        Self::ALL.into_iter().find(|claim| claim.as_str() == raw).ok_or(UnknownClaim)
    }
}

impl Revocation {
    /// Every token that a grant bought.
    pub fn of_grant(grant: &GrantId, now: Timestamp) -> Self {
        Self::of(RevokedClaim::Grant, grant.as_str(), None, now)
    }

    /// Every token that names this subject and was issued until now: what it says about them is no longer true.
    pub fn of_subject(subject: &str, now: Timestamp) -> Self {
        Self::of(RevokedClaim::Subject, subject, Some(now), now)
    }

    /// Every token that was issued to a client until now.
    pub fn of_client(client: &str, now: Timestamp) -> Self {
        Self::of(RevokedClaim::Client, client, Some(now), now)
    }

    /// One token, which expires then.
    pub fn of_token(jti: &str, expires_at: Timestamp) -> Self {
        let expires_at = expires_at.plus(LONGEST_LEEWAY);
        Self { claim: RevokedClaim::Token, value: jti.to_owned(), not_before: None, expires_at }
    }

    fn of(claim: RevokedClaim, value: &str, not_before: Option<Timestamp>, now: Timestamp) -> Self {
        let expires_at = now.plus(LONGEST_TOKEN).plus(LONGEST_LEEWAY);
        Self { claim, value: value.to_owned(), not_before, expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_survive_the_way_to_text_and_back() {
        for claim in RevokedClaim::ALL {
            assert_eq!(claim.as_str().parse(), Ok(claim));
        }
        assert_eq!("sid".parse::<RevokedClaim>(), Err(UnknownClaim));
    }
}
