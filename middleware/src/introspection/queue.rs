//! Questions about what goes on already. They wait for one another, and take no place from requests.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::flights::{Boarding, Flights};
use super::memory::Digest;

/// How many tokens may be waited for. What goes on under more than these is not asked about until there is room.
const MAX_WAITING: usize = 8_192;

/// Questions that wait for their turn, one for each token, and those whose turn it is.
pub(super) struct Queue {
    waiting: Flights,
    pub(super) lanes: Arc<Semaphore>,
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

    pub(super) fn join(&self, digest: Digest) -> Boarding {
        self.waiting.board(digest, None)
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
