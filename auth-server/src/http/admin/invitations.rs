//! Invitations: accounts that are offered to people.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::InvitationId;
use crate::domain::invitation::Invitation;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;
use crate::services::invitations::{InvitationForm, InvitationService};
use crate::services::paging::PageQuery;

/// An account that is offered to whoever reads what goes to an address. Its link is in the letter and nowhere else.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationDocument {
    #[schema(example = "inv_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    email: String,
    /// The organisation that the account will belong to, and where its roles count; null for the first one, and everywhere.
    organisation: Option<String>,
    roles: Vec<InvitedRoleDocument>,
    /// Who invited: a user, a client, or `operator`.
    invited_by: String,
    created_at: String,
    /// Until when the link of the last letter works.
    expires_at: String,
}

/// A role that the account will have.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitedRoleDocument {
    /// The API that it is one of.
    #[schema(example = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    api: String,
    /// Its name.
    #[schema(example = "viewer")]
    role: String,
}

impl From<Invitation> for InvitationDocument {
    fn from(invitation: Invitation) -> Self {
        let roles = invitation.roles.into_iter();
        Self {
            id: invitation.id.to_string(),
            email: invitation.to.into(),
            organisation: invitation.organisation.map(|id| id.to_string()),
            roles: roles
                .map(|given| InvitedRoleDocument { api: given.api.to_string(), role: given.role.to_string() })
                .collect(),
            invited_by: invitation.invited_by,
            created_at: invitation.created_at.rfc3339(),
            expires_at: invitation.expires_at.rfc3339(),
        }
    }
}

/// A page of invitations.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationList {
    items: Vec<InvitationDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which invitations to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InvitationFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// Whom to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationInput {
    #[schema(example = "ada@example.org")]
    email: String,
    /// The organisation that the account will belong to, and where its roles count. Without it: the first one, and everywhere. Roles of
    /// the admin API always count everywhere.
    organisation: Option<String>,
    /// What the account may do. Whoever invites has to be allowed to give it.
    #[serde(default)]
    roles: Vec<InvitedRoleDocument>,
    /// For how many days the link works: 1 to 30. Without it: seven.
    days: Option<u32>,
}

impl From<InvitationInput> for InvitationForm {
    fn from(input: InvitationInput) -> Self {
        Self {
            email: input.email,
            organisation: input.organisation,
            roles: input.roles.into_iter().map(|given| (given.api, given.role)).collect(),
            days: input.days,
        }
    }
}

/// Lists invitations that nobody took yet, oldest first.
#[utoipa::path(get, path = "/invitations", tag = "users", operation_id = "listInvitations", params(InvitationFilter),
    responses((status = 200, body = InvitationList)))]
pub(crate) async fn list(
    State(invitations): State<InvitationService>,
    Parameters(filter): Parameters<InvitationFilter>,
) -> Result<Answer<InvitationList>, Problem> {
    let page = invitations.list(&PageQuery::new(filter.after, filter.limit)).await?;
    let items = page.items.into_iter().map(InvitationDocument::from).collect();
    Ok(Answer::ok(InvitationList { items, next: page.next }))
}

/// Invites somebody: a letter with a link goes to the address.
#[utoipa::path(post, path = "/invitations", tag = "users", operation_id = "createInvitation", request_body = InvitationInput,
    responses((status = 201, body = InvitationDocument)))]
pub(crate) async fn create(
    State(invitations): State<InvitationService>,
    By(caller): By,
    JsonBody(input): JsonBody<InvitationInput>,
) -> Result<Answer<InvitationDocument>, Problem> {
    let made = invitations.create(&input.into(), &caller).await?;
    let place = format!("/api/v1/invitations/{}", made.id);
    Ok(Answer::created(made.into(), place))
}

/// Sends the letter again, with another link. The one before works no longer.
#[utoipa::path(post, path = "/invitations/{invitation}/send", tag = "users", operation_id = "sendInvitation",
    params(("invitation" = String, Path)), responses((status = 200, body = InvitationDocument)))]
pub(crate) async fn send(
    State(invitations): State<InvitationService>,
    Path(invitation): Path<String>,
    By(caller): By,
) -> Result<Answer<InvitationDocument>, Problem> {
    let id = named::<InvitationId>(&invitation, Thing::Invitation)?;
    Ok(Answer::ok(invitations.send_again(&id, &caller).await?.into()))
}

/// Takes an invitation back: its link works no longer.
#[utoipa::path(delete, path = "/invitations/{invitation}", tag = "users", operation_id = "deleteInvitation",
    params(("invitation" = String, Path)), responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete(
    State(invitations): State<InvitationService>,
    Path(invitation): Path<String>,
    By(caller): By,
) -> Result<Done, Problem> {
    invitations.delete(&named::<InvitationId>(&invitation, Thing::Invitation)?, &caller).await?;
    Ok(Done)
}
