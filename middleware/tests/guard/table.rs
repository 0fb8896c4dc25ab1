//! Services that are not routers of axum, and callers that speak gRPC.

use std::convert::Infallible;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use portcullis_guard::{
    Body, Guard, InputPolicy, Limits, Policy, Principal, Quota, RouteFault, RouteTable, SharedPolicy, public,
    rbac, scope,
};
use serde_json::json;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use crate::service::{guard_of, policy};
use crate::signer::Signer;

type Plain = BoxCloneSyncService<Request<Full<bytes::Bytes>>, Response<Body>, Infallible>;

fn table() -> RouteTable {
    RouteTable::new()
        .route("/shop.v1.Orders/List", rbac("orders", "read"))
        .route("/shop.v1.Orders/Create", rbac("orders", "create"))
        .route("/shop.v1.Orders/Cancel", scope("orders"))
        .route("/health/{*check}", public())
        .methods([Method::GET, Method::HEAD], "/orders/{id}", rbac("orders", "read"))
        .methods([Method::DELETE], "/orders/{id}", rbac("orders", "delete"))
}

/// A plain tower service behind the table: its body is another type than that of its answers.
async fn plain(signer: &Signer) -> Plain {
    let rules = Policy::shared(SharedPolicy::new(policy("p, viewer, *, orders, read", 1)));
    let guard = guard_of(signer).policy(rules).build().await.unwrap();
    let echo = service_fn(async |request: Request<Body>| {
        let who = request.extensions().get::<Principal>().map(|who| who.subject().to_owned());
        let sent = request.into_body().collect().await.unwrap().to_bytes();
        let text = format!("{}:{}", who.unwrap_or_default(), sent.len());
        Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from(text))))
    });
    BoxCloneSyncService::new(table().grpc().guarded_by(&guard).unwrap().layer(echo))
}

async fn call(
    service: &Plain,
    request: http::request::Builder,
    body: &'static str,
) -> (StatusCode, HeaderMap, String) {
    let response = service.clone().oneshot(request.body(Full::from(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn asking(method: &str, path: &str, token: Option<&str>) -> http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    }
}

#[tokio::test]
async fn a_plain_service_is_guarded_by_path_and_method() {
    let signer = Signer::es256("a");
    let service = plain(&signer).await;
    let viewer = signer.token(&json!({ "roles": ["viewer"] }));
    for (method, path, token, status) in [
        ("GET", "/orders/17", Some(&viewer), 200),
        ("HEAD", "/orders/17", Some(&viewer), 200),
        ("DELETE", "/orders/17", Some(&viewer), 403),
        ("PUT", "/orders/17", Some(&viewer), 403),
        ("GET", "/orders", Some(&viewer), 403),
        ("GET", "/orders/17/lines", Some(&viewer), 403),
        ("GET", "/orders/", Some(&viewer), 403),
        ("GET", "/orders/17", None, 401),
        ("GET", "/nowhere", None, 401),
        ("GET", "/health/db", None, 200),
        ("GET", "/health/../orders/17", None, 400),
        ("POST", "/shop.v1.Orders/List", Some(&viewer), 200),
        ("POST", "/shop.v1.Orders/list", Some(&viewer), 403),
        ("POST", "/shop.v1.Orders/Create", Some(&viewer), 403),
    ] {
        let (is, _, _) = call(&service, asking(method, path, token.map(String::as_str)), "").await;
        assert_eq!(is, status, "{method} {path}");
    }
    let (_, _, text) = call(&service, asking("GET", "/orders/1", Some(&viewer)), "four").await;
    assert_eq!(text, "alice:4", "the caller and the body arrive");
}

#[tokio::test]
async fn a_grpc_caller_is_refused_by_a_status_that_it_understands() {
    let signer = Signer::es256("a");
    let service = plain(&signer).await;
    let viewer = signer.token(&json!({ "roles": ["viewer"] }));
    for (path, token, grpc) in [
        ("/shop.v1.Orders/List", None, "16"),
        ("/shop.v1.Orders/List", Some("x.y.z"), "16"),
        ("/shop.v1.Orders/Create", Some(viewer.as_str()), "7"),
        ("/shop.v1.Orders/Cancel", Some(viewer.as_str()), "7"),
        ("/shop.v1.Orders/Unknown", Some(viewer.as_str()), "7"),
    ] {
        let request = asking("POST", path, token).header("content-type", "application/grpc+proto");
        let (status, headers, body) = call(&service, request, "").await;
        assert_eq!((status, headers["grpc-status"].to_str().unwrap()), (StatusCode::OK, grpc), "{path}");
        assert!(headers["content-type"] == "application/grpc" && body.is_empty());
        assert!(!headers["grpc-message"].is_empty());
        assert_eq!(headers.contains_key("x-decision-id"), grpc == "7", "{headers:?}");
        assert_eq!(headers.contains_key("www-authenticate"), grpc == "16" || path.ends_with("Cancel"));
    }
    let request =
        asking("POST", "/shop.v1.Orders/List", Some(&viewer)).header("content-type", "application/grpc");
    let (status, headers, text) = call(&service, request, "message").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "alice:7"));
    assert!(!headers.contains_key("grpc-status"), "the service answers itself");
}

#[tokio::test]
async fn a_grpc_caller_that_asks_too_often_is_told_so() {
    let signer = Signer::es256("a");
    let limits = Limits::new().by_identity(Quota::per_minute(1));
    let guard = guard_of(&signer).limits(limits).build().await.unwrap();
    let ok = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let layer = RouteTable::new()
        .grpc()
        .route("/a.B/C", portcullis_guard::authenticated())
        .guarded_by(&guard)
        .unwrap();
    let service: Plain = BoxCloneSyncService::new(layer.layer(ok));
    let token = signer.token(&json!({}));
    let mut last = None;
    for _ in 0..2 {
        let request = asking("POST", "/a.B/C", Some(&token)).header("content-type", "application/grpc");
        last = call(&service, request, "").await.1.get("grpc-status").cloned();
    }
    assert_eq!(last.unwrap(), "8");
}

#[tokio::test]
async fn a_table_that_could_mean_two_things_is_refused() {
    let signer = Signer::es256("a");
    let guard: Guard = guard_of(&signer).build().await.unwrap();
    let built = |table: RouteTable| table.guarded_by(&guard).map(drop);
    let twice = RouteTable::new().route("/a", public()).route("/a", rbac("a", "read"));
    assert!(matches!(built(twice), Err(RouteFault::Twice { .. })));
    let get = || [Method::GET, Method::HEAD];
    let twice = RouteTable::new().methods(get(), "/a", public()).methods([Method::HEAD], "/a", public());
    assert_eq!(built(twice).unwrap_err().to_string(), "the route `/a` is there twice for HEAD");
    for (one, other) in [("/{a}", "/{b}"), ("/{*a}", "/{*b}")] {
        let both = RouteTable::new().route(one, public()).route(other, rbac("a", "read"));
        assert!(matches!(built(both), Err(RouteFault::Path { .. })), "{one} {other}");
    }
    for path in ["/{a", "/{}", "/{*a}/b"] {
        let error = built(RouteTable::new().route(path, public())).unwrap_err();
        assert!(matches!(error, RouteFault::Path { .. }), "{path}: {error}");
    }
    for (path, told) in [
        ("orders", "a path begins with `/`"),
        ("", "a path begins with `/`"),
        ("/orders/:id", "a parameter is written `{name}`"),
        ("/files/*rest", "a parameter is written `{name}`"),
    ] {
        let error = built(RouteTable::new().route(path, public())).unwrap_err().to_string();
        assert!(error.contains(told), "{path}: {error}");
    }
    let both = built(RouteTable::new().route("/{a}", public()).route("/{b}", public())).unwrap_err();
    assert!(both.to_string().contains("it matches requests that `/{a}` matches"), "{both}");
    built(RouteTable::new().route("/orders:batch", public())).unwrap();
    let none = built(RouteTable::new().methods([], "/a", public()));
    assert!(matches!(none, Err(RouteFault::NoMethod { .. })), "an empty list is not every method");
    built(RouteTable::new().methods(get(), "/a", public()).route("/a", rbac("a", "write"))).unwrap();
}

#[tokio::test]
async fn whoever_says_that_they_speak_grpc_where_nobody_does_gains_nothing() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).input(InputPolicy::strict().max_body(1_000)).build().await.unwrap();
    let count = service_fn(async |request: Request<Body>| {
        let read = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
        Ok::<_, Infallible>(Response::new(Body::from(read.to_string())))
    });
    let routes = || RouteTable::new().route("/open", public()).route("/closed", rbac("a", "read"));
    let plain: Plain = BoxCloneSyncService::new(routes().guarded_by(&guard).unwrap().layer(count));
    let says = |path: &str| asking("POST", path, None).header("content-type", "application/grpc+json");
    let (status, headers, _) = call(&plain, says("/closed"), "").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(!headers.contains_key("grpc-status"));
    let long: &'static str = "[1,".repeat(1_000).leak();
    assert_eq!(call(&plain, says("/open"), long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let grpc: Plain = BoxCloneSyncService::new(routes().grpc().guarded_by(&guard).unwrap().layer(count));
    let (status, _, read) =
        call(&grpc, says("/open").header("transfer-encoding", "chunked"), "\0\0\0\0\u{3}[1,").await;
    assert_eq!((status, read.as_str()), (StatusCode::OK, "8"), "messages are not JSON here");
    // A row for some methods is not one of gRPC.
    let mixed = routes().methods([Method::POST], "/json", public()).grpc().guarded_by(&guard).unwrap();
    let mixed: Plain = BoxCloneSyncService::new(mixed.layer(count));
    assert_eq!(call(&mixed, says("/json"), "[1,").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_path_that_is_another_route_when_it_is_decoded_is_refused() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let ok = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let table = RouteTable::new().route("/v1/{name}", public()).route("/v1/things:purge", scope("admin"));
    let service: Plain = BoxCloneSyncService::new(table.guarded_by(&guard).unwrap().layer(ok));
    for (path, status) in [
        ("/v1/things:purge", 401),
        ("/v1/things%3Apurge", 400),
        ("/v1/things%3apurge", 400),
        ("/v1/other%3Apurge", 200),
        ("/v1/a%20b", 200),
    ] {
        assert_eq!(call(&service, asking("POST", path, None), "").await.0, status, "{path}");
    }
}

#[tokio::test]
async fn a_slash_at_the_end_leads_to_nothing_else() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let table = RouteTable::new()
        .route("/admin", scope("admin"))
        .route("/open", scope("admin"))
        .route("/open/", public())
        .route("/{*rest}", public());
    let served = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let service = BoxCloneSyncService::new(table.guarded_by(&guard).unwrap().layer(served));
    let admin = signer.token(&json!({ "scope": "admin" }));
    for (path, token, status) in [
        ("/admin", None, StatusCode::UNAUTHORIZED),
        ("/admin", Some(&*admin), StatusCode::OK),
        ("/admin/", None, StatusCode::UNAUTHORIZED),
        ("/admin/", Some(&*admin), StatusCode::FORBIDDEN),
        ("/admin/x", None, StatusCode::OK),
        ("/open", None, StatusCode::UNAUTHORIZED),
        ("/open/", None, StatusCode::OK),
    ] {
        assert_eq!(call(&service, asking("GET", path, token), "").await.0, status, "{path}");
    }
}

#[tokio::test]
async fn what_calls_itself_a_message_of_grpc_and_is_json_reaches_no_handler() {
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let echo = service_fn(async |request: Request<Body>| {
        let status = if request.into_body().collect().await.is_ok() { 200 } else { 400 };
        Ok::<_, Infallible>(Response::builder().status(status).body(Body::empty()).unwrap())
    });
    let table = RouteTable::new().route("/shop.v1.Orders/List", public()).grpc();
    let service = BoxCloneSyncService::new(table.guarded_by(&guard).unwrap().layer(echo));
    for (body, status) in [("{\"a\":1,\"a\":2}", 400), (" [1]", 400), ("\0\0\0\0\u{2}{}", 200), ("", 200)] {
        let request =
            asking("POST", "/shop.v1.Orders/List", None).header("content-type", "application/grpc+json");
        assert_eq!(call(&service, request, body).await.0.as_u16(), status, "{body:?}");
    }
}
