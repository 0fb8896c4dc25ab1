//! OAuth 2.0 for Native Apps ([RFC 8252](https://www.rfc-editor.org/rfc/rfc8252)): what no other suite shows of it.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;

#[rstest]
#[case::a_private_scheme("com.example.shop:/cb")]
#[case::claimed("https://app.rp.test/cb")]
#[case::loopback("http://127.0.0.1/cb")]
#[case::loopback_of_ipv6("http://[::1]/cb")]
#[tokio::test]
async fn section_7_a_native_application_is_reached_in_every_way_that_it_can_be(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] uri: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = json!({ "name": "App", "preset": "native", "redirect_uris": [uri] });
    let app = server.admin.client(app).await;
    assert_eq!(app.secret, None, "section 8.5");
    let request = AuthorizeRequest::of(&app);
    let callback = server.visitor().authorize(&request, &ada).await;
    assert_eq!(callback.target, uri);
    let tokens = server.machine.redeem(&app, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}
