//! Client authentication: secret in the header or in the form, a signed assertion, a certificate, or none for public clients
//! ([RFC 6749 §2.3](https://www.rfc-editor.org/rfc/rfc6749#section-2.3), [RFC 7523](https://www.rfc-editor.org/rfc/rfc7523),
//! [RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)). A client uses the method that it is registered for, and no other.

pub(crate) mod assertion;
pub(crate) mod certificate;
pub(crate) mod credential;
pub(crate) mod limits;
pub(crate) mod replays;
pub(crate) mod uses;

use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::client::{Client, KeySource};
use crate::domain::client_authentication::{AuthMethod, ClientSecret};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::issuer::Issuer;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::once::ClientAssertion;
use crate::domain::secret::{Digest32, OpaqueToken};
use crate::keys::certificate::authorities::Authorities;
use crate::services::client_auth::assertion::{AssertionError, Audience};
use crate::services::client_auth::certificate::CertificateError;
use crate::services::client_auth::credential::{ClientCredential, CredentialError};
use crate::services::client_auth::limits::ClientLimits;
use crate::services::client_auth::uses::SecretUses;
use crate::services::client_keys::{ClientKeyError, ClientKeys};
use crate::services::possession::Possession;
use crate::services::registration::Arrival;
use crate::services::registration::documents::DocumentService;
use crate::services::registration::error::DocumentError;
use crate::storage::{Store, StoreError};

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
        self.0.is_confidential()
    }
}

/// Why a client is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientAuthError {
    #[error("the assertion is not accepted: {0}")]
    Assertion(#[from] AssertionError),
    #[error("the certificate is not accepted: {0}")]
    Certificate(#[from] CertificateError),
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
            Self::Document(error) if error.seems_to_pass() => OAuthErrorCode::TemporarilyUnavailable,
            Self::Assertion(_)
            | Self::Certificate(_)
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
            Self::Assertion(_) | Self::Certificate(_) | Self::Unknown | Self::WrongMethod | Self::WrongSecret
        )
    }
}

impl From<ClientKeyError> for ClientAuthError {
    fn from(error: ClientKeyError) -> Self {
        match error {
            ClientKeyError::Algorithm => Self::Assertion(AssertionError::Algorithm),
            ClientKeyError::Jwt(error) => Self::Assertion(error.into()),
            ClientKeyError::Missing => Self::Assertion(AssertionError::Keys),
            ClientKeyError::OtherAlgorithm => Self::Assertion(AssertionError::OtherAlgorithm),
            ClientKeyError::Unavailable => Self::KeysUnavailable,
        }
    }
}

/// Finds out which client sent a request.
#[derive(Clone)]
pub(crate) struct ClientAuthenticator {
    store: Store,
    issuer: Issuer,
    limits: ClientLimits,
    witnesses: Witnesses,
}

/// What came with a request, and where it was sent.
pub(crate) struct Presented<'a> {
    pub(crate) credential: &'a ClientCredential,
    pub(crate) held: &'a Possession,
    /// The path of the endpoint.
    pub(crate) endpoint: &'a str,
}

/// What is asked about the proofs of clients.
#[derive(Clone)]
pub(crate) struct Witnesses {
    pub(crate) keys: ClientKeys,
    /// Without them, nobody is known by a certificate that an authority issued.
    pub(crate) authorities: Option<Authorities>,
    pub(crate) documents: DocumentService,
    pub(crate) uses: SecretUses,
}

impl ClientAuthenticator {
    pub(crate) const fn new(
        store: Store,
        issuer: Issuer,
        limits: ClientLimits,
        witnesses: Witnesses,
    ) -> Self {
        Self { store, issuer, limits, witnesses }
    }

    /// When secrets were used.
    pub(crate) const fn uses(&self) -> &SecretUses {
        &self.witnesses.uses
    }

    /// Checks a credential.
    ///
    /// An assertion that comes with the client may have been used before. Nothing is to be done for the client before it is used up: by
    /// what is written for it, or by [`Self::use_up`].
    ///
    /// Failures are counted per client and address, and past the limit they get another answer. The check itself is never
    /// skipped: whoever holds the right secret gets in, however many others guess.
    pub(crate) async fn authenticate(
        &self,
        presented: &Presented<'_>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(AuthenticatedClient, Option<ClientAssertion>), ClientAuthError> {
        let outcome = self.check(presented, Arrival { address, now }).await;
        let named = presented.credential.client_id();
        match outcome {
            Err(error) if error.is_guess() && self.limits.is_exceeded(named, address) => {
                Err(ClientAuthError::Throttled)
            }
            outcome => outcome,
        }
    }

    /// Uses an assertion up by itself.
    pub(crate) async fn use_up(
        &self,
        client: &AuthenticatedClient,
        assertion: ClientAssertion,
        arrival: Arrival,
    ) -> Result<(), ClientAuthError> {
        replays::use_up((&self.store, &self.limits), &client.client().id, assertion, arrival).await
    }

    async fn check(
        &self,
        presented: &Presented<'_>,
        arrival: Arrival,
    ) -> Result<(AuthenticatedClient, Option<ClientAssertion>), ClientAuthError> {
        let id = ClientId::parse(presented.credential.client_id()).map_err(|_| ClientAuthError::Unknown)?;
        self.witnesses.documents.ensure(&id, arrival).await?;
        let client = self.store.client(&id).await?.ok_or(ClientAuthError::Unknown)?;
        let assertion = self.prove(presented, &client, arrival.now).await?;
        // After the proof, so that nobody else learns that the client exists.
        if client.is_enabled() {
            Ok((AuthenticatedClient(client), assertion))
        } else {
            Err(ClientAuthError::Disabled)
        }
    }

    /// By the one method that the client is registered for. Of an assertion it is not known yet whether it was used before.
    async fn prove(
        &self,
        presented: &Presented<'_>,
        client: &Client,
        now: Timestamp,
    ) -> Result<Option<ClientAssertion>, ClientAuthError> {
        use AuthMethod as Method;
        use ClientCredential as Shown;

        let certificate = presented.held.certificate.as_ref();
        match (presented.credential, client.authentication.method) {
            (Shown::None { .. }, Method::None) => {}
            (Shown::Basic { secret, .. }, Method::ClientSecret | Method::ClientSecretBasic)
            | (Shown::Post { secret, .. }, Method::ClientSecret | Method::ClientSecretPost) => {
                let used = check_secret(secret, &client.authentication.secrets)?;
                self.witnesses.uses.note(&client.id, &used, now);
            }
            (Shown::Assertion { assertion, .. }, Method::PrivateKeyJwt) => {
                return self.check_assertion(assertion, client, presented.endpoint, now).await.map(Some);
            }
            (Shown::None { .. }, Method::TlsClientAuth) => {
                let name = client.settings.protocol.proof.certificate_name.as_ref();
                certificate::check_issued(certificate, name, self.witnesses.authorities.as_ref(), now)?;
            }
            (Shown::None { .. }, Method::SelfSignedTlsClientAuth) => {
                certificate::check_registered(certificate, registered_keys(client))?;
            }
            _ => return Err(ClientAuthError::WrongMethod),
        }
        Ok(None)
    }

    async fn check_assertion(
        &self,
        assertion: &str,
        client: &Client,
        endpoint: &str,
        now: Timestamp,
    ) -> Result<ClientAssertion, ClientAuthError> {
        // Nobody is asked for the keys of a client that was switched off.
        if !client.is_enabled() && matches!(client.keys(), Some(KeySource::At(_))) {
            return Err(AssertionError::Keys.into());
        }
        let token = self.witnesses.keys.verify(client, client.assertion_alg(), assertion).await?;
        let audience = Audience { issuer: &self.issuer, endpoint, rule: client.assertion_audience() };
        let accepted = assertion::accept(&token, &client.id, audience, now)?;
        let name = Digest32::of_parts(&[client.id.as_str().as_bytes(), b" ", accepted.jti.as_bytes()]);
        Ok(ClientAssertion { name, good_until: accepted.remember_until })
    }
}

/// The keys that are registered with us: certificates that are published elsewhere are not looked at.
fn registered_keys(client: &Client) -> Option<&str> {
    match client.keys() {
        Some(KeySource::Registered(jwks)) => Some(jwks),
        Some(KeySource::At(_)) | None => None,
    }
}

/// Compares with each secret, however many there are, and gives the digest of the one that was meant.
fn check_secret(secret: &str, secrets: &[ClientSecret]) -> Result<Digest32, ClientAuthError> {
    let presented = OpaqueToken::parse(secret).map_err(|_| ClientAuthError::WrongSecret)?.digest();
    let found = secrets.iter().fold(false, |found, secret| found | presented.matches(&secret.digest));
    if found { Ok(presented) } else { Err(ClientAuthError::WrongSecret) }
}
