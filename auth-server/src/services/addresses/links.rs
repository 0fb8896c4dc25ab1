//! What the links in letters about addresses do, once each.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::letter::{ChangedBy, Letter, LinkCode, NOTICE};
use crate::domain::secret::{Digest32, OpaqueToken, TokenKind};
use crate::domain::user::{Email, PasswordHash, User, Username};
use crate::services::addresses::{AddressParts, AddressService};
use crate::services::backchannel::Departures;
use crate::services::deletion;
use crate::services::login::LoginError;
use crate::services::mailing::Addressee;
use crate::services::recovery;
use crate::services::visit::Visit;
use crate::storage::single_use::{self, Purpose};
use crate::storage::{StoreError, Turn, Tx, account_deletions, credentials, passkeys, second_steps, users};

/// How long a second step has to have been there when the address changed, to be one of the owner: for as long as they had to hear of it.
const HEARD_OF: Duration = NOTICE;

/// What is confirmed: that an account has an address, as long as it has the one that it had.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Proof {
    pub(super) user: UserId,
    pub(super) before: Option<Email>,
    pub(super) to: Email,
    /// Stands for the password by which it was asked for, where the address changes: once another is set, whoever knew that one has
    /// nothing in hand.
    pub(super) password: Option<String>,
}

impl Proof {
    /// Whether the account has another address afterwards.
    pub(super) fn changes(&self) -> bool {
        self.before.as_ref() != Some(&self.to)
    }
}

/// What is taken back: whatever address an account has, it was this one.
#[derive(Debug, Deserialize, Serialize)]
struct Return {
    user: UserId,
    to: Email,
    /// Until when it can be: those that were made later end later.
    until: Timestamp,
}

impl Return {
    /// What was added since counts as added by whoever changed the address: they choose what they do first. Of a link it is known until
    /// when it works, and so when the address changed, on whichever clock.
    fn theirs_since(&self) -> Timestamp {
        self.until.minus(NOTICE).minus(HEARD_OF)
    }
}

/// What a link would confirm.
pub(crate) struct Claimed {
    pub(crate) username: Username,
    pub(crate) address: Email,
}

impl AddressService {
    /// What a code would confirm; `None` when it confirms nothing, or no longer. Nothing is used up.
    pub(crate) async fn claimed(&self, code: &str, visit: &Visit) -> Result<Option<Claimed>, StoreError> {
        let Some(link) = LinkCode::copied(code) else { return Ok(None) };
        let mut tx = self.store.read().await?;
        let proof = single_use::find(&mut tx, Purpose::AddressProof, &link.digest(), visit.now).await?;
        let Some(proof) = proof else { return Ok(None) };
        let user = owner(&mut tx, &proof).await?;
        Ok(user.map(|user| Claimed { username: user.username, address: proof.to }))
    }

    /// Confirms an address: it counts from now on. [`LoginError::Wrong`]: the code is unknown, used or too old, or the account has another
    /// address since.
    pub(crate) async fn confirm(&self, code: &str, visit: &Visit) -> Result<(), LoginError> {
        let link = LinkCode::copied(code).ok_or(LoginError::Wrong)?.digest();
        let (parts, visit) = (self.parts.clone(), visit.clone());
        self.store.write(move |tx| Box::pin(async move { confirmed(tx, &link, &parts, &visit).await })).await
    }

    /// Puts an address back that another took the place of, and ends every session and every grant of the account. A second step goes, too,
    /// if whoever changed the address may have added it. What it gives sets another password: they know the one before. [`LoginError::Wrong`]: the code is unknown, used or too old.
    pub(crate) async fn put_back(
        &self,
        code: &str,
        visit: &Visit,
    ) -> Result<(OpaqueToken, Username), LoginError> {
        let link = LinkCode::copied(code).ok_or(LoginError::Wrong)?.digest();
        // Before anybody is held up: administrators wait for what is done with a code.
        let mut tx = self.store.read().await?;
        let known: Option<Return> =
            single_use::find(&mut tx, Purpose::AddressReturn, &link, visit.now).await?;
        drop(tx);
        if known.is_none() {
            return Err(LoginError::Wrong);
        }
        let next = OpaqueToken::generate(TokenKind::LetterLink, &self.parts.entropy);
        let (parts, visit, reset) = (self.parts.clone(), visit.clone(), next.digest());
        let (username, departures) = self
            .store
            .write(move |tx| Box::pin(async move { returned(tx, (&link, &reset), &parts, &visit).await }))
            .await?;
        self.parts.notices.send(departures);
        Ok((next, username))
    }
}

async fn confirmed(
    tx: &mut Tx,
    link: &Digest32,
    parts: &AddressParts,
    visit: &Visit,
) -> Result<(), LoginError> {
    let now = visit.now;
    // An administrator may be changing the same account.
    tx.one_at_a_time(Turn::Administration).await?;
    let proof: Option<Proof> = single_use::consume(tx, Purpose::AddressProof, link, now).await?;
    let Some(proof) = proof else { return Err(LoginError::Wrong) };
    let Some(before) = owner(tx, &proof).await? else { return Err(LoginError::Wrong) };
    // Whoever was switched off does not come back to the same address with another account.
    if proof.changes()
        && let Some(other) = users::find_by_address(tx, &proof.to).await?
        && other.id != before.id
        && !other.is_enabled()
        && is_switched_off(tx, &other).await?
    {
        return Err(LoginError::Wrong);
    }
    users::update(tx, &at(&before, proof.to.clone(), visit)).await?;
    if let (true, Some(old)) = (proof.changes(), &proof.before) {
        let link = OpaqueToken::generate(TokenKind::LetterLink, &parts.entropy);
        let letter = Letter::AddressChanged { code: LinkCode::of(&link), address: visit.address, at: now };
        // Later than those before it, whatever clock made them.
        let last = single_use::latest_of(tx, Purpose::AddressReturn, &before.id).await?;
        let after_last = last.map(|last| last.plus(Duration::from_micros(1)));
        let until = now.plus(letter.lifetime()).max(after_last.unwrap_or(now));
        let back = Return { user: before.id.clone(), to: old.clone(), until };
        let named = (Purpose::AddressReturn, &link.digest());
        single_use::issue_about(tx, named, &back, &before.id, until).await?;
        parts.mail.post_to(tx, letter, Addressee::of(&before)).await?;
    }
    let event = AuditEvent::new(Actor::User(before.id.clone()), AuditAction::AddressConfirmed);
    tx.audit(event.on(&before.id).from(Some(visit.address)).with(json!({ "changes": proof.changes() })));
    Ok(())
}

async fn returned(
    tx: &mut Tx,
    (link, reset): (&Digest32, &Digest32),
    parts: &AddressParts,
    visit: &Visit,
) -> Result<(Username, Departures), LoginError> {
    tx.one_at_a_time(Turn::Administration).await?;
    let back: Option<Return> = single_use::find(tx, Purpose::AddressReturn, link, visit.now).await?;
    let Some(back) = back else { return Err(LoginError::Wrong) };
    users::hold(tx, &back.user).await?;
    let Some(user) = users::find(tx, &back.user).await? else { return Err(LoginError::Wrong) };
    // Where there is nothing to put back yet, the letter stays good.
    let user = if user.is_enabled() { user } else { kept(tx, user, parts, visit).await? };
    let taken: Option<Return> = single_use::consume(tx, Purpose::AddressReturn, link, visit.now).await?;
    if taken.is_none() {
        return Err(LoginError::Wrong);
    }
    let since = back.theirs_since();
    let user = at(&user, back.to, visit);
    users::update(tx, &user).await?;
    // Whoever changed it may have changed it again, and must not have the last word; but whoever had it before them keeps theirs.
    single_use::forget_later(tx, Purpose::AddressReturn, &user.id, back.until).await?;
    single_use::forget_of(tx, Purpose::AddressProof, &user.id).await?;
    // They know the password: it is worth nothing from now on, and neither is a sign-in that waits for a second step.
    credentials::forget_password(tx, &user.id).await?;
    let departures = parts.notices.end_all(tx, &user.id, visit.now).await?;
    let row = credentials::for_sign_in(tx, &user.username).await?.ok_or(LoginError::Wrong)?;
    recovery::let_set(tx, reset, &row).await?;
    let gone = second_steps::remove_since(tx, &user.id, since).await?;
    let keys = passkeys::remove_since(tx, &user.id, since).await?;
    let told = |action| AuditEvent::new(Actor::Anonymous, action).on(&user.id).from(Some(visit.address));
    let detail = json!({ "second_step_removed": gone.step, "recovery_codes_removed": gone.codes, "passkeys_removed": keys });
    tx.audit(told(AuditAction::AddressReturned).with(detail));
    if gone.step {
        tx.audit(told(AuditAction::SecondStepRemoved).with(json!({ "by": "letter" })));
        let by = ChangedBy::Owner { address: visit.address };
        parts.mail.post(tx, Letter::SecondStepRemoved { by, at: visit.now }, &user).await?;
    }
    if keys > 0 {
        let by = ChangedBy::Owner { address: visit.address };
        tx.audit(told(AuditAction::PasskeyRemoved).with(json!({ "by": "letter", "passkeys": keys })));
        parts.mail.post(tx, Letter::PasskeyRemoved { by, at: visit.now }, &user).await?;
    }
    Ok((user.username, departures))
}

/// The account that whoever changed the address wanted deleted: that goes back, too. One that an administrator switched off stays off.
async fn kept(tx: &mut Tx, user: User, parts: &AddressParts, visit: &Visit) -> Result<User, LoginError> {
    if is_switched_off(tx, &user).await? {
        return Err(LoginError::Wrong);
    }
    let event = AuditEvent::new(Actor::Anonymous, AuditAction::UserDeletionWithdrawn).on(&user.id);
    let event = event.from(Some(visit.address)).with(json!({ "by": "letter" }));
    let user = deletion::keep(tx, user, event).await?.ok_or(LoginError::Wrong)?;
    // To the address that it has until now.
    deletion::tell_kept(tx, &parts.mail, ChangedBy::Owner { address: visit.address }, &user).await?;
    Ok(user)
}

/// The account with an address that somebody reads.
fn at(user: &User, address: Email, visit: &Visit) -> User {
    User {
        email: Some(address),
        email_verified_at: Some(visit.now),
        profile: user.profile.clone().updated(Some(visit.now)),
        ..user.clone()
    }
}

/// Whether an administrator switched an account off that is: its owner alone did not, by wanting it deleted.
async fn is_switched_off(tx: &mut Tx, user: &User) -> Result<bool, StoreError> {
    let asked = account_deletions::find(tx, &user.id).await?;
    Ok(asked.is_none_or(|asked| asked.barred_at.is_some()))
}

/// Whose address is confirmed, as long as the account has the one that it had.
async fn owner(tx: &mut Tx, proof: &Proof) -> Result<Option<User>, StoreError> {
    let user = users::find(tx, &proof.user).await?;
    let Some(user) = user.filter(|user| user.is_enabled() && user.email == proof.before) else {
        return Ok(None);
    };
    let Some(password) = &proof.password else { return Ok(Some(user)) };
    let row = credentials::for_sign_in(tx, &user.username).await?;
    let now = row.map(|row| PasswordHash::state_of(row.password.as_ref()));
    let kept = password.parse::<Digest32>().ok();
    let is_same = kept.zip(now).is_some_and(|(kept, now)| kept.matches(&now));
    Ok(is_same.then_some(user))
}
