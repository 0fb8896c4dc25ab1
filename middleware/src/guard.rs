//! The order in which a request is judged.

mod authority;
mod browsers;
mod dead_ends;
mod judge;
mod refused;
mod stay;
mod stream;
mod terms;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join4;
use http::request::Parts;
use http::{Method, Response, Uri};
use portcullis_policy::Route;
pub(crate) use stream::Stay;
use stream::Streams;
pub use stream::{Decider, Permit, RenewError};

pub(crate) use self::authority::{Authority, Pending};
#[cfg(feature = "login")]
pub(crate) use self::authority::{Identity, Rigour};
pub(crate) use self::browsers::{Browsers, Told};
pub(crate) use self::terms::Terms;
use crate::authorize::Requirement;
use crate::binding::{Bindings, Claim, Proofs};
use crate::body::Body;
use crate::clock::Clock;
use crate::decision_id::DecisionIds;
use crate::edge::{Edge, EdgeRules};
use crate::entropy::Entropy;
use crate::input::{InputRules, Media};
use crate::introspection::Introspector;
use crate::jwks::Trusts;
use crate::limit::{Limit, Limiters, Loan, Passage, Standing};
#[cfg(feature = "login")]
use crate::login::Sessions;
use crate::path;
use crate::policy::PolicyState;
use crate::refusal::{DpopHint, Hint, Refusal, Tally};
use crate::resource::Described;
use crate::routes::Announcer;
use crate::schedule::Moment;
use crate::status::{Status, StoreState};
#[cfg(not(feature = "login"))]
use crate::unlogged::Sessions;
use judge::Admission;
pub(crate) use judge::{Resume, settle};

/// How long a refresh waits for what it fetched to be written down.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

/// The guard of a service: a tower layer that lets a request through only when its path is canonical, its
/// limits are not spent, its token is good, its caller may do this, and its body is well-formed.
///
/// The order is fixed: path, limits by address, token, limits by identity, requirement, input, handler. Cheap
/// to clone; clones are the same guard.
#[derive(Clone)]
pub struct Guard {
    core: Arc<Core>,
    streams: Arc<Streams>,
}

/// The parts of a guard.
pub(crate) struct Core {
    pub(crate) authority: Authority,
    pub(crate) trusts: Arc<Trusts>,
    pub(crate) policy: Option<PolicyState>,
    pub(crate) limiters: Limiters,
    pub(crate) edge: Arc<EdgeRules>,
    pub(crate) input: Arc<InputRules>,
    pub(crate) decisions: DecisionIds,
    pub(crate) clock: Clock,
    pub(crate) credentials: Credentials,
    pub(crate) told: Announced,
}

/// How callers show who they are.
pub(crate) struct Credentials {
    pub(crate) bindings: Bindings,
    pub(crate) browsers: Browsers,
}

/// What others are told of this service.
pub(crate) struct Announced {
    /// Who tells the server of the routes, where one is to be told.
    pub(crate) announcer: Option<Arc<Announcer>>,
    /// The metadata of this service, if it is to have any.
    pub(crate) resource: Option<Arc<Described>>,
}

impl Guard {
    /// Fetches keys and policy now, reads policy files again, and looks for where limits and proofs are shared if that is away. What cannot
    /// be had stays as it was. A server that may not know the routes is told of them. Streams whose permission has gone are ended. Where a
    /// policy is compared with Casbin, and nobody refreshes it in the background, what waits is compared now.
    pub async fn refresh(&self) {
        self.refresh_remote().await;
        if let Some(announcer) = &self.core.told.announcer {
            announcer.announce().await;
        }
        self.streams.look().await;
        if let Some(policy) = &self.core.policy {
            policy.catch_up().await;
        }
    }

    /// Tells the server what was decided until now, for a service that is about to end: wait for it after the last request was
    /// answered and before `main` returns. Otherwise it is told now and then, as [`DecisionRecords`](crate::DecisionRecords)
    /// say, which also say what is lost without it.
    ///
    /// ```no_run
    /// # use portcullis_guard::Guard;
    /// # async fn run(listener: tokio::net::TcpListener, app: axum::Router, guard: Guard) -> std::io::Result<()> {
    /// # async fn terminated() {}
    /// axum::serve(listener, app).with_graceful_shutdown(terminated()).await?;
    /// guard.flush().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A server that does not answer is given up after five seconds, and what it was not told is lost and counted in the log.
    pub async fn flush(&self) {
        if let Some(policy) = &self.core.policy {
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
        let now = self.core.clock.steady();
        let policy = self.core.policy.as_ref();
        Status {
            ready: self.is_ready(),
            policy: policy.map(|policy| policy.status(now)),
            issuers: self.core.trusts.statuses(now),
            introspection: self.core.authority.introspector.as_ref().map(Introspector::status),
            input_reports: self.core.input.reports(),
            streams: self.streams.count(),
            revocations_age: policy.and_then(PolicyState::revoked).and_then(|revoked| revoked.age(now)),
            limits_shared: self.core.limiters.are_shared(),
            proofs_shared: self.core.credentials.bindings.are_shared(),
            sessions: self.sessions().map(Sessions::state),
        }
    }

    /// How often it refused since it was built, by the code of the answer, such as `rate_limited`: for metrics. What the extractors of
    /// handlers refuse is not among it, nor who was led to sign in.
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.tally().counts()
    }

    /// Whether the guard has what it needs to decide, and none of it is too old: keys of an issuer, the policy if there
    /// is to be one, what was revoked if that has to be known, where limits are shared that hold everywhere and are closed without, where proofs are shared if nobody is served without, and where
    /// sessions are kept if people sign in here.
    ///
    /// Of several issuers, one whose keys cannot be had does not take the service away from the callers of the others: its tokens alone
    /// are answered 503. Which one it is says [`Status::issuers`]: the probe of a service that is of no use without it looks there too.
    pub fn is_ready(&self) -> bool {
        let moment = Moment::strict(self.core.clock.steady());
        let policy = self.core.policy.as_ref();
        self.core.trusts.are_ready(moment)
            && self.core.credentials.bindings.are_ready()
            && self.core.limiters.are_ready()
            && self.sessions().is_none_or(|sessions| sessions.state() == StoreState::Reached)
            && policy.is_none_or(|policy| policy.is_usable(moment) && !policy.hears_too_little(moment))
    }

    /// The revision of the policy in force.
    pub fn policy_revision(&self) -> Option<u64> {
        self.core.policy.as_ref()?.revision()
    }

    /// What surrounds this guard, as a layer of its own. Routers and tables that the guard is given to have it already.
    ///
    /// ```
    /// # use axum::routing::get;
    /// use axum::Router;
    /// use portcullis_guard::{Guard, authenticated};
    ///
    /// # async fn me() {}
    /// fn app(guard: &Guard) -> Router {
    ///     Router::new().route("/me", get(me).layer(guard.require(authenticated()))).layer(guard.edge())
    /// }
    /// ```
    pub fn edge(&self) -> Edge {
        Edge::new(Arc::clone(&self.core.edge))
    }

    pub(crate) fn entropy(&self) -> &Entropy {
        &self.core.edge.entropy
    }

    pub(crate) fn new(core: Core) -> Self {
        Self { core: Arc::new(core), streams: Arc::default() }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// What goes on under permissions of this guard.
    pub(crate) const fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    pub(crate) fn has_policy(&self) -> bool {
        self.core.policy.is_some()
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.core.edge.tally
    }

    /// What a challenge to callers of a route says.
    pub(crate) fn hint<'a>(&'a self, requirement: &'a Requirement) -> Hint<'a> {
        let resource_metadata = self.resource().map(|resource| resource.url());
        let hint = |proofs: &Proofs| DpopHint {
            algorithms: proofs.algorithms(),
            is_required: proofs.are_required(),
        };
        Hint {
            realm: self.core.authority.verifier.audience(),
            resource_metadata,
            scopes: requirement.scopes(),
            dpop: self.core.credentials.bindings.dpop.as_ref().map(hint),
        }
    }

    /// The metadata of this service, where a request asks for it and the guard was built with a
    /// [`ProtectedResource`](crate::ProtectedResource). It is for everybody, without a token: a service answers with it before the
    /// guard is asked.
    pub fn metadata(&self, method: &Method, uri: &Uri) -> Option<Response<Body>> {
        let asks = *method == Method::GET || *method == Method::HEAD;
        self.resource()
            .filter(|resource| asks && uri.path() == resource.path())
            .map(|resource| resource.response().map(Body::from))
    }

    pub(crate) fn resource(&self) -> Option<&Arc<Described>> {
        self.core.told.resource.as_ref()
    }

    pub(crate) fn spawn_refresh(&self) {
        self.core.trusts.spawn_refresh();
        self.core.policy.iter().for_each(PolicyState::spawn_refresh);
        self.core.told.announcer.iter().for_each(Announcer::spawn);
        self.core.limiters.spawn_refresh();
        self.core.credentials.bindings.spawn_refresh();
        self.sessions().into_iter().for_each(Sessions::spawn_refresh);
    }

    /// Takes note of routes behind this guard, if anybody is to be told of them.
    pub(crate) fn note_routes(&self, routes: impl FnOnce() -> Vec<Route>) {
        if let Some(announcer) = &self.core.told.announcer {
            announcer.note(routes());
        }
    }

    /// Takes note of what routes behind this guard require, for the metadata of the service.
    pub(crate) fn note_scopes<'a>(&self, requirements: impl IntoIterator<Item = &'a Requirement>) {
        if let Some(resource) = &self.core.told.resource {
            resource.note(requirements);
        }
    }

    /// Takes over what the disk holds. Keys first: the policy is signed with one of them.
    pub(crate) async fn recall(&self) {
        self.core.trusts.recall().await;
        if let Some(policy) = &self.core.policy {
            policy.recall().await;
        }
    }

    /// Keys first, again. Where limits and proofs are shared is looked for meanwhile.
    pub(crate) async fn refresh_remote(&self) {
        let knowledge = async {
            self.core.trusts.refresh().await;
            if let Some(introspector) = &self.core.authority.introspector {
                // Boxed, since few guards have it and whatever builds one carries it along.
                Box::pin(introspector.find_endpoint()).await;
            }
            if let Some(policy) = &self.core.policy {
                policy.refresh().await;
            }
        };
        let sessions = async {
            if let Some(sessions) = self.sessions() {
                // Boxed for the same reason.
                Box::pin(sessions.refresh()).await;
            }
        };
        let (limiters, bindings) = (&self.core.limiters, &self.core.credentials.bindings);
        join4(knowledge, limiters.refresh(), bindings.refresh(), sessions).await;
        // A disk that hangs holds nobody up.
        let _ = tokio::time::timeout(DISK_PATIENCE, self.settle()).await;
    }

    async fn settle(&self) {
        self.core.trusts.settle().await;
        if let Some(policy) = &self.core.policy {
            policy.settle().await;
        }
    }

    pub(crate) fn input(&self) -> Arc<InputRules> {
        Arc::clone(&self.core.input)
    }

    /// The limits on the way to a route: by the template of its path, or by what it requires where that is not known.
    pub(crate) fn passage(&self, requirement: &Requirement, path: Option<&str>) -> Passage {
        let route = path.map_or_else(|| requirement.to_string(), str::to_owned);
        self.core.limiters.passage(&route, requirement.request_cost(), requirement.limits())
    }

    /// The names of the limits that a route has.
    pub(crate) fn limits_of(&self, requirement: &Requirement) -> Vec<&'static str> {
        self.core.limiters.names().chain(requirement.limits().iter().map(Limit::name)).collect()
    }

    /// Judges all that can be judged at once.
    pub(crate) fn begin(&self, parts: &mut Parts, terms: &Arc<Terms>) -> Visit {
        let mut standing = Standing::default();
        let step = path::check(parts)
            .map_err(Refusal::Path)
            .and_then(|()| Admission { guard: self, terms }.address(parts, &mut standing));
        Visit { standing, step }
    }

    /// Judges the rest after a wait.
    pub(crate) fn resume(
        &self,
        parts: &mut Parts,
        terms: &Arc<Terms>,
        resume: Resume,
        standing: &mut Standing,
    ) -> Result<Step, Refusal> {
        let admission = Admission { guard: self, terms };
        match resume {
            Resume::Address => admission.address(parts, standing),
            Resume::Caller(held, proof) => admission.caller(parts, (held, proof), standing),
            Resume::Shown(held) => admission.shown(parts, held),
            Resume::Token(turn) => admission.token(parts, turn, standing),
        }
    }
}

/// How far a request has come, and where it stands with the limits.
pub(crate) struct Visit {
    pub(crate) standing: Standing,
    pub(crate) step: Result<Step, Refusal>,
}

/// What is to be done next.
pub(crate) enum Step {
    /// Ask for what a limit needs to decide, then go on.
    Borrow(Loan, Resume),
    /// Check the body, then call the handler.
    CheckBody(Media),
    /// Take the proof for used where that is shared, then go on.
    Claim(Claim, Resume),
    /// Call the handler.
    Pass,
    /// Wait for what the token needs, then go on with it.
    Wait(Pending),
}

impl fmt::Debug for Guard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Guard").field("policy_revision", &self.policy_revision()).finish_non_exhaustive()
    }
}
