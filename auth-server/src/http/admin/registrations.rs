//! Clients that came by themselves: registered, or described by a document.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::registration::Registration;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::problem::Problem;
use crate::services::clients::ClientService;
use crate::services::paging::PageQuery;
use crate::services::registration::admin::RegistrationAdmin;

/// A client that came by itself, and what it says about itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegistrationDocument {
    /// Its `client_id`: of one that is described by a document, where that is.
    #[schema(example = "https://app.example/client.json")]
    client: String,
    name: String,
    /// `dynamic` or `document`.
    #[schema(example = "document")]
    source: &'static str,
    /// The token that let it register.
    initial_token: Option<String>,
    created_at: String,
    disabled_at: Option<String>,
    client_uri: Option<String>,
    policy_uri: Option<String>,
    tos_uri: Option<String>,
    software: SoftwareDocument,
}

/// Which software it says it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct SoftwareDocument {
    id: Option<String>,
    version: Option<String>,
    contacts: Vec<String>,
}

impl From<(Registration, Client)> for RegistrationDocument {
    fn from((registration, client): (Registration, Client)) -> Self {
        let about = registration.about;
        Self {
            client: client.id.to_string(),
            name: client.name,
            source: registration.source.as_str(),
            initial_token: registration.initial_token.map(|token| token.to_string()),
            created_at: registration.created_at.rfc3339(),
            disabled_at: client.disabled_at.map(Timestamp::rfc3339),
            client_uri: about.client_uri,
            policy_uri: about.policy_uri,
            tos_uri: about.tos_uri,
            software: SoftwareDocument {
                id: about.software_id,
                version: about.software_version,
                contacts: about.contacts,
            },
        }
    }
}

/// A page of them.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegistrationList {
    items: Vec<RegistrationDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which ones to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RegistrationFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// Which client is meant. An address that names one has slashes in it, so it stands in the body.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistrationInput {
    #[schema(example = "https://app.example/client.json")]
    client: String,
}

/// Lists clients that came by themselves.
#[utoipa::path(get, path = "/registrations", tag = "clients", operation_id = "listRegistrations",
    params(RegistrationFilter), responses((status = 200, body = RegistrationList)))]
pub(crate) async fn list(
    State(registrations): State<RegistrationAdmin>,
    Parameters(filter): Parameters<RegistrationFilter>,
) -> Result<Answer<RegistrationList>, Problem> {
    let page = registrations.list(&PageQuery::new(filter.after, filter.limit)).await?;
    let items = page.items.into_iter().map(RegistrationDocument::from).collect();
    Ok(Answer::ok(RegistrationList { items, next: page.next }))
}

/// Switches such a client off: nothing is issued to it any more, and what it holds is refused. Its document, or a change of its
/// registration, does not switch it on again.
#[utoipa::path(post, path = "/registrations/disable", tag = "clients", operation_id = "disableRegistration",
    request_body = RegistrationInput, responses((status = 204, description = "It is off.")))]
pub(crate) async fn disable(
    State(registrations): State<RegistrationAdmin>,
    State(clients): State<ClientService>,
    By(caller): By,
    JsonBody(input): JsonBody<RegistrationInput>,
) -> Result<Done, Problem> {
    let id = registrations.find(&input.client).await?;
    clients.disable(&id, &caller).await?;
    Ok(Done)
}

/// Switches such a client on again.
#[utoipa::path(post, path = "/registrations/enable", tag = "clients", operation_id = "enableRegistration",
    request_body = RegistrationInput, responses((status = 204, description = "It is on.")))]
pub(crate) async fn enable(
    State(registrations): State<RegistrationAdmin>,
    State(clients): State<ClientService>,
    By(caller): By,
    JsonBody(input): JsonBody<RegistrationInput>,
) -> Result<Done, Problem> {
    let id = registrations.find(&input.client).await?;
    clients.enable(&id, &caller).await?;
    Ok(Done)
}
