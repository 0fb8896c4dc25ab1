//! Rules that ask how the user signed in, and what the token is bound to.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use portcullis_guard::{
    AccessDenied, Decider, Dpop, GuardBuilder, GuardExt, GuardedRouter, Issuer, Policy, SharedPolicy,
    authenticated, rbac, scope,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::bound::{ask, bound_token, proof};
use crate::outages::Log;
use crate::service::{Answer, Dial, builder, fetch, guard_of, policy, request, send};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, jwks};

const PAYING: &str = "p, clerk, *, payments, create, allow, acr=phrh|phr, max_age=300";

async fn app(guard: GuardBuilder, rules: &str) -> Router {
    let guard = guard.policy(Policy::shared(SharedPolicy::new(policy(rules, 7)))).build().await.unwrap();
    let asked = async |decider: Decider| decider.decide(&rbac("payments", "create")).map(|_| "paid");
    let pay = || rbac("payments", "create");
    GuardedRouter::new()
        .route("/me", get(async || "paid").guard(pay()))
        .route("/either", get(async || "paid").guard(pay().or(scope("robots"))))
        .route("/other", get(async || "paid").guard(scope("robots").or(pay())))
        .route("/asked", get(asked).guard(authenticated()))
        .guarded_by(&guard)
}

fn clerk(mut claims: Value) -> Value {
    claims["roles"] = json!(["clerk"]);
    claims
}

const STRONGER: &str = "Bearer error=\"insufficient_user_authentication\", \
                        error_description=\"This needs a more recent or a stronger sign-in\", \
                        acr_values=\"phrh phr\", max_age=\"300\"";

#[track_caller]
fn asks_to_sign_in(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert_eq!(answer.header("www-authenticate"), STRONGER);
    let decision = answer.header("x-decision-id");
    assert!(decision.starts_with("dec_"), "{answer:?}");
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"Unauthorized\",\"status\":401,\
         \"detail\":\"This needs a more recent or a stronger sign-in\",\
         \"code\":\"insufficient_user_authentication\",\"decision\":\"{decision}\"}}"
    );
    assert_eq!(answer.body, body);
}

// RFC 9470 §3
#[tokio::test]
async fn whoever_did_not_sign_in_as_a_rule_asks_is_asked_to_do_so() {
    let signer = Signer::es256("a");
    let app = app(guard_of(&signer), PAYING).await;
    for fine in [
        json!({ "acr": "phrh", "auth_time": NOW - 300 }),
        json!({ "acr": "phr", "auth_time": NOW - 330 }),
        json!({ "acr": "phr", "auth_time": NOW + 5 }),
    ] {
        for path in ["/me", "/either", "/other", "/asked"] {
            let answer = fetch(&app, path, &signer.token(&clerk(fine.clone()))).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} {fine}");
        }
    }
    for weak in [
        json!({ "acr": "phrh", "auth_time": NOW - 331 }),
        json!({ "acr": "phrh" }),
        json!({ "acr": "pwd", "auth_time": NOW }),
        json!({ "acr": "phrh phr", "auth_time": NOW }),
        json!({ "auth_time": NOW }),
        json!({}),
    ] {
        for path in ["/me", "/either", "/other", "/asked"] {
            asks_to_sign_in(&fetch(&app, path, &signer.token(&clerk(weak.clone()))).await);
        }
    }
    let robot = signer.token(&clerk(json!({ "scope": "robots" })));
    for path in ["/either", "/other"] {
        assert_eq!(fetch(&app, path, &robot).await.status, StatusCode::OK, "one way in is enough");
    }
}

#[tokio::test]
async fn whoever_may_not_at_all_is_not_asked_to_sign_in_again() {
    let signer = Signer::es256("a");
    let rules = format!("{PAYING}\np, chief, *, payments, create\np, stopped, *, payments, create, deny");
    let app = app(guard_of(&signer), &rules).await;
    for (roles, status) in [
        (json!(["viewer"]), 403),
        (json!(["clerk"]), 401),
        (json!(["clerk", "chief"]), 200),
        (json!(["clerk", "stopped"]), 403),
        (json!(["chief", "stopped"]), 403),
    ] {
        let answer = fetch(&app, "/me", &signer.token(&json!({ "roles": roles }))).await;
        assert_eq!(answer.status.as_u16(), status, "{roles}");
    }
    let good = json!({ "roles": ["clerk", "stopped"], "acr": "phr", "auth_time": NOW });
    assert_eq!(fetch(&app, "/me", &signer.token(&good)).await.code(), "forbidden", "a deny wins");
    let stranger = send(&app, Request::get("/me").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (stranger.status.as_u16(), stranger.header("www-authenticate")),
        (401, r#"Bearer realm="https://api.test""#)
    );
}

#[tokio::test]
async fn the_application_is_told_which_rule_asks() {
    let signer = Signer::es256("a");
    let app = app(
        guard_of(&signer).dpop(Dpop::new()),
        "# first\np, clerk, *, payments, create, allow, dpop, acr=phr",
    )
    .await;
    for (claims, line) in [(json!({}), 2), (json!({ "acr": "phr" }), 2)] {
        let request = request("GET", "/me", &signer.token(&clerk(claims))).body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        let denied = answer.extensions().get::<AccessDenied>().expect("somebody was refused something");
        let decision = denied.decision();
        assert_eq!((decision.revision(), decision.rule_line()), (Some(7), Some(line)));
        assert_eq!(answer.headers()["x-decision-id"], decision.id().to_string());
        assert_eq!((denied.needed(), denied.principal().subject()), ("rbac(payments, create)", "alice"));
    }
}

#[tokio::test]
async fn a_rule_may_ask_for_a_token_that_is_bound() {
    let (signer, key) = (Signer::es256("a"), Signer::es256("k"));
    let rules = "p, viewer, *, payments, create, allow, dpop";
    let app = self::app(guard_of(&signer).dpop(Dpop::new()), rules).await;
    let plain = fetch(&app, "/me", &signer.token(&json!({}))).await;
    let expected = "DPoP algs=\"EdDSA ES256 PS256 RS256\", error=\"invalid_token\", \
                    error_description=\"This needs a token that is bound to a key\"";
    assert_eq!((plain.status.as_u16(), plain.header("www-authenticate")), (401, expected));
    assert_eq!(plain.problem()["decision"], plain.header("x-decision-id"));
    let token = bound_token(&signer, &key);
    let shown = proof(&key, &token, &json!({}), &json!({}));
    assert_eq!(ask(&app, "/me", &token, &shown).await.status, StatusCode::OK);

    let rules = "p, viewer, *, payments, create, allow, dpop, mtls, max_age=60";
    let app = self::app(guard_of(&signer).dpop(Dpop::new()), rules).await;
    let (jkt, mut claims) = (crate::bound::public(&key).1, json!({ "auth_time": NOW - 90 }));
    let code = async |claims: &Value, jti: &str| {
        let token = signer.token(claims);
        let htu = json!({ "jti": jti, "htu": format!("{AUDIENCE}/me") });
        let answer = match claims.get("cnf") {
            Some(_) => ask(&app, "/me", &token, &proof(&key, &token, &htu, &json!({}))).await,
            None => fetch(&app, "/me", &token).await,
        };
        answer.problem()["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(&claims, "1").await, "This needs a token that is bound to a key");
    claims["auth_time"] = json!(NOW - 91);
    claims["cnf"] = json!({ "jkt": jkt });
    assert_eq!(code(&claims, "2").await, "This needs a more recent or a stronger sign-in");
    claims["auth_time"] = json!(NOW);
    assert_eq!(code(&claims, "3").await, "This needs a token that is bound to a certificate");
}

#[tokio::test]
async fn of_several_rules_that_ask_the_first_is_told_and_each_suffices() {
    let signer = Signer::es256("a");
    let rules = "p, clerk, *, payments, create, allow, acr=phrh\n\
                 p, viewer, *, payments, create, allow, max_age=60\n\
                 g, clerk, viewer, *";
    let app = app(guard_of(&signer), rules).await;
    let challenge = async |claims: Value| fetch(&app, "/me", &signer.token(&claims)).await;
    let both = challenge(clerk(json!({}))).await;
    assert!(both.header("www-authenticate").ends_with("acr_values=\"phrh\""), "{both:?}");
    let viewer = challenge(json!({})).await;
    assert!(viewer.header("www-authenticate").ends_with("sign-in\", max_age=\"60\""), "{viewer:?}");
    for good in [json!({ "acr": "phrh" }), json!({ "auth_time": NOW })] {
        assert_eq!(challenge(clerk(good)).await.status, StatusCode::OK);
    }
    let later = challenge(clerk(json!({ "auth_time": NOW - Duration::from_hours(1).as_secs() }))).await;
    assert_eq!(later.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_rule_that_asks_for_what_nobody_can_prove_is_told_of_and_not_for_each_request() {
    let (signer, dial) = (Signer::es256("a"), Dial::new());
    let rules = "p, viewer, *, payments, create, allow, mtls\np, clerk, *, payments, create, allow, dpop";
    let guard = builder(&dial).issuer(Issuer::static_jwks(ISSUER, jwks([&signer])));
    let app = app(guard, rules).await;
    let (log, _set) = Log::begin();
    let told = async |claims: Value| {
        for _ in 0..50 {
            let answer = fetch(&app, "/me", &signer.token(&claims)).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
        }
        let lines = log.lines();
        lines.into_iter().filter(|line| line.contains("nobody can pass")).collect::<Vec<_>>()
    };
    let lines = told(json!({})).await;
    assert!(lines.len() == 1 && lines[0].starts_with("ERROR"), "{lines:#?}");
    assert!(lines[0].contains("policy.line=1") && lines[0].contains("bound to a certificate"), "{lines:#?}");
    let lines = told(clerk(json!({}))).await;
    assert!(lines.len() == 1 && lines[0].contains("policy.line=2"), "another rule: {lines:#?}");
    assert!(lines[0].contains("bound to a key"), "{lines:#?}");
    assert_eq!(told(json!({})).await, [""; 0]);
    dial.turn(Duration::from_mins(1));
    let lines = told(json!({})).await;
    assert!(lines.len() == 1 && lines[0].contains("attempts=151"), "{lines:#?}");
}
