//! What the log says where callers are told no more than that their token is invalid.

use std::time::Duration;

use portcullis_guard::{GuardExt, GuardedRouter, Issuer, rbac};
use serde_json::json;

use crate::outages::Log;
use crate::service::{Dial, builder, fetch, guard_of, service};
use crate::signer::{ISSUER, Signer, jwks};

/// The lines about tokens that went astray.
fn warnings(log: &Log) -> Vec<String> {
    log.lines()
        .into_iter()
        .filter(|line| line.starts_with("WARN") && line.contains("token was refused"))
        .collect()
}

#[tokio::test]
async fn a_good_token_for_another_service_is_told_of_with_both_names_and_ever_more_rarely() {
    let (signer, dial) = (Signer::eddsa("a"), Dial::new());
    let guard = builder(&dial).issuer(Issuer::static_jwks(ISSUER, jwks([&signer]))).build().await.unwrap();
    let service = service(&guard);
    let (log, _set) = Log::begin();
    let told = |aud: serde_json::Value| signer.token(&json!({ "aud": aud }));
    for _ in 0..5 {
        assert_eq!(fetch(&service, "/me", &told(json!("https://id.test"))).await.status, 401);
    }
    let lines = warnings(&log);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains("https://id.test") && lines[0].contains("audience=\"https://api.test\""),
        "{}",
        lines[0]
    );
    assert_eq!(fetch(&service, "/me", &told(json!(["a\nb", "c".repeat(500)]))).await.status, 401);
    let lines = warnings(&log);
    assert!(lines.len() == 1 && lines[0].contains("a\\nb") && lines[0].len() < 600, "{lines:#?}");
    for number in 0..50 {
        assert_eq!(fetch(&service, "/me", &told(json!(format!("other-{number}")))).await.status, 401);
    }
    assert_eq!(warnings(&log).len(), 2, "no more than four names");
    dial.turn(Duration::from_secs(61));
    assert_eq!(
        fetch(&service, "/me", &signer.token(&json!({ "aud": "x", "exp": dial.now() + 60 }))).await.status,
        401
    );
    let lines = warnings(&log);
    assert!(lines.len() == 1 && lines[0].contains("attempts=57"), "{lines:#?}");
}

#[tokio::test]
async fn an_issuer_that_is_not_trusted_is_told_of_beside_those_that_are() {
    let signer = Signer::eddsa("a");
    let service = service(&guard_of(&signer).build().await.unwrap());
    let (log, _set) = Log::begin();
    for _ in 0..5 {
        let strange = signer.token(&json!({ "iss": "https://id.test/ \u{202e}" }));
        assert_eq!(fetch(&service, "/me", &strange).await.status, 401);
    }
    let lines = warnings(&log);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains("https://id.test/ \\u{202e}") && lines[0].contains("trusted=\"https://id.test\""),
        "{}",
        lines[0]
    );
}

#[tokio::test]
async fn a_route_that_asks_a_policy_which_is_not_there_is_told_of_at_the_start() {
    let guard = guard_of(&Signer::eddsa("a")).build().await.unwrap();
    let (log, _set) = Log::begin();
    let answer = axum::routing::get(async || "never");
    drop(
        GuardedRouter::<()>::new().route("/orders", answer.guard(rbac("orders", "read"))).guarded_by(&guard),
    );
    let lines = log.lines();
    assert!(
        lines.iter().any(|line| line.starts_with("ERROR") && line.contains("GuardBuilder::policy")),
        "{lines:#?}"
    );
}
