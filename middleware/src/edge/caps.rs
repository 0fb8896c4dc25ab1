//! How much of the service one request may take, and how many may be at work.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Request, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::measured::{Arrival, Measured};
use crate::body::Body;
use crate::refusal::Refusal;

/// Bounds on every request, in front of the guard: given to [`GuardBuilder::caps`](crate::GuardBuilder::caps). None, unless set.
///
/// What goes beyond is answered as the guard answers: a problem document, or a status of gRPC where that is spoken.
///
/// | bound | answer |
/// |---|---|
/// | [`body`](Self::body) | 413 `body_too_large` |
/// | [`head_within`](Self::head_within), and the body had not arrived | 408 `request_timeout` |
/// | [`head_within`](Self::head_within), and the service was at work | 504 `timeout` |
/// | [`whole_within`](Self::whole_within) | 408 or 504 before the answer began; later, it breaks off |
/// | [`in_flight`](Self::in_flight) | 503 `busy` with `Retry-After` |
///
/// A place among the requests in flight is held until the last byte of the answer is sent, until the client goes away, or until
/// the time of [`whole_within`](Self::whole_within) is up, whichever is first; an answer of up to 16 KiB that is there as a whole
/// holds none. So a stream of events holds one as long as it is open, unless its route [says](crate::GuardedRoute::streams)
/// that it is one; a connection that was upgraded, as for a WebSocket, holds none. A client that reads nothing holds one as long as
/// it likes unless `whole_within` is set.
///
/// ```
/// use std::time::Duration;
/// use portcullis_guard::Caps;
///
/// let caps = Caps::new()
///     .body(8 << 20)
///     .head_within(Duration::from_secs(10))
///     .whole_within(Duration::from_mins(1))
///     .in_flight(512)
///     .spare("/health");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "they bound nothing before they are given to a builder"]
pub struct Caps {
    body: Option<u64>,
    head_within: Option<Duration>,
    whole_within: Option<Duration>,
    in_flight: Option<usize>,
    spared: Vec<String>,
}

/// A bound that lets nothing through.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a bound of zero on {0} lets nothing through")]
pub struct EmptyCap(&'static str);

impl Caps {
    /// No bounds.
    pub const fn new() -> Self {
        Self { body: None, head_within: None, whole_within: None, in_flight: None, spared: Vec::new() }
    }

    /// The longest body of a request in bytes, whatever its type and whoever sends it, streams of gRPC messages no less.
    ///
    /// The [input policy](crate::InputPolicy::max_body) has a bound of its own, on guarded routes and after the caller is known;
    /// the lower one holds.
    pub const fn body(mut self, bytes: u64) -> Self {
        self.body = Some(bytes);
        self
    }

    /// How long it may take until the answer begins, the body of the request included.
    pub const fn head_within(mut self, time: Duration) -> Self {
        self.head_within = Some(time);
        self
    }

    /// How long it may take until the answer is over. An answer that has begun breaks off: the client sees that it is not whole.
    pub const fn whole_within(mut self, time: Duration) -> Self {
        self.whole_within = Some(time);
        self
    }

    /// How many requests may be at work at once. There is no queue: whoever comes when all places are taken is told to come again.
    pub const fn in_flight(mut self, requests: usize) -> Self {
        self.in_flight = Some(requests);
        self
    }

    /// Takes no place for requests to this path, compared as it is sent. Whoever asks whether a service lives is not to hear that it
    /// has much to do.
    pub fn spare(mut self, path: impl Into<String>) -> Self {
        self.spared.push(path.into());
        self
    }

    pub(crate) fn build(self) -> Result<CapRules, EmptyCap> {
        let Self { body, head_within, whole_within, in_flight, spared } = self;
        for (is_empty, what) in [
            (body == Some(0), "bodies"),
            (head_within == Some(Duration::ZERO), "the time to the head of an answer"),
            (whole_within == Some(Duration::ZERO), "the time of a request"),
            (in_flight == Some(0), "requests in flight"),
        ] {
            if is_empty {
                return Err(EmptyCap(what));
            }
        }
        let places = in_flight.map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        Ok(CapRules { body, head_within, whole_within, places, spared })
    }
}

/// Bounds at work.
pub(crate) struct CapRules {
    body: Option<u64>,
    head_within: Option<Duration>,
    whole_within: Option<Duration>,
    places: Option<Arc<Semaphore>>,
    spared: Vec<String>,
}

/// A request that was let in.
pub(super) struct Admitted {
    pub(super) place: Option<OwnedSemaphorePermit>,
    pub(super) arrival: Option<Arc<Arrival>>,
    /// When the answer has to have begun.
    pub(super) head_by: Option<Instant>,
    /// When it has to be over.
    pub(super) whole_by: Option<Instant>,
}

impl CapRules {
    /// Lets a request in, and bounds its body.
    pub(super) fn admit(&self, request: &mut Request<Body>) -> Result<Admitted, Refusal> {
        if self.body.is_some_and(|most| declared(request) > most) {
            return Err(Refusal::TooLong);
        }
        let place = self.place(request.uri().path())?;
        let now = Instant::now();
        let by = |time: Option<Duration>| time.and_then(|time| now.checked_add(time));
        let (head_by, whole_by) = (by(self.head_within), by(self.whole_within));
        let head_by = [head_by, whole_by].into_iter().flatten().min();
        let is_measured = (self.body.is_some() || head_by.is_some()) && !is_empty(request);
        let arrival = is_measured.then(Arc::<Arrival>::default);
        if let Some(arrival) = &arrival {
            let body = std::mem::take(request.body_mut());
            let most = self.body.unwrap_or(u64::MAX);
            *request.body_mut() = Body::new(Measured::new(body, most, Arc::clone(arrival)));
        }
        Ok(Admitted { place, arrival, head_by, whole_by })
    }

    fn place(&self, path: &str) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let places = self.places.as_ref().filter(|_| !self.spared.iter().any(|spared| spared == path));
        let place = places.map(|places| Arc::clone(places).try_acquire_owned());
        place.transpose().map_err(|_| Refusal::Busy)
    }
}

impl Admitted {
    pub(super) fn is_over(&self) -> bool {
        self.arrival.as_ref().is_some_and(|arrival| arrival.is_over.load(Ordering::Relaxed))
    }

    /// Whose time is up.
    pub(super) fn late(&self) -> Refusal {
        let is_awaited = |arrival: &Arc<Arrival>| arrival.is_awaited.load(Ordering::Relaxed);
        if self.arrival.as_ref().is_some_and(is_awaited) { Refusal::SlowBody } else { Refusal::SlowAnswer }
    }
}

fn is_empty(request: &Request<Body>) -> bool {
    http_body::Body::is_end_stream(request.body())
}

/// How long the body says that it is, at least. A server that reads the wire has made sure that it is no longer.
fn declared(request: &Request<Body>) -> u64 {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|text| text.parse().ok()).unwrap_or_default();
    http_body::Body::size_hint(request.body()).lower().max(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_lets_nothing_through_is_an_error() {
        for caps in [
            Caps::new().body(0),
            Caps::new().head_within(Duration::ZERO),
            Caps::new().whole_within(Duration::ZERO),
            Caps::new().in_flight(0),
        ] {
            assert!(caps.build().is_err());
        }
        let most =
            Caps::new().body(u64::MAX).head_within(Duration::MAX).in_flight(usize::MAX).build().unwrap();
        let admitted = most.admit(&mut Request::new(Body::from("x"))).ok().unwrap();
        assert!(admitted.head_by.is_none() && admitted.place.is_some());
    }
}
