//! Who signed what an issuer says to this client.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::jwks::{Algorithm, Lookup, Trusts, VerifyingKey};
use crate::schedule::Moment;
use crate::token::{Jws, TokenFault, TokenPolicy};

/// Why a token of the issuer is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum SignedFault {
    #[error("it is refused: {0}")]
    Refused(#[from] TokenFault),
    #[error("the keys that would decide are not to be had")]
    Unavailable,
}

/// What tokens of one issuer are held to before their claims are.
pub(super) struct Signatures {
    pub(super) trusts: Arc<Trusts>,
    pub(super) issuer: String,
    pub(super) policy: TokenPolicy,
    pub(super) clock: Clock,
}

/// A token whose signature is good.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) payload: Vec<u8>,
    pub(super) algorithm: Algorithm,
}

impl Signatures {
    /// Verifies a token of one of these types, or of none, by the keys of the issuer. One that is new is asked for.
    pub(super) async fn open(
        &self,
        token: &str,
        types: &[&str],
        max_bytes: usize,
    ) -> Result<Opened, SignedFault> {
        let (jws, iss) = Jws::parse_among(token, types, max_bytes)?;
        // Exactly, and before any key is looked for (RFC 8725 §3.8).
        if iss != self.issuer {
            return Err(TokenFault::UnknownIssuer.into());
        }
        let key = self.key(&jws).await?;
        if !self.policy.listed().contains(&key.algorithm()) {
            return Err(TokenFault::Algorithm.into());
        }
        jws.verify(&key)?;
        Ok(Opened { payload: jws.payload, algorithm: key.algorithm() })
    }

    async fn key(&self, jws: &Jws<'_>) -> Result<Arc<VerifyingKey>, SignedFault> {
        let (_, trust) = self.trusts.of(&self.issuer).ok_or(TokenFault::UnknownIssuer)?;
        let look_up = || {
            let moment = Moment { now: self.clock.steady(), tolerance: Duration::ZERO };
            trust.lookup(jws.key_name(), moment)
        };
        if let Lookup::Found { key, .. } = look_up() {
            return Ok(key);
        }
        if trust.may_refresh() {
            trust.refresh_for_request().await;
        }
        match look_up() {
            Lookup::Found { key, .. } => Ok(key),
            Lookup::NoSuchKey if !trust.is_unsettled() => Err(TokenFault::UnknownKey.into()),
            Lookup::NoKeys | Lookup::NoSuchKey => Err(SignedFault::Unavailable),
        }
    }

    /// What claims are compared with.
    pub(super) fn times(&self) -> Times {
        let leeway = self.policy.leeway_between_clocks().as_secs();
        Times { now: self.clock.unix_secs(), leeway }
    }
}

/// Now, and how far the clocks may be apart, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) now: u64,
    pub(super) leeway: u64,
}
