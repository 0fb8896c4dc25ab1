//! The answer of a guarded service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Method, Response};
use pin_project_lite::pin_project;

use super::GuardLayer;
use crate::body::{Body, HttpBody};
use crate::decision::Place;
use crate::edge::{Dress, Dressed, Streams};
use crate::guard::{Stay, Told};
use crate::limit::Standing;
#[cfg(feature = "login")]
use crate::login::Way;
use crate::panicked::{Panicked, poll_caught};
use crate::refusal::{Dialect, Refusal};
#[cfg(not(feature = "login"))]
use crate::unlogged::Way;

/// What an answer is given on its way out.
pub(super) struct Parting {
    pub(super) standing: Standing,
    pub(super) told: Told,
    /// Headers of the route.
    pub(super) dress: Option<Dress>,
    pub(super) streams: bool,
    /// To sign in, for who opens a page.
    pub(super) way: Option<Box<Way>>,
}

impl Parting {
    pub(super) fn write(&self, mut response: Response<Body>) -> Response<Body> {
        self.standing.write(response.headers_mut());
        self.told.write(response.headers_mut());
        if let Some(dress) = &self.dress {
            dress.write(response.headers_mut());
            response.extensions_mut().insert(Dressed);
        }
        if self.streams {
            response.extensions_mut().insert(Streams);
        }
        response
    }
}

/// What is asked of a handler, in case it panics.
pub(super) struct Errand {
    pub(super) layer: GuardLayer,
    pub(super) method: Method,
    /// The route, where the guard was not told which one it is at.
    pub(super) found: FoundRoute,
    pub(super) dialect: Dialect,
}

impl Errand {
    /// The answer in place of one that a handler that panicked did not give. Nobody is asked for anything.
    pub(super) fn failed(&self, panicked: Panicked, parting: &Parting) -> Response<Body> {
        let route = self.layer.post.terms.route.clone().or_else(|| self.found.template());
        let place = Place { route, method: self.method.clone() };
        self.layer.refused(Refusal::Panicked(panicked), self.dialect, parting, place)
    }
}

/// The route that a router of axum has found.
#[derive(Clone, Default)]
pub(super) struct FoundRoute(#[cfg(feature = "axum")] Option<axum::extract::MatchedPath>);

#[cfg(feature = "axum")]
impl FoundRoute {
    pub(super) fn of(extensions: &Extensions) -> Self {
        Self(extensions.get().cloned())
    }

    /// The template of its path.
    pub(super) fn template(&self) -> Option<Arc<str>> {
        self.0.as_ref().map(|path| Arc::from(path.as_str()))
    }
}

#[cfg(not(feature = "axum"))]
#[expect(clippy::unused_self, reason = "the signature is that of the feature")]
impl FoundRoute {
    pub(super) const fn of(_: &Extensions) -> Self {
        Self()
    }

    pub(super) const fn template(&self) -> Option<Arc<str>> {
        None
    }
}

pin_project! {
    /// The answer of a [`Guarded`](super::Guarded) service. Requests with a token seen before and no body to check, which is
    /// most of them, cost no allocation here.
    pub struct GuardFuture<F, E> {
        #[pin]
        pub(super) state: State<F, E>,
    }
}

pin_project! {
    #[project = Projected]
    pub(super) enum State<F, E> {
        Passed { #[pin] handler: F, parting: Parting, stay: Stay, errand: Errand },
        Refused { response: Option<Response<Body>> },
        Slow { work: Work<E> },
    }
}

type Work<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<F, R, E> Future for GuardFuture<F, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: HttpBody,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Passed { handler, parting, stay, errand } => match poll_caught(handler, context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(outcome)) => {
                    let response = std::mem::take(stay).keep(outcome?.map(Body::new));
                    Poll::Ready(Ok(parting.write(response)))
                }
                Poll::Ready(Err(panicked)) => Poll::Ready(Ok(errand.failed(panicked, parting))),
            },
            // Nobody polls a future that is done. If somebody did, it would stay so.
            Projected::Refused { response } => {
                response.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it)))
            }
            Projected::Slow { work } => work.as_mut().poll(context),
        }
    }
}
