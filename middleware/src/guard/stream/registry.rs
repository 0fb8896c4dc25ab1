//! Every permission that somebody goes by, and the task that looks at them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use super::Seat;

/// How long a permission may go unlooked at.
const PAUSE: Duration = Duration::from_millis(500);
/// After so many, others get their turn on the thread.
const AT_ONCE: usize = 256;

/// What goes on under permissions of a guard.
#[derive(Default)]
pub(crate) struct Streams(Mutex<Registry>);

#[derive(Default)]
struct Registry {
    seats: Vec<Weak<Seat>>,
    /// Which task looks at them.
    attendant: Option<u64>,
    /// How many there were.
    attendants: u64,
}

impl Streams {
    pub(super) fn add(self: &Arc<Self>, seat: &Arc<Seat>) {
        let mut registry = self.registry();
        if registry.seats.len() == registry.seats.capacity() {
            registry.clear();
            // Room for as many again, so that it is not gone through for each one that comes while most of them stay.
            let lasting = registry.seats.len();
            registry.seats.reserve(lasting);
        }
        registry.seats.push(Arc::downgrade(seat));
        if registry.attendant.is_some() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!("streams are not watched: there is no runtime of tokio here");
            return;
        };
        registry.attendants += 1;
        let number = registry.attendants;
        registry.attendant = Some(number);
        runtime.spawn(Attendant { streams: Arc::downgrade(self), number }.run());
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let mut registry = self.registry();
        registry.clear();
        registry.seats.len()
    }

    /// Ends every one whose permission has gone.
    pub(crate) async fn look(&self) {
        let seats: Vec<Arc<Seat>> = {
            let mut registry = self.registry();
            registry.clear();
            registry.seats.iter().filter_map(Weak::upgrade).collect()
        };
        for (number, seat) in seats.iter().enumerate() {
            if number % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            // Whoever goes by it is woken.
            let _ = seat.look();
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Forgets what is over.
    fn clear(&mut self) {
        self.seats.retain(|seat| seat.upgrade().is_some_and(|seat| seat.ended().is_none()));
    }
}

/// The task that looks. When it ends, however that comes, the next stream begins another.
struct Attendant {
    streams: Weak<Streams>,
    number: u64,
}

impl Attendant {
    async fn run(self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let Some(streams) = self.streams.upgrade() else { return };
            streams.look().await;
            let mut registry = streams.registry();
            registry.clear();
            if registry.seats.is_empty() {
                // Under the lock, so that nobody is added in between and left alone.
                registry.attendant = None;
                return;
            }
        }
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        let Some(streams) = self.streams.upgrade() else { return };
        let mut registry = streams.registry();
        if registry.attendant == Some(self.number) {
            registry.attendant = None;
        }
    }
}
