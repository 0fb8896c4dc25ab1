//! Deleting users, clients and APIs: everything that hung on them ends with them.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::Person;
use reqwest::Method;
use rstest::rstest;
use serde_json::Value;

const ORDERS: &str = "https://orders.test";

async fn delete(server: &TestServer, path: &str) -> u16 {
    server.admin.send(Method::DELETE, path, &Value::Null).await.status.as_u16()
}

#[rstest]
#[tokio::test]
async fn a_deleted_user_is_signed_out_and_every_token_is_dead(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    server.admin.assign(&orders, "viewer", &ada.id).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let mut visitor = server.visitor();
    let callback = visitor.authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let late = visitor.authorize(&request, &ada).await;
    let for_orders = AuthorizeRequest::of(&shop).with("resource", ORDERS);
    let callback = visitor.authorize(&for_orders, &ada).await;
    let at_orders = server.machine.redeem(&shop, &for_orders, &callback).await.member("access_token");
    assert!(server.machine.is_active(&guard, &at_orders).await);

    assert_eq!(delete(&server, &format!("/users/{}", ada.id)).await, 204);
    assert!(!server.machine.is_active(&guard, &at_orders).await);
    assert_eq!(server.machine.userinfo(&tokens.member("access_token")).await.status, 401);
    let refreshed = server.machine.refresh(&shop, &tokens.member("refresh_token")).await;
    assert_eq!(refreshed.error(), "invalid_grant", "{}", refreshed.text());
    let redeemed = server.machine.redeem(&shop, &request, &late).await;
    assert_eq!(redeemed.error(), "invalid_grant", "{}", redeemed.text());
    assert_eq!(visitor.get("/account").await.status, 303, "there is no session any more");
    assert_eq!(server.visitor().sign_in(&ada).await.status, 422);
    let assignments = server.admin.get(&format!("/apis/{}/assignments", orders.id)).await;
    assert!(!assignments.text().contains(&ada.id), "{}", assignments.text());
}

#[rstest]
#[tokio::test]
async fn a_new_account_with_an_old_name_is_somebody_else(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let before = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let token = server.tokens(&shop, &request, &before).await.member("access_token");
    assert_eq!(delete(&server, &format!("/users/{}", before.id)).await, 204);
    let after: Person = server.admin.user("ada").await;
    assert_ne!((&before.id, &before.sub), (&after.id, &after.sub));
    assert_eq!(server.machine.userinfo(&token).await.status, 401);
}

#[rstest]
#[tokio::test]
async fn a_deleted_client_gets_and_keeps_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let mut visitor = server.visitor();
    let callback = visitor.authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let late = visitor.authorize(&request, &ada).await;
    assert_eq!(delete(&server, &format!("/clients/{}", shop.id)).await, 204);
    for answer in [
        server.machine.redeem(&shop, &request, &late).await,
        server.machine.refresh(&shop, &tokens.member("refresh_token")).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, "invalid_client"));
    }
    assert_eq!(server.machine.userinfo(&tokens.member("access_token")).await.status, 401);
    let page = visitor.get(&request.path()).await;
    assert_eq!(page.status, 400, "a page, never a redirect");
}
