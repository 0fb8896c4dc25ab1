//! Grants, and whether they still stand.

use std::collections::BTreeSet;

use crate::domain::claims::OPENID;
use crate::domain::clock::Timestamp;
use crate::domain::confirmation::{Confirmation, Thumbprint};
use crate::domain::grant::{Grant, GrantIdentity};
use crate::domain::ids::{ApiId, ClientId, GrantId, SessionId, UserId};
use crate::domain::once::Once;
use crate::domain::rbac::RoleName;
use crate::domain::reach::{ApiSet, Reach};
use crate::domain::revocation::Revocation;
use crate::domain::scope::ScopeSet;
use crate::domain::secret::Digest32;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx, sessions, users};

// The view adds the grant and the token, stores nothing of what stands between them, and gives that back.
const BEGIN: &str = "
    INSERT INTO begun_grants (
           id, client_id, user_id, session_id, scopes, api_id, auth_time, created_at, revoked_at, claims, bound_jkt,
           bound_x5t, apis, details,
           user_sub, user_organisation_id, user_username, user_name, user_email, user_email_verified_at,
           user_created_at, user_disabled_at, user_profile,
           session_found, session_user_id, session_auth_time, session_created_at, session_last_seen_at,
           session_expires_at, session_ended_at, session_methods, session_acr, session_address, session_user_agent,
           roles, consents,
           token_digest, token_expires_at, token_absolute_expires_at, token_proof, token_proof_good_until,
           assertion, assertion_good_until)
    SELECT $1, c.id, u.id, $4, $5, $6, CAST($7 AS BIGINT), CAST($8 AS BIGINT), CAST($9 AS BIGINT), $10, $11, $12,
           $13, $14,
           u.sub, u.organisation_id, u.username, u.name, u.email, u.email_verified_at, u.created_at, u.disabled_at,
           u.profile,
           s.id, s.user_id, s.auth_time, s.created_at, s.last_seen_at, s.expires_at, s.ended_at, s.methods, s.acr,
           s.address, s.user_agent,
           (SELECT string_agg(r.name, ' ')
              FROM assignments a
              JOIN roles r ON r.id = a.role_id
             WHERE a.subject_id = u.id AND a.api_id = $6 AND a.organisation IN ('*', u.organisation_id)),
           (SELECT COUNT(*) FROM consents n WHERE n.user_id = u.id AND n.client_id = c.id),
           $15, CAST($16 AS BIGINT), CAST($17 AS BIGINT), $18, CAST($19 AS BIGINT), $20, CAST($21 AS BIGINT)
      FROM users u
      JOIN clients c ON c.id = $2
      LEFT JOIN sessions s ON s.id = $4
     WHERE u.id = $3
 RETURNING user_id, user_sub, user_organisation_id, user_username, user_name, user_email, user_email_verified_at,
           user_created_at, user_disabled_at, user_profile,
           session_found, session_user_id, session_auth_time, session_created_at, session_last_seen_at,
           session_expires_at, session_ended_at, session_methods, session_acr, session_address, session_user_agent,
           roles, consents";
const FIND: &str = "
    SELECT id, client_id, user_id, session_id, scopes, api_id, auth_time, created_at, revoked_at, claims,
           bound_jkt, bound_x5t, apis, details
      FROM grants WHERE id = $1";
// What only those need who issue tokens is read for them alone.
const STANDING: &str = "
    SELECT g.id, g.client_id, g.user_id, g.session_id, g.scopes, g.api_id, g.auth_time, g.created_at, g.revoked_at,
           g.claims, g.bound_jkt, g.bound_x5t, g.apis, g.details,
           u.id, u.sub, u.organisation_id, u.username, u.name, u.email, u.email_verified_at, u.created_at,
           u.disabled_at, u.profile,
           s.id, s.user_id, s.auth_time, s.created_at, s.last_seen_at, s.expires_at, s.ended_at, s.methods, s.acr,
           s.address, s.user_agent,
           CASE WHEN CAST($2 AS BIGINT) = 1
                THEN (SELECT string_agg(r.name, ' ')
                        FROM assignments a
                        JOIN roles r ON r.id = a.role_id
                       WHERE a.subject_id = g.user_id AND a.api_id = g.api_id
                         AND a.organisation IN ('*', u.organisation_id)) END,
           CASE WHEN CAST($2 AS BIGINT) = 1
                THEN (SELECT COUNT(*) FROM consents n WHERE n.user_id = g.user_id AND n.client_id = g.client_id) END
      FROM grants g
      JOIN users u ON u.id = g.user_id
      LEFT JOIN sessions s ON s.id = g.session_id
     WHERE g.id = $1";
const REVOKE: &str = "UPDATE grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
const REVOKE_BY_USER: &str =
    "UPDATE grants SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL RETURNING id";
const REVOKE_BETWEEN: &str = "
    UPDATE grants SET revoked_at = $3 WHERE user_id = $1 AND client_id = $2 AND revoked_at IS NULL RETURNING id";
const REVOKE_BY_CLIENT: &str =
    "UPDATE grants SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL RETURNING id";
/// Spaces around both sides make the word a whole word. What outlives the session is returned as well: who got it took part.
const REVOKE_BY_SESSION: &str = "
    UPDATE grants
       SET revoked_at = CASE WHEN revoked_at IS NULL AND ' ' || scopes || ' ' NOT LIKE '% offline_access %'
                             THEN CAST($2 AS BIGINT) ELSE revoked_at END
     WHERE session_id = $1
     RETURNING id, scopes, revoked_at";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[BEGIN, FIND, STANDING, REVOKE, REVOKE_BY_USER, REVOKE_BETWEEN, REVOKE_BY_CLIENT, REVOKE_BY_SESSION];

/// How many columns [`read_at`] reads.
const WIDTH: usize = 14;

/// A grant with everything that decides whether it still counts.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The grant.
    pub grant: Grant,
    /// Who gave it.
    pub user: User,
    /// Where it was given; `None` when the session was cleaned away, which happens only after it ended.
    pub session: Option<Session>,
    /// What counts beside it where tokens are issued; `None` where it was not asked for.
    pub at_issue: Option<AtIssue>,
}

/// What counts beside a grant where tokens are issued.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AtIssue {
    /// What tokens carry at the API of the grant, where it is of one alone.
    pub roles: Vec<RoleName>,
    /// Whether it is remembered that the user allowed the client anything.
    pub is_remembered: bool,
}

/// The first refresh token of a family, which begins with its grant and may renew all of it.
#[derive(Clone, Debug)]
pub struct FirstToken {
    /// The digest of the token.
    pub digest: Digest32,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
    /// When its family ends, however often it is renewed.
    pub absolute_expires_at: Timestamp,
}

/// Adds a grant, and the first token of its family if it has one, uses up what it is bought with, and gives it as it stands, with what
/// counts where tokens are issued. All of it is one statement. What was used before buys nothing, by [`Unique::Once`]. `None` when the
/// user or the client was deleted: then nothing is added and nothing is used up.
///
/// How it stands is read as of the beginning of the statement. So whoever adds a grant holds the account already, as
/// [`single_use::consume_from_user`] does: see [`users::hold`].
///
/// [`single_use::consume_from_user`]: crate::storage::single_use::consume_from_user
/// [`Unique::Once`]: crate::storage::Unique::Once
pub async fn begin(
    tx: &mut Tx,
    grant: &Grant,
    first: Option<&FirstToken>,
    once: &Once,
) -> Result<Option<Standing>, StoreError> {
    let claims = serde_json::to_string(&grant.identity.claims)
        .map_err(|error| StoreError::Unexpected { reason: error.to_string() })?;
    let Reach { apis, details } = &grant.reach;
    let several = if apis.len() > 1 { apis.to_string() } else { String::new() };
    let Once { assertion, proof } = once;
    let values = [
        (&grant.id).into(),
        (&grant.client).into(),
        (&grant.user).into(),
        (&grant.session).into(),
        grant.scopes.to_string().into(),
        apis.only().into(),
        grant.identity.auth_time.into(),
        grant.created_at.into(),
        grant.revoked_at.into(),
        claims.into(),
        grant.binding.jkt.as_ref().map(Thumbprint::as_str).into(),
        grant.binding.x5t.as_ref().map(Thumbprint::as_str).into(),
        several.into(),
        details.to_string().into(),
        first.map(|first| first.digest.as_bytes().as_slice()).into(),
        first.map(|first| first.expires_at).into(),
        first.map(|first| first.absolute_expires_at).into(),
        proof.as_ref().map(|proof| proof.name.as_bytes().as_slice()).into(),
        proof.as_ref().map(|proof| proof.good_until).into(),
        assertion.as_ref().map(|shown| shown.name.as_bytes().as_slice()).into(),
        assertion.as_ref().map(|shown| shown.good_until).into(),
    ];
    let row = tx.fetch_optional(BEGIN, &values).await?;
    row.as_ref().map(|row| read_standing_to_issue(row, grant.clone(), 0)).transpose()
}

/// The grant with this identifier, in whatever state.
pub async fn find(tx: &mut Tx, id: &GrantId) -> Result<Option<Grant>, StoreError> {
    tx.fetch_optional(FIND, &[id.into()]).await?.as_ref().map(|row| read_at(row, 0)).transpose()
}

/// The grant with its user and its session, in whatever state.
pub async fn standing(tx: &mut Tx, id: &GrantId) -> Result<Option<Standing>, StoreError> {
    let row = tx.fetch_optional(STANDING, &[id.into(), 0_i64.into()]).await?;
    row.as_ref().map(|row| read_standing(row, read_at(row, 0)?, WIDTH)).transpose()
}

/// The same with what counts where tokens are issued: none of it costs a statement more.
pub async fn standing_to_issue(tx: &mut Tx, id: &GrantId) -> Result<Option<Standing>, StoreError> {
    let row = tx.fetch_optional(STANDING, &[id.into(), 1_i64.into()]).await?;
    row.as_ref().map(|row| read_standing_to_issue(row, read_at(row, 0)?, WIDTH)).transpose()
}

/// Takes a grant back, and with it all that it bought, everywhere; gives whether it had not been taken back before.
pub async fn revoke(tx: &mut Tx, id: &GrantId, now: Timestamp) -> Result<bool, StoreError> {
    let revoked = tx.execute(REVOKE, &[id.into(), now.into()]).await? > 0;
    if revoked {
        tx.revoke(Revocation::of_grant(id, now));
    }
    Ok(revoked)
}

/// Takes back every grant of a user.
pub async fn revoke_by_user(tx: &mut Tx, user: &UserId, now: Timestamp) -> Result<(), StoreError> {
    let revoked = tx.fetch_all(REVOKE_BY_USER, &[user.into(), now.into()]).await?;
    tell(tx, &revoked, now)
}

/// Takes back every grant that a user gave a client; gives whether there was one.
pub async fn revoke_between(
    tx: &mut Tx,
    user: &UserId,
    client: &ClientId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let revoked = tx.fetch_all(REVOKE_BETWEEN, &[user.into(), client.into(), now.into()]).await?;
    tell(tx, &revoked, now)?;
    Ok(!revoked.is_empty())
}

/// Takes back every grant that a client got.
pub async fn revoke_by_client(tx: &mut Tx, client: &ClientId, now: Timestamp) -> Result<(), StoreError> {
    let revoked = tx.fetch_all(REVOKE_BY_CLIENT, &[client.into(), now.into()]).await?;
    tell(tx, &revoked, now)
}

/// Takes back the grants that live by a session: those without `offline_access`. Gives whether anybody got an ID token in it.
pub async fn revoke_by_session(tx: &mut Tx, session: &SessionId, now: Timestamp) -> Result<bool, StoreError> {
    let mut identified = false;
    for row in tx.fetch_all(REVOKE_BY_SESSION, &[session.into(), now.into()]).await? {
        identified |= row.get::<ScopeSet>(1)?.contains(OPENID);
        if row.get::<Option<Timestamp>>(2)? == Some(now) {
            tx.revoke(Revocation::of_grant(&row.get(0)?, now));
        }
    }
    Ok(identified)
}

fn tell(tx: &mut Tx, revoked: &[Row], now: Timestamp) -> Result<(), StoreError> {
    for row in revoked {
        let grant: GrantId = row.get(0)?;
        tx.revoke(Revocation::of_grant(&grant, now));
    }
    Ok(())
}

/// How many columns [`read_standing`] reads.
const STANDING_WIDTH: usize = users::WIDTH + sessions::WIDTH;

/// Reads the columns of user and session that begin at `first`.
fn read_standing(row: &Row, grant: Grant, first: usize) -> Result<Standing, StoreError> {
    let at_session = first + users::WIDTH;
    let session = match row.get::<Option<SessionId>>(at_session)? {
        Some(_) => Some(sessions::read_at(row, at_session)?),
        None => None,
    };
    Ok(Standing { grant, user: users::read_at(row, first)?, session, at_issue: None })
}

/// Reads the same columns, and roles and consents behind them.
fn read_standing_to_issue(row: &Row, grant: Grant, first: usize) -> Result<Standing, StoreError> {
    let at_issue = read_at_issue(row, first + STANDING_WIDTH)?;
    Ok(Standing { at_issue: Some(at_issue), ..read_standing(row, grant, first)? })
}

fn read_at_issue(row: &Row, first: usize) -> Result<AtIssue, StoreError> {
    let roles = row.get::<Option<String>>(first)?.unwrap_or_default();
    // Held in every organisation and in one's own it is there twice.
    let roles: BTreeSet<RoleName> = roles
        .split_whitespace()
        .map(RoleName::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| StoreError::Corrupt { what: "roles.name".to_owned() })?;
    Ok(AtIssue { roles: roles.into_iter().collect(), is_remembered: row.get::<i64>(first + 1)? > 0 })
}

fn read_at(row: &Row, first: usize) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: row.get(first)?,
        client: row.get(first + 1)?,
        user: row.get(first + 2)?,
        session: row.get(first + 3)?,
        scopes: row.get(first + 4)?,
        reach: reach_at(row, first)?,
        identity: GrantIdentity { auth_time: row.get(first + 6)?, claims: row.json(first + 9)? },
        created_at: row.get(first + 7)?,
        revoked_at: row.get(first + 8)?,
        binding: Confirmation { jkt: row.get(first + 10)?, x5t: row.get(first + 11)? },
    })
}

fn reach_at(row: &Row, first: usize) -> Result<Reach, StoreError> {
    let mut apis: ApiSet = row.parse(first + 12)?;
    row.get::<Option<ApiId>>(first + 5)?.into_iter().for_each(|api| apis.add(api));
    Ok(Reach { apis, details: row.json(first + 13)? })
}
