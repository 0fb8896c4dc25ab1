//! What people allowed applications.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::UserId;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;
use crate::services::paging::PageQuery;
use crate::services::users::UserService;
use crate::services::users::consents::NamedConsent;

/// What a person allowed a client at one API, or at this server alone.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentDocument {
    /// The `client_id`.
    client: String,
    /// What people are told that it is called.
    client_name: Option<String>,
    /// The API; null for this server.
    api: Option<String>,
    /// Its audience.
    audience: Option<String>,
    scopes: String,
    /// Claims that were allowed one by one.
    claims: Vec<String>,
    /// What stays allowed in detail (RFC 9396).
    #[schema(value_type = Vec<Object>)]
    authorization_details: Value,
    granted_at: String,
}

impl From<NamedConsent> for ConsentDocument {
    fn from(NamedConsent { consent, client, api }: NamedConsent) -> Self {
        Self {
            client: consent.client.to_string(),
            client_name: client.map(|client| client.title()),
            api: consent.api.map(|api| api.to_string()),
            audience: api.map(|api| api.audience.to_string()),
            scopes: consent.scopes.to_string(),
            claims: consent.claims.to_string().split_whitespace().map(str::to_owned).collect(),
            authorization_details: serde_json::to_value(&consent.details).unwrap_or_default(),
            granted_at: consent.granted_at.rfc3339(),
        }
    }
}

/// A page of consents.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentList {
    items: Vec<ConsentDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which consents to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConsentFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// Whose consent is meant. The `client_id` may be an address with slashes in it, so it stands in the body.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithdrawalInput {
    #[schema(example = "https://app.example/client.json")]
    client: String,
}

/// Lists what a person allowed, by client and API.
#[utoipa::path(get, path = "/users/{user}/consents", tag = "users", operation_id = "listConsents",
    params(("user" = String, Path), ConsentFilter), responses((status = 200, body = ConsentList)))]
pub(crate) async fn list(
    State(users): State<UserService>,
    Path(user): Path<String>,
    Parameters(filter): Parameters<ConsentFilter>,
) -> Result<Answer<ConsentList>, Problem> {
    let query = PageQuery::new(filter.after, filter.limit);
    let page = users.consents(&named::<UserId>(&user, Thing::User)?, &query).await?;
    Ok(Answer::ok(ConsentList {
        items: page.items.into_iter().map(ConsentDocument::from).collect(),
        next: page.next,
    }))
}

/// Takes back what a person allowed a client: it is forgotten, and every grant ends with its tokens. Who is signed in stays signed in.
#[utoipa::path(post, path = "/users/{user}/consents/withdraw", tag = "users", operation_id = "withdrawConsent",
    params(("user" = String, Path)), request_body = WithdrawalInput,
    responses((status = 204, description = "The client holds nothing of the person any more.")))]
pub(crate) async fn withdraw(
    State(users): State<UserService>,
    Path(user): Path<String>,
    By(caller): By,
    JsonBody(input): JsonBody<WithdrawalInput>,
) -> Result<Done, Problem> {
    users.withdraw(&named::<UserId>(&user, Thing::User)?, &input.client, &caller).await?;
    Ok(Done)
}
