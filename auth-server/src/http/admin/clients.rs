//! Clients: the applications and machines that ask for tokens.

pub(crate) mod file;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::client::{Client, FirstParty, KeySource};
use crate::domain::client_authentication::AuthMethod;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::client_authentication::AuthenticationSettings;
use crate::http::admin::client_protocol::ProtocolDocument;
use crate::http::admin::path::named;
use crate::http::admin::precondition::IfMatch;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::clients::ClientService;
use crate::services::clients::form::{ClientForm, ClientOptions};
use crate::services::paging::PageQuery;

/// A client. Its secret is shown once, when it is made, and never again.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClientDocument {
    /// Its `client_id`.
    #[schema(example = "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    name: String,
    organisation: Option<String>,
    authentication: AuthenticationDocument,
    grants: Vec<&'static str>,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    /// Space-delimited.
    scopes: String,
    settings: SettingsDocument,
    disabled_at: Option<String>,
}

/// How a client proves who it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthenticationDocument {
    /// A public client; PKCE binds its codes.
    None,
    /// It signs assertions.
    PrivateKeyJwt,
    /// It holds a secret, of which we keep the digest.
    Secret,
    /// It shows a certificate that it registered.
    SelfSignedTlsClientAuth,
    /// It shows a certificate of an authority.
    TlsClientAuth,
}

/// The rest of what an administrator set.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsDocument {
    preset: &'static str,
    /// What it is held to as a whole: `fapi2`, `none` or `oauth21`.
    profile: &'static str,
    /// Whether nobody is asked for consent.
    first_party: bool,
    id_token_alg: &'static str,
    /// Where it publishes its public keys, if it does not register them.
    jwks_uri: Option<String>,
    /// The APIs that it may ask tokens for.
    apis: Vec<String>,
    /// The types of details that it may ask for (RFC 9396).
    authorization_details_types: Vec<String>,
    /// The API whose guard it is.
    serves: Option<String>,
    authentication: AuthenticationSettings,
    protocol: ProtocolDocument,
}

impl From<Client> for ClientDocument {
    fn from(client: Client) -> Self {
        let authentication = AuthenticationSettings::of(&client);
        let texts = |uris: &[crate::domain::redirect_uri::RedirectUri]| {
            uris.iter().map(|uri| uri.as_str().to_owned()).collect()
        };
        let jwks_uri = match client.keys() {
            Some(KeySource::At(url)) => Some(url.to_string()),
            Some(KeySource::Registered(_)) | None => None,
        };
        Self {
            id: client.id.to_string(),
            authentication: match client.authentication.method {
                AuthMethod::None => AuthenticationDocument::None,
                AuthMethod::PrivateKeyJwt => AuthenticationDocument::PrivateKeyJwt,
                AuthMethod::ClientSecret | AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => {
                    AuthenticationDocument::Secret
                }
                AuthMethod::SelfSignedTlsClientAuth => AuthenticationDocument::SelfSignedTlsClientAuth,
                AuthMethod::TlsClientAuth => AuthenticationDocument::TlsClientAuth,
            },
            grants: client.grants.iter().map(|grant| grant.as_str()).collect(),
            redirect_uris: texts(&client.redirects),
            post_logout_redirect_uris: texts(&client.post_logout_redirects),
            scopes: client.scopes.to_string(),
            settings: SettingsDocument {
                preset: client.settings.preset.as_str(),
                profile: client.settings.profile.as_str(),
                first_party: client.settings.first_party == FirstParty::Yes,
                id_token_alg: client.settings.id_token_alg.as_str(),
                jwks_uri,
                apis: client.settings.apis.iter().map(ToString::to_string).collect(),
                authorization_details_types: client
                    .settings
                    .details_types
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                serves: client.settings.serves.map(|api| api.to_string()),
                authentication,
                protocol: ProtocolDocument::from(client.settings.protocol).with(client.settings.concessions),
            },
            name: client.name,
            organisation: client.organisation.map(|organisation| organisation.to_string()),
            disabled_at: client.disabled_at.map(Timestamp::rfc3339),
        }
    }
}

/// A client and the secret that was made for it.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewClientDocument {
    client: ClientDocument,
    /// The secret. This is the only time that it is shown; null when the client has none.
    client_secret: Option<String>,
}

/// A page of clients.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClientList {
    items: Vec<ClientDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which clients to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ClientFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// What an administrator says about a client.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientInput {
    #[schema(example = "Orders web shop")]
    name: String,
    /// `web`, `spa`, `native`, `device`, `m2m` or `service`: what kind of program it is. It sets the grants and the
    /// authentication, and cannot be changed later.
    #[schema(example = "web")]
    preset: String,
    organisation: Option<String>,
    /// Compared exactly; of a loopback address the port may differ.
    #[serde(default)]
    #[schema(example = json!(["https://shop.example.com/callback"]))]
    redirect_uris: Vec<String>,
    #[serde(default)]
    post_logout_redirect_uris: Vec<String>,
    /// Space-delimited. Without it: what the preset gives.
    scopes: Option<String>,
    /// The APIs that it may ask tokens for.
    #[serde(default)]
    apis: Vec<String>,
    /// The API whose guard it is: for `service` only.
    serves: Option<String>,
    /// Its public keys, as a JSON Web Key Set: what it signs with. Unless another method is named, it proves by them who it is, and
    /// has no secret.
    #[schema(value_type = Option<Object>)]
    jwks: Option<serde_json::Value>,
    #[serde(default)]
    options: OptionsInput,
}

/// The rarely touched part of a client.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptionsInput {
    /// `fapi2` (FAPI 2.0 Security Profile), `oauth21` (OAuth 2.1) or `none`: what it is held to as a whole. A setting that the profile
    /// forbids refuses all of the input. Without it: the one before, or none.
    #[schema(example = "fapi2")]
    profile: Option<String>,
    /// Whether it belongs to the operator of this server, so that nobody is asked for consent.
    #[serde(default)]
    first_party: bool,
    /// `ES256` (the default), `EdDSA`, `PS256` or `RS256`.
    id_token_alg: Option<String>,
    /// Where it publishes the public keys with which its assertions and requests are verified, instead of `jwks`.
    #[schema(example = "https://shop.example.com/jwks.json")]
    jwks_uri: Option<String>,
    /// How it proves who it is.
    #[serde(default)]
    authentication: AuthenticationSettings,
    /// What it is held to in the protocol.
    #[serde(default)]
    protocol: ProtocolDocument,
    /// The types of details that it may ask for (RFC 9396 §10), each of one of its `apis`.
    #[serde(default)]
    authorization_details_types: Vec<String>,
}

impl From<ClientInput> for ClientForm {
    fn from(input: ClientInput) -> Self {
        Self {
            name: input.name,
            preset: input.preset,
            organisation: input.organisation,
            redirect_uris: input.redirect_uris,
            post_logout_redirect_uris: input.post_logout_redirect_uris,
            scopes: input.scopes,
            apis: input.apis,
            serves: input.serves,
            jwks: input.jwks.map(|keys| keys.to_string()),
            options: ClientOptions {
                profile: input.options.profile,
                first_party: input.options.first_party,
                id_token_alg: input.options.id_token_alg,
                jwks_uri: input.options.jwks_uri,
                authentication: input.options.authentication.into(),
                concessions: input.options.protocol.concessions(),
                protocol: input.options.protocol.into(),
                authorization_details_types: input.options.authorization_details_types,
            },
        }
    }
}

/// Lists clients, oldest first.
#[utoipa::path(get, path = "/clients", tag = "clients", operation_id = "listClients", params(ClientFilter),
    responses((status = 200, body = ClientList)))]
pub(crate) async fn list(
    State(clients): State<ClientService>,
    Parameters(filter): Parameters<ClientFilter>,
) -> Result<Answer<ClientList>, Problem> {
    let page = clients.list(&PageQuery::new(filter.after, filter.limit)).await?;
    Ok(Answer::ok(ClientList {
        items: page.items.into_iter().map(ClientDocument::from).collect(),
        next: page.next,
    }))
}

/// Creates a client, and its secret when it has one.
#[utoipa::path(post, path = "/clients", tag = "clients", operation_id = "createClient", request_body = ClientInput,
    responses((status = 201, body = NewClientDocument)))]
pub(crate) async fn create(
    State(clients): State<ClientService>,
    By(caller): By,
    JsonBody(input): JsonBody<ClientInput>,
) -> Result<Answer<NewClientDocument>, Problem> {
    let made = clients.create(&input.into(), &caller).await?;
    let place = format!("/api/v1/clients/{}", made.client.value.id);
    let client_secret = made.secret.map(|secret| secret.expose().to_owned());
    let body = NewClientDocument { client: made.client.value.into(), client_secret };
    Ok(Answer::created(body, place).at(&made.client.version))
}

/// Shows a client.
#[utoipa::path(get, path = "/clients/{client}", tag = "clients", operation_id = "showClient",
    params(("client" = String, Path)), responses((status = 200, body = ClientDocument)))]
pub(crate) async fn show(
    State(clients): State<ClientService>,
    Path(client): Path<String>,
) -> Result<Answer<ClientDocument>, Problem> {
    let found = clients.show(&named::<ClientId>(&client, Thing::Client)?).await?;
    Ok(Answer::ok(found.value.into()).at(&found.version))
}

/// Replaces what can be changed about a client. Its preset and its secret stay.
#[utoipa::path(put, path = "/clients/{client}", tag = "clients", operation_id = "updateClient",
    params(("client" = String, Path), ("If-Match" = String, Header)), request_body = ClientInput,
    responses((status = 200, body = ClientDocument)))]
pub(crate) async fn update(
    State(clients): State<ClientService>,
    Path(client): Path<String>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
    JsonBody(input): JsonBody<ClientInput>,
) -> Result<Answer<ClientDocument>, Problem> {
    let id = named::<ClientId>(&client, Thing::Client)?;
    match clients.update(&id, &input.into(), &precondition, &caller).await {
        Ok(changed) => Ok(Answer::ok(changed.value.into()).at(&changed.version)),
        Err(AdminError::Stale) => {
            let current = clients.show(&id).await?;
            Err(Problem::stale(&ClientDocument::from(current.value), &current.version))
        }
        Err(error) => Err(error.into()),
    }
}

/// Switches a client off.
#[utoipa::path(post, path = "/clients/{client}/disable", tag = "clients", operation_id = "disableClient",
    params(("client" = String, Path)), responses((status = 200, body = ClientDocument)))]
pub(crate) async fn disable(
    State(clients): State<ClientService>,
    Path(client): Path<String>,
    By(caller): By,
) -> Result<Answer<ClientDocument>, Problem> {
    let changed = clients.disable(&named::<ClientId>(&client, Thing::Client)?, &caller).await?;
    Ok(Answer::ok(changed.value.into()).at(&changed.version))
}

/// Switches a client on again.
#[utoipa::path(post, path = "/clients/{client}/enable", tag = "clients", operation_id = "enableClient",
    params(("client" = String, Path)), responses((status = 200, body = ClientDocument)))]
pub(crate) async fn enable(
    State(clients): State<ClientService>,
    Path(client): Path<String>,
    By(caller): By,
) -> Result<Answer<ClientDocument>, Problem> {
    let changed = clients.enable(&named::<ClientId>(&client, Thing::Client)?, &caller).await?;
    Ok(Answer::ok(changed.value.into()).at(&changed.version))
}

/// Deletes a client with its roles, and with the grants and consents that people gave it.
#[utoipa::path(delete, path = "/clients/{client}", tag = "clients", operation_id = "deleteClient", params(("client" = String, Path)),
    responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete(
    State(clients): State<ClientService>,
    Path(client): Path<String>,
    By(caller): By,
) -> Result<Done, Problem> {
    clients.delete(&named::<ClientId>(&client, Thing::Client)?, &caller).await?;
    Ok(Done)
}
