//! Invitations: accounts that administrators offer. Whoever reads what goes to the address makes the account.
//!
//! Nobody gives by an invitation what they could not give by hand.

use std::time::Duration;

use serde_json::json;

use crate::config::SignUp;
use crate::domain::audit::{Actor, AuditAction};
use crate::domain::ids::{ApiId, InvitationId, OrganisationId};
use crate::domain::invitation::{Invitation, InvitedRole, MAX_DAYS, USUAL_DAYS};
use crate::domain::letter::{Letter, LinkCode};
use crate::domain::mailbox::Mailbox;
use crate::domain::rbac::{AssignmentSubject, RoleName};
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::domain::user::Email;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::fields::FieldErrors;
use crate::services::mailing::{Addressee, MailService};
use crate::services::owners::Owners;
use crate::services::paging::{Page, PageQuery};
use crate::services::permission::Permission;
use crate::services::policies::live::AdminPolicy;
use crate::services::sign_up::Offer;
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Store, Turn, Tx, apis, invitations, organisations, roles, users};

/// The most roles that come with one invitation.
const MAX_ROLES: usize = 50;
/// What it takes to give somebody a role.
const AN_HOUR: Duration = Duration::from_hours(1);

const GIVE_ROLES: Permission = Permission { object: "assignments", action: "create" };

/// Makes invitations, and takes them back.
#[derive(Clone)]
pub(crate) struct InvitationService {
    store: Store,
    parts: InvitationParts,
}

/// What the service needs besides the database.
#[derive(Clone)]
pub(crate) struct InvitationParts {
    pub(crate) how: SignUp,
    pub(crate) entropy: Entropy,
    pub(crate) owners: Owners,
    pub(crate) policy: AdminPolicy,
    pub(crate) mail: MailService,
}

/// Whom to invite, as text from any edge.
#[derive(Clone, Debug, Default)]
pub(crate) struct InvitationForm {
    /// Whom to write to.
    pub(crate) email: String,
    /// Where the account will belong, and where its roles count. Without it: to the first organisation, and everywhere.
    pub(crate) organisation: Option<String>,
    /// What it may do: the id of an API, and the name of a role.
    pub(crate) roles: Vec<(String, String)>,
    /// For how many days the link works. Without it: seven.
    pub(crate) days: Option<u32>,
}

impl InvitationService {
    pub(crate) const fn new(store: Store, parts: InvitationParts) -> Self {
        Self { store, parts }
    }

    /// Invites somebody.
    pub(crate) async fn create(
        &self,
        form: &InvitationForm,
        caller: &Caller,
    ) -> Result<Invitation, AdminError> {
        self.require_on()?;
        let invitation = form.parse(InvitationId::generate(caller.now, &self.parts.entropy), caller)?;
        let (this, caller) = (self.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    this.require_allowed(tx, &invitation, &caller).await?;
                    check_references(tx, &invitation).await?;
                    let link = OpaqueToken::generate(TokenKind::LetterLink, &this.parts.entropy);
                    invitations::insert(tx, &invitation, &link.digest()).await?;
                    this.send(tx, &invitation, &link, &caller).await?;
                    let roles: Vec<_> = invitation
                        .roles
                        .iter()
                        .map(|given| json!({ "api": given.api.as_str(), "role": given.role.as_str() }))
                        .collect();
                    let detail = json!({ "roles": roles, "expires_at": invitation.expires_at.rfc3339() });
                    tx.audit(caller.event(AuditAction::InvitationCreated).on(&invitation.id).with(detail));
                    Ok(invitation)
                })
            })
            .await
    }

    /// Lists invitations that nobody took yet, oldest first.
    pub(crate) async fn list(&self, query: &PageQuery) -> Result<Page<Invitation>, AdminError> {
        let mut tx = self.store.read().await?;
        let found = invitations::list(&mut tx, query.after(), query.probe()).await?;
        Ok(Page::of(found, query, |invitation| invitation.id.to_string()))
    }

    /// Sends the letter again, with another link: the one before works no longer, and the new one as long as that did.
    pub(crate) async fn send_again(
        &self,
        id: &InvitationId,
        caller: &Caller,
    ) -> Result<Invitation, AdminError> {
        self.require_on()?;
        let (this, id, caller) = (self.clone(), id.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let found = invitations::find(tx, &id).await?;
                    let before = found.ok_or(AdminError::NotFound(Thing::Invitation))?;
                    // Whoever sends it gives what it gives.
                    this.require_allowed(tx, &before, &caller).await?;
                    check_references(tx, &before).await?;
                    let expires_at = caller.now.plus(before.lifetime());
                    let invitation = Invitation { expires_at, ..before };
                    let link = OpaqueToken::generate(TokenKind::LetterLink, &this.parts.entropy);
                    invitations::renew(tx, &id, &link.digest(), invitation.expires_at).await?;
                    this.send(tx, &invitation, &link, &caller).await?;
                    tx.audit(caller.event(AuditAction::InvitationSentAgain).on(&id));
                    Ok(invitation)
                })
            })
            .await
    }

    /// Takes an invitation back: its link works no longer.
    pub(crate) async fn delete(&self, id: &InvitationId, caller: &Caller) -> Result<(), AdminError> {
        let (id, caller) = (id.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let found = invitations::find(tx, &id).await?;
                    let invitation = found.ok_or(AdminError::NotFound(Thing::Invitation))?;
                    // Whoever takes it back takes back what it gives.
                    for InvitedRole { api, .. } in &invitation.roles {
                        if let Some(api) = apis::find(tx, api).await? {
                            Owners::require_owner_of(&api, &caller)?;
                        }
                    }
                    invitations::delete(tx, &id).await?;
                    tx.audit(caller.event(AuditAction::InvitationDeleted).on(&id));
                    Ok(())
                })
            })
            .await
    }

    fn require_on(&self) -> Result<(), AdminError> {
        if self.parts.how.takes_invitations() {
            return Ok(());
        }
        Err(AdminError::Conflict("Nobody can be invited as long as `accounts.sign_up` is `closed`."))
    }

    /// Refuses what the caller could not give by hand.
    async fn require_allowed(
        &self,
        tx: &mut Tx,
        invitation: &Invitation,
        caller: &Caller,
    ) -> Result<(), AdminError> {
        let InvitationParts { owners, policy, .. } = &self.parts;
        // A rule that asks something of the sign-in does not see how this caller signed in: it gives nothing here, to owners neither.
        if invitation.roles.is_empty() || matches!(caller.actor, Actor::Operator | Actor::System) {
            return Ok(());
        }
        let subject = match &caller.actor {
            Actor::Client(client) => Some(AssignmentSubject::Client(client.clone())),
            Actor::User(user) => Some(AssignmentSubject::User(user.clone())),
            Actor::Anonymous | Actor::Operator | Actor::System => None,
        };
        let held = match &subject {
            Some(subject) => owners.roles(tx, subject).await?,
            None => Vec::new(),
        };
        if !policy.allows(&held, GIVE_ROLES) {
            let message = format!("giving roles takes the permission {GIVE_ROLES}");
            return Err(FieldErrors::of("/roles", "forbidden", message).into());
        }
        for InvitedRole { api, .. } in &invitation.roles {
            if let Some(api) = apis::find(tx, api).await? {
                Owners::require_owner_of(&api, caller)?;
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        tx: &mut Tx,
        invitation: &Invitation,
        link: &OpaqueToken,
        caller: &Caller,
    ) -> Result<(), AdminError> {
        let Invitation { id, to, expires_at, .. } = invitation;
        let offer = Offer { address: to.clone(), interaction: None, invitation: Some(id.clone()) };
        single_use::issue(tx, Purpose::SignUp, &link.digest(), &Some(offer), *expires_at).await?;
        let letter = Letter::Invitation { code: LinkCode::of(link), at: caller.now, until: *expires_at };
        let to = Addressee { mailbox: Mailbox::new("", to.clone()), user: None };
        // Nobody is left with a link that went nowhere, and without the one before.
        if self.parts.mail.post_to(tx, letter, Some(to)).await? {
            Ok(())
        } else {
            Err(AdminError::Busy { retry_after: AN_HOUR })
        }
    }
}

impl InvitationForm {
    fn parse(&self, id: InvitationId, caller: &Caller) -> Result<Invitation, FieldErrors> {
        let mut errors = FieldErrors::default();
        let to = errors.take("/email", Email::parse(self.email.trim()));
        let organisation = self.organisation.as_deref().map(OrganisationId::parse).transpose();
        let organisation = errors.take("/organisation", organisation);
        let roles = self.roles(&mut errors);
        let days = self.days.unwrap_or(USUAL_DAYS);
        if !(1..=MAX_DAYS).contains(&days) {
            errors.refuse("/days", "invalid", format!("must be from 1 to {MAX_DAYS}"));
        }
        let parsed = (|| {
            Some(Invitation {
                id,
                to: to?,
                organisation: organisation?,
                roles: roles?,
                invited_by: caller.actor.to_string(),
                days,
                created_at: caller.now,
                expires_at: caller.now,
            })
        })();
        let invitation: Invitation = errors.finish(parsed)?;
        Ok(Invitation { expires_at: caller.now.plus(invitation.lifetime()), ..invitation })
    }

    fn roles(&self, errors: &mut FieldErrors) -> Option<Vec<InvitedRole>> {
        if self.roles.len() > MAX_ROLES {
            errors.refuse("/roles", "too-many", format!("must not have more than {MAX_ROLES} entries"));
            return None;
        }
        let mut found: Vec<InvitedRole> = Vec::with_capacity(self.roles.len());
        let mut is_whole = true;
        for (position, (api, role)) in self.roles.iter().enumerate() {
            let api = errors.take(&format!("/roles/{position}/api"), ApiId::parse(api));
            let role = errors.take(&format!("/roles/{position}/role"), RoleName::parse(role));
            match api.zip(role).map(|(api, role)| InvitedRole { api, role }) {
                // One that is named twice is given once.
                Some(given) if found.contains(&given) => {}
                Some(given) => found.push(given),
                None => is_whole = false,
            }
        }
        is_whole.then_some(found)
    }
}

/// What the invitation names exists, and nobody has the address yet.
async fn check_references(tx: &mut Tx, invitation: &Invitation) -> Result<(), AdminError> {
    let mut errors = FieldErrors::default();
    if users::find_by_address(tx, &invitation.to).await?.is_some() {
        errors.refuse("/email", "taken", "an account has this address");
    }
    if let Some(organisation) = &invitation.organisation
        && organisations::find(tx, organisation).await?.is_none()
    {
        errors.refuse("/organisation", "unknown", "there is no such organisation");
    }
    for (position, InvitedRole { api, role }) in invitation.roles.iter().enumerate() {
        if apis::find(tx, api).await?.is_none() {
            errors.refuse(format!("/roles/{position}/api"), "unknown", "there is no such API");
        } else if !roles::list(tx, api).await?.iter().any(|known| known.name == *role) {
            errors.refuse(format!("/roles/{position}/role"), "unknown", "the API has no such role");
        }
    }
    Ok(errors.finish(Some(()))?)
}
