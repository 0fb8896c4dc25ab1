//! What surrounds a guard: it sees every request first and every answer last, refusals among them.

mod headers;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

pub use self::headers::{
    CspNonce, EmbedderPolicy, HeadersError, OpenerPolicy, ReferrerPolicy, ResourcePolicy, RouteHeaders,
    SecurityHeaders,
};
pub(crate) use self::headers::{Dress, HeaderRules};
use crate::body::HttpBody;
use crate::client_address::Proxies;
use crate::entropy::Entropy;

/// The outermost layer of a guarded service: made by [`Guard::edge`](crate::Guard::edge).
///
/// A [`GuardedRouter`](crate::GuardedRouter) and a [`RouteTable`](crate::RouteTable) bring it along. Whoever wraps routes by
/// [`Guard::require`](crate::Guard::require) puts it around them all; so does whoever merges a guarded router into another one
/// and wants the answers for unknown paths to be covered. Where there are two, the outer one counts.
#[derive(Clone)]
pub struct Edge(Arc<EdgeRules>);

/// What an edge does.
pub(crate) struct EdgeRules {
    /// What tells the guard of this edge from every other.
    pub(crate) guard: u64,
    pub(crate) entropy: Entropy,
    pub(crate) headers: Option<Arc<HeaderRules>>,
    pub(crate) proxies: Proxies,
}

/// A request that is inside the edge of a guard already.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Inside(u64);

/// Says of a response that its route has headers of its own, and that they are written.
#[derive(Clone, Copy)]
pub(crate) struct Dressed;

impl Edge {
    pub(crate) const fn new(rules: Arc<EdgeRules>) -> Self {
        Self(rules)
    }

    /// Whether nothing was asked of it.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// What is to be done with the answer, if anything.
    fn enter(&self, request: &mut Request<Body>) -> Option<Leaving> {
        let rules = &self.0;
        let inside = Inside(rules.guard);
        if rules.is_idle() || request.extensions().get() == Some(&inside) {
            return None;
        }
        let extensions = request.extensions_mut();
        extensions.insert(inside);
        let dress = rules.headers.as_ref().map(|headers| Dress::begin(headers, extensions, &rules.entropy));
        Some(Leaving { dress })
    }
}

impl EdgeRules {
    fn is_idle(&self) -> bool {
        self.headers.is_none()
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
        Edged { edge: self.clone(), inner }
    }
}

/// A service inside an [`Edge`].
#[derive(Clone, Debug)]
pub struct Edged<S> {
    edge: Edge,
    inner: S,
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
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        let leaving = self.edge.enter(&mut request);
        EdgeFuture { answer: self.inner.call(request), leaving }
    }
}

/// What is done with an answer on its way out.
struct Leaving {
    dress: Option<Dress>,
}

impl Leaving {
    fn finish(&self, response: &mut Response<Body>) {
        let is_dressed = response.extensions_mut().remove::<Dressed>().is_some();
        if let Some(dress) = self.dress.as_ref().filter(|_| !is_dressed) {
            dress.write(response.headers_mut());
        }
    }
}

pin_project! {
    /// The answer of an [`Edged`] service.
    pub struct EdgeFuture<F> {
        #[pin]
        answer: F,
        leaving: Option<Leaving>,
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
        let mut response = ready!(this.answer.poll(context))?.map(Body::new);
        if let Some(leaving) = this.leaving {
            leaving.finish(&mut response);
        }
        Poll::Ready(Ok(response))
    }
}
