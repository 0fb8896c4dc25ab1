//! Organisations: the tenants.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::OrganisationId;
use crate::domain::organisation::Organisation;
use crate::http::admin::answer::Answer;
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;
use crate::services::organisations::OrganisationService;
use crate::services::paging::PageQuery;

/// An organisation.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrganisationDocument {
    #[schema(example = "org_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    name: String,
    created_at: String,
}

impl From<Organisation> for OrganisationDocument {
    fn from(organisation: Organisation) -> Self {
        Self {
            id: organisation.id.to_string(),
            name: organisation.name,
            created_at: organisation.created_at.rfc3339(),
        }
    }
}

/// A page of organisations.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrganisationList {
    items: Vec<OrganisationDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which organisations to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrganisationFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// A new organisation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganisationInput {
    #[schema(example = "Acme")]
    name: String,
}

/// Lists organisations, oldest first.
#[utoipa::path(get, path = "/organisations", tag = "organisations", operation_id = "listOrganisations",
    params(OrganisationFilter), responses((status = 200, body = OrganisationList)))]
pub(crate) async fn list(
    State(organisations): State<OrganisationService>,
    Parameters(filter): Parameters<OrganisationFilter>,
) -> Result<Answer<OrganisationList>, Problem> {
    let page = organisations.list(&PageQuery::new(filter.after, filter.limit)).await?;
    let items = page.items.into_iter().map(OrganisationDocument::from).collect();
    Ok(Answer::ok(OrganisationList { items, next: page.next }))
}

/// Creates an organisation.
#[utoipa::path(post, path = "/organisations", tag = "organisations", operation_id = "createOrganisation",
    request_body = OrganisationInput, responses((status = 201, body = OrganisationDocument)))]
pub(crate) async fn create(
    State(organisations): State<OrganisationService>,
    By(caller): By,
    JsonBody(input): JsonBody<OrganisationInput>,
) -> Result<Answer<OrganisationDocument>, Problem> {
    let made = organisations.create(&input.name, &caller).await?;
    let place = format!("/api/v1/organisations/{}", made.id);
    Ok(Answer::created(made.into(), place))
}

/// Shows an organisation.
#[utoipa::path(get, path = "/organisations/{organisation}", tag = "organisations", operation_id = "showOrganisation",
    params(("organisation" = String, Path)), responses((status = 200, body = OrganisationDocument)))]
pub(crate) async fn show(
    State(organisations): State<OrganisationService>,
    Path(organisation): Path<String>,
) -> Result<Answer<OrganisationDocument>, Problem> {
    let found = organisations.show(&named::<OrganisationId>(&organisation, Thing::Organisation)?).await?;
    Ok(Answer::ok(found.into()))
}
