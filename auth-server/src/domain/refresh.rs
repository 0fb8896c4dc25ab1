//! Rotation of refresh tokens: what presenting one means.

use std::time::Duration;

use crate::domain::clock::Timestamp;

/// Where a refresh token is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefreshState {
    /// Not used yet.
    Active {
        /// When it ends.
        expires_at: Timestamp,
    },
    /// Its grant was revoked.
    Revoked,
    /// Exchanged for a successor.
    Spent {
        /// When.
        at: Timestamp,
    },
}

/// What to do with a refresh token that is presented.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redemption {
    /// Revoke the grant: somebody else holds a copy (RFC 9700 §4.14.2).
    BurnFamily,
    /// Refuse, and change nothing.
    Refuse,
    /// Answer with the same successor again.
    Retry,
    /// Spend it and issue a successor.
    Rotate,
}

impl RefreshState {
    /// What presenting a token in this state at `now` means.
    ///
    /// For as long as `retry_window` a spent token still gets its successor: a lost answer must not sign anybody out.
    pub fn present(self, now: Timestamp, retry_window: Duration) -> Redemption {
        match self {
            Self::Active { expires_at } if now < expires_at => Redemption::Rotate,
            Self::Active { .. } | Self::Revoked => Redemption::Refuse,
            Self::Spent { at } if now <= at.plus(retry_window) => Redemption::Retry,
            Self::Spent { .. } => Redemption::BurnFamily,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    const fn secs(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn an_active_token_rotates_until_the_moment_it_expires() {
        let active = RefreshState::Active { expires_at: secs(100) };
        assert_eq!(active.present(secs(99), WINDOW), Redemption::Rotate);
        assert_eq!(active.present(secs(100), WINDOW), Redemption::Refuse);
    }

    #[test]
    fn a_spent_token_is_retried_within_the_grace_and_burns_the_family_after_it() {
        let spent = RefreshState::Spent { at: secs(100) };
        assert_eq!(spent.present(secs(110), WINDOW), Redemption::Retry);
        assert_eq!(spent.present(Timestamp::from_micros(110_000_001), WINDOW), Redemption::BurnFamily);
    }

    #[test]
    fn a_revoked_token_is_refused() {
        assert_eq!(RefreshState::Revoked.present(secs(0), WINDOW), Redemption::Refuse);
    }
}
