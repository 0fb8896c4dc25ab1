//! A new password for whoever forgot theirs, by a link that goes to the address of the account.
//!
//! Whoever asks learns nothing: an unknown name, an account that is switched off and one without an address cost the same limits, the same
//! statements and one audit event, and get the same answer. Only the letter differs, and goes to nobody else.

mod reset;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ids::UserId;
use crate::domain::letter::{Asked, Letter, LinkCode, RESET};
use crate::domain::secret::{Digest32, Entropy, OpaqueToken, TokenKind};
use crate::domain::user::{Email, Username};
use crate::services::backchannel::LogoutNotices;
use crate::services::letter_limits::LetterLimits;
use crate::services::login::LoginError;
use crate::services::login_limits::Throttled;
use crate::services::mailing::{Addressee, MailService};
use crate::services::password::PasswordHasher;
use crate::services::visit::Visit;
use crate::storage::credentials::{self, SignInRow};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Store, StoreError, Tx};

/// Lets people set another password who forgot theirs.
#[derive(Clone)]
pub(crate) struct RecoveryService {
    store: Store,
    parts: RecoveryParts,
}

/// What the service needs besides the database.
#[derive(Clone)]
pub(crate) struct RecoveryParts {
    pub(crate) hasher: PasswordHasher,
    pub(crate) limits: LetterLimits,
    pub(crate) entropy: Entropy,
    pub(crate) notices: LogoutNotices,
    pub(crate) mail: MailService,
}

/// Somebody forgot the password.
pub(crate) struct Forgetful<'a> {
    /// A user name or an address, as it was typed.
    pub(crate) who: &'a str,
    pub(crate) user_agent: &'a str,
    pub(crate) visit: &'a Visit,
}

/// What a link is good for: an account as it was when the link was made. With another password, or another address, it is good for
/// nothing.
#[derive(Deserialize, Serialize)]
struct Target {
    user: UserId,
    /// Stands for the address and the password.
    state: String,
}

impl Target {
    fn of(row: &SignInRow) -> Self {
        Self { user: row.user.id.clone(), state: row.state().hex() }
    }

    fn is_still(&self, row: &SignInRow) -> bool {
        let kept = self.state.parse::<Digest32>();
        row.user.id == self.user && row.is_open() && kept.is_ok_and(|kept| kept.matches(&row.state()))
    }
}

impl RecoveryService {
    pub(crate) const fn new(store: Store, parts: RecoveryParts) -> Self {
        Self { store, parts }
    }

    /// Whether anybody can be written to. Where nobody can, an administrator sets passwords.
    pub(crate) const fn is_on(&self) -> bool {
        self.parts.mail.sends()
    }

    /// Writes to the owner of an account, if there is one.
    pub(crate) async fn ask(&self, asked: Forgetful<'_>) -> Result<(), LoginError> {
        let Forgetful { who, user_agent, visit } = asked;
        self.admit(visit)?;
        let found = self.found(who.trim()).await?;
        let mut letters = Vec::with_capacity(found.len());
        for row in &found {
            let link = OpaqueToken::generate(TokenKind::LetterLink, &self.parts.entropy);
            letters.push(Invitation::of(
                row.as_ref(),
                &link,
                Asked::by(user_agent, visit.address, visit.now),
            ));
        }
        let (address, mail, typed) = (visit.address, self.parts.mail.clone(), who.to_owned());
        let known =
            letters.iter().find_map(|letter| letter.target.as_ref()).map(|target| target.user.clone());
        let event =
            AuditEvent::new(Actor::Anonymous, AuditAction::PasswordResetRequested).from(Some(address));
        let event = match known {
            Some(user) => event.on(user),
            None => event.refused().with(json!({ "user": "unknown" })),
        };
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    for Invitation { digest, target, letter, to } in letters {
                        let expires_at = tx.now().plus(letter.lifetime());
                        single_use::issue(tx, Purpose::PasswordReset, &digest, &target, expires_at).await?;
                        mail.post_asked(tx, letter, to, &typed).await?;
                    }
                    tx.audit(event);
                    Ok::<(), StoreError>(())
                })
            })
            .await?;
        Ok(())
    }

    fn admit(&self, visit: &Visit) -> Result<(), LoginError> {
        let admitted = self.parts.limits.admit(visit.address);
        admitted.map_err(|retry_after| LoginError::Throttled(Throttled { retry_after }))
    }

    /// The accounts that somebody may mean, and nobody in the place of each that is not there: how many are looked for depends on what
    /// was typed alone. A text can be the user name of one account and the address of another.
    async fn found(&self, typed: &str) -> Result<Vec<Option<SignInRow>>, StoreError> {
        let mut tx = self.store.read().await?;
        let mut found: Vec<Option<SignInRow>> = Vec::new();
        if let Ok(name) = Username::parse(typed) {
            found.push(credentials::for_sign_in(&mut tx, &name).await?);
        }
        if let Ok(address) = Email::parse(typed) {
            let row = credentials::by_address(&mut tx, &address).await?;
            let is_new = |row: &SignInRow| found.iter().flatten().all(|other| other.user.id != row.user.id);
            let row = row.filter(is_new);
            found.push(row);
        }
        let is_reachable = |row: &SignInRow| row.is_open() && row.user.email.is_some();
        Ok(found.into_iter().map(|row| row.filter(is_reachable)).collect())
    }
}

/// Lets whoever has this link set another password, as a letter would.
pub(crate) async fn let_set(tx: &mut Tx, link: &Digest32, row: &SignInRow) -> Result<(), StoreError> {
    let expires_at = tx.now().plus(RESET);
    single_use::issue(tx, Purpose::PasswordReset, link, &Some(Target::of(row)), expires_at).await
}

/// A letter with its link, or what looks like one and goes to nobody.
struct Invitation {
    digest: Digest32,
    target: Option<Target>,
    letter: Letter,
    to: Option<Addressee>,
}

impl Invitation {
    fn of(row: Option<&SignInRow>, link: &OpaqueToken, asked: Asked) -> Self {
        let username = row.map_or("", |row| row.user.username.as_str()).to_owned();
        Self {
            digest: link.digest(),
            target: row.map(Target::of),
            letter: Letter::PasswordReset { code: LinkCode::of(link), username, asked },
            to: row.and_then(|row| Addressee::of(&row.user)),
        }
    }
}
