//! The metadata of a service, which its router serves by itself (RFC 9728).

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Method, Request, StatusCode};
use portcullis_guard::{
    Caps, Cors, Guard, GuardExt, GuardedRouter, ProtectedResource, authenticated, public, scope,
};
use serde_json::Value;

use crate::service::{Answer, guard_of, send};
use crate::signer::Signer;

const MCP: &str = "/.well-known/oauth-protected-resource/mcp";

async fn guard(resource: ProtectedResource) -> Guard {
    let resource = resource.identifier("https://api.test/mcp");
    let guard =
        guard_of(&Signer::es256("a")).protected_resource(resource).cors(Cors::origins(["https://app.test"]));
    guard.caps(Caps::new().body(1)).build().await.unwrap()
}

fn routes() -> GuardedRouter {
    GuardedRouter::new()
        .route("/mcp", get(async || "tools").guard(scope("tools")))
        .route("/health", get(async || "ok").guard(public()))
}

async fn ask(app: &Router, method: Method, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("origin", "https://other.test");
    send(app, request.body(Body::empty()).unwrap()).await
}

// RFC 9728 §3.1
#[tokio::test]
async fn a_guarded_router_serves_the_metadata_where_challenges_lead_to() {
    let guard = guard(ProtectedResource::new().name("Tools")).await;
    let app = routes().guarded_by(&guard);
    let challenge = ask(&app, Method::GET, "/mcp").await;
    assert_eq!(challenge.status, StatusCode::UNAUTHORIZED);
    let place = format!("resource_metadata=\"https://api.test{MCP}\"");
    assert!(challenge.header("www-authenticate").contains(&place), "{challenge:?}");
    let answer = ask(&app, Method::GET, MCP).await;
    let metadata: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&metadata["resource"], &metadata["resource_name"]),
        (&"https://api.test/mcp".into(), &"Tools".into())
    );
    assert_eq!(metadata["scopes_supported"], serde_json::json!(["tools"]));
    assert_eq!(answer.header("access-control-allow-origin"), "*", "pages of everybody may read it");
    assert_eq!(ask(&app, Method::HEAD, MCP).await.status, StatusCode::OK);
    assert_eq!(ask(&app, Method::POST, MCP).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        ask(&app, Method::GET, "/.well-known/oauth-protected-resource").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_is_around_the_routes_is_around_unknown_paths_too() {
    let app: Router = routes().guarded_by(&guard(ProtectedResource::new()).await);
    let unknown = Request::post("/nowhere").body(Body::from("ab")).unwrap();
    assert_eq!(send(&app, unknown).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_report_of_a_router_knows_of_the_metadata() {
    let guard = guard(ProtectedResource::new()).await;
    let coverage = routes().coverage(&guard);
    coverage.assert_no_unguarded(&routes().guarded_by(&guard));
    coverage.assert_open_only(["/health"]);
    let more = routes().guarded_by(&guard).route("/more", get(async || "more"));
    assert_eq!(coverage.unguarded(&more).len(), 1);
}

#[tokio::test]
async fn what_is_served_apart_is_where_the_service_puts_it() {
    let guard = guard(ProtectedResource::new().served_apart()).await;
    let nested = || Router::new().nest("/api", routes().guarded_by(&guard));
    for path in [MCP.to_owned(), format!("/api{MCP}")] {
        assert_eq!(ask(&nested(), Method::GET, &path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let app = nested().merge(guard.metadata_router());
    assert_eq!(ask(&app, Method::GET, MCP).await.status, StatusCode::OK);
    // Two routers of one guard are merged without either having it.
    let more = GuardedRouter::new().route("/more", get(async || "more").guard(authenticated()));
    let both: Router = routes().guarded_by(&guard).merge(more.guarded_by(&guard));
    assert_eq!(ask(&both, Method::GET, "/health").await.status, StatusCode::OK);
    let coverage = routes().coverage(&guard);
    assert_eq!(coverage.unguarded(&routes().guarded_by(&guard).merge(guard.metadata_router())).len(), 1);
}
