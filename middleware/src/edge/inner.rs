//! What is inside the answer to preflights: the part of an edge that a request goes through on its way to the guard.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower::Service;

use super::caps::Admitted;
use super::measured::Held;
use super::{EdgeRules, Streams, cors};
use crate::body::{Body, HttpBody};
use crate::panicked::{Panicked, caught, poll_caught};
use crate::refusal::{Dialect, Hint, Refusal, Tally};

/// A service, and what is done before and after it.
#[derive(Clone)]
pub(crate) struct Inner<S> {
    rules: Arc<EdgeRules>,
    speaks_grpc: bool,
    service: S,
}

impl<S> Inner<S> {
    pub(super) const fn new(rules: Arc<EdgeRules>, speaks_grpc: bool, service: S) -> Self {
        Self { rules, speaks_grpc, service }
    }

    /// Hands a request on as it is.
    pub(super) fn pass(&mut self, request: Request<Body>) -> InnerFuture<S::Future>
    where
        S: Service<Request<Body>>,
    {
        let rules = Arc::clone(&self.rules);
        let outlook = Outlook { rules, is_shared: false, dialect: self.dialect(&request), admitted: None };
        self.begin(request, None, outlook)
    }

    /// Hands a request on, to whoever may panic over it.
    fn begin(
        &mut self,
        request: Request<Body>,
        timer: Option<Sleep>,
        mut outlook: Outlook,
    ) -> InnerFuture<S::Future>
    where
        S: Service<Request<Body>>,
    {
        let state = match caught(|| self.service.call(request)) {
            Ok(answer) => State::At { answer, timer, outlook },
            Err(panicked) => State::Refused { response: Some(outlook.failed(panicked)) },
        };
        InnerFuture { state }
    }

    fn dialect(&self, request: &Request<Body>) -> Dialect {
        if self.speaks_grpc { Dialect::of(request.headers()) } else { Dialect::Http }
    }
}

impl<S: fmt::Debug> fmt::Debug for Inner<S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.service.fmt(out)
    }
}

impl<S, R> Service<Request<Body>> for Inner<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: HttpBody,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = InnerFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let dialect = self.dialect(&request);
        let admitted = match self.rules.caps.as_ref().map(|caps| caps.admit(&mut request)).transpose() {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let response = Some(refused(&self.rules.tally, refusal, dialect));
                return InnerFuture { state: State::Refused { response } };
            }
        };
        let timer = admitted.as_ref().and_then(|admitted| admitted.head_by).map(sleep_until);
        let rules = Arc::clone(&self.rules);
        let outlook = Outlook { rules, is_shared: self.rules.cors.is_some(), dialect, admitted };
        self.begin(request, timer, outlook)
    }
}

fn refused(tally: &Tally, refusal: Refusal, dialect: Dialect) -> Response<Body> {
    refusal.answered(tally, dialect, &Hint::default(), None)
}

/// What awaits the answer.
struct Outlook {
    rules: Arc<EdgeRules>,
    /// Whether scripts of other origins may read something.
    is_shared: bool,
    dialect: Dialect,
    admitted: Option<Admitted>,
}

impl Outlook {
    fn finish<R: HttpBody, E>(&mut self, outcome: Result<Response<R>, E>) -> Result<Response<Body>, E> {
        let admitted = self.admitted.take();
        // Whoever read the body knows only that it broke off.
        if admitted.as_ref().is_some_and(Admitted::is_over) {
            return Ok(refused(&self.rules.tally, Refusal::TooLong, self.dialect));
        }
        let mut response = outcome?.map(Body::new);
        if self.is_shared {
            cors::take_back(response.headers_mut());
        }
        let is_stream = response.extensions_mut().remove::<Streams>().is_some();
        let Some(Admitted { place, whole_by, .. }) = admitted.filter(|_| !is_stream) else {
            return Ok(response);
        };
        Ok(response.map(|body| Held::hold(body, place, whole_by)))
    }

    /// The answer where whoever was to give one panicked, which ends what was held for it.
    fn failed(&mut self, panicked: Panicked) -> Response<Body> {
        let admitted = self.admitted.take();
        // Whoever read the body may have taken it for granted.
        if admitted.as_ref().is_some_and(Admitted::is_over) {
            return refused(&self.rules.tally, Refusal::TooLong, self.dialect);
        }
        refused(&self.rules.tally, Refusal::Panicked(panicked), self.dialect)
    }

    fn late(&mut self) -> Response<Body> {
        let refusal = self.admitted.take().map_or(Refusal::SlowAnswer, |admitted| admitted.late());
        refused(&self.rules.tally, refusal, self.dialect)
    }
}

pin_project! {
    /// The answer of an [`Inner`] service.
    pub(crate) struct InnerFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F> {
        At { #[pin] answer: F, #[pin] timer: Option<Sleep>, outlook: Outlook },
        Refused { response: Option<Response<Body>> },
    }
}

impl<F, R, E> Future for InnerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: HttpBody,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projected::At { answer, timer, outlook } => {
                match poll_caught(answer, context) {
                    Poll::Ready(Ok(outcome)) => return Poll::Ready(outlook.finish(outcome)),
                    Poll::Ready(Err(panicked)) => return Poll::Ready(Ok(outlook.failed(panicked))),
                    Poll::Pending => {}
                }
                let is_late = timer.as_pin_mut().is_some_and(|timer| timer.poll(context).is_ready());
                if is_late { Poll::Ready(Ok(outlook.late())) } else { Poll::Pending }
            }
            // Nobody polls a future that is done. If somebody did, it would stay so.
            Projected::Refused { response } => {
                response.take().map_or(Poll::Pending, |it| Poll::Ready(Ok(it)))
            }
        }
    }
}
