//! How the hosts fare that the server calls: an address that fails is left alone, and no host is called too often at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::clock::{Clock, Timestamp};
use crate::outbound::error::OutboundError;

/// Requests to one host at one time.
const AT_ONCE: usize = 4;
/// Failures in a row before an address is left alone.
const PATIENCE: u32 = 3;
/// For how long at first; it doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Addresses that fail and are remembered.
const MAX_FAILING: usize = 1024;

/// The hosts that are called, and the addresses that fail.
pub(super) struct Hosts {
    table: Mutex<Table>,
    clock: Clock,
}

#[derive(Default)]
struct Table {
    /// What bounds how often a host is called at once, while it is.
    called: HashMap<String, Arc<Semaphore>>,
    /// By what is asked, and not by host: one client cannot have another one's address left alone.
    failing: HashMap<String, Failing>,
}

#[derive(Clone, Copy)]
struct Failing {
    failures: u32,
    /// Until then nobody calls, after so many failures.
    retry_at: Timestamp,
}

/// One of the few that call a host at present.
pub(super) struct Turn {
    hosts: Arc<Hosts>,
    host: String,
    /// What is asked: a method and an address.
    asked: String,
    permit: Option<OwnedSemaphorePermit>,
}

impl Hosts {
    pub(super) fn new(clock: Clock) -> Self {
        Self { table: Mutex::default(), clock }
    }

    /// Waits for one's turn at a host.
    pub(super) async fn enter(self: Arc<Self>, host: String, asked: String) -> Result<Turn, OutboundError> {
        let permits = Arc::clone(self.table().called.entry(host.clone()).or_insert_with(new_permits));
        let mut turn = Turn { hosts: self, host, asked, permit: None };
        turn.permit = Some(permits.acquire_owned().await.map_err(|_| OutboundError::Busy)?);
        Ok(turn)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_permits() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_ONCE))
}

impl Turn {
    /// Whether it may be asked now. Of what is left alone, one call finds out whether it answers again.
    pub(super) fn begin(&self) -> Result<(), OutboundError> {
        let now = self.hosts.clock.now();
        let mut table = self.hosts.table();
        let Some(failing) = table.failing.get_mut(&self.asked) else { return Ok(()) };
        if failing.failures < PATIENCE {
            return Ok(());
        }
        if now < failing.retry_at {
            return Err(OutboundError::LeftAlone);
        }
        failing.retry_at = now.plus(pause(failing.failures));
        Ok(())
    }

    /// Notes how it went.
    pub(super) fn end(self, is_alive: bool) {
        let now = self.hosts.clock.now();
        let mut table = self.hosts.table();
        if is_alive {
            table.failing.remove(&self.asked);
            return;
        }
        if !table.failing.contains_key(&self.asked) && table.failing.len() >= MAX_FAILING {
            // What may be asked again first gives way.
            let gives_way = table.failing.iter().min_by_key(|(_, failing)| failing.retry_at);
            let gives_way = gives_way.map(|(asked, _)| asked.clone());
            gives_way.map(|asked| table.failing.remove(&asked));
        }
        let failing =
            table.failing.entry(self.asked.clone()).or_insert(Failing { failures: 0, retry_at: now });
        failing.failures = failing.failures.saturating_add(1);
        failing.retry_at = now.plus(pause(failing.failures));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut table = self.hosts.table();
        // Nobody calls the host any more, nor waits to.
        if table.called.get(&self.host).is_some_and(|permits| Arc::strong_count(permits) == 1) {
            table.called.remove(&self.host);
        }
    }
}

fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(PATIENCE).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const HOST: &str = "https://rp.example";

    fn hosts() -> (Arc<Hosts>, Clock) {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        (Arc::new(Hosts::new(clock.clone())), clock)
    }

    const KEYS: &str = "GET https://rp.example/keys";
    const LOGOUT: &str = "POST https://rp.example/logout";

    async fn call(hosts: &Arc<Hosts>, asked: &str, is_alive: bool) -> Result<(), OutboundError> {
        let turn = Arc::clone(hosts).enter(HOST.to_owned(), asked.to_owned()).await?;
        turn.begin()?;
        turn.end(is_alive);
        Ok(())
    }

    #[tokio::test]
    async fn an_address_is_left_alone_after_three_failures_in_a_row_and_tried_once_then() {
        let (hosts, clock) = hosts();
        for is_alive in [false, false, true, false, false, false] {
            assert_eq!(call(&hosts, KEYS, is_alive).await, Ok(()));
        }
        assert_eq!(call(&hosts, KEYS, true).await, Err(OutboundError::LeftAlone));
        clock.advance(FIRST_PAUSE);
        assert_eq!(call(&hosts, KEYS, false).await, Ok(()), "one finds out");
        clock.advance(FIRST_PAUSE);
        assert_eq!(call(&hosts, KEYS, true).await, Err(OutboundError::LeftAlone), "pauses grow");
        clock.advance(FIRST_PAUSE);
        assert_eq!(call(&hosts, KEYS, true).await, Ok(()));
        assert_eq!(call(&hosts, KEYS, true).await, Ok(()));
        let table = hosts.table();
        assert!(table.failing.is_empty() && table.called.is_empty(), "nothing is remembered of what works");
    }

    #[tokio::test]
    async fn what_fails_leaves_other_addresses_of_its_host_as_they_are() {
        let (hosts, _) = hosts();
        for _ in 0..PATIENCE {
            assert_eq!(call(&hosts, KEYS, false).await, Ok(()));
        }
        assert_eq!(call(&hosts, KEYS, true).await, Err(OutboundError::LeftAlone));
        assert_eq!(call(&hosts, LOGOUT, true).await, Ok(()));
    }

    #[test]
    fn pauses_end_at_a_minute() {
        assert_eq!(pause(3), FIRST_PAUSE);
        assert_eq!(pause(5), Duration::from_secs(4));
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn few_call_a_host_at_once_and_others_wait() {
        let (hosts, _) = hosts();
        let enter = |host: &str| Arc::clone(&hosts).enter(host.to_owned(), KEYS.to_owned());
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(enter(HOST).await.unwrap());
        }
        let mut waiting = Box::pin(enter(HOST));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(enter("https://other.example").await.is_ok());
        turns.pop().unwrap().end(true);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn no_more_failures_are_remembered_than_there_is_room_for() {
        let (hosts, _) = hosts();
        for number in 0..MAX_FAILING + 10 {
            let turn = Arc::clone(&hosts).enter(HOST.to_owned(), format!("GET {number}")).await.unwrap();
            turn.end(false);
        }
        assert_eq!(hosts.table().failing.len(), MAX_FAILING);
    }
}
