//! What the guard decided, told to the server that the policy comes from: each different request once, with how often it
//! was asked. There, other rules can be tried on what is really asked before they are put in force.

mod batch;
mod table;
mod trial;

use std::time::Duration;

pub(crate) use batch::{Batch, Pseudonyms, cut};
pub(crate) use table::{Asker, Share, Table, Taken, Tuple};
pub(crate) use trial::{Budget, OnTrial, Tried};

/// How often decisions are told, unless set.
const DEFAULT_EVERY: Duration = Duration::from_secs(10);

/// What a guard tells of its decisions.
///
/// Told are the subject, the roles and the organisation of the token, the object and the action, the answer, and how often.
/// No token and no address is, and of the request itself nothing but what a handler asks its [`Decider`](crate::Decider) about: where it
/// makes the name of an object from what the client sent, that is told.
///
/// At most some 8,000 different requests are kept between two reports, in at most 2 MiB; those beyond are only counted. What handlers ask
/// has a quarter of that, and the handler of one request 256 different questions, so that nobody who may name many objects
/// crowds out what routes were asked.
///
/// # What is lost when a service ends
///
/// What was decided since the last report is in the memory of the process: that of ten seconds, or of the time since the
/// server was away.
///
/// - A service that calls [`Guard::flush`](crate::Guard::flush) after its last request loses nothing, if the server answers.
/// - A guard whose last clone is dropped while its runtime goes on tells what is left by itself, for ten seconds at most.
/// - Where `main` returns or the runtime is dropped without that, it is lost. The guard logs a warning that says how many
///   decisions; the server does not know of them.
/// - Of a process that is killed or that panics with `abort`, nobody knows.
///
/// ```
/// use portcullis_guard::{DecisionRecords, Policy, PolicyEndpoint};
///
/// let endpoint = PolicyEndpoint::new("https://id.example.com/policies/snapshot", "orders", "secret")
///     .decision_records(DecisionRecords::on().pseudonymous());
/// let policy = Policy::remote(endpoint);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DecisionRecords {
    pub(crate) every: Option<Duration>,
    pub(crate) pseudonymous: bool,
}

impl DecisionRecords {
    /// Tells every ten seconds what was decided. This is the default.
    pub const fn on() -> Self {
        Self { every: Some(DEFAULT_EVERY), pseudonymous: false }
    }

    /// Tells nothing and keeps nothing.
    pub const fn off() -> Self {
        Self { every: None, pseudonymous: false }
    }

    /// Tells something else in place of each subject, the same as long as the client secret is. The server then knows what
    /// roles ask for, and how many different callers that are, but not who.
    ///
    /// Rules that name a user cannot be tried on such records. Where a rule in force names one, the answers show it.
    #[must_use]
    pub const fn pseudonymous(mut self) -> Self {
        self.pseudonymous = true;
        self
    }

    /// How often decisions are told.
    #[must_use]
    pub const fn every(mut self, pause: Duration) -> Self {
        self.every = Some(pause);
        self
    }
}

impl Default for DecisionRecords {
    fn default() -> Self {
        Self::on()
    }
}
