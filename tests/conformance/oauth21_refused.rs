//! OAuth 2.1 ([draft](https://datatracker.ietf.org/doc/draft-ietf-oauth-v2-1/)): what is refused, also of clients without the profile.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::signed_in::{SignedIn, assert_leads_nowhere, told, told_at_callback};

/// One that is held to the profile, one that is not, and one on a device.
async fn clients(server: &TestServer) -> [Registered; 3] {
    let held = json!({ "name": "Held", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "profile": "oauth21" } });
    [
        server.admin.client(held).await,
        server.admin.web_client(&[]).await,
        server.admin.native_client(&[]).await,
    ]
}

#[rstest]
#[tokio::test]
async fn section_2_3_1_a_client_registers_whole_redirect_uris_and_others_are_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for client in clients(&server).await {
        let good = AuthorizeRequest::of(&client);
        let registered = good.get("redirect_uri").to_owned();
        for other in [
            format!("{registered}/"),
            format!("{registered}?x=1"),
            registered.to_uppercase(),
            "https://evil.test/cb".to_owned(),
        ] {
            assert_leads_nowhere(&server, &good.clone().with("redirect_uri", &other), &other).await;
        }
    }
    for uris in [&[][..], &["https://*.rp.test/cb"], &["/cb"], &["https://rp.test/cb#x"]] {
        let document = json!({ "name": "App", "preset": "web", "redirect_uris": uris });
        assert_eq!(server.admin.send(Method::POST, "/clients", &document).await.status, 422, "{uris:?}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_4_and_8_1_and_8_1_1_and_rfc_6749_section_10_1_what_keeps_no_secret_gets_none_and_proves_none(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for preset in ["native", "spa"] {
        let app = json!({ "name": "App", "preset": preset, "redirect_uris": ["https://rp.test/cb"] });
        let made = server.admin.client(app.clone()).await;
        assert_eq!(made.secret, None, "{preset}");
        for method in ["client_secret_basic", "client_secret_post", "private_key_jwt"] {
            let mut wish = app.clone();
            wish["options"] = json!({ "authentication": { "token_endpoint_auth_method": method } });
            let refused = server.admin.send(Method::POST, "/clients", &wish).await;
            assert_eq!(refused.status, 422, "{preset} {method}: {}", refused.text());
        }
        // Section 8.1.1: what it is stays.
        let path = format!("/clients/{}", made.id);
        let version = server.admin.get(&path).await.header("etag").to_owned();
        let mut other = app.clone();
        other["preset"] = json!("web");
        let update = server.admin.request(Method::PUT, &path).await.header("if-match", version);
        let refused = Answer::to(update.json(&other)).await;
        assert_eq!(refused.status, 422, "{preset}: {}", refused.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_2_4_1_a_secret_in_an_address_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let scene = SignedIn::on(database).await;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", &scene.shop.id)
        .append_pair("client_secret", scene.shop.secret.as_deref().unwrap())
        .finish();
    for path in ["/token", "/introspect", "/revoke", "/par"] {
        let fields = [("grant_type", "client_credentials"), ("token", "x")];
        let refused = scene.server.machine.post(&format!("{path}?{query}"), &fields).await;
        assert!(matches!(refused.status.as_u16(), 400 | 401), "{path}: {}", refused.text());
        // Nor does it count for nothing: who shows it twice, and once well, is told.
        let request = scene.server.machine.request(Method::POST, &format!("{path}?{query}")).form(&fields);
        let secret = scene.shop.secret.as_deref();
        let refused = Answer::to(request.basic_auth(&scene.shop.id, secret)).await;
        assert_eq!(told(&refused), (400, "invalid_request".to_owned()), "{path}: {}", refused.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_4_1_1_and_4_1_2_1_a_request_without_s256_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for client in clients(&server).await {
        let good = AuthorizeRequest::of(&client);
        for bad in [
            good.clone().without("code_challenge").without("code_challenge_method"),
            good.clone().with("code_challenge_method", "plain"),
            good.clone().without("code_challenge_method"),
        ] {
            let callback = told_at_callback(&server, &bad).await;
            assert_eq!((callback.error(), callback.get("state")), ("invalid_request", bad.get("state")));
            // Section 4.1.2.
            assert_eq!(callback.get("iss"), server.issuer);
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_4_3_1_a_refresh_token_widens_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let scene = SignedIn::on(database).await;
    let token = scene.redeem().await.member("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", &*token), ("scope", "openid email")];
    let refused = scene.server.machine.token(&scene.shop, &fields).await;
    assert_eq!(told(&refused), (400, "invalid_scope".to_owned()));
}
