//! What the routes of any tower service require: for those that are not routers of axum.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use matchit::{InsertError, Router};
use percent_encoding::percent_decode_str;
use portcullis_policy::Route;
use tower::{Layer, Service};

use crate::authorize::Requirement;
use crate::body::{Body, HttpBody};
use crate::coverage::{Coverage, Reach};
use crate::edge::{Edge, Edged, RouteHeaders};
use crate::guard::Guard;
use crate::input::RouteInput;
use crate::layer::{GuardFuture, GuardLayer};
use crate::path::PathFault;
use crate::route_options::RouteOptions;

/// The routes of a tower service and what each requires, by path and method. What is not in the table is 403.
///
/// Paths are templates such as `/orders/{id}` and `/files/{*rest}`. A request is matched by its path as it was sent: one that
/// two readers could read in two ways is refused before.
///
/// ```
/// use http::Method;
/// use portcullis_guard::{Guard, RouteTable, public, rbac};
///
/// # fn run(guard: &Guard) -> Result<(), portcullis_guard::RouteFault> {
/// // The methods of a gRPC service are paths.
/// let layer = RouteTable::new()
///     .route("/shop.v1.Orders/List", rbac("orders", "read"))
///     .route("/shop.v1.Orders/Create", rbac("orders", "create"))
///     .route("/grpc.health.v1.Health/{method}", public())
///     .methods([Method::GET, Method::HEAD], "/orders/{id}", rbac("orders", "read"))
///     .grpc()
///     .guarded_by(guard)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a table guards nothing before `guarded_by`"]
pub struct RouteTable {
    rows: Vec<Row>,
    speaks_grpc: bool,
}

#[derive(Clone, Debug)]
struct Row {
    /// None: every method.
    methods: Option<Vec<Method>>,
    path: String,
    requirement: Requirement,
    options: RouteOptions,
}

/// A table of routes that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteFault {
    /// A path is no template, or another one matches the same requests.
    #[error("the route `{path}`: {message}")]
    Path {
        /// The path, as it was given.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The input policy of a row declares a parameter that its path does not have.
    #[error("the route `{path}` does not have the parameter `{name}` that its input policy declares")]
    Parameter {
        /// Its path.
        path: String,
        /// The name of the parameter.
        name: String,
    },
    /// A row answers no method.
    #[error("the route `{path}` is there for no method")]
    NoMethod {
        /// Its path.
        path: String,
    },
    /// Two rows of a path answer the same method.
    #[error("the route `{path}` is there twice for {method}")]
    Twice {
        /// The path of both.
        path: String,
        /// A method that both have.
        method: String,
    },
}

impl RouteTable {
    /// A table without routes.
    pub const fn new() -> Self {
        Self { rows: Vec::new(), speaks_grpc: false }
    }

    /// Adds a route for every method.
    pub fn route(self, path: impl Into<String>, requirement: Requirement) -> Self {
        self.add(None, path.into(), requirement)
    }

    /// Refuses calls that say that they are gRPC as [`GuardLayer::grpc`] does, on the routes that are there for every method. Those
    /// for some methods are not of gRPC, and a call there that says so is a request as any other.
    pub fn grpc(mut self) -> Self {
        self.speaks_grpc = true;
        self
    }

    /// Adds a route for these methods. The same path may be added again for others.
    pub fn methods(
        self,
        methods: impl IntoIterator<Item = Method>,
        path: impl Into<String>,
        requirement: Requirement,
    ) -> Self {
        let methods = Some(methods.into_iter().collect());
        self.add(methods, path.into(), requirement)
    }

    fn add(mut self, methods: Option<Vec<Method>>, path: String, requirement: Requirement) -> Self {
        self.rows.push(Row { methods, path, requirement, options: RouteOptions::default() });
        self
    }

    /// Holds requests for the route that was added last to this input policy, and not to that of the guard.
    pub fn input(mut self, input: &RouteInput) -> Self {
        if let Some(row) = self.rows.last_mut() {
            row.options.input = Some(input.clone());
        }
        self
    }

    /// Says that answers of the route that was added last are streams, as [`GuardLayer::streams`] does.
    pub fn streams(mut self) -> Self {
        if let Some(row) = self.rows.last_mut() {
            row.options.streams = true;
        }
        self
    }

    /// Takes no token from a cookie on the route that was added last, as [`GuardLayer::without_cookies`] does.
    pub fn without_cookies(mut self) -> Self {
        if let Some(row) = self.rows.last_mut() {
            row.options.without_cookies = true;
        }
        self
    }

    /// Says what the service asks its [`Decider`](crate::Decider) on the route that was added last, for the server that lists rules
    /// nobody asks for. The object may be a template of all that it asks about.
    pub fn asks(mut self, what: Requirement) -> Self {
        if let Some(row) = self.rows.last_mut() {
            row.options.asks.push(Arc::new(what));
        }
        self
    }

    /// Sends answers and refusals of the route that was added last with these headers, and not with those of the guard.
    pub fn headers(mut self, headers: &RouteHeaders) -> Self {
        if let Some(row) = self.rows.last_mut() {
            row.options.headers = Some(headers.clone());
        }
        self
    }

    /// What each route has under a guard: for a start-up log, or a test. What is not in the table is refused, so there is nothing
    /// beside it.
    pub fn coverage(&self, guard: &Guard) -> Coverage {
        self.rows.iter().fold(Coverage::new(), |mut coverage, row| {
            coverage.add(guard, (&row.path, row.names(), Reach::Around), &row.requirement, &row.options);
            coverage
        })
    }

    /// The layer that guards a service by this table. A guard that has its policy from a server tells it of the routes.
    pub fn guarded_by(self, guard: &Guard) -> Result<TableLayer, RouteFault> {
        let layer = |requirement: &Requirement, options: &RouteOptions, path: Option<&str>| {
            GuardLayer::new(guard, requirement.clone(), options.clone(), path)
        };
        let spoken = |layer: GuardLayer, every_method: bool| {
            if self.speaks_grpc && every_method { layer.grpc() } else { layer }
        };
        let mut paths: BTreeMap<&str, PathLayers> = BTreeMap::new();
        for Row { methods, path, requirement, options } in &self.rows {
            if methods.as_ref().is_some_and(Vec::is_empty) {
                return Err(RouteFault::NoMethod { path: path.clone() });
            }
            if let Some(name) = options.input.as_ref().and_then(|input| input.missing_in(path)) {
                return Err(RouteFault::Parameter { path: path.clone(), name: name.to_owned() });
            }
            let known = paths.entry(path).or_default();
            let own = layer(requirement, options, Some(path)).of_template(path);
            known
                .add(methods.as_deref(), spoken(own, methods.is_none()))
                .map_err(|method| RouteFault::Twice { path: path.clone(), method })?;
        }
        let mut router = Router::new();
        for (path, place) in paths {
            let fault = |message: String| RouteFault::Path { path: path.to_owned(), message };
            if let Some(message) = never_matched(path) {
                return Err(fault(message.to_owned()));
            }
            router.insert(path, place).map_err(|error| fault(told(&error)))?;
        }
        // Many a service takes a slash at the end for nothing: unless it is listed, it must not lead to what is said of any path.
        for Row { path, .. } in self.rows.iter().filter(|row| !row.path.ends_with('/')) {
            let _ = router.insert(format!("{path}/"), PathLayers::default());
        }
        guard.note_routes(|| self.rows.iter().map(Row::described).collect());
        guard.note_scopes(self.rows.iter().map(|row| &row.requirement));
        let unlisted = spoken(layer(&Requirement::unlisted(), &RouteOptions::default(), None), true);
        let edge = guard.edge();
        let edge = if self.speaks_grpc { edge.grpc() } else { edge };
        Ok(TableLayer { router: Arc::new(router), unlisted, edge })
    }
}

/// Why no request has a path of this form.
fn never_matched(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("a path begins with `/`");
    }
    let is_old = |segment: &str| segment.starts_with(':') || segment.starts_with('*');
    path.split('/').any(is_old).then_some("a parameter is written `{name}`, and the rest of a path `{*name}`")
}

fn told(error: &InsertError) -> String {
    match error {
        InsertError::Conflict { with } => format!("it matches requests that `{with}` matches"),
        error => error.to_string(),
    }
}

impl Row {
    fn described(&self) -> Route {
        let (path, need) = (self.path.as_str(), self.requirement.need());
        self.options.described(match &self.methods {
            None => Route::every_method(path, need),
            Some(_) => Route::new(self.names(), path, need),
        })
    }

    /// The names of the methods; `*` for every one.
    fn names(&self) -> Vec<String> {
        let name = |method: &Method| method.as_str().to_owned();
        self.methods
            .as_ref()
            .map_or_else(|| vec!["*".to_owned()], |methods| methods.iter().map(name).collect())
    }
}

/// What is required at one path, by method.
#[derive(Default)]
struct PathLayers {
    methods: Vec<(Method, GuardLayer)>,
    every_other: Option<GuardLayer>,
}

impl PathLayers {
    /// Adds what some methods require, or names one that is there already.
    fn add(&mut self, methods: Option<&[Method]>, layer: GuardLayer) -> Result<(), String> {
        let Some(methods) = methods else {
            return match self.every_other.replace(layer) {
                Some(_) => Err("every method".to_owned()),
                None => Ok(()),
            };
        };
        for method in methods {
            if self.methods.iter().any(|(own, _)| own == method) {
                return Err(method.to_string());
            }
            self.methods.push((method.clone(), layer.clone()));
        }
        Ok(())
    }

    fn of(&self, method: &Method) -> Option<&GuardLayer> {
        let own = self.methods.iter().find(|(own, _)| own == method).map(|(_, layer)| layer);
        own.or(self.every_other.as_ref())
    }
}

/// A [`RouteTable`] with its guard, as a layer.
#[derive(Clone)]
pub struct TableLayer {
    router: Arc<Router<PathLayers>>,
    unlisted: GuardLayer,
    edge: Edge,
}

impl TableLayer {
    fn of(&self, method: &Method, path: &str) -> &GuardLayer {
        let found = self.router.at(path).ok().and_then(|found| found.value.of(method));
        found.unwrap_or(&self.unlisted)
    }
}

impl fmt::Debug for TableLayer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TableLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for TableLayer {
    type Service = Edged<TableGuarded<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.edge.layer(TableGuarded { table: self.clone(), inner })
    }
}

/// A service behind a [`RouteTable`].
#[derive(Clone, Debug)]
pub struct TableGuarded<S> {
    table: TableLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for TableGuarded<S>
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
        let (method, path) = (request.method(), request.uri().path());
        let layer = self.table.of(method, path);
        // A service may decode the path before it looks for the route: where that leads elsewhere, nobody knows what is meant.
        let decoded = path.contains('%').then(|| percent_decode_str(path).decode_utf8_lossy());
        if decoded.is_some_and(|decoded| !std::ptr::eq(self.table.of(method, &decoded), layer)) {
            return layer.refuse_path(PathFault::TwoRoutes, &request);
        }
        layer.handle(&mut self.inner, request)
    }
}
