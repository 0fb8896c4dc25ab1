//! The connection to where counts are shared, and whether there is one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::sync::{Mutex, Notify};

use super::lease::{Order, Reply};
use crate::clock::Clock;
use crate::limit::LimitError;
use crate::outage::{Outage, Told};
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
    outage: Outage,
    clock: Clock,
    /// Held by who connects.
    connecting: Mutex<()>,
    lost: Notify,
}

impl Link {
    pub(super) fn new(url: &str, prefix: &str, clock: &Clock) -> Result<Self, LimitError> {
        // An error says that the process has chosen a provider of cryptography already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // The error names what is wrong with the URL and not the URL, which may hold a password.
        let client = Client::open(url).map_err(|error| LimitError::Url(error.to_string()))?;
        Ok(Self {
            client,
            prefix: prefix.to_owned(),
            current: ArcSwapOption::empty(),
            outage: Outage::default(),
            clock: clock.clone(),
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
                if let Some(Told { lasted, attempts }) = self.outage.ended(self.clock.steady()) {
                    let for_secs = lasted.as_secs();
                    tracing::info!(attempts, for_secs, "limits are shared with the other replicas again");
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
        // Whatever the error is: a connection that ends and one that is refused are one outage.
        let Some(Told { lasted, attempts }) = self.outage.failed(self.clock.steady(), &"away", true) else {
            tracing::debug!(%error, "limits cannot be shared");
            return;
        };
        tracing::warn!(
            %error,
            attempts,
            for_secs = lasted.as_secs(),
            "limits cannot be shared: each replica counts for itself, up to its share"
        );
    }

    /// Looks for the server while it is away, for as long as somebody holds the guard.
    pub(super) fn spawn(self: &Arc<Self>) {
        tokio::spawn(look_out(Arc::downgrade(self)));
    }
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

    const FOREVER: f64 = 1e12;

    /// The server of the test run, by a prefix that no other test has.
    async fn link() -> Link {
        let url =
            std::env::var("PORTCULLIS_TEST_REDIS").expect("PORTCULLIS_TEST_REDIS: tests/run starts a server");
        let prefix =
            format!("test:{:016x}", std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
        let link = Link::new(&url, &prefix, &Clock::from_fn(|| Duration::ZERO)).unwrap();
        link.connect().await;
        assert!(link.is_up());
        link
    }

    fn bucket(interval_micros: f64, burst: u32) -> [String; 3] {
        ["bucket".to_owned(), interval_micros.to_string(), burst.to_string()]
    }

    const fn order(need: u32, want: u32, back: u32) -> Order {
        Order { need, want, back, batch: 1, window: 0 }
    }

    impl Link {
        async fn ask(&self, key: &str, terms: &[String; 3], order: Order) -> (u32, u32, Duration) {
            let Reply { given, room, wait } = self.borrow(key, terms, order).await.unwrap();
            (given, room, wait)
        }

        async fn set(&self, key: &str, value: &str) {
            let mut connection = MultiplexedConnection::clone(&self.current.load_full().unwrap());
            let mut set = redis::cmd("SET");
            set.arg(format!("{}:{key}", self.prefix)).arg(value);
            set.query_async::<()>(&mut connection).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_replica_gets_half_of_the_last_tokens_and_who_spent_them_already_gets_all() {
        let link = link().await;
        for terms in [bucket(FOREVER, 10), ["window", "10", "100"].map(str::to_owned)] {
            let [key, ..] = &terms;
            let left = async |order| {
                let (given, room, _) = link.ask(key, &terms, order).await;
                (given, room)
            };
            assert_eq!(left(order(1, 100, 0)).await, (5, 5));
            assert_eq!(left(order(6, 6, 0)).await, (0, 5), "all or nothing");
            assert_eq!(left(order(1, 1, 2)).await, (1, 6), "what is given back is there again");
            assert_eq!(left(order(0, 4, 0)).await, (4, 2));
            assert_eq!(left(order(0, 4, 0)).await, (2, 0));
            assert_eq!(left(order(0, 4, 0)).await, (0, 0));
            assert_eq!(left(order(1, 1, 1_000)).await, (1, 9), "never more than there can be");
        }
    }

    #[tokio::test]
    async fn a_clock_that_was_ahead_or_a_quota_that_is_smaller_now_locks_nobody_out_for_long() {
        let link = link().await;
        let minute = bucket(6e6, 10);
        for written in ["9e15", "9999999999999999999", "inf"] {
            link.set("k", written).await;
            let (given, room, wait) = link.ask("k", &minute, order(1, 1, 0)).await;
            assert_eq!((given, room), (0, 0), "{written}");
            assert!(wait <= Duration::from_secs(6), "{written}: {wait:?}");
        }
        link.set("k", "no number").await;
        assert_eq!(link.ask("k", &minute, order(1, 1, 0)).await.0, 1);
    }

    #[tokio::test]
    async fn a_quota_of_any_size_is_answered() {
        let link = link().await;
        for (key, terms) in [bucket(0.001, u32::MAX), bucket(3.6e9, 876_600)].iter().enumerate() {
            let (given, room, wait) = link.ask(&key.to_string(), terms, order(1, 1, 0)).await;
            assert_eq!(given, 1, "{terms:?}");
            assert!(room > 800_000 && wait <= Duration::from_hours(1), "{terms:?} {room} {wait:?}");
        }
        let most = ["window".to_owned(), u32::MAX.to_string(), "100".to_owned()];
        assert_eq!(
            link.ask("most", &most, order(u32::MAX, u32::MAX, 0)).await,
            (u32::MAX, 0, Duration::ZERO)
        );
        assert_eq!(link.ask("most", &most, order(1, 1, 0)).await.0, 0);
    }

    #[test]
    fn a_server_that_is_lost_again_and_again_is_left_in_peace_ever_longer() {
        let mut attempts = Attempts::default();
        let pauses: Vec<_> = (0..8).map(|_| attempts.next().as_millis()).collect();
        assert_eq!(pauses[0], 0, "a connection that lasted is sought again at once");
        assert!(pauses.windows(2).take(5).all(|pair| pair[0] < pair[1]), "{pauses:?}");
        assert!(pauses[6] >= 4_000, "{pauses:?}");
    }
}
