//! Step Up Authentication Challenge ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470)).

use std::time::Duration;

use portcullis_guard::Clock;
use portcullis_tests::authenticator::Authenticator;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::passkey::{Manner, Passkey};
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use rstest::rstest;
use serde_json::json;

const ORDERS: &str = "https://orders.test";
const TWO_FACTORS: &str = "urn:portcullis:acr:2fa";

/// The value of a parameter of a challenge.
fn parameter<'a>(challenge: &'a str, name: &str) -> &'a str {
    let (_, rest) =
        challenge.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("{name}: {challenge}"));
    rest.split('"').next().unwrap()
}

/// The whole way: a service refuses, the client asks the server for what the service wants, and the person signs in again.
#[rstest]
#[tokio::test]
async fn sections_3_to_5_a_client_takes_what_a_service_asks_for_to_the_server_and_comes_back_with_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.assign(&orders, "viewer", &ada.id).await;
    let rule = "p, viewer, *, orders, read, allow, acr=urn:portcullis:acr:1fa, max_age=60\n";
    server.admin.activate(&orders, rule).await;
    let (shop, guard) = (server.admin.web_client(&[&orders]).await, server.admin.guard_client(&orders).await);
    let clock = server.clock.clone();
    let time = move || Duration::from_secs(u64::try_from(clock.now().as_secs()).unwrap());
    let service =
        GuardedService::start_with(&server.issuer, ORDERS, &guard, |guard| guard.clock(Clock::from_fn(time)))
            .await;
    let mut browser = server.visitor();
    let request = AuthorizeRequest::of(&shop).with("resource", ORDERS).with("scope", "openid offline_access");
    let callback = browser.authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(service.get("/orders", Some(&tokens.member("access_token"))).await.status, 200);

    server.wait(Duration::from_mins(2));
    let refused = service.get("/orders", Some(&tokens.member("access_token"))).await;
    let challenge = refused.header("www-authenticate");
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert_eq!(parameter(challenge, "error"), "insufficient_user_authentication");
    // Another token of the same sign-in is as old.
    let refreshed = server.machine.refresh(&shop, &tokens.member("refresh_token")).await;
    assert_eq!(service.get("/orders", Some(&refreshed.member("access_token"))).await.status, 401);

    let request = request
        .with("acr_values", parameter(challenge, "acr_values"))
        .with("max_age", parameter(challenge, "max_age"));
    let page = browser.open(&request.path()).await;
    assert!(page.text().contains("id=\"login\""), "signed in is not enough: {}", page.text());
    let callback = browser.authorize(&request, &ada).await;
    let token = server.machine.redeem(&shop, &request, &callback).await.member("access_token");
    assert_eq!(claims(&token)["auth_time"], server.clock.now().as_secs());
    assert_eq!(claims(&token)["acr"], parameter(challenge, "acr_values"));
    let answer = service.get("/orders", Some(&token)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A service sends people to the server for a stronger sign-in. Whoever did sign in, but not so, would be sent there again by every
/// token.
#[rstest]
#[tokio::test]
async fn section_5_whoever_can_do_more_is_asked_to_and_for_others_the_request_fails(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bea) = (server.admin.user("ada").await, server.admin.user("bea").await);
    let orders = server.admin.api(ORDERS).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let mut keeper = server.visitor();
    keeper.sign_in(&ada).await;
    let passkey = Passkey::add(&mut keeper, &server.issuer).await;
    let request = AuthorizeRequest::of(&shop).with("resource", ORDERS).with("acr_values", TWO_FACTORS);

    let mut browser = server.visitor();
    browser.sign_in(&ada).await;
    let silent = browser.clone().authorize(&request.clone().with("prompt", "none"), &ada).await;
    assert_eq!(silent.error(), "login_required", "a password alone was one factor");
    let page = browser.open(&request.path()).await;
    assert!(page.text().contains("id=\"login\""), "signed in is not enough: {}", page.text());
    let question = browser.passkey_question(&page).await;
    let answer = passkey.sign(&question, &server.issuer, &Manner::default());
    let sent = browser.give_passkey(&page, &question, &answer).await;
    let page = browser.follow(sent).await;
    let callback = browser.allow(&page).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(claims(&tokens.member("access_token"))["acr"], TWO_FACTORS);

    // The password once more, by whoever could have shown a passkey, and by whoever has nothing else.
    for person in [&ada, &bea] {
        let mut browser = server.visitor();
        browser.sign_in(person).await;
        let callback = browser.authorize(&request, person).await;
        assert_eq!(callback.error(), "unmet_authentication_requirements");
    }
}

#[rstest]
#[tokio::test]
async fn section_5_a_class_that_no_sign_in_has_is_unmet_for_an_api_and_a_wish_without_one(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let plain = AuthorizeRequest::of(&shop).with("acr_values", "urn:example:gold");
    let request = plain.clone().with("resource", ORDERS);
    for request in [request.clone(), request.with("prompt", "none")] {
        let page = server.visitor().open(&request.path()).await.text();
        assert!(!page.contains("id=\"login\""), "nobody has to sign in to find out: {page}");
        let callback = server.visitor().authorize(&request, &ada).await;
        assert_eq!(callback.error(), "unmet_authentication_requirements");
    }
    let tokens = server.tokens(&shop, &plain, &ada).await;
    assert_eq!(claims(&tokens.member("id_token"))["acr"], "urn:portcullis:acr:1fa");
}

#[rstest]
#[tokio::test]
async fn section_6_a_token_and_what_is_told_of_it_say_how_somebody_signed_in_and_when(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let signed_in_at = server.clock.now().as_secs();
    let request = AuthorizeRequest::of(&shop).with("resource", &orders.audience);
    let token = server.tokens(&shop, &request, &ada).await.member("access_token");
    server.wait(Duration::from_mins(1));
    for told in [claims(&token), server.machine.introspect(&guard, &token).await.json()] {
        assert_eq!(told["acr"], "urn:portcullis:acr:1fa", "{told}");
        assert_eq!(told["auth_time"], signed_in_at, "{told}");
        assert_eq!(told["amr"], json!(["pwd"]), "{told}");
    }
}

#[rstest]
#[tokio::test]
async fn section_7_the_classes_that_the_metadata_name_are_those_that_tokens_say(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let bea = server.admin.user("bea").await;
    let (mut one, mut two) = (server.visitor(), server.visitor());
    let first = AuthorizeRequest::of(&shop);
    one.authorize(&first, &ada).await.code();
    two.authorize(&first, &bea).await.code();
    Authenticator::add(&mut two, &server).await;
    for place in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let classes = server.machine.get(place).await.json()["acr_values_supported"].clone();
        for class in classes.as_array().unwrap() {
            // Whoever signed in so is asked nothing more.
            let class = class.as_str().unwrap();
            let request = AuthorizeRequest::of(&shop).with("acr_values", class).with("prompt", "none");
            let (browser, person) = if class.ends_with(":2fa") { (&mut two, &bea) } else { (&mut one, &ada) };
            let callback = browser.authorize(&request, person).await;
            let tokens = server.machine.redeem(&shop, &request, &callback).await;
            for kind in ["id_token", "access_token"] {
                assert_eq!(claims(&tokens.member(kind))["acr"], class, "{place} {kind}");
            }
        }
    }
}
