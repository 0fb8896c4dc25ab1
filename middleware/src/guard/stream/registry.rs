//! Every permission that somebody goes by, and the tasks that look at them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio::runtime::{Handle, Id};

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
    /// Which task looks at what a runtime waits for. Each has one of its own: a runtime may end, or rest, while others go on.
    attendants: HashMap<Id, u64, RandomState>,
    /// How many there were.
    begun: u64,
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
        drop(registry);
        if Handle::try_current().is_err() {
            tracing::error!(
                "a stream is not watched until a runtime of tokio waits for it: there is none here"
            );
        }
    }

    /// Has a permission looked at by the runtime at hand, where somebody waits for its end.
    pub(super) fn attend(self: &Arc<Self>, seat: &Arc<Seat>) {
        let Ok(handle) = Handle::try_current() else { return };
        let runtime = handle.id();
        if seat.is_awaited_in(runtime) {
            return;
        }
        let mut registry = self.registry();
        seat.await_in(runtime);
        if registry.attendants.contains_key(&runtime) {
            return;
        }
        registry.begun += 1;
        let number = registry.begun;
        registry.attendants.insert(runtime, number);
        drop(registry);
        // Not under the lock: a runtime that is about to end drops the task at once.
        handle.spawn(Attendant { streams: Arc::downgrade(self), runtime, number }.run());
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let mut registry = self.registry();
        registry.clear();
        registry.seats.len()
    }

    /// Ends every one whose permission has gone.
    pub(crate) async fn look(&self) {
        self.look_at(|_| true).await;
    }

    async fn look_at(&self, is_meant: impl Fn(&Seat) -> bool) {
        let seats: Vec<Arc<Seat>> = {
            let mut registry = self.registry();
            registry.clear();
            registry.seats.iter().filter_map(Weak::upgrade).filter(|seat| is_meant(seat)).collect()
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

/// The task that looks for a runtime. When it ends, however that comes, the next who waits there begins another.
struct Attendant {
    streams: Weak<Streams>,
    runtime: Id,
    number: u64,
}

impl Attendant {
    async fn run(self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let Some(streams) = self.streams.upgrade() else { return };
            streams.look_at(|seat| seat.is_awaited_in(self.runtime)).await;
            let mut registry = streams.registry();
            registry.clear();
            let mut seats = registry.seats.iter().filter_map(Weak::upgrade);
            if !seats.any(|seat| seat.is_awaited_in(self.runtime)) {
                // Under the lock, so that nobody is added in between and left alone.
                registry.attendants.remove(&self.runtime);
                return;
            }
        }
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        let Some(streams) = self.streams.upgrade() else { return };
        let mut registry = streams.registry();
        if registry.attendants.get(&self.runtime) == Some(&self.number) {
            registry.attendants.remove(&self.runtime);
            // Another runtime may come to have its name.
            registry.seats.iter().filter_map(Weak::upgrade).for_each(|seat| seat.leave(self.runtime));
        }
    }
}
