//! What handlers ask the policy about what they have found.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Extension, Router};
use http::{Request, StatusCode};
use portcullis_guard::{
    AccessDenied, Decider, Decision, DecisionId, Guard, GuardExt, GuardedRouter, Introspection, Issuer,
    Permit, Policy, PolicyEndpoint, ProtectedResource, Rejection, Requirement, SharedPolicy, authenticated,
    optional, public, rbac, scope,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::disk::revoked;
use crate::introspection;
use crate::issuer::Answer;
use crate::machine::Machine;
use crate::policy::{ALLOWED, Setup};
use crate::service::{Dial, builder, fetch, policy, request, send};
use crate::signer::{ISSUER, NOW, Signer, jwks};

const FOLDERS: &str = "p, viewer, *, folders/a, read\np, viewer, *, folders/secret, read, deny";

/// What a handler was told of what it asked: by which revision and line.
async fn folder(
    Path(name): Path<String>,
    decider: Decider,
    own: Option<Decision>,
) -> Result<String, Rejection> {
    let decision = decider.decide(&rbac(format!("folders/{name}"), "read"))?;
    assert_ne!(Some(decision.id()), own.map(|own| own.id()), "each has a name of its own");
    Ok(format!("{:?} {:?}", decision.revision(), decision.rule_line()))
}

fn service(guard: &Guard) -> Router {
    let scoped = async |decider: Decider| decider.decide(&scope("folders")).map(|_| "scoped");
    GuardedRouter::new()
        .route("/folders/{name}", get(folder).guard(authenticated()))
        .route("/scoped", get(scoped).guard(authenticated()))
        .route("/open/{name}", get(folder).guard(public()))
        .route("/either/{name}", get(folder).guard(optional()))
        .guarded_by(guard)
        .route("/forgotten/{name}", get(folder))
}

/// A guard by rules of its own, and a service whose handlers ask it.
async fn by_rules(rules: &SharedPolicy) -> (Signer, Router) {
    let signer = Signer::eddsa("a");
    let guard = builder(&Dial::new())
        .issuer(Issuer::static_jwks(ISSUER, jwks([&signer])))
        .policy(Policy::shared(rules.clone()))
        .protected_resource(ProtectedResource::new())
        .build()
        .await
        .unwrap();
    (signer, service(&guard))
}

#[tokio::test]
async fn a_handler_asks_the_policy_about_what_it_has_found() {
    let rules = SharedPolicy::new(policy(FOLDERS, 3));
    let (signer, service) = by_rules(&rules).await;
    let token = signer.token(&json!({}));
    let answer = fetch(&service, "/folders/a", &token).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "Some(3) Some(1)"));
    assert_eq!(fetch(&service, "/folders/b", &token).await.status, StatusCode::FORBIDDEN);
    rules.store(policy("p, viewer, *, folders/b, read", 4));
    assert_eq!(fetch(&service, "/folders/b", &token).await.body, "Some(4) Some(1)");
    assert_eq!(fetch(&service, "/folders/a", &token).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_refusal_is_a_problem_with_the_name_of_the_decision() {
    let (signer, service) = by_rules(&SharedPolicy::new(policy(FOLDERS, 3))).await;
    let asked = request("GET", "/folders/secret", &signer.token(&json!({}))).body(Body::empty()).unwrap();
    let response = service.clone().oneshot(asked).await.unwrap();
    let denied = response.extensions().get::<AccessDenied>().unwrap();
    assert_eq!((denied.needed(), denied.principal().subject()), ("rbac(folders/secret, read)", "alice"));
    assert_eq!((denied.decision().revision(), denied.decision().rule_line()), (Some(3), Some(2)));
    assert_eq!(response.headers()["x-decision-id"], denied.decision().id().to_string());
    let answer = fetch(&service, "/folders/secret", &signer.token(&json!({}))).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "forbidden"));
    assert_eq!(answer.problem()["decision"], answer.header("x-decision-id"));

    let answer = fetch(&service, "/scoped", &signer.token(&json!({}))).await;
    let challenge = answer.header("www-authenticate");
    assert!(answer.status == StatusCode::FORBIDDEN && challenge.contains(r#"error="insufficient_scope""#));
    assert!(
        challenge.contains(r#"scope="folders""#) && challenge.contains("resource_metadata="),
        "{challenge}"
    );
    let answer = fetch(&service, "/scoped", &signer.token(&json!({ "scope": "folders" }))).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "scoped"));
}

#[tokio::test]
async fn nobody_who_has_no_token_meets_anything() {
    let (signer, service) = by_rules(&SharedPolicy::new(policy(FOLDERS, 3))).await;
    for path in ["/open/a", "/either/a", "/forgotten/a"] {
        let anonymous = Request::builder().uri(path).body(Body::empty()).unwrap();
        assert_eq!(send(&service, anonymous).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let token = signer.token(&json!({}));
    let with_token = async |path| fetch(&service, path, &token).await.status.as_u16();
    assert_eq!(with_token("/open/a").await, 401, "a public route looks at no token");
    assert_eq!((with_token("/either/a").await, with_token("/either/b").await), (200, 403));
    assert_eq!(with_token("/forgotten/a").await, 401);
}

#[tokio::test]
async fn a_route_decides_by_its_own_guard_and_for_its_own_caller_whoever_is_around_it() {
    let (around, inside) = (policy(FOLDERS, 1), policy("p, viewer, *, folders/b, read", 2));
    let signer = Signer::eddsa("a");
    let with = async |rules| {
        let keys = Issuer::static_jwks(ISSUER, jwks([&signer]));
        let rules = Policy::shared(SharedPolicy::new(rules));
        builder(&Dial::new()).issuer(keys).policy(rules).build().await.unwrap()
    };
    let (outer, inner) = (with(around).await, with(inside).await);
    let watched = async |permit: Permit, decider: Decider| {
        let decided = decider.decide(&authenticated()).is_ok();
        format!("{:?} {decided}", permit.principal().map(|caller| caller.subject().to_owned()))
    };
    let watched = GuardedRouter::new().route("/watched", get(watched).guard(public())).guarded_by(&inner);
    let service = service(&inner).merge(watched).layer(outer.require(authenticated()));
    let token = signer.token(&json!({}));
    let answer = async |path| fetch(&service, path, &token).await;
    for path in ["/open/a", "/open/b"] {
        assert_eq!(answer(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for (path, status) in [("/either/a", 403), ("/folders/a", 403), ("/folders/b", 200)] {
        assert_eq!(answer(path).await.status.as_u16(), status, "{path}");
    }
    assert_eq!(answer("/folders/b").await.body, "Some(2) Some(1)");
    assert_eq!(answer("/watched").await.body, r#"Some("alice") false"#, "what goes on ends as before");

    // A caller of a route inside is one again.
    let service = service_within(&inner).layer(inner.require(public())).layer(outer.require(authenticated()));
    assert_eq!(fetch(&service, "/folders/b", &token).await.body, "Some(2) Some(1)");
}

fn service_within(guard: &Guard) -> Router {
    GuardedRouter::new().route("/folders/{name}", get(folder).guard(authenticated())).guarded_by(guard)
}

#[tokio::test]
async fn what_handlers_ask_is_told_to_the_server_as_what_routes_ask() {
    let setup = Setup::with(Some((FOLDERS, 4)), |endpoint| endpoint).await;
    let service = service(&setup.guard);
    let token = setup.signer.token(&json!({ "iss": setup.issuer.url }));
    for (path, times) in [("/folders/a", 2), ("/folders/b", 1)] {
        for _ in 0..times {
            fetch(&service, path, &token).await;
        }
    }
    setup.guard.flush().await;
    let batches = setup.issuer.records();
    let decisions = batches[0]["decisions"].as_array().unwrap();
    let mut told: Vec<_> = decisions
        .iter()
        .map(|one| (one["object"].as_str().unwrap(), one["allowed"] == true, one["count"].as_u64().unwrap()))
        .collect();
    told.sort_unstable();
    assert_eq!(told, [("folders/a", true, 2), ("folders/b", false, 1)]);
}

#[tokio::test]
async fn whoever_may_name_many_objects_crowds_nobody_out_of_the_records() {
    let setup = Setup::with(Some((ALLOWED, 4)), |endpoint| endpoint).await;
    // As a resolver of GraphQL would: one request, and as many objects as the client names.
    let flood = async |decider: Decider| {
        let allowed = (0..20_000).filter(|id| decider.decide(&rbac(format!("folders/{id}"), "read")).is_ok());
        allowed.count().to_string()
    };
    let service: Router = GuardedRouter::new()
        .route("/graphql", get(flood).guard(authenticated()))
        .route("/orders", get(async || "orders").guard(rbac("orders", "read")))
        .guarded_by(&setup.guard);
    let token = |subject: &str| setup.signer.token(&json!({ "iss": setup.issuer.url, "sub": subject }));
    assert_eq!(fetch(&service, "/graphql", &token("mallory")).await.body, "0");
    assert_eq!(fetch(&service, "/orders", &token("alice")).await.status, StatusCode::OK);
    setup.guard.flush().await;
    let batches = setup.issuer.records();
    let decisions = batches.iter().flat_map(|batch| batch["decisions"].as_array().unwrap());
    let (orders, folders): (Vec<_>, Vec<_>) = decisions.partition(|one| one["object"] == "orders");
    assert_eq!((orders.len(), folders.len()), (1, 256));
    let lost: u64 = batches.iter().map(|batch| batch["lost"].as_u64().unwrap()).sum();
    assert_eq!(lost, 20_000 - 256);
}

type Sender = mpsc::UnboundedSender<Decider>;

async fn hand_out(Extension(sender): Extension<Sender>, parts: Parts) -> &'static str {
    sender.send(Decider::of(&parts.extensions)).unwrap();
    "begun"
}

/// What a handler holds that goes on after its answer.
pub(crate) async fn held(guard: &Guard, token: &str) -> Decider {
    let (sender, mut deciders) = mpsc::unbounded_channel::<Decider>();
    let service = GuardedRouter::new()
        .route("/begin", get(hand_out).guard(authenticated()))
        .guarded_by(guard)
        .layer(Extension(sender));
    assert_eq!(fetch(&service, "/begin", token).await.status, StatusCode::OK);
    deciders.recv().await.unwrap()
}

pub(crate) fn status(decider: &Decider, requirement: &Requirement) -> u16 {
    decider.decide(requirement).map_or_else(|rejection| rejection.status().as_u16(), |_| 200)
}

#[tokio::test]
async fn whoever_asks_later_is_answered_as_a_new_request_would_be() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    let guard = machine.start().await;
    let (read, create) = (rbac("orders", "read"), rbac("orders", "create"));
    let token = |changes: Value| {
        let mut claims = json!({ "iss": machine.issuer.url });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        machine.signer.token(&claims)
    };
    let short = held(&guard, &token(json!({ "exp": NOW + 100 }))).await;
    let long = held(&guard, &token(json!({ "exp": NOW + 3_000 }))).await;
    assert_eq!((status(&short, &read), status(&short, &create), status(&long, &read)), (200, 403, 200));
    machine.dial.turn(Duration::from_secs(131));
    let expired = short.decide(&read).unwrap_err();
    assert_eq!((expired.status(), expired.decision()), (StatusCode::UNAUTHORIZED, None));
    assert_eq!(status(&long, &read), 200);
    machine.issuer.say(Answer::Document(revoked("web")));
    guard.refresh().await;
    assert_eq!(status(&long, &read), 401);
    let denied = long.decide(&authenticated()).unwrap_err();
    assert_eq!(denied.to_string(), "The access token is invalid");
}

#[tokio::test]
async fn an_outage_is_no_refusal_and_only_what_says_so_serves_stale() {
    let old = Duration::from_mins(10);
    let configure = |endpoint: PolicyEndpoint| endpoint.policy_max_age(Duration::from_mins(10));
    let setup = Setup::with(Some((ALLOWED, 4)), configure).await;
    let token = setup.signer.token(&json!({ "iss": setup.issuer.url, "exp": NOW + 80_000 }));
    let decider = held(&setup.guard, &token).await;
    setup.issuer.leave();
    setup.dial.turn(old + Duration::from_secs(1));
    let read = rbac("orders", "read");
    let away = decider.decide(&read).unwrap_err();
    assert_eq!((away.status(), away.decision()), (StatusCode::SERVICE_UNAVAILABLE, None));
    assert_eq!(status(&decider, &read.serve_stale(old * 2)), 200);
}

#[tokio::test]
async fn whoever_handles_a_refusal_has_its_name() {
    let setup = Setup::with(Some((ALLOWED, 4)), |endpoint| endpoint).await;
    let decider = held(&setup.guard, &setup.signer.token(&json!({ "iss": setup.issuer.url }))).await;
    let denied = decider.decide(&rbac("orders", "create")).unwrap_err();
    let id: DecisionId = denied.decision().unwrap().id();
    assert!(id.to_string().starts_with("dec_") && denied.decision().unwrap().revision() == Some(4));
    assert_eq!(denied.to_string(), "The policy of this service does not allow this");
    assert!(format!("{decider:?}").contains("alice"));
}

#[tokio::test]
async fn an_opaque_token_is_good_as_long_as_the_issuer_says_so() {
    let (any, due) = (authenticated(), Duration::from_secs(30));
    let setup = introspection::Setup::new().await;
    let token = setup.token("opaque-1", &json!({}));
    let decider = held(&setup.guard, &token).await;
    setup.issuer.say_of(&token, &json!({ "active": false }));
    assert_eq!(status(&decider, &any), 200);
    setup.dial.turn(due);
    // A new request with the same token waits for what the issuer is asked now; a question does not.
    assert_eq!((status(&decider, &any), setup.status(&token).await, status(&decider, &any)), (200, 401, 401));

    let setup = introspection::Setup::new().await;
    let decider = held(&setup.guard, &setup.token("opaque-1", &json!({ "exp": NOW + 3_000 }))).await;
    setup.dial.turn(due * 2);
    // The issuer is there, but has to be asked before it counts what it said.
    assert_eq!(status(&decider, &any), 503);
    setup.has_been_asked(2).await;
    while status(&decider, &any) == 503 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&decider, &any), 200);

    let setup = introspection::Setup::new().await;
    let decider = held(&setup.guard, &setup.token("opaque-1", &json!({}))).await;
    setup.issuer.stall();
    setup.dial.turn(due);
    assert_eq!(status(&decider, &any), 200);
    setup.dial.turn(Duration::from_secs(6));
    assert_eq!(status(&decider, &any), 503, "an issuer that does not answer is no refusal");
}

#[tokio::test]
async fn a_late_question_about_an_opaque_token_can_wait_for_the_issuer_as_a_new_request_does() {
    let (any, late) = (authenticated(), Duration::from_mins(1));
    let waiting = async |decider: &Decider| {
        let outcome = decider.decide_when_known(&any).await;
        outcome.map_or_else(|rejection| rejection.status().as_u16(), |_| 200)
    };
    for remembers in [true, false] {
        let forget =
            |ask: Introspection| ask.remember_for(Duration::ZERO).remember_refused_for(Duration::ZERO);
        let ask = |ask| if remembers { ask } else { forget(ask) };
        let setup = introspection::Setup::with(ask, |guard| guard).await;
        let token = setup.token("opaque-1", &json!({ "exp": NOW + 3_000 }));
        let decider = held(&setup.guard, &token).await;
        assert_eq!((waiting(&decider).await, setup.issuer.questions()), (200, 1), "it is known yet");
        setup.dial.turn(late);
        assert_eq!((waiting(&decider).await, setup.issuer.questions()), (200, 2), "asked about once");
        assert_eq!(status(&decider, &any), 200);
        // Of somebody else, or of another key, it is not the caller's any more.
        setup.dial.turn(late);
        setup.token("opaque-1", &json!({ "sub": "mallory", "exp": NOW + 3_000 }));
        assert_eq!(waiting(&decider).await, 401);
        setup.token("opaque-1", &json!({ "exp": NOW + 3_000 }));
        let decider = held(&setup.guard, &setup.token("opaque-2", &json!({ "exp": NOW + 3_000 }))).await;
        setup.dial.turn(late);
        setup.issuer.say_of("opaque-2", &json!({ "active": false }));
        assert_eq!(waiting(&decider).await, 401);
    }
    let setup = introspection::Setup::new().await;
    let decider = held(&setup.guard, &setup.token("opaque-1", &json!({ "exp": NOW + 3_000 }))).await;
    setup.issuer.leave();
    setup.dial.turn(late);
    assert_eq!(waiting(&decider).await, 503, "an issuer that is away is no refusal");
    assert_eq!(waiting(&Decider::of(&http::Extensions::new())).await, 401, "nobody is nobody");
}

#[tokio::test]
async fn a_late_question_waits_for_keys_that_are_too_old() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    let guard = machine.start().await;
    let token = machine.signer.token(&json!({ "iss": machine.issuer.url, "exp": NOW + 80_000 }));
    let decider = held(&guard, &token).await;
    machine.dial.turn(Duration::from_hours(2));
    let any = authenticated();
    assert_eq!(status(&decider, &any), 503);
    let outcome = decider.decide_when_known(&any).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}
