//! Where the policy comes from, and the one that holds now.

mod endpoint;
mod feed;
mod files;
mod recollection;
mod remote;
mod reporter;
mod signed;
mod sse;
mod trial;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
pub use endpoint::PolicyEndpoint;
use feed::Feed;
pub use files::FilesError;
use portcullis_policy::{Options, PolicySource, Report, Snapshot};
use reporter::Reporting;
#[cfg(feature = "test-util")]
pub(crate) use signed::POLICY;

use crate::authorize::{Loaded, Policies};
use crate::clock::Clock;
#[cfg(feature = "casbin")]
use crate::comparison::{Comparison, OneIn};
use crate::decision_id::DecisionId;
use crate::disk::Folder;
use crate::fetch::{FetchError, UrlRefused};
use crate::jwks::{LazyFetcher, Trusts};
use crate::records::{Asker, Table};
use crate::revocation::Revoked;
use crate::schedule::Moment;
use crate::status::{PolicyStatus, Provenance};
#[cfg(not(feature = "casbin"))]
use crate::uncompared::{Comparison, OneIn};

/// Where the policy of a service comes from.
#[derive(Debug)]
pub struct Policy {
    kind: Kind,
    /// How many of its decisions are made by Casbin as well.
    compared: Option<OneIn>,
}

#[derive(Debug)]
enum Kind {
    Files(PathBuf),
    Remote(PolicyEndpoint),
    Shared(SharedPolicy),
    Source(PolicySource),
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The files cannot be read, or their policy has errors.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Http(#[from] FetchError),
    /// The policy has errors.
    #[error("the policy has errors:\n{0}")]
    Invalid(#[from] Report),
    /// The server is said to be an issuer that the guard does not trust.
    #[error("the policy is to be that of {0}, which is no issuer of this guard")]
    NoSuchIssuer(String),
    /// The policy cannot be fetched from there.
    #[error(transparent)]
    Url(#[from] UrlRefused),
}

impl Policy {
    /// Fetches signed snapshots from a Portcullis server, and changes over to new ones while requests run.
    pub const fn remote(endpoint: PolicyEndpoint) -> Self {
        Self::of(Kind::Remote(endpoint))
    }

    /// Reads `policy.csv`, and `model.conf` if there is one, from a folder: at the start, and when
    /// [`Guard::refresh`](crate::Guard::refresh) is called.
    pub fn files(folder: impl Into<PathBuf>) -> Self {
        Self::of(Kind::Files(folder.into()))
    }

    /// A policy that does not change.
    pub const fn source(source: PolicySource) -> Self {
        Self::of(Kind::Source(source))
    }

    /// A policy that the same process changes.
    pub const fn shared(policy: SharedPolicy) -> Self {
        Self::of(Kind::Shared(policy))
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, compared: None }
    }

    /// Has Casbin decide one in so many requests as well, and raises an alarm where its answer is another: one line in the log at
    /// `error`, with the name of the decision, for each rule of each revision, and [`ComparisonStatus::different`] with every one.
    /// Decisions stay what they are.
    ///
    /// ```
    /// use portcullis_guard::{OneIn, Policy, PolicyEndpoint};
    ///
    /// let rules = PolicyEndpoint::new("https://id.example.com/policies/snapshot", "orders", "s3cret");
    /// let policy = Policy::remote(rules).compared(OneIn::new(1_000));
    /// ```
    ///
    /// No request waits for it. What is drawn waits in a queue of 64, beyond which it is only counted, and Casbin has a twentieth
    /// of one processor at most: it reads every rule for every answer. It reads the rules that decided, also when others are in
    /// force by then. What it cannot say anything about is in [`ComparisonStatus::left_out`], and no alarm: rules with conditions,
    /// policies of more than 10,000 rules, and models that mean something else there.
    ///
    /// The text of the policy is kept for it. A [`SharedPolicy`] is compiled with `Options::keep_text` by whoever shares it.
    ///
    /// [`ComparisonStatus::different`]: crate::ComparisonStatus::different
    /// [`ComparisonStatus::left_out`]: crate::ComparisonStatus::left_out
    #[cfg(feature = "casbin")]
    #[must_use]
    pub const fn compared(mut self, one_in: OneIn) -> Self {
        self.compared = Some(one_in);
        self
    }

    /// How it is compiled here.
    pub(crate) fn options(&self) -> Options {
        options(self.compared.is_some())
    }

    /// The server that it comes from.
    pub(crate) const fn endpoint(&self) -> Option<&PolicyEndpoint> {
        match &self.kind {
            Kind::Files(_) | Kind::Shared(_) | Kind::Source(_) => None,
            Kind::Remote(endpoint) => Some(endpoint),
        }
    }

    pub(crate) fn build(self, surroundings: &mut Surroundings<'_>) -> Result<PolicyState, PolicyError> {
        let current = SharedPolicy::empty();
        let (clock, options) = (surroundings.clock.clone(), self.options());
        let comparison = self.compared.map(|one_in| Comparison::new(one_in, clock));
        let origin = match self.kind {
            Kind::Files(folder) => {
                current.store(files::read(&folder, 1, options)?);
                Origin::Files(folder)
            }
            Kind::Remote(endpoint) => {
                let fetcher = surroundings.fetcher.get()?;
                let feed = Feed::new(&endpoint, &fetcher, current.clone(), surroundings)?;
                let reporter =
                    Reporting::new(&endpoint, &fetcher, (surroundings.clock, feed.trial(), &current))?;
                Origin::Remote(feed, reporter)
            }
            Kind::Shared(policy) => {
                return Ok(PolicyState { current: policy, origin: Origin::Here, comparison });
            }
            Kind::Source(source) => {
                current.store(Snapshot::compile_with(&source, 1, options)?);
                Origin::Here
            }
        };
        Ok(PolicyState { current, origin, comparison })
    }
}

/// What a policy source, or whoever else asks somebody, is built into.
pub(crate) struct Surroundings<'a> {
    pub(crate) trusts: &'a Arc<Trusts>,
    pub(crate) audience: &'a str,
    pub(crate) fetcher: &'a mut LazyFetcher,
    pub(crate) clock: &'a Clock,
    /// Where the last good policy is kept.
    pub(crate) folder: Option<&'a Folder>,
    /// How the policy is compiled.
    pub(crate) compiling: Options,
    /// How far clocks may be apart.
    pub(crate) leeway: Duration,
}

fn options(keep_text: bool) -> Options {
    Options { keep_text, ..Options::default() }
}

/// A policy that guards read while it is replaced.
#[derive(Clone, Debug)]
pub struct SharedPolicy(Arc<ArcSwapOption<Snapshot>>);

impl SharedPolicy {
    /// Shares a policy.
    pub fn new(snapshot: impl Into<Arc<Snapshot>>) -> Self {
        Self(Arc::new(ArcSwapOption::from(Some(snapshot.into()))))
    }

    /// Replaces it, whatever its revision: the caller decides what holds. Requests that are being decided
    /// finish with the one they began with.
    pub fn store(&self, snapshot: impl Into<Arc<Snapshot>>) {
        self.0.store(Some(snapshot.into()));
    }

    /// The revision that holds.
    pub fn revision(&self) -> Option<u64> {
        self.0.load().as_ref().map(|snapshot| snapshot.revision())
    }

    fn empty() -> Self {
        Self(Arc::default())
    }

    fn current(&self) -> Option<Arc<Snapshot>> {
        self.0.load_full()
    }
}

/// The policy of a guard at work.
pub(crate) struct PolicyState {
    current: SharedPolicy,
    origin: Origin,
    comparison: Option<Comparison>,
}

enum Origin {
    Files(PathBuf),
    Here,
    Remote(Arc<Feed>, Option<Reporting>),
}

impl PolicyState {
    /// Calls `ask` with the policy that holds now, unless it is too old.
    pub(crate) fn with<T>(
        &self,
        moment: Moment,
        (asker, id): (Asker<'_>, DecisionId),
        ask: impl FnOnce(Policies<'_>) -> T,
    ) -> T {
        let reporter = match &self.origin {
            Origin::Remote(_, reporter) => reporter.as_ref(),
            Origin::Files(_) | Origin::Here => None,
        };
        let records = reporter.map(|reporter| (reporter.table(), asker));
        self.noted(moment, records, self.comparison.as_ref().map(|comparison| (comparison, id)), ask)
    }

    /// The same for a question that nobody asked: it is not told to the server.
    pub(crate) fn with_silently<T>(&self, moment: Moment, ask: impl FnOnce(Policies<'_>) -> T) -> T {
        self.noted(moment, None, None, ask)
    }

    fn noted<T>(
        &self,
        moment: Moment,
        records: Option<(&Table, Asker<'_>)>,
        comparison: Option<(&Comparison, DecisionId)>,
        ask: impl FnOnce(Policies<'_>) -> T,
    ) -> T {
        let too_old = match &self.origin {
            Origin::Remote(feed, _) => feed.policy().is_too_old(moment),
            Origin::Files(_) | Origin::Here => false,
        };
        match self.current.0.load().as_ref() {
            Some(snapshot) if !too_old => {
                let compared = comparison.map(|(comparison, id)| comparison.of(snapshot, id));
                ask(Policies::Loaded(Loaded { snapshot, records, compared }))
            }
            _ => ask(Policies::Missing),
        }
    }

    pub(crate) fn is_usable(&self, moment: Moment) -> bool {
        self.with_silently(moment, |policy| matches!(policy, Policies::Loaded(_)))
    }

    pub(crate) fn revision(&self) -> Option<u64> {
        self.current.revision()
    }

    pub(crate) fn status(&self, now: Duration) -> PolicyStatus {
        let known = match &self.origin {
            Origin::Files(_) | Origin::Here => Provenance::LOCAL.of_policy(self.revision()),
            Origin::Remote(feed, _) => feed.policy().status(now),
        };
        PolicyStatus { comparison: self.comparison.as_ref().map(Comparison::status), ..known }
    }

    /// Takes over what the disk holds.
    pub(crate) async fn recall(&self) {
        if let Origin::Remote(feed, _) = &self.origin {
            feed.recall().await;
        }
    }

    /// Waits until the disk holds what was fetched.
    pub(crate) async fn settle(&self) {
        if let Origin::Remote(feed, _) = &self.origin {
            feed.settle().await;
        }
    }

    pub(crate) fn spawn_refresh(&self) {
        self.comparison.iter().for_each(Comparison::spawn);
        if let Origin::Remote(feed, reporter) = &self.origin {
            feed.spawn();
            if let Some(reporter) = reporter {
                reporter.spawn();
            }
        }
    }

    /// Tells the server what was decided until now.
    pub(crate) async fn flush(&self) {
        if let Origin::Remote(_, Some(reporter)) = &self.origin {
            reporter.flush().await;
        }
    }

    /// Waits until the rules that the server wants tried are tried, and until what was drawn is compared where no task does that.
    pub(crate) async fn catch_up(&self) {
        if let Some(comparison) = &self.comparison {
            comparison.catch_up().await;
        }
        if let Origin::Remote(feed, _) = &self.origin
            && let Some(trial) = feed.trial()
        {
            trial.catch_up().await;
        }
    }

    /// What was revoked, if a server tells.
    pub(crate) fn revoked(&self) -> Option<&Arc<Revoked>> {
        match &self.origin {
            Origin::Files(_) | Origin::Here => None,
            Origin::Remote(feed, _) => Some(feed.revoked()),
        }
    }

    /// Whether a token may have been revoked for longer than is accepted.
    pub(crate) fn hears_too_little(&self, moment: Moment) -> bool {
        self.revoked().is_some_and(|revoked| revoked.is_stale(moment))
    }

    pub(crate) async fn refresh(&self) {
        match &self.origin {
            Origin::Files(folder) => match files::read(
                folder,
                self.revision().unwrap_or_default() + 1,
                options(self.comparison.is_some()),
            ) {
                Ok(snapshot) => self.current.store(snapshot),
                Err(error) => tracing::warn!(%error, "the policy files were not taken over"),
            },
            Origin::Here => {}
            Origin::Remote(feed, _) => feed.poll().await,
        }
    }
}
