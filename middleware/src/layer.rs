//! The guard as a tower layer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum_core::body::Body;
use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::authorize::Requirement;
use crate::body::HttpBody;
use crate::gate::Gate;
use crate::guard::Guard;
use crate::limit::Standing;
use crate::refusal::{Dialect, Outage, Refusal};
use crate::visit::{Resume, Step, Visit};

/// A [`Guard`] together with what it requires: made by [`Guard::require`].
#[derive(Clone)]
pub struct GuardLayer {
    guard: Guard,
    gate: Arc<Gate>,
}

impl Guard {
    /// This guard as a layer that requires something of every request through it.
    pub fn require(&self, requirement: Requirement) -> GuardLayer {
        GuardLayer::new(self, requirement, None)
    }
}

impl GuardLayer {
    /// For the route whose path has this template, if that is known.
    pub(crate) fn new(guard: &Guard, requirement: Requirement, path: Option<&str>) -> Self {
        let passage = guard.passage(&requirement, path);
        Self { guard: guard.clone(), gate: Arc::new(Gate { requirement, passage }) }
    }

    /// Judges a request and, if it may, hands it on to `inner`, which is ready.
    pub(crate) fn handle<S, B, R>(
        &self,
        inner: &mut S,
        request: Request<B>,
    ) -> GuardFuture<S::Future, S::Error>
    where
        S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        B: HttpBody,
        R: HttpBody,
    {
        let (mut parts, body) = request.into_parts();
        let body = Body::new(body);
        let dialect = Dialect::of(&parts.headers);
        let Visit { standing, step } = self.guard.begin(&mut parts, &self.gate);
        let state = match step {
            Ok(Step::Pass) => {
                let body = self.bounded(dialect, body);
                State::Passed { handler: inner.call(Request::from_parts(parts, body)), standing }
            }
            Err(refusal) => State::Refused { response: Some(self.refused(refusal, dialect, &standing)) },
            Ok(step) => {
                let clone = inner.clone();
                // The service that was polled ready is the one to call.
                let inner = std::mem::replace(inner, clone);
                let slow = Slow { layer: self.clone(), inner, standing };
                State::Slow { work: Box::pin(slow.run(step, dialect, Request::from_parts(parts, body))) }
            }
        };
        GuardFuture { state }
    }

    fn refused(&self, refusal: Refusal, dialect: Dialect, standing: &Standing) -> Response<Body> {
        let hint = self.guard.hint(&self.gate.requirement);
        with_standing(refusal.answered(dialect, &hint), standing)
    }

    /// A body that is not read here, cut off where it gets too long. A stream of gRPC messages may be as long as it likes: the
    /// server bounds each message.
    fn bounded(&self, dialect: Dialect, body: Body) -> Body {
        if dialect == Dialect::Grpc { body } else { self.guard.input().bounded(body) }
    }
}

impl fmt::Debug for GuardLayer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("GuardLayer").field("requirement", &self.gate.requirement).finish_non_exhaustive()
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

/// Takes requests with any body, and hands them on with one that is the same for all.
impl<S, B, R> Service<Request<B>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: HttpBody,
    R: HttpBody,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = GuardFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.layer.handle(&mut self.inner, request)
    }
}

/// A request that has to wait, for keys or for its own body.
struct Slow<S> {
    layer: GuardLayer,
    inner: S,
    standing: Standing,
}

impl<S, R> Slow<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: HttpBody,
{
    async fn run(
        mut self,
        step: Step,
        dialect: Dialect,
        request: Request<Body>,
    ) -> Result<Response<Body>, S::Error> {
        match self.finish(step, dialect, request).await {
            Ok(request) => {
                let response = self.inner.call(request).await?;
                Ok(with_standing(response.map(Body::new), &self.standing))
            }
            Err(refusal) => Ok(self.layer.refused(refusal, dialect, &self.standing)),
        }
    }

    async fn finish(
        &mut self,
        step: Step,
        dialect: Dialect,
        request: Request<Body>,
    ) -> Result<Request<Body>, Refusal> {
        let (mut parts, body) = request.into_parts();
        let step = self.wait(&mut parts, step).await?;
        let request = Request::from_parts(parts, body);
        match step {
            Step::CheckBody(media) => {
                self.layer.guard.input().apply(media, request).await.map_err(Refusal::Input)
            }
            Step::Pass => Ok(request.map(|body| self.layer.bounded(dialect, body))),
            // Whoever waits is done waiting by now. Were it otherwise, nobody would be let through for it.
            Step::Borrow(..) | Step::Wait(_) => Err(Refusal::Unavailable(Outage::Keys)),
        }
    }

    /// Waits for what is missing, one thing after the other.
    async fn wait(&mut self, parts: &mut Parts, mut step: Step) -> Result<Step, Refusal> {
        loop {
            let resume = match step {
                Step::Borrow(loan, resume) => {
                    let reading = loan.settle().await.map_err(Refusal::Limited)?;
                    self.standing.pass(resume.stage(), reading);
                    resume
                }
                // The last attempt asks for no more keys.
                Step::Wait(trust) => {
                    trust.refresh_for_request().await;
                    Resume::Token
                }
                done => return Ok(done),
            };
            step = self.layer.guard.resume(parts, &self.layer.gate, resume, &mut self.standing)?;
        }
    }
}

fn with_standing(mut response: Response<Body>, standing: &Standing) -> Response<Body> {
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
            Projected::Passed { handler, standing } => {
                let response = ready!(handler.poll(context))?;
                Poll::Ready(Ok(with_standing(response.map(Body::new), standing)))
            }
            // Nobody polls a future that is done. If somebody did, it would stay so.
            Projected::Refused { response } => {
                response.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it)))
            }
            Projected::Slow { work } => work.as_mut().poll(context),
        }
    }
}
