//! Proof Key for Code Exchange ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)): what no other suite shows of it.

use portcullis_tests::authorize::{AuthorizeRequest, Pkce};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use rstest::rstest;

#[rstest]
#[tokio::test]
async fn section_4_6_another_verifier_is_an_invalid_grant(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    for client in [server.admin.web_client(&[]).await, server.admin.native_client(&[]).await] {
        let request = AuthorizeRequest::of(&client);
        let callback = server.visitor().authorize(&request, &ada).await;
        let mut other = request.clone();
        other.pkce = Pkce::generate();
        let refused = server.machine.redeem(&client, &other, &callback).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_grant"));
        assert_eq!(server.machine.redeem(&client, &request, &callback).await.status, 200);
    }
}
