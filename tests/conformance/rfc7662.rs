//! Token Introspection ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)): what no other suite shows of it.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;

#[rstest]
#[tokio::test]
async fn section_2_1_a_wrong_hint_hides_no_token(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let tokens = server.tokens(&shop, &request, &ada).await;
    for (token, hint) in [
        ("access_token", "refresh_token"),
        ("access_token", "x"),
        ("refresh_token", "access_token"),
        ("refresh_token", "x"),
    ] {
        let fields = [("token", &*tokens.member(token)), ("token_type_hint", hint)];
        let told = server.machine.post_as(&shop, "/introspect", &fields).await.json();
        assert_eq!((&told["active"], &told["sub"]), (&json!(true), &json!(ada.sub)), "{token} as {hint}");
    }
}
