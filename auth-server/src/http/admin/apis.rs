//! APIs: the services that tokens are for and that policies protect.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::ApiId;
use crate::domain::rbac::Api;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::precondition::IfMatch;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::apis::{ApiForm, ApiPatch, ApiService};
use crate::services::paging::PageQuery;

/// An API.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiDocument {
    #[schema(example = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    /// The `aud` of its access tokens.
    #[schema(example = "https://orders.example.com")]
    audience: String,
    name: String,
    access_token_ttl_secs: u64,
    /// The policy revision that its guards enforce.
    active_revision: Option<u64>,
    /// Whether what one person wrote takes another to put it in force.
    four_eyes: bool,
    /// The scopes that it has, space-delimited: tokens for it say no others but those of OpenID Connect. Empty if it names none; then any.
    scopes: String,
    created_at: String,
}

impl From<Api> for ApiDocument {
    fn from(api: Api) -> Self {
        Self {
            id: api.id.to_string(),
            audience: api.audience.to_string(),
            name: api.name,
            access_token_ttl_secs: api.access_token_ttl.as_secs(),
            active_revision: api.active_revision,
            four_eyes: api.four_eyes,
            scopes: api.scopes.to_string(),
            created_at: api.created_at.rfc3339(),
        }
    }
}

/// A page of APIs.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiList {
    items: Vec<ApiDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which APIs to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApiFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// A new API.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiInput {
    /// An absolute URI without a fragment (RFC 8707). It cannot be changed later: tokens carry it.
    #[schema(example = "https://orders.example.com")]
    audience: String,
    #[schema(example = "Orders")]
    name: String,
    /// How long its access tokens live: 30 seconds to 24 hours, 5 minutes unless given.
    access_token_ttl_secs: Option<u64>,
    /// The scopes that it has, space-delimited: tokens for it say no others but those of OpenID Connect. Without it: it names none, and
    /// tokens say whatever the client may ask for.
    #[schema(example = "orders:read orders:write")]
    scopes: Option<String>,
}

/// What can be changed about an API.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiInput {
    #[schema(example = "Orders")]
    name: String,
    /// How long its access tokens live: 30 seconds to 24 hours.
    access_token_ttl_secs: u64,
    /// Whether what one person wrote takes another to put it in force. Without it that stays as it is; only an owner of the
    /// server turns it off.
    four_eyes: Option<bool>,
    /// The scopes that it has, space-delimited. Without it they stay as they are.
    scopes: Option<String>,
}

/// Lists APIs, oldest first.
#[utoipa::path(get, path = "/apis", tag = "apis", operation_id = "listApis", params(ApiFilter),
    responses((status = 200, body = ApiList)))]
pub(crate) async fn list(
    State(apis): State<ApiService>,
    Parameters(filter): Parameters<ApiFilter>,
) -> Result<Answer<ApiList>, Problem> {
    let page = apis.list(&PageQuery::new(filter.after, filter.limit)).await?;
    Ok(Answer::ok(ApiList {
        items: page.items.into_iter().map(ApiDocument::from).collect(),
        next: page.next,
    }))
}

/// Creates an API with the roles `viewer` and `editor` and a policy for them.
#[utoipa::path(post, path = "/apis", tag = "apis", operation_id = "createApi", request_body = NewApiInput,
    responses((status = 201, body = ApiDocument)))]
pub(crate) async fn create(
    State(apis): State<ApiService>,
    By(caller): By,
    JsonBody(input): JsonBody<NewApiInput>,
) -> Result<Answer<ApiDocument>, Problem> {
    let NewApiInput { audience, name, access_token_ttl_secs, scopes } = input;
    let made = apis.create(&ApiForm { audience, name, access_token_ttl_secs, scopes }, &caller).await?;
    let place = format!("/api/v1/apis/{}", made.value.id);
    Ok(Answer::created(made.value.into(), place).at(&made.version))
}

/// Shows an API.
#[utoipa::path(get, path = "/apis/{api}", tag = "apis", operation_id = "showApi", params(("api" = String, Path)),
    responses((status = 200, body = ApiDocument)))]
pub(crate) async fn show(
    State(apis): State<ApiService>,
    Path(api): Path<String>,
) -> Result<Answer<ApiDocument>, Problem> {
    let found = apis.show(&named::<ApiId>(&api, Thing::Api)?).await?;
    Ok(Answer::ok(found.value.into()).at(&found.version))
}

/// Replaces what can be changed about an API.
#[utoipa::path(put, path = "/apis/{api}", tag = "apis", operation_id = "updateApi",
    params(("api" = String, Path), ("If-Match" = String, Header)), request_body = ApiInput,
    responses((status = 200, body = ApiDocument)))]
pub(crate) async fn update(
    State(apis): State<ApiService>,
    Path(api): Path<String>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
    JsonBody(input): JsonBody<ApiInput>,
) -> Result<Answer<ApiDocument>, Problem> {
    let id = named::<ApiId>(&api, Thing::Api)?;
    let ApiInput { name, access_token_ttl_secs, four_eyes, scopes } = input;
    let patch = ApiPatch { name, access_token_ttl_secs, four_eyes, scopes };
    match apis.update(&id, &patch, &precondition, &caller).await {
        Ok(changed) => Ok(Answer::ok(changed.value.into()).at(&changed.version)),
        Err(AdminError::Stale) => {
            let current = apis.show(&id).await?;
            Err(Problem::stale(&ApiDocument::from(current.value), &current.version))
        }
        Err(error) => Err(error.into()),
    }
}

/// Deletes an API that no client names, with its roles, rules and revisions.
#[utoipa::path(delete, path = "/apis/{api}", tag = "apis", operation_id = "deleteApi", params(("api" = String, Path)),
    responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete(
    State(apis): State<ApiService>,
    Path(api): Path<String>,
    By(caller): By,
) -> Result<Done, Problem> {
    apis.delete(&named::<ApiId>(&api, Thing::Api)?, &caller).await?;
    Ok(Done)
}
