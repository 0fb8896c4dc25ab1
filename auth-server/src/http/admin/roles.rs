//! Roles: named sets of permissions in one API.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::ids::{ApiId, RoleId};
use crate::domain::rbac::Role;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::JsonBody;
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;
use crate::services::roles::{RoleForm, RoleService};

/// A role.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoleDocument {
    #[schema(example = "rol_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    /// The API it belongs to.
    api: String,
    /// What rules and tokens call it.
    #[schema(example = "viewer")]
    name: String,
    description: String,
}

impl From<Role> for RoleDocument {
    fn from(role: Role) -> Self {
        Self {
            id: role.id.to_string(),
            api: role.api.to_string(),
            name: role.name.to_string(),
            description: role.description,
        }
    }
}

/// The roles of an API.
#[derive(Serialize, ToSchema)]
pub(crate) struct RoleList {
    items: Vec<RoleDocument>,
}

/// A new role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleInput {
    /// 1 to 64 characters out of a-z 0-9 . _ -
    #[schema(example = "refunder")]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
}

/// Lists the roles of an API by name. An API has at most 500.
#[utoipa::path(get, path = "/apis/{api}/roles", tag = "roles", operation_id = "listRoles",
    params(("api" = String, Path)), responses((status = 200, body = RoleList)))]
pub(crate) async fn list(
    State(roles): State<RoleService>,
    Path(api): Path<String>,
) -> Result<Answer<RoleList>, Problem> {
    let found = roles.list(&named::<ApiId>(&api, Thing::Api)?).await?;
    Ok(Answer::ok(RoleList { items: found.into_iter().map(RoleDocument::from).collect() }))
}

/// Creates a role. What it permits is said by the policy of the API.
#[utoipa::path(post, path = "/apis/{api}/roles", tag = "roles", operation_id = "createRole",
    params(("api" = String, Path)), request_body = RoleInput, responses((status = 201, body = RoleDocument)))]
pub(crate) async fn create(
    State(roles): State<RoleService>,
    Path(api): Path<String>,
    By(caller): By,
    JsonBody(input): JsonBody<RoleInput>,
) -> Result<Answer<RoleDocument>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let RoleInput { name, description } = input;
    let made = roles.create(&api, &RoleForm { name, description }, &caller).await?;
    let place = format!("/api/v1/apis/{api}/roles/{}", made.id);
    Ok(Answer::created(made.into(), place))
}

/// Deletes a role that nobody holds.
#[utoipa::path(delete, path = "/apis/{api}/roles/{role}", tag = "roles", operation_id = "deleteRole",
    params(("api" = String, Path), ("role" = String, Path)), responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete(
    State(roles): State<RoleService>,
    Path((api, role)): Path<(String, String)>,
    By(caller): By,
) -> Result<Done, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    roles.delete(&api, &named::<RoleId>(&role, Thing::Role)?, &caller).await?;
    Ok(Done)
}
