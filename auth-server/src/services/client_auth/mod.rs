//! Client authentication: secret in the header or in the form, a signed assertion, or none for public clients
//! ([RFC 6749 §2.3](https://www.rfc-editor.org/rfc/rfc6749#section-2.3), [RFC 7523](https://www.rfc-editor.org/rfc/rfc7523)).

pub(crate) mod assertion;
pub(crate) mod credential;
pub(crate) mod limits;

use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::client::{Client, ClientAuthentication};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::issuer::Issuer;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::secret::{Digest32, OpaqueToken};
use crate::services::client_auth::assertion::AssertionError;
use crate::services::client_auth::credential::{ClientCredential, CredentialError};
use crate::services::client_auth::limits::ClientLimits;
use crate::services::client_keys::{ClientKeyError, ClientKeys};
use crate::services::registration::Arrival;
use crate::services::registration::documents::DocumentService;
use crate::services::registration::error::DocumentError;
use crate::storage::single_use::Purpose;
use crate::storage::{Store, StoreError, single_use};

/// A client that proved who it is, or a public one that said so. Only [`ClientAuthenticator`] makes one.
#[derive(Clone, Debug)]
pub(crate) struct AuthenticatedClient(Arc<Client>);

impl AuthenticatedClient {
    /// The client.
    pub(crate) const fn client(&self) -> &Arc<Client> {
        &self.0
    }

    /// Whether the client proved who it is.
    pub(crate) fn is_confidential(&self) -> bool {
        !matches!(self.0.authentication, ClientAuthentication::None)
    }
}

/// Why a client is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientAuthError {
    #[error("the assertion is not accepted: {0}")]
    Assertion(#[from] AssertionError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("the client is disabled")]
    Disabled,
    #[error("client_id {0}")]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error("the keys of the client cannot be fetched at present")]
    KeysUnavailable,
    #[error("the assertion was used before")]
    Replayed,
    #[error("too many failures of this client from this address")]
    Throttled,
    #[error("there is no such client")]
    Unknown,
    #[error("the client is registered for another way to authenticate")]
    WrongMethod,
    #[error("the secret is wrong")]
    WrongSecret,
}

impl ClientAuthError {
    /// What the client is told.
    pub(crate) const fn code(&self) -> OAuthErrorCode {
        match self {
            Self::Credential(error) => error.code(),
            Self::Fault(error) if error.is_temporary() => OAuthErrorCode::TemporarilyUnavailable,
            Self::Fault(_) => OAuthErrorCode::ServerError,
            Self::KeysUnavailable => OAuthErrorCode::TemporarilyUnavailable,
            Self::Document(error) if error.passes() => OAuthErrorCode::TemporarilyUnavailable,
            Self::Assertion(_)
            | Self::Disabled
            | Self::Document(_)
            | Self::Replayed
            | Self::Throttled
            | Self::Unknown
            | Self::WrongMethod
            | Self::WrongSecret => OAuthErrorCode::InvalidClient,
        }
    }

    /// Whether somebody may be guessing.
    const fn is_guess(&self) -> bool {
        matches!(
            self,
            Self::Assertion(_) | Self::Replayed | Self::Unknown | Self::WrongMethod | Self::WrongSecret
        )
    }
}

impl From<ClientKeyError> for ClientAuthError {
    fn from(error: ClientKeyError) -> Self {
        match error {
            ClientKeyError::Jwt(error) => Self::Assertion(error.into()),
            ClientKeyError::Missing => Self::Assertion(AssertionError::Keys),
            ClientKeyError::Unavailable => Self::KeysUnavailable,
        }
    }
}

/// Finds out which client sent a request.
#[derive(Clone)]
pub(crate) struct ClientAuthenticator {
    store: Store,
    issuer: Issuer,
    keys: ClientKeys,
    limits: ClientLimits,
    documents: DocumentService,
}

impl ClientAuthenticator {
    pub(crate) const fn new(
        store: Store,
        issuer: Issuer,
        keys: ClientKeys,
        limits: ClientLimits,
        documents: DocumentService,
    ) -> Self {
        Self { store, issuer, keys, limits, documents }
    }

    /// Checks a credential.
    ///
    /// Failures are counted per client and address, and past the limit they get another answer. The check itself is never
    /// skipped: whoever holds the right secret gets in, however many others guess.
    pub(crate) async fn authenticate(
        &self,
        credential: &ClientCredential,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<AuthenticatedClient, ClientAuthError> {
        let outcome = self.check(credential, Arrival { address, now }).await;
        match outcome {
            Err(error) if error.is_guess() && self.limits.is_exceeded(credential.client_id(), address) => {
                Err(ClientAuthError::Throttled)
            }
            outcome => outcome,
        }
    }

    async fn check(
        &self,
        credential: &ClientCredential,
        arrival: Arrival,
    ) -> Result<AuthenticatedClient, ClientAuthError> {
        let id = ClientId::parse(credential.client_id()).map_err(|_| ClientAuthError::Unknown)?;
        self.documents.ensure(&id, arrival).await?;
        let client = self.store.client(&id).await?.ok_or(ClientAuthError::Unknown)?;
        match (credential, &client.authentication) {
            (ClientCredential::None { .. }, ClientAuthentication::None) => {}
            (
                ClientCredential::Basic { secret, .. } | ClientCredential::Post { secret, .. },
                ClientAuthentication::Secret(digest),
            ) => check_secret(secret, digest)?,
            (
                ClientCredential::Assertion { assertion, .. },
                ClientAuthentication::PrivateKeyJwt(_) | ClientAuthentication::PrivateKeyJwtAt(_),
            ) => self.check_assertion(assertion, &client, arrival.now).await?,
            _ => return Err(ClientAuthError::WrongMethod),
        }
        // After the proof, so that nobody else learns that the client exists.
        if client.is_enabled() { Ok(AuthenticatedClient(client)) } else { Err(ClientAuthError::Disabled) }
    }

    async fn check_assertion(
        &self,
        assertion: &str,
        client: &Client,
        now: Timestamp,
    ) -> Result<(), ClientAuthError> {
        let token = self.keys.verify(client, assertion).await?;
        let accepted = assertion::accept(&token, &client.id, &self.issuer, now)?;
        let digest = Digest32::of_parts(&[client.id.as_str().as_bytes(), b" ", accepted.jti.as_bytes()]);
        // RFC 7523 §3, 7: used once, on any replica, for as long as it would be accepted.
        let is_new: bool = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let until = accepted.remember_until;
                    single_use::remember(tx, Purpose::AssertionJti, &digest, until, now).await
                })
            })
            .await?;
        if is_new { Ok(()) } else { Err(ClientAuthError::Replayed) }
    }
}

fn check_secret(secret: &str, digest: &Digest32) -> Result<(), ClientAuthError> {
    let presented = OpaqueToken::parse(secret).map_err(|_| ClientAuthError::WrongSecret)?;
    if presented.digest().matches(digest) { Ok(()) } else { Err(ClientAuthError::WrongSecret) }
}
