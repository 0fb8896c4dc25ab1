//! Decisions that Casbin makes as well, behind everybody's back: no request waits for it.

mod sample;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_policy::{Decision, Reference, ReferenceError, Request, Snapshot};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use self::sample::Sample;
use crate::clock::Clock;
use crate::decision_id::DecisionId;
use crate::status::ComparisonStatus;

/// How many decisions wait for Casbin at most.
const QUEUE: usize = 64;
/// Of one processor, Casbin has one part in so many at most, however long an answer takes.
const SHARE: u32 = 20;
/// How many rules are remembered that the log has named.
const MAX_NAMED: usize = 1_024;

/// How many decisions there are for one that Casbin [makes as well](crate::Policy::compared).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OneIn(NonZeroU32);

impl OneIn {
    /// One in so many, on the average: which ones does not follow from the order in which they come. 1, and 0, is every one.
    pub const fn new(decisions: u32) -> Self {
        match NonZeroU32::new(decisions) {
            Some(decisions) => Self(decisions),
            None => Self(NonZeroU32::MIN),
        }
    }

    /// Whether the decision of this number is drawn: the numbers are scattered (`SplitMix64`), so that no rhythm of requests is.
    fn draws(self, number: u64) -> bool {
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).is_multiple_of(u64::from(self.0.get()))
    }
}

/// The comparison of a guard's decisions with those of Casbin.
pub(crate) struct Comparison {
    one_in: OneIn,
    decisions: AtomicU64,
    queue: Sender<Sample>,
    /// The other end, until a task has it.
    waiting: tokio::sync::Mutex<Option<Receiver<Sample>>>,
    comparer: Arc<Comparer>,
}

/// The comparison, for a decision by these rules of this name.
#[derive(Clone, Copy)]
pub(crate) struct Compared<'a> {
    comparison: &'a Comparison,
    snapshot: &'a Arc<Snapshot>,
    id: DecisionId,
}

/// Asks Casbin.
struct Comparer {
    /// The rules that Casbin holds.
    held: Arc<Mutex<Option<Held>>>,
    tally: Mutex<Tally>,
    clock: Clock,
}

struct Held {
    snapshot: Arc<Snapshot>,
    reference: Result<Reference, ReferenceError>,
}

#[derive(Default)]
struct Tally {
    status: ComparisonStatus,
    /// The rules that the log has named, by revision and line.
    named: HashSet<(u64, Option<u32>)>,
}

impl Comparison {
    pub(crate) fn new(one_in: OneIn, clock: Clock) -> Self {
        let (queue, waiting) = channel(QUEUE);
        let comparer = Comparer { held: Arc::default(), tally: Mutex::default(), clock };
        Self {
            one_in,
            decisions: AtomicU64::new(0),
            queue,
            waiting: tokio::sync::Mutex::new(Some(waiting)),
            comparer: Arc::new(comparer),
        }
    }

    pub(crate) const fn of<'a>(&'a self, snapshot: &'a Arc<Snapshot>, id: DecisionId) -> Compared<'a> {
        Compared { comparison: self, snapshot, id }
    }

    pub(crate) fn status(&self) -> ComparisonStatus {
        locked(&self.comparer.tally).status.clone()
    }

    /// Compares for as long as somebody holds the guard.
    pub(crate) fn spawn(&self) {
        // Whoever compares what waits does so before there is a task.
        let waiting = self.waiting.try_lock().ok().and_then(|mut waiting| waiting.take());
        if let Some(waiting) = waiting {
            tokio::spawn(follow(Arc::clone(&self.comparer), waiting));
        }
    }

    /// Compares what waits, if no task does.
    pub(crate) async fn catch_up(&self) {
        let mut waiting = self.waiting.lock().await;
        let Some(waiting) = waiting.as_mut() else { return };
        // As many as can wait: what is decided meanwhile is for the next time.
        for _ in 0..QUEUE {
            let Ok(sample) = waiting.try_recv() else { break };
            self.comparer.compare(sample).await;
        }
    }
}

impl Compared<'_> {
    /// Takes note of a decision, if it is drawn.
    pub(crate) fn note(self, request: &Request<'_>, decision: Decision) {
        let Comparison { one_in, decisions, queue, comparer, .. } = self.comparison;
        if !one_in.draws(decisions.fetch_add(1, Ordering::Relaxed)) {
            return;
        }
        match queue.try_reserve() {
            Ok(place) => place.send(Sample::of((self.snapshot, self.id), request, decision)),
            Err(_) => locked(&comparer.tally).status.dropped += 1,
        }
    }
}

async fn follow(comparer: Arc<Comparer>, mut waiting: Receiver<Sample>) {
    while let Some(sample) = waiting.recv().await {
        let taken = comparer.compare(sample).await;
        tokio::time::sleep(taken * (SHARE - 1)).await;
    }
}

impl Comparer {
    /// Gives how long that took.
    async fn compare(&self, sample: Sample) -> Duration {
        let begun = self.clock.steady();
        let (held, asked) = (Arc::clone(&self.held), sample.clone());
        // Casbin takes milliseconds, and requests are waiting for this thread.
        let outcome = tokio::task::spawn_blocking(move || Held::compare(&held, &asked)).await;
        self.tell(&sample, outcome.unwrap_or_default());
        self.clock.steady().saturating_sub(begun)
    }

    fn tell(&self, sample: &Sample, outcome: Outcome) {
        let Sample { id, decision, .. } = sample;
        let line = decision.rule.map(|rule| rule.line);
        if outcome.is_first {
            if let Some(left_out) = &outcome.left_out {
                tracing::warn!(
                    policy.revision = decision.revision,
                    left_out,
                    "not every decision can be compared with Casbin's"
                );
            }
            locked(&self.tally).status.left_out = outcome.left_out;
        }
        let is_news = {
            let mut tally = locked(&self.tally);
            match outcome.comparison {
                Some(agrees) => {
                    tally.status.compared += 1;
                    tally.status.different += u64::from(!agrees);
                }
                None => tally.status.unanswered += 1,
            }
            outcome.comparison == Some(false) && tally.names((decision.revision, line))
        };
        if is_news {
            tracing::error!(
                decision = %id,
                policy.revision = decision.revision,
                policy.line = line,
                allowed = decision.allowed,
                "Casbin decides this otherwise: one of the two does not do what the policy says"
            );
        }
    }
}

impl Tally {
    /// Whether the log is to name a rule: once.
    fn names(&mut self, rule: (u64, Option<u32>)) -> bool {
        if self.named.len() >= MAX_NAMED {
            self.named.clear();
        }
        self.named.insert(rule)
    }
}

/// What came of asking.
#[derive(Default)]
struct Outcome {
    /// Whether these are other rules than those before.
    is_first: bool,
    /// What of the rules Casbin knows nothing of.
    left_out: Option<String>,
    /// Whether Casbin agrees, if it has an answer.
    comparison: Option<bool>,
}

impl Held {
    fn compare(held: &Mutex<Option<Self>>, sample: &Sample) -> Outcome {
        let mut held = locked(held);
        let known = held.take().filter(|held| Arc::ptr_eq(&held.snapshot, &sample.snapshot));
        let is_first = known.is_none();
        let held = held.insert(known.unwrap_or_else(|| Self {
            reference: Reference::of(&sample.snapshot),
            snapshot: Arc::clone(&sample.snapshot),
        }));
        Outcome {
            is_first,
            left_out: held.left_out().filter(|_| is_first),
            comparison: held.reference.as_ref().ok().and_then(|reference| sample.ask(reference)),
        }
    }

    fn left_out(&self) -> Option<String> {
        match &self.reference {
            Err(why) => Some(why.to_string()),
            Ok(reference) => match reference.left_out() {
                0 => None,
                1 => Some("what a rule with a condition decides".to_owned()),
                rules => Some(format!("what {rules} rules with conditions decide")),
            },
        }
    }
}

/// Whatever is locked here is whole whenever it is not held.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
