//! Guards that start while their issuer is away, from what an earlier one left on the disk.

use std::fs;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::routing::get;
use http::StatusCode;
use portcullis_guard::{
    Guard, GuardExt, GuardedRouter, Issuer, Policy, PolicyEndpoint, Source, authenticated, rbac,
};
use serde_json::{Value, json};

use crate::issuer::{Answer, etag_of};
use crate::machine::{ALLOWED, CLOSED, Machine, SERVED, WITHDRAWN};
use crate::policy::signed;
use crate::service::fetch;
use crate::signer::{AUDIENCE, NOW, Signer, b64, jwks};

#[tokio::test]
async fn a_guard_starts_from_disk_and_changes_over_when_the_issuer_is_back() {
    let machine = Machine::left_alone().await;
    machine.dial.turn(Duration::from_mins(50));
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    let status = guard.status();
    assert!(status.ready && guard.is_ready());
    let (policy, keys) = (status.policy.unwrap(), &status.issuers[0]);
    assert_eq!((policy.revision, policy.source, policy.usable), (Some(7), Some(Source::Disk), true));
    assert_eq!((keys.keys, keys.source, keys.usable), (1, Some(Source::Disk), true));
    assert_eq!((policy.age, keys.age), (Some(Duration::from_mins(50)), Some(Duration::from_mins(50))));

    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 8 }));
    machine.issuer.come_back();
    machine.dial.turn(Duration::from_secs(30));
    guard.refresh().await;
    assert_eq!(machine.statuses(&guard).await, [403, 403]);
    let status = guard.status();
    let (policy, keys) = (status.policy.unwrap(), &status.issuers[0]);
    assert_eq!(
        (policy.revision, policy.source, policy.age),
        (Some(8), Some(Source::Network), Some(Duration::ZERO))
    );
    assert_eq!((keys.source, keys.age), (Some(Source::Network), Some(Duration::ZERO)));
    machine.issuer.leave();
    assert_eq!(machine.start().await.policy_revision(), Some(8), "the new one is kept");
}

#[tokio::test]
async fn ages_go_on_across_a_restart() {
    let machine = Machine::left_alone().await;
    machine.dial.turn(Duration::from_mins(40));
    let guard = machine.start_with(machine.endpoint().policy_max_age(Duration::from_mins(50))).await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    machine.dial.turn(Duration::from_mins(10));
    assert_eq!(machine.statuses(&guard).await, SERVED);
    machine.dial.turn(Duration::from_secs(1));
    assert_eq!(machine.statuses(&guard).await, CLOSED, "the policy is fifty minutes old and a second");
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, SERVED, "by the limits of an hour and of a day, it is not");
    machine.dial.turn(Duration::from_mins(10));
    assert_eq!(machine.statuses(&guard).await, CLOSED, "but the keys are");
    assert!(!guard.status().issuers[0].usable && !guard.is_ready());
}

#[tokio::test]
async fn what_is_confirmed_again_and_again_does_not_age_on_disk() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    let guard = machine.start().await;
    for _ in 0..90 {
        machine.dial.turn(Duration::from_mins(1));
        guard.refresh().await;
    }
    machine.issuer.leave();
    machine.dial.turn(Duration::from_mins(30));
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    assert_eq!(guard.status().policy.unwrap().age, Some(Duration::from_mins(30)));
}

#[tokio::test]
async fn a_policy_that_the_server_only_says_to_hold_does_not_age_either() {
    let machine = Machine::new().await;
    let changes = json!({ "revision": 7, "exp": NOW + 86_400 });
    let snapshot = signed(&machine.signer, &machine.issuer.url, ALLOWED, &changes);
    let state = json!({ "seq": 0, "reset": false, "policy": etag_of(&snapshot), "keys": "k", "revoked": [] });
    machine.issuer.say(Answer::Document(state.to_string()));
    machine.issuer.hand_out(Answer::Document(snapshot));
    let guard = machine.start().await;
    machine.issuer.hand_out(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    machine.dial.turn(Duration::from_mins(45));
    guard.refresh().await;
    assert_eq!(guard.status().policy.unwrap().age, Some(Duration::ZERO));
    machine.issuer.leave();
    machine.dial.turn(Duration::from_mins(5));
    assert_eq!(machine.start().await.status().policy.unwrap().age, Some(Duration::from_mins(5)));
}

#[tokio::test]
async fn what_is_too_old_serves_nobody_but_the_routes_that_serve_stale() {
    let machine = Machine::left_alone().await;
    machine.dial.turn(Duration::from_hours(3));
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, CLOSED);
    let stale = |hours| rbac("orders", "read").serve_stale(Duration::from_hours(hours));
    let routes: Router = GuardedRouter::new()
        .route("/four", get(async || "served").guard(stale(4)))
        .route("/two", get(async || "served").guard(stale(2)))
        .guarded_by(&guard);
    let token = machine.token(&machine.signer);
    assert_eq!(fetch(&routes, "/four", &token).await.status, StatusCode::OK);
    assert_eq!(fetch(&routes, "/two", &token).await.status, StatusCode::SERVICE_UNAVAILABLE);
    machine.issuer.come_back();
    machine.dial.turn(Duration::from_secs(1));
    guard.refresh().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
}

#[tokio::test]
async fn guards_of_several_apis_share_a_folder() {
    let machine = Machine::left_alone().await;
    machine.issuer.come_back();
    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 3, "api": "https://stock.test" }));
    machine.builder(machine.endpoint(), "https://stock.test").build().await.unwrap();
    machine.issuer.leave();
    assert_eq!(fs::read_dir(machine.cache()).unwrap().count(), 3, "one file of keys, two of policies");
    let stock = machine.builder(machine.endpoint(), "https://stock.test").build().await.unwrap();
    assert_eq!((stock.policy_revision(), machine.start().await.policy_revision()), (Some(3), Some(7)));
}

#[tokio::test]
async fn a_key_that_is_not_on_disk_is_503_while_nobody_can_ask_about_it() {
    let machine = Machine::left_alone().await;
    let guard = machine.start().await;
    let new = Signer::es256("new");
    assert_eq!(machine.statuses_by(&guard, &new).await, CLOSED);
    machine.issuer.come_back();
    machine.issuer.publish(Answer::Document(jwks([&new])));
    machine.dial.turn(Duration::from_secs(30));
    assert_eq!(machine.statuses_by(&guard, &new).await, SERVED);
    assert_eq!(machine.statuses(&guard).await, [401, 401], "the one on disk was withdrawn");
}

#[tokio::test]
async fn a_guard_that_has_to_hear_of_revocations_waits_for_the_server() {
    let machine = Machine::left_alone().await;
    let endpoint = machine.endpoint().revocations_max_stale(Duration::from_secs(5));
    let guard = machine.start_with(endpoint).await;
    assert_eq!(machine.statuses(&guard).await, CLOSED, "it has never heard what was revoked");
    assert!(guard.status().revocations_age.is_none() && !guard.is_ready());
    machine.issuer.come_back();
    let state = r#"{"seq":1,"reset":true,"policy":"new","keys":"k","revoked":[]}"#;
    machine.issuer.say(Answer::Document(state.into()));
    guard.refresh().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    assert!(guard.status().revocations_age == Some(Duration::ZERO) && guard.is_ready());
}

/// What the server says, with a revocation of everything that the client of the test's tokens holds.
pub(crate) fn revoked(client: &str) -> String {
    let revoked = [revocation(client)];
    json!({ "seq": 2, "reset": true, "policy": "new", "keys": "k", "revoked": revoked }).to_string()
}

pub(crate) fn revocation(client: &str) -> Value {
    let hash = digest(&SHA256, &[b"client_id\0", client.as_bytes()].concat());
    json!({ "id": b64(&hash.as_ref()[..16]), "exp": NOW + 80_000 })
}

/// Its own tokens and those of another issuer, with the same names, after the server revoked a client of that name: by the URL where the
/// server is, and whether it has a policy.
#[tokio::test]
async fn what_was_revoked_at_one_issuer_says_nothing_of_the_tokens_of_another() {
    const OTHER: &str = "https://other.test";
    for (host, has_policy, expected) in [
        ("127.0.0.1", true, [401, 200]),
        ("127.0.0.1", false, [401, 200]),
        ("localhost", true, [401, 200]),
        ("localhost", false, [401, 401]),
    ] {
        let machine = Machine::new().await;
        let other = Signer::eddsa("other");
        let url = format!("{}/policies/snapshot", machine.issuer.url.replace("127.0.0.1", host));
        let start = async || {
            let guard = machine.builder(PolicyEndpoint::new(&url, "orders", "s3cret"), AUDIENCE);
            guard.issuer(Issuer::static_jwks(OTHER, jwks([&other]))).build().await.unwrap()
        };
        let statuses = async |guard: &Guard| {
            let app = GuardedRouter::new().route("/", get(async || "in").guard(authenticated()));
            let app: Router = app.guarded_by(guard);
            let foreign = other.token(&json!({ "iss": OTHER, "exp": NOW + 80_000 }));
            let own = fetch(&app, "/", &machine.token(&machine.signer)).await.status.as_u16();
            [own, fetch(&app, "/", &foreign).await.status.as_u16()]
        };
        if has_policy {
            machine.publish(&machine.signer, ALLOWED, &json!({}));
        }
        let guard = start().await;
        assert_eq!(statuses(&guard).await, [200, 200], "{host}, {has_policy}");
        machine.issuer.say(Answer::Document(revoked("web")));
        guard.refresh().await;
        assert_eq!(statuses(&guard).await, expected, "{host}, {has_policy}");
        machine.issuer.leave();
        assert_eq!(statuses(&start().await).await, expected, "from the disk: {host}, {has_policy}");
    }
}

#[tokio::test]
async fn what_was_revoked_stays_revoked_across_a_restart_while_nobody_can_be_asked() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    machine.issuer.say(Answer::Document(revoked("web")));
    guard.refresh().await;
    assert_eq!(machine.statuses(&guard).await, [401, 401]);
    machine.issuer.leave();
    machine.dial.turn(Duration::from_mins(10));
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, [401, 401], "the disk says so");
    assert_eq!(guard.status().revocations_age, Some(Duration::from_mins(10)));
    let impatient = |mins| machine.endpoint().revocations_max_stale(Duration::from_mins(mins));
    assert!(!machine.start_with(impatient(9)).await.is_ready(), "it was heard of too long ago");
    assert!(machine.start_with(impatient(11)).await.is_ready());

    machine.issuer.come_back();
    let nothing = json!({ "seq": 3, "reset": true, "policy": "new", "keys": "k", "revoked": [] });
    machine.issuer.say(Answer::Document(nothing.to_string()));
    machine.dial.turn(Duration::from_secs(30));
    guard.refresh().await;
    assert_eq!(machine.statuses(&guard).await, SERVED, "the server knows better");
    machine.issuer.leave();
    assert_eq!(machine.statuses(&machine.start().await).await, SERVED, "and so does the disk, then");
}

#[tokio::test]
async fn a_list_of_revocations_that_is_none_is_not_used() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    machine.issuer.say(Answer::Document(revoked("web")));
    drop(machine.start().await);
    machine.issuer.leave();
    let mut found = 0;
    for entry in fs::read_dir(machine.cache()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("revocations-") {
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() - 1]).unwrap();
            found += 1;
        }
    }
    assert_eq!(found, 1);
    assert_eq!(machine.statuses(&machine.start().await).await, SERVED);
}

#[tokio::test]
async fn a_folder_that_is_taken_away_stops_nothing() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    let guard = machine.start().await;
    fs::remove_dir_all(machine.cache()).unwrap();
    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 8 }));
    guard.refresh().await;
    assert_eq!((guard.policy_revision(), machine.statuses(&guard).await), (Some(8), [403, 403]));
    assert!(guard.status().ready && !machine.cache().exists());
}

#[tokio::test]
async fn what_needs_no_server_is_local_and_has_no_age() {
    let machine = Machine::new().await;
    let policy = crate::service::policy(ALLOWED, 4);
    let guard = crate::service::guard_of(&machine.signer)
        .policy(Policy::shared(portcullis_guard::SharedPolicy::new(policy)))
        .build()
        .await
        .unwrap();
    let status = guard.status();
    let policy = status.policy.unwrap();
    assert_eq!((policy.revision, policy.source, policy.age), (Some(4), Some(Source::Local), None));
    assert_eq!((status.issuers[0].source, status.issuers[0].age), (Some(Source::Local), None));
    assert!(status.ready && status.revocations_age.is_none());
}
