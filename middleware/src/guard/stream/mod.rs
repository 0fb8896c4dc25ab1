//! The permission of a request that outlives its answer: streams, and connections that were upgraded.

mod body;
mod decider;
mod registry;
mod renewal;

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub(crate) use body::Stay;
pub use decider::Decider;
use http::{Extensions, Method};
pub(crate) use registry::Streams;
pub use renewal::RenewError;
use tokio::runtime::Id;
use tokio::sync::Notify;

use super::{Guard, Terms};
use crate::decision::Place;
use crate::ended::Ended;
use crate::introspection::Inquiry;
#[cfg(feature = "login")]
use crate::login::Visit;
use crate::records::Share;
use crate::token::{Principal, Scheme};
#[cfg(not(feature = "login"))]
use crate::unlogged::Visit;

/// The permission of a request, for as long as something goes on under it: a WebSocket, or a stream.
///
/// It lasts as long as a new request with the same token would be let through: until the token expires or is revoked, its key
/// is withdrawn, the policy no longer allows what the route requires, or the guard cannot know any more. The guard looks every
/// half second, by a task of the runtime in which somebody waits for that.
///
/// Bodies of answers whose length is not known before are watched without it: server-sent events end, a gRPC call ends with a
/// status, and every other body breaks off, so that nobody takes what came of it for the whole. What a connection carries after it was
/// upgraded the guard does not see. So a handler that upgrades takes the permit and ends what it does when the
/// permit does; one that did not take it is answered 500 instead, and the log says why.
///
/// ```
/// use futures_util::StreamExt;
/// use portcullis_guard::{Ended, Permit};
///
/// /// Hands on what comes, until the permission ends.
/// async fn serve(mut messages: impl futures_util::Stream<Item = String> + Unpin, permit: Permit) -> Option<Ended> {
///     loop {
///         tokio::select! {
///             ended = permit.ended() => return Some(ended),
///             message = messages.next() => println!("{}", message?),
///         }
///     }
/// }
/// ```
///
/// As an argument of a handler of axum it is there on every guarded route. Services that are not of axum take it by [`of`](Self::of).
#[derive(Clone)]
pub struct Permit(Option<Arc<Seat>>);

impl Permit {
    /// The permission of a request, by its extensions. Where nobody was asked for a token, it does not end.
    pub fn of(extensions: &Extensions) -> Self {
        let permit = Self::issued(extensions);
        // From now on somebody goes by it.
        if let Some(seat) = &permit.0 {
            seat.take();
        }
        permit
    }

    /// Waits until it ends.
    pub async fn ended(&self) -> Ended {
        let Some(seat) = &self.0 else { return std::future::pending().await };
        let watch = seat.watch();
        seat.attend();
        loop {
            let gone = watch.gone.notified();
            if let Some(ended) = watch.ended.get() {
                return *ended;
            }
            gone.await;
        }
    }

    /// Whether it lasts, looked at now: before something that must not happen half a second too late.
    pub fn check(&self) -> Result<(), Ended> {
        self.0.as_ref().map_or(Ok(()), Seat::look)
    }

    /// The caller, by the token that counts now.
    pub fn principal(&self) -> Option<Principal> {
        self.0.as_ref().map(|seat| seat.held().caller.clone())
    }

    /// Goes on under a newer token of the same caller, which the client sends in a message of its own. It has to be bound as the one
    /// before; the proof of that was given when the connection was opened.
    ///
    /// It counts as a request of the caller to the same route, from the address of the request that it began with: by every limit,
    /// whether the token is good or not, and a [guess](crate::Limits::guess_cost) costs as much as in a request. Whoever is over a limit
    /// is told when to [try again](RenewError::Limited) before the token is looked at, and the permission goes on as before.
    ///
    /// A permission that has ended stays so.
    pub async fn renew(&self, token: &str) -> Result<(), RenewError> {
        let seat = self.0.as_ref().ok_or(RenewError::Anonymous)?;
        seat.look().map_err(RenewError::Ended)?;
        // At every guard that let the request through, or at none.
        let mut renewed = Vec::with_capacity(1);
        let mut next = Some(seat);
        while let Some(seat) = next {
            renewed.push((seat, seat.renewed(token).await?));
            next = seat.outer.as_ref();
        }
        for (seat, held) in renewed {
            *seat.held() = held;
        }
        // It may have ended while keys were waited for.
        seat.look().map_err(RenewError::Ended)
    }

    /// That of a request, without going by it.
    pub(crate) fn issued(extensions: &Extensions) -> Self {
        Self(extensions.get::<Issued>().map(|issued| Arc::clone(&issued.seat)))
    }

    pub(crate) fn into_seat(self) -> Option<Arc<Seat>> {
        self.0
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Permit").field("principal", &self.principal()).finish_non_exhaustive()
    }
}

/// The extension that a guard leaves for [`Permit::of`] and [`Decider::of`].
#[derive(Clone)]
pub(crate) struct Issued {
    seat: Arc<Seat>,
    /// Whether the route at hand let nobody in, so that the seat is that at a guard around: what goes on still ends with it, and
    /// nothing is decided by it.
    is_of_outer: bool,
}

impl Issued {
    /// For a request by a method from an address, if that is known, whose own permission at a guard around this one is `outer`.
    pub(crate) fn new(
        (guard, terms): (&Guard, &Arc<Terms>),
        held: Held,
        (method, address): (&Method, Option<IpAddr>),
        outer: Option<Arc<Seat>>,
    ) -> Self {
        let (guard, terms, method) = (guard.clone(), Arc::clone(terms), method.clone());
        let (held, is_taken, watch) = (Mutex::new(held), AtomicBool::default(), OnceLock::new());
        let seat = Arc::new(Seat { guard, terms, held, method, address, outer, is_taken, watch });
        Self { seat, is_of_outer: false }
    }

    /// Notes that a request goes on to a route that lets nobody in.
    pub(crate) fn pass_nobody(extensions: &mut Extensions) {
        if let Some(issued) = extensions.get_mut::<Self>() {
            issued.is_of_outer = true;
        }
    }

    /// The place at the guard of the route at hand.
    fn own_seat(extensions: &Extensions) -> Option<Arc<Seat>> {
        extensions.get::<Self>().filter(|issued| !issued.is_of_outer).map(|issued| Arc::clone(&issued.seat))
    }
}

/// By what a request was let through.
pub(crate) struct Held {
    pub(crate) caller: Principal,
    pub(crate) token: Arc<str>,
    /// What is asked about it, where the issuer decides.
    pub(crate) inquiry: Inquiry,
    /// The session that it is of, if it is of one.
    pub(crate) visit: Option<Arc<Visit>>,
    /// How much of what the handler asks is recorded.
    pub(crate) share: Share,
}

impl Held {
    /// The scheme by which the token came.
    pub(crate) fn scheme(&self) -> Scheme {
        if self.caller.has_proven_key() { Scheme::Dpop } else { Scheme::Bearer }
    }

    /// Takes over what is said of the caller anew. Who it is, and by which key, was shown when it began.
    pub(crate) fn take_over(&mut self, again: Principal) -> Result<(), Ended> {
        let Self { caller, .. } = self;
        let is_same = (again.subject(), again.confirmation()) == (caller.subject(), caller.confirmation());
        if !is_same {
            return Err(Ended::Revoked);
        }
        self.caller = again;
        Ok(())
    }
}

/// The place of one request at its guard.
pub(crate) struct Seat {
    guard: Guard,
    terms: Arc<Terms>,
    held: Mutex<Held>,
    method: Method,
    /// Where the request came from, if that is known.
    address: Option<IpAddr>,
    /// That at a guard around this one.
    outer: Option<Arc<Self>>,
    /// Whether a handler has taken it. That the guard watches a body by it says nothing of what comes after an upgrade.
    is_taken: AtomicBool,
    /// Once somebody goes by it.
    watch: OnceLock<Watch>,
}

/// Whether a permission has ended.
#[derive(Default)]
struct Watch {
    ended: OnceLock<Ended>,
    gone: Arc<Notify>,
    /// The runtimes in which somebody waits for that: most often one.
    awaited_in: Mutex<Vec<Id>>,
}

impl Seat {
    /// Notes that a handler ends by it what it began, here and at the guards around.
    fn take(self: &Arc<Self>) {
        self.watch();
        let mut seat = Some(self);
        while let Some(own) = seat {
            own.is_taken.store(true, Ordering::Release);
            seat = own.outer.as_ref();
        }
    }

    fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Acquire)
    }

    /// Has the guard look at it from now on.
    fn watch(self: &Arc<Self>) -> &Watch {
        if let Some(watch) = self.watch.get() {
            return watch;
        }
        if let Some(outer) = &self.outer {
            outer.watch();
        }
        let mut is_new = false;
        let watch = self.watch.get_or_init(|| {
            is_new = true;
            Watch::default()
        });
        if is_new {
            self.guard.streams().add(self);
            self.attend();
        }
        watch
    }

    /// Has it looked at by the runtime that waits for its end now.
    fn attend(self: &Arc<Self>) {
        self.guard.streams().attend(self);
    }

    fn awaited_in(&self) -> Option<MutexGuard<'_, Vec<Id>>> {
        self.watch.get().map(|watch| watch.awaited_in.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_awaited_in(&self, runtime: Id) -> bool {
        self.awaited_in().is_some_and(|runtimes| runtimes.contains(&runtime))
    }

    fn await_in(&self, runtime: Id) {
        if let Some(mut runtimes) = self.awaited_in().filter(|runtimes| !runtimes.contains(&runtime)) {
            runtimes.push(runtime);
        }
    }

    fn leave(&self, runtime: Id) {
        if let Some(mut runtimes) = self.awaited_in() {
            runtimes.retain(|own| *own != runtime);
        }
    }

    fn ended(&self) -> Option<Ended> {
        self.watch.get()?.ended.get().copied()
    }

    /// Judges it now, and notes that it has ended if it has.
    fn look(self: &Arc<Self>) -> Result<(), Ended> {
        let watch = self.watch();
        if let Some(ended) = watch.ended.get() {
            return Err(*ended);
        }
        let outcome = self.judge();
        if let Err(ended) = outcome
            && watch.ended.set(ended).is_ok()
        {
            self.log(ended);
            watch.gone.notify_waiters();
        }
        // Another thread may have come to another end a moment before.
        watch.ended.get().map_or(Ok(()), |ended| Err(*ended))
    }

    fn judge(&self) -> Result<(), Ended> {
        if let Some(outer) = &self.outer {
            outer.look()?;
        }
        self.guard.stays(&self.terms.requirement, &mut self.held())
    }

    /// What is asked for under it.
    fn place(&self) -> Place {
        Place { route: self.terms.route.clone(), method: self.method.clone() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, ended: Ended) {
        let subject = self.held().caller.subject().to_owned();
        let needed = self.terms.requirement.needed();
        tracing::info!(cause = %ended, needed = &*needed, subject, "a stream was ended");
    }
}
