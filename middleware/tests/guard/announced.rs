//! Routes that a guard tells the server of.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::routing::{any, get};
use http::StatusCode;
use portcullis_guard::{
    BuildError, GuardExt, GuardedRouter, Requirement, RouteTable, authenticated, optional, public, rbac,
    scope,
};
use serde_json::{Value, json};

use crate::machine::{ALLOWED, Machine, SERVED};
use crate::service::{guard_of, service};
use crate::signer::AUDIENCE;

const HOUR: Duration = Duration::from_hours(1);

fn hex(text: &str) -> String {
    let bytes = digest(&SHA256, text.as_bytes());
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

async fn machine() -> Machine {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    machine
}

fn routes<const N: usize>(routes: [(&str, Requirement); N]) -> GuardedRouter {
    routes.into_iter().fold(GuardedRouter::new(), |router, (path, requirement)| {
        router.route(path, get(async || "ok").guard(requirement))
    })
}

/// The one document that the issuer was told.
fn told(machine: &Machine) -> Value {
    let known = machine.issuer.routes().known.clone();
    assert_eq!(known.len(), 1, "{known:?}");
    let (name, text) = known.into_iter().next().unwrap();
    assert_eq!(name, hex(&text), "it is named by its digest");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn the_routes_of_a_service_are_told_with_what_each_requires() {
    let machine = machine().await;
    let guard =
        machine.builder(machine.endpoint(), AUDIENCE).service_version("1.4.0+7").build().await.unwrap();
    let both = scope("orders").and(rbac("orders", "read").or(public()));
    let health = GuardedRouter::<()>::new().route("/health", any(async || "ok").guard(public()));
    let app = routes([("/orders/{id}", both), ("/me", authenticated()), ("/hello", optional())]);
    let _ = app.merge(GuardedRouter::new().nest("/v1", health)).guarded_by(&guard);
    guard.refresh().await;
    let read = json!(["GET", "HEAD"]);
    assert_eq!(
        told(&machine),
        json!({
            "api": AUDIENCE,
            "version": "1.4.0+7",
            "routes": [
                { "methods": read, "path": "/hello", "requires": "optional" },
                { "methods": read, "path": "/me", "requires": "authenticated" },
                { "methods": read, "path": "/orders/{id}", "requires": { "all": [
                    { "scope": "orders" },
                    { "any": [{ "rbac": { "object": "orders", "action": "read" } }, "public"] },
                ] } },
                { "methods": ["*"], "path": "/v1/health", "requires": "public" },
            ],
        })
    );
    assert_eq!(machine.issuer.routes().authorization.as_deref(), Some("Basic b3JkZXJzOnMzY3JldA=="));
}

#[tokio::test]
async fn what_handlers_ask_is_told_where_it_is_said() {
    let machine = machine().await;
    let guard = machine.start().await;
    let rename = rbac("files/{name}", "rename").and(scope("files"));
    let graphql =
        any(async || "ok").guard(authenticated()).asks(rbac("files/{name}", "read")).asks(rename.clone());
    let _ = GuardedRouter::<()>::new().route("/graphql", graphql).guarded_by(&guard);
    let table =
        RouteTable::new().route("/table", authenticated()).asks(rename).route("/other", authenticated());
    let _ = table.guarded_by(&guard).unwrap();
    guard.refresh().await;
    let rbac = |action: &str| json!({ "rbac": { "object": "files/{name}", "action": action } });
    assert_eq!(
        told(&machine)["routes"],
        json!([
            {
                "asks": [rbac("read"), rbac("rename")],
                "methods": ["*"], "path": "/graphql", "requires": "authenticated",
            },
            { "methods": ["*"], "path": "/other", "requires": "authenticated" },
            { "asks": [rbac("rename")], "methods": ["*"], "path": "/table", "requires": "authenticated" },
        ])
    );
}

#[tokio::test]
async fn many_replicas_tell_once_and_each_asks_again_after_an_hour() {
    let machine = machine().await;
    let guards = [machine.start().await, machine.start().await];
    for guard in &guards {
        let _ = service(guard);
        for _ in 0..3 {
            guard.refresh().await;
        }
    }
    let heard = machine.issuer.routes().clone();
    assert_eq!((heard.sent, heard.asked), (1, 2));
    machine.dial.turn(HOUR);
    guards[0].refresh().await;
    assert_eq!(machine.issuer.routes().asked, 3);
    // A server that was restored from a backup, or told to forget.
    machine.issuer.routes().known.clear();
    machine.dial.turn(HOUR);
    guards[0].refresh().await;
    assert_eq!(machine.issuer.routes().sent, 2);
    told(&machine);
}

#[tokio::test]
async fn routes_that_are_added_later_are_told_together_with_the_others() {
    let machine = machine().await;
    let guard = machine.start().await;
    guard.refresh().await;
    assert_eq!(machine.issuer.routes().asked, 0, "there is nothing to tell yet");
    let _ = routes([("/a", public())]).guarded_by(&guard);
    guard.refresh().await;
    machine.issuer.routes().known.clear();
    let _ = routes([("/b", public()), ("/a", public())]).guarded_by(&guard);
    guard.refresh().await;
    let document = told(&machine);
    let paths: Vec<_> = document["routes"].as_array().unwrap().iter().map(|route| &route["path"]).collect();
    assert_eq!(paths, ["/a", "/b"]);
    assert_eq!(document.get("version"), None);
}

#[tokio::test]
async fn a_server_that_is_away_is_told_later_and_nothing_waits_for_it() {
    let machine = machine().await;
    let guard = machine.start().await;
    let _ = service(&guard);
    machine.issuer.leave();
    guard.refresh().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    machine.issuer.come_back();
    for passing in
        [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED, StatusCode::INTERNAL_SERVER_ERROR]
    {
        machine.issuer.routes().refusal = Some(passing);
        let before = machine.issuer.routes().sent;
        guard.refresh().await;
        assert_eq!(machine.issuer.routes().sent, before + 1, "{passing}");
    }
    machine.issuer.routes().refusal = None;
    guard.refresh().await;
    told(&machine);
}

#[tokio::test]
async fn a_server_that_takes_none_is_left_alone_for_an_hour() {
    for refusal in [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::UNPROCESSABLE_ENTITY] {
        let machine = machine().await;
        let guard = machine.start().await;
        let _ = service(&guard);
        machine.issuer.routes().refusal = Some(refusal);
        for _ in 0..3 {
            guard.refresh().await;
        }
        assert_eq!(machine.issuer.routes().sent, 1, "{refusal}");
        assert_eq!(machine.statuses(&guard).await, SERVED);
        machine.dial.turn(HOUR);
        guard.refresh().await;
        assert_eq!(machine.issuer.routes().sent, 2, "{refusal}");
    }
}

#[tokio::test]
async fn routes_are_hidden_on_request_and_where_no_server_hands_out_the_policy() {
    let machine = machine().await;
    let hiding = machine.builder(machine.endpoint(), AUDIENCE).hide_routes().build().await.unwrap();
    let local = guard_of(&machine.signer).build().await.unwrap();
    for guard in [hiding, local] {
        let _ = service(&guard);
        guard.refresh().await;
    }
    assert_eq!(machine.issuer.routes().asked, 0);
}

#[tokio::test]
async fn more_routes_than_a_server_takes_are_not_told() {
    let machine = machine().await;
    let guard = machine.start().await;
    let many = (0..2_001).map(|at| (format!("/{at}"), get(async || "ok").guard(public())));
    let app = many.fold(GuardedRouter::<()>::new(), |router, (path, route)| router.route(path, route));
    let _ = app.guarded_by(&guard);
    guard.refresh().await;
    assert_eq!(machine.issuer.routes().asked, 0);
    let long = machine.start().await;
    let name = "x".repeat(900);
    let many = (0..300).map(|at| (format!("/{at}/{name}"), get(async || "ok").guard(public())));
    let app = many.fold(GuardedRouter::<()>::new(), |router, (path, route)| router.route(path, route));
    let _ = app.guarded_by(&long);
    long.refresh().await;
    assert_eq!(machine.issuer.routes().asked, 0);
}

#[tokio::test]
async fn a_version_that_is_none_is_found_out_when_the_guard_is_built() {
    let machine = machine().await;
    for wrong in ["", "1 2", "1/2", &"1".repeat(65)] {
        let built = machine.builder(machine.endpoint(), AUDIENCE).service_version(wrong).build().await;
        assert!(matches!(built, Err(BuildError::ServiceVersion(_))), "{wrong}");
    }
}
