//! The connection to a server that replicas share, and whether there is one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, Value};
use tokio::sync::{Mutex, Notify};

use crate::clock::Clock;
use crate::outage::{OutageLog, OutageReport};
use crate::schedule::Schedule;
#[cfg(feature = "login")]
use crate::status::StoreState;

/// A server that takes longer counts as away.
const BREAKER: Duration = Duration::from_millis(200);

/// How long a connection may take, which nobody waits for.
const CONNECT: Duration = Duration::from_secs(2);

const SCHEDULE: Schedule = Schedule {
    every: Duration::from_secs(5),
    first_retry: Duration::from_millis(250),
    last_retry: Duration::from_secs(5),
};

/// A connection that is looked for while there is none.
pub(crate) struct Link {
    client: Client,
    purpose: Purpose,
    current: ArcSwapOption<MultiplexedConnection>,
    outage: OutageLog,
    /// Whether the server answered when it could not be used last.
    fails: AtomicBool,
    clock: Clock,
    /// Held by who connects.
    connecting: Mutex<()>,
    lost: Notify,
}

/// What a server is for.
pub(crate) struct Purpose {
    /// What it has to be able to do, or it counts as away.
    pub(crate) probe: Cmd,
    /// What is said to the log when it is away, and what that means.
    pub(crate) away: &'static str,
    /// What is said when it is back.
    pub(crate) back: &'static str,
}

impl Link {
    pub(crate) fn new(url: &str, purpose: Purpose, clock: &Clock) -> Result<Self, RedisError> {
        // An error says that the process has chosen a provider of cryptography already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // The error names what is wrong with the URL and not the URL, which may hold a password.
        Ok(Self {
            client: Client::open(url)?,
            purpose,
            current: ArcSwapOption::empty(),
            outage: OutageLog::default(),
            fails: AtomicBool::default(),
            clock: clock.clone(),
            connecting: Mutex::default(),
            lost: Notify::new(),
        })
    }

    pub(crate) fn is_up(&self) -> bool {
        self.current.load().is_some()
    }

    /// Whether the server can be used, and if not, whether it is there at all.
    #[cfg(feature = "login")]
    pub(crate) fn state(&self) -> StoreState {
        match (self.is_up(), self.fails.load(Ordering::Relaxed)) {
            (true, _) => StoreState::Reached,
            (false, true) => StoreState::Failing,
            (false, false) => StoreState::Away,
        }
    }

    /// Asks the server. `None` if there was no answer, or an error: then it counts as away until it was found to do what it has to.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let connection = self.current.load_full()?;
        match command.query_async(&mut MultiplexedConnection::clone(&connection)).await {
            Ok(reply) => Some(reply),
            Err(error) => {
                self.lose(&connection, &error);
                None
            }
        }
    }

    /// Connects, if there is no connection.
    pub(crate) async fn connect(&self) {
        let _turn = self.connecting.lock().await;
        if self.is_up() {
            return;
        }
        // Rare, and large: whoever waits for a guard is not to hold all of it.
        match Box::pin(self.find()).await {
            Ok(connection) => {
                self.current.store(Some(Arc::new(connection)));
                if let Some(OutageReport { lasted, attempts }) = self.outage.ended(self.clock.steady()) {
                    tracing::info!(attempts, for_secs = lasted.as_secs(), "{}", self.purpose.back);
                }
            }
            Err(error) => self.miss(&error),
        }
    }

    async fn find(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(BREAKER));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.purpose.probe.query_async::<Value>(&mut connection).await?;
        Ok(connection)
    }

    /// Has the server show by another command that it can do what it is for.
    #[cfg(feature = "login")]
    pub(crate) fn probe_by(&mut self, probe: Cmd) {
        self.purpose.probe = probe;
    }

    /// Goes on without this connection. There may be a newer one by now.
    fn lose(&self, lost: &Arc<MultiplexedConnection>, error: &RedisError) {
        let before = self.current.compare_and_swap(lost, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, lost)) {
            self.miss(error);
            self.lost.notify_one();
        }
    }

    fn miss(&self, error: &RedisError) {
        let away = self.purpose.away;
        self.fails.store(is_answer(error), Ordering::Relaxed);
        // Whatever the error is: a connection that ends and one that is refused are one outage.
        let Some(OutageReport { lasted, attempts }) = self.outage.failed(self.clock.steady(), &"away", true)
        else {
            tracing::debug!(%error, "{away}");
            return;
        };
        tracing::warn!(%error, attempts, for_secs = lasted.as_secs(), "{away}");
    }

    /// Looks for the server while it is away, for as long as somebody holds the guard.
    pub(crate) fn spawn(self: &Arc<Self>) {
        tokio::spawn(look_out(Arc::downgrade(self)));
    }
}

/// Whether an error is one that the server gave, over a connection that holds.
fn is_answer(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed
            | ErrorKind::Extension
            | ErrorKind::Server(_)
            | ErrorKind::UnexpectedReturnType
    )
}

async fn look_out(link: Weak<Link>) {
    let mut attempts = Attempts::default();
    loop {
        let Some(link) = link.upgrade() else { return };
        if link.is_up() {
            // Whoever loses it says so. Now and then it is seen to whether somebody holds the guard.
            let lost = tokio::time::timeout(SCHEDULE.pause(0), link.lost.notified()).await;
            if lost.is_err() {
                attempts = Attempts::default();
                continue;
            }
        }
        tokio::time::sleep(attempts.next()).await;
        link.connect().await;
    }
}

/// How often it was connected to since a connection lasted.
#[derive(Default)]
struct Attempts(u32);

impl Attempts {
    /// How long to wait before another. A server that is lost again and again is left in peace ever longer.
    fn next(&mut self) -> Duration {
        let pause = if self.0 == 0 { Duration::ZERO } else { SCHEDULE.pause(self.0) };
        self.0 = self.0.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_lost_again_and_again_is_left_in_peace_ever_longer() {
        let mut attempts = Attempts::default();
        let pauses: Vec<_> = (0..8).map(|_| attempts.next().as_millis()).collect();
        assert_eq!(pauses[0], 0, "a connection that lasted is sought again at once");
        assert!(pauses.windows(2).take(5).all(|pair| pair[0] < pair[1]), "{pauses:?}");
        assert!(pauses[6] >= 4_000, "{pauses:?}");
    }
}
