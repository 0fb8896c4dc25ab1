//! [OAuth 2.1](https://datatracker.ietf.org/doc/draft-ietf-oauth-v2-1/), for the clients that are held to it (`options.profile`), where it
//! differs from what every client is held to.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

async fn client(server: &TestServer, profile: &str) -> Registered {
    let document = json!({ "name": "App", "preset": "spa", "redirect_uris": ["https://rp.test/cb"],
        "options": { "profile": profile } });
    server.admin.client(document).await
}

async fn redeem(
    server: &TestServer,
    client: &Registered,
    (request, callback): (&AuthorizeRequest, &Callback),
    redirect: Option<&str>,
) -> Answer {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("code_verifier", request.pkce.verifier.as_str()),
    ];
    fields.extend(redirect.map(|uri| ("redirect_uri", uri)));
    server.machine.token(client, &fields).await
}

#[rstest]
#[tokio::test]
async fn section_1_7_1_a_request_line_of_8000_octets_is_served(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = client(&server, "oauth21").await;
    let short = AuthorizeRequest::of(&app).with("ignored", "");
    let room = 8_000 - "GET  HTTP/1.1\r\n".len() - short.path().len();
    let request = short.with("ignored", &"x".repeat(room));
    assert_eq!(format!("GET {} HTTP/1.1\r\n", request.path()).len(), 8_000);
    let callback = server.visitor().authorize(&request, &ada).await;
    let answer = redeem(&server, &app, (&request, &callback), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn section_4_1_3_a_token_request_need_not_repeat_the_redirect_uri(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    for (profile, status) in [("oauth21", 200), ("none", 400)] {
        let app = client(&server, profile).await;
        let request = AuthorizeRequest::of(&app);
        let callback = server.visitor().authorize(&request, &ada).await;
        let answer = redeem(&server, &app, (&request, &callback), None).await;
        assert_eq!(answer.status.as_u16(), status, "{profile}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_10_2_a_redirect_uri_that_is_repeated_has_to_be_the_same(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = client(&server, "oauth21").await;
    let request = AuthorizeRequest::of(&app);
    let callback = server.visitor().authorize(&request, &ada).await;
    let wrong = redeem(&server, &app, (&request, &callback), Some("https://rp.test/other")).await;
    assert_eq!((wrong.status.as_u16(), wrong.error().as_str()), (400, "invalid_grant"), "{}", wrong.text());
    let right = redeem(&server, &app, (&request, &callback), Some("https://rp.test/cb")).await;
    assert_eq!(right.status, 200, "{}", right.text());
}

#[rstest]
#[tokio::test]
async fn rfc_9700_section_2_6_only_applications_on_a_device_get_answers_at_a_loopback_address(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for (preset, profile, status) in
        [("web", "oauth21", 422), ("spa", "oauth21", 422), ("native", "oauth21", 201), ("web", "none", 201)]
    {
        let document = json!({ "name": "App", "preset": preset, "redirect_uris": ["http://127.0.0.1/cb"],
            "options": { "profile": profile } });
        let answer = server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(answer.status.as_u16(), status, "{preset} {profile}: {}", answer.text());
        assert_eq!(answer.text().contains("/redirect_uris/0"), status == 422, "{}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_4_3_1_refresh_tokens_of_public_clients_count_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = client(&server, "oauth21").await;
    let request = AuthorizeRequest::of(&app).with("scope", "openid offline_access");
    let first = server.tokens(&app, &request, &ada).await.member("refresh_token");
    let second = server.machine.refresh(&app, &first).await.member("refresh_token");
    assert_ne!(first, second);
    server.wait(std::time::Duration::from_mins(1));
    for token in [&first, &second] {
        let answer = server.machine.refresh(&app, token).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_grant"));
    }
}
