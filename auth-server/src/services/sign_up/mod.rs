//! Accounts that people make themselves, by a link that goes to an address of mail: to whichever they name, or to one that an
//! administrator invited.
//!
//! Whoever asks learns nothing: an address that is new, one that an account has and one of an account that is switched off cost the same
//! limits, the same statements and one audit event, and get the same answer. Only the letter differs, and goes to that address.

mod create;
pub(crate) mod limits;

use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use self::create::NewAccount;
use self::limits::SignUpLimits;
use crate::config::SignUp;
use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ids::{InteractionId, InvitationId};
use crate::domain::letter::{Asked, Letter, LinkCode, PROOF};
use crate::domain::mailbox::Mailbox;
use crate::domain::secret::{Digest32, Entropy, OpaqueToken, TokenKind};
use crate::domain::user::{Email, InvalidEmail, User};
use crate::services::admin_error::AdminError;
use crate::services::assignments::AssignmentService;
use crate::services::fields::FieldErrors;
use crate::services::login::{LoginError, LoginService};
use crate::services::login_limits::Throttled;
use crate::services::mailing::{Addressee, MailService};
use crate::services::password::{NotTaken, PasswordHasher};
use crate::services::users::form::weak;
use crate::services::visit::Visit;
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Outcome, Store, StoreError, Tx, invitations, users};

/// Lets people make accounts.
#[derive(Clone)]
pub(crate) struct SignUpService {
    store: Store,
    how: SignUp,
    parts: SignUpParts,
}

/// What the service needs besides the database.
#[derive(Clone)]
pub(crate) struct SignUpParts {
    pub(crate) hasher: PasswordHasher,
    pub(crate) limits: SignUpLimits,
    pub(crate) entropy: Entropy,
    pub(crate) mail: MailService,
    pub(crate) login: LoginService,
    pub(crate) assignments: AssignmentService,
}

/// Somebody wants an account.
pub(crate) struct Newcomer<'a> {
    /// An address, as it was typed.
    pub(crate) address: &'a str,
    /// The flow of an application that led here.
    pub(crate) interaction: Option<InteractionId>,
    pub(crate) user_agent: &'a str,
    pub(crate) visit: &'a Visit,
}

/// What a link is good for: an account with this address.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Offer {
    pub(crate) address: Email,
    /// Where it leads in the browser that asked for it.
    pub(crate) interaction: Option<InteractionId>,
    /// What an administrator offers with it.
    pub(crate) invitation: Option<InvitationId>,
}

/// Why there is no account, or no letter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignUpError {
    #[error(transparent)]
    Address(#[from] InvalidEmail),
    /// The link is unknown, used or too old, or the invitation was taken back.
    #[error("the link makes no account, or no longer")]
    Code,
    #[error(transparent)]
    Failed(#[from] AdminError),
    /// An account has got the address since the letter was sent.
    #[error("an account has the address by now")]
    Held,
    /// Fields that cannot be accepted.
    #[error("some fields cannot be accepted: {0}")]
    Invalid(#[from] FieldErrors),
    /// What can be wrong with a sign-in as well: too many tries, a fault.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl Outcome for SignUpError {
    fn is_fault(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_fault(),
            Self::Login(error) => error.is_fault(),
            Self::Address(_) | Self::Code | Self::Held | Self::Invalid(_) => false,
        }
    }
}

impl From<NotTaken> for SignUpError {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Hash(error) => Self::Login(error.into()),
            NotTaken::Weak(weakness) => Self::Invalid(weak(weakness)),
        }
    }
}

impl From<StoreError> for SignUpError {
    fn from(error: StoreError) -> Self {
        Self::Login(error.into())
    }
}

impl SignUpService {
    pub(crate) const fn new(store: Store, how: SignUp, parts: SignUpParts) -> Self {
        Self { store, how, parts }
    }

    /// Whether everybody may make an account.
    pub(crate) const fn is_open(&self) -> bool {
        self.how.is_open()
    }

    /// Whether anybody may: those who were invited at least.
    pub(crate) const fn is_on(&self) -> bool {
        self.how.takes_invitations()
    }

    /// Writes to an address: how an account is made with it, or that one has it.
    pub(crate) async fn ask(&self, newcomer: Newcomer<'_>) -> Result<(), SignUpError> {
        let Newcomer { address, interaction, user_agent, visit } = newcomer;
        let address = Email::parse(address.trim())?;
        self.admit(visit)?;
        let holder = users::find_by_address(&mut self.store.read().await?, &address).await?;
        let link = OpaqueToken::generate(TokenKind::LetterLink, &self.parts.entropy);
        let asked = Asked::by(user_agent, visit.address, visit.now);
        let event = AuditEvent::new(Actor::Anonymous, AuditAction::SignUpRequested).from(Some(visit.address));
        let reply = Reply::to(address, interaction, (&link, asked), holder.as_ref());
        let event = match &holder {
            Some(user) => event.refused().on(&user.id).with(json!({ "address": "held" })),
            None => event,
        };
        let (digest, mail) = (link.digest(), self.parts.mail.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let Reply { offer, letter, to } = reply;
                    let expires_at = tx.now().plus(PROOF);
                    single_use::issue(tx, Purpose::SignUp, &digest, &offer, expires_at).await?;
                    mail.post_to(tx, letter, to).await?;
                    tx.audit(event);
                    Ok::<(), StoreError>(())
                })
            })
            .await?;
        Ok(())
    }

    /// What a code makes; `None` when it makes nothing, or no longer. Nothing is used up.
    pub(crate) async fn offered(&self, code: &str, visit: &Visit) -> Result<Option<Offer>, StoreError> {
        let Some(link) = LinkCode::copied(code) else { return Ok(None) };
        let mut tx = self.store.read().await?;
        good(&mut tx, self.how, &link.digest(), visit).await
    }

    fn admit(&self, visit: &Visit) -> Result<(), LoginError> {
        let admitted = self.parts.limits.admit(visit);
        admitted.map_err(|retry_after| LoginError::Throttled(Throttled { retry_after }))
    }
}

/// What a link is good for now.
async fn good(tx: &mut Tx, how: SignUp, link: &Digest32, visit: &Visit) -> Result<Option<Offer>, StoreError> {
    let found = single_use::find::<Option<Offer>>(tx, Purpose::SignUp, link, visit.now).await?;
    let Some(offer) = found.flatten() else { return Ok(None) };
    let Some(id) = &offer.invitation else { return Ok(how.is_open().then_some(offer)) };
    let invitation = invitations::find_good(tx, id, link, visit.now).await?;
    Ok(invitation.filter(|_| how.takes_invitations()).map(|_| offer))
}

/// What an address is sent, and what its link is good for.
struct Reply {
    offer: Option<Offer>,
    letter: Letter,
    to: Option<Addressee>,
}

impl Reply {
    fn to(
        address: Email,
        interaction: Option<InteractionId>,
        (link, asked): (&OpaqueToken, Asked),
        holder: Option<&User>,
    ) -> Self {
        match holder {
            None => Self {
                letter: Letter::SignUp { code: LinkCode::of(link), asked },
                // Nobody said yet that it is theirs.
                to: Some(Addressee { mailbox: Mailbox::new("", address.clone()), user: None }),
                offer: Some(Offer { address, interaction, invitation: None }),
            },
            Some(user) => Self {
                letter: Letter::AccountExists { username: user.username.as_str().to_owned(), asked },
                to: Addressee::of_reader(user),
                offer: None,
            },
        }
    }
}
