//! The server that lends tokens.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;

use super::WhileAway;
use super::lease::{Order, Reply};
use crate::clock::Clock;
use crate::limit::LimitError;
use crate::link::{Link, Purpose};

/// One script for everything: it is atomic, and one round trip.
const BORROW: &str = include_str!("borrow.lua");

pub(super) struct Lender {
    link: Arc<Link>,
    prefix: String,
}

impl Lender {
    pub(super) fn new(
        url: &str,
        prefix: &str,
        (mode, clock): (WhileAway, &Clock),
    ) -> Result<Self, LimitError> {
        let probe = Order { need: 1, want: 1, back: 0, batch: 1, window: 0 };
        let purpose = Purpose {
            probe: command(&format!("{prefix}:probe"), &["bucket", "1", "1"].map(str::to_owned), probe),
            away: match mode {
                WhileAway::Closed => "limits cannot be shared: requests are answered 503",
                WhileAway::Open => "limits cannot be shared: requests pass",
                WhileAway::Share => {
                    "limits cannot be shared: each replica counts for itself, up to its share"
                }
            },
            back: "limits are shared with the other replicas again",
        };
        let link = Link::new(url, purpose, clock).map_err(|error| LimitError::Url(error.to_string()))?;
        Ok(Self { link: Arc::new(link), prefix: prefix.to_owned() })
    }

    pub(super) const fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Asks for tokens. `None` if there was no answer.
    pub(super) async fn borrow(&self, key: &str, terms: &[String; 3], order: Order) -> Option<Reply> {
        let script = command(&format!("{}:{key}", self.prefix), terms, order);
        let (given, room, micros): (u32, u32, u64) = self.link.ask(&script).await?;
        Some(Reply { given, room, wait: Duration::from_micros(micros) })
    }
}

fn command(key: &str, terms: &[String; 3], Order { need, want, back, .. }: Order) -> Cmd {
    let mut script = redis::cmd("EVAL");
    script.arg(BORROW).arg(1).arg(key).arg(terms).arg(&[need, want, back]);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREVER: f64 = 1e12;

    /// The server of the test run, by a prefix that no other test has.
    async fn lender() -> Lender {
        let url =
            std::env::var("PORTCULLIS_TEST_REDIS").expect("PORTCULLIS_TEST_REDIS: tests/run starts a server");
        let prefix =
            format!("test:{:016x}", std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
        let lender =
            Lender::new(&url, &prefix, (WhileAway::Share, &Clock::from_fn(|| Duration::ZERO))).unwrap();
        lender.link().connect().await;
        assert!(lender.link().is_up());
        lender
    }

    fn bucket(interval_micros: f64, burst: u32) -> [String; 3] {
        ["bucket".to_owned(), interval_micros.to_string(), burst.to_string()]
    }

    const fn order(need: u32, want: u32, back: u32) -> Order {
        Order { need, want, back, batch: 1, window: 0 }
    }

    impl Lender {
        async fn ask(&self, key: &str, terms: &[String; 3], order: Order) -> (u32, u32, Duration) {
            let Reply { given, room, wait } = self.borrow(key, terms, order).await.unwrap();
            (given, room, wait)
        }

        async fn set(&self, key: &str, value: &str) {
            let mut set = redis::cmd("SET");
            set.arg(format!("{}:{key}", self.prefix)).arg(value);
            self.link.ask::<()>(&set).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_replica_gets_half_of_the_last_tokens_and_who_spent_them_already_gets_all() {
        let lender = lender().await;
        for terms in [bucket(FOREVER, 10), ["window", "10", "100"].map(str::to_owned)] {
            let [key, ..] = &terms;
            let left = async |order| {
                let (given, room, _) = lender.ask(key, &terms, order).await;
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
        let lender = lender().await;
        let minute = bucket(6e6, 10);
        for written in ["9e15", "9999999999999999999", "inf"] {
            lender.set("k", written).await;
            let (given, room, wait) = lender.ask("k", &minute, order(1, 1, 0)).await;
            assert_eq!((given, room), (0, 0), "{written}");
            assert!(wait <= Duration::from_secs(6), "{written}: {wait:?}");
        }
        lender.set("k", "no number").await;
        assert_eq!(lender.ask("k", &minute, order(1, 1, 0)).await.0, 1);
    }

    #[tokio::test]
    async fn a_quota_of_any_size_is_answered() {
        let lender = lender().await;
        for (key, terms) in [bucket(0.001, u32::MAX), bucket(3.6e9, 876_600)].iter().enumerate() {
            let (given, room, wait) = lender.ask(&key.to_string(), terms, order(1, 1, 0)).await;
            assert_eq!(given, 1, "{terms:?}");
            assert!(room > 800_000 && wait <= Duration::from_hours(1), "{terms:?} {room} {wait:?}");
        }
        let most = ["window".to_owned(), u32::MAX.to_string(), "100".to_owned()];
        assert_eq!(
            lender.ask("most", &most, order(u32::MAX, u32::MAX, 0)).await,
            (u32::MAX, 0, Duration::ZERO)
        );
        assert_eq!(lender.ask("most", &most, order(1, 1, 0)).await.0, 0);
    }
}
