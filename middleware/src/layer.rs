//! The guard as a tower layer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::Request;
use http::request::Parts;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::authorize::Requirement;
use crate::guard::{Guard, Step, Visit};
use crate::limit::Standing;
use crate::refusal::{Hint, Outage, Refusal};

/// A [`Guard`] together with what it requires: made by [`Guard::require`].
#[derive(Clone, Debug)]
pub struct GuardLayer {
    guard: Guard,
    requirement: Arc<Requirement>,
}

impl Guard {
    /// This guard as a layer that requires something of every request through it.
    pub fn require(&self, requirement: Requirement) -> GuardLayer {
        GuardLayer { guard: self.clone(), requirement: Arc::new(requirement) }
    }
}

impl GuardLayer {
    fn refused(&self, refusal: Refusal, standing: &Standing) -> Response {
        let hint = self
            .guard
            .resource()
            .map(|resource| Hint { resource_metadata: resource.url(), scopes: self.requirement.scopes() });
        with_standing(refusal.answered(hint.as_ref()), standing)
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { layer: self.clone(), inner }
    }
}

/// The layer of a guard that was told no requirement: a good token is enough, unless there is a policy. Then
/// nobody passes, because a route that was forgotten must not be open.
impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        self.require(Requirement::unstated()).layer(inner)
    }
}

/// A service behind a [`Guard`].
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    layer: GuardLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = GuardFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let Visit { standing, step } = self.layer.guard.begin(&mut parts, &self.layer.requirement);
        let state = match step {
            Ok(Step::Pass) => {
                let body = self.layer.guard.input().bounded(body);
                let handler = self.inner.call(Request::from_parts(parts, body));
                State::Passed { handler, standing }
            }
            Err(refusal) => State::Refused { response: Some(self.layer.refused(refusal, &standing)) },
            Ok(step) => {
                let clone = self.inner.clone();
                // The service that was polled ready is the one to call.
                let inner = std::mem::replace(&mut self.inner, clone);
                let slow = Slow { layer: self.layer.clone(), inner, standing };
                State::Slow { work: Box::pin(slow.run(step, parts, body)) }
            }
        };
        GuardFuture { state }
    }
}

/// A request that has to wait, for keys or for its own body.
struct Slow<S> {
    layer: GuardLayer,
    inner: S,
    standing: Standing,
}

impl<S> Slow<S>
where
    S: Service<Request<Body>>,
    S::Response: IntoResponse,
{
    async fn run(mut self, step: Step, parts: Parts, body: Body) -> Result<Response, S::Error> {
        match self.finish(step, parts, body).await {
            Ok(request) => {
                let response = self.inner.call(request).await?;
                Ok(with_standing(response.into_response(), &self.standing))
            }
            Err(refusal) => Ok(self.layer.refused(refusal, &self.standing)),
        }
    }

    async fn finish(&mut self, step: Step, mut parts: Parts, body: Body) -> Result<Request<Body>, Refusal> {
        let step = match step {
            Step::Wait(trust) => {
                trust.refresh_for_request().await;
                self.layer.guard.resume(&mut parts, &self.layer.requirement, &mut self.standing)?
            }
            other => other,
        };
        let request = Request::from_parts(parts, body);
        match step {
            Step::CheckBody(media) => {
                self.layer.guard.input().apply(media, request).await.map_err(Refusal::Input)
            }
            Step::Pass => Ok(request.map(|body| self.layer.guard.input().bounded(body))),
            // The last attempt asks for no more keys. Were it to, nobody would be let through for it.
            Step::Wait(_) => Err(Refusal::Unavailable(Outage::Keys)),
        }
    }
}

fn with_standing(mut response: Response, standing: &Standing) -> Response {
    standing.write(response.headers_mut());
    response
}

pin_project! {
    /// The answer of a [`Guarded`] service. Requests with a token seen before and no body to check, which is
    /// most of them, cost no allocation here.
    pub struct GuardFuture<F, E> {
        #[pin]
        state: State<F, E>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F, E> {
        Passed { #[pin] handler: F, standing: Standing },
        Refused { response: Option<Response> },
        Slow { work: Work<E> },
    }
}

type Work<E> = Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>;

impl<F, R, E> Future for GuardFuture<F, E>
where
    F: Future<Output = Result<R, E>>,
    R: IntoResponse,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::Passed { handler, standing } => {
                let response = ready!(handler.poll(context))?;
                Poll::Ready(Ok(with_standing(response.into_response(), standing)))
            }
            // Nobody polls a future that is done. If somebody did, it would stay so.
            Projected::Refused { response } => {
                response.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it)))
            }
            Projected::Slow { work } => work.as_mut().poll(context),
        }
    }
}
