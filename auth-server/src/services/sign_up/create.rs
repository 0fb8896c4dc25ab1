//! What the link in a letter does: it makes an account, once, and signs in to it.

use serde_json::json;

use crate::config::SignUp;
use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ids::InteractionId;
use crate::domain::invitation::{Invitation, InvitedRole};
use crate::domain::letter::LinkCode;
use crate::domain::secret::Digest32;
use crate::domain::user::{Email, PasswordHash, User, Username};
use crate::services::assignments::{AssignmentForm, AssignmentService};
use crate::services::caller::Caller;
use crate::services::fields::FieldErrors;
use crate::services::login::{BrowserTraits, LoginError, SignedIn};
use crate::services::login_limits::Throttled;
use crate::services::sign_up::{Offer, SignUpError, SignUpService, good};
use crate::services::users::form::UserForm;
use crate::services::visit::Visit;
use crate::storage::credentials::{self, SignInRow};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Turn, Tx, apis, invitations, roles, users};

/// Somebody makes an account.
pub(crate) struct NewAccount<'a> {
    pub(crate) code: &'a str,
    pub(crate) username: &'a str,
    pub(crate) name: &'a str,
    pub(crate) password: &'a str,
    pub(crate) browser: BrowserTraits<'a>,
    pub(crate) visit: &'a Visit,
}

/// What is done in the transaction.
struct Creation {
    how: SignUp,
    link: Digest32,
    user: User,
    password: PasswordHash,
    visit: Visit,
    assignments: AssignmentService,
}

impl SignUpService {
    /// Makes an account with an address that its owner reads, and signs in to it. Gives the flow that led to it, if one did.
    pub(crate) async fn create(
        &self,
        new: NewAccount<'_>,
    ) -> Result<(SignedIn, Option<InteractionId>), SignUpError> {
        let NewAccount { code, browser, visit, .. } = new;
        self.admit(visit)?;
        // Before anything is hashed: a stranger cannot make us do that.
        let offer = self.offered(code, visit).await?.ok_or(SignUpError::Code)?;
        let link = LinkCode::copied(code).ok_or(SignUpError::Code)?.digest();
        let details = form(&offer, &new).parse()?;
        own_name(&details.username, &offer)?;
        let Some(password) = details.password.clone() else { return Err(SignUpError::Code) };
        let admitted = self.parts.limits.admit_name(&link);
        admitted.map_err(|retry_after| LoginError::Throttled(Throttled { retry_after }))?;
        require_free(&mut self.store.read().await?, (&details.username, &offer.address)).await?;
        let user = details.user(visit.now, &self.parts.entropy);
        let creation = Creation {
            how: self.how,
            link,
            password: self.parts.hasher.take(&password, user.username.as_str()).await?,
            // Nobody else can read what goes there.
            user: User { email_verified_at: Some(visit.now), ..user },
            visit: visit.clone(),
            assignments: self.parts.assignments.clone(),
        };
        let row = self.store.write(move |tx| Box::pin(async move { creation.done(tx).await })).await?;
        Ok((self.parts.login.welcome(row, browser, visit).await?, offer.interaction))
    }
}

fn form(offer: &Offer, new: &NewAccount<'_>) -> UserForm {
    UserForm {
        username: new.username.trim().to_owned(),
        name: new.name.trim().to_owned(),
        email: Some(offer.address.as_str().to_owned()),
        password: Some(new.password.to_owned()),
        ..UserForm::default()
    }
}

/// Nobody goes by the address of somebody else.
fn own_name(username: &Username, offer: &Offer) -> Result<(), FieldErrors> {
    let is_own = offer.address.compared() == username.as_str();
    // The wide and the small one look alike.
    if !username.as_str().contains(['@', '\u{ff20}', '\u{fe6b}']) || is_own {
        return Ok(());
    }
    Err(FieldErrors::of("/username", "foreign", "a user name that is an address has to be the own one"))
}

/// One name belongs to one account, and one address to one that somebody made.
async fn require_free(tx: &mut Tx, (username, address): (&Username, &Email)) -> Result<(), SignUpError> {
    if users::find_by_address(tx, address).await?.is_some() {
        return Err(SignUpError::Held);
    }
    match users::find_by_username(tx, username).await? {
        Some(_) => Err(FieldErrors::of("/username", "taken", "somebody else has this name").into()),
        None => Ok(()),
    }
}

impl Creation {
    async fn done(self, tx: &mut Tx) -> Result<SignInRow, SignUpError> {
        let (now, address) = (self.visit.now, self.visit.address);
        // Of two who make an account with one link, one name or one address, one does.
        tx.one_at_a_time(Turn::Administration).await?;
        let offer = good(tx, self.how, &self.link, &self.visit).await?.ok_or(SignUpError::Code)?;
        require_free(tx, (&self.user.username, &offer.address)).await?;
        if single_use::consume::<Option<Offer>>(tx, Purpose::SignUp, &self.link, now).await?.is_none() {
            return Err(SignUpError::Code);
        }
        let invitation = match &offer.invitation {
            Some(id) => invitations::find(tx, id).await?,
            None => None,
        };
        let mut user = self.user;
        if let Some(organisation) = invitation.as_ref().and_then(|found| found.organisation.clone()) {
            user.organisation = organisation;
        }
        users::insert(tx, &user).await?;
        credentials::set_password(tx, &user.id, &self.password, now).await?;
        let event = AuditEvent::new(Actor::User(user.id.clone()), AuditAction::UserSignedUp);
        let detail = match &invitation {
            Some(Invitation { id, invited_by, .. }) => {
                json!({ "by": "invitation", "invitation": id.as_str(), "invited_by": invited_by })
            }
            None => json!({ "by": "letter" }),
        };
        tx.audit(event.on(&user.id).from(Some(address)).with(detail));
        if let Some(invitation) = invitation {
            let caller = Caller { address: Some(address), ..Caller::system(now) };
            take(tx, &self.assignments, (&invitation, &user), &caller).await?;
        }
        Ok(SignInRow { user, password: Some(self.password), second_step: None, leaving: None })
    }
}

/// Gives what was promised, as far as it is still there.
async fn take(
    tx: &mut Tx,
    assignments: &AssignmentService,
    (invitation, user): (&Invitation, &User),
    caller: &Caller,
) -> Result<(), SignUpError> {
    invitations::delete(tx, &invitation.id).await?;
    for InvitedRole { api, role } in &invitation.roles {
        let Some(api) = apis::find(tx, api).await? else { continue };
        if !roles::list(tx, &api.id).await?.iter().any(|known| known.name == *role) {
            continue;
        }
        let form = AssignmentForm {
            role: role.as_str().to_owned(),
            subject: user.id.to_string(),
            // Those of the admin API count everywhere.
            organisation: invitation
                .organisation
                .as_ref()
                .filter(|_| !api.administers)
                .map(ToString::to_string),
        };
        assignments.add(tx, &api, &form, caller).await?;
    }
    Ok(())
}
