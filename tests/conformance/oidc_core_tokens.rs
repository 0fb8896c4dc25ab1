//! [OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html) §2, §5.3 and §12.2: what no other suite shows of ID
//! tokens and userinfo.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;

use crate::oidc_core::{ALL_SCOPES, client, names};

#[rstest]
#[tokio::test]
async fn section_2_an_id_token_names_its_key_by_its_id_alone(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("ES256", "EdDSA", "PS256", "RS256")] algorithm: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = client(&server, ALL_SCOPES, serde_json::json!({ "id_token_alg": algorithm })).await;
    let tokens = server.tokens(&shop, &AuthorizeRequest::of(&shop), &ada).await;
    let head = header(&tokens.member("id_token"));
    assert_eq!(names(&head), ["alg", "kid", "typ"], "{head}");
}

#[rstest]
#[tokio::test]
async fn section_5_3_scripts_of_every_origin_may_read_userinfo(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let token = server.tokens(&shop, &AuthorizeRequest::of(&shop), &ada).await.member("access_token");
    let asked =
        |method: Method| server.machine.request(method, "/userinfo").header("origin", "https://spa.test");
    let preflight = asked(Method::OPTIONS)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    let preflight = Answer::to(preflight).await;
    assert!(preflight.status.is_success(), "{}", preflight.status);
    assert!(preflight.header("access-control-allow-headers").contains("authorization"));
    let told = Answer::to(asked(Method::GET).bearer_auth(&token)).await;
    let refused = Answer::to(asked(Method::GET).bearer_auth("x")).await;
    assert_eq!((told.status.as_u16(), refused.status.as_u16()), (200, 401));
    for answer in [preflight, told, refused] {
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}

#[rstest]
#[tokio::test]
async fn section_12_2_the_id_token_of_a_refresh_tells_of_the_same_sign_in(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let first = server.tokens(&shop, &request, &ada).await;
    let before = claims(&first.member("id_token"));
    assert_eq!(before["nonce"], request.get("nonce"));
    server.wait(Duration::from_mins(3));
    let second = server.machine.refresh(&shop, &first.member("refresh_token")).await;
    let after = claims(&second.member("id_token"));
    for same in ["iss", "sub", "aud", "auth_time", "acr", "amr", "sid"] {
        assert!(!before[same].is_null() && before[same] == after[same], "{same}: {before} {after}");
    }
    assert_eq!(after["iat"], server.clock.now().as_secs());
    assert_eq!(after.get("nonce"), None, "it belonged to the request");
}
