//! JSON Web Token Profile for OAuth 2.0 Access Tokens ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)): what no other suite
//! shows of it.

use std::time::Duration;

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::server::TestServer;
use rstest::rstest;

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
