//! What a guard tells of its decisions, and that nobody waits for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use portcullis_guard::{DecisionRecords, Guard, Issuer, Policy, PolicyEndpoint};
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry;

use crate::issuer::{Answer, TestIssuer};
use crate::policy::{ALLOWED, Setup, signed};
use crate::service::{Dial, fetch, service};
use crate::signer::{AUDIENCE, NOW, Signer, jwks};

/// How many decisions the log says were not told.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<u64>>>);

impl Witness {
    fn listen(&self) -> DefaultGuard {
        set_default(registry().with(self.clone()))
    }

    fn heard(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

impl<S: Subscriber> Layer<S> for Witness {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "portcullis_guard::policy::reporter" {
            event.record(&mut self.clone());
        }
    }
}

impl Visit for Witness {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "decisions" {
            self.0.lock().unwrap().push(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

async fn setup(configure: fn(PolicyEndpoint) -> PolicyEndpoint) -> Setup {
    Setup::with(Some((ALLOWED, 4)), configure).await
}

/// `GET /orders` by somebody.
async fn read(setup: &Setup, subject: &str, role: &str) -> StatusCode {
    let claims = json!({ "iss": setup.issuer.url, "exp": NOW + 80_000, "sub": subject, "roles": [role], "org": "acme" });
    fetch(&setup.service, "/orders", &setup.signer.token(&claims)).await.status
}

/// How often each subject asked, and what was answered.
fn told(batch: &Value) -> Vec<(String, bool, u64)> {
    let decisions = batch["decisions"].as_array().unwrap();
    let mut told: Vec<_> = decisions
        .iter()
        .map(|one| {
            let subject = one["subject"].as_str().unwrap().to_owned();
            (subject, one["allowed"].as_bool().unwrap(), one["count"].as_u64().unwrap())
        })
        .collect();
    told.sort();
    told
}

#[tokio::test]
async fn each_request_is_told_once_with_its_answer_and_how_often_it_was_asked() {
    let setup = setup(|endpoint| endpoint).await;
    for _ in 0..3 {
        assert_eq!(read(&setup, "alice", "viewer").await, StatusCode::OK);
    }
    assert_eq!(read(&setup, "bob", "clerk").await, StatusCode::FORBIDDEN);
    setup.dial.turn(Duration::from_secs(9));
    setup.guard.flush().await;
    let batches = setup.issuer.records();
    let [batch] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!(told(batch), [("alice".to_owned(), true, 3), ("bob".to_owned(), false, 1)]);
    assert_eq!(
        (&batch["age_secs"], &batch["lost"], &batch["pseudonymous"]),
        (&json!(9), &json!(0), &json!(false))
    );
    let alice = batch["decisions"].as_array().unwrap().iter().find(|one| one["subject"] == "alice").unwrap();
    let expected = json!({
        "subject": "alice", "roles": ["viewer"], "domain": "acme", "object": "orders", "action": "read",
        "allowed": true, "revision": 4, "count": 3,
    });
    assert_eq!(*alice, expected);
    assert_eq!(setup.issuer.authorization().unwrap(), "Basic b3JkZXJzOnMzY3JldA==");

    setup.guard.flush().await;
    assert_eq!(setup.issuer.records(), [] as [Value; 0], "nothing was decided since");
    read(&setup, "alice", "viewer").await;
    setup.guard.flush().await;
    let next = setup.issuer.records();
    assert_eq!(told(&next[0]), [("alice".to_owned(), true, 1)]);
    assert_ne!(next[0]["batch"], batch["batch"]);
}

#[tokio::test]
async fn what_could_not_be_told_is_told_again_under_the_same_name() {
    let setup = setup(|endpoint| endpoint).await;
    let mut names = Vec::new();
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED] {
        setup.issuer.take_records(status);
        assert_eq!(read(&setup, "alice", "viewer").await, StatusCode::OK, "nobody waits for it");
        setup.guard.flush().await;
        let batches = setup.issuer.records();
        assert_eq!(batches.len(), 1, "the rest waits behind it");
        names.push((batches[0]["batch"].clone(), told(&batches[0])));
    }
    setup.issuer.leave();
    setup.guard.flush().await;
    setup.issuer.come_back();
    setup.issuer.take_records(StatusCode::NO_CONTENT);
    setup.guard.flush().await;
    let batches = setup.issuer.records();
    assert_eq!(batches.len(), 2);
    names.push((batches[0]["batch"].clone(), told(&batches[0])));
    assert!(names.windows(2).all(|pair| pair[0] == pair[1]), "{names:?}");
    assert_eq!(told(&batches[1]), [("alice".to_owned(), true, 2)], "what came meanwhile is told at last");
}

#[tokio::test]
async fn what_the_server_refuses_is_counted_and_not_sent_again() {
    let setup = setup(|endpoint| endpoint).await;
    setup.issuer.take_records(StatusCode::BAD_REQUEST);
    for _ in 0..5 {
        read(&setup, "alice", "viewer").await;
    }
    setup.guard.flush().await;
    setup.guard.flush().await;
    assert_eq!(setup.issuer.records().len(), 1);
    setup.issuer.take_records(StatusCode::NO_CONTENT);
    read(&setup, "bob", "viewer").await;
    setup.guard.flush().await;
    let batches = setup.issuer.records();
    assert_eq!(told(&batches[0]), [("bob".to_owned(), true, 1)]);
    assert_eq!(batches[0]["lost"], 5);
}

#[tokio::test]
async fn a_server_that_takes_none_is_left_alone() {
    let setup = setup(|endpoint| endpoint).await;
    setup.issuer.take_records(StatusCode::NOT_FOUND);
    read(&setup, "alice", "viewer").await;
    setup.guard.flush().await;
    assert_eq!(setup.issuer.records().len(), 1);
    read(&setup, "alice", "viewer").await;
    setup.guard.flush().await;
    assert_eq!(setup.issuer.records().len(), 0);
}

#[tokio::test]
async fn a_pseudonym_stands_for_the_subject_where_that_is_wanted() {
    let setup = setup(|endpoint| endpoint.decision_records(DecisionRecords::on().pseudonymous())).await;
    for subject in ["alice", "alice", "bob"] {
        read(&setup, subject, "viewer").await;
    }
    setup.guard.flush().await;
    let batch = setup.issuer.records().remove(0);
    assert_eq!(batch["pseudonymous"], true);
    assert!(!batch.to_string().contains("alice"), "{batch}");
    let mut counts: Vec<u64> = told(&batch).into_iter().map(|(.., count)| count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
}

#[tokio::test]
async fn nothing_is_told_where_that_is_switched_off() {
    let setup = setup(|endpoint| endpoint.decision_records(DecisionRecords::off())).await;
    assert_eq!(read(&setup, "alice", "viewer").await, StatusCode::OK);
    setup.guard.flush().await;
    assert_eq!(setup.issuer.records(), [] as [Value; 0]);
}

#[tokio::test]
async fn many_requests_go_in_several_batches_and_what_is_too_much_is_counted() {
    let setup = setup(|endpoint| endpoint).await;
    for number in 0..2_500 {
        read(&setup, &format!("caller-{number}"), "viewer").await;
    }
    setup.guard.flush().await;
    let batches = setup.issuer.records();
    let sizes: Vec<usize> = batches.iter().map(|batch| told(batch).len()).collect();
    assert_eq!(sizes, [1_000, 1_000, 500]);
}

/// A service whose guard reports by itself, so often.
async fn reporting(every: Duration) -> (Signer, TestIssuer, Guard, Router) {
    let signer = Signer::es256("a");
    let issuer = TestIssuer::start(jwks([&signer])).await;
    issuer.hand_out(Answer::Document(signed(&signer, &issuer.url, ALLOWED, &json!({}))));
    let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", issuer.url), "orders", "s3cret")
        .decision_records(DecisionRecords::on().every(every));
    let guard = Guard::builder()
        .audience(AUDIENCE)
        .clock(Dial::new().clock())
        .issuer(Issuer::oidc(&issuer.url))
        .policy(Policy::remote(endpoint))
        .build()
        .await
        .unwrap();
    let service = service(&guard);
    (signer, issuer, guard, service)
}

async fn next_batch(issuer: &TestIssuer) -> Value {
    loop {
        if let Some(batch) = issuer.records().pop() {
            return batch;
        }
        tokio::task::yield_now().await;
    }
}

/// The background task, with the smallest of pauses.
#[tokio::test]
async fn it_is_told_without_being_asked() {
    let (signer, issuer, _guard, service) = reporting(Duration::from_millis(10)).await;
    let token = signer.token(&json!({ "iss": issuer.url, "exp": NOW + 80_000 }));
    assert_eq!(fetch(&service, "/orders", &token).await.status, StatusCode::OK);
    assert_eq!(told(&next_batch(&issuer).await)[0].2, 1);
}

#[tokio::test]
async fn a_guard_that_nobody_holds_any_more_tells_what_is_left() {
    let (signer, issuer, guard, service) = reporting(Duration::from_hours(1)).await;
    let token = signer.token(&json!({ "iss": issuer.url, "exp": NOW + 80_000 }));
    assert_eq!(fetch(&service, "/orders", &token).await.status, StatusCode::OK);
    drop(guard);
    tokio::task::yield_now().await;
    assert_eq!(issuer.records(), [] as [Value; 0], "the service holds it");
    drop(service);
    assert_eq!(told(&next_batch(&issuer).await)[0].2, 1);
}

#[tokio::test]
async fn what_was_not_told_in_the_end_is_in_the_log() {
    let witness = Witness::default();
    let _listening = witness.listen();
    let setup = setup(|endpoint| endpoint).await;
    read(&setup, "alice", "viewer").await;
    setup.guard.flush().await;
    setup.issuer.take_records(StatusCode::SERVICE_UNAVAILABLE);
    for _ in 0..3 {
        read(&setup, "alice", "viewer").await;
    }
    setup.guard.flush().await;
    read(&setup, &"x".repeat(300), "viewer").await;
    read(&setup, "bob", "viewer").await;
    assert_eq!(witness.heard(), [0_u64; 0]);
    drop(setup);
    assert_eq!(witness.heard(), [5], "three that wait, one that found no room and one that was just decided");
}
