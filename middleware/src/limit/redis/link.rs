//! The connection to where counts are shared, and whether there is one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::sync::{Mutex, Notify};

use super::lease::{Order, Reply};
use crate::limit::LimitError;
use crate::schedule::Schedule;

/// One script for everything: it is atomic, and one round trip.
const BORROW: &str = include_str!("borrow.lua");

/// A server that takes longer counts as away.
const BREAKER: Duration = Duration::from_millis(200);

/// How long a connection may take, which nobody waits for.
const CONNECT: Duration = Duration::from_secs(2);

const SCHEDULE: Schedule = Schedule {
    every: Duration::from_secs(5),
    first_retry: Duration::from_millis(250),
    last_retry: Duration::from_secs(5),
};

pub(super) struct Link {
    client: Client,
    prefix: String,
    current: ArcSwapOption<MultiplexedConnection>,
    /// Whether it was said that the server is away.
    is_missed: AtomicBool,
    /// Held by who connects.
    connecting: Mutex<()>,
    lost: Notify,
}

impl Link {
    pub(super) fn new(url: &str, prefix: &str) -> Result<Self, LimitError> {
        // The error names what is wrong with the URL and not the URL, which may hold a password.
        let client = Client::open(url).map_err(|error| LimitError::Url(error.to_string()))?;
        Ok(Self {
            client,
            prefix: prefix.to_owned(),
            current: ArcSwapOption::empty(),
            is_missed: AtomicBool::new(false),
            connecting: Mutex::default(),
            lost: Notify::new(),
        })
    }

    pub(super) fn is_up(&self) -> bool {
        self.current.load().is_some()
    }

    /// Asks for tokens. `None` if there was no answer: then the server is away until it was found again.
    pub(super) async fn borrow(&self, key: &str, terms: &[String; 3], order: Order) -> Option<Reply> {
        let connection = self.current.load_full()?;
        match self.run(MultiplexedConnection::clone(&connection), key, terms, order).await {
            Ok(reply) => Some(reply),
            Err(error) => {
                self.lose(&connection, &error);
                None
            }
        }
    }

    async fn run(
        &self,
        mut connection: MultiplexedConnection,
        key: &str,
        terms: &[String; 3],
        Order { need, want, back, .. }: Order,
    ) -> Result<Reply, RedisError> {
        let mut script = redis::cmd("EVAL");
        script.arg(BORROW).arg(1).arg(format!("{}:{key}", self.prefix)).arg(terms).arg(&[need, want, back]);
        let (given, room, micros): (u32, u32, u64) = script.query_async(&mut connection).await?;
        Ok(Reply { given, room, wait: Duration::from_micros(micros) })
    }

    /// Connects, if there is no connection. What answers has to be able to lend.
    pub(super) async fn connect(&self) {
        let _turn = self.connecting.lock().await;
        if self.is_up() {
            return;
        }
        match self.find().await {
            Ok(connection) => {
                self.current.store(Some(Arc::new(connection)));
                if self.is_missed.swap(false, Ordering::Relaxed) {
                    tracing::info!("limits are shared with the other replicas again");
                }
            }
            Err(error) => self.miss(&error),
        }
    }

    async fn find(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(BREAKER));
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let probe = Order { need: 1, want: 1, back: 0, batch: 1, window: 0 };
        let terms = ["bucket", "1", "1"].map(str::to_owned);
        self.run(connection.clone(), "probe", &terms, probe).await?;
        Ok(connection)
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
        if !self.is_missed.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "limits cannot be shared: each replica counts for itself, up to its share");
        }
    }

    /// Looks for the server while it is away, for as long as somebody holds the guard.
    pub(super) fn spawn(self: &Arc<Self>) {
        tokio::spawn(look_out(Arc::downgrade(self)));
    }
}

async fn look_out(link: Weak<Link>) {
    let mut failures = 0;
    loop {
        let Some(link) = link.upgrade() else { return };
        if failures == 0 {
            // Whoever loses it says so. Now and then it is seen to whether somebody holds the guard.
            let _ = tokio::time::timeout(SCHEDULE.pause(0), link.lost.notified()).await;
        } else {
            tokio::time::sleep(SCHEDULE.pause(failures)).await;
        }
        link.connect().await;
        failures = if link.is_up() { 0 } else { failures + 1 };
    }
}
