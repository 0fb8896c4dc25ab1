//! The owners of the server: the people who hold the role `owner` in its admin API.
//!
//! Two rules live here. There is always an owner left, and only an owner changes what could make somebody an owner:
//! a delegated administrator who may set passwords must not set the password of an owner.

use std::collections::BTreeMap;

use portcullis_policy::Snapshot;
use url::Url;

use crate::domain::client::Client;
use crate::domain::ids::UserId;
use crate::domain::issuer::Issuer;
use crate::domain::rbac::{Api, AssignmentSubject, Audience, InvalidAudience, RoleName};
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::{Authority, Caller};
use crate::services::permission::EDIT_POLICIES;
use crate::storage::{Tx, apis, assignments};

/// The role that may do everything.
pub(crate) const OWNER: &str = "owner";

/// Where the admin API lies below the issuer; with the issuer before it, its audience.
pub(crate) const ADMIN_API_PATH: &str = "/api";

/// Knows which API is the admin API, and so who owns the server.
#[derive(Clone, Debug)]
pub(crate) struct Owners {
    audience: Audience,
}

impl Owners {
    /// The owners of the server that `issuer` names.
    pub(crate) fn of(issuer: &Issuer) -> Result<Self, InvalidAudience> {
        Audience::parse(&issuer.endpoint(ADMIN_API_PATH)).map(|audience| Self { audience })
    }

    /// Whether an audience is the issuer, or the admin API or something below it, in whatever spelling of the same address: tokens
    /// for those are for this server.
    pub(crate) fn is_of_this_server(&self, audience: &Audience) -> bool {
        let (own, other) = (Url::parse(self.audience.as_str()), Url::parse(audience.as_str()));
        let (Ok(own), Ok(other)) = (own, other) else { return false };
        let base = own.path().strip_suffix(ADMIN_API_PATH).unwrap_or_default();
        let below = |path: &str| path.is_empty() || path.starts_with('/');
        let is_issuer = other.path().trim_end_matches('/') == base;
        let is_admin_api = other.path().strip_prefix(own.path()).is_some_and(below);
        own.origin() == other.origin() && (is_issuer || is_admin_api)
    }

    /// The audience of the admin API as the configured issuer makes it.
    pub(crate) const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// The admin API.
    pub(crate) async fn api(&self, tx: &mut Tx) -> Result<Api, AdminError> {
        apis::find_admin(tx).await?.ok_or(AdminError::NotFound(Thing::Api))
    }

    /// Refuses unless somebody else owns the server too.
    pub(crate) async fn require_other(&self, tx: &mut Tx, leaving: &UserId) -> Result<(), AdminError> {
        let owners = self.list(tx).await?;
        let is_last = owners.contains(leaving) && owners.iter().all(|owner| owner == leaving);
        if is_last { Err(AdminError::LastOwner) } else { Ok(()) }
    }

    /// The users who own the server and can sign in.
    pub(crate) async fn list(&self, tx: &mut Tx) -> Result<Vec<UserId>, AdminError> {
        let api = self.api(tx).await?;
        let holders = assignments::enabled_holders(tx, &api.id).await?;
        Ok(holders.into_iter().filter(|(_, role)| is_owner(role)).map(|(user, _)| user).collect())
    }

    /// Refuses a delegate who wants to change somebody with a role in the admin API.
    pub(crate) async fn require_rank(
        &self,
        tx: &mut Tx,
        subject: &AssignmentSubject,
        caller: &Caller,
    ) -> Result<(), AdminError> {
        if caller.authority == Authority::Owner {
            return Ok(());
        }
        let roles = self.roles(tx, subject).await?;
        if roles.is_empty() { Ok(()) } else { Err(AdminError::OwnersOnly) }
    }

    /// Refuses a delegate who wants a client that could act as an administrator: one that holds a role in the admin
    /// API, gets tokens of people for it, or reads its policy.
    pub(crate) async fn require_rank_over(
        &self,
        tx: &mut Tx,
        client: &Client,
        caller: &Caller,
    ) -> Result<(), AdminError> {
        if caller.authority == Authority::Owner {
            return Ok(());
        }
        let api = self.api(tx).await?.id;
        if client.settings.apis.contains(&api) || client.settings.serves.as_ref() == Some(&api) {
            return Err(AdminError::OwnersOnly);
        }
        self.require_rank(tx, &AssignmentSubject::Client(client.id.clone()), caller).await
    }

    /// Refuses a delegate who wants to change the admin API itself.
    pub(crate) fn require_owner_of(api: &Api, caller: &Caller) -> Result<(), AdminError> {
        if api.administers && caller.authority != Authority::Owner {
            return Err(AdminError::OwnersOnly);
        }
        Ok(())
    }

    /// Refuses a policy of the admin API that would leave no owner who may edit policies and put them in force.
    pub(crate) async fn require_editor(&self, tx: &mut Tx, snapshot: &Snapshot) -> Result<(), AdminError> {
        let api = self.api(tx).await?;
        let mut held: BTreeMap<UserId, Vec<RoleName>> = BTreeMap::new();
        for (user, role) in assignments::enabled_holders(tx, &api.id).await? {
            held.entry(user).or_default().push(role);
        }
        let can_edit = |roles: &Vec<RoleName>| {
            roles.iter().any(is_owner)
                && EDIT_POLICIES.iter().all(|permission| permission.is_given(snapshot, roles))
        };
        if held.is_empty() || held.values().any(can_edit) { Ok(()) } else { Err(AdminError::Lockout) }
    }

    /// The roles that `subject` holds in the admin API.
    pub(crate) async fn roles(
        &self,
        tx: &mut Tx,
        subject: &AssignmentSubject,
    ) -> Result<Vec<RoleName>, AdminError> {
        let api = self.api(tx).await?;
        Ok(assignments::roles_held(tx, subject, &api.id).await?)
    }
}

/// Whether `role` is the role that may do everything.
pub(crate) fn is_owner(role: &RoleName) -> bool {
    role.as_str() == OWNER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_the_server_are_known_in_every_spelling() {
        for (issuer, own, others) in [
            (
                "https://id.example",
                &[
                    "https://id.example",
                    "https://id.example/",
                    "HTTPS://ID.example:443/api",
                    "https://id.example/api/v1",
                ][..],
                &[
                    "https://id.example/orders",
                    "https://id.example:8443/",
                    "http://id.example",
                    "https://id.example/apis",
                ][..],
            ),
            (
                "https://example.org/id",
                &["https://example.org/id", "https://example.org/id/", "https://example.org/id/api/"],
                &[
                    "https://example.org",
                    "https://example.org/api",
                    "https://example.org/identity",
                    "urn:example:id",
                ],
            ),
        ] {
            let owners = Owners::of(&Issuer::parse(issuer).unwrap()).unwrap();
            let is_ours = |audience: &str| owners.is_of_this_server(&Audience::parse(audience).unwrap());
            assert!(own.iter().all(|audience| is_ours(audience)), "{own:?}");
            assert!(!others.iter().any(|audience| is_ours(audience)), "{others:?}");
        }
    }
}
