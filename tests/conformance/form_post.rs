//! OAuth 2.0 Form Post Response Mode (<https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html>).

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::forms;
use portcullis_tests::server::TestServer;
use rstest::rstest;

#[rstest]
#[tokio::test]
async fn section_2_a_code_comes_in_a_form_that_any_browser_can_send(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("response_mode", "form_post");
    let mut visitor = server.visitor();
    let callback = visitor.authorize(&request, &ada).await;
    assert_eq!(callback.target, "https://rp.test/cb");
    assert_eq!(callback.get("state"), request.get("state"));
    assert_eq!(callback.get("iss"), server.issuer, "RFC 9207");
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    // Once more, now that nobody is asked anything: the page itself.
    let page = visitor.open(&request.path()).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("cache-control"), "no-store");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && !policy.contains("form-action"), "{policy}");
    assert!(page.text().contains("<button type=\"submit\""), "it works without scripts");
    assert_eq!(forms(&page.text()).len(), 1);
}

#[rstest]
#[tokio::test]
async fn section_2_so_does_an_error(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let good = AuthorizeRequest::of(&shop).with("response_mode", "form_post");
    for (request, error) in
        [(good.clone().with("prompt", "none"), "login_required"), (good.with("scope", "x"), "invalid_scope")]
    {
        let callback = server.visitor().authorize(&request, &ada).await;
        assert_eq!((callback.error(), callback.get("state")), (error, request.get("state")));
    }
}

#[rstest]
#[tokio::test]
async fn section_5_what_comes_back_is_text_in_the_form_and_nothing_else(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let hostile = "\"><script>alert(1)</script><input value=\"";
    let request = AuthorizeRequest::of(&shop).with("response_mode", "form_post").with("state", hostile);
    let mut visitor = server.visitor();
    visitor.authorize(&request, &ada).await;
    let page = visitor.open(&request.path()).await.text();
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("&lt;script&gt;"), "{page}");
}

#[rstest]
#[tokio::test]
async fn section_4_and_multiple_response_types_section_2_1_an_unknown_mode_is_refused_and_told_in_the_query(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    for mode in ["fragment", "web_message", "fragment.jwt"] {
        let request = AuthorizeRequest::of(&shop).with("response_mode", mode);
        let answer = server.visitor().open(&request.path()).await;
        let target = answer.location().unwrap_or_else(|| panic!("{mode}: {}", answer.text()));
        assert!(target.query().is_some_and(|query| query.contains("error=invalid_request")), "{target}");
    }
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    let mode = metadata["response_modes_supported"].to_string();
    assert_eq!(mode, r#"["form_post","form_post.jwt","query","query.jwt","jwt"]"#);
    drop(ada);
}
