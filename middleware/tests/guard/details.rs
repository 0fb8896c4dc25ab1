//! What tokens may be used for in detail (RFC 9396).

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use portcullis_guard::{
    GuardExt, GuardedRouter, Principal, ProtectedResource, authenticated, details, scope,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::service::{fetch, guard_of, request, send};
use crate::signer::Signer;

#[derive(Deserialize)]
struct Payment {
    amount: u64,
}

async fn app(signer: &Signer) -> Router {
    let resource = ProtectedResource::new().authorization_details_types(["statement"]);
    let guard = guard_of(signer).protected_resource(resource).build().await.unwrap();
    let small = authenticated().details("payment", |payment: &Payment| payment.amount <= 100);
    let total = async |caller: Principal| {
        let amounts = caller.details::<Payment>("payment").iter().map(|payment| payment.amount).sum::<u64>();
        amounts.to_string()
    };
    GuardedRouter::new()
        .route("/total", get(total).guard(authenticated()))
        .route("/payments", post(async || "paid").guard(small.and(scope("pay"))))
        .route("/payments", get(async || "listed").guard(details("payment").or(details("account"))))
        .guarded_by(&guard)
}

fn token(signer: &Signer, details: &Value) -> String {
    signer.token(&json!({ "scope": "pay", "authorization_details": details }))
}

// RFC 9396 §9
#[tokio::test]
async fn a_handler_reads_the_details_of_a_type() {
    let signer = Signer::es256("a");
    let app = app(&signer).await;
    for (details, total) in [
        (json!([{ "type": "payment", "amount": 7 }, { "type": "payment", "amount": 5 }]), "12"),
        (json!([{ "type": "other", "amount": 7 }, { "type": "payment", "amount": "x" }]), "0"),
        (json!({ "type": "payment", "amount": 7 }), "0"),
        (json!(null), "0"),
    ] {
        assert_eq!(fetch(&app, "/total", &token(&signer, &details)).await.body, total, "{details}");
    }
}

#[tokio::test]
async fn rfc_9396_section_9_a_route_is_open_to_details_that_are_accepted_and_closed_to_others() {
    let signer = Signer::es256("a");
    let app = app(&signer).await;
    let pay = async |details: Value| {
        let request = request("POST", "/payments", &token(&signer, &details)).body(Body::empty()).unwrap();
        send(&app, request).await
    };
    let good = pay(json!([{ "type": "payment", "amount": 101 }, { "type": "payment", "amount": 100 }])).await;
    assert_eq!(good.status, StatusCode::OK, "one of them is accepted");
    for details in [
        json!([{ "type": "payment", "amount": 101 }]),
        json!([{ "type": "payment" }]),
        json!([{ "type": "account", "amount": 1 }]),
        json!([]),
        json!("payment"),
    ] {
        let refused = pay(details.clone()).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (StatusCode::FORBIDDEN, "forbidden"),
            "{details}"
        );
    }
    let account = token(&signer, &json!([{ "type": "account" }]));
    assert_eq!(fetch(&app, "/payments", &account).await.status, StatusCode::OK);
    let other = token(&signer, &json!([{ "type": "other" }]));
    assert_eq!(fetch(&app, "/payments", &other).await.status, StatusCode::FORBIDDEN);
    let stranger = send(&app, Request::get("/payments").body(Body::empty()).unwrap()).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}

// RFC 9728 §2
#[tokio::test]
async fn the_metadata_name_the_types_that_routes_and_handlers_read() {
    let signer = Signer::es256("a");
    let app = app(&signer).await;
    let path = "/.well-known/oauth-protected-resource";
    let answer = send(&app, Request::get(path).body(Body::empty()).unwrap()).await;
    let document: Value = serde_json::from_str(&answer.body).unwrap();
    let expected = json!(["account", "payment", "statement"]);
    assert_eq!(document["authorization_details_types_supported"], expected);
    assert_eq!(document["scopes_supported"], json!(["pay"]));
}
