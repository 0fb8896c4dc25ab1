//! What a router of axum shows of itself.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;

use crate::routes::Handlers;

/// The routes of a router: it tells nobody of them but in its debug text.
pub(crate) struct Shown {
    /// Who answers, by path.
    pub(crate) routes: BTreeMap<String, Answerer>,
    /// Whether somebody answers what no route has.
    pub(crate) has_fallback: bool,
    /// The paths below which somebody answers what no route there has.
    pub(crate) fallbacks_below: BTreeSet<String>,
}

/// Who answers at a path.
pub(crate) enum Answerer {
    Methods(Handlers),
    /// A service that nobody can look into.
    Service,
}

/// How axum calls what follows the prefix of a service that is nested.
const TAIL: &str = "__private__axum_nest_tail_param";

/// How axum calls all that no route has.
const REST: &str = "/{*__private__axum_fallback}";

impl Shown {
    /// `None` if any of it is shown in a way that is not known here.
    pub(crate) fn of<S>(router: &Router<S>) -> Option<Self> {
        Self::read(&format!("{router:?}"))
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix("Router { path_router: ")?.strip_suffix(" }")?;
        let (routes, rest) = text.split_once(", fallback_router: ")?;
        let (rest, catch_all) = rest.rsplit_once(", catch_all_fallback: ")?;
        let (fallbacks, is_default) = rest.rsplit_once(", default_fallback: ")?;
        let has_fallback = match (is_default, catch_all) {
            ("true", "Default(Route)") => false,
            ("true" | "false", "BoxedHandler" | "Default(Route)" | "Service(Route)") => true,
            _ => return None,
        };
        let mut shown = BTreeMap::new();
        for (path, endpoint) in endpoints(routes)? {
            let answerer = match endpoint.strip_prefix("MethodRouter(") {
                Some(handlers) => Answerer::Methods(Handlers::read(handlers.strip_suffix(')')?)?),
                None if endpoint == "Route(Route)" => Answerer::Service,
                None => return None,
            };
            shown.insert(path.replace(TAIL, "rest"), answerer);
        }
        // What is not nested has the first two of them in any case.
        let paths = endpoints(fallbacks)?.into_iter().map(|(path, _)| path);
        let below = paths.filter(|path| path != "/" && path != REST);
        let fallbacks_below = below.map(|path| path.strip_suffix(REST).unwrap_or(&path).to_owned()).collect();
        Some(Self { routes: shown, has_fallback, fallbacks_below })
    }
}

/// What a part of a router shows of each of its paths.
fn endpoints(text: &str) -> Option<Vec<(String, &str)>> {
    let text = text.strip_prefix("PathRouter { routes: {")?.strip_suffix("} } }")?;
    let (routes, paths) = text.split_once("}, node: Node { paths: {")?;
    let mut by_id: BTreeMap<&str, &str> = entries(routes)?.into_iter().collect();
    let found = entries(paths)?.into_iter().map(|(id, path)| {
        let path: String = serde_json::from_str(path).ok()?;
        Some((path, by_id.remove(id)?))
    });
    let found: Option<Vec<_>> = found.collect();
    found.filter(|_| by_id.is_empty())
}

/// What is shown of each route, by its number.
fn entries(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut parts = text.split("RouteId(");
    parts.next().filter(|before| before.is_empty())?;
    parts
        .map(|part| {
            let (id, shown) = part.split_once("): ")?;
            Some((id, shown.strip_suffix(", ").unwrap_or(shown)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use axum::routing::{any, get, post};
    use tower::service_fn;

    use super::*;

    async fn handler() {}

    fn table(router: &Router) -> (Vec<String>, bool) {
        let shown = Shown::of(router).expect("axum shows its routes in another way");
        let rows = shown.routes.into_iter().map(|(path, answerer)| match answerer {
            Answerer::Service => format!("{path} service"),
            Answerer::Methods(Handlers { methods, others }) => {
                let methods: Vec<&str> = methods.into_iter().chain(others.then_some("*")).collect();
                format!("{path} {}", methods.join(" "))
            }
        });
        (rows.collect(), shown.has_fallback)
    }

    /// Whoever takes over a new version of axum finds out here whether it still shows them.
    #[test]
    fn the_routes_and_the_fallback_of_a_router_are_known() {
        let inner = Router::new().route("/{id}", get(handler).delete(handler));
        let service = service_fn(async |_| {
            Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::empty()))
        });
        let router = Router::new()
            .route("/", any(handler))
            .route("/a", get(handler))
            .route("/a", post(handler))
            .nest("/in", inner)
            .nest_service("/files", service)
            .route_service("/one", service)
            .layer(tower::layer::util::Identity::new());
        let rows = [
            "/ *",
            "/a GET POST",
            "/files service",
            "/files/ service",
            "/files/{*rest} service",
            "/in/{id} DELETE GET",
            "/one service",
        ];
        assert_eq!(table(&router), (rows.map(str::to_owned).to_vec(), false));
        assert_eq!(table(&Router::new()), (Vec::new(), false));
    }

    #[test]
    fn every_kind_of_fallback_is_one() {
        let service = service_fn(async |_| {
            Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::empty()))
        });
        let routed = || Router::new().route("/a", get(handler));
        for router in [
            routed().fallback(handler),
            routed().fallback_service(service),
            routed().merge(Router::new().fallback(handler)),
            routed().fallback(handler).layer(tower::layer::util::Identity::new()),
        ] {
            assert!(table(&router).1, "{router:?}");
        }
    }

    #[test]
    fn a_fallback_of_what_is_nested_is_known_by_its_path() {
        let below =
            |router: &Router| Shown::of(router).map(|shown| (shown.fallbacks_below, shown.has_fallback));
        let of = |paths: &[&str], outer| Some((paths.iter().map(|&path| path.to_owned()).collect(), outer));
        let inner = || Router::new().route("/{id}", get(handler)).fallback(handler);
        let nested = Router::new().nest("/in", inner());
        assert_eq!(below(&nested), of(&["/in"], false));
        assert_eq!(
            below(&Router::new().nest("/out", nested.clone()).merge(nested.clone())),
            of(&["/in"], false)
        );
        let deep = Router::new().nest("/out", nested.clone().fallback(handler));
        assert_eq!(below(&deep), of(&["/out", "/out/in"], false));
        assert_eq!(below(&nested.fallback(handler)), of(&["/in"], true));
        assert_eq!(
            below(&Router::new().nest("/in", Router::new().route("/a", get(handler)))),
            of(&[], false)
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        for text in ["", "Router", "Router { path_router: PathRouter { routes: {", "Router { inner: X }"] {
            assert!(Shown::read(text).is_none(), "{text}");
        }
        let router: Router = Router::new().route("/a", any(handler)).route_service("/b", any(handler));
        let known = format!("{router:?}");
        assert!(Shown::read(&known).is_some(), "{known}");
        for (part, other) in [
            ("MethodRouter { get: None", "MethodRouter { get: Nobody"),
            ("head: None", "head: None, query: BoxedHandler"),
            ("fallback: BoxedHandler", "fallback: None"),
            ("Route(Route)", "Handler(Route)"),
            ("\"/a\"", "\"/a\" [2]"),
            ("default_fallback: true", "default_fallback: 1"),
            ("catch_all_fallback: Default(Route)", "catch_all_fallback: Some(Route)"),
            ("catch_all_fallback: Default(Route)", "catch_all_fallback: Default(Route), other: Route"),
            ("RouteId(1): MethodRouter", "RouteId(9): MethodRouter"),
            ("fallback_router: PathRouter", "fallback_router: Router"),
        ] {
            assert!(known.contains(part), "{part} {known}");
            assert!(Shown::read(&known.replace(part, other)).is_none(), "{other}");
        }
    }
}
