//! Single use is one thing: whatever may be used once only goes through here, apart by purpose, as a digest.
//!
//! Using something up is one statement, so of any number of concurrent requests, on any number of replicas, exactly
//! one gets the row.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::clock::Timestamp;
use crate::domain::code::CodePayload;
use crate::domain::decoupled::Approval;
use crate::domain::ids::{ClientId, UserId};
use crate::domain::once::Once;
use crate::domain::secret::Digest32;
use crate::storage::{StoreError, Tx, Unique, users};

const ISSUE: &str = "
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, user_id)
    VALUES ($1, $2, $3, $4, $5, $6)";
const ISSUE_WITH_ONE: &str = "
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    VALUES ($1, $2, $3, $4, $5, NULL), ($6, $7, 'null', $4, $8, $4)";
const ISSUE_WITH_BOTH: &str = "
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    VALUES ($1, $2, $3, $4, $5, NULL), ($6, $7, 'null', $4, $8, $4), ($9, $10, 'null', $4, $11, $4)";
// Two rows change, or what was to be spent for the other is gone, or spent by somebody else meanwhile.
const ISSUE_FOR: &str = "
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, user_id, used_at)
    SELECT $1, $2, $3, CAST($4 AS BIGINT), CAST($5 AS BIGINT), $6, CAST(NULL AS BIGINT)
      FROM single_use s
     WHERE s.purpose = $7 AND s.digest = $8 AND s.used_at IS NULL AND s.expires_at > CAST($4 AS BIGINT)
     UNION ALL
    SELECT s.purpose, s.digest, s.payload, s.created_at, s.expires_at, s.user_id, CAST($4 AS BIGINT)
      FROM single_use s
     WHERE s.purpose = $7 AND s.digest = $8 AND s.used_at IS NULL AND s.expires_at > CAST($4 AS BIGINT)
        ON CONFLICT (purpose, digest) DO UPDATE SET used_at = excluded.used_at
     WHERE excluded.used_at IS NOT NULL AND single_use.used_at IS NULL";
const CONSUME: &str = "
    UPDATE single_use SET used_at = $3
     WHERE purpose = $1 AND digest = $2 AND used_at IS NULL AND expires_at > $3
 RETURNING payload";
const FIND: &str = "SELECT payload FROM single_use WHERE purpose = $1 AND digest = $2 AND used_at IS NULL AND expires_at > $3";
const FIND_SPENT: &str =
    "SELECT payload FROM single_use WHERE purpose = $1 AND digest = $2 AND used_at IS NOT NULL";
const REMEMBER: &str = "
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    VALUES ($1, $2, 'null', $4, $3, $4)
        ON CONFLICT (purpose, digest) DO NOTHING";
const REMEMBER_BOTH: &str = "
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    VALUES ($1, $2, 'null', $4, $3, $4), ($5, $6, 'null', $4, $7, $4)
        ON CONFLICT (purpose, digest) DO NOTHING";

// What is kept is JSON, in which each member stands as it is written by one serializer.
const FORGET: &str = "
    DELETE FROM single_use
     WHERE purpose = $1 AND used_at IS NULL AND REPLACE(payload, $2, '') <> payload
       AND REPLACE(payload, $3, '') <> payload";
const FORGET_LATER_OF_USER: &str =
    "DELETE FROM single_use WHERE purpose = $1 AND used_at IS NULL AND user_id = $2 AND expires_at > $3";
const LATEST_OF_USER: &str =
    "SELECT MAX(expires_at) FROM single_use WHERE purpose = $1 AND used_at IS NULL AND user_id = $2";
const FORGET_OF_USER: &str = "DELETE FROM single_use WHERE purpose = $1 AND used_at IS NULL AND user_id = $2";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    ISSUE,
    ISSUE_WITH_ONE,
    ISSUE_WITH_BOTH,
    ISSUE_FOR,
    CONSUME,
    FIND,
    FIND_SPENT,
    REMEMBER,
    REMEMBER_BOTH,
    FORGET,
    FORGET_LATER_OF_USER,
    LATEST_OF_USER,
    FORGET_OF_USER,
];

/// What something may be used for, once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A proof by which somebody may keep an account that was to be deleted.
    AccountKept,
    /// The link by which somebody confirms an address of mail.
    AddressProof,
    /// The link by which somebody takes back that another address took the place of theirs.
    AddressReturn,
    /// The `jti` of a client's assertion (RFC 7523 §3).
    AssertionJti,
    /// An authorization code (RFC 6749 §4.1.2).
    AuthorizationCode,
    /// What a client asks with about a sign-in that somebody approved (CIBA §7.3).
    AuthReqId,
    /// Records of decisions that a guard sends, and may send again.
    DecisionBatch,
    /// A device code that somebody allowed (RFC 8628 §3.4).
    DeviceCode,
    /// The `jti` of an assertion that a client shows as its grant (RFC 7523 §2.1).
    GrantAssertionJti,
    /// A proof of possession (RFC 9449 §11.1).
    DpopProof,
    /// What an authenticator signs that makes a passkey for an account.
    PasskeyRegistration,
    /// What an authenticator signs that signs somebody in.
    PasskeySignIn,
    /// The link by which somebody who forgot the password sets another.
    PasswordReset,
    /// An authorization request that a client pushed (RFC 9126).
    PushedRequest,
    /// A sign-in that waits for its second step.
    SecondStep,
    /// The link that makes the first administrator.
    SetupLink,
    /// The link by which somebody makes an account.
    SignUp,
    /// A time step of the codes of an account (RFC 6238 §5.2).
    TotpStep,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AccountKept => "account_kept",
            Self::AddressProof => "address_proof",
            Self::AddressReturn => "address_return",
            Self::AssertionJti => "assertion_jti",
            Self::AuthorizationCode => "authorization_code",
            Self::AuthReqId => "auth_req_id",
            Self::DecisionBatch => "decision_batch",
            Self::DeviceCode => "device_code",
            Self::GrantAssertionJti => "grant_assertion_jti",
            Self::DpopProof => "dpop_proof",
            Self::PasskeyRegistration => "passkey_registration",
            Self::PasskeySignIn => "passkey_sign_in",
            Self::PasswordReset => "password_reset",
            Self::PushedRequest => "pushed_request",
            Self::SecondStep => "second_step",
            Self::SetupLink => "setup_link",
            Self::SignUp => "sign_up",
            Self::TotpStep => "totp_step",
        }
    }
}

/// What a user allowed a client, which begins a grant.
pub trait Allowed {
    /// Who allowed it.
    fn user(&self) -> &UserId;
}

impl Allowed for Approval {
    fn user(&self) -> &UserId {
        &self.user
    }
}

impl Allowed for CodePayload {
    fn user(&self) -> &UserId {
        &self.user
    }
}

/// Stores what `digest` stands for until it is used or expires.
pub async fn issue(
    tx: &mut Tx,
    purpose: Purpose,
    digest: &Digest32,
    payload: &(impl Serialize + Sync),
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    add(tx, (purpose, digest), payload, None, expires_at).await
}

/// The same for what is about a user; then it is known to [`forget_of`].
pub async fn issue_about(
    tx: &mut Tx,
    (purpose, digest): (Purpose, &Digest32),
    payload: &(impl Serialize + Sync),
    user: &UserId,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    add(tx, (purpose, digest), payload, Some(user), expires_at).await
}

/// The same for what a user allowed; then ask [`consume_from_user`].
pub async fn issue_from_user(
    tx: &mut Tx,
    purpose: Purpose,
    digest: &Digest32,
    allowed: &(impl Allowed + Serialize + Sync),
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    add(tx, (purpose, digest), allowed, Some(allowed.user()), expires_at).await
}

/// The same for what is bought with something that was issued before, and that is spent by the same statement: where it is unknown,
/// expired or spent already, nothing is bought, by [`Unique::Once`].
pub async fn issue_from_user_for(
    tx: &mut Tx,
    (purpose, digest): (Purpose, &Digest32),
    allowed: &(impl Allowed + Serialize + Sync),
    expires_at: Timestamp,
    (spent, named): (Purpose, &Digest32),
) -> Result<(), StoreError> {
    let values = [
        purpose.as_str().into(),
        digest.into(),
        text(allowed)?.into(),
        tx.now().into(),
        expires_at.into(),
        allowed.user().into(),
        spent.as_str().into(),
        named.into(),
    ];
    if tx.execute(ISSUE_FOR, &values).await? == 2 { Ok(()) } else { Err(StoreError::Conflict(Unique::Once)) }
}

async fn add(
    tx: &mut Tx,
    (purpose, digest): (Purpose, &Digest32),
    payload: &(impl Serialize + Sync),
    user: Option<&UserId>,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let values = [
        purpose.as_str().into(),
        digest.into(),
        text(payload)?.into(),
        tx.now().into(),
        expires_at.into(),
        user.into(),
    ];
    tx.execute(ISSUE, &values).await.map(drop)
}

fn text(payload: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(payload).map_err(|error| StoreError::Unexpected { reason: error.to_string() })
}

/// The same for what is bought with what counts once, which is used up by the same statement: what was used before buys nothing, by
/// [`Unique::Once`].
pub async fn issue_with(
    tx: &mut Tx,
    (purpose, digest): (Purpose, &Digest32),
    payload: &(impl Serialize + Sync),
    expires_at: Timestamp,
    once: &Once,
) -> Result<(), StoreError> {
    let used = names(once);
    let statement = match used.as_slice() {
        [] => return issue(tx, purpose, digest, payload, expires_at).await,
        [_] => ISSUE_WITH_ONE,
        _ => ISSUE_WITH_BOTH,
    };
    let mut values = vec![
        purpose.as_str().into(),
        digest.into(),
        text(payload)?.into(),
        tx.now().into(),
        expires_at.into(),
    ];
    for (purpose, name, good_until) in used {
        values.extend([purpose.as_str().into(), name.into(), good_until.into()]);
    }
    tx.execute(statement, &values).await.map(drop)
}

/// What counts once, always in one order: of two who use the same, neither waits for the other in a ring.
fn names(once: &Once) -> Vec<(Purpose, &Digest32, Timestamp)> {
    let assertion = once.assertion.as_ref();
    let assertion = assertion.map(|shown| (Purpose::AssertionJti, &shown.name, shown.good_until));
    let proof = once.proof.as_ref().map(|proof| (Purpose::DpopProof, &proof.name, proof.good_until));
    assertion.into_iter().chain(proof).collect()
}

/// Uses up what counts once, in one statement, or fails by [`Unique::Once`] when something of it was used before.
pub async fn use_up(tx: &mut Tx, once: &Once) -> Result<(), StoreError> {
    let now = tx.now();
    let is_new = match names(once).as_slice() {
        [] => true,
        [(purpose, name, good_until)] => remember(tx, *purpose, name, *good_until, now).await?,
        [assertion, proof, ..] => {
            let values = [
                assertion.0.as_str().into(),
                assertion.1.into(),
                assertion.2.into(),
                now.into(),
                proof.0.as_str().into(),
                proof.1.into(),
                proof.2.into(),
            ];
            tx.execute(REMEMBER_BOTH, &values).await? == 2
        }
    };
    if is_new { Ok(()) } else { Err(StoreError::Conflict(Unique::Once)) }
}

/// Uses it up, or gives `None` when it is unknown, expired or used already; then ask [`find_spent`].
pub async fn consume<T: DeserializeOwned>(
    tx: &mut Tx,
    purpose: Purpose,
    digest: &Digest32,
    now: Timestamp,
) -> Result<Option<T>, StoreError> {
    let values = [purpose.as_str().into(), digest.into(), now.into()];
    tx.fetch_optional(CONSUME, &values).await?.map(|row| row.json(0)).transpose()
}

/// The same for what a user allowed, whose account it holds until the transaction ends: whoever takes back what was allowed waits, and
/// finds what was bought; or is waited for, and is found by whatever is read next. See [`users::hold`].
///
/// It is one statement, except for what replicas issued that do not say beside it whose it is.
pub async fn consume_from_user<T: Allowed + DeserializeOwned>(
    tx: &mut Tx,
    purpose: Purpose,
    digest: &Digest32,
    now: Timestamp,
) -> Result<Option<T>, StoreError> {
    let values = [purpose.as_str().into(), digest.into(), now.into()];
    let statement = tx.dialect().consume_from_user();
    let Some(row) = tx.fetch_optional(statement, &values).await? else { return Ok(None) };
    let allowed: T = row.json(0)?;
    if row.get::<Option<String>>(1)?.as_deref() != Some(allowed.user().as_str()) {
        users::keep(tx, allowed.user()).await?;
    }
    Ok(Some(allowed))
}

/// What it stands for, without using it up: to show a page before the deed.
pub async fn find<T: DeserializeOwned>(
    tx: &mut Tx,
    purpose: Purpose,
    digest: &Digest32,
    now: Timestamp,
) -> Result<Option<T>, StoreError> {
    let values = [purpose.as_str().into(), digest.into(), now.into()];
    tx.fetch_optional(FIND, &values).await?.map(|row| row.json(0)).transpose()
}

/// Forgets what was issued about a user and nobody used yet.
pub async fn forget_of(tx: &mut Tx, purpose: Purpose, user: &UserId) -> Result<(), StoreError> {
    tx.execute(FORGET_OF_USER, &[purpose.as_str().into(), user.into()]).await.map(drop)
}

/// When what was issued about a user last, and nobody used yet, ends.
pub async fn latest_of(
    tx: &mut Tx,
    purpose: Purpose,
    user: &UserId,
) -> Result<Option<Timestamp>, StoreError> {
    let row = tx.fetch_optional(LATEST_OF_USER, &[purpose.as_str().into(), user.into()]).await?;
    row.map_or(Ok(None), |row| row.get(0))
}

/// The same of what ends later than this.
pub async fn forget_later(
    tx: &mut Tx,
    purpose: Purpose,
    user: &UserId,
    until: Timestamp,
) -> Result<(), StoreError> {
    let values = [purpose.as_str().into(), user.into(), until.into()];
    tx.execute(FORGET_LATER_OF_USER, &values).await.map(drop)
}

/// Forgets what a user allowed a client and nobody used yet; gives whether there was something.
pub async fn forget_between(
    tx: &mut Tx,
    purpose: Purpose,
    user: &UserId,
    client: &ClientId,
) -> Result<bool, StoreError> {
    let member = |name: &str, id: &str| {
        let text = serde_json::to_string(id);
        text.map(|id| format!("\"{name}\":{id}"))
            .map_err(|error| StoreError::Unexpected { reason: error.to_string() })
    };
    let values = [
        purpose.as_str().into(),
        member("user", user.as_str())?.into(),
        member("client", client.as_str())?.into(),
    ];
    Ok(tx.execute(FORGET, &values).await? > 0)
}

/// What something stood for that was used already: a replay revokes what the first use bought.
pub async fn find_spent<T: DeserializeOwned>(
    tx: &mut Tx,
    purpose: Purpose,
    digest: &Digest32,
) -> Result<Option<T>, StoreError> {
    let values = [purpose.as_str().into(), digest.into()];
    tx.fetch_optional(FIND_SPENT, &values).await?.map(|row| row.json(0)).transpose()
}

/// Notes that somebody else's single-use value was seen: `true` for the first one who says so.
pub async fn remember(
    tx: &mut Tx,
    purpose: Purpose,
    digest: &Digest32,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let values = [purpose.as_str().into(), digest.into(), expires_at.into(), now.into()];
    Ok(tx.execute(REMEMBER, &values).await? > 0)
}
