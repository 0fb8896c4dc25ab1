//! OAuth 2.0 for Native Apps ([RFC 8252](https://www.rfc-editor.org/rfc/rfc8252)): what no other suite shows of it.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::signed_in::{assert_leads_nowhere, told_at_callback};

#[rstest]
#[case::a_private_scheme("com.example.shop:/cb")]
#[case::claimed("https://app.rp.test/cb")]
#[case::loopback("http://127.0.0.1/cb")]
#[case::loopback_of_ipv6("http://[::1]/cb")]
#[tokio::test]
async fn section_7_a_native_application_is_reached_in_every_way_that_it_can_be(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] uri: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = json!({ "name": "App", "preset": "native", "redirect_uris": [uri] });
    let app = server.admin.client(app).await;
    assert_eq!(app.secret, None, "section 8.5");
    let request = AuthorizeRequest::of(&app);
    let callback = server.visitor().authorize(&request, &ada).await;
    assert_eq!(callback.target, uri);
    let tokens = server.machine.redeem(&app, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}

/// Any program on the device can come by such an address, and say that it is the one that was allowed.
#[rstest]
#[case::a_private_scheme("com.example.shop:/cb")]
#[case::loopback("http://127.0.0.1/cb")]
#[tokio::test]
async fn section_8_6_a_program_that_nobody_can_tell_from_another_is_allowed_each_time(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] uri: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = json!({ "name": "App", "preset": "native", "redirect_uris": [uri, "https://app.rp.test/cb"] });
    let app = server.admin.client(app).await;
    let request = AuthorizeRequest::of(&app).with("redirect_uri", uri);
    let mut visitor = server.visitor();
    visitor.authorize(&request, &ada).await.code();
    the_form(&visitor.open(&request.path()).await, "consent");
    let silent = visitor.open(&request.clone().with("prompt", "none").path()).await;
    let told = silent.headers["location"].to_str().unwrap();
    assert!(told.contains("error=consent_required"), "{told}");
    // What only the owner of the host gets is not asked twice.
    let claimed = request.with("redirect_uri", "https://app.rp.test/cb");
    let answer = visitor.open(&claimed.path()).await;
    assert!(answer.location().is_some_and(|to| to.query().unwrap_or_default().contains("code=")));
}

/// Nor is an application of our own told from another there: nothing goes to it before the person saw a page.
#[rstest]
#[case::a_private_scheme("com.example.shop:/cb")]
#[case::loopback("http://127.0.0.1/cb")]
#[tokio::test]
async fn section_8_6_an_application_of_our_own_gets_nothing_unseen_either(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] uri: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = json!({ "name": "App", "preset": "native", "redirect_uris": [uri, "https://app.rp.test/cb"],
        "options": { "first_party": true } });
    let app = server.admin.client(app).await;
    let request = AuthorizeRequest::of(&app).with("redirect_uri", uri);
    let mut visitor = server.visitor();
    let login = visitor.open(&request.path()).await;
    let sent = visitor.submit(&login_form(&login, &ada.username, &ada.password)).await;
    let told = sent.headers["location"].to_str().unwrap();
    assert!(told.starts_with(uri) && told.contains("code="), "who just signed in is not asked: {told}");
    the_form(&visitor.open(&request.path()).await, "consent");
    let silent = visitor.open(&request.clone().with("prompt", "none").path()).await;
    let told = silent.headers["location"].to_str().unwrap();
    assert!(told.contains("error=consent_required"), "{told}");
    let claimed = request.with("redirect_uri", "https://app.rp.test/cb");
    let answer = visitor.open(&claimed.path()).await;
    assert!(answer.location().is_some_and(|to| to.query().unwrap_or_default().contains("code=")));
}

#[rstest]
#[tokio::test]
async fn section_6_and_8_1_a_native_application_without_pkce_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let app = server.admin.native_client(&[]).await;
    let good = AuthorizeRequest::of(&app);
    for bad in [
        good.clone().without("code_challenge").without("code_challenge_method"),
        good.with("code_challenge_method", "plain"),
    ] {
        assert_eq!(told_at_callback(&server, &bad).await.error(), "invalid_request");
    }
}

#[rstest]
#[tokio::test]
async fn section_8_4_an_address_that_is_not_registered_whole_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for (registered, others) in [
        (
            "http://127.0.0.1/cb",
            &[
                "http://127.0.0.1:1/other",
                "http://127.0.0.2/cb",
                "http://localhost/cb",
                "http://127.0.0.1@evil.test/cb",
            ][..],
        ),
        (
            "com.example.shop:/cb",
            &["com.example.shop:/cb2", "com.example.shop://cb", "com.example.other:/cb"],
        ),
        ("https://app.rp.test/cb", &["https://app.rp.test:8443/cb", "https://app.rp.test/cb?x=1"]),
    ] {
        let app = json!({ "name": "App", "preset": "native", "redirect_uris": [registered] });
        let app = server.admin.client(app).await;
        for other in others {
            assert_leads_nowhere(&server, &AuthorizeRequest::of(&app).with("redirect_uri", other), other)
                .await;
        }
    }
    // Section 7.1: a scheme that nobody owns is registered by nobody.
    for uri in ["shop:/cb", "http://rp.test/cb", "http://localhost/cb"] {
        let app = json!({ "name": "App", "preset": "native", "redirect_uris": [uri] });
        assert_eq!(server.admin.send(Method::POST, "/clients", &app).await.status, 422, "{uri}");
    }
}
