//! Roles: named sets of permissions in one API.

use crate::domain::audit::AuditAction;
use crate::domain::ids::{ApiId, RoleId};
use crate::domain::rbac::{Api, Role, RoleName};
use crate::domain::secret::Entropy;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::fields::FieldErrors;
use crate::services::owners::{Owners, is_owner};
use crate::storage::{Store, Turn, Tx, apis, assignments, roles};

/// The most roles of one API: a token has to carry those that somebody holds.
const MAX_ROLES: usize = 500;

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 500;

/// A new role, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct RoleForm {
    /// What rules and tokens will call it.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
}

impl RoleForm {
    fn parse(&self) -> Result<(RoleName, String), FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("/name", RoleName::parse(&self.name));
        let description = self.description.clone();
        if description.chars().nth(MAX_DESCRIPTION).is_some() || description.chars().any(char::is_control) {
            let message = format!("must be one line of at most {MAX_DESCRIPTION} characters");
            errors.refuse("/description", "invalid", message);
        }
        errors.finish(name.map(|name| (name, description)))
    }
}

/// Creates and deletes roles.
#[derive(Clone)]
pub struct RoleService {
    store: Store,
    entropy: Entropy,
}

impl RoleService {
    /// The service over this store.
    pub(crate) const fn new(store: Store, entropy: Entropy) -> Self {
        Self { store, entropy }
    }

    /// Lists the roles of an API.
    pub async fn list(&self, api: &ApiId) -> Result<Vec<Role>, AdminError> {
        let mut tx = self.store.read().await?;
        find_api(&mut tx, api).await?;
        Ok(roles::list(&mut tx, api).await?)
    }

    /// Creates a role.
    pub async fn create(&self, api: &ApiId, form: &RoleForm, caller: &Caller) -> Result<Role, AdminError> {
        let (name, description) = form.parse()?;
        let id = RoleId::generate(caller.now, &self.entropy);
        let role = Role { id, api: api.clone(), name, description };
        let caller = caller.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &role.api).await?;
                    Owners::require_owner_of(&api, &caller)?;
                    let existing = roles::list(tx, &role.api).await?;
                    if existing.iter().any(|other| other.name == role.name) {
                        return Err(
                            FieldErrors::of("/name", "taken", "the API has a role of this name").into()
                        );
                    }
                    if existing.len() >= MAX_ROLES {
                        return Err(AdminError::Conflict("An API has at most 500 roles."));
                    }
                    roles::insert(tx, &role).await?;
                    tx.audit(caller.event(AuditAction::RoleCreated).on(&role.id));
                    tx.invalidate();
                    Ok(role)
                })
            })
            .await
    }

    /// Deletes a role that nobody holds. The role `owner` of the admin API stays.
    pub async fn delete(&self, api: &ApiId, id: &RoleId, caller: &Caller) -> Result<(), AdminError> {
        let (api, id, caller) = (api.clone(), id.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find_api(tx, &api).await?;
                    let role = roles::find(tx, &id).await?.filter(|role| role.api == api.id);
                    let role = role.ok_or(AdminError::NotFound(Thing::Role))?;
                    Owners::require_owner_of(&api, &caller)?;
                    if api.administers && is_owner(&role.name) {
                        return Err(AdminError::LastOwner);
                    }
                    if assignments::role_is_held(tx, &role.id).await? {
                        return Err(AdminError::Conflict("Somebody holds this role. Take it away first."));
                    }
                    roles::delete(tx, &role.id).await?;
                    tx.audit(caller.event(AuditAction::RoleDeleted).on(&role.id));
                    tx.invalidate();
                    Ok(())
                })
            })
            .await
    }
}

async fn find_api(tx: &mut Tx, id: &ApiId) -> Result<Api, AdminError> {
    apis::find(tx, id).await?.ok_or(AdminError::NotFound(Thing::Api))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::trial::{Trial, delegate, operator};

    fn form(name: &str) -> RoleForm {
        RoleForm { name: name.to_owned(), description: String::new() }
    }

    #[tokio::test]
    async fn a_role_is_named_once_and_goes_when_nobody_holds_it() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await.id;
        let role = trial.roles().create(&api, &form("refunder"), &delegate()).await.unwrap();
        let again = trial.roles().create(&api, &form("refunder"), &delegate()).await;
        assert!(matches!(again, Err(AdminError::Invalid(_))));
        let user = trial.user("ada").await;
        trial.grant(&api, "refunder", user.as_str()).await;
        assert!(matches!(
            trial.roles().delete(&api, &role.id, &delegate()).await,
            Err(AdminError::Conflict(_))
        ));
        let unused = trial.roles().create(&api, &form("unused"), &delegate()).await.unwrap();
        trial.roles().delete(&api, &unused.id, &delegate()).await.unwrap();
    }

    #[tokio::test]
    async fn a_role_of_another_api_is_not_found() {
        let trial = Trial::begin().await;
        let (one, other) =
            (trial.api("https://one.example").await.id, trial.api("https://other.example").await.id);
        let role = trial.role(&one, "viewer").await;
        let refused = trial.roles().delete(&other, &role, &operator()).await;
        assert!(matches!(refused, Err(AdminError::NotFound(Thing::Role))));
    }

    #[tokio::test]
    async fn the_roles_of_the_admin_api_are_for_owners_and_owner_stays() {
        let trial = Trial::begin().await;
        let api = trial.admin_api().await.id;
        assert!(matches!(
            trial.roles().create(&api, &form("x"), &delegate()).await,
            Err(AdminError::OwnersOnly)
        ));
        let owner = trial.role(&api, "owner").await;
        assert!(matches!(trial.roles().delete(&api, &owner, &operator()).await, Err(AdminError::LastOwner)));
    }

    #[test]
    fn a_role_has_a_name_and_a_description_of_one_line() {
        let refused = |name: &str, description: &str| -> Vec<String> {
            let form = RoleForm { name: name.to_owned(), description: description.to_owned() };
            let errors = form.parse().err().unwrap_or_default();
            errors.iter().map(|error| error.pointer.clone()).collect()
        };
        assert_eq!(refused("a", &"x".repeat(MAX_DESCRIPTION)), [""; 0]);
        assert_eq!(refused("a", &"x".repeat(MAX_DESCRIPTION + 1)), ["/description"]);
        assert_eq!(refused("a", "a\nb"), ["/description"]);
        assert_eq!(refused("A", "a\nb"), ["/name", "/description"]);
    }
}
