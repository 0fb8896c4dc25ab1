//! Assignments: who holds which role, and where it counts.

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, AssignmentId, ClientId, UserId};
use crate::domain::rbac::{Api, Assignment, AssignmentSubject, OrganisationScope, Role, RoleName};
use crate::domain::revocation::Revocation;
use crate::domain::secret::Entropy;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::fields::FieldErrors;
use crate::services::owners::{OWNER, Owners, is_owner};
use crate::services::paging::{Page, PageQuery};
use crate::storage::{Store, Turn, Tx, apis, assignments, clients, organisations, roles, users};

/// A role to give to somebody, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct AssignmentForm {
    /// The name of the role.
    pub role: String,
    /// The id of a user or of a client.
    pub subject: String,
    /// Where it counts: an organisation, or `*`. Without it: `*`.
    pub organisation: Option<String>,
}

/// What an [`AssignmentForm`] says.
struct Wish {
    role: RoleName,
    subject: AssignmentSubject,
    organisation: OrganisationScope,
}

impl AssignmentForm {
    fn parse(&self) -> Result<Wish, FieldErrors> {
        let mut errors = FieldErrors::default();
        let role = errors.take("/role", RoleName::parse(&self.role));
        let subject = errors.take("/subject", parse_subject(&self.subject));
        let organisation = match self.organisation.as_deref() {
            None => Some(OrganisationScope::Every),
            Some(raw) => errors.take("/organisation", raw.parse::<OrganisationScope>()),
        };
        let wish = (|| Some(Wish { role: role?, subject: subject?, organisation: organisation? }))();
        errors.finish(wish)
    }
}

fn parse_subject(raw: &str) -> Result<AssignmentSubject, &'static str> {
    UserId::parse(raw)
        .map(AssignmentSubject::User)
        .or_else(|_| ClientId::parse(raw).map(AssignmentSubject::Client))
        .map_err(|_| "has to be the id of a user (usr_..) or of a client (cli_..)")
}

/// Gives and takes roles.
#[derive(Clone)]
pub struct AssignmentService {
    store: Store,
    entropy: Entropy,
    owners: Owners,
}

impl AssignmentService {
    /// The service over this store.
    pub(crate) const fn new(store: Store, entropy: Entropy, owners: Owners) -> Self {
        Self { store, entropy, owners }
    }

    /// Lists who holds a role of an API, oldest first.
    pub async fn list(&self, api: &ApiId, query: &PageQuery) -> Result<Page<Assignment>, AdminError> {
        let mut tx = self.store.read().await?;
        find_api(&mut tx, api).await?;
        let found = assignments::list(&mut tx, api, query.after(), query.probe()).await?;
        Ok(Page::of(found, query, |assignment| assignment.id.to_string()))
    }

    /// Gives a role to a user or a client.
    pub async fn grant(
        &self,
        api: &ApiId,
        form: &AssignmentForm,
        caller: &Caller,
    ) -> Result<Assignment, AdminError> {
        let (this, api, form, caller) = (self.clone(), api.clone(), form.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &api).await?;
                    this.add(tx, &api, &form, &caller).await
                })
            })
            .await
    }

    /// Gives a role, as part of something larger.
    pub(crate) async fn add(
        &self,
        tx: &mut Tx,
        api: &Api,
        form: &AssignmentForm,
        caller: &Caller,
    ) -> Result<Assignment, AdminError> {
        let wish = form.parse()?;
        Owners::require_owner_of(api, caller)?;
        let role = check_references(tx, api, &wish).await?;
        let id = AssignmentId::generate(caller.now, &self.entropy);
        let Wish { subject, organisation, .. } = wish;
        let made = Assignment { id, role: role.id.clone(), subject, organisation };
        record(tx, made, &role, caller).await
    }

    /// Takes a role away. The last owner keeps theirs.
    pub async fn revoke(&self, api: &ApiId, id: &AssignmentId, caller: &Caller) -> Result<(), AdminError> {
        let (api, id, caller, owners) = (api.clone(), id.clone(), caller.clone(), self.owners.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &api).await?;
                    let (assignment, role) = find(tx, &api, &id).await?;
                    Owners::require_owner_of(&api, &caller)?;
                    if let AssignmentSubject::User(user) = &assignment.subject
                        && api.administers
                        && is_owner(&role.name)
                    {
                        owners.require_other(tx, user).await?;
                    }
                    assignments::delete(tx, &assignment.id).await?;
                    outdate_tokens(tx, &assignment.subject, caller.now).await?;
                    tx.audit(
                        caller.event(AuditAction::AssignmentDeleted).on(&id).with(said(&assignment, &role)),
                    );
                    tx.invalidate();
                    Ok(())
                })
            })
            .await
    }

    /// Makes `user` an owner of the server, as part of something larger: the set-up link, or a command.
    pub(crate) async fn make_owner(
        &self,
        tx: &mut Tx,
        user: &UserId,
        caller: &Caller,
    ) -> Result<Assignment, AdminError> {
        let api = self.owners.api(tx).await?;
        let found = roles::list(tx, &api.id).await?;
        let role = found.into_iter().find(|role| is_owner(&role.name));
        let role = role.ok_or(AdminError::NotFound(Thing::Role))?;
        let made = Assignment {
            id: AssignmentId::generate(caller.now, &self.entropy),
            role: role.id.clone(),
            subject: AssignmentSubject::User(user.clone()),
            organisation: OrganisationScope::Every,
        };
        record(tx, made, &role, caller).await
    }
}

async fn find_api(tx: &mut Tx, id: &ApiId) -> Result<Api, AdminError> {
    apis::find(tx, id).await?.ok_or(AdminError::NotFound(Thing::Api))
}

/// Tokens that carry a role that was taken away are accepted nowhere any more; a new one says what is true now.
async fn outdate_tokens(tx: &mut Tx, subject: &AssignmentSubject, now: Timestamp) -> Result<(), AdminError> {
    let sub = match subject {
        AssignmentSubject::Client(id) => Some(id.to_string()),
        AssignmentSubject::User(id) => users::find(tx, id).await?.map(|user| user.sub.to_string()),
    };
    if let Some(sub) = sub {
        tx.revoke(Revocation::of_subject(&sub, now));
    }
    Ok(())
}

/// The assignment and its role, if it is one of this API.
async fn find(tx: &mut Tx, api: &Api, id: &AssignmentId) -> Result<(Assignment, Role), AdminError> {
    let missing = AdminError::NotFound(Thing::Assignment);
    let Some(assignment) = assignments::find(tx, id).await? else { return Err(missing) };
    match roles::find(tx, &assignment.role).await? {
        Some(role) if role.api == api.id => Ok((assignment, role)),
        Some(_) | None => Err(missing),
    }
}

async fn record(
    tx: &mut Tx,
    made: Assignment,
    role: &Role,
    caller: &Caller,
) -> Result<Assignment, AdminError> {
    if !assignments::insert(tx, &made).await? {
        return Err(AdminError::Conflict("It has this role there already."));
    }
    tx.audit(caller.event(AuditAction::AssignmentCreated).on(&made.id).with(said(&made, role)));
    tx.invalidate();
    Ok(made)
}

fn said(assignment: &Assignment, role: &Role) -> serde_json::Value {
    json!({
        "role": role.name.as_str(),
        "api": role.api.as_str(),
        "subject": assignment.subject.id(),
        "organisation": assignment.organisation.as_str(),
    })
}

/// What the wish names exists, and a role of the admin API counts everywhere: the admin API has no tenants.
async fn check_references(tx: &mut Tx, api: &Api, wish: &Wish) -> Result<Role, AdminError> {
    let mut errors = FieldErrors::default();
    let role = roles::list(tx, &api.id).await?.into_iter().find(|role| role.name == wish.role);
    if role.is_none() {
        errors.refuse("/role", "unknown", "the API has no such role");
    }
    let subject_exists = match &wish.subject {
        AssignmentSubject::Client(id) => clients::find(tx, id).await?.is_some(),
        AssignmentSubject::User(id) => users::find(tx, id).await?.is_some(),
    };
    if !subject_exists {
        errors.refuse("/subject", "unknown", "there is no such user or client");
    }
    if let OrganisationScope::One(organisation) = &wish.organisation {
        if api.administers {
            let message = format!("roles of the admin API, such as `{OWNER}`, count everywhere");
            errors.refuse("/organisation", "contradiction", message);
        } else if organisations::find(tx, organisation).await?.is_none() {
            errors.refuse("/organisation", "unknown", "there is no such organisation");
        }
    }
    Ok(errors.finish(role)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::trial::{Trial, delegate, operator};

    #[test]
    fn a_subject_is_a_user_or_a_client_and_nothing_else() {
        let digits = "0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
        assert_eq!(parse_subject(&format!("usr_{digits}")).unwrap().kind(), "user");
        assert_eq!(parse_subject(&format!("cli_{digits}")).unwrap().kind(), "client");
        for bad in ["", "ada", "rol_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c"] {
            let refused = parse_subject(bad).unwrap_err();
            assert!(refused.contains("id of a user"), "{bad}: {refused}");
        }
    }

    #[tokio::test]
    async fn the_last_owner_cannot_be_demoted() {
        let trial = Trial::begin().await;
        let api = trial.admin_api().await.id;
        let (ada, bea) = (trial.owner("ada").await, trial.owner("bea").await);
        let held = trial.assignments().list(&api, &PageQuery::default()).await.unwrap().items;
        let of =
            |user: &UserId| held.iter().find(|held| held.subject.id() == user.as_str()).unwrap().id.clone();
        trial.assignments().revoke(&api, &of(&ada), &operator()).await.unwrap();
        let last = trial.assignments().revoke(&api, &of(&bea), &operator()).await;
        assert!(matches!(last, Err(AdminError::LastOwner)));
    }

    #[tokio::test]
    async fn a_switched_off_owner_does_not_count() {
        let trial = Trial::begin().await;
        let api = trial.admin_api().await.id;
        let (ada, bea) = (trial.owner("ada").await, trial.owner("bea").await);
        trial.users.disable(&ada, &operator()).await.unwrap();
        let held = trial.assignments().list(&api, &PageQuery::default()).await.unwrap().items;
        let of_bea = held.iter().find(|held| held.subject.id() == bea.as_str()).unwrap().id.clone();
        let last = trial.assignments().revoke(&api, &of_bea, &operator()).await;
        assert!(matches!(last, Err(AdminError::LastOwner)));
    }

    #[tokio::test]
    async fn a_delegate_cannot_make_an_administrator() {
        let trial = Trial::begin().await;
        let user = trial.user("ada").await;
        let form = AssignmentForm { role: "owner".to_owned(), subject: user.to_string(), organisation: None };
        let refused = trial.assignments().grant(&trial.admin_api().await.id, &form, &delegate()).await;
        assert!(matches!(refused, Err(AdminError::OwnersOnly)));
        let api = trial.api("https://orders.example").await.id;
        let form = AssignmentForm { role: "viewer".to_owned(), ..form };
        trial.assignments().grant(&api, &form, &delegate()).await.unwrap();
        let again = trial.assignments().grant(&api, &form, &delegate()).await;
        assert!(matches!(again, Err(AdminError::Conflict(_))));
    }

    #[tokio::test]
    async fn a_role_of_the_admin_api_counts_everywhere_or_not_at_all() {
        let trial = Trial::begin().await;
        let user = trial.user("ada").await;
        let acme = trial.organisations().create("Acme", &operator()).await.unwrap();
        let form = AssignmentForm {
            role: "owner".to_owned(),
            subject: user.to_string(),
            organisation: Some(acme.id.to_string()),
        };
        let refused = trial.assignments().grant(&trial.admin_api().await.id, &form, &operator()).await;
        assert!(
            matches!(refused, Err(AdminError::Invalid(errors)) if errors.to_string().contains("/organisation"))
        );
    }

    #[tokio::test]
    async fn everything_that_does_not_exist_is_reported_at_once() {
        let trial = Trial::begin().await;
        let digits = "0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
        let form = AssignmentForm {
            role: "nothing".to_owned(),
            subject: format!("usr_{digits}"),
            organisation: Some(format!("org_{digits}")),
        };
        let api = trial.api("https://orders.example").await.id;
        let Err(AdminError::Invalid(errors)) = trial.assignments().grant(&api, &form, &operator()).await
        else {
            panic!("nothing of it exists");
        };
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/role", "/subject", "/organisation"]);
    }
}
