//! Tokens that let clients register themselves.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::InitialTokenId;
use crate::domain::registration::InitialToken;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;
use crate::services::paging::PageQuery;
use crate::services::registration::admin::{InitialTokenForm, RegistrationAdmin};

/// A token that lets clients register themselves. The token itself is shown once, when it is made.
#[derive(Serialize, ToSchema)]
pub(crate) struct InitialTokenDocument {
    #[schema(example = "iat_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    name: String,
    allowance: AllowanceDocument,
    /// How many clients may still register by it.
    uses_left: u32,
    created_by: String,
    created_at: String,
    expires_at: String,
}

/// What a client may have that registers by it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AllowanceDocument {
    grants: Vec<&'static str>,
    /// Space-delimited.
    scopes: String,
    /// The hosts where answers may be sent; empty for every host.
    redirect_hosts: Vec<String>,
    /// The APIs that it may ask tokens for.
    apis: Vec<String>,
}

impl From<InitialToken> for InitialTokenDocument {
    fn from(token: InitialToken) -> Self {
        let allowance = token.allowance;
        Self {
            id: token.id.to_string(),
            name: token.name,
            allowance: AllowanceDocument {
                grants: allowance.grants.iter().map(|grant| grant.as_str()).collect(),
                scopes: allowance.scopes,
                redirect_hosts: allowance.redirect_hosts,
                apis: allowance.apis.iter().map(ToString::to_string).collect(),
            },
            uses_left: token.uses_left,
            created_by: token.created_by,
            created_at: token.created_at.rfc3339(),
            expires_at: token.expires_at.rfc3339(),
        }
    }
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewInitialTokenDocument {
    token: InitialTokenDocument,
    /// The token itself. This is the only time that it is shown.
    initial_access_token: String,
}

/// A page of tokens.
#[derive(Serialize, ToSchema)]
pub(crate) struct InitialTokenList {
    items: Vec<InitialTokenDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which tokens to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InitialTokenFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// What an administrator says about a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InitialTokenInput {
    #[schema(example = "Partners")]
    name: String,
    /// How many clients may register by it. Without it: one.
    uses: Option<u32>,
    /// For how many days it counts. Without it: seven.
    days: Option<u32>,
    /// The grants that a client may have. Without them: `authorization_code` and `refresh_token`.
    #[serde(default)]
    #[schema(example = json!(["authorization_code", "refresh_token"]))]
    grants: Vec<String>,
    /// Space-delimited. Without it: `openid profile email offline_access`.
    scopes: Option<String>,
    /// The hosts where answers may be sent. Without them: every host.
    #[serde(default)]
    redirect_hosts: Vec<String>,
    /// The APIs that a client may ask tokens for.
    #[serde(default)]
    apis: Vec<String>,
}

impl From<InitialTokenInput> for InitialTokenForm {
    fn from(input: InitialTokenInput) -> Self {
        Self {
            name: input.name,
            uses: input.uses,
            days: input.days,
            grants: input.grants,
            scopes: input.scopes,
            redirect_hosts: input.redirect_hosts,
            apis: input.apis,
        }
    }
}

/// Lists tokens, oldest first.
#[utoipa::path(get, path = "/initial-access-tokens", tag = "clients", operation_id = "listInitialAccessTokens",
    params(InitialTokenFilter), responses((status = 200, body = InitialTokenList)))]
pub(crate) async fn list(
    State(registrations): State<RegistrationAdmin>,
    Parameters(filter): Parameters<InitialTokenFilter>,
) -> Result<Answer<InitialTokenList>, Problem> {
    let page = registrations.list_tokens(&PageQuery::new(filter.after, filter.limit)).await?;
    let items = page.items.into_iter().map(InitialTokenDocument::from).collect();
    Ok(Answer::ok(InitialTokenList { items, next: page.next }))
}

/// Makes a token.
#[utoipa::path(post, path = "/initial-access-tokens", tag = "clients", operation_id = "createInitialAccessToken",
    request_body = InitialTokenInput, responses((status = 201, body = NewInitialTokenDocument)))]
pub(crate) async fn create(
    State(registrations): State<RegistrationAdmin>,
    By(caller): By,
    JsonBody(input): JsonBody<InitialTokenInput>,
) -> Result<Answer<NewInitialTokenDocument>, Problem> {
    let made = registrations.create_token(&input.into(), &caller).await?;
    let location = format!("/api/v1/initial-access-tokens/{}", made.token.id);
    let body = NewInitialTokenDocument {
        initial_access_token: made.secret.expose().to_owned(),
        token: made.token.into(),
    };
    Ok(Answer::created(body, location))
}

/// Takes a token away. Clients that registered by it stay.
#[utoipa::path(delete, path = "/initial-access-tokens/{token}", tag = "clients",
    operation_id = "deleteInitialAccessToken", params(("token" = String, Path)), responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete(
    State(registrations): State<RegistrationAdmin>,
    By(caller): By,
    Path(token): Path<String>,
) -> Result<Done, Problem> {
    let id: InitialTokenId = named(&token, Thing::InitialToken)?;
    registrations.delete_token(&id, &caller).await?;
    Ok(Done)
}
