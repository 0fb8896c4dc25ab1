//! Proofs of requests that ask for tokens (RFC 9449 §5, §10): nobody knows yet which key they will be bound to.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use http::request::Parts;

use super::rules::{DpopError, HEADER, Rules};
use super::{BindingFault, Dpop};

/// Checks DPoP proofs for a server that issues tokens (RFC 9449 §4.3, §5). A service gives [`Dpop`] to its guard instead, which
/// knows by the token whose proof it has to be.
///
/// It remembers nothing: that a proof is [used once](ProofOfKey::jti) is for the server to see to, which has replicas to share that
/// with.
///
/// ```
/// use std::time::Duration;
/// use portcullis_guard::{Dpop, ProofVerifier};
///
/// # fn run() -> Result<(), portcullis_guard::DpopError> {
/// let dpop = Dpop::new().origin("https://id.example.com").nonces([7; 32]);
/// let proofs = ProofVerifier::new(&dpop, Duration::from_secs(10))?;
/// # Ok(())
/// # }
/// # run().unwrap();
/// ```
pub struct ProofVerifier(Rules);

/// A proof that was made for a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProofOfKey {
    thumbprint: String,
    algorithm: &'static str,
    jti: String,
    good_until: u64,
}

/// Why a proof is not one for its request.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofRefused {
    /// It has no nonce of this server, or an old one: this is a new one (§8).
    #[error("it has no nonce that is known here")]
    Nonce(HeaderValue),
    /// It is not good, for this reason.
    #[error("{0}")]
    NotGood(&'static str),
}

impl ProofVerifier {
    /// Holds proofs to these settings: their origins, of which there has to be one, their age, and their nonces, if any. The clocks
    /// of clients may be ahead by `leeway`.
    pub fn new(dpop: &Dpop, leeway: Duration) -> Result<Self, DpopError> {
        let rules = dpop.rules(leeway)?;
        if rules.origins.is_empty() { Err(DpopError::NotAnOrigin(String::new())) } else { Ok(Self(rules)) }
    }

    /// The proof of a request, or none if it has no `DPoP` header at all. Beside a token, it has to be one for that, too (`ath`).
    pub fn verify(
        &self,
        parts: &Parts,
        token: Option<&str>,
        unix_secs: u64,
    ) -> Result<Option<ProofOfKey>, ProofRefused> {
        if !parts.headers.contains_key(HEADER) {
            return Ok(None);
        }
        let proof = self.0.check(parts, (token, None), unix_secs).map_err(|fault| match fault {
            BindingFault::Nonce(nonce) => ProofRefused::Nonce(nonce),
            BindingFault::Proof(what) => ProofRefused::NotGood(what),
            _ => ProofRefused::NotGood("it is not good"),
        })?;
        let good_until = proof.claims.iat.0.saturating_add(self.0.window.whole().as_secs());
        let algorithm = proof.algorithm.name();
        Ok(Some(ProofOfKey { thumbprint: proof.thumbprint, algorithm, jti: proof.claims.jti, good_until }))
    }

    /// The nonce that proofs are asked for now, if they are to have one.
    pub fn nonce(&self, unix_secs: u64) -> Option<HeaderValue> {
        self.0.nonces.as_ref().map(|nonces| nonces.current(unix_secs))
    }

    /// The JOSE names of the algorithms that proofs may be signed by.
    pub fn algorithms(&self) -> Vec<&'static str> {
        self.0.algorithm_names()
    }
}

impl fmt::Debug for ProofVerifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ProofVerifier").finish_non_exhaustive()
    }
}

impl ProofOfKey {
    /// The thumbprint of the key (RFC 7638): the `jkt` of a token that is bound to it.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The JOSE name of the algorithm that it is signed by. One key may sign by several.
    pub const fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The name of the proof among those of its key.
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// The second from which it is taken nowhere any more, also by the clock of a replica that is late by the leeway.
    pub const fn good_until(&self) -> u64 {
        self.good_until
    }
}
