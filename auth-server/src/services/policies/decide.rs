//! Decisions for services that have no guard of ours: by the same compiled policy, with the roles that a token would carry now.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_policy::{Condition, Decision, Request, Roles, Snapshot, Vocabulary};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::domain::client::Client;
use crate::domain::ids::{ApiId, ClientId};
use crate::domain::rbac::{Api, RoleName};
use crate::domain::user::{Sub, User};
use crate::services::admin_error::AdminError;
use crate::services::policies::candidate::{apart, source};
use crate::services::policies::notes::{Asker, DecisionNotes, NOBODY};
use crate::storage::{Store, StoreError, policies, users};

/// How many compiled policies are kept.
const KEPT: usize = 64;

/// How many are compiled at once, and how many searches are worked on at once beside: nobody who searches keeps others from
/// decisions.
const PLACES: usize = 2;

/// Who is asked about.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Asked {
    /// A client, by its id.
    Client(String),
    /// Whoever has this role and nothing else.
    Role(String),
    /// A user, by the `sub` of their tokens.
    User(String),
}

impl Asked {
    /// What they are called.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Client(name) | Self::Role(name) | Self::User(name) => name,
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Evaluation {
    pub(crate) subject: Asked,
    pub(crate) object: String,
    pub(crate) action: String,
}

/// The answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    pub(crate) because: Because,
    /// The revision that decided; `None` when none is in force.
    pub(crate) revision: Option<u64>,
}

/// Why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Because {
    /// No policy is in force.
    NoPolicy,
    /// No rule speaks for it. So it is for whoever is unknown or switched off, too.
    NoRule,
    /// The rule in this line.
    Rule(u32),
    /// The rule in this line allows whoever meets its condition. Nothing is known here of how somebody signed in.
    Conditional(u32, Arc<Condition>),
}

/// When to stop.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Until {
    #[default]
    All,
    FirstDeny,
    FirstPermit,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecideError {
    /// A search under another model than the default.
    #[error("searches are answered under the default model only")]
    Model,
    /// The policy in force could not be compiled.
    #[error(transparent)]
    Policy(#[from] AdminError),
    /// The client is not the guard of an API.
    #[error("the client serves no API")]
    ServesNothing,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Decides by the policy in force.
#[derive(Clone)]
pub(crate) struct DecisionService {
    pub(super) store: Store,
    notes: DecisionNotes,
    compiled: Arc<Cache<ApiId, Arc<Compiled>>>,
    places: Arc<Semaphore>,
    pub(super) searches: Arc<Semaphore>,
}

/// A policy in force.
pub(super) struct Compiled {
    pub(super) snapshot: Snapshot,
    /// `None` under another model than the default.
    pub(super) vocabulary: Option<Vocabulary>,
}

/// What a subject brings along.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Standing {
    pub(super) subject: String,
    pub(super) roles: Vec<String>,
    pub(super) domain: String,
}

impl Standing {
    /// What a policy decides about this one.
    pub(super) fn judged(&self, snapshot: &Snapshot, object: &str, action: &str) -> Decision {
        snapshot.decide(&self.request(object, action))
    }

    fn request<'a>(&'a self, object: &'a str, action: &'a str) -> Request<'a> {
        let Self { subject, roles, domain } = self;
        Request { subject, roles: Roles::from(roles), domain, object, action }
    }

    /// Whoever has this role and nothing else.
    pub(super) fn of_role(role: &str) -> Self {
        Self { subject: NOBODY.to_owned(), roles: vec![role.to_owned()], domain: String::new() }
    }
}

impl DecisionService {
    /// The service over this store, which notes what it decides.
    pub(crate) fn new(store: Store, notes: DecisionNotes) -> Self {
        let places = || Arc::new(Semaphore::new(PLACES));
        Self { store, notes, compiled: Arc::new(Cache::new(KEPT)), places: places(), searches: places() }
    }

    /// What was decided and is not in the records yet.
    pub(crate) const fn notes(&self) -> &DecisionNotes {
        &self.notes
    }

    /// Decides in turn, for the API that `client` serves, until something ends it: fewer answers than questions then. What was
    /// decided by a policy about somebody who is known is noted for the records.
    pub(crate) async fn decide(
        &self,
        client: &Client,
        evaluations: &[Evaluation],
        until: Until,
    ) -> Result<Vec<Verdict>, DecideError> {
        self.weigh(client, evaluations, until, Some(&self.notes)).await
    }

    /// What would be decided about something that is looked for.
    pub(crate) async fn consider(
        &self,
        client: &Client,
        evaluation: Evaluation,
    ) -> Result<Option<Verdict>, DecideError> {
        Ok(self.weigh(client, &[evaluation], Until::All, None).await?.pop())
    }

    async fn weigh(
        &self,
        client: &Client,
        evaluations: &[Evaluation],
        until: Until,
        notes: Option<&DecisionNotes>,
    ) -> Result<Vec<Verdict>, DecideError> {
        let Some((api, policy)) = self.in_force(client).await? else {
            let verdict = Verdict { allowed: false, because: Because::NoPolicy, revision: None };
            let asked = if until == Until::FirstDeny { 1 } else { evaluations.len() };
            return Ok(vec![verdict; asked]);
        };
        let asker = Asker { api: api.id.clone(), client: client.id.clone() };
        let mut known = HashMap::new();
        let mut verdicts = Vec::new();
        for evaluation in evaluations {
            if !known.contains_key(&evaluation.subject) {
                let found = self.standing(&evaluation.subject, &api).await?;
                known.insert(evaluation.subject.clone(), found);
            }
            let standing = known.get(&evaluation.subject).and_then(Option::as_ref);
            let request = standing.map(|standing| standing.request(&evaluation.object, &evaluation.action));
            let decision = request.map(|request| policy.snapshot.decide(&request));
            if let (Some(notes), Some(request), Some(decision)) = (notes, request, decision) {
                notes.note(&asker, &request, decision);
            }
            let verdict = verdict(decision, &policy.snapshot);
            let ends = if verdict.allowed { Until::FirstPermit } else { Until::FirstDeny };
            verdicts.push(verdict);
            if until == ends {
                break;
            }
        }
        Ok(verdicts)
    }

    /// The API that a client serves, and its compiled policy if one is in force.
    pub(super) async fn in_force(
        &self,
        client: &Client,
    ) -> Result<Option<(Arc<Api>, Arc<Compiled>)>, DecideError> {
        let api = client.settings.serves.as_ref().ok_or(DecideError::ServesNothing)?;
        let api = self.store.api(api).await?;
        let Some((api, number)) = api.and_then(|api| Some((Arc::clone(&api), api.active_revision?))) else {
            return Ok(None);
        };
        let held = || self.compiled.get(&api.id).filter(|policy| policy.snapshot.revision() == number);
        if let Some(policy) = held() {
            return Ok(Some((api, policy)));
        }
        // It is never closed.
        let _place = self.places.acquire().await;
        if let Some(policy) = held() {
            return Ok(Some((api, policy)));
        }
        let mut tx = self.store.read().await?;
        let revision = policies::find_revision(&mut tx, &api.id, number).await?;
        drop(tx);
        let Some(revision) = revision else { return Ok(None) };
        let source = source(&revision.text);
        let compiled = apart(move || {
            let snapshot = Snapshot::compile(&source, number)?;
            Ok(Arc::new(Compiled { snapshot, vocabulary: Vocabulary::of(&source) }))
        });
        let policy = compiled.await?.map_err(AdminError::Policy)?;
        self.compiled.insert(api.id.clone(), Arc::clone(&policy));
        Ok(Some((api, policy)))
    }

    /// What somebody would bring along in a token for the API. `None` for whoever would get none.
    pub(super) async fn standing(&self, asked: &Asked, api: &Api) -> Result<Option<Standing>, StoreError> {
        match asked {
            Asked::Role(role) => Ok(Some(Standing::of_role(role))),
            Asked::Client(id) => {
                let Ok(id) = ClientId::parse(id) else { return Ok(None) };
                let found = self.store.client(&id).await?.filter(|client| client.is_enabled());
                let Some(client) = found else { return Ok(None) };
                let roles = self.store.client_roles(&id, &api.id).await?;
                let domain = client.organisation.as_ref().map(ToString::to_string).unwrap_or_default();
                Ok(Some(Standing { subject: id.to_string(), roles: names(&roles), domain }))
            }
            Asked::User(sub) => {
                // What is no subject reaches no database: PostgreSQL has no text with a zero in it.
                let Ok(sub) = Sub::parse(sub) else { return Ok(None) };
                let mut tx = self.store.read().await?;
                let found = users::find_by_sub(&mut tx, sub.as_str()).await?.filter(User::is_enabled);
                drop(tx);
                let Some(user) = found else { return Ok(None) };
                let roles = self.store.user_roles(&user.id, &api.id).await?;
                let domain = user.organisation.to_string();
                Ok(Some(Standing { subject: sub.as_str().to_owned(), roles: names(&roles), domain }))
            }
        }
    }
}

fn names(roles: &[RoleName]) -> Vec<String> {
    roles.iter().map(ToString::to_string).collect()
}

/// The answer. Without a decision, it is about whoever would get no token.
fn verdict(decision: Option<Decision>, snapshot: &Snapshot) -> Verdict {
    let wanting = decision.and_then(|decision| snapshot.wanting(decision));
    let because = match (decision.and_then(|decision| decision.rule), wanting) {
        (None, _) => Because::NoRule,
        (Some(rule), None) => Because::Rule(rule.line),
        (Some(rule), Some(condition)) => Because::Conditional(rule.line, Arc::new(condition.clone())),
    };
    Verdict {
        allowed: decision.is_some_and(|decision| decision.allowed),
        because,
        revision: Some(snapshot.revision()),
    }
}
