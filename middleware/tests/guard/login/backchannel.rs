//! The issuer says that somebody signed out.

use http::StatusCode;
use serde_json::{Value, json};

use crate::login::browser::World;
use crate::login::provider::{CLIENT, change};
use crate::service::Answer;
use crate::signer::{NOW, Signer, b64};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn claims(world: &World, changes: &Value) -> Value {
    let mut claims = json!({
        "iss": world.provider.url, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "l1", "sid": "s1",
        "events": { EVENT: {} },
    });
    change(&mut claims, changes);
    claims
}

async fn tell(world: &World, token: &str) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", token).finish();
    tell_as(world, "application/x-www-form-urlencoded", &body).await
}

async fn tell_as(world: &World, media: &str, body: &str) -> Answer {
    let answer =
        world.browser().ask("POST", "/auth/backchannel-logout", &[("content-type", media)], body).await;
    assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
    answer
}

#[tokio::test]
async fn backchannel_logout_section_2_8_a_session_that_the_issuer_ended_is_over() {
    let world = World::new().await;
    let mut one = world.signed_in().await;
    world.provider.told().id_claims = json!({ "sid": "s2" });
    let mut other = world.signed_in().await;
    let answer = tell(&world, &world.provider.sign("logout+jwt", &claims(&world, &json!({})))).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(one.fetch("/me").await.code(), "unauthenticated");
    assert_eq!(other.fetch("/me").await.body, "alice", "another session of hers");
    let all = claims(&world, &json!({ "sid": null, "sub": "alice", "jti": "l2" }));
    assert_eq!(tell(&world, &world.provider.sign("logout+jwt", &all)).await.status, StatusCode::OK);
    assert_eq!(other.fetch("/me").await.code(), "unauthenticated");
    let nobody = claims(&world, &json!({ "sid": "s9", "jti": "l3" }));
    assert_eq!(tell(&world, &world.provider.sign("logout+jwt", &nobody)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn backchannel_logout_section_2_6_and_2_8_forged_tokens_and_tokens_of_other_kinds_end_nothing() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    let stranger = Signer::es256("a");
    let mut header = stranger.header();
    header["typ"] = "logout+jwt".into();
    let usual = claims(&world, &json!({}));
    let changed = |changes: Value| world.provider.sign("logout+jwt", &claims(&world, &changes));
    let unsigned = format!("{}.{}.", b64(r#"{"alg":"none","typ":"logout+jwt"}"#), b64(usual.to_string()));
    for token in [
        unsigned,
        stranger.sign(&header, &usual),
        world.provider.sign("at+jwt", &usual),
        world.provider.sign("dpop+jwt", &usual),
        changed(json!({ "nonce": "n" })),
        changed(json!({ "events": null })),
        changed(json!({ "events": { "x": {} } })),
        changed(json!({ "aud": "other" })),
        changed(json!({ "iss": "https://evil.test" })),
        changed(json!({ "sid": null })),
        changed(json!({ "jti": null })),
        changed(json!({ "iat": null })),
        changed(json!({ "exp": null })),
        changed(json!({ "iat": NOW - 600, "exp": NOW - 30 })),
        changed(json!({ "iat": NOW + 600, "exp": NOW + 700 })),
        changed(json!({ "exp": NOW + 200_000 })),
        String::new(),
        "a.b.c".to_owned(),
    ] {
        let answer = tell(&world, &token).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{token}");
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(told["error"], "invalid_request");
    }
    let good = world.provider.sign("logout+jwt", &usual);
    for (media, body) in [
        ("application/json", format!(r#"{{"logout_token":"{good}"}}"#)),
        ("text/plain", format!("logout_token={good}")),
        ("application/x-www-form-urlencoded", String::new()),
        ("application/x-www-form-urlencoded", format!("logout_token={good}&logout_token={good}")),
    ] {
        assert_eq!(tell_as(&world, media, &body).await.status, StatusCode::BAD_REQUEST, "{media} {body}");
    }
    assert_eq!(browser.fetch("/me").await.body, "alice");
}

#[tokio::test]
async fn a_logout_token_counts_once() {
    let world = World::new().await;
    let all = claims(&world, &json!({ "sid": null, "sub": "alice" }));
    let token = world.provider.sign("logout+jwt", &all);
    assert_eq!(tell(&world, &token).await.status, StatusCode::OK);
    let mut later = world.signed_in().await;
    let answer = tell(&world, &token).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.contains("used before"), "{answer:?}");
    assert_eq!(later.fetch("/me").await.body, "alice", "whoever keeps one cannot sign her out again");
}

#[tokio::test]
async fn who_is_signed_out_on_the_way_back_is_not_signed_in() {
    let world = World::new().await;
    let mut browser = world.browser();
    let location = browser.begin("/auth/login").await;
    let back = world.provider.answer(&location);
    tell(&world, &world.provider.sign("logout+jwt", &claims(&world, &json!({})))).await;
    assert_eq!(browser.come_back(&back).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.session(), None);
    world.provider.told().id_claims = json!({ "sid": "s2" });
    world.signed_in().await;
}
