//! Logins elsewhere than usual.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Extension;
use axum::extract::ConnectInfo;
use http::StatusCode;
use portcullis_guard::{CookieTokens, MemorySessions, SecurityHeaders};

use crate::login::browser::{Browser, World, service};
use crate::login::provider::asked;
use crate::outages::Log;

#[tokio::test]
async fn the_routes_and_the_cookie_are_where_and_what_they_are_told_to_be() {
    let login = |login: portcullis_guard::Login| {
        login.prefix("/account/sso").cookie("__Host-shop").without_resource().parameter("audience", "api")
    };
    let world = World::with(login, |guard| guard).await;
    let mut browser = world.browser();
    let login = browser.begin("/me").await;
    assert_eq!(login, "/account/sso/login?return_to=%2Fme");
    let location = browser.begin(&login).await;
    let query = asked(&location);
    assert_eq!(
        (query["redirect_uri"].as_str(), query["audience"].as_str()),
        ("https://shop.test/account/sso/callback", "api")
    );
    assert!(!query.contains_key("resource"));
    let back = world.provider.answer(&location);
    let back = form_urlencoded::Serializer::new(String::new()).extend_pairs(&back).finish();
    let answer = browser.open(&format!("/account/sso/callback?{back}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
    assert!(browser.cookies.contains_key("__Host-shop"));
    assert_eq!(browser.fetch("/me").await.body, "alice");
}

#[tokio::test]
async fn a_session_and_a_token_in_a_cookie_are_two_and_one_of_them_is_enough() {
    let world =
        World::with(|login| login, |guard| guard.cookie_tokens(CookieTokens::named("__Host-token"))).await;
    let mut browser = world.signed_in().await;
    assert_eq!(browser.fetch("/me").await.body, "alice");
    browser.cookies.insert("__Host-token".to_owned(), "a.b.c".to_owned());
    assert_eq!(browser.fetch("/me").await.code(), "invalid_request");
    browser.cookies.remove("__Host-session");
    assert_eq!(browser.fetch("/me").await.code(), "invalid_token");
}

#[tokio::test]
async fn who_is_led_away_and_who_is_refused_get_the_headers_of_the_service() {
    let world =
        World::with(|login| login, |guard| guard.headers(SecurityHeaders::html()).request_ids()).await;
    let mut browser = world.browser();
    for path in ["/me", "/auth/login", "/auth/login?return_to=//x", "/auth/callback?state=x", "/auth/session"]
    {
        let answer = browser.open(path).await;
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
    }
}

#[tokio::test]
async fn below_another_router_people_come_back_to_the_whole_path() {
    let world = World::new().await;
    let mut browser = world.browser();
    browser.service = axum::Router::new().nest("/shop", service(&world.guard));
    assert_eq!(browser.begin("/shop/me?x=1").await, "/auth/login?return_to=%2Fshop%2Fme%3Fx%3D1");
}

#[tokio::test]
async fn one_who_begins_too_many_sign_ins_fills_the_log_no_more_than_others_who_begin_theirs() {
    let world =
        World::with(|login| login.store(MemorySessions::new().most_sign_ins(10)), |guard| guard).await;
    let open = async |host: u8| {
        let peer = ConnectInfo(SocketAddr::from(([192, 0, 2, host], 1)));
        let service = world.service.clone().layer(Extension(peer));
        Browser { service, cookies: BTreeMap::new() }.open("/auth/login").await.status
    };
    let (log, _set) = Log::begin();
    let told = || {
        let lines = log.lines();
        lines.into_iter().filter(|line| line.contains("begun")).collect::<Vec<_>>()
    };
    assert_eq!(open(1).await, StatusCode::SEE_OTHER);
    for host in 2..10 {
        assert_eq!(open(1).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(open(host).await, StatusCode::SEE_OTHER);
        world.dial.turn(Duration::from_secs(1));
    }
    let lines = told();
    assert!(lines.len() == 1 && lines[0].contains("a sign-in cannot be begun"), "{lines:#?}");
    world.dial.turn(Duration::from_secs(59));
    assert_eq!(open(10).await, StatusCode::SEE_OTHER);
    let lines = told();
    assert!(lines.len() == 1 && lines[0].contains("sign-ins can be begun again"), "{lines:#?}");
    assert!(lines[0].contains("attempts=8"), "{lines:#?}");
}
