//! Sends what was decided, now and then, and again where that did not work. Rules on trial are tried on it before.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tokio::sync::{Mutex, watch};
use url::Url;

use super::trial::Trial;
use super::{PolicyEndpoint, SharedPolicy};
use crate::clock::Clock;
use crate::fetch::{Fetcher, Posted, UrlRefused};
use crate::records::{Batch, Budget, Pseudonyms, Table, Taken, Tried, Tuple, cut};
use crate::schedule::Schedule;

/// After so long a server that takes no records is asked again.
const TAKES_NONE: Duration = Duration::from_hours(1);
/// The longest pause between attempts at a server that is away.
const LAST_RETRY: Duration = Duration::from_mins(5);
/// Rules on trial have this part of one processor at most, however long a decision by them takes.
const TRIAL_SHARE: u32 = 20;

/// How long a guard that nobody holds any more tries to tell what is left.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A reporter for as long as somebody holds the guard.
pub(crate) struct Reporting {
    reporter: Arc<Reporter>,
    /// Nothing is ever said here: whoever listens hears that it is gone.
    held: watch::Sender<()>,
}

/// Tells the server of a guard's decisions.
struct Reporter {
    table: Table,
    trial: Option<Arc<Trial>>,
    in_force: SharedPolicy,
    fetcher: Fetcher,
    url: Url,
    authorization: Option<HeaderValue>,
    pseudonyms: Option<Pseudonyms>,
    schedule: Schedule,
    clock: Clock,
    /// Holding this makes a report the only one.
    outbox: Mutex<Outbox>,
}

struct Outbox {
    /// What is being tried, and then put into batches. Whoever waits for a report may give up at any moment.
    noted: Option<Noted>,
    waiting: VecDeque<Batch>,
    /// Differs between guards, so that no two name a batch alike.
    guard: u64,
    next: u64,
    /// When the table was emptied last.
    emptied: Duration,
    /// What could not be told, and is to be counted with the next batch.
    lost: u64,
    /// How many requests rules were tried on: what there was no time for has its turn.
    tried: usize,
}

/// What was taken out of the table.
struct Noted {
    begun: Duration,
    tuples: Arc<Vec<Tuple>>,
    lost: u64,
}

/// What came of a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Report {
    Sent,
    /// The server does not take this batch, and would not take it later.
    Refused,
    /// The server is away or busy. It may have said for how long.
    Later(Option<Duration>),
    /// It takes no records.
    Unwanted,
}

impl Reporting {
    /// `None` where nothing is to be told.
    pub(crate) fn new(
        endpoint: &PolicyEndpoint,
        fetcher: &Fetcher,
        (clock, trial, in_force): (&Clock, Option<&Arc<Trial>>, &SharedPolicy),
    ) -> Result<Option<Self>, UrlRefused> {
        let records = endpoint.records();
        let Some(every) = records.every else { return Ok(None) };
        let secret = records.pseudonymous.then(|| endpoint.client_secret());
        let reporter = Reporter {
            table: Table::new(),
            trial: trial.cloned(),
            in_force: in_force.clone(),
            fetcher: fetcher.clone(),
            url: endpoint.decisions()?,
            authorization: endpoint.authorization(),
            pseudonyms: secret.map(Pseudonyms::new),
            schedule: Schedule { every, first_retry: every, last_retry: every.max(LAST_RETRY) },
            clock: clock.clone(),
            outbox: Mutex::new(Outbox {
                noted: None,
                waiting: VecDeque::new(),
                guard: RandomState::new().hash_one(()),
                next: 1,
                emptied: clock.steady(),
                lost: 0,
                tried: 0,
            }),
        };
        Ok(Some(Self { reporter: Arc::new(reporter), held: watch::Sender::new(()) }))
    }

    /// Where decisions are noted.
    pub(crate) fn table(&self) -> &Table {
        &self.reporter.table
    }

    /// Reports for as long as somebody holds the guard, and what is left after that.
    pub(crate) fn spawn(&self) {
        tokio::spawn(report_on(Arc::clone(&self.reporter), self.held.subscribe()));
    }

    /// Sends everything that was decided until now.
    pub(crate) async fn flush(&self) {
        self.reporter.flush().await;
    }
}

impl Reporter {
    async fn flush(&self) {
        // What waited goes first; then what came meanwhile.
        for _ in 0..2 {
            if self.report().await != Report::Sent {
                return;
            }
        }
    }

    async fn report(&self) -> Report {
        let mut outbox = self.outbox.lock().await;
        if outbox.waiting.is_empty() {
            self.fill(&mut outbox).await;
        }
        while let Some(batch) = outbox.waiting.front() {
            let (decisions, of_trial) = (batch.decisions(), batch.shadow.is_some());
            let report = self.send(batch).await;
            match report {
                Report::Later(_) => return report,
                Report::Refused if of_trial => {}
                Report::Refused => outbox.lost += decisions,
                Report::Sent => {}
                Report::Unwanted => {
                    outbox.waiting.clear();
                    self.table.switch(false);
                    drop(self.table.take());
                    return report;
                }
            }
            outbox.waiting.pop_front();
        }
        Report::Sent
    }

    /// How many decisions the server was not told of.
    fn untold(&mut self) -> u64 {
        let Outbox { noted, waiting, lost, .. } = self.outbox.get_mut();
        let noted = noted.as_ref().map_or(0, |noted| count(&noted.tuples) + noted.lost);
        let in_force = waiting.iter().filter(|batch| batch.shadow.is_none());
        let Taken { tuples, lost: found_no_room } = self.table.take();
        noted + in_force.map(Batch::decisions).sum::<u64>() + *lost + count(&tuples) + found_no_room
    }

    /// Puts what was noted into batches, and what rules on trial would decide otherwise.
    async fn fill(&self, outbox: &mut Outbox) {
        let Noted { begun, tuples, lost } = outbox.noted.take().unwrap_or_else(|| {
            let Taken { tuples, lost } = self.table.take();
            let begun = std::mem::replace(&mut outbox.emptied, self.clock.steady());
            Noted { begun, tuples: Arc::new(tuples), lost }
        });
        outbox.noted = Some(Noted { begun, tuples: Arc::clone(&tuples), lost });
        let tried = self.try_rules(&tuples, outbox.tried).await;
        outbox.noted = None;
        self.pack(outbox, Taken { tuples: Arc::unwrap_or_clone(tuples), lost }, (begun, None));
        if let Some((name, Tried { differences, requests, skipped })) = tried {
            outbox.tried = outbox.tried.wrapping_add(requests);
            let untried = Taken { tuples: differences, lost: lost + skipped };
            self.pack(outbox, untried, (begun, Some(&name)));
        }
    }

    /// Tries what is on trial on all of these, as far as there is time. A decision may take long, so a thread of its own makes them.
    async fn try_rules(&self, decided: &Arc<Vec<Tuple>>, first: usize) -> Option<(String, Tried)> {
        let on_trial = self.trial.as_ref()?.current()?;
        let in_force = self.in_force.current()?;
        let (name, tuples, clock) = (on_trial.name.clone(), Arc::clone(decided), self.clock.clone());
        let budget = Budget { time: self.schedule.every / TRIAL_SHARE, clock: move || clock.steady() };
        let trying =
            tokio::task::spawn_blocking(move || on_trial.try_on(&in_force, (&tuples, first), &budget));
        let nothing = || Tried { skipped: count(decided), ..Tried::default() };
        Some((name, trying.await.unwrap_or_else(|_| nothing())))
    }

    fn pack(&self, outbox: &mut Outbox, mut taken: Taken, (begun, shadow): (Duration, Option<&String>)) {
        if taken.tuples.is_empty() && taken.lost == 0 {
            return;
        }
        if let Some(pseudonyms) = &self.pseudonyms {
            taken.tuples.iter_mut().for_each(|tuple| pseudonyms.replace(&mut tuple.subject));
        }
        let refused = if shadow.is_none() { std::mem::take(&mut outbox.lost) } else { 0 };
        let mut lost = taken.lost + refused;
        while lost > 0 || !taken.tuples.is_empty() {
            let tuples = cut(&mut taken.tuples);
            let name = format!("{:016x}-{}", outbox.guard, outbox.next);
            outbox.next += 1;
            let batch =
                Batch { name, begun, tuples, lost: std::mem::take(&mut lost), shadow: shadow.cloned() };
            outbox.waiting.push_back(batch);
        }
    }

    async fn send(&self, batch: &Batch) -> Report {
        let body = batch.body(self.clock.steady(), self.pseudonyms.is_some());
        match self.fetcher.post_json(&self.url, self.authorization.as_ref(), body).await {
            Ok(Posted { status, .. }) if status.is_success() => Report::Sent,
            Ok(Posted { status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, .. }) => {
                tracing::debug!("the server takes no records of decisions");
                Report::Unwanted
            }
            Ok(Posted { status, retry_after }) if is_passing(status) => Report::Later(retry_after),
            Ok(Posted { status, .. }) => {
                tracing::warn!(%status, decisions = batch.decisions(), "the server refuses records of decisions");
                Report::Refused
            }
            Err(error) => {
                tracing::debug!(%error, "decisions cannot be told to the server");
                Report::Later(None)
            }
        }
    }
}

fn count(tuples: &[Tuple]) -> u64 {
    tuples.iter().map(|tuple| tuple.count).sum()
}

/// Whether the same request may be taken later. A client that cannot be authenticated now may be by then: its secret was
/// rotated, or the server is being restored.
fn is_passing(status: StatusCode) -> bool {
    let known = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT, StatusCode::UNAUTHORIZED];
    status.is_server_error() || known.contains(&status)
}

impl Drop for Reporter {
    /// A program may end before its guard has told everything. The server cannot know then; the log does.
    fn drop(&mut self) {
        let untold = self.untold();
        if untold > 0 {
            tracing::warn!(
                decisions = untold,
                "the server was not told of these: a service that ends calls `Guard::flush` before"
            );
        }
    }
}

async fn report_on(reporter: Arc<Reporter>, mut held: watch::Receiver<()>) {
    let (mut failures, mut pause) = (0, reporter.schedule.pause(0));
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = held.changed() => {
                // What cannot be told by then is in the log.
                let _ = tokio::time::timeout(LAST_WORDS, reporter.flush()).await;
                return;
            }
        }
        reporter.table.switch(true);
        let report = reporter.report().await;
        failures = if let Report::Later(_) = report { failures + 1 } else { 0 };
        pause = match report {
            Report::Refused | Report::Sent => reporter.schedule.pause(0),
            Report::Later(wait) => reporter.schedule.pause(failures).max(wait.unwrap_or_default()),
            Report::Unwanted => TAKES_NONE,
        };
    }
}
