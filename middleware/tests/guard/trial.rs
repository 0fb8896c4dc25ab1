//! Rules that the server wants tried: they answer nobody, and what they would decide otherwise is told.

use http::StatusCode;
use portcullis_guard::{DecisionRecords, Guard, Issuer, Policy, PolicyEndpoint};
use portcullis_policy::DEFAULT_MODEL;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::disk::revocation;
use crate::issuer::Answer;
use crate::policy::{ALLOWED, Setup};
use crate::service::{fetch, service};
use crate::signer::{AUDIENCE, NOW};

const NAME: &str = "5a";

async fn setup(configure: fn(PolicyEndpoint) -> PolicyEndpoint) -> Setup {
    Setup::with(Some((ALLOWED, 4)), configure).await
}

/// Rules on trial as the server signs them.
fn signed(setup: &Setup, typ: &str, rules: &str, changes: &Value) -> String {
    let header = json!({ "alg": setup.signer.alg, "typ": typ, "kid": setup.signer.kid });
    let mut claims = json!({
        "iss": setup.issuer.url, "aud": "orders", "iat": NOW, "exp": NOW + 60, "api": AUDIENCE, "revision": 0,
        "model": DEFAULT_MODEL, "rules": rules, "shadow": NAME,
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    setup.signer.sign(&header, &claims)
}

const TYPE: &str = "portcullis-policy-shadow+jwt";

/// Has the server say what is on trial; the policy is the one that it hands out.
async fn say(setup: &Setup, tag: Option<&str>) {
    setup.issuer.say(state(tag, &json!([])));
    setup.guard.refresh().await;
}

/// What holds at the server.
fn state(tag: Option<&str>, revoked: &Value) -> Answer {
    let state = json!({
        "seq": 0, "reset": false, "policy": Value::Null, "shadow": tag, "keys": "k", "revoked": revoked,
    });
    Answer::Document(state.to_string())
}

/// A refresh that somebody else waits for.
fn refreshing(setup: &Setup) -> JoinHandle<()> {
    let guard = setup.guard.clone();
    tokio::spawn(async move { guard.refresh().await })
}

async fn read(setup: &Setup, role: &str) -> StatusCode {
    let claims = json!({ "iss": setup.issuer.url, "exp": NOW + 80_000, "sub": "alice", "roles": [role] });
    fetch(&setup.service, "/orders", &setup.signer.token(&claims)).await.status
}

/// What was told of differences: the rules, who, and whether it was allowed.
async fn told(setup: &Setup) -> Vec<(String, String, bool)> {
    setup.guard.flush().await;
    let batches = setup.issuer.records().into_iter().filter(|batch| batch.get("shadow").is_some());
    batches
        .flat_map(|batch| {
            let name = batch["shadow"].as_str().unwrap().to_owned();
            let decisions = batch["decisions"].as_array().unwrap().clone();
            decisions.into_iter().map(move |one| {
                let role = one["roles"][0].as_str().unwrap().to_owned();
                (name.clone(), role, one["allowed"].as_bool().unwrap())
            })
        })
        .collect()
}

#[tokio::test]
async fn only_what_would_be_decided_otherwise_is_told_and_nobody_is_answered_by_it() {
    let setup = setup(|endpoint| endpoint).await;
    setup.issuer.try_rules(Answer::Document(signed(
        &setup,
        TYPE,
        "p, clerk, *, orders, read\np, both, *, orders, read",
        &json!({}),
    )));
    say(&setup, Some("\"s1\"")).await;
    assert_eq!(read(&setup, "viewer").await, StatusCode::OK);
    assert_eq!(read(&setup, "clerk").await, StatusCode::FORBIDDEN);
    assert_eq!(read(&setup, "nobody").await, StatusCode::FORBIDDEN);
    let mut differences = told(&setup).await;
    differences.sort();
    let named = |role: &str, allowed| (NAME.to_owned(), role.to_owned(), allowed);
    assert_eq!(differences, [named("clerk", false), named("viewer", true)]);

    say(&setup, None).await;
    read(&setup, "clerk").await;
    assert_eq!(told(&setup).await, [], "nothing is tried any more");
}

#[tokio::test]
async fn rules_that_are_not_for_trial_or_not_for_this_service_are_not_tried() {
    let setup = setup(|endpoint| endpoint).await;
    let clerk = "p, clerk, *, orders, read";
    for (number, wrong) in [
        signed(&setup, "portcullis-policy+jwt", clerk, &json!({})),
        signed(&setup, TYPE, clerk, &json!({ "aud": "stock" })),
        signed(&setup, TYPE, clerk, &json!({ "api": "https://stock.test" })),
        signed(&setup, TYPE, clerk, &json!({ "exp": NOW - 60 })),
        signed(&setup, TYPE, clerk, &json!({ "shadow": Value::Null })),
        signed(&setup, TYPE, "p, clerk", &json!({})),
        "x.y.z".to_owned(),
        String::new(),
    ]
    .into_iter()
    .enumerate()
    {
        setup.issuer.try_rules(Answer::Document(wrong));
        say(&setup, Some(&format!("\"s{number}\""))).await;
        assert_eq!(read(&setup, "viewer").await, StatusCode::OK);
        assert_eq!(read(&setup, "clerk").await, StatusCode::FORBIDDEN);
        assert_eq!(told(&setup).await, [], "{number}");
    }
}

#[tokio::test]
async fn rules_on_trial_never_pass_for_the_policy() {
    let setup = setup(|endpoint| endpoint).await;
    let shadow = signed(&setup, TYPE, "p, clerk, *, orders, read", &json!({ "revision": 9 }));
    setup.issuer.hand_out(Answer::Document(shadow));
    setup.guard.refresh().await;
    assert_eq!(setup.guard.policy_revision(), Some(4));
    assert_eq!(read(&setup, "clerk").await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn rules_that_cannot_be_fetched_are_asked_for_again_and_new_ones_replace_them() {
    let setup = setup(|endpoint| endpoint).await;
    setup.issuer.try_rules(Answer::Status(StatusCode::SERVICE_UNAVAILABLE));
    say(&setup, Some("\"s1\"")).await;
    read(&setup, "clerk").await;
    assert_eq!(told(&setup).await, []);
    setup.issuer.try_rules(Answer::Document(signed(&setup, TYPE, "p, clerk, *, orders, read", &json!({}))));
    say(&setup, Some("\"s1\"")).await;
    read(&setup, "clerk").await;
    assert_eq!(told(&setup).await, [(NAME.to_owned(), "clerk".to_owned(), false)]);
    let other = signed(&setup, TYPE, "p, viewer, *, orders, read", &json!({ "shadow": "5b" }));
    setup.issuer.try_rules(Answer::Document(other));
    say(&setup, Some("\"s2\"")).await;
    read(&setup, "clerk").await;
    assert_eq!(told(&setup).await, [], "these decide as the policy does");
}

#[tokio::test]
async fn whoever_tells_nothing_tries_nothing() {
    let setup = setup(|endpoint| endpoint.decision_records(DecisionRecords::off())).await;
    setup.issuer.try_rules(Answer::Document(signed(&setup, TYPE, "p, clerk, *, orders, read", &json!({}))));
    say(&setup, Some("\"s1\"")).await;
    read(&setup, "clerk").await;
    assert_eq!(told(&setup).await, []);
}

#[tokio::test]
async fn a_revocation_does_not_wait_for_rules_on_trial_that_do_not_come() {
    let setup = setup(|endpoint| endpoint).await;
    setup.issuer.try_rules(Answer::Document(signed(&setup, TYPE, "p, clerk, *, orders, read", &json!({}))));
    assert_eq!(read(&setup, "viewer").await, StatusCode::OK);
    setup.issuer.hold_rules();
    setup.issuer.say(state(Some("\"s1\""), &json!([])));
    let first = refreshing(&setup);
    setup.issuer.asked_for_rules().await;
    setup.issuer.say(state(Some("\"s1\""), &json!([revocation("web")])));
    let second = refreshing(&setup);
    while read(&setup, "viewer").await != StatusCode::UNAUTHORIZED {
        tokio::task::yield_now().await;
    }
    setup.issuer.release_rules();
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(setup.issuer.rules_fetches(), 1, "nobody has given up by then");
}

#[tokio::test]
async fn rules_that_do_not_come_are_given_up_when_others_are_wanted() {
    let setup = setup(|endpoint| endpoint).await;
    setup.issuer.try_rules(Answer::Document(signed(&setup, TYPE, "p, clerk, *, orders, read", &json!({}))));
    setup.issuer.hold_rules();
    setup.issuer.say(state(Some("\"s1\""), &json!([])));
    let hanging = refreshing(&setup);
    setup.issuer.asked_for_rules().await;
    say(&setup, None).await;
    hanging.await.unwrap();
    setup.issuer.release_rules();
    read(&setup, "clerk").await;
    assert_eq!(told(&setup).await, [], "nothing is to be tried");
}

/// The background task.
#[tokio::test]
async fn rules_are_tried_without_being_asked_for() {
    let setup = setup(|endpoint| endpoint).await;
    setup.issuer.try_rules(Answer::Document(signed(&setup, TYPE, "p, clerk, *, orders, read", &json!({}))));
    let holds = json!({
        "seq": 0, "reset": false, "policy": "new", "shadow": "\"s1\"", "keys": "k", "revoked": [],
    });
    setup.issuer.say(Answer::Document(holds.to_string()));
    let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", setup.issuer.url), "orders", "s3cret");
    let guard = Guard::builder()
        .audience(AUDIENCE)
        .clock(setup.dial.clock())
        .issuer(Issuer::oidc(&setup.issuer.url))
        .policy(Policy::remote(endpoint))
        .build()
        .await
        .unwrap();
    let service = service(&guard);
    let setup = Setup { guard, service, ..setup };
    loop {
        read(&setup, "clerk").await;
        if told(&setup).await.contains(&(NAME.to_owned(), "clerk".to_owned(), false)) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Whoever waits for a report may give up while rules are tried.
#[tokio::test]
async fn a_report_that_is_given_up_loses_nothing() {
    let setup = setup(|endpoint| endpoint).await;
    setup.issuer.try_rules(Answer::Document(signed(&setup, TYPE, "p, clerk, *, orders, read", &json!({}))));
    say(&setup, Some("\"s1\"")).await;
    read(&setup, "clerk").await;
    tokio::select! {
        biased;
        () = setup.guard.flush() => panic!("it has to be tried first"),
        () = std::future::ready(()) => {}
    }
    setup.guard.flush().await;
    let batches = setup.issuer.records();
    let told: Vec<_> = batches.iter().map(|batch| (batch.get("shadow").is_some(), &batch["lost"])).collect();
    assert_eq!(told, [(false, &json!(0)), (true, &json!(0))]);
    assert!(batches.iter().all(|batch| batch["decisions"][0]["count"] == 1), "{batches:?}");
}

#[tokio::test]
async fn what_found_no_room_was_not_tried_and_that_is_told() {
    let setup = setup(|endpoint| endpoint).await;
    setup.issuer.try_rules(Answer::Document(signed(&setup, TYPE, ALLOWED, &json!({}))));
    say(&setup, Some("\"s1\"")).await;
    read(&setup, &"x".repeat(3_000)).await;
    setup.guard.flush().await;
    let batches = setup.issuer.records();
    let told: Vec<_> = batches.iter().map(|batch| (batch.get("shadow"), &batch["lost"])).collect();
    assert_eq!(told, [(None, &json!(1)), (Some(&json!(NAME)), &json!(1))]);
}
