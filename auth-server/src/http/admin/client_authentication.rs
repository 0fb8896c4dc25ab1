//! How a client proves who it is, and its secrets, as JSON.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::client::Client;
use crate::domain::client_authentication::{AuthMethod, CertificateName};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::NoBody;
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;
use crate::services::clients::ClientService;
use crate::services::clients::authentication::AuthenticationForm;
use crate::services::clients::secrets::{KnownSecret, NewSecret};

/// How a client proves who it is. Only `tls_client_auth` needs more than the method: exactly one name in the certificate.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuthenticationSettings {
    /// `client_secret_basic`, `client_secret_post`, `none`, `private_key_jwt`, `self_signed_tls_client_auth` or
    /// `tls_client_auth`. Without it: the one before, or else keys where there are some, or else what the preset gives. Null:
    /// none was named, and the client may send its secret in either way.
    token_endpoint_auth_method: Option<String>,
    /// `ES256`, `EdDSA`, `PS256` or `RS256`: what its assertions are signed by, for `private_key_jwt`; others are refused. Without it:
    /// whatever its keys sign by.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg: Option<String>,
    /// The whole subject of the certificate, as RFC 4514 writes it.
    #[schema(example = "CN=orders,O=Example")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_subject_dn: Option<String>,
    /// A host among the names of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_dns: Option<String>,
    /// A URI among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_uri: Option<String>,
    /// An IP address among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_ip: Option<String>,
    /// A mailbox among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_auth_san_email: Option<String>,
}

impl AuthenticationSettings {
    pub(super) fn of(client: &Client) -> Self {
        let method = client.authentication.method;
        let named = (method != AuthMethod::ClientSecret).then(|| method.as_str().to_owned());
        let alg = client.assertion_alg().map(|alg| alg.as_str().to_owned());
        let document = Self {
            token_endpoint_auth_method: named,
            token_endpoint_auth_signing_alg: alg,
            ..Self::default()
        };
        match client.settings.protocol.proof.certificate_name.clone() {
            None => document,
            Some(CertificateName::Subject(name)) => {
                Self { tls_client_auth_subject_dn: Some(name), ..document }
            }
            Some(CertificateName::Dns(name)) => Self { tls_client_auth_san_dns: Some(name), ..document },
            Some(CertificateName::Email(name)) => Self { tls_client_auth_san_email: Some(name), ..document },
            Some(CertificateName::Ip(name)) => {
                Self { tls_client_auth_san_ip: Some(name.to_string()), ..document }
            }
            Some(CertificateName::Uri(name)) => Self { tls_client_auth_san_uri: Some(name), ..document },
        }
    }
}

impl From<AuthenticationSettings> for AuthenticationForm {
    fn from(document: AuthenticationSettings) -> Self {
        Self {
            token_endpoint_auth_method: document.token_endpoint_auth_method,
            token_endpoint_auth_signing_alg: document.token_endpoint_auth_signing_alg,
            tls_client_auth_subject_dn: document.tls_client_auth_subject_dn,
            tls_client_auth_san_dns: document.tls_client_auth_san_dns,
            tls_client_auth_san_uri: document.tls_client_auth_san_uri,
            tls_client_auth_san_ip: document.tls_client_auth_san_ip,
            tls_client_auth_san_email: document.tls_client_auth_san_email,
        }
    }
}

/// A secret that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewSecretDocument {
    /// What names it.
    #[schema(example = "2d711642b726")]
    id: String,
    /// The secret. This is the only time that it is shown.
    client_secret: String,
}

impl From<NewSecret> for NewSecretDocument {
    fn from(made: NewSecret) -> Self {
        Self { id: made.name, client_secret: made.secret.expose().to_owned() }
    }
}

/// A secret, as far as it is known.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretDocument {
    /// What names it.
    #[schema(example = "2d711642b726")]
    id: String,
    created_at: String,
    /// To some minutes; null when it was not used since this is noted.
    last_used_at: Option<String>,
}

impl From<KnownSecret> for SecretDocument {
    fn from(known: KnownSecret) -> Self {
        Self {
            id: known.name,
            created_at: known.created_at.rfc3339(),
            last_used_at: known.last_used_at.map(Timestamp::rfc3339),
        }
    }
}

/// The secrets of a client, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretList {
    items: Vec<SecretDocument>,
}

/// Lists the secrets of a client, the newest first: which there are, and when each was used last.
#[utoipa::path(get, path = "/clients/{client}/secrets", tag = "clients", operation_id = "listClientSecrets",
    params(("client" = String, Path)), responses((status = 200, body = SecretList)))]
pub(crate) async fn list(
    State(clients): State<ClientService>,
    Path(client): Path<String>,
) -> Result<Answer<SecretList>, Problem> {
    let known = clients.secrets(&named::<ClientId>(&client, Thing::Client)?).await?;
    Ok(Answer::ok(SecretList { items: known.into_iter().map(SecretDocument::from).collect() }))
}

/// Makes a second secret, which nobody chooses. The first one goes on working until it is retired.
#[utoipa::path(post, path = "/clients/{client}/secrets", tag = "clients", operation_id = "addClientSecret",
    params(("client" = String, Path)), responses((status = 201, body = NewSecretDocument)))]
pub(crate) async fn add(
    State(clients): State<ClientService>,
    Path(client): Path<String>,
    By(caller): By,
    _: NoBody,
) -> Result<Answer<NewSecretDocument>, Problem> {
    let made = clients.add_secret(&named::<ClientId>(&client, Thing::Client)?, &caller).await?;
    let place = format!("/api/v1/clients/{client}/secrets/{}", made.name);
    Ok(Answer::created(made.into(), place))
}

/// Has one of two secrets stop working at once.
#[utoipa::path(delete, path = "/clients/{client}/secrets/{secret}", tag = "clients", operation_id = "retireClientSecret",
    params(("client" = String, Path), ("secret" = String, Path)),
    responses((status = 204, description = "It works no longer.")))]
pub(crate) async fn retire(
    State(clients): State<ClientService>,
    Path((client, secret)): Path<(String, String)>,
    By(caller): By,
) -> Result<Done, Problem> {
    clients.retire_secret(&named::<ClientId>(&client, Thing::Client)?, &secret, &caller).await?;
    Ok(Done)
}

/// Makes a new secret in the place of all others, which stop working at once: for one that leaked.
#[utoipa::path(post, path = "/clients/{client}/secret", tag = "clients", operation_id = "rotateClientSecret",
    params(("client" = String, Path)), responses((status = 200, body = NewSecretDocument)))]
pub(crate) async fn rotate(
    State(clients): State<ClientService>,
    Path(client): Path<String>,
    By(caller): By,
    _: NoBody,
) -> Result<Answer<NewSecretDocument>, Problem> {
    let made = clients.rotate_secret(&named::<ClientId>(&client, Thing::Client)?, &caller).await?;
    Ok(Answer::ok(made.into()))
}
