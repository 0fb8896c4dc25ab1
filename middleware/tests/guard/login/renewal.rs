//! New access tokens for sessions.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::login::browser::World;
use crate::signer::NOW;

/// Longer than an access token is good for.
const OLD: Duration = Duration::from_secs(301);

#[tokio::test]
async fn an_access_token_is_renewed_before_its_end_and_kept_until_then() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    let first = browser.fetch("/token").await.body;
    world.dial.turn(Duration::from_secs(290));
    assert_eq!(browser.fetch("/token").await.body, first);
    world.dial.turn(Duration::from_secs(6));
    let second = browser.fetch("/token").await.body;
    assert_ne!(second, first);
    assert_eq!(browser.fetch("/token").await.body, second);
    assert_eq!(world.provider.told().asked.renewals, 1);
    for _ in 0..3 {
        world.dial.turn(OLD);
        assert_eq!(browser.fetch("/me").await.body, "alice");
    }
    assert_eq!(world.provider.told().asked.renewals, 4, "each by the refresh token of the one before");
}

#[tokio::test]
async fn requests_at_once_renew_once() {
    let world = World::new().await;
    let browser = world.signed_in().await;
    world.dial.turn(OLD);
    world.provider.hold().await;
    let requests = (0..20).map(|_| {
        let mut browser = browser.clone();
        tokio::spawn(async move { browser.fetch("/token").await })
    });
    let requests: Vec<_> = requests.collect();
    while world.provider.told().asked.renewals == 0 {
        tokio::task::yield_now().await;
    }
    world.provider.let_go();
    let answers: Vec<_> = join_all(requests).await.into_iter().map(Result::unwrap).collect();
    assert!(
        answers.iter().all(|answer| answer.status == StatusCode::OK && answer.body == answers[0].body),
        "{answers:?}"
    );
    assert_eq!(world.provider.told().asked.renewals, 1);
}

#[tokio::test]
async fn a_renewal_goes_on_when_nobody_waits_for_it() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    world.dial.turn(OLD);
    world.provider.hold().await;
    let mut gone = browser.clone();
    let request = tokio::spawn(async move { gone.fetch("/me").await });
    while world.provider.told().asked.renewals == 0 {
        tokio::task::yield_now().await;
    }
    request.abort();
    world.provider.let_go();
    assert_eq!(browser.fetch("/me").await.body, "alice");
    assert_eq!(world.provider.told().asked.renewals, 1);
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_ends_the_session() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    world.dial.turn(OLD);
    world.provider.told().instead = Some((400, json!({ "error": "invalid_grant" }).to_string()));
    assert_eq!(browser.fetch("/me").await.code(), "unauthenticated");
    world.provider.told().instead = None;
    assert_eq!(browser.fetch("/me").await.code(), "unauthenticated", "and it stays so");
    assert_eq!(world.provider.told().asked.renewals, 1);
    assert_eq!(browser.open("/me").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_issuer_that_is_away_signs_nobody_out() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    world.provider.told().is_away = true;
    world.dial.turn(Duration::from_secs(297));
    assert_eq!(browser.fetch("/me").await.body, "alice", "the token is good for three seconds more");
    world.dial.turn(Duration::from_secs(4));
    for answer in [browser.fetch("/me").await, browser.open("/me").await, browser.fetch("/maybe").await] {
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (StatusCode::SERVICE_UNAVAILABLE, "1"),
            "{answer:?}"
        );
    }
    world.provider.told().is_away = false;
    assert_eq!(browser.fetch("/me").await.body, "alice");
    // A client that the issuer does not know any more is not the fault of who is signed in.
    world.dial.turn(OLD);
    world.provider.told().instead = Some((401, json!({ "error": "invalid_client" }).to_string()));
    assert_eq!(browser.fetch("/me").await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.provider.told().instead = None;
    assert_eq!(browser.fetch("/me").await.body, "alice");
}

#[tokio::test]
async fn who_has_a_token_that_is_good_does_not_wait_for_an_issuer_that_is_away() {
    let world = World::with(|login| login.renew_early(OLD), |guard| guard).await;
    let mut browser = world.signed_in().await;
    world.provider.told().is_away = true;
    let first = browser.fetch("/token").await.body;
    for asked in [1, 1, 2] {
        assert_eq!(browser.fetch("/me").await.body, "alice");
        assert_eq!(browser.fetch("/token").await.body, first);
        assert_eq!(world.provider.told().asked.renewals, asked);
        world.dial.turn(Duration::from_secs(3));
    }
    world.provider.told().is_away = false;
    world.dial.turn(Duration::from_secs(5));
    assert_ne!(browser.fetch("/token").await.body, first);
    assert_eq!(world.provider.told().asked.renewals, 3);
}

#[tokio::test]
async fn a_session_without_a_refresh_token_ends_with_its_access_token() {
    let world = World::new().await;
    world.provider.told().members = json!({ "refresh_token": null });
    let mut browser = world.signed_in().await;
    assert_eq!(browser.fetch("/me").await.body, "alice");
    world.dial.turn(OLD);
    assert_eq!(browser.fetch("/me").await.code(), "unauthenticated");
    assert_eq!(world.provider.told().asked.renewals, 0);
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_used_to_its_end_however_early_others_are() {
    let world = World::with(|login| login.renew_early(2 * OLD), |guard| guard).await;
    world.provider.told().members = json!({ "refresh_token": null });
    let mut browser = world.signed_in().await;
    for _ in 0..2 {
        // Were it given up early, whoever opens a page would go round for ever.
        assert_eq!(browser.open("/me").await.body, "alice");
        world.dial.turn(Duration::from_secs(149));
    }
    world.dial.turn(OLD);
    assert_eq!(browser.open("/me").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_token_by_a_key_that_the_issuer_took_out_is_renewed() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    let first = browser.fetch("/token").await.body;
    world.provider.change_keys();
    world.guard.refresh().await;
    let second = browser.fetch("/token").await;
    assert_eq!((second.status, second.body == first), (StatusCode::OK, false), "{second:?}");
    assert_eq!(world.provider.told().asked.renewals, 1);
}

#[tokio::test]
async fn what_a_renewal_does_not_say_again_about_a_sign_in_stays() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    world.dial.turn(OLD);
    world.provider.told().id_claims = json!({ "auth_time": null, "acr": null, "sid": null });
    let told = browser.fetch("/auth/session").await;
    assert_eq!(world.provider.told().asked.renewals, 1);
    let told: serde_json::Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((&told["user"]["auth_time"], &told["user"]["acr"]), (&json!(NOW), &json!("pwd")), "{told}");
}

#[tokio::test]
async fn a_token_whose_end_nobody_said_is_renewed_when_it_is_refused() {
    let world = World::new().await;
    world.provider.told().members = json!({ "expires_in": null });
    let mut browser = world.signed_in().await;
    world.dial.turn(Duration::from_secs(331));
    assert_eq!(browser.fetch("/me").await.body, "alice");
    assert_eq!(world.provider.told().asked.renewals, 1);
    // One that is no good however new it is, is asked for once.
    world.provider.told().access_claims = json!({ "exp": 1_800_000_001, "iat": 1_800_000_000 });
    world.dial.turn(Duration::from_secs(331));
    assert_eq!(browser.fetch("/me").await.code(), "invalid_token");
    assert_eq!(world.provider.told().asked.renewals, 2);
    assert_eq!(browser.open("/me").await.status, StatusCode::UNAUTHORIZED, "nobody goes round");
}

#[tokio::test]
async fn what_a_renewal_brings_is_about_the_same_person() {
    for (id_claims, access_claims, code) in [
        (json!({ "sub": "bob" }), json!({}), "unauthenticated"),
        (json!({ "aud": "other" }), json!({}), "unauthenticated"),
        (json!({}), json!({ "sub": "bob" }), "invalid_token"),
    ] {
        let world = World::new().await;
        let mut browser = world.signed_in().await;
        world.dial.turn(OLD);
        world.provider.told().id_claims = id_claims.clone();
        world.provider.told().access_claims = access_claims;
        assert_eq!(browser.fetch("/me").await.code(), code, "{id_claims}");
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_not_replaced_serves_on_and_so_does_the_id_token() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    world.provider.told().members = json!({ "refresh_token": null, "id_token": null });
    for _ in 0..2 {
        world.dial.turn(OLD);
        assert_eq!(browser.fetch("/me").await.body, "alice");
    }
    assert!(browser.fetch("/auth/session").await.body.contains("Alice"));
}
