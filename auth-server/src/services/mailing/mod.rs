//! Letters to people.
//!
//! A letter is written in the transaction that does what it tells of, so it is neither lost nor tells of what did not happen; whichever
//! replica comes to it sends it. Whom it goes to and what it says lies sealed, and only until it is settled.

mod deliver;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, RwLock};

use crate::domain::clock::Clock;
use crate::domain::ids::{LetterId, UserId};
use crate::domain::letter::{Letter, LetterState};
use crate::domain::mailbox::Mailbox;
use crate::domain::secret::{Digest32, Entropy};
use crate::domain::user::User;
use crate::keys::seal::Sealer;
use crate::mail::Mailer;
use crate::storage::mail_outbox::{self, NewLetter};
use crate::storage::{Store, StoreError, Tx};

/// What letters are sealed for.
const PURPOSE: &str = "letter";
/// What the key is for under which addresses are counted.
const TALLY: &str = "tally of letters";
/// In which time so many letters of a kind go to an address.
const COUNTED: Duration = Duration::from_hours(1);

/// Writes letters and sends them. Where mail is off, it does neither. Clones share everything.
#[derive(Clone)]
pub(crate) struct MailService(Option<Arc<Office>>);

/// What letters are written and sent with.
struct Office {
    parts: MailParts,
    tally: hmac::Key,
    /// One round of sending at a time.
    round: Mutex<()>,
    /// Held to read by everything that is on its way.
    flights: Arc<RwLock<()>>,
}

/// What the service needs.
pub(crate) struct MailParts {
    pub(crate) store: Store,
    pub(crate) sealer: Sealer,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) mailer: Mailer,
    pub(crate) limits: MailLimits,
}

/// How many letters, and how long sending one may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MailLimits {
    pub(crate) per_address_per_hour: u32,
    pub(crate) timeout: Duration,
}

/// What is sealed.
#[derive(Deserialize, Serialize)]
struct Contents {
    to: Mailbox,
    letter: Letter,
}

/// Whom a letter goes to.
pub(crate) struct Addressee {
    /// Where.
    pub(crate) mailbox: Mailbox,
    /// Whose account it is about.
    pub(crate) user: Option<UserId>,
}

impl Addressee {
    /// The owner of an account, if there is an address.
    pub(crate) fn of(user: &User) -> Option<Self> {
        let email = user.email.clone()?;
        Some(Self { mailbox: Mailbox::new(&user.name, email), user: Some(user.id.clone()) })
    }

    /// The same, greeted by name only where somebody said that the address is theirs: what an account calls itself is no greeting for a
    /// stranger.
    pub(crate) fn of_reader(user: &User) -> Option<Self> {
        let name = if user.email_verified_at.is_some() { user.name.as_str() } else { "" };
        let mailbox = Mailbox::new(name, user.email.clone()?);
        Some(Self { mailbox, user: Some(user.id.clone()) })
    }
}

impl MailService {
    pub(crate) fn new(parts: MailParts) -> Self {
        let tally = hmac::Key::new(hmac::HMAC_SHA256, &parts.sealer.derive(TALLY));
        Self(Some(Arc::new(Office { parts, tally, round: Mutex::default(), flights: Arc::default() })))
    }

    /// Nobody is written to.
    pub(crate) const fn off() -> Self {
        Self(None)
    }

    /// Writes a letter to the owner of an account, to be sent once the transaction is committed. Nobody is told of what stands above
    /// the limit of an address: it runs the same statements, and is not sent.
    pub(crate) async fn post(&self, tx: &mut Tx, letter: Letter, to: &User) -> Result<(), StoreError> {
        match Addressee::of(to) {
            Some(to) => self.post_to(tx, letter, Some(to)).await.map(drop),
            None => Ok(()),
        }
    }

    /// The same to whomever; gives whether it is sent. To nobody, where who asks must not learn whether there is somebody: it does the same, and is not sent.
    pub(crate) async fn post_to(
        &self,
        tx: &mut Tx,
        letter: Letter,
        to: Option<Addressee>,
    ) -> Result<bool, StoreError> {
        let Some(office) = &self.0 else { return Ok(false) };
        let tally = match &to {
            Some(to) => office.tally(&letter, &Office::counted(&letter, to)),
            None => Digest32::from_bytes(office.parts.entropy.bytes()),
        };
        office.keep(tx, letter, to, tally).await
    }

    /// The same for whoever was meant by what somebody typed. Requests for one account wait for each other, and so do those for one text
    /// that means nobody: how long they take says nothing of whether there is somebody.
    pub(crate) async fn post_asked(
        &self,
        tx: &mut Tx,
        letter: Letter,
        to: Option<Addressee>,
        typed: &str,
    ) -> Result<bool, StoreError> {
        let Some(office) = &self.0 else { return Ok(false) };
        let counted = match &to {
            Some(to) => Office::counted(&letter, to),
            None => format!("nobody\0{}", typed.trim().to_lowercase()),
        };
        let tally = office.tally(&letter, &counted);
        office.keep(tx, letter, to, tally).await
    }
}

impl Office {
    /// Keeps a letter, to be sent if there is somebody who was not sent too many, and gives whether it is.
    async fn keep(
        &self,
        tx: &mut Tx,
        letter: Letter,
        to: Option<Addressee>,
        tally: Digest32,
    ) -> Result<bool, StoreError> {
        let MailParts { entropy, sealer, limits, .. } = &self.parts;
        let now = tx.now();
        let (kind, lifetime) = (letter.name(), letter.lifetime());
        let (most, within) = match letter.rest() {
            Some(rest) => (1, rest),
            None => (limits.per_address_per_hour, COUNTED),
        };
        let count = mail_outbox::count(tx, &tally, now.minus(within)).await?;
        let is_too_many = count >= u64::from(most) && !letter.is_the_only_way_back();
        let is_void = to.is_none() || is_too_many;
        let id = LetterId::generate(now, entropy);
        let (mailbox, user) = to.map_or((None, None), |to| (Some(to.mailbox), to.user));
        let text = match mailbox {
            Some(to) => serde_json::to_vec(&Contents { to, letter }),
            None => serde_json::to_vec(&letter),
        };
        let text = text.map_err(|error| StoreError::Unexpected { reason: error.to_string() })?;
        let sealed = sealer.seal(PURPOSE, id.as_str().as_bytes(), &text);
        let letter =
            NewLetter { id, kind, user, tally, sealed, created_at: now, expires_at: now.plus(lifetime) };
        let state = if is_void { LetterState::Void } else { LetterState::Waiting };
        mail_outbox::insert(tx, &letter, state).await?;
        Ok(!is_void)
    }

    /// What letters of a kind are counted for: an account, or an address.
    fn counted(letter: &Letter, to: &Addressee) -> String {
        let account =
            to.user.as_ref().filter(|_| letter.rest().is_some()).map(|user| user.as_str().to_owned());
        account.unwrap_or_else(|| to.mailbox.address().compared())
    }

    /// Stands for what letters are counted for, and for their kind: who has the key can count, and nobody can tell whose it is.
    fn tally(&self, letter: &Letter, counted: &str) -> Digest32 {
        let message = format!("{}\0{counted}", letter.counted_as());
        let tag = hmac::sign(&self.tally, message.as_bytes());
        Digest32::of(tag.as_ref())
    }
}

impl fmt::Debug for MailService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailService").field("sends", &self.0.is_some()).finish()
    }
}
