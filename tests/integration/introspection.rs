//! A service that asks the server about each token, instead of verifying its signature.

use std::time::Duration;

use portcullis_guard::Introspection;
use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use portcullis_tests::token::SIGNED_INTROSPECTION;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

const ORDERS: &str = "https://orders.test";

/// A server, a service that asks it, and somebody who may read there.
struct Scene {
    server: TestServer,
    orders: RegisteredApi,
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
        Self { server, orders, guard, service, shop, tokens }
    }

    fn access(&self) -> String {
        self.tokens.member("access_token")
    }

    /// What a service answers, which looks at how old an answer of the server is by the clock of the machine.
    async fn get(&self, service: &GuardedService, token: &str) -> Answer {
        self.server.catch_up();
        service.get("/orders", Some(token)).await
    }

    async fn status(&self, token: &str) -> u16 {
        self.get(&self.service, token).await.status.as_u16()
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
    let answer = scene.get(&scene.service, &token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.text(), scene.get(&verifying, &token).await.text(), "the same caller");
    assert_eq!(scene.server.machine.revoke(&scene.shop, &token).await.status, 200);
    assert_eq!(scene.status(&token).await, 401);
    assert_eq!(scene.get(&verifying, &token).await.status, 200, "its signature is as good as before");
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
        assert_eq!(scene.get(&service, &refresh).await.status, 401);
        assert_eq!(scene.get(&service, &scene.access()).await.status, 200);
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
    let answer = scene.get(&service, &scene.access()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["code"], "unavailable");
}

#[rstest]
#[tokio::test]
async fn a_service_that_demands_signed_answers_gets_them(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("EdDSA", "ES256", "PS256", "RS256")] algorithm: &str,
) {
    let scene = Scene::set(database).await;
    let held = json!({ "name": "Asking", "preset": "service", "serves": scene.orders.id,
        "options": { "protocol": { "introspection_signed_response_alg": algorithm } } });
    let asks = scene.server.admin.client(held).await;
    let service = asking(&scene.server, &scene.guard, asks_as(&asks).signed_only().every_token()).await;
    let (token, status) = (scene.access(), async |token: &str| {
        let answer = scene.get(&service, token).await;
        (answer.status.as_u16(), answer.text())
    });
    let (code, text) = status(&token).await;
    assert_eq!(code, 200, "{text}");
    assert_eq!(text, scene.get(&scene.service, &token).await.text(), "the same caller");
    assert_eq!(status("made-up").await.0, 401);
    assert_eq!(scene.server.machine.revoke(&scene.shop, &token).await.status, 200);
    assert_eq!(status(&token).await.0, 401);
}

// RFC 9701 §8.1: both are signed by the same keys of the same issuer, and speak of the same token.
#[rstest]
#[tokio::test]
async fn rfc_9701_section_8_1_what_the_server_signs_about_a_token_is_no_token(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let verifying = GuardedService::start(&scene.server.issuer, ORDERS, &scene.guard).await;
    let demanding =
        asking(&scene.server, &scene.guard, asks_as(&scene.guard).signed_only().every_token()).await;
    for client in [&scene.guard, &scene.shop] {
        let said = scene.server.machine.introspect_signed(client, &scene.access()).await;
        assert_eq!(said.header("content-type"), SIGNED_INTROSPECTION, "{}", said.text());
        for service in [&verifying, &scene.service, &demanding] {
            assert_eq!(scene.get(service, &said.text()).await.status, 401);
            assert_eq!(scene.get(service, &scene.access()).await.status, 200);
        }
    }
}

/// Services that verify tokens by themselves hear of it: whoever asks the server knows no less.
#[rstest]
#[tokio::test]
async fn what_was_taken_from_people_and_clients_ends_their_tokens_for_whoever_asks(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (orders, ada) = (server.admin.api(ORDERS).await, server.admin.user("ada").await);
    let (shop, guard) = (server.admin.web_client(&[&orders]).await, server.admin.guard_client(&orders).await);
    let robot = server.admin.machine_client(&[&orders]).await;
    let held = [
        server.admin.assign(&orders, "viewer", &ada.id).await,
        server.admin.assign(&orders, "viewer", &robot.id).await,
    ];
    let request = AuthorizeRequest::of(&shop).with("scope", "openid email");
    let tokens = async || {
        let there = request.clone().with("resource", ORDERS);
        [
            server.tokens(&shop, &request, &ada).await.member("access_token"),
            server.tokens(&shop, &there, &ada).await.member("access_token"),
            server.machine.client_credentials(&robot, ORDERS).await.member("access_token"),
        ]
    };
    let counting = async |[personal, there, machine]: &[String; 3]| {
        let own = server.machine.is_active(&shop, personal).await;
        assert_eq!(server.machine.userinfo(personal).await.status == 200, own);
        [own, server.machine.is_active(&guard, there).await, server.machine.is_active(&guard, machine).await]
    };
    let first = tokens().await;
    assert_eq!(counting(&first).await, [true; 3]);
    for assignment in held {
        let path = format!("/apis/{}/assignments/{assignment}", orders.id);
        let taken = server.admin.send(Method::DELETE, &path, &json!(null)).await;
        assert_eq!(taken.status, 204, "{}", taken.text());
    }
    assert_eq!(counting(&first).await, [false; 3], "they name roles that nobody holds");
    server.wait(Duration::from_secs(1));
    let second = tokens().await;
    assert_eq!(counting(&second).await, [true; 3], "what was issued since says what is true");
    let less = json!({ "name": "Test shop", "preset": "web", "redirect_uris": shop.redirect_uris,
        "scopes": "openid" });
    let change = server.admin.request(Method::PUT, &format!("/clients/{}", shop.id)).await;
    assert_eq!(Answer::to(change.header("if-match", "*").json(&less)).await.status, 200);
    assert_eq!(counting(&second).await, [false, false, true], "the client may have less");
}
