//! Introspection and revocation.

use std::time::Duration;

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;

use crate::offline;

const ORDERS: &str = "https://orders.test";

#[rstest]
#[tokio::test]
async fn a_token_is_described_to_the_api_it_is_for(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let request = AuthorizeRequest::of(&shop).with("resource", ORDERS);
    let token = server.tokens(&shop, &request, &ada).await.member("access_token");
    let answer = server.machine.introspect(&guard, &token).await.json();
    assert_eq!(answer["active"], true);
    assert_eq!(answer["sub"], ada.sub);
    assert_eq!(answer["aud"], ORDERS);
    assert_eq!(answer["client_id"], shop.id);
    assert_eq!(answer["iss"], server.issuer);
    server.wait(Duration::from_secs(301));
    assert_eq!(server.machine.introspect(&guard, &token).await.json(), json!({ "active": false }));
}

#[rstest]
#[tokio::test]
async fn a_revoked_refresh_token_takes_its_access_tokens_with_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (shop, refresh) = offline(&server).await;
    let pair = server.machine.refresh(&shop, &refresh).await;
    let (access, refresh) = (pair.member("access_token"), pair.member("refresh_token"));
    assert!(server.machine.is_active(&shop, &access).await);
    assert_eq!(server.machine.revoke(&shop, &refresh).await.status, 200);
    assert_eq!(server.machine.refresh(&shop, &refresh).await.error(), "invalid_grant");
    assert!(!server.machine.is_active(&shop, &access).await);
    assert_eq!(server.machine.userinfo(&access).await.status, 401);
}

#[rstest]
#[tokio::test]
async fn a_revoked_access_token_is_dead_and_its_refresh_token_lives(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let token = server.machine.client_credentials(&machine, ORDERS).await.member("access_token");
    let guard = server.admin.guard_client(&orders).await;
    assert!(server.machine.is_active(&guard, &token).await);
    assert_eq!(server.machine.revoke(&machine, &token).await.status, 200);
    assert!(!server.machine.is_active(&guard, &token).await);
}

#[rstest]
#[tokio::test]
async fn revoking_what_does_not_exist_is_no_error(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    for unknown in ["x", "pcr_unknown", "a.b.c"] {
        // RFC 7009 §2.2: an invalid token is no error.
        assert_eq!(server.machine.revoke(&machine, unknown).await.status, 200, "{unknown}");
        assert!(!server.machine.is_active(&machine, unknown).await, "{unknown}");
    }
    assert_eq!(server.machine.post_as(&machine, "/revoke", &[]).await.error(), "invalid_request");
    assert_eq!(server.machine.post_as(&machine, "/introspect", &[]).await.error(), "invalid_request");
}
