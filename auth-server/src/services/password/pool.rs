//! The threads that hash passwords, and the queue in front of them.
//!
//! A hash takes 19 MiB and 20 ms of a processor, so it must not run on the threads that serve requests, and not more
//! of them may run at once than there are workers. Whoever waits longer than the deadline is told to come back: a
//! late answer to a caller who left is work that an attacker gets for free.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::services::password::function::{Derived, Function};

/// One computation.
pub(super) struct Derivation {
    pub(super) function: Function,
    pub(super) salt: Vec<u8>,
    pub(super) password: Zeroizing<Vec<u8>>,
    pub(super) output_len: usize,
}

/// Nobody was free to compute in time.
pub(super) struct Late;

/// Jobs that may wait. With the deadline in force no more than a few hundred are ever served in time.
const QUEUE_LIMIT: usize = 1024;

/// A worker with nothing to do for this long gives its memory back.
const IDLE: Duration = Duration::from_secs(30);

/// A fixed number of threads and their queue. Dropping it ends them.
pub(super) struct Pool {
    queue: Arc<Queue>,
    deadline: Duration,
}

impl Pool {
    /// Starts `workers` threads. A job that none of them begins within `deadline` is refused.
    pub(super) fn start(workers: usize, deadline: Duration) -> io::Result<Self> {
        let pool = Self { queue: Arc::default(), deadline };
        for number in 0..workers {
            let queue = Arc::clone(&pool.queue);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || work(&queue))?;
        }
        Ok(pool)
    }

    /// How long a job waits at most.
    pub(super) const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Computes `derivation` on a worker.
    pub(super) async fn run(&self, derivation: Derivation) -> Result<Derived, Late> {
        let (answer, mut answered) = oneshot::channel();
        let ticket = Ticket(Arc::new(AtomicU8::new(WAITING)));
        self.queue.push(Job { derivation, answer, state: Arc::clone(&ticket.0) })?;
        if let Ok(derived) = tokio::time::timeout(self.deadline, &mut answered).await {
            return derived.map_err(|_| Late);
        }
        if ticket.abandon() {
            return Err(Late);
        }
        // It is being computed: the work is spent, so wait for its result.
        answered.await.map_err(|_| Late)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_all();
    }
}

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const ABANDONED: u8 = 2;

/// The caller's half of a job. Dropping it (the caller hung up) takes a waiting job out of the line.
struct Ticket(Arc<AtomicU8>);

impl Ticket {
    /// Gives the job up. `false` when a worker has begun with it.
    fn abandon(&self) -> bool {
        self.0.compare_exchange(WAITING, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.abandon();
    }
}

struct Job {
    derivation: Derivation,
    answer: oneshot::Sender<Derived>,
    state: Arc<AtomicU8>,
}

impl Job {
    fn begin(&self) -> bool {
        self.state.compare_exchange(WAITING, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Queue {
    line: Mutex<Line>,
    wake: Condvar,
}

enum Next {
    Closed,
    Idle,
    Job(Job),
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Line> {
        // A line stays whole however a holder of the lock ends: every change to it is one push or one pop.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) -> Result<(), Late> {
        let mut line = self.lock();
        if line.jobs.len() >= QUEUE_LIMIT {
            line.jobs.retain(|job| job.state.load(Ordering::Acquire) == WAITING);
        }
        if line.jobs.len() >= QUEUE_LIMIT {
            return Err(Late);
        }
        line.jobs.push_back(job);
        drop(line);
        self.wake.notify_one();
        Ok(())
    }

    fn next(&self) -> Next {
        let mut line = self.lock();
        loop {
            if line.closed {
                return Next::Closed;
            }
            if let Some(job) = line.jobs.pop_front() {
                return Next::Job(job);
            }
            let (guard, waited) = self.wake.wait_timeout(line, IDLE).unwrap_or_else(PoisonError::into_inner);
            line = guard;
            if waited.timed_out() && line.jobs.is_empty() && !line.closed {
                return Next::Idle;
            }
        }
    }
}

/// The life of a worker. Its memory is used again for every job, which saves the page faults of a fresh block.
fn work(queue: &Queue) {
    let mut memory = Vec::new();
    loop {
        match queue.next() {
            Next::Closed => return,
            Next::Idle => memory = Vec::new(),
            Next::Job(job) if job.begin() => {
                let Derivation { function, salt, password, output_len } = &job.derivation;
                let derived = function.derive(password, salt, *output_len, &mut memory);
                // A caller who hung up meanwhile does not want it any more.
                drop(job.answer.send(derived));
            }
            Next::Job(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Argon2, Params, Version};

    use super::*;

    fn params() -> Params {
        Params::new(64, 1, 1, Some(32)).unwrap()
    }

    fn job(password: &str) -> Derivation {
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        Derivation {
            function: Function::Argon2 { algorithm, version, params: params() },
            salt: b"0123456789abcdef".to_vec(),
            password: Zeroizing::new(password.as_bytes().to_vec()),
            output_len: 32,
        }
    }

    #[tokio::test]
    async fn memory_that_was_used_before_gives_the_same_hash_as_fresh_memory() {
        let pool = Pool::start(1, Duration::from_mins(1)).unwrap();
        let first = pool.run(job("first")).await.ok().unwrap().unwrap();
        let second = pool.run(job("second")).await.ok().unwrap().unwrap();
        assert_ne!(first, second);
        assert_eq!(first, pool.run(job("first")).await.ok().unwrap().unwrap());
        let mut fresh = vec![0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params())
            .hash_password_into(b"first", b"0123456789abcdef", &mut fresh)
            .unwrap();
        assert_eq!(*first, fresh);
    }

    #[tokio::test]
    async fn a_job_that_nobody_begins_in_time_is_refused_and_leaves_the_line() {
        let pool = Pool::start(0, Duration::from_millis(1)).unwrap();
        assert!(pool.run(job("late")).await.is_err(), "nobody computes");
        let states: Vec<u8> =
            pool.queue.lock().jobs.iter().map(|job| job.state.load(Ordering::Acquire)).collect();
        assert_eq!(states, [ABANDONED]);
    }

    #[tokio::test]
    async fn a_full_line_refuses_at_once() {
        let pool = Arc::new(Pool::start(0, Duration::from_mins(1)).unwrap());
        let mut waiting = Vec::new();
        for _ in 0..QUEUE_LIMIT {
            let (answer, answered) = oneshot::channel();
            let state = Arc::new(AtomicU8::new(WAITING));
            let job = Job { derivation: job("x"), answer, state: Arc::clone(&state) };
            assert!(pool.queue.push(job).is_ok(), "{} wait", waiting.len());
            waiting.push((answered, state));
        }
        assert!(pool.run(job("one too many")).await.is_err(), "the line is full");
        assert_eq!(pool.queue.lock().jobs.len(), QUEUE_LIMIT, "it is not in the line");
        // Those who hung up do not count.
        for (_, state) in &waiting {
            state.store(ABANDONED, Ordering::Release);
        }
        let (answer, _answered) = oneshot::channel();
        let state = Arc::new(AtomicU8::new(WAITING));
        assert!(pool.queue.push(Job { derivation: job("x"), answer, state }).is_ok(), "the line is empty");
        assert_eq!(pool.queue.lock().jobs.len(), 1);
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_frees_its_place() {
        let pool = Pool::start(0, Duration::from_mins(1)).unwrap();
        // Polled once, then dropped.
        let once = tokio::time::timeout(Duration::ZERO, pool.run(job("gone"))).await;
        assert!(once.is_err(), "nobody answers");
        let begun: Vec<bool> = pool.queue.lock().jobs.iter().map(Job::begin).collect();
        assert_eq!(begun, [false], "it is in the line, and nobody begins it");
    }
}
