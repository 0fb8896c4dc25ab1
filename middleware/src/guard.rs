//! The order in which a request is judged.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use http::request::Parts;
use portcullis_policy::Route;

use crate::authorize::{Binding, Denial, Grant, Grounds, Policies, Requirement};
use crate::binding::{BindingFault, Bindings, Proofs};
use crate::client_address::Proxies;
use crate::clock::Clock;
use crate::decision::{AccessDenied, Decision, DecisionId, DecisionIds};
use crate::input::InputRules;
use crate::jwks::{Trust, Trusts};
use crate::limit::{Limiters, Passage};
use crate::policy::PolicyState;
use crate::refusal::{DpopHint, Hint, Outage, Refusal};
use crate::resource::Described;
use crate::routes::Announcer;
use crate::schedule::Moment;
use crate::status::Status;
use crate::token::{Attempt, Credential, Principal, Verification, Verifier, credential};

/// How long a refresh waits for what it fetched to be written down.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

/// The guard of a service: a tower layer that lets a request through only when its path is canonical, its
/// limits are not spent, its token is good, its caller may do this, and its body is well-formed.
///
/// The order is fixed: path, limits by address, token, limits by identity, requirement, input, handler. Cheap
/// to clone; clones are the same guard.
#[derive(Clone)]
pub struct Guard(Arc<Core>);

/// The parts of a guard.
pub(crate) struct Core {
    pub(crate) verifier: Verifier,
    pub(crate) trusts: Arc<Trusts>,
    pub(crate) policy: Option<PolicyState>,
    pub(crate) limiters: Limiters,
    pub(crate) proxies: Proxies,
    pub(crate) input: Arc<InputRules>,
    pub(crate) decisions: DecisionIds,
    pub(crate) clock: Clock,
    pub(crate) bindings: Bindings,
    pub(crate) told: Told,
}

/// What others are told of this service.
pub(crate) struct Told {
    /// Who tells the server of the routes, where one is to be told.
    pub(crate) announcer: Option<Arc<Announcer>>,
    /// The metadata of this service, if it is to have any.
    pub(crate) resource: Option<Arc<Described>>,
}

impl Guard {
    /// Fetches keys and policy now, reads policy files again, and looks for where limits are shared if that is away. What cannot be had stays as it was. A server that may not
    /// know the routes is told of them.
    pub async fn refresh(&self) {
        self.refresh_remote().await;
        if let Some(announcer) = &self.0.told.announcer {
            announcer.announce().await;
        }
    }

    /// Tells the server what was decided until now, for a service that is about to end. Otherwise it is told now and then, as
    /// [`DecisionRecords`](crate::DecisionRecords) say.
    pub async fn flush(&self) {
        if let Some(policy) = &self.0.policy {
            policy.flush().await;
        }
    }

    /// What the guard knows, how old that is and where it came from: for a readiness probe and for metrics.
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum::Json;
    /// use http::StatusCode;
    /// use portcullis_guard::{Guard, Status};
    ///
    /// /// Not ready while the guard would answer 503.
    /// async fn ready(guard: Guard) -> (StatusCode, Json<Status>) {
    ///     let status = guard.status();
    ///     let answer = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    ///     (answer, Json(status))
    /// }
    ///
    /// /// Something to ring a bell about long before the limits of a day and an hour are reached.
    /// fn is_left_alone(status: &Status) -> bool {
    ///     let is_old = |age: Option<Duration>, limit| age.is_some_and(|age| age > limit);
    ///     status.policy.as_ref().is_some_and(|policy| is_old(policy.age, Duration::from_mins(5)))
    ///         || status.issuers.iter().any(|keys| is_old(keys.age, Duration::from_mins(5)))
    /// }
    /// ```
    pub fn status(&self) -> Status {
        let now = self.0.clock.steady();
        let policy = self.0.policy.as_ref();
        Status {
            ready: self.is_ready(),
            policy: policy.map(|policy| policy.status(now)),
            issuers: self.0.trusts.statuses(now),
            revocations_age: policy.and_then(PolicyState::revoked).and_then(|revoked| revoked.age(now)),
            limits_shared: self.0.limiters.are_shared(),
        }
    }

    /// Whether the guard has all it needs to decide, and none of it is too old: keys of every issuer, the policy if there
    /// is to be one, and what was revoked if that has to be known.
    pub fn is_ready(&self) -> bool {
        let moment = Moment::strict(self.0.clock.steady());
        let policy = self.0.policy.as_ref();
        self.0.trusts.are_ready(moment)
            && policy.is_none_or(|policy| policy.is_usable(moment) && !policy.hears_too_little(moment))
    }

    /// The revision of the policy in force.
    pub fn policy_revision(&self) -> Option<u64> {
        self.0.policy.as_ref()?.revision()
    }

    pub(crate) fn new(core: Core) -> Self {
        Self(Arc::new(core))
    }

    pub(crate) fn has_policy(&self) -> bool {
        self.0.policy.is_some()
    }

    /// What a challenge to callers of a route says.
    pub(crate) fn hint<'a>(&'a self, requirement: &'a Requirement) -> Hint<'a> {
        let resource_metadata = self.resource().map(|resource| resource.url());
        let hint = |proofs: &Proofs| DpopHint {
            algorithms: proofs.algorithms(),
            is_required: proofs.are_required(),
        };
        Hint {
            resource_metadata,
            scopes: requirement.scopes(),
            dpop: self.0.bindings.dpop.as_ref().map(hint),
        }
    }

    pub(crate) fn resource(&self) -> Option<&Arc<Described>> {
        self.0.told.resource.as_ref()
    }

    pub(crate) fn spawn_refresh(&self) {
        self.0.trusts.spawn_refresh();
        self.0.policy.iter().for_each(PolicyState::spawn_refresh);
        self.0.told.announcer.iter().for_each(Announcer::spawn);
        self.0.limiters.spawn_refresh();
    }

    /// Takes note of routes behind this guard, if anybody is to be told of them.
    pub(crate) fn note_routes(&self, routes: impl FnOnce() -> Vec<Route>) {
        if let Some(announcer) = &self.0.told.announcer {
            announcer.note(routes());
        }
    }

    /// Takes note of what routes behind this guard require, for the metadata of the service.
    pub(crate) fn note_scopes<'a>(&self, requirements: impl IntoIterator<Item = &'a Requirement>) {
        if let Some(resource) = &self.0.told.resource {
            resource.note_scopes(requirements.into_iter().flat_map(Requirement::scopes_mentioned));
        }
    }

    /// Takes over what the disk holds. Keys first: the policy is signed with one of them.
    pub(crate) async fn recall(&self) {
        self.0.trusts.recall().await;
        if let Some(policy) = &self.0.policy {
            policy.recall().await;
        }
    }

    /// Keys first, again. Where limits are shared is looked for meanwhile.
    pub(crate) async fn refresh_remote(&self) {
        let knowledge = async {
            self.0.trusts.refresh().await;
            if let Some(policy) = &self.0.policy {
                policy.refresh().await;
            }
        };
        join(knowledge, self.0.limiters.refresh()).await;
        // A disk that hangs holds nobody up.
        let _ = tokio::time::timeout(DISK_PATIENCE, self.settle()).await;
    }

    async fn settle(&self) {
        self.0.trusts.settle().await;
        if let Some(policy) = &self.0.policy {
            policy.settle().await;
        }
    }

    /// The limits on the way to a route.
    pub(crate) fn passage(&self, requirement: &Requirement, path: Option<&str>) -> Passage {
        let text = || requirement.to_string();
        let route = path.map_or_else(text, str::to_owned);
        self.0.limiters.passage(&route, requirement.request_cost(), requirement.limits())
    }

    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.0
    }

    pub(crate) fn input(&self) -> Arc<InputRules> {
        Arc::clone(&self.0.input)
    }
}

impl Core {
    pub(crate) fn moment(&self, requirement: &Requirement) -> Moment {
        Moment { now: self.clock.steady(), tolerance: requirement.tolerance() }
    }

    pub(crate) fn authenticate(
        &self,
        parts: &Parts,
        requirement: &Requirement,
        attempt: Attempt,
    ) -> Result<Authentication, Refusal> {
        if requirement.ignores_tokens() {
            return Ok(Authentication::Known(None));
        }
        let sent = credential(&parts.headers).map_err(Refusal::Bearer)?;
        let Some(sent) = sent.filter(|sent| self.bindings.knows(sent.scheme)) else {
            let anonymous = requirement.admits_anonymous();
            return if anonymous { Ok(Authentication::Known(None)) } else { Err(Refusal::Anonymous) };
        };
        match self.verifier.verify(sent.token, requirement.tolerance(), attempt) {
            Verification::Refused(fault) => Err(Refusal::Token { fault, scheme: sent.scheme }),
            Verification::Unavailable => Err(Refusal::Unavailable(Outage::Keys)),
            Verification::Verified(caller) => {
                self.prove(parts, sent, &caller)?;
                Ok(Authentication::Known(Some(caller)))
            }
            Verification::Waiting(trust) => Ok(Authentication::Wait(trust)),
        }
    }

    /// Checks that a token which is bound to something is sent by who has that.
    fn prove(&self, parts: &Parts, sent: Credential<'_>, caller: &Principal) -> Result<(), Refusal> {
        self.bindings.check(parts, (sent, caller), &self.proxies, &self.clock).map_err(|fault| match fault {
            BindingFault::Proof(what) => Refusal::Proof(what),
            BindingFault::Nonce(nonce) => Refusal::ProofNonce(nonce),
            BindingFault::Token(fault) => Refusal::Token { fault, scheme: sent.scheme },
            BindingFault::Unbound => Refusal::Unproven(Binding::Key),
            BindingFault::Full => Refusal::Unavailable(Outage::Proofs),
        })
    }

    pub(crate) fn authorize(
        &self,
        requirement: &Requirement,
        caller: Option<&Principal>,
    ) -> Result<Decision, Refusal> {
        let decide = |policy: Policies<'_>| {
            let grounds = Grounds { policy, clock: &self.clock, leeway: self.verifier.leeway() };
            requirement.decide(caller, grounds)
        };
        let outcome = match &self.policy {
            Some(policy) => policy.with(self.moment(requirement), decide),
            None => decide(Policies::Unused),
        };
        let id = self.decisions.next();
        outcome.map(|grant| Decision::new(id, grant)).map_err(|denial| match caller {
            Some(caller) => refusal(denial, requirement, caller, id),
            // Whoever has no token is asked for one before anything else is looked at.
            None => Refusal::Anonymous,
        })
    }
}

/// The answer to a caller who may not.
fn refusal(denial: Denial, requirement: &Requirement, caller: &Principal, id: DecisionId) -> Refusal {
    let denied = |grant| AccessDenied {
        decision: Decision::new(id, grant),
        needed: requirement.needed(),
        principal: caller.clone(),
    };
    let forbidden = |why, grant| Refusal::Forbidden { why, denied: denied(grant) };
    let nothing = Grant::default();
    match denial {
        Denial::Anonymous => Refusal::Anonymous,
        Denial::NoPolicy => forbidden("the route requires a policy and the guard has none", nothing),
        Denial::NoRequirement => forbidden("the route states no requirement", nothing),
        Denial::Policy(grant) => forbidden("the policy does not allow it", grant),
        Denial::PolicyMissing => Refusal::Unavailable(Outage::Policy),
        Denial::Scope(scope) => Refusal::Scope { scope, denied: denied(nothing) },
        Denial::Unbound(binding) => Refusal::Unproven(binding),
        Denial::SignIn(sign_in) => Refusal::SignIn { sign_in, denied: denied(nothing) },
    }
}

pub(crate) enum Authentication {
    Known(Option<Principal>),
    Wait(Arc<Trust>),
}

impl fmt::Debug for Guard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Guard").field("policy_revision", &self.policy_revision()).finish_non_exhaustive()
    }
}
