//! [OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html) §11: who acts for somebody who is away was allowed to.

use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

/// An application of our own.
async fn ours(server: &TestServer, preset: &str, redirect: &str) -> Registered {
    let document = json!({ "name": "Ours", "preset": preset, "redirect_uris": [redirect],
        "options": { "first_party": true } });
    server.admin.client(document).await
}

/// A request that wants to go on while the person is away.
fn offline(client: &Registered) -> AuthorizeRequest {
    AuthorizeRequest::of(client).with("scope", "openid offline_access")
}

/// What a request gets that may show no page.
async fn silently(visitor: &mut Visitor, request: &AuthorizeRequest) -> Callback {
    let answer = visitor.open(&request.clone().with("prompt", "none").path()).await;
    Callback::of(&answer.location().expect("nothing is shown"))
}

#[rstest]
#[case::web("web")]
#[case::spa("spa")]
#[tokio::test]
async fn section_11_also_our_own_applications_get_offline_access_with_consent_alone(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] preset: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let portal = ours(&server, preset, "https://rp.test/cb").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let plain = AuthorizeRequest::of(&portal).with("scope", "openid email");
    assert!(!silently(&mut visitor, &plain).await.code().is_empty(), "nobody is asked about anything else");
    assert_eq!(silently(&mut visitor, &offline(&portal)).await.error(), "consent_required");
    let page = visitor.open(&offline(&portal).path()).await;
    let denied = visitor.submit(&the_form(&page, "consent").with("decision", "deny")).await;
    assert_eq!(Callback::of(&denied.location().unwrap()).error(), "access_denied");
    assert_eq!(silently(&mut visitor, &offline(&portal)).await.error(), "consent_required");
    // Who allowed it is not asked again, whatever else is asked for, until it is taken back.
    let request = offline(&portal);
    let callback = visitor.authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&portal, &request, &callback).await;
    assert!(!tokens.member("refresh_token").is_empty(), "{}", tokens.text());
    let wider = offline(&portal).with("scope", "openid email offline_access");
    assert!(!silently(&mut visitor, &wider).await.code().is_empty());
    let path = format!("/users/{}/consents/withdraw", ada.id);
    let taken = server.admin.send(Method::POST, &path, &json!({ "client": portal.id })).await;
    assert_eq!(taken.status, 204, "{}", taken.text());
    assert_eq!(silently(&mut visitor, &offline(&portal)).await.error(), "consent_required");
}

/// Nobody can tell such a program from another.
#[rstest]
#[tokio::test]
async fn section_11_native_applications_of_our_own_ask_each_time(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = ours(&server, "native", "http://127.0.0.1/cb").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    for _ in 0..2 {
        the_form(&visitor.open(&offline(&app).path()).await, "consent");
        let callback = visitor.authorize(&offline(&app), &ada).await;
        assert!(!callback.code().is_empty());
    }
    let plain = AuthorizeRequest::of(&app).with("scope", "openid email");
    assert!(!silently(&mut visitor, &plain).await.code().is_empty());
}
