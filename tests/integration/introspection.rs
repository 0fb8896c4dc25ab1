//! A service that asks the server about each token, instead of verifying its signature.

use std::time::Duration;

use portcullis_guard::Introspection;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use rstest::rstest;

const ORDERS: &str = "https://orders.test";

/// A server, a service that asks it, and somebody who may read there.
struct Scene {
    server: TestServer,
    guard: Registered,
    service: GuardedService,
    shop: Registered,
    tokens: Answer,
}

impl Scene {
    async fn set(database: Database) -> Self {
        let server = Box::pin(TestServer::start_on(database)).await;
        let orders = server.admin.api(ORDERS).await;
        let ada = server.admin.user("ada").await;
        server.admin.assign(&orders, "viewer", &ada.id).await;
        let shop = server.admin.web_client(&[&orders]).await;
        let guard = server.admin.guard_client(&orders).await;
        let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
        let tokens = server.tokens(&shop, &request.with("resource", ORDERS), &ada).await;
        let service = asking(&server, &guard, asks_as(&guard).every_token()).await;
        Self { server, guard, service, shop, tokens }
    }

    fn access(&self) -> String {
        self.tokens.member("access_token")
    }

    async fn status(&self, token: &str) -> u16 {
        self.service.get("/orders", Some(token)).await.status.as_u16()
    }
}

fn asks_as(client: &Registered) -> Introspection {
    let secret = client.secret.clone().expect("it has a secret");
    Introspection::discovered(&client.id, secret).remember_for(Duration::ZERO)
}

/// A service that takes its policy as `guard`, and asks about tokens as is said.
async fn asking(server: &TestServer, guard: &Registered, introspection: Introspection) -> GuardedService {
    let configure = |builder: portcullis_guard::GuardBuilder| builder.introspection(introspection);
    GuardedService::start_with(&server.issuer, ORDERS, guard, configure).await
}

#[rstest]
#[tokio::test]
async fn a_token_that_was_revoked_is_refused_at_once_where_the_server_is_asked(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let token = scene.access();
    let verifying = GuardedService::start(&scene.server.issuer, ORDERS, &scene.guard).await;
    let answer = scene.service.get("/orders", Some(&token)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.text(), verifying.get("/orders", Some(&token)).await.text(), "the same caller");
    assert_eq!(scene.server.machine.revoke(&scene.shop, &token).await.status, 200);
    assert_eq!(scene.status(&token).await, 401);
    assert_eq!(
        verifying.get("/orders", Some(&token)).await.status,
        200,
        "its signature is as good as before"
    );
}

#[rstest]
#[tokio::test]
async fn what_the_server_does_not_know_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::set(database).await;
    let token = scene.access();
    let (signed, _) = token.rsplit_once('.').unwrap();
    for unknown in ["made-up", "pcr_made-up", &format!("{signed}.AAAA"), &format!("{token}A")] {
        assert_eq!(scene.status(unknown).await, 401, "{unknown}");
    }
    let invoices = scene.server.admin.api("https://invoices.test").await;
    let robot = scene.server.admin.machine_client(&[&invoices]).await;
    let other = scene.server.machine.client_credentials(&robot, "https://invoices.test").await;
    assert_eq!(scene.status(&other.member("access_token")).await, 401, "a token for another API");
}

// The server tells a client about its own refresh tokens, and calls them active: a service that asks as that client hears so.
#[rstest]
#[tokio::test]
async fn a_refresh_token_is_no_access_token_although_it_is_active(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let refresh = scene.tokens.member("refresh_token");
    let said = scene.server.machine.introspect(&scene.shop, &refresh).await.json();
    assert_eq!(said["active"], true);
    assert_eq!(said.get("token_type"), None, "access tokens have a type, and refresh tokens none: {said}");
    for introspection in [
        asks_as(&scene.shop),
        asks_as(&scene.shop).danger_accept_missing_audience(),
        asks_as(&scene.shop).danger_accept_untyped(),
    ] {
        let service = asking(&scene.server, &scene.guard, introspection.every_token()).await;
        assert_eq!(service.get("/orders", Some(&refresh)).await.status, 401);
        assert_eq!(service.get("/orders", Some(&scene.access())).await.status, 200);
    }
}

#[rstest]
#[tokio::test]
async fn a_service_that_the_server_does_not_know_answers_503_and_lets_nobody_in(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let introspection = Introspection::discovered(&scene.guard.id, "another secret").every_token();
    let service = asking(&scene.server, &scene.guard, introspection).await;
    let answer = service.get("/orders", Some(&scene.access())).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["code"], "unavailable");
}
