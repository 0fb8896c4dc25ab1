//! A guard whose issuer writes its tokens otherwise, with everything that a form of them has.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use portcullis_guard::test_util::{Issuer, Mint, Target, attack_suite};
use portcullis_guard::{
    Guard, GuardExt, GuardedRouter, Policy, SharedPolicy, TokenForm, authenticated, rbac, scope,
};
use portcullis_policy::{PolicySource, Snapshot};
use serde_json::json;

use super::{AUDIENCE, assert_answered, assert_refused};

async fn app(issuer: &Issuer) -> Router {
    let form = TokenForm::rfc9068()
        .client_claim("cid")
        .scope_claim("scp")
        .roles_claim("/permissions")
        .must_have("token_use", "access")
        .danger_without_audience_for(["app"]);
    let source = PolicySource::with_default_model("p, clerk, *, orders, read");
    let guard = Guard::builder()
        .issuer(portcullis_guard::Issuer::oidc(issuer.url()).token_form(form))
        .audience(AUDIENCE)
        .policy(Policy::shared(SharedPolicy::new(Snapshot::compile(&source, 1).unwrap())));
    GuardedRouter::new()
        .route("/whole", get(async || "ok").guard(authenticated()))
        .route("/scope", get(async || "ok").guard(scope("files")))
        .route("/roles", get(async || "ok").guard(rbac("orders", "read")))
        .guarded_by(&guard.build().await.unwrap())
}

fn mint(issuer: &Issuer) -> Mint {
    issuer.mint(AUDIENCE).claim("token_use", "access")
}

#[tokio::test]
async fn what_another_form_reads_elsewhere_is_attacked_there() {
    let issuer = Issuer::start().await.unwrap();
    let app = app(&issuer).await;
    let text = mint(&issuer).claim("scp", "read files").token();
    let list = mint(&issuer).claim("scp", json!(["read", "files"])).token();
    let roles = mint(&issuer).claim("permissions", json!(["clerk"])).token();
    for target in [
        Target::get("/scope", &text).granted_by("scp").granted_by("token_use"),
        Target::get("/scope", &list).granted_by("scp"),
        Target::get("/roles", &roles).granted_by("permissions"),
    ] {
        attack_suite(&app, &issuer, &target).await.assert_all_refused();
    }
}

#[tokio::test]
async fn a_client_that_another_claim_names_and_an_audience_that_is_left_out_are_held_to_the_form() {
    let issuer = Issuer::start().await.unwrap();
    let app = app(&issuer).await;
    let bearing = |path: &str, token: &Mint| {
        let request = Request::get(path).header("authorization", format!("Bearer {}", token.token()));
        request.body(Body::empty()).unwrap()
    };
    let of = |client: &str| mint(&issuer).without("client_id").claim("cid", client);
    for token in
        [of("app"), of("app").without("aud"), of("other"), mint(&issuer).client("app").without("aud")]
    {
        assert_answered(&app, bearing("/whole", &token)).await;
    }
    let attacks = [
        ("a token that names no client", mint(&issuer).without("client_id")),
        ("a token that names its client as azp", mint(&issuer).without("client_id").claim("azp", "app")),
        ("a token for its own client", of("app").claim("aud", "app")),
        ("a token for its own client too", of("app").claim("aud", json!([AUDIENCE, "app"]))),
        ("a token of the service itself", of(AUDIENCE)),
        ("a token for nobody, of a client that is not listed", of("other").without("aud")),
        ("a token for nobody, of a client that another claim names", {
            mint(&issuer).client("other").claim("cid", "app").without("aud")
        }),
        ("a token for nothing", of("app").claim("aud", json!([]))),
        (
            "a token for another service, of a client that is listed",
            of("app").claim("aud", "https://other.test"),
        ),
        ("an ID token", of("app").claim("token_use", "id")),
        ("a token of two clients", mint(&issuer).client("other").claim("cid", "app")),
        ("claims inside a text", {
            of("app").claim("permissions", json!({ "$serde_json::private::RawValue": "[\"clerk\"]" }))
        }),
    ];
    let attacks = attacks.map(|(what, token)| (what.to_owned(), bearing("/whole", &token)));
    assert_refused(&app, attacks).await;
    let spaced = mint(&issuer).claim("scp", json!(["no files"]));
    let beside = mint(&issuer).scope("files").roles(["clerk"]);
    let attacks = [
        ("a scope of two words", bearing("/scope", &spaced)),
        ("a scope where it is not read", bearing("/scope", &beside)),
        ("a role where it is not read", bearing("/roles", &beside)),
    ];
    assert_refused(&app, attacks.map(|(what, request)| (what.to_owned(), request))).await;
}
