//! Bodies that are watched: of a request for how long it gets, of an answer for when it is over.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::BoxError;

use crate::body::Body;

/// Why a body breaks off.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum BrokenOff {
    #[error("the answer took too long")]
    Late,
    #[error("the body is too long")]
    Over,
}

/// How the body of a request arrives.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// Whether it was longer than it may be.
    pub(super) is_over: AtomicBool,
    /// Whether somebody waits for more of it.
    pub(super) is_awaited: AtomicBool,
}

/// The body of a request.
pub(super) struct Measured {
    body: Body,
    left: u64,
    arrival: Arc<Arrival>,
}

impl Measured {
    pub(super) const fn new(body: Body, most: u64, arrival: Arc<Arrival>) -> Self {
        Self { body, left: most, arrival }
    }
}

impl HttpBody for Measured {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.arrival.is_awaited.store(polled.is_pending(), Ordering::Relaxed);
        let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
        let length = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
        let Some(left) = self.left.checked_sub(length) else {
            self.arrival.is_over.store(true, Ordering::Relaxed);
            self.left = 0;
            return Poll::Ready(Some(Err(BrokenOff::Over.into())));
        };
        self.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The longest answer that takes no place any more once it is there.
const SHORT: u64 = 16 * 1024;

/// The body of an answer.
pub(super) struct Held {
    body: Body,
    /// Given back with the body, or as soon as it is over.
    place: Option<Place>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Held {
    /// A body that holds a place while it is sent, and breaks off when its time is up. Nothing is at work for one that is short and
    /// whole, a refusal above all: a client that does not read it would hold the place for nothing.
    pub(super) fn hold(body: Body, place: Option<OwnedSemaphorePermit>, by: Option<Instant>) -> Body {
        let is_short = body.size_hint().exact().is_some_and(|length| length <= SHORT);
        let place = place.filter(|_| !is_short);
        if body.is_end_stream() || (place.is_none() && by.is_none()) {
            return body;
        }
        let place = place.map(|place| Place::new(place, by));
        Body::new(Self { body, place, timer: by.map(|by| Box::pin(sleep_until(by))) })
    }
}

/// A place that is given back when it is dropped, and in time: a server asks a body for nothing while its client reads nothing.
struct Place {
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    timer: Option<AbortHandle>,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, by: Option<Instant>) -> Self {
        let permit = Arc::new(Mutex::new(Some(permit)));
        let timer = by.map(|by| {
            let permit = Arc::clone(&permit);
            let wait = async move {
                sleep_until(by).await;
                give_back(&permit);
            };
            tokio::spawn(wait).abort_handle()
        });
        Self { permit, timer }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        give_back(&self.permit);
        if let Some(timer) = &self.timer {
            timer.abort();
        }
    }
}

fn give_back(permit: &Mutex<Option<OwnedSemaphorePermit>>) {
    permit.lock().unwrap_or_else(PoisonError::into_inner).take();
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let is_late = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready());
        if is_late {
            tracing::debug!("an answer that took too long breaks off");
            (self.place, self.timer, self.body) = (None, None, Body::empty());
            return Poll::Ready(Some(Err(BrokenOff::Late.into())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.place = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
