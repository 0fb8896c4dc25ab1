//! A request for tokens, or for what tokens will come of, with the proof of a key beside it
//! ([RFC 9449 §5](https://www.rfc-editor.org/rfc/rfc9449#section-5)).

use axum::extract::{FromRef, FromRequest, Request};

use crate::domain::clock::Clock;
use crate::http::dpop::Proofs;
use crate::http::extract::certificate::Certificates;
use crate::http::oauth::client_request::ClientRequest;
use crate::http::oauth::error::OAuthError;
use crate::services::client_auth::ClientAuthenticator;

/// A request of a client of which it is known by which key it was made, where it says so. The service that answers it uses up what it
/// shows: key and client.
pub(super) struct ProvingRequest(pub(super) ClientRequest);

impl<S> FromRequest<S> for ProvingRequest
where
    S: Send + Sync,
    Certificates: FromRef<S>,
    ClientAuthenticator: FromRef<S>,
    Clock: FromRef<S>,
    Proofs: FromRef<S>,
{
    type Rejection = OAuthError;

    /// The proof is looked at first: a client that has to send another one, with a nonce, has not used its assertion up yet.
    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        let (parts, body) = request.into_parts();
        let proof = match Proofs::from_ref(state).read(&parts, None) {
            Ok(proof) => proof,
            Err(error) => {
                ClientRequest::note_claimed(&parts, body).await;
                return Err(error.into());
            }
        };
        let ClientRequest { caller, parameters } =
            ClientRequest::unsettled(Request::from_parts(parts, body), state).await?;
        Ok(Self(ClientRequest { caller: caller.proving(proof), parameters }))
    }
}
