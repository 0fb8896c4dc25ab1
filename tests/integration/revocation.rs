//! What is revoked at the server is refused at the services that verify tokens by themselves.

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::eventually;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use portcullis_tests::token::basic;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const ORDERS: &str = "https://orders.test";

/// A server, a service behind the guard, and somebody who may read there.
struct Scene {
    server: TestServer,
    orders: RegisteredApi,
    guard: Registered,
    service: GuardedService,
    shop: Registered,
    ada: Person,
    assignment: String,
}

impl Scene {
    async fn set(database: Database) -> Self {
        let server = Box::pin(TestServer::start_on(database)).await;
        let orders = server.admin.api(ORDERS).await;
        let ada = server.admin.user("ada").await;
        let assignment = server.admin.assign(&orders, "viewer", &ada.id).await;
        let shop = server.admin.web_client(&[&orders]).await;
        let guard = server.admin.guard_client(&orders).await;
        let service = GuardedService::start(&server.issuer, ORDERS, &guard).await;
        Self { server, orders, guard, service, shop, ada, assignment }
    }

    /// Signs Ada in at the shop and gives the browser and the answer with the tokens.
    async fn tokens(&self, scope: &str) -> (Visitor, Answer) {
        let request = AuthorizeRequest::of(&self.shop).with("scope", scope).with("resource", ORDERS);
        let mut visitor = self.server.visitor();
        let callback = visitor.authorize(&request, &self.ada).await;
        let tokens = self.server.machine.redeem(&self.shop, &request, &callback).await;
        assert_eq!(self.status(&tokens).await, 200);
        (visitor, tokens)
    }

    async fn status(&self, tokens: &Answer) -> u16 {
        self.service.get("/orders", Some(&tokens.member("access_token"))).await.status.as_u16()
    }

    /// The same after the service heard what is new.
    async fn status_after(&self, tokens: &Answer) -> u16 {
        self.service.refresh_policy().await;
        self.status(tokens).await
    }

    async fn post(&self, path: &str) {
        let answer = self.server.admin.send(Method::POST, path, &json!({})).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn signing_out_ends_tokens_at_services_except_offline_ones(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let (mut visitor, bound) = scene.tokens("openid").await;
    let (_, elsewhere) = scene.tokens("openid").await;
    let (mut away, offline) = scene.tokens("openid offline_access").await;
    for browser in [&mut visitor, &mut away] {
        let account = browser.get("/account").await;
        browser.submit(&the_form(&account, "sign-out-form")).await;
    }
    assert_eq!(scene.status_after(&bound).await, 401);
    assert_eq!(scene.status_after(&elsewhere).await, 200, "another browser stays signed in");
    assert_eq!(scene.status_after(&offline).await, 200, "it was allowed while away");
}

#[rstest]
#[tokio::test]
async fn a_role_that_was_taken_away_ends_the_tokens_that_carry_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let (_, tokens) = scene.tokens("openid offline_access").await;
    let path = format!("/apis/{}/assignments/{}", scene.orders.id, scene.assignment);
    assert_eq!(scene.server.admin.send(Method::DELETE, &path, &Value::Null).await.status, 204);
    assert_eq!(scene.status_after(&tokens).await, 401);
    // A token of the same second as the change would be refused as well: the next second is another.
    scene.server.wait(std::time::Duration::from_secs(1));
    let fresh = scene.server.machine.refresh(&scene.shop, &tokens.member("refresh_token")).await;
    assert_eq!(scene.status_after(&fresh).await, 403, "a new token says what is true now");
}

#[rstest]
#[case::disabled("disable")]
#[case::deleted("")]
#[tokio::test]
async fn a_user_who_is_gone_is_gone_everywhere(
    #[case] how: &str,
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let (_, tokens) = scene.tokens("openid offline_access").await;
    let user = format!("/users/{}", scene.ada.id);
    if how.is_empty() {
        assert_eq!(scene.server.admin.send(Method::DELETE, &user, &Value::Null).await.status, 204);
    } else {
        scene.post(&format!("{user}/{how}")).await;
    }
    assert_eq!(scene.status_after(&tokens).await, 401);
}

#[rstest]
#[tokio::test]
async fn a_new_password_ends_every_token(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::set(database).await;
    let (_, tokens) = scene.tokens("openid offline_access").await;
    let document = json!({ "password": "violet anchor harbour" });
    let path = format!("/users/{}/password", scene.ada.id);
    assert_eq!(scene.server.admin.send(Method::PUT, &path, &document).await.status, 204);
    assert_eq!(scene.status_after(&tokens).await, 401);
}

#[rstest]
#[tokio::test]
async fn a_client_that_is_switched_off_is_refused_everywhere(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::set(database).await;
    let (_, tokens) = scene.tokens("openid").await;
    scene.post(&format!("/clients/{}/disable", scene.shop.id)).await;
    assert_eq!(scene.status_after(&tokens).await, 401);
}

#[rstest]
#[tokio::test]
async fn a_revoked_or_stolen_token_is_refused_everywhere(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::set(database).await;
    let machine = &scene.server.machine;
    let (_, alone) = scene.tokens("openid offline_access").await;
    assert_eq!(machine.revoke(&scene.shop, &alone.member("access_token")).await.status, 200);
    assert_eq!(scene.status_after(&alone).await, 401, "a token by itself");
    let (_, family) = scene.tokens("openid offline_access").await;
    assert_eq!(machine.revoke(&scene.shop, &family.member("refresh_token")).await.status, 200);
    assert_eq!(scene.status_after(&family).await, 401, "with its refresh token");
    let (_, stolen) = scene.tokens("openid offline_access").await;
    let next = machine.refresh(&scene.shop, &stolen.member("refresh_token")).await;
    assert_eq!(scene.status_after(&next).await, 200);
    machine.refresh(&scene.shop, &next.member("refresh_token")).await;
    scene.server.wait(std::time::Duration::from_mins(2));
    assert_eq!(machine.refresh(&scene.shop, &stolen.member("refresh_token")).await.error(), "invalid_grant");
    assert_eq!(scene.status_after(&next).await, 401, "a replay burns the family");
}

/// One state, as a guard that cannot listen asks for it.
async fn state(scene: &Scene, client: &Registered, after: Option<&str>) -> Answer {
    let request = scene.server.machine.request(Method::GET, "/policies/events");
    let request = request.header("authorization", basic(&client.id, client.secret.as_deref().unwrap()));
    Answer::to(match after {
        Some(after) => request.header("last-event-id", after),
        None => request,
    })
    .await
}

#[rstest]
#[tokio::test]
async fn a_guard_is_told_what_is_new_to_it_and_nobody_else_anything(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let (_, tokens) = scene.tokens("openid").await;
    let before = state(&scene, &scene.guard, None).await.json();
    assert_eq!((&before["reset"], &before["revoked"]), (&json!(true), &json!([])));
    scene.server.machine.revoke(&scene.shop, &tokens.member("access_token")).await;
    let place = before["seq"].to_string();
    let news = state(&scene, &scene.guard, Some(&place)).await.json();
    assert_eq!((&news["reset"], news["revoked"].as_array().unwrap().len()), (&json!(false), 1));
    assert_eq!((&news["policy"], &news["keys"]), (&before["policy"], &before["keys"]));
    let again = state(&scene, &scene.guard, Some(&news["seq"].to_string())).await.json();
    assert_eq!(again["revoked"], json!([]));
    for odd in ["99999", "-1", "x"] {
        assert_eq!(state(&scene, &scene.guard, Some(odd)).await.json()["reset"], true, "{odd}");
    }
    let text = news.to_string();
    assert!(!text.contains(&scene.ada.sub) && !text.contains(&scene.ada.id), "{text}");

    assert_eq!(state(&scene, &scene.shop, None).await.status, 403, "it is not the guard of an API");
    let wrong = Registered { secret: Some("pck_wrong".to_owned()), ..scene.guard.clone() };
    assert_eq!(state(&scene, &wrong, None).await.status, 401);
}

#[rstest]
#[tokio::test]
async fn a_guard_that_listens_hears_at_once_and_no_longer_than_it_may(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let (_, tokens) = scene.tokens("openid").await;
    let request = scene.server.machine.request(Method::GET, "/policies/events");
    let request = request
        .header("authorization", basic(&scene.guard.id, scene.guard.secret.as_deref().unwrap()))
        .header("accept", "text/event-stream");
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(first.starts_with("id: ") && first.ends_with("}\n\n"), "{first}");
    scene.server.machine.revoke(&scene.shop, &tokens.member("access_token")).await;
    let mut heard = String::new();
    while !heard.contains("\"id\":") {
        heard = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    }
    scene.post(&format!("/clients/{}/disable", scene.guard.id)).await;
    while stream.chunk().await.unwrap().is_some() {}
}

#[rstest]
#[tokio::test]
async fn a_guard_for_whom_there_is_no_place_to_listen_asks_again_and_again_instead(
    #[values(Sqlite, Postgres)] database: Database,
) {
    // Half of the connections are for those who listen.
    let server = TestServer::start_with(database, |config| config.server.bounds.max_connections = 32).await;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    let ask = |accept: &str| {
        let request = server.machine.request(Method::GET, "/policies/events").header("accept", accept);
        request.header("authorization", basic(&guard.id, guard.secret.as_deref().unwrap()))
    };
    let mut streams = Vec::new();
    for _ in 0..16 {
        let stream = ask("text/event-stream").send().await.unwrap();
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    let refused = Answer::to(ask("text/event-stream")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "60"));
    let lines = server.log.lines_with("as many guards listen as may");
    assert!(lines.iter().any(|line| line.contains("/policies/events")), "the log says why: {lines:?}");
    let state = Answer::to(ask("application/json")).await;
    assert_eq!((state.status.as_u16(), &state.json()["reset"]), (200, &json!(true)));
    // And a guard of ours does so by itself: it has its policy.
    let service = GuardedService::start(&server.issuer, ORDERS, &guard).await;
    assert!(service.revision().is_some());
    streams.pop();
    eventually("whoever goes leaves a place", async || {
        ask("text/event-stream").send().await.unwrap().status() == 200
    })
    .await;
}
