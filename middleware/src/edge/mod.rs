//! What surrounds a guard: it sees every request first and every answer last, refusals among them.

mod caps;
mod cors;
mod headers;
mod inner;
mod measured;
mod request_id;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tower_http::cors::{self as tower_cors, CorsLayer};
use tracing::{Span, info_span};

pub(crate) use self::caps::CapRules;
pub use self::caps::{Caps, EmptyCap};
use self::cors::is_preflight;
pub use self::cors::{Cors, CorsError};
pub use self::headers::{
    CspNonce, EmbedderPolicy, HeadersError, OpenerPolicy, ReferrerPolicy, ResourcePolicy, RouteHeaders,
    SecurityHeaders,
};
pub(crate) use self::headers::{Dress, HeaderRules};
use self::inner::{Inner, InnerFuture};
use self::request_id::REQUEST_ID;
pub use self::request_id::RequestId;
pub(crate) use self::request_id::RequestIds;
use crate::body::{Body, HttpBody};
use crate::client_address::Proxies;
use crate::entropy::Entropy;
use crate::refusal::Tally;

/// The outermost layer of a guarded service: made by [`Guard::edge`](crate::Guard::edge).
///
/// A [`GuardedRouter`](crate::GuardedRouter) and a [`RouteTable`](crate::RouteTable) bring it along. Whoever wraps routes by
/// [`Guard::require`](crate::Guard::require) puts it around them all; so does whoever merges a guarded router into another one
/// and wants the answers for unknown paths to be covered. Where there are two, the outer one counts.
#[derive(Clone)]
pub struct Edge {
    rules: Arc<EdgeRules>,
    speaks_grpc: bool,
}

/// What an edge does.
pub(crate) struct EdgeRules {
    pub(crate) caps: Option<CapRules>,
    pub(crate) cors: Option<CorsLayer>,
    /// What tells the guard of this edge from every other.
    pub(crate) guard: u64,
    pub(crate) entropy: Entropy,
    pub(crate) headers: Option<Arc<HeaderRules>>,
    pub(crate) ids: Option<RequestIds>,
    pub(crate) proxies: Proxies,
    pub(crate) tally: Tally,
}

/// A request that is inside the edge of a guard already.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Inside(u64);

/// Says of a response that its route has headers of its own, and that they are written.
#[derive(Clone, Copy)]
pub(crate) struct Dressed;

/// Says of a response that it is a stream, which is open as long as somebody listens.
#[derive(Clone, Copy)]
pub(crate) struct Streams;

impl Edge {
    pub(crate) const fn new(rules: Arc<EdgeRules>) -> Self {
        Self { rules, speaks_grpc: false }
    }

    /// Refuses calls that say that they are gRPC by a status of gRPC, under 200 of HTTP: for services that speak it. A
    /// [`RouteTable`](crate::RouteTable) that does says so by itself.
    #[must_use]
    pub fn grpc(self) -> Self {
        Self { speaks_grpc: true, ..self }
    }

    /// Whether nothing was asked of it.
    #[cfg(feature = "axum")]
    pub(crate) fn is_idle(&self) -> bool {
        self.rules.is_idle()
    }

    /// What is to be done with the answer, if anything.
    fn enter(&self, request: &mut Request<Body>) -> Option<Leaving> {
        let rules = &self.rules;
        let inside = Inside(rules.guard);
        if rules.is_idle() || request.extensions().get() == Some(&inside) {
            return None;
        }
        let id = rules.ids.as_ref().and_then(|ids| ids.name(request, &rules.proxies));
        let span = id.as_ref().map_or_else(Span::none, |id| info_span!("request", request.id = %id));
        let extensions = request.extensions_mut();
        extensions.insert(inside);
        let dress = rules.headers.as_ref().map(|headers| Dress::begin(headers, extensions, &rules.entropy));
        Some(Leaving { id, span, dress, is_shared: rules.cors.is_some() })
    }
}

impl EdgeRules {
    const fn is_idle(&self) -> bool {
        self.caps.is_none() && self.cors.is_none() && self.headers.is_none() && self.ids.is_none()
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Edge").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Edge {
    type Service = Edged<S>;

    fn layer(&self, inner: S) -> Edged<S> {
        let inner = Inner::new(Arc::clone(&self.rules), self.speaks_grpc, inner);
        let front = match &self.rules.cors {
            Some(cors) => Front::Cors(Box::new(cors.layer(inner))),
            None => Front::Plain(inner),
        };
        Edged { edge: self.clone(), front }
    }
}

/// A service inside an [`Edge`].
#[derive(Clone, Debug)]
pub struct Edged<S> {
    edge: Edge,
    front: Front<S>,
}

#[derive(Clone, Debug)]
enum Front<S> {
    Cors(Box<tower_cors::Cors<Inner<S>>>),
    Plain(Inner<S>),
}

impl<S, B, R> Service<Request<B>> for Edged<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    B: HttpBody,
    R: HttpBody,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = EdgeFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match &mut self.front {
            Front::Cors(front) => front.poll_ready(context),
            Front::Plain(front) => front.poll_ready(context),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        let leaving = self.edge.enter(&mut request);
        let entered = leaving.as_ref().map(|leaving| leaving.span.enter());
        let answer = match &mut self.front {
            // A second edge is none.
            Front::Cors(front) if leaving.is_none() => {
                Answer::Plain { answer: front.get_mut().pass(request) }
            }
            Front::Plain(front) if leaving.is_none() => Answer::Plain { answer: front.pass(request) },
            // The layer takes every `OPTIONS` for a preflight.
            Front::Cors(front) if request.method() == Method::OPTIONS && !is_preflight(&request) => {
                Answer::Plain { answer: front.get_mut().call(request) }
            }
            Front::Cors(front) => Answer::Cors { answer: front.call(request) },
            Front::Plain(front) => Answer::Plain { answer: front.call(request) },
        };
        drop(entered);
        EdgeFuture { answer, leaving }
    }
}

/// What is done with an answer on its way out.
struct Leaving {
    id: Option<RequestId>,
    /// What is logged about the request is logged in it.
    span: Span,
    dress: Option<Dress>,
    /// Whether scripts of other origins may read something.
    is_shared: bool,
}

impl Leaving {
    fn finish(&self, response: &mut Response<Body>) {
        let is_dressed = response.extensions_mut().remove::<Dressed>().is_some();
        if let Some(dress) = self.dress.as_ref().filter(|_| !is_dressed) {
            dress.write(response.headers_mut());
        }
        if self.is_shared {
            cors::settle(response.headers_mut());
        }
        if let Some(id) = &self.id {
            response.headers_mut().insert(REQUEST_ID, id.header().clone());
        }
    }
}

pin_project! {
    /// The answer of an [`Edged`] service.
    pub struct EdgeFuture<F> {
        #[pin]
        answer: Answer<F>,
        leaving: Option<Leaving>,
    }
}

pin_project! {
    #[project = Projected]
    enum Answer<F> {
        Cors { #[pin] answer: tower_cors::ResponseFuture<InnerFuture<F>> },
        Plain { #[pin] answer: InnerFuture<F> },
    }
}

impl<F, R, E> Future for EdgeFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: HttpBody,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let leaving: &Option<Leaving> = this.leaving;
        let _entered = leaving.as_ref().map(|leaving| leaving.span.enter());
        let outcome = match this.answer.project() {
            Projected::Cors { answer } => ready!(answer.poll(context)),
            Projected::Plain { answer } => ready!(answer.poll(context)),
        };
        let mut response = outcome?;
        if let Some(leaving) = leaving {
            leaving.finish(&mut response);
        }
        Poll::Ready(Ok(response))
    }
}
