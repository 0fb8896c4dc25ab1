//! The authorization code flow, from the application's first redirect to userinfo.

use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::relying_party::RelyingParty;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use rstest::rstest;
use serde_json::json;

const ORDERS: &str = "https://orders.test";

#[rstest]
#[tokio::test]
async fn an_application_signs_somebody_in_with_a_library_of_others(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let party = RelyingParty::discover(&server.issuer, &shop).await;
    let begun = party.begin(&["profile", "email"]);
    let callback = server.visitor().walk(begun.url.as_str(), &ada).await;
    assert_eq!(callback.target, "https://rp.test/cb");
    let signed_in = party.finish(begun, &callback).await;
    assert_eq!(signed_in.subject, ada.sub);
    let info = party.userinfo(&signed_in).await;
    assert_eq!(info.preferred_username().map(|name| name.as_str()), Some("ada"));
    assert_eq!(info.email().map(|email| email.as_str()), Some("ada@example.org"));
}

#[rstest]
#[case::es256("ES256")]
#[case::eddsa("EdDSA")]
#[case::ps256("PS256")]
#[case::rs256("RS256")]
#[tokio::test]
async fn an_id_token_is_signed_as_the_client_wants(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] algorithm: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "id_token_alg": algorithm } });
    let shop = server.admin.client(shop).await;
    let party = RelyingParty::discover(&server.issuer, &shop).await;
    let begun = party.begin(&[]);
    let callback = server.visitor().walk(begun.url.as_str(), &ada).await;
    let signed_in = party.finish(begun, &callback).await;
    assert_eq!(header(&signed_in.id_token)["alg"], algorithm);
}

#[rstest]
#[tokio::test]
async fn a_public_client_on_a_device_may_listen_on_any_port(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = server.admin.native_client(&[]).await;
    let request = AuthorizeRequest::of(&app).with("redirect_uri", "http://127.0.0.1:49152/cb");
    let callback = server.visitor().authorize(&request, &ada).await;
    assert_eq!(callback.target, "http://127.0.0.1:49152/cb");
    let answer = server.machine.redeem(&app, &request, &callback).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn a_token_for_an_api_says_what_rfc_9068_asks_for(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.assign(&orders, "viewer", &ada.id).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let request = AuthorizeRequest::of(&shop).with("resource", ORDERS);
    let answer = server.tokens(&shop, &request, &ada).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.member("token_type"), "Bearer");
    let token = answer.member("access_token");
    assert_eq!(header(&token)["typ"], "at+jwt");
    assert_eq!(header(&token)["alg"], "ES256");
    let claims = claims(&token);
    let now = server.clock.now().as_secs();
    assert_eq!(claims["iss"], server.issuer);
    assert_eq!(claims["aud"], ORDERS);
    assert_eq!(claims["sub"], ada.sub);
    assert_eq!(claims["client_id"], shop.id);
    assert_eq!(claims["roles"], json!(["viewer"]));
    assert_eq!(claims["iat"], now);
    assert_eq!(claims["exp"], now + 300);
    assert_eq!(claims["auth_time"], now);
    assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() >= 16));
    assert!(claims["sid"].is_string());
    assert_eq!(answer.json()["expires_in"], 300);
}

#[rstest]
#[tokio::test]
async fn a_second_application_is_reached_without_another_sign_in(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (shop, forum) = (server.admin.web_client(&[]).await, server.admin.web_client(&[]).await);
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    let session = visitor.session().map(str::to_owned);
    let page = visitor.open(&AuthorizeRequest::of(&forum).path()).await;
    assert!(page.text().contains("id=\"consent\""), "only consent is asked: {}", page.url);
    assert_eq!(visitor.session().map(str::to_owned), session);
}

/// Whom the application knows, what was allowed it and which roles count is asked as the code is issued and as it is redeemed: none of
/// it costs a statement of its own.
#[rstest]
#[tokio::test]
async fn a_flow_in_a_live_session_takes_five_statements(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.assign(&orders, "viewer", &ada.id).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let ours = json!({ "name": "Ours", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "apis": [orders.id], "options": { "first_party": true } });
    let ours = server.admin.client(ours).await;
    let holder = Holder::generate();
    holder.greet(&server).await;
    for client in [&shop, &ours] {
        let request = || {
            let scope = "openid offline_access";
            AuthorizeRequest::of(client).with("resource", ORDERS).with("scope", scope)
        };
        // The person signs in and allows it, and client and API are known from then on.
        let mut visitor = server.visitor();
        visitor.authorize(&request(), &ada).await;
        for proves in [false, true] {
            let request = request();
            let before = server.statements();
            let answer = visitor.open(&request.path()).await;
            let authorized = server.statements() - before;
            let callback = Callback::of(&answer.location().expect("nobody is asked"));
            let before = server.statements();
            let tokens = if proves {
                holder.post(&server, client, "/token", &redemption(&request, &callback)).await
            } else {
                server.machine.redeem(client, &request, &callback).await
            };
            let redeemed = server.statements() - before;
            assert_eq!((authorized, redeemed), (2, 3), "{}", tokens.text());
            assert_eq!(claims(&tokens.member("access_token"))["roles"], json!(["viewer"]));
            let refreshed = if proves {
                holder.refresh(&server, client, &tokens.member("refresh_token")).await
            } else {
                server.machine.refresh(client, &tokens.member("refresh_token")).await
            };
            assert_eq!(refreshed.status, 200, "{}", refreshed.text());
        }
    }
}

fn redemption<'a>(request: &'a AuthorizeRequest, callback: &'a Callback) -> [Field<'a>; 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", &request.pkce.verifier),
    ]
}

#[rstest]
#[tokio::test]
async fn a_request_may_come_as_a_form(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let request = AuthorizeRequest::of(&shop);
    let (_, query) = request.path().split_once('?').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let post = visitor.request(reqwest::Method::POST, "/authorize");
    let post = post.header("content-type", "application/x-www-form-urlencoded").body(query);
    let answer = visitor.send(post).await;
    let page = visitor.follow(answer).await;
    assert!(page.text().contains("id=\"consent\""), "{} {}", page.status, page.url);
}

#[rstest]
#[tokio::test]
async fn login_hint_fills_in_the_user_name(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("login_hint", "ada\"><script>");
    let page = server.visitor().open(&request.path()).await;
    let form = portcullis_tests::visitor::the_form(&page, "login");
    assert_eq!(form.value("username"), Some("ada\"><script>"));
    assert!(!page.text().contains("<script>"));
}

#[rstest]
#[tokio::test]
async fn prompt_login_asks_again_and_the_answer_says_when(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    server.wait(std::time::Duration::from_mins(10));
    let request = AuthorizeRequest::of(&shop).with("prompt", "login");
    let page = visitor.open(&request.path()).await;
    assert!(page.text().contains("id=\"login\""));
    let callback = visitor.authorize(&request, &ada).await;
    let answer = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(claims(&answer.member("id_token"))["auth_time"], server.clock.now().as_secs());
}

#[rstest]
#[tokio::test]
async fn an_id_token_hint_of_somebody_else_is_not_answered_silently(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let hint = server.tokens(&shop, &request, &ada).await.member("id_token");
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &bob).await;
    let silent = AuthorizeRequest::of(&shop).with("prompt", "none").with("id_token_hint", &hint);
    let answer = visitor.open(&silent.path()).await;
    assert_eq!(Callback::of(&answer.location().unwrap()).error(), "login_required");
}

#[rstest]
#[tokio::test]
async fn a_resource_the_client_may_not_ask_for_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    server.admin.api(ORDERS).await;
    let shop = server.admin.web_client(&[]).await;
    for resource in [ORDERS, "https://unknown.test", "not a uri", "https://orders.test#x"] {
        let request = AuthorizeRequest::of(&shop).with("resource", resource);
        let mut visitor = server.visitor();
        visitor.sign_in(&ada).await;
        let answer = visitor.open(&request.path()).await;
        let callback =
            Callback::of(&answer.location().unwrap_or_else(|| panic!("{resource}: {}", answer.text())));
        assert_eq!(callback.error(), "invalid_target", "{resource}");
        assert_eq!(callback.get("state"), request.get("state"));
        assert_eq!(callback.get("iss"), server.issuer);
    }
}

#[rstest]
#[tokio::test]
async fn userinfo_answers_get_and_both_kinds_of_post(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let token = server.tokens(&shop, &request, &ada).await.member("access_token");
    assert_eq!(server.machine.userinfo(&token).await.member("sub"), ada.sub);
    let post = server.machine.request(reqwest::Method::POST, "/userinfo").bearer_auth(&token);
    assert_eq!(portcullis_tests::agent::Answer::to(post).await.member("sub"), ada.sub);
    let body = server.machine.post("/userinfo", &[("access_token", &token)]).await;
    assert_eq!(body.member("sub"), ada.sub);
}

#[rstest]
#[tokio::test]
async fn a_hint_has_to_be_an_id_token_of_ours_and_may_be_old(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let mut visitor = server.visitor();
    let callback = visitor.authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let (id_token, access) = (tokens.member("id_token"), tokens.member("access_token"));
    let foreign = {
        let elsewhere = TestServer::start_on(Sqlite).await;
        let (bob, other) = (elsewhere.admin.user("bob").await, elsewhere.admin.web_client(&[]).await);
        let request = AuthorizeRequest::of(&other);
        elsewhere.tokens(&other, &request, &bob).await.member("id_token")
    };
    let silently =
        |hint: &str| AuthorizeRequest::of(&shop).with("prompt", "none").with("id_token_hint", hint);
    let damaged = portcullis_tests::jwt::damaged(&id_token);
    for bad in ["garbage", "a.b.c", &*damaged, &*foreign, &*access] {
        let callback = visitor.authorize(&silently(bad), &ada).await;
        assert_eq!(callback.error(), "invalid_request", "{bad}");
    }
    visitor.authorize(&silently(&id_token), &ada).await.code();
    server.wait(std::time::Duration::from_mins(11));
    visitor.authorize(&silently(&id_token), &ada).await.code();
    let bob = server.admin.user("bob-the-other").await;
    let mut other = server.visitor();
    other.sign_in(&bob).await;
    assert_eq!(other.authorize(&silently(&id_token), &bob).await.error(), "login_required");
}
