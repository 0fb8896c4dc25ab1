//! Token Introspection ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)), and what step-up authentication asks of it
//! ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470)): what no other suite shows of it.

use std::time::Duration;

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
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

#[rstest]
#[tokio::test]
async fn rfc_9470_section_6_a_token_and_what_is_told_of_it_say_how_somebody_signed_in_and_when(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let guard = server.admin.guard_client(&orders).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let signed_in_at = server.clock.now().as_secs();
    let request = AuthorizeRequest::of(&shop).with("resource", &orders.audience);
    let token = server.tokens(&shop, &request, &ada).await.member("access_token");
    server.wait(Duration::from_mins(1));
    for told in [claims(&token), server.machine.introspect(&guard, &token).await.json()] {
        assert_eq!(told["acr"], "urn:portcullis:acr:1fa", "{told}");
        assert_eq!(told["auth_time"], signed_in_at, "{told}");
        assert_eq!(told["amr"], json!(["pwd"]), "{told}");
    }
}
