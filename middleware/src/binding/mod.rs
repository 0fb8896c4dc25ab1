//! Tokens that are bound to a key, and the proof that the caller has it (RFC 9449, RFC 8705).

mod certificate;
mod dpop;
#[cfg(test)]
mod examples;
mod nonce;
mod proof;
mod replay;
mod rules;
#[cfg(feature = "redis")]
mod shared;
#[cfg(not(feature = "redis"))]
mod unshared;
#[cfg(test)]
mod vectors;
mod verifier;
mod window;

use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::certificate::{CertificateHeader, ClientCertificates, PeerCertificate};
pub use self::dpop::Dpop;
pub(crate) use self::dpop::Proofs;
#[cfg(feature = "test-util")]
pub(crate) use self::nonce::Nonces;
pub(crate) use self::replay::Name;
pub use self::rules::DpopError;
#[cfg(feature = "redis")]
pub(crate) use self::shared::Claim;
#[cfg(feature = "redis")]
pub use self::shared::RedisProofs;
#[cfg(feature = "redis")]
use self::shared::Shared;
#[cfg(not(feature = "redis"))]
pub(crate) use self::unshared::Claim;
#[cfg(not(feature = "redis"))]
use self::unshared::Shared;
pub use self::verifier::{ProofOfKey, ProofRefused, ProofVerifier};
use crate::authorize::Binding;
use crate::client_address::Proxies;
use crate::clock::Clock;
use crate::outage::{CALM, OutageLog, OutageReport};
use crate::token::{Credential, Principal, Scheme, TokenFault};

/// Why a caller has not proven that the token is theirs.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum BindingFault {
    /// The proof is not one for this request and this token.
    #[error("the DPoP proof is refused: {0}")]
    Proof(&'static str),
    /// The proof has no nonce of ours, or an old one: this is a new one.
    #[error("the DPoP proof has no nonce that is known here")]
    Nonce(HeaderValue),
    /// The token is not good for this kind of use.
    #[error(transparent)]
    Token(TokenFault),
    /// Only bound tokens are accepted.
    #[error("the token is not bound to a key")]
    Unbound,
    /// No more proofs can be remembered, so none can be known to be new.
    #[error("too many proofs are remembered")]
    Full,
    /// Where used proofs are shared was not reached, so nobody knows whether this one was used elsewhere.
    #[error("where used proofs are shared cannot be reached")]
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "nothing is shared without the feature"))]
    Away,
}

impl BindingFault {
    const USED: Self = Self::Proof("it was used before");
}

/// What proves that a token is the caller's.
#[derive(Default)]
pub(crate) struct Bindings {
    pub(crate) dpop: Option<Proofs>,
    pub(crate) certificates: Option<ClientCertificates>,
    /// What rules ask for that nobody can prove.
    impossible: OutageLog,
    /// That no more proofs can be remembered.
    crowd: OutageLog,
}

/// Both hands of the clock.
#[derive(Clone, Copy)]
struct Instant {
    unix_secs: u64,
    steady: Duration,
}

impl Instant {
    fn of(clock: &Clock) -> Self {
        Self { unix_secs: clock.unix_secs(), steady: clock.steady() }
    }
}

impl Bindings {
    pub(crate) fn new(dpop: Option<Proofs>, certificates: Option<ClientCertificates>) -> Self {
        Self { dpop, certificates, impossible: OutageLog::default(), crowd: OutageLog::default() }
    }

    /// Whether a scheme is one that means anything here.
    pub(crate) const fn knows(&self, scheme: Scheme) -> bool {
        matches!(scheme, Scheme::Bearer) || self.dpop.is_some()
    }

    /// How a token in a cookie, which comes without a scheme, is meant: where it has a proof, as one that is bound to a key.
    pub(crate) fn scheme_of_cookie(&self, headers: &HeaderMap) -> Scheme {
        if self.dpop.is_some() && headers.contains_key(rules::HEADER) { Scheme::Dpop } else { Scheme::Bearer }
    }

    /// The header in which a proxy hands certificates on, if one does.
    pub(crate) fn certificate_header(&self) -> Option<HeaderName> {
        self.certificates.as_ref().and_then(ClientCertificates::header)
    }

    /// Checks that the caller has every key that the token is bound to, and gives the name of the proof of one, which is still to
    /// be [noted](Self::note).
    pub(crate) fn check(
        &self,
        parts: &Parts,
        (credential, caller): (Credential<'_>, &Principal),
        proxies: &Proxies,
        clock: &Clock,
    ) -> Result<Option<Name>, BindingFault> {
        let unproven = || BindingFault::Token(TokenFault::SenderConstrained);
        let Some(confirmation) = caller.confirmation() else {
            return self.check_unbound(credential.scheme).map(|()| None);
        };
        if confirmation.jkt.is_none() && confirmation.x5t.is_none() {
            return Err(unproven());
        }
        if let Some(thumbprint) = &confirmation.x5t {
            let certificates = self.certificates.as_ref().ok_or_else(unproven)?;
            if !certificates.prove(parts, proxies, thumbprint) {
                return Err(unproven());
            }
        }
        match (&confirmation.jkt, credential.scheme, &self.dpop) {
            (None, scheme, _) => self.check_unbound(scheme).map(|()| None),
            (Some(_), Scheme::Bearer, _) | (Some(_), _, None) => Err(unproven()),
            (Some(thumbprint), Scheme::Dpop, Some(proofs)) => {
                proofs.check(parts, (credential.token, thumbprint), Instant::of(clock)).map(Some)
            }
        }
    }

    /// Notes that a proof is used, unless it was before, and gives what is still to be asked for elsewhere.
    pub(crate) fn note(&self, proof: Name, clock: &Clock) -> Result<Option<Claim>, BindingFault> {
        let noted = self.dpop.as_ref().map_or(Ok(None), |proofs| proofs.note(proof, Instant::of(clock)));
        match &noted {
            Ok(_) => self.note_crowd(None, clock),
            Err(fault @ BindingFault::Full) => self.note_crowd(Some(fault), clock),
            // That needed no room.
            Err(_) => {}
        }
        noted
    }

    /// Says to the log that no proof can be remembered, and that some can again. Strangers can cause the one as often as they like, so
    /// that it is said ever more rarely.
    fn note_crowd(&self, fault: Option<&BindingFault>, clock: &Clock) {
        let now = clock.steady();
        let Some(fault) = fault else {
            if let Some(OutageReport { lasted, attempts }) = self.crowd.calmed(now, CALM) {
                tracing::info!(attempts, for_secs = lasted.as_secs(), "new proofs can be remembered again");
            }
            return;
        };
        if let Some(OutageReport { attempts, .. }) = self.crowd.failed(now, fault, false) {
            tracing::warn!(attempts, "{fault}: requests with new ones are answered 503");
        }
    }

    /// Where used proofs are shared, if they are to be.
    fn shared(&self) -> Option<&Shared> {
        self.dpop.as_ref().and_then(Proofs::shared)
    }

    /// Whether used proofs are shared at the moment; `None` if they are not to be.
    pub(crate) fn are_shared(&self) -> Option<bool> {
        self.shared().map(Shared::is_up)
    }

    /// Whether every token has to be bound to a key.
    pub(crate) fn are_required(&self) -> bool {
        self.dpop.as_ref().is_some_and(Proofs::are_required)
    }

    /// Whether anybody can show who they are: not where everybody needs a proof and none can be taken.
    pub(crate) fn are_ready(&self) -> bool {
        !self.are_required() || self.shared().is_none_or(Shared::serves)
    }

    /// Looks for where used proofs are shared, if that is away.
    pub(crate) async fn refresh(&self) {
        if let Some(shared) = self.shared() {
            shared.refresh().await;
        }
    }

    pub(crate) fn spawn_refresh(&self) {
        if let Some(shared) = self.shared() {
            shared.spawn_refresh();
        }
    }

    /// Whether callers can ever prove this.
    pub(crate) const fn can_prove(&self, binding: Binding) -> bool {
        match binding {
            Binding::Certificate => self.certificates.is_some(),
            Binding::Key => self.dpop.is_some(),
        }
    }

    /// Says to the log that the rule at a line asks for what nobody could prove, if that is so. Each caller with its role causes it as
    /// often as they like, so that it is said ever more rarely.
    pub(crate) fn note_impossible(&self, binding: Binding, line: u32, clock: &Clock) {
        if self.can_prove(binding) {
            return;
        }
        let cause = format_args!("line {line}: {binding}");
        if let Some(OutageReport { attempts, .. }) = self.impossible.failed(clock.steady(), &cause, false) {
            tracing::error!(
                policy.line = line,
                attempts,
                "nobody can pass: the guard accepts no tokens that are bound to {binding}"
            );
        }
    }

    /// What is bound to no key: by the scheme for tokens that are, nothing else may come (RFC 9449 §7.1).
    fn check_unbound(&self, scheme: Scheme) -> Result<(), BindingFault> {
        match scheme {
            Scheme::Dpop => Err(BindingFault::Token(TokenFault::Unbound)),
            Scheme::Bearer if self.are_required() => Err(BindingFault::Unbound),
            Scheme::Bearer => Ok(()),
        }
    }
}
