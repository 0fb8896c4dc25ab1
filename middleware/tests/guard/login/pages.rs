//! Logins elsewhere than usual.

use http::StatusCode;
use portcullis_guard::{CookieTokens, SecurityHeaders};

use crate::login::browser::{World, service};
use crate::login::provider::asked;

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
