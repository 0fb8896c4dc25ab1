//! Assignments: who holds which role, and where it counts.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::{ApiId, AssignmentId};
use crate::domain::rbac::Assignment;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;
use crate::services::assignments::{AssignmentForm, AssignmentService};
use crate::services::paging::PageQuery;

/// Somebody who holds a role.
#[derive(Serialize, ToSchema)]
pub(crate) struct AssignmentDocument {
    #[schema(example = "asg_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    /// The role held.
    role: String,
    /// `user` or `client`.
    subject_kind: &'static str,
    /// The user or client that holds it.
    subject: String,
    /// Where it counts: an organisation, or `*` for every one.
    organisation: String,
}

impl From<Assignment> for AssignmentDocument {
    fn from(assignment: Assignment) -> Self {
        Self {
            id: assignment.id.to_string(),
            role: assignment.role.to_string(),
            subject_kind: assignment.subject.kind(),
            subject: assignment.subject.id().to_owned(),
            organisation: assignment.organisation.as_str().to_owned(),
        }
    }
}

/// A page of assignments.
#[derive(Serialize, ToSchema)]
pub(crate) struct AssignmentList {
    items: Vec<AssignmentDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which assignments to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AssignmentFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// A role to give to somebody.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssignmentInput {
    /// The name of the role.
    #[schema(example = "viewer")]
    role: String,
    /// Who gets it: the id of a user or of a client.
    #[schema(example = "usr_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    subject: String,
    /// Where it counts: an organisation, or `*` (the default) for every one.
    organisation: Option<String>,
}

/// Lists who holds a role of an API.
#[utoipa::path(get, path = "/apis/{api}/assignments", tag = "assignments", operation_id = "listAssignments",
    params(("api" = String, Path), AssignmentFilter), responses((status = 200, body = AssignmentList)))]
pub(crate) async fn list(
    State(assignments): State<AssignmentService>,
    Path(api): Path<String>,
    Parameters(filter): Parameters<AssignmentFilter>,
) -> Result<Answer<AssignmentList>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let page = assignments.list(&api, &PageQuery::new(filter.after, filter.limit)).await?;
    let items = page.items.into_iter().map(AssignmentDocument::from).collect();
    Ok(Answer::ok(AssignmentList { items, next: page.next }))
}

/// Gives a role to a user or a client.
#[utoipa::path(post, path = "/apis/{api}/assignments", tag = "assignments", operation_id = "createAssignment",
    params(("api" = String, Path)), request_body = AssignmentInput,
    responses((status = 201, body = AssignmentDocument)))]
pub(crate) async fn create(
    State(assignments): State<AssignmentService>,
    Path(api): Path<String>,
    By(caller): By,
    JsonBody(input): JsonBody<AssignmentInput>,
) -> Result<Answer<AssignmentDocument>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let AssignmentInput { role, subject, organisation } = input;
    let made = assignments.grant(&api, &AssignmentForm { role, subject, organisation }, &caller).await?;
    let place = format!("/api/v1/apis/{api}/assignments/{}", made.id);
    Ok(Answer::created(made.into(), place))
}

/// Takes a role away. Tokens that carry it end with their lifetime; new ones do not have it.
#[utoipa::path(delete, path = "/apis/{api}/assignments/{assignment}", tag = "assignments",
    operation_id = "deleteAssignment", params(("api" = String, Path), ("assignment" = String, Path)),
    responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete(
    State(assignments): State<AssignmentService>,
    Path((api, assignment)): Path<(String, String)>,
    By(caller): By,
) -> Result<Done, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    assignments.revoke(&api, &named::<AssignmentId>(&assignment, Thing::Assignment)?, &caller).await?;
    Ok(Done)
}
