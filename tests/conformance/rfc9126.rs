//! OAuth 2.0 Pushed Authorization Requests ([RFC 9126](https://www.rfc-editor.org/rfc/rfc9126)).

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::markup::text_of;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;

const URN: &str = "urn:ietf:params:oauth:request_uri:";

pub(super) async fn push(server: &TestServer, client: &Registered, request: &AuthorizeRequest) -> Answer {
    server.machine.post_as(client, "/par", &request.fields_without("client_id")).await
}

/// The handle of a request that is accepted.
pub(super) async fn handle(server: &TestServer, client: &Registered, request: &AuthorizeRequest) -> String {
    let answer = push(server, client, request).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.member("request_uri")
}

pub(super) fn brought(client: &Registered, handle: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &client.id).append_pair("request_uri", handle);
    format!("/authorize?{}", query.finish())
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_pushed_request_gets_a_handle_that_buys_a_code(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    // The client is known from then on.
    handle(&server, &shop, &request).await;
    let before = server.statements();
    let answer = push(&server, &shop, &request).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(server.statements() - before, 1, "one statement");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json()["expires_in"], 60);
    let handle = answer.member("request_uri");
    assert!(handle.starts_with(URN) && handle.len() >= URN.len() + 43, "{handle}");
    let callback = server.visitor().walk(&brought(&shop, &handle), &ada).await;
    assert_eq!(callback.get("state"), request.get("state"));
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_2_1_who_pushes_has_to_prove_who_it_is(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let wrong = Registered { secret: Some(format!("pck_{}", "A".repeat(43))), ..shop.clone() };
    let answer = push(&server, &wrong, &request).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, "invalid_client"));
    let nobody = server.machine.post("/par", &request.fields_without("")).await;
    assert_eq!((nobody.status.as_u16(), nobody.error().as_str()), (401, "invalid_client"));
    let app = server.admin.native_client(&[]).await;
    let of_a_public_client = push(&server, &app, &AuthorizeRequest::of(&app)).await;
    assert_eq!(of_a_public_client.status, 201, "{}", of_a_public_client.text());
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_handle_is_not_pushed_again(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let known = handle(&server, &shop, &request).await;
    for uri in [known.as_str(), "https://rp.test/request", "x"] {
        let answer = push(&server, &shop, &request.clone().with("request_uri", uri)).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_request"), "{uri}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_3_every_error_of_a_request_is_told_to_who_pushes_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let good = AuthorizeRequest::of(&shop);
    for (request, error) in [
        (good.clone().with("redirect_uri", "https://evil.test/cb"), "invalid_request"),
        (good.clone().without("redirect_uri"), "invalid_request"),
        (good.clone().without("code_challenge"), "invalid_request"),
        (good.clone().with("code_challenge_method", "plain"), "invalid_request"),
        (good.clone().with("response_type", "token"), "unsupported_response_type"),
        (good.clone().with("scope", "nothing"), "invalid_scope"),
        (good.clone().with("resource", "https://nobody.test"), "invalid_target"),
        (good.clone().with("prompt", "none login"), "invalid_request"),
        (good.clone().with("id_token_hint", "x.y.z"), "invalid_request"),
        (good.clone().and("state", "again"), "invalid_request"),
    ] {
        let answer = push(&server, &shop, &request).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, error), "{request:?}");
        assert!(!answer.text().contains("evil.test"), "nothing is echoed: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_2_1_the_client_in_the_form_is_the_one_that_authenticates(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (shop, forum) = (server.admin.web_client(&[]).await, server.admin.web_client(&[]).await);
    let request = AuthorizeRequest::of(&forum);
    let answer = server.machine.post_as(&shop, "/par", &request.fields_without("")).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_request"));
}

#[rstest]
#[tokio::test]
async fn section_4_a_handle_counts_once_for_its_client_and_for_a_minute(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (shop, forum) = (server.admin.web_client(&[]).await, server.admin.web_client(&[]).await);
    let request = AuthorizeRequest::of(&shop);
    let used = handle(&server, &shop, &request).await;
    server.visitor().walk(&brought(&shop, &used), &ada).await.code();
    let foreign = handle(&server, &shop, &request).await;
    let late = handle(&server, &shop, &request).await;
    let (mut stranger, mut visitor) = (server.visitor(), server.visitor());
    visitor.sign_in(&ada).await;
    for browser in [&mut stranger, &mut visitor] {
        let answer = browser.open(&brought(&forum, &foreign)).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "of another client");
        assert_eq!(text_of(&answer.text(), "error-code").as_deref(), Some("invalid_request_uri"));
    }
    // Whoever shows it for another client takes it from nobody.
    stranger.walk(&brought(&shop, &foreign), &ada).await.code();
    server.wait(Duration::from_secs(59));
    assert_eq!(server.visitor().open(&brought(&shop, &late)).await.status, 200, "to the sign-in");
    server.wait(Duration::from_secs(1));
    for (handle, why) in [(&used, "used"), (&foreign, "used"), (&late, "expired")] {
        for browser in [&mut stranger, &mut visitor, &mut server.visitor()] {
            let answer = browser.open(&brought(&shop, handle)).await;
            assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{why}");
            assert_eq!(
                text_of(&answer.text(), "error-code").as_deref(),
                Some("invalid_request_uri"),
                "{why}"
            );
            assert_eq!(text_of(&answer.text(), "parameter").as_deref(), Some("request_uri"), "{why}");
            assert!(!answer.text().contains(handle.as_str()), "{why}: nothing is echoed");
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_4_what_else_the_browser_brings_counts_for_nothing(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let handle = handle(&server, &shop, &request).await;
    let more = "&scope=openid+email&state=other&nonce=other&redirect_uri=https%3A%2F%2Fevil.test%2F";
    let callback = server.visitor().walk(&format!("{}{more}", brought(&shop, &handle)), &ada).await;
    assert_eq!(
        (callback.target.as_str(), callback.get("state")),
        ("https://rp.test/cb", request.get("state"))
    );
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(tokens.json()["scope"], "openid", "{}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_6_a_client_can_be_held_to_pushing(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "protocol": { "require_pushed_requests": true } } });
    let bank = server.admin.client(bank).await;
    let request = AuthorizeRequest::of(&bank);
    let callback = server.visitor().authorize(&request, &ada).await;
    assert_eq!((callback.error(), callback.get("state")), ("invalid_request", request.get("state")));
    let handle = handle(&server, &bank, &request).await;
    let callback = server.visitor().walk(&brought(&bank, &handle), &ada).await;
    assert!(!callback.code().is_empty());
    let shown = server.admin.get(&format!("/clients/{}", bank.id)).await;
    assert_eq!(shown.json()["settings"]["protocol"]["require_pushed_requests"], true, "{}", shown.text());
}

#[rstest]
#[tokio::test]
async fn section_5_the_metadata_say_where_requests_are_pushed_and_whether_they_have_to_be(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(false, true)] required: bool,
) {
    let server =
        TestServer::start_with(database, |config| config.protocol.require_pushed_requests = required).await;
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["pushed_authorization_request_endpoint"], server.machine.url("/par"));
    assert_eq!(metadata["require_pushed_authorization_requests"], required);
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let callback = server.visitor().authorize(&AuthorizeRequest::of(&shop), &ada).await;
    assert_eq!(callback.error().is_empty(), !required, "{callback:?}");
}

#[rstest]
#[tokio::test]
async fn section_7_a_machine_has_nothing_to_push(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let machine = server.admin.machine_client(&[]).await;
    let shop = server.admin.web_client(&[]).await;
    let answer = push(&server, &machine, &AuthorizeRequest::of(&shop)).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_request"));
    let robot = json!({ "name": "Robot", "preset": "m2m",
        "options": { "protocol": { "require_pushed_requests": true } } });
    let refused = server.admin.send(reqwest::Method::POST, "/clients", &robot).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("/options/protocol/require_pushed_requests"), "{}", refused.text());
}

#[rstest]
#[tokio::test]
async fn section_2_3_what_is_no_request_to_push_is_told_by_its_status(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.limits.token_per_client_per_minute = 2;
    })
    .await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let asked = Answer::to(server.machine.request(reqwest::Method::GET, "/par")).await;
    assert_eq!((asked.status.as_u16(), asked.header("allow").is_empty()), (405, false));
    let huge = push(&server, &shop, &request.clone().with("state", &"x".repeat(2 << 20))).await;
    assert_eq!(huge.status, 413);
    for status in [201, 201, 429] {
        let answer = push(&server, &shop, &request).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        assert_eq!(answer.header("retry-after").is_empty(), status == 201);
    }
}

/// Each is a row, and anybody can name a client that proves nothing.
#[rstest]
#[tokio::test]
async fn section_7_1_what_clients_without_a_secret_push_from_one_network_is_limited(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server =
        TestServer::start_with(database, |config| config.limits.flows_per_address_per_minute = 3).await;
    let (app, shop) = (server.admin.native_client(&[]).await, server.admin.web_client(&[]).await);
    for _ in 0..3 {
        assert_eq!(push(&server, &app, &AuthorizeRequest::of(&app)).await.status, 201);
    }
    let refused = push(&server, &app, &AuthorizeRequest::of(&app)).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), "20", "three a minute");
    let handle = handle(&server, &shop, &AuthorizeRequest::of(&shop)).await;
    assert_eq!(
        server.visitor().open(&brought(&shop, &handle)).await.status,
        429,
        "it proved who it is, and begins now"
    );
    // What was counted when it was pushed is not counted again when somebody comes with it.
    server.wait(Duration::from_secs(20));
    let pushed = push(&server, &app, &AuthorizeRequest::of(&app)).await.member("request_uri");
    let page = server.visitor().open(&brought(&app, &pushed)).await;
    assert_eq!(page.status, 200, "{}", page.text());
    // Who comes back with it is: each time is a row, too.
    let again = server.visitor().open(&brought(&app, &pushed)).await;
    assert_eq!((again.status.as_u16(), again.header("retry-after")), (429, "20"), "{}", again.text());
    server.wait(Duration::from_secs(20));
    let page = server.visitor().open(&brought(&app, &pushed)).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[rstest]
#[tokio::test]
async fn section_7_4_what_a_client_may_do_is_looked_at_again_when_its_handle_is_used(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid email");
    let [narrowed, disabled] =
        [handle(&server, &shop, &request).await, handle(&server, &shop, &request).await];
    let less = json!({ "name": "Test shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "scopes": "openid" });
    let change = server.admin.request(reqwest::Method::PUT, &format!("/clients/{}", shop.id)).await;
    let changed = Answer::to(change.header("if-match", "*").json(&less)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    server.look().await;
    let callback = server.visitor().walk(&brought(&shop, &narrowed), &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(tokens.json()["scope"], "openid", "{}", tokens.text());
    server.admin.post(&format!("/clients/{}/disable", shop.id), &json!({})).await;
    server.look().await;
    let answer = server.visitor().open(&brought(&shop, &disabled)).await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
    assert_eq!(answer.location(), None);
}
