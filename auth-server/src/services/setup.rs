//! The first administrator: a link that works once makes them, and afterwards there is no such way in.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::SetupFrom;
use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::secret::{Digest32, Entropy, OpaqueToken, TokenKind};
use crate::domain::user::{PasswordHash, User};
use crate::services::admin_error::AdminError;
use crate::services::assignments::AssignmentService;
use crate::services::caller::Caller;
use crate::services::fields::FieldErrors;
use crate::services::owners::Owners;
use crate::services::password::{HashError, NotTaken, PasswordHasher};
use crate::services::users::form::{AccountDetails, UserForm, weak};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Outcome, Store, StoreError, Turn, Tx, credentials, users};

/// How long a link works.
pub const LINK_TTL: Duration = Duration::from_hours(1);

/// Stands in the single-use store, for ever, once there was a first administrator. It is no link: nothing hashes to it that starts
/// like one.
const FINISHED: &[u8] = b"set-up finished";

/// Makes the first administrator.
#[derive(Clone)]
pub struct SetupService {
    store: Store,
    entropy: Entropy,
    hasher: PasswordHasher,
    ownership: Ownership,
    from: SetupFrom,
    /// Set once and never unset, so that the page costs nothing after its only use.
    finished: Arc<AtomicBool>,
}

/// Who owns the server, and how somebody comes to.
#[derive(Clone)]
pub(crate) struct Ownership {
    pub(crate) owners: Owners,
    pub(crate) assignments: AssignmentService,
}

/// Who wants to be the first administrator, as text from the page.
#[derive(Clone)]
pub struct NewAdmin {
    /// The secret of the link.
    pub code: String,
    /// What the person will type to sign in.
    pub username: String,
    /// With what password.
    pub password: String,
}

/// Why there is no first administrator yet, or no link.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Too much is going on; come back later.
    #[error("the server is busy")]
    Busy {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The code is unknown, used or too old.
    #[error("the set-up code is unknown, used or too old")]
    Code,
    /// There is an administrator already.
    #[error("this server has an administrator already")]
    Finished,
    /// Fields that cannot be accepted.
    #[error("some fields cannot be accepted: {0}")]
    Invalid(FieldErrors),
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] AdminError),
}

impl Outcome for SetupError {
    fn is_fault(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_fault(),
            Self::Busy { .. } | Self::Code | Self::Finished | Self::Invalid(_) => false,
        }
    }
}

impl From<StoreError> for SetupError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<HashError> for SetupError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy { retry_after } => Self::Busy { retry_after },
            HashError::Argon2(_)
            | HashError::Examined
            | HashError::List(_)
            | HashError::Start(_)
            | HashError::Stored
            | HashError::Unreadable(_) => Self::Failed(error.into()),
        }
    }
}

impl From<NotTaken> for SetupError {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Hash(error) => error.into(),
            NotTaken::Weak(weakness) => Self::Invalid(weak(weakness)),
        }
    }
}

impl SetupService {
    pub(crate) fn new(
        store: Store,
        entropy: Entropy,
        hasher: PasswordHasher,
        ownership: Ownership,
        from: SetupFrom,
    ) -> Self {
        Self { store, entropy, hasher, ownership, from, finished: Arc::default() }
    }

    /// Whether nobody administers this server yet.
    pub async fn pending(&self) -> Result<bool, SetupError> {
        if self.finished.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let finished = is_finished(&mut self.store.read().await?, &self.ownership.owners).await?;
        self.finished.fetch_or(finished, Ordering::Relaxed);
        Ok(!finished)
    }

    /// Whether the page may be shown to somebody at this address.
    pub fn is_open_to(&self, address: IpAddr) -> bool {
        match self.from {
            SetupFrom::Anywhere => true,
            SetupFrom::Loopback => address.to_canonical().is_loopback(),
        }
    }

    /// Makes the secret of a link. Those made before stay good for their hour: each was printed for the operator alone.
    pub async fn issue_link(&self, actor: Actor) -> Result<OpaqueToken, SetupError> {
        let link = OpaqueToken::generate(TokenKind::SetupLink, &self.entropy);
        let (digest, owners) = (link.digest(), self.ownership.owners.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    if is_finished(tx, &owners).await? {
                        return Err(SetupError::Finished);
                    }
                    let expires_at = tx.now().plus(LINK_TTL);
                    single_use::issue(tx, Purpose::SetupLink, &digest, &(), expires_at).await?;
                    tx.audit(AuditEvent::new(actor, AuditAction::SetupLinkIssued));
                    Ok(())
                })
            })
            .await?;
        Ok(link)
    }

    /// Makes the first administrator, who owns the server. Of several attempts at once one succeeds, on any replica.
    pub async fn create_admin(
        &self,
        form: &NewAdmin,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<User, SetupError> {
        let link = self.known_link(&form.code, now).await?;
        let details = form.account().map_err(SetupError::Invalid)?;
        let hash = match &details.password {
            Some(password) => self.hasher.take(password, details.username.as_str()).await?,
            None => return Err(SetupError::Invalid(FieldErrors::of("/password", "missing", "is missing"))),
        };
        let user = details.user(now, &self.entropy);
        let caller =
            Caller { actor: Actor::User(user.id.clone()), address: Some(address), ..Caller::system(now) };
        let ownership = self.ownership.clone();
        let made = self
            .store
            .write(move |tx| {
                Box::pin(async move { make(tx, &ownership, &link, Made { user, hash }, &caller).await })
            })
            .await;
        match made {
            Err(SetupError::Failed(AdminError::Taken(errors))) => Err(SetupError::Invalid(errors)),
            Ok(user) => {
                self.finished.store(true, Ordering::Relaxed);
                Ok(user)
            }
            Err(error) => Err(error),
        }
    }

    /// Looks at the code before anything else is done, so that a stranger cannot make us hash passwords.
    async fn known_link(&self, code: &str, now: Timestamp) -> Result<Digest32, SetupError> {
        if !self.pending().await? {
            return Err(SetupError::Finished);
        }
        let link = OpaqueToken::parse_as(TokenKind::SetupLink, code.trim()).map_err(|_| SetupError::Code)?;
        let mut tx = self.store.read().await?;
        match single_use::find::<()>(&mut tx, Purpose::SetupLink, &link.digest(), now).await? {
            Some(()) => Ok(link.digest()),
            None => Err(SetupError::Code),
        }
    }
}

impl NewAdmin {
    fn account(&self) -> Result<AccountDetails, FieldErrors> {
        let (username, password) = (self.username.clone(), Some(self.password.clone()));
        UserForm { username, password, ..UserForm::default() }.parse()
    }
}

/// The account that is about to be made.
struct Made {
    user: User,
    hash: PasswordHash,
}

async fn make(
    tx: &mut Tx,
    ownership: &Ownership,
    link: &Digest32,
    made: Made,
    caller: &Caller,
) -> Result<User, SetupError> {
    tx.one_at_a_time(Turn::Administration).await?;
    if is_finished(tx, &ownership.owners).await? {
        return Err(SetupError::Finished);
    }
    if single_use::consume::<()>(tx, Purpose::SetupLink, link, caller.now).await?.is_none() {
        return Err(SetupError::Code);
    }
    let for_ever = Timestamp::from_micros(i64::MAX);
    single_use::remember(tx, Purpose::SetupLink, &Digest32::of(FINISHED), for_ever, caller.now).await?;
    users::insert(tx, &made.user).await?;
    credentials::set_password(tx, &made.user.id, &made.hash, caller.now).await?;
    ownership.assignments.make_owner(tx, &made.user.id, caller).await?;
    tx.audit(caller.event(AuditAction::SetupCompleted).on(&made.user.id));
    tx.invalidate();
    Ok(made.user)
}

/// There was a first administrator, or somebody became an owner by another way.
async fn is_finished(tx: &mut Tx, owners: &Owners) -> Result<bool, SetupError> {
    let marker = Digest32::of(FINISHED);
    if single_use::find_spent::<()>(tx, Purpose::SetupLink, &marker).await?.is_some() {
        return Ok(true);
    }
    Ok(!owners.list(tx).await?.is_empty())
}
