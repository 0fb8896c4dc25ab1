//! JSON Web Token Profile for OAuth 2.0 Access Tokens ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)): what no other suite
//! shows of it.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
#[tokio::test]
async fn section_2_2_1_tokens_of_a_refresh_tell_of_the_same_sign_in(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let shop = server.admin.web_client(&[&orders]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let first = server.tokens(&shop, &request.with("resource", &orders.audience), &ada).await;
    let before = claims(&first.member("access_token"));
    server.wait(Duration::from_mins(3));
    let second = server.machine.refresh(&shop, &first.member("refresh_token")).await;
    assert_eq!(second.status, 200, "{}", second.text());
    let after = claims(&second.member("access_token"));
    for same in ["iss", "sub", "aud", "client_id", "sid", "auth_time", "acr", "amr"] {
        assert!(!before[same].is_null() && before[same] == after[same], "{same}: {before} {after}");
    }
    assert_ne!(before["jti"], after["jti"]);
    assert_eq!(after["iat"], server.clock.now().as_secs());
}

/// The scopes of an access token.
fn told(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    claims(&answer.member("access_token"))["scope"].clone()
}

#[rstest]
#[tokio::test]
async fn section_2_2_3_a_token_for_an_api_says_nothing_of_the_sign_in(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("", "read")] scopes_of_the_api: &str,
) {
    const ALL: &str = "email offline_access openid profile read";
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = json!({ "audience": "https://orders.test", "name": "Orders", "scopes": scopes_of_the_api });
    let orders = server.admin.post("/apis", &orders).await;
    let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "scopes": ALL, "apis": [orders["id"]] });
    let shop = server.admin.client(shop).await;
    let request = AuthorizeRequest::of(&shop).with("scope", ALL).with("resource", "https://orders.test");
    let first = server.tokens(&shop, &request, &ada).await;
    assert_eq!((told(&first), first.member("scope")), (json!("read"), ALL.to_owned()), "the answer says all");
    assert_eq!(claims(&first.member("id_token"))["sub"], ada.sub);
    let introspected = server.machine.introspect(&shop, &first.member("access_token")).await.json();
    assert_eq!(introspected["scope"], "read");
    // What was granted is kept: the grant outlives its session, and the next tokens are as good.
    server.wait(Duration::from_hours(48));
    let refresh = async |token: String, more: &[(&str, &str)]| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &token)];
        server.machine.token(&shop, &[&fields[..], more].concat()).await
    };
    let second = refresh(first.member("refresh_token"), &[]).await;
    assert_eq!((told(&second), second.member("scope")), (json!("read"), ALL.to_owned()));
    let bare = refresh(second.member("refresh_token"), &[("scope", "openid")]).await;
    assert_eq!((told(&bare), bare.member("scope")), (json!(null), "openid".to_owned()));
    assert_eq!(server.machine.userinfo(&bare.member("access_token")).await.status, 401, "it is not for that");
    // A token for this server is about people.
    let own = refresh(bare.member("refresh_token"), &[("resource", &server.issuer)]).await;
    let own = own.member("access_token");
    assert!(claims(&own)["scope"].as_str().unwrap().starts_with("email offline_access openid profile"));
    let info = server.machine.userinfo(&own).await.json();
    assert_eq!((&info["sub"], &info["email"]), (&json!(ada.sub), &json!("ada@example.org")));
}

#[rstest]
#[tokio::test]
async fn section_2_2_3_a_token_for_this_server_says_nothing_of_apis(
    #[values(Sqlite, Postgres)] database: Database,
) {
    const ALL: &str = "email openid read";
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop =
        json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"], "scopes": ALL });
    let shop = server.admin.client(shop).await;
    let tokens = server.tokens(&shop, &AuthorizeRequest::of(&shop).with("scope", ALL), &ada).await;
    assert_eq!((told(&tokens), tokens.member("scope")), (json!("email openid"), ALL.to_owned()));
    let token = tokens.member("access_token");
    assert_eq!(claims(&token)["aud"], json!(server.issuer));
    assert_eq!(server.machine.introspect(&shop, &token).await.json()["scope"], "email openid");
    assert_eq!(server.machine.userinfo(&token).await.json()["email"], "ada@example.org");
    // Nothing is left where nothing was of the sign-in.
    let tokens = server.tokens(&shop, &AuthorizeRequest::of(&shop).with("scope", "read"), &ada).await;
    assert_eq!((told(&tokens), tokens.member("scope")), (json!(null), "read".to_owned()));
}

/// Section 3: a token that nobody could say whom it is for is not issued.
#[rstest]
#[tokio::test]
async fn section_3_what_is_asked_for_nowhere_or_everywhere_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (orders, stock) =
        (server.admin.api("https://orders.test").await, server.admin.api("https://stock.test").await);
    let shop = server.admin.web_client(&[&orders, &stock]).await;
    let robot = server.admin.machine_client(&[&orders, &stock]).await;
    for bad in ["https://nobody.test", "orders", "https://orders.test#x"] {
        let refused = server.machine.client_credentials(&robot, bad).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_target"), "{bad}");
        let request = AuthorizeRequest::of(&shop).with("resource", bad);
        assert_eq!(
            crate::signed_in::told_at_callback(&server, &request).await.error(),
            "invalid_target",
            "{bad}"
        );
    }
    let both =
        AuthorizeRequest::of(&shop).with("resource", &orders.audience).and("resource", &stock.audience);
    let callback = server.visitor().authorize(&both, &ada).await;
    let refused = server.machine.redeem(&shop, &both, &callback).await;
    assert_eq!(
        (refused.status.as_u16(), refused.error().as_str()),
        (400, "invalid_target"),
        "which of the two?"
    );
}
