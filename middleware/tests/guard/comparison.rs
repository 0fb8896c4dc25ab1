//! Decisions of a whole guard that Casbin makes as well.

use std::fs;

use http::StatusCode;
use portcullis_guard::{ComparisonStatus, Guard, OneIn, Policy, PolicyEndpoint, SharedPolicy};
use portcullis_policy::{Options, PolicySource, Snapshot};
use serde_json::json;

use crate::issuer::{Answer, TestIssuer};
use crate::policy::signed;
use crate::service::{Dial, builder, fetch, guard_of, policy, service};
use crate::signer::{NOW, Signer, jwks};

const RULES: &str = "p, viewer, *, orders, read";

fn comparison(guard: &Guard) -> ComparisonStatus {
    guard.status().policy.and_then(|policy| policy.comparison).expect("decisions are compared")
}

/// Asks three times, once in vain, and gives what came of comparing that.
async fn compared(signer: &Signer, policy: Policy) -> ComparisonStatus {
    let guard = guard_of(signer).policy(policy.compared(OneIn::new(1))).build().await.unwrap();
    let app = service(&guard);
    for (roles, status) in [
        (json!(["viewer"]), StatusCode::OK),
        (json!(["viewer", "x"]), StatusCode::OK),
        (json!([]), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(fetch(&app, "/orders", &signer.token(&json!({ "roles": roles }))).await.status, status);
    }
    guard.refresh().await;
    comparison(&guard)
}

#[tokio::test]
async fn wherever_a_policy_comes_from_its_decisions_are_compared() {
    let (signer, folder) = (Signer::es256("a"), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("policy.csv"), RULES).unwrap();
    let source = PolicySource::with_default_model(RULES);
    let options = Options { keep_text: true, ..Options::default() };
    let shared = SharedPolicy::new(Snapshot::compile_with(&source, 4, options).unwrap());
    for policy in [Policy::files(folder.path()), Policy::source(source), Policy::shared(shared)] {
        let said = format!("{policy:?}");
        let status = compared(&signer, policy).await;
        assert_eq!((status.compared, status.different, status.left_out), (3, 0, None), "{said}");
    }
}

#[tokio::test]
async fn a_shared_policy_without_its_text_is_said_to_be_left_out() {
    let status = compared(&Signer::es256("a"), Policy::shared(SharedPolicy::new(policy(RULES, 4)))).await;
    assert_eq!((status.compared, status.different, status.unanswered), (0, 0, 3));
    assert!(status.left_out.is_some_and(|said| said.contains("without keeping its text")));
}

#[tokio::test]
async fn files_that_are_read_again_are_compared_by_what_they_say_then() {
    let (signer, folder) = (Signer::es256("a"), tempfile::tempdir().unwrap());
    let file = folder.path().join("policy.csv");
    fs::write(&file, RULES).unwrap();
    let policy = Policy::files(folder.path()).compared(OneIn::new(1));
    let guard = guard_of(&signer).policy(policy).build().await.unwrap();
    let (app, token) = (service(&guard), signer.token(&json!({})));
    assert_eq!(fetch(&app, "/orders", &token).await.status, StatusCode::OK);
    fs::write(&file, "p, admin, *, orders, read").unwrap();
    // The one that waits was decided by what the files said before.
    guard.refresh().await;
    assert_eq!(fetch(&app, "/orders", &token).await.status, StatusCode::FORBIDDEN);
    guard.refresh().await;
    let status = comparison(&guard);
    assert_eq!((status.compared, status.different, status.unanswered), (2, 0, 0));
}

#[tokio::test]
async fn a_policy_from_a_server_is_compared_and_nothing_is_where_nobody_asked_for_it() {
    let (signer, dial) = (Signer::es256("a"), Dial::new());
    let issuer = TestIssuer::start(jwks([&signer])).await;
    let document = signed(&signer, &issuer.url, RULES, &json!({ "revision": 3 }));
    issuer.hand_out(Answer::Document(document));
    let endpoint = || PolicyEndpoint::new(format!("{}/policies/snapshot", issuer.url), "orders", "s3cret");
    let build = async |policy| {
        let trusted = portcullis_guard::Issuer::oidc(&issuer.url);
        builder(&dial).issuer(trusted).policy(policy).build().await.unwrap()
    };
    let token = signer.token(&json!({ "iss": issuer.url, "exp": NOW + 80_000 }));
    let guard = build(Policy::remote(endpoint()).compared(OneIn::new(1))).await;
    assert_eq!(fetch(&service(&guard), "/orders", &token).await.status, StatusCode::OK);
    guard.refresh().await;
    assert_eq!(comparison(&guard).compared, 1);
    let plain = build(Policy::remote(endpoint())).await;
    assert!(plain.status().policy.is_some_and(|policy| policy.comparison.is_none()));
}
