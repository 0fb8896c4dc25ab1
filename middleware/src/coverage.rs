//! What the routes of a service have, for people and for tests.

#[cfg(feature = "axum")]
mod shown;

use std::collections::BTreeSet;
use std::fmt;

#[cfg(feature = "axum")]
use self::shown::Answerer;
#[cfg(feature = "axum")]
pub(crate) use self::shown::Shown;
use crate::authorize::Requirement;
use crate::guard::Guard;
use crate::route_options::RouteOptions;
#[cfg(feature = "axum")]
use crate::routes::Handlers;

/// What each route of a service has: its methods, what it requires, its limits and whose input policy. Made by
/// [`GuardedRouter::coverage`](crate::GuardedRouter::coverage) and [`RouteTable::coverage`](crate::RouteTable::coverage).
///
/// As a text it is a table, and a test holds a service to it:
///
/// ```
/// use axum::Router;
/// use axum::routing::{get, post};
/// use portcullis_guard::{Guard, GuardExt, GuardedRouter, Issuer, public, rbac};
///
/// fn routes() -> GuardedRouter {
///     GuardedRouter::new()
///         .route("/orders", get(async || "orders").guard(rbac("orders", "read")))
///         .route("/orders", post(async || "created").guard(rbac("orders", "create")))
///         .route("/health", get(async || "ok").guard(public()))
/// }
///
/// fn app(guard: &Guard) -> Router {
///     routes().guarded_by(guard).route("/metrics", get(async || "0 requests"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1","alg":"ES256","use":"sig"}"#;
/// # let issuer = Issuer::static_jwks("https://id.test", format!(r#"{{"keys":[{key}]}}"#));
/// # let guard = Guard::builder().audience("https://a.test").issuer(issuer).manual_refresh().build().await?;
/// let coverage = routes().coverage(&guard);
/// println!("{coverage}");
/// coverage.assert_open_only(["/health"]);
/// // Somebody added a route behind the guard's back. If that is meant, it is said:
/// assert_eq!(coverage.unguarded(&app(&guard)).len(), 1);
/// coverage.leave_open("/metrics").assert_no_unguarded(&app(&guard));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a report that nobody reads finds nothing"]
pub struct Coverage {
    routes: Vec<CoveredRoute>,
    left_open: BTreeSet<String>,
}

/// What one route has.
#[derive(Clone, Debug)]
pub struct CoveredRoute {
    path: String,
    methods: Vec<String>,
    requirement: Requirement,
    limits: Vec<&'static str>,
    has_own_input: bool,
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "only a router of axum is held to it"))]
    reach: Reach,
}

/// What of its path a route has behind it.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// Whatever answers to its methods: the guard is around the service.
    Around,
    /// These handlers and no others; `None` where it is not known which.
    #[cfg(feature = "axum")]
    Handlers(Option<Handlers>),
}

impl CoveredRoute {
    /// The template of its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its methods; `*` for every one.
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// What it requires.
    pub const fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// The names of its limits: those of the guard, then its own.
    pub fn limits(&self) -> &[&'static str] {
        &self.limits
    }

    /// Whether it has an input policy of its own in place of that of the guard.
    pub const fn has_own_input(&self) -> bool {
        self.has_own_input
    }

    /// Whether callers without a token get to its handler.
    pub fn is_open(&self) -> bool {
        self.requirement.admits_anonymous()
    }

    fn row(&self) -> [String; 5] {
        [
            self.methods.join(" "),
            self.path.clone(),
            self.requirement.to_string(),
            if self.limits.is_empty() { "-".to_owned() } else { self.limits.join(" ") },
            if self.has_own_input { "own" } else { "guard" }.to_owned(),
        ]
    }
}

impl Coverage {
    pub(crate) const fn new() -> Self {
        Self { routes: Vec::new(), left_open: BTreeSet::new() }
    }

    pub(crate) fn add(
        &mut self,
        guard: &Guard,
        (path, methods, reach): (&str, Vec<String>, Reach),
        requirement: &Requirement,
        options: &RouteOptions,
    ) {
        self.routes.push(CoveredRoute {
            path: path.to_owned(),
            methods,
            requirement: requirement.clone(),
            limits: guard.limits_of(requirement),
            has_own_input: options.input.is_some(),
            reach,
        });
    }

    /// The routes, as they were added.
    pub fn routes(&self) -> &[CoveredRoute] {
        &self.routes
    }

    /// The same routes below a path, as where axum nests a router in another one: what is at `/` is then at the path itself.
    pub fn under(mut self, prefix: &str) -> Self {
        self.routes.iter_mut().for_each(|route| route.path = below(prefix, &route.path));
        self.left_open = self.left_open.iter().map(|path| below(prefix, path)).collect();
        self
    }

    /// These routes and those of another report.
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self.left_open.extend(other.left_open);
        self
    }

    /// Says of a path that it is not guarded and not meant to be: of the metadata of the service, or of what signs people in.
    pub fn leave_open(mut self, path: impl Into<String>) -> Self {
        self.left_open.insert(path.into());
        self
    }

    /// Ends the test unless these routes, and no others, have handlers that callers without a token get to. A route is named by its
    /// method and its path, such as `POST /hooks/paid`. A path alone is the name of what reads there: `GET` and `HEAD`. One that is
    /// there for every method is named as the report shows it, as `* /assets/{*path}`.
    ///
    /// # Panics
    ///
    /// With the routes that are open and not named, and the names that no open route has.
    pub fn assert_open_only<'p>(&self, names: impl IntoIterator<Item = &'p str>) {
        let open = self.routes.iter().filter(|route| route.is_open());
        let open: Vec<(&str, &str)> = open
            .flat_map(|route| route.methods.iter().map(|method| (method.as_str(), route.path.as_str())))
            .collect();
        let names: BTreeSet<&str> = names.into_iter().collect();
        let more: BTreeSet<String> = open
            .iter()
            .filter(|route| !names.iter().any(|name| is_name(name, **route)))
            .map(|(method, path)| format!("{method} {path}"))
            .collect();
        let fewer: Vec<&&str> =
            names.iter().filter(|name| !open.iter().any(|route| is_name(name, *route))).collect();
        assert!(more.is_empty() && fewer.is_empty(), "open beside: {more:?}, not open: {fewer:?}\n{self}");
    }
}

/// Where axum has a path of a router that is nested.
pub(crate) fn below(prefix: &str, path: &str) -> String {
    match prefix.strip_suffix('/') {
        Some(prefix) => format!("{prefix}/{}", path.trim_start_matches('/')),
        None if path == "/" && !prefix.is_empty() => prefix.to_owned(),
        None => format!("{prefix}{path}"),
    }
}

/// Whether somebody means a method of a path by a name.
fn is_name(name: &str, (method, path): (&str, &str)) -> bool {
    match name.split_once(' ') {
        Some((named, at)) => named == method && at == path,
        None => name == path && ["GET", "HEAD"].contains(&method),
    }
}

/// What a router answers that is in no report.
#[cfg(feature = "axum")]
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unguarded {
    /// What no route has is answered by somebody.
    Fallback,
    /// What no route has below a path is answered by somebody: by the fallback of a router that is nested there.
    FallbackBelow {
        /// The path.
        path: String,
    },
    /// A route.
    Route {
        /// The template of its path.
        path: String,
        /// Its methods that are in no report; `*` for any.
        methods: Vec<String>,
    },
    /// The router, or one of its routes, cannot be read: it is of a version of axum that this crate does not know.
    Unreadable,
}

#[cfg(feature = "axum")]
impl fmt::Display for Unguarded {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fallback => out.write_str("a fallback answers what no route has"),
            Self::FallbackBelow { path } => write!(out, "a fallback answers what no route has below {path}"),
            Self::Route { path, methods } => write!(out, "{} {path}", methods.join(" ")),
            Self::Unreadable => out.write_str("the router cannot be read"),
        }
    }
}

#[cfg(feature = "axum")]
impl Coverage {
    /// What a router shows that is in no route.
    pub(crate) fn beside(&self, shown: Option<Shown>) -> Vec<Unguarded> {
        let Some(shown) = shown else { return vec![Unguarded::Unreadable] };
        let mut found = Vec::new();
        for (path, answerer) in shown.routes {
            if self.left_open.contains(&path) {
                continue;
            }
            let Some(methods) = self.left_of(&path, answerer) else { return vec![Unguarded::Unreadable] };
            if !methods.is_empty() {
                found.push(Unguarded::Route { path, methods });
            }
        }
        found.extend(shown.fallbacks_below.into_iter().map(|path| Unguarded::FallbackBelow { path }));
        if shown.has_fallback {
            found.push(Unguarded::Fallback);
        }
        found
    }

    /// The methods at a path that somebody answers who is behind no route; `None` where that is not known.
    fn left_of(&self, path: &str, answerer: Answerer) -> Option<Vec<String>> {
        let mut around: BTreeSet<&str> = BTreeSet::new();
        let mut behind = Handlers::default();
        for route in self.routes.iter().filter(|route| route.path == path) {
            match &route.reach {
                Reach::Around => around.extend(route.methods.iter().map(String::as_str)),
                Reach::Handlers(handlers) => {
                    let Handlers { methods, others } = handlers.as_ref()?;
                    behind.methods.extend(methods);
                    behind.others |= others;
                }
            }
        }
        if around.contains("*") {
            return Some(Vec::new());
        }
        let every = Some(vec!["*".to_owned()]);
        let Answerer::Methods(Handlers { methods, others }) = answerer else { return every };
        if others && !behind.others {
            return every;
        }
        let is_left = |method: &str| !behind.methods.contains(method) && !around.contains(method);
        let mut left: BTreeSet<&str> = methods.iter().copied().filter(|method| is_left(method)).collect();
        if left.contains("GET") && !methods.contains("HEAD") {
            left.insert("HEAD");
        }
        Some(left.into_iter().map(str::to_owned).collect())
    }
}

const TITLES: [&str; 5] = ["METHODS", "PATH", "REQUIRES", "LIMITS", "INPUT"];

impl fmt::Display for Coverage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = TITLES.map(str::to_owned);
        let rows: Vec<[String; 5]> =
            std::iter::once(titles).chain(self.routes.iter().map(CoveredRoute::row)).collect();
        let mut widths = [0; 5];
        for row in &rows {
            widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.chars().count().max(*width));
        }
        for row in &rows {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        self.left_open.iter().try_for_each(|path| writeln!(out, "not guarded, and meant to be: {path}"))
    }
}
