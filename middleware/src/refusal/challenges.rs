//! What a refused caller is asked for.

use super::Refusal;
use crate::authorize::Binding;
use crate::challenge::Challenge;
use crate::decision::Denied;
use crate::token::{BearerFault, Scheme};

/// What challenges say beside the error.
#[derive(Default)]
pub(crate) struct Hint<'a> {
    /// The audience of the service.
    pub(crate) realm: &'a str,
    /// Where the metadata of the service is, if it has any.
    pub(crate) resource_metadata: Option<&'a str>,
    /// What the route cannot do without.
    pub(crate) scopes: Vec<&'a str>,
    /// Proofs, if any are accepted.
    pub(crate) dpop: Option<DpopHint>,
}

/// What a challenge says of proofs.
pub(crate) struct DpopHint {
    /// The names of the algorithms of proofs.
    pub(crate) algorithms: String,
    /// Whether bearer tokens are refused.
    pub(crate) is_required: bool,
}

impl Hint<'_> {
    /// The challenge of RFC 9449 §7.1.
    fn dpop(&self) -> Challenge<'_> {
        let algorithms = self.dpop.as_ref().map(|dpop| dpop.algorithms.as_str());
        algorithms.map_or_else(Challenge::dpop, |algorithms| Challenge::dpop().with("algs", algorithms))
    }

    fn by(&self, scheme: Scheme) -> Challenge<'_> {
        match scheme {
            Scheme::Bearer => Challenge::bearer(),
            Scheme::Dpop => self.dpop(),
        }
    }

    fn takes_bearer(&self) -> bool {
        self.dpop.as_ref().is_none_or(|dpop| !dpop.is_required)
    }
}

impl Refusal {
    /// What is asked for by each scheme that is accepted: first by the one that was tried, with what went wrong.
    pub(super) fn challenges<'a>(&'a self, hint: &'a Hint<'_>) -> Vec<Challenge<'a>> {
        let tried = match self {
            // RFC 6750 §3: no error code for a request that did not try to authenticate.
            Self::Anonymous => None,
            Self::Bearer(_)
            | Self::Token { scheme: Scheme::Bearer, .. }
            | Self::Unproven { binding: Binding::Certificate, .. } => Some(Scheme::Bearer),
            Self::Token { scheme: Scheme::Dpop, .. }
            | Self::Unproven { binding: Binding::Key, .. }
            | Self::Proof(_)
            | Self::ProofNonce(_) => Some(Scheme::Dpop),
            Self::Scope { denied, .. } | Self::SignIn { denied, .. } => Some(scheme_of(denied)),
            _ => return Vec::new(),
        };
        let failed = tried.map(|scheme| self.failed(hint.by(scheme), hint));
        let others = [
            (hint.takes_bearer() && tried != Some(Scheme::Bearer)).then_some(Scheme::Bearer),
            (hint.dpop.is_some() && tried != Some(Scheme::Dpop)).then_some(Scheme::Dpop),
        ];
        // Who has a token of one kind is not sent for one of the other, but where it was no good.
        let is_token_bad = matches!(self, Self::Anonymous | Self::Bearer(_) | Self::Token { .. });
        let others = others.into_iter().flatten().filter(|_| is_token_bad).map(|scheme| hint.by(scheme));
        // A scheme that is refused anyway is not offered, even where it was tried.
        let failed = failed.filter(|_| tried != Some(Scheme::Bearer) || hint.takes_bearer());
        failed.into_iter().chain(others).map(|challenge| self.hinted(challenge, hint)).collect()
    }

    fn failed<'a>(&'a self, challenge: Challenge<'a>, hint: &'a Hint<'_>) -> Challenge<'a> {
        let (_, code) = self.answer();
        match self {
            Self::Bearer(BearerFault::Several) => challenge.with("error", "invalid_request"),
            Self::Scope { scope, .. } => {
                let mut scopes =
                    if hint.resource_metadata.is_some() { hint.scopes.clone() } else { Vec::new() };
                if !scopes.contains(&scope.as_ref()) {
                    scopes.push(scope);
                }
                challenge.with("error", code).with("scope", scopes.join(" "))
            }
            Self::SignIn { sign_in, .. } => {
                let challenge = challenge.with("error", code).with("error_description", self.detail());
                let classes = sign_in.acr_values().map(|values| ("acr_values", values));
                let age = sign_in.max_age().map(|secs| ("max_age", secs.to_string()));
                classes.into_iter().chain(age).fold(challenge, |it, (name, value)| it.with(name, value))
            }
            _ => challenge.with("error", code).with("error_description", self.detail()),
        }
    }

    /// Whoever has no token is told which scopes to ask for, and everybody where to ask (RFC 9728 §5.1).
    fn hinted<'a>(&self, challenge: Challenge<'a>, hint: &'a Hint<'_>) -> Challenge<'a> {
        let Some(metadata) = hint.resource_metadata else { return challenge.never_bare(hint.realm) };
        let asks =
            matches!(self, Self::Anonymous | Self::Bearer(_) | Self::Token { .. }) && !hint.scopes.is_empty();
        let challenge = if asks { challenge.with("scope", hint.scopes.join(" ")) } else { challenge };
        challenge.with("resource_metadata", metadata)
    }
}

/// The scheme that a token of this kind comes by.
fn scheme_of(denied: &Denied) -> Scheme {
    if denied.principal.has_proven_key() { Scheme::Dpop } else { Scheme::Bearer }
}
