//! An axum router in which no route can be forgotten.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::{MethodRouter, get};
use portcullis_policy::Route;

use crate::authorize::Requirement;
use crate::coverage::{Coverage, Reach, Shown, Unguarded, below};
use crate::edge::RouteHeaders;
use crate::guard::Guard;
use crate::input::RouteInput;
use crate::layer::GuardLayer;
use crate::on_axum::OnAxum;
use crate::route_options::RouteOptions;
use crate::routes::{Handlers, methods_of};

/// A router whose routes all state what they require: the type takes no others.
///
/// A layer around a plain [`Router`] cannot know what the route inside requires before its handler runs, so
/// it could only refuse everything or trust that nothing was forgotten. Here each route is wrapped in the
/// guard together with its own requirement, and a route without one does not compile.
///
/// ```
/// use axum::routing::{get, post};
/// use portcullis_guard::{Guard, GuardExt, GuardedRouter, public, rbac, scope};
///
/// # async fn list() {}
/// # async fn create() {}
/// # async fn health() {}
/// fn app(guard: &Guard) -> axum::Router {
///     GuardedRouter::new()
///         .route("/orders", get(list).guard(scope("orders").and(rbac("orders", "read"))))
///         .route("/orders", post(create).guard(rbac("orders", "create")))
///         .route("/health", get(health).guard(public()))
///         .guarded_by(guard)
/// }
/// ```
///
/// State is given to what [`guarded_by`](Self::guarded_by) makes, which is a router of axum. A layer of a [`MethodRouter`] is inside the
/// guard, and one around the finished router is outside of it, where it sees refusals too:
///
/// ```
/// # use axum::routing::{get, post};
/// # use portcullis_guard::{Guard, GuardExt, GuardedRouter, rbac};
/// use axum::extract::{DefaultBodyLimit, State};
///
/// # async fn create() {}
/// async fn list(State(shop): State<&'static str>) -> String {
///     format!("orders of {shop}")
/// }
///
/// fn app(guard: &Guard) -> axum::Router {
///     let read = get(list).guard(rbac("orders", "read"));
///     let create = post(create).layer(DefaultBodyLimit::max(4096)).guard(rbac("orders", "create"));
///     GuardedRouter::new().route("/orders", read.merge(create)).guarded_by(guard).with_state("gates")
/// }
/// ```
///
/// A route without a requirement is no route of a `GuardedRouter`:
///
/// ```compile_fail
/// # use axum::routing::get;
/// # use portcullis_guard::GuardedRouter;
/// # async fn list() {}
/// let router = GuardedRouter::<()>::new().route("/orders", get(list));
/// ```
#[derive(Debug)]
#[must_use = "the routes serve nobody before `guarded_by`"]
pub struct GuardedRouter<S = ()> {
    routes: Vec<(String, GuardedRoute<S>)>,
}

/// The methods of a route, and what each group of them requires.
#[derive(Clone, Debug)]
#[must_use = "a route serves nobody before it is in a router"]
pub struct GuardedRoute<S = ()>(Vec<Group<S>>);

#[derive(Clone, Debug)]
struct Group<S> {
    methods: MethodRouter<S>,
    requirement: Requirement,
    options: RouteOptions,
}

/// Stating what a route requires.
pub trait GuardExt<S> {
    /// These methods, for callers that meet `requirement`.
    fn guard(self, requirement: Requirement) -> GuardedRoute<S>;
}

impl<S> GuardExt<S> for MethodRouter<S> {
    fn guard(self, requirement: Requirement) -> GuardedRoute<S> {
        GuardedRoute(vec![Group { methods: self, requirement, options: RouteOptions::default() }])
    }
}

impl<S> GuardedRoute<S> {
    /// More methods of the same route, with a requirement of their own.
    pub fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Holds requests for these methods to this input policy, and not to that of the guard.
    ///
    /// ```
    /// # use axum::routing::post;
    /// use portcullis_guard::{Field, GuardExt, GuardedRouter, InputError, InputPolicy, rbac};
    ///
    /// # async fn create() {}
    /// fn orders() -> Result<GuardedRouter, InputError> {
    ///     let order = InputPolicy::strict().field("/quantity", Field::integer(1..=99)).build()?;
    ///     let route = post(create).guard(rbac("orders", "create")).input(&order);
    ///     Ok(GuardedRouter::new().route("/orders", route))
    /// }
    /// # orders().unwrap();
    /// ```
    pub fn input(mut self, input: &RouteInput) -> Self {
        self.0.iter_mut().for_each(|group| group.options.input = Some(input.clone()));
        self
    }

    /// Says that answers of these methods are streams, such as server-sent events: they take no place among the
    /// [requests in flight](crate::Caps::in_flight) once they have begun, and may take as long as they like.
    pub fn streams(mut self) -> Self {
        self.0.iter_mut().for_each(|group| group.options.streams = true);
        self
    }

    /// Takes no token from a cookie and asks not whose page sent a request: for what others post by design, such as a webhook. Only
    /// a token in the header opens these methods then, or nothing at all where they are [`public`](crate::public), and their
    /// handlers see no cookies either.
    ///
    /// ```
    /// # use axum::routing::post;
    /// use portcullis_guard::{GuardExt, GuardedRouter, rbac, scope};
    ///
    /// # async fn pay() {}
    /// # async fn paid() {}
    /// let router = GuardedRouter::<()>::new()
    ///     .route("/pay", post(pay).guard(rbac("payments", "create")))
    ///     .route("/hooks/paid", post(paid).guard(scope("hooks")).without_cookies());
    /// ```
    pub fn without_cookies(mut self) -> Self {
        self.0.iter_mut().for_each(|group| group.options.without_cookies = true);
        self
    }

    /// Says what the handlers of these methods ask their [`Decider`](crate::Decider): the server then lists no rule about it as one that
    /// nobody asks for. The object may be a template of all that they ask about, as rules have it. What is not said may be asked all the
    /// same, and what is said is not asked by that.
    ///
    /// ```
    /// # use axum::routing::post;
    /// use portcullis_guard::{GuardExt, GuardedRouter, authenticated, rbac};
    ///
    /// # async fn graphql() {}
    /// let route = post(graphql)
    ///     .guard(authenticated())
    ///     .asks(rbac("documents/{folder}", "read"))
    ///     .asks(rbac("documents/{folder}", "rename"));
    /// let router = GuardedRouter::<()>::new().route("/graphql", route);
    /// ```
    pub fn asks(mut self, what: Requirement) -> Self {
        let what = Arc::new(what);
        self.0.iter_mut().for_each(|group| group.options.asks.push(Arc::clone(&what)));
        self
    }

    /// Sends answers and refusals of these methods with these headers, and not with those of the guard.
    ///
    /// ```
    /// # use axum::routing::get;
    /// use axum::response::Html;
    /// use portcullis_guard::{CspNonce, GuardExt, GuardedRouter, HeadersError, SecurityHeaders, rbac};
    ///
    /// # async fn list() {}
    /// async fn page(nonce: CspNonce) -> Html<String> {
    ///     Html(format!(r#"<!doctype html><script nonce="{nonce}">start()</script>"#))
    /// }
    ///
    /// /// An API, and one page.
    /// fn orders() -> Result<GuardedRouter, HeadersError> {
    ///     let pages = SecurityHeaders::html().build()?;
    ///     Ok(GuardedRouter::new()
    ///         .route("/orders", get(list).guard(rbac("orders", "read")))
    ///         .route("/orders/table", get(page).guard(rbac("orders", "read")).headers(&pages)))
    /// }
    /// # orders().unwrap();
    /// ```
    pub fn headers(mut self, headers: &RouteHeaders) -> Self {
        self.0.iter_mut().for_each(|group| group.options.headers = Some(headers.clone()));
        self
    }
}

impl<S> GuardedRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// A router without routes.
    pub const fn new() -> Self {
        Self { routes: Vec::new() }
    }

    /// Adds a route. The same path may be added again for other methods.
    pub fn route(mut self, path: impl Into<String>, route: GuardedRoute<S>) -> Self {
        self.routes.push((path.into(), route));
        self
    }

    /// Adds the routes of another router.
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self
    }

    /// Adds the routes of another router below a path, which starts with a slash and ends without one.
    ///
    /// ```
    /// # use axum::routing::get;
    /// # use portcullis_guard::{GuardExt, GuardedRouter, rbac};
    /// # async fn list() {}
    /// let orders = GuardedRouter::<()>::new().route("/orders", get(list).guard(rbac("orders", "read")));
    /// let api = GuardedRouter::new().nest("/v1", orders);
    /// assert_eq!(api.requirements().next().map(|(path, _)| path), Some("/v1/orders"));
    /// ```
    pub fn nest(mut self, prefix: &str, other: Self) -> Self {
        self.routes.extend(other.routes.into_iter().map(|(path, route)| (below(prefix, &path), route)));
        self
    }

    /// Every route and what it requires: for a start-up log, or a test that reads like a table.
    pub fn requirements(&self) -> impl Iterator<Item = (&str, &Requirement)> {
        self.routes
            .iter()
            .flat_map(|(path, route)| route.0.iter().map(|group| (path.as_str(), &group.requirement)))
    }

    /// What each route has under a guard: for a start-up log, and for a test that holds a finished router to it.
    pub fn coverage(&self, guard: &Guard) -> Coverage {
        let groups =
            self.routes.iter().flat_map(|(path, route)| route.0.iter().map(move |group| (path, group)));
        let metadata = guard.resource().and_then(|resource| resource.path_in_routers());
        let report = Coverage::new();
        let report = match metadata {
            Some(path) => report.leave_open(path),
            None => report,
        };
        groups.fold(report, |mut coverage, (path, group)| {
            let Group { methods, requirement, options } = group;
            let reach = Reach::Handlers(Handlers::of(methods));
            coverage.add(guard, (path, methods_of(methods), reach), requirement, options);
            coverage
        })
    }

    /// The routes as the server is told of them.
    fn described(&self) -> Vec<Route> {
        let groups =
            self.routes.iter().flat_map(|(path, route)| route.0.iter().map(move |group| (path, group)));
        let described = groups.map(|(path, group)| {
            let route = Route::new(methods_of(&group.methods), path.as_str(), group.requirement.need());
            group.options.described(route)
        });
        described.collect()
    }

    /// The routes as a plain axum router, each behind the guard. A guard that has its policy from a server tells it of
    /// them, in the background: see [`GuardBuilder::hide_routes`](crate::GuardBuilder::hide_routes).
    ///
    /// What is added to the result, routes or a fallback, is not guarded; nor is the answer for a path that no route
    /// has. A fallback that is to be guarded takes the guard as its layer: `guard.require(public())`.
    ///
    /// The metadata of a [`ProtectedResource`](crate::ProtectedResource) is one of its routes, for everybody. Of one guard, routers are
    /// therefore [merged](Self::merge) before they are guarded, unless it is [served apart](crate::ProtectedResource::served_apart).
    ///
    /// # Panics
    ///
    /// Where axum does: when two routes overlap or a path is malformed.
    pub fn guarded_by(self, guard: &Guard) -> Router<S> {
        guard.note_routes(|| self.described());
        guard.note_scopes(self.requirements().map(|(_, requirement)| requirement));
        let groups = self
            .routes
            .into_iter()
            .flat_map(|(path, route)| route.0.into_iter().map(move |group| (path.clone(), group)));
        let router = groups.fold(Router::new(), |router, (path, Group { methods, requirement, options })| {
            let layer = GuardLayer::new(guard, requirement, options, Some(&path));
            router.route(&path, methods.layer::<_, Infallible>(OnAxum::new(layer)))
        });
        let edge = guard.edge();
        let router = if edge.is_idle() { router } else { router.layer(OnAxum::new(edge)) };
        // Outside the edge: pages of everybody may read it. Of two answers for unknown paths axum keeps that of the router that is
        // merged in, so that is the one with the edge.
        match guard.resource().and_then(|resource| resource.path_in_routers()) {
            Some(_) => guard.metadata_router().merge(router),
            None => router,
        }
    }
}

impl<S> Default for GuardedRouter<S> {
    fn default() -> Self {
        Self { routes: Vec::new() }
    }
}

impl Coverage {
    /// What a finished router answers beside what is in this report: routes, and methods of routes, that were added or merged after
    /// [`guarded_by`](GuardedRouter::guarded_by), and fallbacks, also of routers that are nested in it.
    ///
    /// It is read from what the router shows of itself, and nothing is called. So what can be known is by which path, and there for which
    /// methods, there is a handler, and no more:
    ///
    /// - A handler counts as one of the report if its path and its method are. That the report and the router were made of the same
    ///   routes is for the test to see to: a route that has its path and its method in both, and its guard in one alone, is not found.
    /// - A handler of its own for `HEAD`, or for a single method beside [`any`](axum::routing::any), is one that the report has to have:
    ///   that it has `GET`, or every other method, is not enough.
    /// - What a service that is nested in the router answers by itself cannot be known. It is listed as one route for any method, also at
    ///   a path of the report, unless the report is that of a [`RouteTable`](crate::RouteTable).
    /// - What a layer around the router answers by itself is not seen, nor is a router in which this one is nested.
    /// - A route or a fallback that has a guard as its own layer is in no report. It is listed; a route can be
    ///   [left out](Self::leave_open).
    /// - A router of a version of axum that shows itself in another way is [`Unreadable`](Unguarded::Unreadable), and so is all of it where a
    ///   single one of its routes is.
    pub fn unguarded<S>(&self, app: &Router<S>) -> Vec<Unguarded> {
        self.beside(Shown::of(app))
    }

    /// Ends the test if a router answers anything beside what is in this report: see [`unguarded`](Self::unguarded).
    ///
    /// # Panics
    ///
    /// With a list of it.
    pub fn assert_no_unguarded<S>(&self, app: &Router<S>) {
        let found: Vec<String> = self.unguarded(app).iter().map(Unguarded::to_string).collect();
        assert!(found.is_empty(), "not guarded:\n  {}\nguarded:\n{self}", found.join("\n  "));
    }
}

impl Guard {
    /// The metadata of this service at its well-known path, to be merged into a router that has no [`GuardedRouter`] of this guard in it,
    /// which serves it by itself unless it is [served apart](crate::ProtectedResource::served_apart). An empty router unless the guard was
    /// built with a [`ProtectedResource`](crate::ProtectedResource). It is for everybody, without a token. Merge a guarded router into this
    /// one, and not the other way round: axum keeps the answer for unknown paths of the router that is merged in.
    pub fn metadata_router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let Some(resource) = self.resource().cloned() else { return Router::new() };
        let path = resource.path().to_owned();
        Router::new().route(&path, get(move || std::future::ready(resource.response().map(Body::from))))
    }
}
