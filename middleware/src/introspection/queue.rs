//! Questions about what goes on already. They wait for one another, and take no place from requests.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::flights::{Awaited, Boarding, Flight, Flights};
use super::introspector::Question;
use super::memory::Digest;
use super::verdict::{Unanswered, Verdict};

/// How many tokens may be waited for. What goes on under more than these is not asked about until there is room.
const MAX_WAITING: usize = 8_192;

/// Questions that wait for their turn, one for each token, and those whose turn it is.
pub(super) struct Queue {
    waiting: Flights,
    lanes: Arc<Semaphore>,
}

impl Queue {
    /// A queue from which so many questions are open at a time.
    pub(super) fn new(lanes: usize) -> Self {
        Self::bounded(lanes, MAX_WAITING)
    }

    fn bounded(lanes: usize, waiting: usize) -> Self {
        let lanes = Arc::new(Semaphore::new(lanes.clamp(1, Semaphore::MAX_PERMITS)));
        Self { waiting: Flights::new(waiting), lanes }
    }

    fn join(&self, digest: Digest) -> Boarding {
        self.waiting.board(digest, None)
    }
}

impl Question {
    /// Is asked when its turn comes. Nobody has to wait here.
    pub(super) fn queue(self) -> Result<Awaited, Unanswered> {
        let queue = &self.introspector.desk.queue;
        let (flight, awaited) = match queue.join(self.digest) {
            Boarding::Full => return Err(Unanswered::Busy),
            Boarding::Joined(awaited) => return Ok(awaited),
            Boarding::New(flight, awaited) => (flight, awaited),
        };
        let Ok(runtime) = Handle::try_current() else { return Err(Unanswered::Away) };
        let lanes = Arc::clone(&queue.lanes);
        runtime.spawn(async move {
            if let Ok(lane) = lanes.acquire_owned().await {
                self.take_turn(flight, lane).await;
            }
        });
        Ok(awaited)
    }

    async fn take_turn(self, flight: Flight, lane: OwnedSemaphorePermit) {
        // What it was about may have ended meanwhile, and others wait.
        if !flight.is_awaited() {
            return;
        }
        let verdict = match self.board(Some(lane)) {
            Ok(mut awaited) => awaited.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone()),
            Err(verdict) => Some(verdict),
        };
        flight.land(verdict.unwrap_or(Verdict::Unanswered(Unanswered::Away)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_bounded_and_those_who_wait_for_one_token_are_one() {
        let queue = Queue::bounded(0, 2);
        assert_eq!(queue.lanes.available_permits(), 1, "or nothing would ever be asked");
        let waiting = ["a", "b"].map(|token| queue.join(Digest::of(token)));
        assert!(waiting.iter().all(|boarding| matches!(boarding, Boarding::New(..))));
        assert!(matches!(queue.join(Digest::of("a")), Boarding::Joined(_)));
        assert!(matches!(queue.join(Digest::of("c")), Boarding::Full));
        drop(waiting);
        assert!(matches!(queue.join(Digest::of("c")), Boarding::New(..)), "there is room again");
    }

    #[test]
    fn nobody_waits_for_what_has_ended() {
        let queue = Queue::new(1);
        let Boarding::New(flight, first) = queue.join(Digest::of("a")) else { panic!() };
        let Boarding::Joined(second) = queue.join(Digest::of("a")) else { panic!() };
        drop(first);
        assert!(flight.is_awaited());
        drop(second);
        assert!(!flight.is_awaited());
    }
}
