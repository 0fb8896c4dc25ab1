//! The guard as a tower layer.

mod answer;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Request, Response};
use tower::{Layer, Service};

pub use self::answer::GuardFuture;
use self::answer::{Errand, FoundRoute, Parting, State};
use crate::authorize::Requirement;
use crate::body::Body;
use crate::body::{Framed, HttpBody};
use crate::decision::Place;
use crate::edge::{Dress, RouteHeaders};
use crate::guard::{Guard, Resume, Stay, Step, Terms, Told, Visit, settle};
use crate::input::{Checked, Parameters, RouteInput};
use crate::limit::{Fine, Standing};
use crate::panicked::{caught, poll_caught};
use crate::path::PathFault;
use crate::refusal::{Dialect, Outage, Refusal};
use crate::route_options::RouteOptions;

/// A [`Guard`] together with what it requires: made by [`Guard::require`].
#[derive(Clone)]
pub struct GuardLayer {
    post: Arc<Post>,
    speaks_grpc: bool,
}

/// A guard at a route: one thing to share, since each request takes a clone of its service.
struct Post {
    guard: Guard,
    terms: Arc<Terms>,
}

impl Guard {
    /// This guard as a layer that requires something of every request through it.
    pub fn require(&self, requirement: Requirement) -> GuardLayer {
        GuardLayer::new(self, requirement, RouteOptions::default(), None)
    }
}

impl GuardLayer {
    /// For the route whose path has this template, if that is known.
    pub(crate) fn new(
        guard: &Guard,
        requirement: Requirement,
        options: RouteOptions,
        path: Option<&str>,
    ) -> Self {
        let RouteOptions { input, headers, streams, without_cookies, asks: _ } = options;
        let parameters = Parameters::routed(input.is_some());
        if let (Some(path), Some(input)) = (path, &input) {
            say_what_is_missing(path, input);
        }
        let input = input.map_or_else(|| guard.input(), RouteInput::into_rules);
        guard.look_at(&requirement);
        let passage = guard.passage(&requirement, path);
        let headers = headers.map(RouteHeaders::into_rules);
        let route = path.map(Arc::from);
        let terms =
            Terms { route, requirement, input, parameters, passage, headers, streams, without_cookies };
        Self { post: Arc::new(Post { guard: guard.clone(), terms: Arc::new(terms) }), speaks_grpc: false }
    }

    /// For a route of a table, whose path has this template.
    pub(crate) fn of_template(self, template: &str) -> Self {
        let parameters = self.post.terms.parameters.named_by(template);
        let terms = Terms { parameters, ..(*self.post.terms).clone() };
        self.with(terms)
    }

    fn with(self, terms: Terms) -> Self {
        let guard = self.post.guard.clone();
        Self { post: Arc::new(Post { guard, terms: Arc::new(terms) }), ..self }
    }

    /// Holds requests to this input policy, and not to that of the guard.
    ///
    /// ```
    /// use portcullis_guard::{Field, Guard, GuardLayer, InputError, InputPolicy, rbac};
    ///
    /// fn paying(guard: &Guard) -> Result<GuardLayer, InputError> {
    ///     let payment = InputPolicy::strict().field("/amount", Field::integer(1..=100_000)).build()?;
    ///     Ok(guard.require(rbac("payments", "create")).input(&payment))
    /// }
    /// ```
    #[must_use]
    pub fn input(self, input: &RouteInput) -> Self {
        let parameters = self.post.terms.parameters.under_own_policy();
        let input = input.clone().into_rules();
        let terms = Terms { input, parameters, ..(*self.post.terms).clone() };
        self.with(terms)
    }

    /// Sends answers and refusals with these headers, and not with those of the guard.
    #[must_use]
    pub fn headers(self, headers: &RouteHeaders) -> Self {
        let terms = Terms { headers: Some(headers.clone().into_rules()), ..(*self.post.terms).clone() };
        self.with(terms)
    }

    /// Says that answers are streams, which take no place among the [requests in flight](crate::Caps::in_flight) once they have
    /// begun, and may take as long as they like.
    #[must_use]
    pub fn streams(self) -> Self {
        let terms = Terms { streams: true, ..(*self.post.terms).clone() };
        self.with(terms)
    }

    /// Takes no token from a cookie and asks not whose page sent a request, so that only a token in the header opens this: see
    /// [`GuardedRoute::without_cookies`](crate::GuardedRoute::without_cookies).
    #[must_use]
    pub fn without_cookies(self) -> Self {
        let terms = Terms { without_cookies: true, ..(*self.post.terms).clone() };
        self.with(terms)
    }

    /// Refuses calls that say that they are gRPC by a status of gRPC, under 200 of HTTP, and does not bound their streams of
    /// messages: for services that speak it. Anybody can say so, so elsewhere it counts for nothing.
    #[must_use]
    pub fn grpc(self) -> Self {
        Self { speaks_grpc: true, ..self }
    }

    /// Refuses a request for its path.
    pub(crate) fn refuse_path<F, E, B>(&self, fault: PathFault, request: &Request<B>) -> GuardFuture<F, E> {
        let dress = self.post.terms.headers.as_ref().map(Dress::plain);
        let parting = Parting {
            standing: Standing::default(),
            told: Told::default(),
            dress,
            streams: false,
            way: None,
        };
        let place = self.place(request.method(), request.extensions());
        let response = self.refused(Refusal::Path(fault), self.dialect(request.headers()), &parting, place);
        GuardFuture { state: State::Refused { response: Some(response) } }
    }

    fn dialect(&self, headers: &HeaderMap) -> Dialect {
        if self.speaks_grpc { Dialect::of(headers) } else { Dialect::Http }
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
        let dialect = self.dialect(&parts.headers);
        let told = self.post.guard.told(&parts.headers, &self.post.terms);
        let dress = self.post.terms.headers.as_ref();
        let dress = dress.map(|rules| Dress::begin(rules, &mut parts.extensions, self.post.guard.entropy()));
        let way = if dialect == Dialect::Http { self.post.guard.way(&parts, &self.post.terms) } else { None };
        let Visit { standing, step } = self.post.guard.begin(&mut parts, &self.post.terms);
        let parting = Parting { standing, told, dress, streams: self.post.terms.streams, way };
        let state = match step {
            Ok(Step::Pass) => {
                let stay = Stay::of(&parts.method, &parts.extensions);
                let body = self.bounded(dialect, body, &stay);
                let known = self.post.terms.route.is_some();
                let found = if known { FoundRoute::default() } else { FoundRoute::of(&parts.extensions) };
                let errand = Errand { layer: self.clone(), method: parts.method.clone(), found, dialect };
                match caught(|| inner.call(Request::from_parts(parts, body))) {
                    Ok(handler) => State::Passed { handler, parting, stay, errand },
                    Err(panicked) => State::Refused { response: Some(errand.failed(panicked, &parting)) },
                }
            }
            Err(refusal) => {
                let place = self.place(&parts.method, &parts.extensions);
                State::Refused { response: Some(self.refused(refusal, dialect, &parting, place)) }
            }
            Ok(step) => {
                let clone = inner.clone();
                // The service that was polled ready is the one to call.
                let inner = std::mem::replace(inner, clone);
                let place = self.place(&parts.method, &parts.extensions);
                let slow = Slow { layer: self.clone(), inner, parting, place };
                State::Slow { work: Box::pin(slow.run(step, dialect, Request::from_parts(parts, body))) }
            }
        };
        GuardFuture { state }
    }

    /// What is asked for, as far as it is known.
    fn place(&self, method: &Method, extensions: &Extensions) -> Place {
        let route = self.post.terms.route.clone().or_else(|| FoundRoute::of(extensions).template());
        Place { route, method: method.clone() }
    }

    fn refused(&self, refusal: Refusal, dialect: Dialect, parting: &Parting, place: Place) -> Response<Body> {
        if let Some(response) = parting.way.as_ref().and_then(|way| way.leads(&refusal)) {
            return parting.write(response);
        }
        let hint = self.post.guard.hint(&self.post.terms.requirement);
        parting.write(refusal.answered(self.post.guard.tally(), dialect, &hint, Some(place)))
    }

    /// A body that is not read here, cut off where it gets too long. A stream of gRPC messages may be as long as it likes, while it
    /// may go on at all: the server bounds each message.
    fn bounded(&self, dialect: Dialect, body: Body, stay: &Stay) -> Body {
        if dialect == Dialect::Http { self.post.terms.input.bounded(body) } else { stay.bound(body) }
    }
}

/// Says so where a route does not have what its policy declares. A router around it still may.
fn say_what_is_missing(path: &str, input: &RouteInput) {
    if let Some(parameter) = input.missing_in(path) {
        tracing::warn!(
            http.route = path,
            parameter,
            "nobody can pass unless a router around it has the parameter: the input policy of the route declares one that its path lacks"
        );
    }
}

impl fmt::Debug for GuardLayer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requirement = &self.post.terms.requirement;
        out.debug_struct("GuardLayer").field("requirement", requirement).finish_non_exhaustive()
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

/// A request that has to wait: for keys, for the word of the issuer, for what replicas share or for its own body.
struct Slow<S> {
    layer: GuardLayer,
    inner: S,
    parting: Parting,
    place: Place,
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
            Ok(Checked { request, watch }) => {
                let stay = Stay::of(request.method(), request.extensions());
                let outcome = match caught(|| self.inner.call(request)) {
                    Ok(answer) => {
                        let mut answer = pin!(answer);
                        poll_fn(|context| poll_caught(answer.as_mut(), context)).await
                    }
                    Err(panicked) => Err(panicked),
                };
                // The handler got a body that breaks off, and cannot know why, whether it answers or fails over it.
                if let Some(fault) = watch.and_then(|watch| watch.fault()) {
                    return Ok(self.refused(Refusal::Input(fault), dialect));
                }
                match outcome {
                    Ok(outcome) => Ok(self.parting.write(stay.keep(outcome?.map(Body::new)))),
                    Err(panicked) => Ok(self.refused(Refusal::Panicked(panicked), dialect)),
                }
            }
            Err(refusal) => Ok(self.refused(refusal, dialect)),
        }
    }

    fn refused(self, refusal: Refusal, dialect: Dialect) -> Response<Body> {
        self.layer.refused(refusal, dialect, &self.parting, self.place)
    }

    async fn finish(
        &mut self,
        step: Step,
        dialect: Dialect,
        request: Request<Body>,
    ) -> Result<Checked, Refusal> {
        let (mut parts, body) = request.into_parts();
        let step = self.wait(&mut parts, step).await?;
        let request = Request::from_parts(parts, body);
        match step {
            Step::CheckBody(media) if dialect == Dialect::Http => {
                let stay = Stay::of(request.method(), request.extensions());
                let mut checking = pin!(self.layer.post.terms.input.apply(media, request));
                let at_once = poll_fn(|context| Poll::Ready(checking.as_mut().poll(context))).await;
                if let Poll::Ready(checked) = at_once {
                    return checked.map_err(Refusal::Input);
                }
                // Whoever sends it takes their time, and what opens the route may be gone when it is whole.
                let checked = checking.await.map_err(Refusal::Input)?;
                stay.lasts().await.map(|()| checked)
            }
            // Messages of gRPC are not JSON for us, even if they say that they are.
            Step::CheckBody(_) => Ok(self.unread(dialect, request.map(|body| Body::new(Framed::new(body))))),
            Step::Pass => Ok(self.unread(dialect, request)),
            // Whoever waits is done waiting by now. Were it otherwise, nobody would be let through for it.
            Step::Borrow(..) | Step::Claim(..) | Step::Wait(_) => Err(Refusal::Unavailable(Outage::Keys)),
        }
    }

    fn unread(&self, dialect: Dialect, request: Request<Body>) -> Checked {
        let stay = Stay::of(request.method(), request.extensions());
        Checked::whole(request.map(|body| self.layer.bounded(dialect, body, &stay)))
    }

    /// Waits for what is missing, one thing after the other.
    async fn wait(&mut self, parts: &mut Parts, mut step: Step) -> Result<Step, Refusal> {
        loop {
            let resume = match step {
                Step::Borrow(loan, resume) => {
                    let reading = loan.settle().await?;
                    self.parting.standing.pass(resume.stage(), reading);
                    resume
                }
                Step::Claim(claim, resume) => {
                    settle(claim).await?;
                    resume
                }
                // Whoever has waited for this waits for it no more.
                Step::Wait(pending) => {
                    let fine = self.layer.post.terms.fine(parts, &pending);
                    let turn = pending.over().await;
                    Fine::waive(fine);
                    Resume::Token(turn)
                }
                done => return Ok(done),
            };
            step = self.layer.post.guard.resume(
                parts,
                &self.layer.post.terms,
                resume,
                &mut self.parting.standing,
            )?;
        }
    }
}
