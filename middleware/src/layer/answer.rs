//! The answer of a guarded service.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use http::Response;
use pin_project_lite::pin_project;

use crate::body::HttpBody;
use crate::edge::{Dress, Dressed, Streams};
use crate::guard::Stay;
use crate::limit::Standing;
#[cfg(feature = "login")]
use crate::login::Way;
use crate::token::Sharing;
#[cfg(not(feature = "login"))]
use crate::unlogged::Way;

/// What an answer is given on its way out.
pub(super) struct Parting {
    pub(super) standing: Standing,
    pub(super) sharing: Sharing,
    /// Headers of the route.
    pub(super) dress: Option<Dress>,
    pub(super) streams: bool,
    /// To sign in, for who opens a page.
    pub(super) way: Option<Box<Way>>,
}

impl Parting {
    pub(super) fn write(&self, mut response: Response<Body>) -> Response<Body> {
        self.standing.write(response.headers_mut());
        self.sharing.write(response.headers_mut());
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
        Passed { #[pin] handler: F, parting: Parting, stay: Stay },
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
            Projected::Passed { handler, parting, stay } => {
                let response = ready!(handler.poll(context))?;
                let response = std::mem::take(stay).keep(response.map(Body::new));
                Poll::Ready(Ok(parting.write(response)))
            }
            // Nobody polls a future that is done. If somebody did, it would stay so.
            Projected::Refused { response } => {
                response.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it)))
            }
            Projected::Slow { work } => work.as_mut().poll(context),
        }
    }
}
