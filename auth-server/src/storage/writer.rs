//! The single writer of SQLite: transactions queue up, run one after the other, and are committed together.
//!
//! It has a thread of its own, because a commit waits for the disk. What a transaction does in between costs no way there and
//! back.
//!
//! One `fsync` then serves everybody who waited for the one before. Each runs in a savepoint of its own, so that
//! what one of them breaks is rolled back alone; nobody hears of success before the common commit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use crate::storage::cache::Caches;
use crate::storage::commit::perform;
use crate::storage::db::{Link, SqliteLink};
use crate::storage::error::DriverError;
use crate::storage::shared::Shared;
use crate::storage::sqlite::Opening;
use crate::storage::tx::{Reached, Work};
use crate::storage::{Outcome, StoreError, Tx};

/// Most transactions that wait; more are told that the database is busy.
const QUEUE: usize = 1024;
/// Most transactions that share a commit.
const BATCH: usize = 128;
/// How long to wait for a place in the queue.
const PATIENCE: Duration = Duration::from_secs(2);

/// A transaction that waits for its turn. It is handed the connection, or the reason why there is none.
type Job = Box<dyn for<'t> FnOnce(Result<&'t mut Tx, StoreError>) -> Work<'t, Done> + Send>;

/// Tells the caller how it ended; an error takes the place of what the caller's own code returned.
type Reply = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// What a transaction wants done, now that it ran.
struct Done {
    keep: bool,
    reply: Reply,
}

/// The way to the writer.
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
    closing: Arc<Notify>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Writer {
    /// Starts the writer. It ends when every handle to it is gone.
    pub(super) fn start(opening: Opening, shared: Arc<Shared>, caches: Arc<Caches>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let closing = Arc::new(Notify::new());
        let desk = Desk { jobs, closing: Arc::clone(&closing), opening, shared, caches };
        let (end, ended) = oneshot::channel();
        let runtime = Handle::current();
        let started = thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || {
            runtime.block_on(desk.run());
            drop(end);
        });
        if let Err(error) = started {
            // Whoever writes is told that the writer has stopped.
            tracing::error!(%error, "the thread that writes to the database cannot be started");
        }
        Self { queue, closing, ended: Mutex::new(Some(ended)) }
    }

    /// Takes no more transactions, commits those that wait and closes the connection.
    pub(super) async fn close(&self) {
        self.closing.notify_one();
        if let Some(ended) = self.ended.lock().await.take() {
            // It says nothing: it hangs up, after a panic as well, and has closed its connection by then.
            drop(ended.await);
        }
    }

    /// Queues a transaction and waits until it is committed, or rolled back.
    pub(super) async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        W: for<'t> FnOnce(&'t mut Tx) -> Work<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Outcome + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |turn| {
            Box::pin(async move {
                let outcome = match turn {
                    Ok(tx) => perform(tx, work).await,
                    Err(error) => Err(error.into()),
                };
                let keep = !outcome.as_ref().is_err_and(Outcome::is_fault);
                let reply = move |failure: Option<StoreError>| {
                    // Whoever asked may have gone; the transaction counts all the same.
                    drop(sender.send(failure.map_or(outcome, |error| Err(error.into()))));
                };
                Done { keep, reply: Box::new(reply) }
            })
        });
        let stopped = || StoreError::Unavailable { reason: "the writer has stopped".to_owned() };
        self.queue.send_timeout(job, PATIENCE).await.map_err(|refused| match refused {
            SendTimeoutError::Closed(_) => stopped(),
            SendTimeoutError::Timeout(_) => StoreError::Busy,
        })?;
        receiver.await.unwrap_or_else(|_| Err(stopped().into()))
    }
}

/// Where transactions queue up, and what they are carried out with.
struct Desk {
    jobs: mpsc::Receiver<Job>,
    closing: Arc<Notify>,
    opening: Opening,
    shared: Arc<Shared>,
    caches: Arc<Caches>,
}

impl Desk {
    async fn run(mut self) {
        let mut connection: Option<Tx> = None;
        let mut waiting = Vec::with_capacity(BATCH);
        while self.next(&mut waiting).await {
            let mut batch: VecDeque<Job> = waiting.drain(..).collect();
            let ended = match self.connected(&mut connection) {
                Ok(tx) => commit_together(tx, &mut batch, &self.caches).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                for job in batch {
                    (job(Err(error.clone())).await.reply)(None);
                }
                // Whatever state it is in, a new one is in a good one.
                connection = None;
            }
        }
    }

    /// Waits for transactions; false when there will be no more.
    async fn next(&mut self, waiting: &mut Vec<Job>) -> bool {
        if !self.jobs.is_closed() {
            tokio::select! {
                count = self.jobs.recv_many(waiting, BATCH) => return count > 0,
                () = self.closing.notified() => self.jobs.close(),
            }
        }
        self.jobs.recv_many(waiting, BATCH).await > 0
    }

    fn connected<'a>(&self, connection: &'a mut Option<Tx>) -> Result<&'a mut Tx, StoreError> {
        let tx = if let Some(tx) = connection.take() {
            tx
        } else {
            let link = SqliteLink::Writing(Box::new(self.opening.connect().map_err(DriverError::from)?));
            Tx::new(Link::Sqlite(link), Arc::clone(&self.shared))
        };
        Ok(connection.insert(tx))
    }
}

/// Runs the jobs of a batch and commits them. After an error no job that ran is kept, and the rest is still there.
async fn commit_together(tx: &mut Tx, batch: &mut VecDeque<Job>, caches: &Caches) -> Result<(), StoreError> {
    let mut kept = Vec::with_capacity(batch.len());
    let ended = run_all(tx, batch, &mut kept).await;
    if let Ok(reached) = ended {
        caches.heard(reached);
    }
    for reply in kept {
        reply(ended.as_ref().err().cloned());
    }
    ended.map(drop)
}

/// Gives the epochs that they reached.
///
/// Each control statement is a way to the driver's thread and back, so they travel together: a savepoint that was
/// rolled back to is used again, and `COMMIT` releases the last one.
async fn run_all(
    tx: &mut Tx,
    batch: &mut VecDeque<Job>,
    kept: &mut Vec<Reply>,
) -> Result<Reached, StoreError> {
    let mut reached = Reached::default();
    let mut step = "BEGIN IMMEDIATE; SAVEPOINT job";
    while !batch.is_empty() {
        tx.control(step).await?;
        let Some(job) = batch.pop_front() else { break };
        let done = job(Ok(&mut *tx)).await;
        if done.keep {
            kept.push(done.reply);
            reached = tx.take_reached().or(reached);
            step = "RELEASE job; SAVEPOINT job";
        } else {
            (done.reply)(None);
            tx.forget();
            step = "ROLLBACK TO job";
            if batch.is_empty() {
                tx.control(step).await?;
            }
        }
    }
    tx.control("COMMIT").await?;
    Ok(reached)
}
