//! The way to the issuer and back.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::login::browser::{Browser, OWN, World, guard_at, service};
use crate::login::provider::{CLIENT, asked};
use crate::outages::Log;

#[tokio::test]
async fn who_opens_a_page_that_needs_a_sign_in_comes_back_to_it() {
    let world = World::new().await;
    let mut browser = world.browser();
    let answer = browser.open("/orders?page=2&of=%2F%2Fa").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let login = answer.header("location").to_owned();
    assert_eq!(login, "/auth/login?return_to=%2Forders%3Fpage%3D2%26of%3D%252F%252Fa");
    assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "cookie"));
    let location = browser.begin(&login).await;
    let query = asked(&location);
    assert!(location.starts_with(&format!("{}/authorize?tenant=a&", world.provider.url)), "{location}");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", "https://shop.test/auth/callback"),
        ("scope", "openid"),
        ("code_challenge_method", "S256"),
        ("resource", "https://api.test"),
    ] {
        assert_eq!(query[name], value);
    }
    let answer = browser.come_back(&world.provider.answer(&location)).await;
    assert_eq!(answer.header("location"), "/orders?page=2&of=%2F%2Fa", "{answer:?}");
    assert_eq!(
        (answer.header("cache-control"), answer.header("referrer-policy")),
        ("no-store", "no-referrer")
    );
    assert_eq!(browser.open("/orders?page=2").await.body, "orders");
    assert_eq!(browser.cookies.len(), 1, "that of the sign-in is gone: {:?}", browser.cookies);
    assert_eq!(browser.session().unwrap().len(), 43, "256 bits and nothing else");
}

#[tokio::test]
async fn the_client_shows_its_secret_and_the_proof_key_and_the_host_header_counts_for_nothing() {
    let world = World::new().await;
    let mut browser = world.browser();
    let headers = [("host", "evil.test"), ("x-forwarded-host", "evil.test"), ("sec-fetch-mode", "navigate")];
    let location = browser.ask("GET", "/auth/login", &headers, "").await.header("location").to_owned();
    assert_eq!(asked(&location)["redirect_uri"], format!("{OWN}/auth/callback"));
    assert_eq!(browser.come_back(&world.provider.answer(&location)).await.header("location"), "/");
    let told = world.provider.told();
    // Both halves are form-encoded first: `shop+app:s3cret%3A%25`.
    assert_eq!(told.asked.authorization.as_deref(), Some("Basic c2hvcCthcHA6czNjcmV0JTNBJTI1"));
    assert!(!told.asked.exchanges[0].contains_key("client_id"));
    assert_eq!(told.asked.exchanges[0]["code_verifier"].len(), 43);
}

#[tokio::test]
async fn a_public_client_names_itself_and_has_no_secret() {
    let world = World::new().await;
    let public =
        |_| portcullis_guard::Login::new(&world.provider.url, "spa", OWN).scopes(["profile", "openid"]);
    let guard = guard_at(&world.provider, &world.dial, public, |guard| guard).await;
    world.provider.told().id_claims = json!({ "aud": "spa" });
    let mut browser = Browser { service: service(&guard), cookies: BTreeMap::new() };
    let location = browser.begin("/auth/login").await;
    assert_eq!(asked(&location)["scope"], "openid profile");
    browser.come_back(&world.provider.answer(&location)).await;
    assert_eq!(browser.fetch("/me").await.body, "alice");
    let told = world.provider.told();
    assert_eq!((told.asked.exchanges[0]["client_id"].as_str(), &told.asked.authorization), ("spa", &None));
}

#[tokio::test]
async fn scripts_are_told_who_is_signed_in_and_are_led_nowhere() {
    let world = World::new().await;
    let mut browser = world.browser();
    let answer = browser.fetch("/me").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    assert_eq!(browser.fetch("/auth/session").await.body, r#"{"signed_in":false}"#);
    assert_eq!(browser.open("/maybe").await.body, "nobody");
    // What is not opened as a page is not led away either.
    let answer = browser.submit("/me").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let mut browser = world.signed_in().await;
    let answer = browser.fetch("/auth/session").await;
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&told["signed_in"], &told["user"]["sub"], &told["user"]["name"]),
        (&json!(true), &json!("alice"), &json!("Alice <b>"))
    );
    assert!(answer.header("cache-control").contains("no-store") && !answer.body.contains("ey"), "{answer:?}");
    assert_eq!(browser.open("/maybe").await.body, "alice");
}

/// A proxy in front may ask for a password of its own, and browsers send that along.
#[tokio::test]
async fn who_shows_a_token_is_led_nowhere_and_who_shows_something_else_is() {
    let world = World::new().await;
    for (authorization, status) in [("Bearer x", 401), ("DPoP x", 401), ("Basic eDp5", 303)] {
        let headers = [("authorization", authorization), ("sec-fetch-mode", "navigate")];
        let answer = world.browser().ask("GET", "/me", &headers, "").await;
        assert_eq!(answer.status, status, "{authorization}: {answer:?}");
    }
    let mut browser = world.signed_in().await;
    assert_eq!(browser.ask("GET", "/me", &[("authorization", "Basic eDp5")], "").await.body, "alice");
}

#[tokio::test]
async fn the_guard_holds_sessions_to_all_that_it_holds_tokens_to() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    for (path, status) in [("/orders", 200), ("/write", 403), ("/rules", 403), ("/hook", 401)] {
        assert_eq!(browser.open(path).await.status, status, "{path}");
    }
    let evil = [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")];
    for path in ["/me", "/open"] {
        assert_eq!(browser.ask("POST", path, &evil, "").await.code(), "cross_site", "{path}");
    }
    assert_eq!(browser.ask("POST", "/hook", &evil, "").await.status, 401, "no cookies count there");
    assert_eq!(browser.submit("/me").await.body, "alice");
    let answer = browser.open("/me").await;
    assert_eq!((answer.header("vary"), answer.header("cache-control")), ("cookie", "no-store"));
    let both = browser.ask("GET", "/me", &[("authorization", "Bearer x")], "").await;
    assert_eq!((both.status, both.code().as_str()), (StatusCode::BAD_REQUEST, "invalid_request"));
}

#[tokio::test]
async fn an_id_that_nobody_has_is_nobody() {
    let world = World::new().await;
    let mut browser = world.browser();
    for value in ["A".repeat(43), "short".to_owned(), String::new(), "A".repeat(5_000)] {
        browser.cookies.insert("__Host-session".to_owned(), value);
        assert_eq!(browser.fetch("/me").await.code(), "unauthenticated");
        assert_eq!(browser.open("/maybe").await.body, "nobody");
        assert_eq!(browser.open("/me").await.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn the_session_of_before_ends_with_the_next_sign_in() {
    let world = World::new().await;
    let mut victim = world.signed_in().await;
    let planted = victim.session().unwrap().clone();
    let mut attacker = victim.clone();
    victim.sign_in(&world.provider, "/auth/login").await;
    assert_ne!(victim.session(), Some(&planted), "nobody can choose the id");
    assert_eq!(attacker.fetch("/me").await.code(), "unauthenticated");
    assert_eq!(victim.fetch("/me").await.body, "alice");
    // One that was never opened does not become good by a sign-in.
    let mut other = world.browser();
    other.cookies.insert("__Host-session".to_owned(), "B".repeat(43));
    other.sign_in(&world.provider, "/auth/login").await;
    assert_ne!(other.session(), Some(&"B".repeat(43)));
}

#[tokio::test]
async fn sessions_end_when_nobody_uses_them_and_at_their_end() {
    let hour = Duration::from_hours(1);
    let world = World::with(|login| login.idle(hour).lifetime(3 * hour), |guard| guard).await;
    let mut idle = world.signed_in().await;
    let mut used = idle.clone();
    used.sign_in(&world.provider, "/auth/login").await;
    let mut idle = {
        idle.cookies.clear();
        idle.sign_in(&world.provider, "/auth/login").await;
        idle
    };
    for minutes in (0..175).step_by(25) {
        assert_eq!(used.fetch("/me").await.body, "alice", "{minutes}");
        world.dial.turn(Duration::from_mins(25));
    }
    assert_eq!(idle.fetch("/me").await.code(), "unauthenticated");
    assert_eq!(used.fetch("/me").await.body, "alice");
    world.dial.turn(Duration::from_mins(5));
    assert_eq!(used.fetch("/me").await.code(), "unauthenticated", "however much it is used");
}

#[tokio::test]
async fn a_stronger_sign_in_is_asked_for_and_not_for_ever() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    assert_eq!(browser.fetch("/strong").await.code(), "insufficient_user_authentication");
    let login = browser.begin("/strong").await;
    assert_eq!(login, "/auth/login?return_to=%2Fstrong&acr_values=phr");
    let location = browser.begin(&login).await;
    assert_eq!(asked(&location)["acr_values"], "phr");
    // The issuer did otherwise.
    let answer = browser.come_back(&world.provider.answer(&location)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    assert_eq!(browser.fetch("/me").await.body, "alice", "the session of before stays");
    // The ID token says so, and the access token does not: somebody has to look at that, and nobody goes round.
    world.provider.told().id_claims = json!({ "acr": "phr" });
    let location = browser.begin(&login).await;
    assert_eq!(browser.come_back(&world.provider.answer(&location)).await.header("location"), "/strong");
    let again = browser.begin("/strong").await;
    assert_eq!(browser.open(&again).await.status, StatusCode::FORBIDDEN);
    world.dial.turn(Duration::from_mins(1));
    assert_eq!(browser.open(&again).await.status, StatusCode::SEE_OTHER);
    world.provider.told().access_claims = json!({ "acr": "phr" });
    let location = browser.begin(&login).await;
    browser.come_back(&world.provider.answer(&location)).await;
    assert_eq!(browser.open("/strong").await.body, "strong");
}

#[tokio::test]
async fn a_more_recent_sign_in_is_asked_for() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    assert_eq!(browser.open("/recent").await.body, "recent");
    world.dial.turn(Duration::from_mins(2));
    let login = browser.begin("/recent").await;
    assert_eq!(login, "/auth/login?return_to=%2Frecent&max_age=60");
    let location = browser.begin(&login).await;
    assert_eq!(asked(&location)["max_age"], "60");
    // It did not ask anybody again.
    assert_eq!(browser.come_back(&world.provider.answer(&location)).await.status, StatusCode::FORBIDDEN);
    let now = json!({ "auth_time": world.provider.now() });
    world.provider.told().id_claims = now.clone();
    world.provider.told().access_claims = now;
    let location = browser.begin(&login).await;
    assert_eq!(browser.come_back(&world.provider.answer(&location)).await.header("location"), "/recent");
    assert_eq!(browser.open("/recent").await.body, "recent");
}

/// Anybody can begin to sign in, and come back with whatever they like.
#[tokio::test]
async fn what_a_stranger_makes_up_is_told_of_once() {
    let world = World::new().await;
    let (log, _set) = Log::begin();
    let made_up = [("iss", "https://evil.test"), ("code", "made-up"), ("state", "made-up")];
    for (name, value) in made_up.into_iter().cycle().take(12) {
        let mut browser = world.browser();
        let location = browser.begin("/auth/login").await;
        let mut answer = world.provider.answer(&location);
        answer.insert(name.to_owned(), value.to_owned());
        assert!(!browser.come_back(&answer).await.status.is_redirection(), "{name}");
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "the issuer and the code: {lines:#?}");
    assert!(
        lines.iter().all(|line| line.starts_with("WARN") && line.contains("nobody is signed in")),
        "{lines:#?}"
    );
}
