//! The OAuth 2.0 Authorization Framework ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749)): what its authorization endpoint refuses.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::signed_in::{SignedIn, assert_leads_nowhere, told_at_callback};

#[rstest]
#[tokio::test]
async fn section_3_1_nothing_is_granted_before_somebody_signs_in(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let page = server.visitor().open(&request.path()).await;
    assert_eq!((page.url.path(), page.location()), ("/login", None));
    assert_eq!(told_at_callback(&server, &request.with("prompt", "none")).await.error(), "login_required");
}

#[rstest]
#[tokio::test]
async fn section_3_1_a_parameter_that_comes_twice_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let good = AuthorizeRequest::of(&shop);
    for name in ["scope", "state", "response_type", "code_challenge", "nonce"] {
        let callback = told_at_callback(&server, &good.clone().and(name, good.get(name))).await;
        assert_eq!(callback.error(), "invalid_request", "{name}");
    }
    for name in ["client_id", "redirect_uri"] {
        assert_leads_nowhere(&server, &good.clone().and(name, good.get(name)), name).await;
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_1_a_response_type_that_is_missing_or_unknown_is_an_error(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let good = AuthorizeRequest::of(&shop);
    let missing = told_at_callback(&server, &good.clone().without("response_type")).await;
    assert_eq!((missing.error(), missing.get("state")), ("invalid_request", good.get("state")));
    for unknown in ["token", "id_token", "code token", "none", "CODE", "saml"] {
        let callback = told_at_callback(&server, &good.clone().with("response_type", unknown)).await;
        assert_eq!(callback.error(), "unsupported_response_type", "{unknown}");
    }
}

/// What no client may register.
async fn assert_not_registered(server: &TestServer, preset: &str, uris: &[&str]) {
    let document = json!({ "name": "App", "preset": preset, "redirect_uris": uris });
    let refused = server.admin.send(Method::POST, "/clients", &document).await;
    assert_eq!(refused.status, 422, "{uris:?}: {}", refused.text());
    assert!(refused.text().contains("/redirect_uris"), "{uris:?}: {}", refused.text());
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_a_redirect_uri_is_absolute_and_has_no_fragment(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    for uri in
        ["/cb", "cb", "//rp.test/cb", "rp.test/cb", "https:", "https://rp.test/cb#x", "https://rp.test/cb#"]
    {
        assert_not_registered(&server, "web", &[uri]).await;
        assert_leads_nowhere(&server, &AuthorizeRequest::of(&shop).with("redirect_uri", uri), uri).await;
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_2_and_10_2_a_public_client_without_a_redirect_uri_is_not_registered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for preset in ["native", "spa", "web"] {
        assert_not_registered(&server, preset, &[]).await;
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_3_and_10_6_one_of_several_redirect_uris_is_named_and_compared_whole(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let two = ["https://rp.test/cb", "https://rp.test/other?a=1"];
    let client = json!({ "name": "Two", "preset": "web", "redirect_uris": two });
    let client = server.admin.client(client).await;
    let good = AuthorizeRequest::of(&client);
    assert_leads_nowhere(&server, &good.clone().without("redirect_uri"), "none is named").await;
    for other in [
        "https://rp.test/cb/",
        "https://rp.test/CB",
        "https://rp.test/cb?a=1",
        "https://rp.test/other",
        "https://rp.test/other?a=1&b=2",
        "https://rp.test:443/cb",
        "https://RP.test/cb",
        "https://rp.test/%63b",
        "https://rp.test/x/../cb",
        "https://evil.test/cb",
    ] {
        assert_leads_nowhere(&server, &good.clone().with("redirect_uri", other), other).await;
    }
    for uri in two {
        let page = server.visitor().open(&good.clone().with("redirect_uri", uri).path()).await;
        assert_eq!(page.url.path(), "/login", "{uri}");
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_4_and_4_1_2_1_nobody_is_led_to_an_address_that_nobody_registered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let good = AuthorizeRequest::of(&shop);
    for uri in
        ["https://evil.test/cb", "javascript:alert(1)", "https://rp.test@evil.test/cb", "data:text/html,x"]
    {
        // Whatever else is wrong with the request.
        for bad in
            [good.clone(), good.clone().with("scope", "no-such"), good.clone().without("response_type")]
        {
            assert_leads_nowhere(&server, &bad.with("redirect_uri", uri), uri).await;
        }
    }
    for id in ["nope", "", "cli_00000000000070008000000000000001"] {
        let unknown = Registered { id: id.to_owned(), ..shop.clone() };
        assert_leads_nowhere(&server, &AuthorizeRequest::of(&unknown), id).await;
    }
    assert_leads_nowhere(&server, &good.without("client_id"), "no client is named").await;
}

#[rstest]
#[tokio::test]
async fn section_4_1_2_1_other_errors_go_to_the_application_with_its_state(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = SignedIn::on(database).await;
    let good = AuthorizeRequest::of(&scene.shop);
    for (request, error) in [
        (good.clone().without("code_challenge"), "invalid_request"),
        (good.clone().with("scope", "no-such-scope"), "invalid_scope"),
        (good.clone().with("response_type", "token"), "unsupported_response_type"),
        (good.clone().with("resource", "https://nobody.test"), "invalid_target"),
    ] {
        let callback = told_at_callback(&scene.server, &request).await;
        assert_eq!((callback.error(), callback.get("state")), (error, request.get("state")));
        assert_eq!(callback.get("code"), "");
    }
    let asks = good.with("scope", "openid email");
    let page = scene.visitor.open(&asks.path()).await;
    let denied = scene.visitor.submit(&the_form(&page, "consent").with("decision", "deny")).await;
    let callback = portcullis_tests::authorize::Callback::of(&denied.location().unwrap());
    assert_eq!((callback.error(), callback.get("state")), ("access_denied", asks.get("state")));
}

#[rstest]
#[tokio::test]
async fn section_10_12_and_10_13_consent_of_another_site_or_browser_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = SignedIn::on(database).await;
    let asks = AuthorizeRequest::of(&scene.shop).with("scope", "openid email");
    let page = scene.visitor.open(&asks.path()).await;
    // Section 10.13.
    assert_eq!(page.header("x-frame-options"), "DENY");
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    let form = the_form(&page, "consent").with("decision", "allow");
    for headers in [&[("origin", "https://evil.test")][..], &[("sec-fetch-site", "cross-site")], &[]] {
        let refused = scene.visitor.submit_from(&form, headers).await;
        assert_eq!((refused.status.as_u16(), refused.location()), (403, None), "{headers:?}");
    }
    assert_eq!(scene.visitor.submit(&form.clone().without("csrf_token")).await.status, 403);
    let mut other = scene.server.visitor();
    other.sign_in(&scene.person).await;
    assert_eq!(other.submit(&form).await.status, 403, "another browser");
    let allowed = scene.visitor.submit(&form).await;
    assert!(allowed.location().is_some_and(|target| target.as_str().contains("code=")), "{}", allowed.text());
}
