//! OAuth 2.0 Security ([RFC 9700](https://www.rfc-editor.org/rfc/rfc9700)): what is refused because of it.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback, Pkce};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::login_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::signed_in::{SignedIn, assert_leads_nowhere, told, told_at_callback};

fn invalid_grant() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

#[rstest]
#[tokio::test]
async fn section_2_1_and_4_1_3_and_mcp_section_security_open_redirection_another_redirect_uri_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (web, native) = (server.admin.web_client(&[]).await, server.admin.native_client(&[]).await);
    for (client, uris) in [
        (
            &web,
            &[
                "https://rp.test/cb/",
                "https://rp.test/cb?x",
                "https://RP.test/cb",
                "https://rp.test/%63b",
                "https://evil.rp.test/cb",
            ][..],
        ),
        (&native, &["http://127.0.0.1:1/other", "http://127.0.0.2:1/cb", "http://127.0.0.1:1@evil.test/cb"]),
    ] {
        for uri in uris {
            assert_leads_nowhere(&server, &AuthorizeRequest::of(client).with("redirect_uri", uri), uri).await;
        }
    }
    let free = AuthorizeRequest::of(&native).with("redirect_uri", "http://127.0.0.1:49152/cb");
    assert_eq!(server.visitor().open(&free.path()).await.url.path(), "/login", "but for the port");
}

#[rstest]
#[tokio::test]
async fn section_2_1_and_2_1_1_a_request_without_a_challenge_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for client in [server.admin.native_client(&[]).await, server.admin.web_client(&[]).await] {
        let bare = AuthorizeRequest::of(&client).without("code_challenge").without("code_challenge_method");
        assert_eq!(told_at_callback(&server, &bare).await.error(), "invalid_request");
    }
    // Nor is a public client spared it.
    let public = json!({ "name": "App", "preset": "native", "redirect_uris": ["http://127.0.0.1/cb"],
        "options": { "protocol": { "require_pkce": false } } });
    let refused = server.admin.send(Method::POST, "/clients", &public).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
}

#[rstest]
#[tokio::test]
async fn section_2_1_1_and_4_8_2_a_verifier_without_a_challenge_buys_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let spared = json!({ "name": "Older", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "protocol": { "require_pkce": false } } });
    let spared = server.admin.client(spared).await;
    let bare = AuthorizeRequest::of(&spared).without("code_challenge").without("code_challenge_method");
    let callback = server.visitor().authorize(&bare, &ada).await;
    assert_eq!(told(&server.machine.redeem(&spared, &bare, &callback).await), invalid_grant());
}

#[rstest]
#[tokio::test]
async fn section_2_4_there_is_no_password_grant(#[values(Sqlite, Postgres)] database: Database) {
    let scene = SignedIn::on(database).await;
    let native = scene.server.admin.native_client(&[]).await;
    let person = &scene.person;
    let fields =
        [("grant_type", "password"), ("username", &*person.username), ("password", &*person.password)];
    for client in [&scene.shop, &native] {
        let refused = scene.server.machine.token(client, &fields).await;
        assert_eq!(told(&refused), (400, "unsupported_grant_type".to_owned()));
    }
}

#[rstest]
#[tokio::test]
async fn section_2_6_no_redirect_uri_uses_plain_http_and_no_origin_reads_the_authorization_endpoint(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for preset in ["web", "spa", "native"] {
        for uri in ["http://rp.test/cb", "http://localhost.rp.test/cb", "http://127.0.0.1.rp.test/cb"] {
            let document = json!({ "name": "App", "preset": preset, "redirect_uris": [uri] });
            assert_eq!(
                server.admin.send(Method::POST, "/clients", &document).await.status,
                422,
                "{preset} {uri}"
            );
        }
    }
    let shop = server.admin.web_client(&[]).await;
    let path = AuthorizeRequest::of(&shop).path();
    for method in [Method::GET, Method::OPTIONS] {
        let request = server.machine.request(method.clone(), &path).header("origin", "https://rp.test");
        let answer = Answer::to(request.header("access-control-request-method", "GET")).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{method}");
    }
}

#[rstest]
#[tokio::test]
async fn section_4_2_4_and_4_5_3_a_stolen_code_is_of_no_use(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = SignedIn::on(database).await;
    // In the flow of a thief, whose challenge is another.
    let mut own = AuthorizeRequest::of(&scene.shop);
    own.pkce = Pkce::generate();
    assert_eq!(told(&scene.server.machine.redeem(&scene.shop, &own, &scene.callback).await), invalid_grant());
    let thief = scene.server.admin.web_client(&[]).await;
    assert_eq!(told(&scene.redeem_with(&thief, &[]).await), invalid_grant());
    // Whoever comes second with all that it takes ends what the first one got.
    let tokens = scene.redeem().await;
    assert_eq!(told(&scene.redeem().await), invalid_grant());
    assert!(!scene.server.machine.is_active(&scene.shop, &tokens.member("access_token")).await);
}

#[rstest]
#[tokio::test]
async fn section_4_3_2_a_token_in_an_address_opens_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let scene = SignedIn::on(database).await;
    let token = scene.redeem().await.member("access_token");
    let in_address = scene.server.machine.get(&format!("/userinfo?access_token={token}")).await;
    assert!(matches!(in_address.status.as_u16(), 400 | 401), "{}", in_address.status);
    let admin = scene.server.admin.token().await;
    let in_address = scene.server.machine.get(&format!("/api/v1/users?access_token={admin}")).await;
    assert!(matches!(in_address.status.as_u16(), 400 | 401), "{}", in_address.status);
}

#[rstest]
#[tokio::test]
async fn section_4_4_2_every_answer_names_its_issuer(#[values(Sqlite, Postgres)] database: Database) {
    let scene = SignedIn::on(database).await;
    assert_eq!(scene.callback.get("iss"), scene.server.issuer);
    let wrong = AuthorizeRequest::of(&scene.shop).with("scope", "no-such");
    assert_eq!(told_at_callback(&scene.server, &wrong).await.get("iss"), scene.server.issuer);
}

#[rstest]
#[tokio::test]
async fn section_4_11_2_whoever_is_not_known_leads_nobody_anywhere(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let unknown = Registered { id: "nope".to_owned(), ..shop.clone() };
    for request in [
        AuthorizeRequest::of(&unknown),
        AuthorizeRequest::of(&shop).with("redirect_uri", "https://evil.test/cb"),
    ] {
        for bad in
            [request.clone(), request.clone().with("prompt", "none"), request.with("response_type", "x")]
        {
            assert_leads_nowhere(&server, &bad, "a stranger").await;
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_4_12_a_form_with_a_password_is_not_sent_on(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let page = visitor.open(&AuthorizeRequest::of(&shop).path()).await;
    let sent = visitor.submit(&login_form(&page, &ada.username, &ada.password)).await;
    assert_eq!(sent.status, 303);
    let consent = visitor.follow(sent).await;
    let form = portcullis_tests::visitor::the_form(&consent, "consent").with("decision", "allow");
    let allowed = visitor.submit(&form).await;
    assert_eq!(allowed.status, 303);
    assert!(!Callback::of(&allowed.location().unwrap()).code().is_empty());
}

#[rstest]
#[tokio::test]
async fn section_4_14_2_a_refresh_token_widens_nothing_and_counts_once(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = SignedIn::on(database).await;
    let (server, shop) = (&scene.server, &scene.shop);
    let first = scene.redeem().await.member("refresh_token");
    for (name, value, error) in
        [("scope", "openid email", "invalid_scope"), ("resource", "https://orders.test", "invalid_target")]
    {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &*first), (name, value)];
        assert_eq!(told(&server.machine.token(shop, &fields).await), (400, error.to_owned()));
    }
    let second = server.machine.refresh(shop, &first).await.member("refresh_token");
    let third = server.machine.refresh(shop, &second).await;
    assert_eq!(told(&server.machine.refresh(shop, &first).await), invalid_grant(), "it was used before");
    assert_eq!(told(&server.machine.refresh(shop, &third.member("refresh_token")).await), invalid_grant());
    assert!(!server.machine.is_active(shop, &third.member("access_token")).await);
}
