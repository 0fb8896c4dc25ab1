//! What a router of axum shows of itself.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;

use crate::routes::methods_shown;

/// The routes of a router: it tells nobody of them but in its debug text.
pub(crate) struct Shown {
    /// The methods by path.
    pub(crate) routes: BTreeMap<String, Vec<String>>,
    /// Whether somebody answers what no route has.
    pub(crate) has_fallback: bool,
}

/// How axum calls what follows the prefix of a service that is nested.
const TAIL: &str = "__private__axum_nest_tail_param";

impl Shown {
    pub(crate) fn of<S>(router: &Router<S>) -> Option<Self> {
        Self::read(&format!("{router:?}"))
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix("Router { path_router: PathRouter { routes: {")?;
        let (routes, rest) = text.split_once("}, node: Node { paths: {")?;
        let (paths, rest) = rest.split_once("} } }, fallback_router: ")?;
        let (_, fallback) = rest.rsplit_once(", catch_all_fallback: ")?;
        let (before, _) = rest.rsplit_once(", catch_all_fallback: ")?;
        let (_, is_default) = before.rsplit_once("default_fallback: ")?;
        let endpoints: BTreeMap<&str, &str> = entries(routes)?.into_iter().collect();
        let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (id, path) in entries(paths)? {
            let path: String = serde_json::from_str(path.trim_end_matches([',', ' '])).ok()?;
            let methods = match endpoints.get(id)?.strip_prefix("MethodRouter(") {
                Some(by_method) => methods_shown(by_method),
                None => vec!["*".to_owned()],
            };
            shown.entry(path.replace(TAIL, "rest")).or_default().extend(methods);
        }
        let routes = shown.into_iter().map(|(path, methods)| (path, methods.into_iter().collect())).collect();
        let has_fallback = is_default != "true" || !fallback.starts_with("Default(");
        Some(Self { routes, has_fallback })
    }
}

/// What is shown of each route, by its number.
fn entries(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut parts = text.split("RouteId(");
    parts.next().filter(|before| before.is_empty())?;
    parts.map(|part| part.split_once("): ")).collect()
}

#[cfg(test)]
mod tests {
    use axum::routing::{any, get, post};
    use tower::service_fn;

    use super::*;

    async fn handler() {}

    fn table(router: &Router) -> (Vec<String>, bool) {
        let shown = Shown::of(router).expect("axum shows its routes in another way");
        let rows = shown.routes.into_iter().map(|(path, methods)| format!("{path} {}", methods.join(" ")));
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
            "/a GET HEAD POST",
            "/files *",
            "/files/ *",
            "/files/{*rest} *",
            "/in/{id} DELETE GET HEAD",
            "/one *",
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
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        for text in ["", "Router", "Router { path_router: PathRouter { routes: {", "Router { inner: X }"] {
            assert!(Shown::read(text).is_none(), "{text}");
        }
    }
}
