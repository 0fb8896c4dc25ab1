//! How the hosts fare that the server calls: one that fails is left alone, and none is called too often at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::clock::{Clock, Timestamp};
use crate::outbound::error::OutboundError;

/// Requests to one host at one time.
const AT_ONCE: usize = 4;
/// Failures in a row before a host is left alone.
const PATIENCE: u32 = 3;
/// For how long at first; it doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Hosts that are remembered.
const MAX_HOSTS: usize = 1024;

/// The hosts that are called, or that failed.
pub(super) struct Hosts {
    table: Mutex<HashMap<String, Host>>,
    clock: Clock,
}

struct Host {
    permits: Arc<Semaphore>,
    failures: u32,
    /// Until then nobody calls, after so many failures.
    retry_at: Timestamp,
}

/// One of the few that call a host at present.
pub(super) struct Turn {
    hosts: Arc<Hosts>,
    host: String,
    _permit: OwnedSemaphorePermit,
}

impl Hosts {
    pub(super) fn new(clock: Clock) -> Self {
        Self { table: Mutex::default(), clock }
    }

    /// Waits for one's turn at a host.
    pub(super) async fn enter(self: Arc<Self>, host: String) -> Result<Turn, OutboundError> {
        let permits = self.permits_of(&host).ok_or(OutboundError::Busy)?;
        let permit = permits.acquire_owned().await.map_err(|_| OutboundError::Busy)?;
        Ok(Turn { hosts: self, host, _permit: permit })
    }

    fn permits_of(&self, host: &str) -> Option<Arc<Semaphore>> {
        let mut table = self.table();
        if !table.contains_key(host) && table.len() >= MAX_HOSTS {
            // One that nobody calls gives way: the one that may be called again first.
            let idle = table.iter().filter(|(_, host)| Arc::strong_count(&host.permits) == 1);
            let gives_way = idle.min_by_key(|(_, host)| host.retry_at).map(|(name, _)| name.clone());
            table.remove(&gives_way?);
        }
        let found = table.entry(host.to_owned()).or_insert_with(|| Host {
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            failures: 0,
            retry_at: Timestamp::from_micros(0),
        });
        Some(Arc::clone(&found.permits))
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whether the host may be called now. Of one that is left alone, one call finds out whether it answers again.
    pub(super) fn begin(&self) -> Result<(), OutboundError> {
        let now = self.hosts.clock.now();
        let mut table = self.hosts.table();
        let Some(host) = table.get_mut(&self.host) else { return Ok(()) };
        if host.failures < PATIENCE {
            return Ok(());
        }
        if now < host.retry_at {
            return Err(OutboundError::LeftAlone);
        }
        host.retry_at = now.plus(pause(host.failures));
        Ok(())
    }

    /// Notes how it went.
    pub(super) fn end(self, is_alive: bool) {
        let now = self.hosts.clock.now();
        let mut table = self.hosts.table();
        let Some(host) = table.get_mut(&self.host) else { return };
        if is_alive {
            host.failures = 0;
            // The table, this turn: nobody else is here.
            if Arc::strong_count(&host.permits) <= 2 {
                table.remove(&self.host);
            }
        } else {
            host.failures = host.failures.saturating_add(1);
            host.retry_at = now.plus(pause(host.failures));
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

    async fn call(hosts: &Arc<Hosts>, is_alive: bool) -> Result<(), OutboundError> {
        let turn = Arc::clone(hosts).enter(HOST.to_owned()).await?;
        turn.begin()?;
        turn.end(is_alive);
        Ok(())
    }

    #[tokio::test]
    async fn a_host_is_left_alone_after_three_failures_in_a_row_and_tried_once_then() {
        let (hosts, clock) = hosts();
        for is_alive in [false, false, true, false, false, false] {
            assert_eq!(call(&hosts, is_alive).await, Ok(()));
        }
        assert_eq!(call(&hosts, true).await, Err(OutboundError::LeftAlone));
        clock.advance(FIRST_PAUSE);
        assert_eq!(call(&hosts, false).await, Ok(()), "one finds out");
        clock.advance(FIRST_PAUSE);
        assert_eq!(call(&hosts, true).await, Err(OutboundError::LeftAlone), "pauses grow");
        clock.advance(FIRST_PAUSE);
        assert_eq!(call(&hosts, true).await, Ok(()));
        assert_eq!(call(&hosts, true).await, Ok(()));
        assert!(hosts.table().is_empty(), "nothing is remembered of a host that works");
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
        let mut turns = Vec::new();
        for _ in 0..AT_ONCE {
            turns.push(Arc::clone(&hosts).enter(HOST.to_owned()).await.unwrap());
        }
        let mut waiting = Box::pin(Arc::clone(&hosts).enter(HOST.to_owned()));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(Arc::clone(&hosts).enter("https://other.example".to_owned()).await.is_ok());
        turns.pop().unwrap().end(true);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn no_more_hosts_are_remembered_than_there_is_room_for() {
        let (hosts, _) = hosts();
        for number in 0..MAX_HOSTS + 10 {
            let turn = Arc::clone(&hosts).enter(format!("https://{number}.example")).await.unwrap();
            turn.end(false);
        }
        assert_eq!(hosts.table().len(), MAX_HOSTS);
    }
}
