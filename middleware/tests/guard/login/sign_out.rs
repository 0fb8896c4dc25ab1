//! Signing out here and at the issuer.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::login::browser::World;
use crate::login::provider::{CLIENT, asked};

#[tokio::test]
async fn a_sign_out_ends_the_session_here_and_goes_on_at_the_issuer() {
    let world = World::with(|login| login.after_logout("/bye"), |guard| guard).await;
    let mut browser = world.signed_in().await;
    let mut copy = browser.clone();
    let answer = browser.submit("/auth/logout").await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::SEE_OTHER, "no-store"));
    let location = answer.header("location");
    assert!(location.starts_with(&format!("{}/logout?", world.provider.url)), "{location}");
    let query = asked(location);
    assert_eq!(query["client_id"], CLIENT);
    assert_eq!(query["post_logout_redirect_uri"], "https://shop.test/bye");
    assert_eq!(query["id_token_hint"].split('.').count(), 3);
    assert_eq!(browser.session(), None);
    assert_eq!(copy.fetch("/me").await.code(), "unauthenticated", "whoever kept the cookie has nothing");
    while world.provider.told().asked.revoked.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(world.provider.told().asked.revoked[0].starts_with("refresh-"));
    let answer = browser.submit("/auth/logout").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (StatusCode::SEE_OTHER, "/bye"),
        "nobody is signed in"
    );
}

#[tokio::test]
async fn only_a_page_of_the_service_signs_somebody_out() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    for headers in [
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "https://blog.shop.test")],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[("origin", "https://evil.test")],
        &[],
    ] {
        assert_eq!(
            browser.ask("POST", "/auth/logout", headers, "").await.code(),
            "cross_site",
            "{headers:?}"
        );
    }
    assert_eq!(browser.open("/auth/logout").await.status, StatusCode::METHOD_NOT_ALLOWED, "a link does not");
    assert_eq!(browser.fetch("/me").await.body, "alice");
}

#[tokio::test]
async fn a_script_is_told_where_to_go() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    let headers =
        [("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-origin"), ("origin", "https://shop.test")];
    let answer = browser.ask("POST", "/auth/logout", &headers, "").await;
    let told: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(
        told["location"].as_str().unwrap().contains("/logout?client_id=shop+app&id_token_hint="),
        "{told}"
    );
    assert_eq!((answer.status, browser.session()), (StatusCode::OK, None));
}

#[tokio::test]
async fn a_sign_out_does_not_depend_on_the_issuer() {
    let world = World::new().await;
    world.provider.told().metadata = json!({ "end_session_endpoint": null });
    world.dial.turn(Duration::from_mins(11));
    let mut browser = world.signed_in().await;
    assert_eq!(browser.submit("/auth/logout").await.header("location"), "/", "it has no place for that");
    let mut browser = world.signed_in().await;
    world.provider.told().is_away = true;
    world.dial.turn(Duration::from_hours(25));
    // That session has ended by then; the page is the same.
    assert_eq!(browser.submit("/auth/logout").await.header("location"), "/");
    assert_eq!(browser.session(), None);
}

#[tokio::test]
async fn a_sign_out_during_a_renewal_is_not_undone_by_it() {
    let world = World::new().await;
    let mut browser = world.signed_in().await;
    world.dial.turn(Duration::from_secs(301));
    world.provider.hold().await;
    let mut other = browser.clone();
    let request = tokio::spawn(async move { other.fetch("/me").await });
    while world.provider.told().asked.renewals == 0 {
        tokio::task::yield_now().await;
    }
    let mut copy = browser.clone();
    browser.submit("/auth/logout").await;
    world.provider.let_go();
    assert_eq!(request.await.unwrap().code(), "unauthenticated");
    assert_eq!(copy.fetch("/me").await.code(), "unauthenticated");
}
