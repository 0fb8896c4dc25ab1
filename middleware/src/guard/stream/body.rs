//! Bodies that last as long as the permission does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Response, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::runtime::{Handle, Id};
use tokio::sync::futures::OwnedNotified;
use tower::BoxError;

use super::{Permit, Seat};
use crate::body::Body;
use crate::ended::Ended;
use crate::media_type::{EVENT_STREAM, is_of_type};
use crate::refusal::{Dialect, Refusal, stream_trailers};

/// How a body ends before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    /// It breaks off, so that nobody takes what came for the whole.
    Break,
    /// As if it were over: the client asks again, and is told why not.
    Events,
    /// With a status in the trailers.
    Grpc,
}

impl Manner {
    fn of(headers: &HeaderMap) -> Self {
        match Dialect::of(headers) {
            Dialect::Grpc => Self::Grpc,
            _ if is_of_type(headers.get(header::CONTENT_TYPE), EVENT_STREAM) => Self::Events,
            Dialect::GrpcWeb | Dialect::Http => Self::Break,
        }
    }
}

/// What goes on under the permission of a request when its handler has answered.
#[derive(Default)]
pub(crate) struct Stay {
    seat: Option<Arc<Seat>>,
    /// Whether the answer may begin a tunnel (RFC 9110 §9.3.6, RFC 8441 §4).
    is_connect: bool,
}

impl Stay {
    pub(crate) fn of(method: &Method, extensions: &Extensions) -> Self {
        Self { seat: Permit::issued(extensions).into_seat(), is_connect: method == Method::CONNECT }
    }

    /// A body of the request that ends with the permission, also one that says how long it is: whoever sends it takes their time.
    pub(crate) fn bound(&self, body: Body) -> Body {
        match &self.seat {
            Some(seat) if !body.is_end_stream() => bounded(body, Arc::clone(seat), Manner::Break),
            _ => body,
        }
    }

    /// Whether a new request would still be let through, after the body of this one was waited for.
    pub(crate) async fn lasts(&self) -> Result<(), Refusal> {
        let Some(seat) = &self.seat else { return Ok(()) };
        seat.lasts().await
    }

    /// An answer that ends with the permission: its body if nobody knows how long that is. Where the connection is upgraded, it is
    /// for the handler to end it.
    pub(crate) fn keep(self, response: Response<Body>) -> Response<Body> {
        let Some(seat) = self.seat else { return response };
        let is_tunnel = self.is_connect && response.status().is_success();
        if is_tunnel || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let hint = seat.guard.hint(&seat.terms.requirement);
            return if seat.is_taken() {
                response
            } else {
                Refusal::Unwatched.answered(seat.guard.tally(), Dialect::Http, &hint, Some(seat.place()))
            };
        }
        if is_known(response.body()) {
            return response;
        }
        let manner = Manner::of(response.headers());
        response.map(|body| bounded(body, seat, manner))
    }
}

/// Whether it is known where a body ends.
fn is_known(body: &Body) -> bool {
    body.is_end_stream() || body.size_hint().exact().is_some()
}

fn bounded(body: Body, seat: Arc<Seat>, manner: Manner) -> Body {
    let gone = Box::pin(Arc::clone(&seat.watch().gone).notified_owned());
    Body::new(Watched { body, seat, gone, awaited_in: None, manner, is_over: false })
}

struct Watched {
    body: Body,
    seat: Arc<Seat>,
    gone: Pin<Box<OwnedNotified>>,
    /// The runtime that waited for it last.
    awaited_in: Option<Id>,
    manner: Manner,
    is_over: bool,
}

impl Watched {
    /// Has the runtime at hand look at the permission: that in which the body was made may have ended by now.
    fn attend(&mut self) {
        let here = Handle::try_current().ok().map(|handle| handle.id());
        if here != self.awaited_in {
            self.awaited_in = here;
            self.seat.attend();
        }
    }

    fn end(&mut self, ended: Ended) -> Option<Result<Frame<Bytes>, BoxError>> {
        self.is_over = true;
        // What is still to come is not asked for any more.
        self.body = Body::empty();
        match self.manner {
            Manner::Break => Some(Err(ended.into())),
            Manner::Events => None,
            Manner::Grpc => Some(Ok(Frame::trailers(stream_trailers(ended)))),
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(ended) = self.seat.ended() {
            return Poll::Ready(self.end(ended));
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        self.attend();
        ready!(self.gone.as_mut().poll(context));
        // It is told only after it was noted.
        let ended = self.seat.ended().unwrap_or(Ended::Unavailable);
        Poll::Ready(self.end(ended))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // It may end sooner than it was to.
        SizeHint::default()
    }
}
