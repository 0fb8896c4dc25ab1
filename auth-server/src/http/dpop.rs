//! Proofs of possession in requests to this server ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)), and the nonces that it
//! wants in them.
//!
//! A nonce says by itself when it was made, and every replica knows those of every other: nothing of it is stored.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::HeaderName;
use http::request::Parts;
use portcullis_guard::{Dpop, DpopError, ProofRefused, ProofVerifier};

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::confirmation::{KeyProof, Thumbprint};
use crate::domain::issuer::Issuer;
use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::secret::Digest32;

/// The header with the proof.
const PROOF: HeaderName = HeaderName::from_static("dpop");
/// The header with the nonce that the next proof is to have (§8).
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// How far the clock of a client may be ahead.
const LEEWAY: Duration = Duration::from_secs(10);

/// Checks proofs.
#[derive(Clone)]
pub(crate) struct Proofs {
    verifier: Arc<ProofVerifier>,
    clock: Clock,
}

/// Why a proof does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProofError {
    #[error("the DPoP proof has no nonce of this server, or an old one")]
    Nonce,
    #[error("the DPoP proof is not accepted: {0}")]
    Refused(&'static str),
}

impl ProofError {
    /// What the client is told.
    pub(crate) const fn code(&self) -> OAuthErrorCode {
        match self {
            Self::Nonce => OAuthErrorCode::UseDpopNonce,
            Self::Refused(_) => OAuthErrorCode::InvalidDpopProof,
        }
    }
}

impl Proofs {
    /// Checks proofs for requests to the server at these addresses. With a secret, nonces are made from it, and each proof has to have
    /// one.
    pub(crate) fn new(
        addresses: &[Issuer],
        nonce_secret: Option<[u8; 32]>,
        clock: Clock,
    ) -> Result<Self, DpopError> {
        let verifier = ProofVerifier::new(&settings(addresses, nonce_secret), LEEWAY)?;
        Ok(Self { verifier: Arc::new(verifier), clock })
    }

    /// The algorithms that proofs may be signed by.
    pub(crate) fn algorithms(&self) -> Vec<&'static str> {
        self.verifier.algorithms()
    }

    /// The proof of a request, if it has one: for the token beside it, where there is one.
    pub(crate) fn read(&self, parts: &Parts, token: Option<&str>) -> Result<Option<KeyProof>, ProofError> {
        let now = u64::try_from(self.clock.now().as_secs()).unwrap_or_default();
        let proof = self.verifier.verify(parts, token, now).map_err(|refused| match refused {
            ProofRefused::Nonce(_) => ProofError::Nonce,
            ProofRefused::NotGood(why) => ProofError::Refused(why),
            _ => ProofError::Refused("it is not good"),
        })?;
        let Some(proof) = proof else { return Ok(None) };
        let (key, alg) = (Thumbprint::parse(proof.thumbprint()), proof.algorithm().parse());
        Ok(Some(KeyProof {
            key: key.map_err(|_| ProofError::Refused("its key has no thumbprint"))?,
            alg: alg.map_err(|_| ProofError::Refused("its algorithm is not accepted"))?,
            name: Digest32::of_parts(&[proof.thumbprint().as_bytes(), b" ", proof.jti().as_bytes()]),
            good_until: Timestamp::from_secs(i64::try_from(proof.good_until()).unwrap_or(i64::MAX)),
        }))
    }
}

/// What proofs for this server are held to, here and where its admin API is guarded.
pub(crate) fn settings(addresses: &[Issuer], nonce_secret: Option<[u8; 32]>) -> Dpop {
    let dpop = addresses.iter().fold(Dpop::new(), |dpop, address| dpop.origin(address.as_str()));
    match nonce_secret {
        Some(secret) => dpop.nonces(secret),
        None => dpop,
    }
}

/// Gives the nonce of the time with each answer to a request that has a proof, good or not (§8.2): so the next proof has one
/// that is fresh.
pub(crate) async fn offer_nonce(State(proofs): State<Proofs>, request: Request, next: Next) -> Response {
    let proves = request.headers().contains_key(PROOF);
    let mut response = next.run(request).await;
    let now = u64::try_from(proofs.clock.now().as_secs()).unwrap_or_default();
    if let Some(nonce) = proofs.verifier.nonce(now).filter(|_| proves) {
        response.headers_mut().insert(NONCE, nonce);
    }
    response
}
