//! Takes away what nobody can use any more, a few rows at a time.

use crate::domain::clock::Timestamp;
use crate::domain::ids::GrantId;
use crate::storage::{StoreError, Tx};

const SINGLE_USE: &str = "
    DELETE FROM single_use WHERE (purpose, digest) IN
        (SELECT purpose, digest FROM single_use WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const SESSIONS: &str = "
    DELETE FROM sessions WHERE id IN
        (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const INTERACTIONS: &str = "
    DELETE FROM interactions WHERE id IN
        (SELECT id FROM interactions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const INVITATIONS: &str = "
    DELETE FROM invitations WHERE id IN
        (SELECT id FROM invitations WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const REFRESH_TOKENS: &str = "
    DELETE FROM refresh_tokens WHERE digest IN
        (SELECT digest FROM refresh_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const REVOCATIONS: &str = "
    DELETE FROM revocations WHERE (kind, value) IN
        (SELECT kind, value FROM revocations WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const JOBS: &str = "
    DELETE FROM jobs WHERE id IN
        (SELECT id FROM jobs WHERE finished_at IS NOT NULL AND finished_at < $1 ORDER BY finished_at LIMIT $2)";
const LOGOUT_NOTICES: &str = "
    DELETE FROM logout_notices WHERE id IN
        (SELECT id FROM logout_notices WHERE settled_at IS NOT NULL AND settled_at < $1 ORDER BY settled_at LIMIT $2)";
const LETTERS: &str = "
    DELETE FROM mail_outbox WHERE id IN
        (SELECT id FROM mail_outbox WHERE settled_at IS NOT NULL AND settled_at < $1
          UNION ALL
         SELECT id FROM mail_outbox WHERE settled_at IS NULL AND due_at < $1 AND expires_at < $1
          LIMIT $2)";
const LETTER_SIGN_INS: &str = "
    DELETE FROM letter_sign_ins WHERE digest IN
        (SELECT digest FROM letter_sign_ins WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const DEVICES: &str = "
    DELETE FROM device_authorizations WHERE digest IN
        (SELECT digest FROM device_authorizations WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const CIBA_REQUESTS: &str = "
    DELETE FROM ciba_requests WHERE digest IN
        (SELECT digest FROM ciba_requests WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
const GRANT_PAGE: &str = "SELECT id, created_at FROM grants WHERE id > $1 ORDER BY id LIMIT $2";
const GRANTS: &str = "
    DELETE FROM grants
     WHERE id > $1 AND id <= $2 AND created_at < $3
       AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.grant_id = grants.id)
       AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = grants.session_id)";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    CIBA_REQUESTS,
    SINGLE_USE,
    SESSIONS,
    INTERACTIONS,
    INVITATIONS,
    REFRESH_TOKENS,
    REVOCATIONS,
    JOBS,
    DEVICES,
    LETTERS,
    LETTER_SIGN_INS,
    LOGOUT_NOTICES,
    GRANT_PAGE,
    GRANTS,
];

/// What is taken away by its age alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expired {
    /// What clients asked of people from behind.
    CibaRequests,
    /// Devices that wait for somebody.
    Devices,
    /// Browser flows.
    Interactions,
    /// Invitations that nobody took.
    Invitations,
    /// Finished jobs.
    Jobs,
    /// Letters that were sent, or given up, or that nobody came to in their time: mail may be off now.
    Letters,
    /// Sign-ins that waited for the code of a letter.
    LetterSignIns,
    /// What clients were told of the end of sessions.
    LogoutNotices,
    /// Refresh tokens.
    RefreshTokens,
    /// Revocations of tokens that have expired themselves.
    Revocations,
    /// Sessions.
    Sessions,
    /// Codes, links and remembered identifiers.
    SingleUse,
}

impl Expired {
    /// Everything there is.
    pub const ALL: [Self; 12] = [
        Self::CibaRequests,
        Self::Devices,
        Self::Interactions,
        Self::Invitations,
        Self::Jobs,
        Self::Letters,
        Self::LetterSignIns,
        Self::LogoutNotices,
        Self::RefreshTokens,
        Self::Revocations,
        Self::Sessions,
        Self::SingleUse,
    ];

    const fn statement(self) -> &'static str {
        match self {
            Self::CibaRequests => CIBA_REQUESTS,
            Self::Devices => DEVICES,
            Self::Interactions => INTERACTIONS,
            Self::Invitations => INVITATIONS,
            Self::Jobs => JOBS,
            Self::Letters => LETTERS,
            Self::LetterSignIns => LETTER_SIGN_INS,
            Self::LogoutNotices => LOGOUT_NOTICES,
            Self::RefreshTokens => REFRESH_TOKENS,
            Self::Revocations => REVOCATIONS,
            Self::Sessions => SESSIONS,
            Self::SingleUse => SINGLE_USE,
        }
    }
}

/// Takes away at most `limit` rows that ended before `before`; gives how many.
pub async fn expired(tx: &mut Tx, what: Expired, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    tx.execute(what.statement(), &[before.into(), limit.into()]).await
}

/// Takes away grants that nothing hangs on any more, out of the `limit` grants behind `after` that were made before
/// `before`. Gives where the next call goes on; `None` at the end.
pub async fn grants(
    tx: &mut Tx,
    after: Option<&GrantId>,
    before: Timestamp,
    limit: u32,
) -> Result<Option<GrantId>, StoreError> {
    let after = after.map_or("", GrantId::as_str);
    let rows = tx.fetch_all(GRANT_PAGE, &[after.into(), limit.into()]).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let (end, made_at): (GrantId, Timestamp) = (last.get(0)?, last.get(1)?);
    tx.execute(GRANTS, &[after.into(), (&end).into(), before.into()]).await?;
    Ok((made_at < before).then_some(end))
}
