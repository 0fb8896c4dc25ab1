//! What access tokens are signed with ([RFC 9068 §2.1](https://www.rfc-editor.org/rfc/rfc9068#section-2.1)): what their API names.

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::{AuthorizeRequest, random_text};
use portcullis_tests::ciba::bank;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, damaged, header};
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::oidc_core_userinfo::verify;
use crate::rfc8693::{STOCK, World};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const BUILDS: &str = "https://builds.example";

/// Changes an API; `more` is what is said beyond its name and the lifetime of its tokens.
pub(crate) async fn change(server: &TestServer, api: &RegisteredApi, more: Value) -> Answer {
    let path = format!("/apis/{}", api.id);
    let mut document = json!({ "name": api.name, "access_token_ttl_secs": 300 });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let request = server.admin.request(Method::PUT, &path).await.header("if-match", "*");
    Answer::to(request.json(&document)).await
}

/// Has the tokens for an API signed by an algorithm.
pub(crate) async fn sign_by(server: &TestServer, api: &RegisteredApi, algorithm: &str) {
    let changed = change(server, api, json!({ "access_token_signing_alg": algorithm })).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["access_token_signing_alg"], algorithm);
}

fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.member("access_token")
}

/// What a device gets.
async fn device(world: &World) -> String {
    let server = &world.server;
    let television = server.admin.device_client("openid read", &[&world.orders]).await;
    let asked = [("scope", "openid read"), ("resource", world.orders.audience.as_str())];
    let codes = server.machine.device_codes(&television, &asked).await;
    server.visitor().decide_device(&codes.user, &world.ada, "allow").await;
    token_of(&server.machine.poll(&television, &codes).await)
}

/// What a bank gets that starts the sign-in from behind.
async fn approved(world: &World) -> String {
    let server = &world.server;
    let mut bank = bank("poll", &json!({}));
    bank["apis"] = json!([world.orders.id]);
    let bank = server.admin.client(bank).await;
    let asked = [("scope", "openid"), ("login_hint", "ada"), ("resource", world.orders.audience.as_str())];
    let id = server.machine.started(&bank, &asked).await;
    server.visitor().decide_request(&world.ada, "allow").await;
    token_of(&server.machine.ask(&bank, &id).await)
}

/// What a machine gets by what another issuer says of it.
async fn vouched(world: &World) -> String {
    let (server, keys) = (&world.server, SigningKeys::generate());
    let trusted = json!([{ "issuer": BUILDS, "jwks": keys.public_jwks(), "subjects": ["a"] }]);
    let robot = json!({ "name": "Deployment", "preset": "m2m", "apis": [world.orders.id],
        "options": { "protocol": { "assertion_issuers": trusted } } });
    let (robot, now) = (server.admin.client(robot).await, server.clock.now().as_secs());
    let assertion = keys.sign(&json!({ "iss": BUILDS, "sub": "a", "aud": server.issuer, "iat": now,
        "exp": now + 300, "jti": random_text() }));
    let fields =
        [("grant_type", JWT_BEARER), ("assertion", &assertion), ("resource", &world.orders.audience)];
    token_of(&server.machine.token(&robot, &fields).await)
}

#[rstest]
#[tokio::test]
async fn section_2_1_tokens_of_every_grant_are_signed_by_what_their_api_names(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("ES256", "EdDSA", "PS256", "RS256")] algorithm: &str,
) {
    let world = World::on(database).await;
    let server = &world.server;
    for api in [&world.orders, &world.stock] {
        sign_by(server, api, algorithm).await;
    }
    let request = AuthorizeRequest::of(&world.shop).with("scope", "openid offline_access read");
    let code =
        server.tokens(&world.shop, &request.with("resource", &world.orders.audience), &world.ada).await;
    let refreshed = server.machine.refresh(&world.shop, &code.member("refresh_token")).await;
    let exchanged = world.exchange(&token_of(&code), STOCK).await;
    let robot = server.admin.machine_client(&[&world.orders]).await;
    let machine = server.machine.client_credentials(&robot, &world.orders.audience).await;
    let tokens = [
        token_of(&code),
        token_of(&refreshed),
        token_of(&exchanged),
        token_of(&machine),
        device(&world).await,
        approved(&world).await,
        vouched(&world).await,
    ];
    let jwks = server.machine.get("/jwks").await.json();
    for token in &tokens {
        verify(token, algorithm, &jwks);
        assert_eq!(header(token)["typ"], "at+jwt");
        assert_ne!(claims(token)["aud"], server.issuer, "{token}");
    }
    let token = refreshed.member("refresh_token");
    let for_userinfo =
        [("grant_type", "refresh_token"), ("refresh_token", &token), ("resource", &server.issuer)];
    let own = token_of(&server.machine.token(&world.shop, &for_userinfo).await);
    verify(&own, "ES256", &jwks);
    assert_eq!(server.machine.userinfo(&own).await.json()["sub"], world.ada.sub);
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_guard_takes_tokens_by_rs256(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let guard = world.server.admin.guard_client(&world.orders).await;
    let before = world.subject().await;
    sign_by(&world.server, &world.orders, "RS256").await;
    let service = GuardedService::start(&world.server.issuer, &world.orders.audience, &guard).await;
    let token = world.subject().await;
    assert_eq!(header(&token)["alg"], "RS256");
    assert_eq!(service.get("/orders", Some(&token)).await.status, 200);
    assert_eq!(service.get("/orders", Some(&damaged(&token))).await.status, 401);
    assert_eq!(header(&before)["alg"], "ES256");
    assert_eq!(service.get("/orders", Some(&before)).await.status, 200, "what was issued before stays good");
}

#[rstest]
#[tokio::test]
async fn section_2_1_this_server_takes_tokens_by_rs256_as_its_own(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let (server, machine) = (&world.server, &world.server.machine);
    let guard = server.admin.guard_client(&world.orders).await;
    sign_by(server, &world.orders, "RS256").await;
    let (one, other) = (world.subject().await, world.subject().await);
    for client in [&guard, &world.shop] {
        let told = machine.introspect(client, &one).await.json();
        assert_eq!((&told["active"], &told["scope"]), (&json!(true), &json!("read write")), "{told}");
    }
    assert!(!machine.is_active(&guard, &damaged(&one)).await);
    assert_eq!(machine.userinfo(&one).await.status, 401, "it is for another");
    assert_eq!(header(&token_of(&world.exchange(&one, STOCK).await))["alg"], "ES256", "that of the stock");
    assert_eq!(machine.revoke(&world.shop, &one).await.status, 200);
    assert!(!machine.is_active(&guard, &one).await && machine.is_active(&guard, &other).await);
    server.admin.post(&format!("/users/{}/sign-out", world.ada.id), &json!({})).await;
    assert!(!machine.is_active(&guard, &other).await, "it ends with its session");
    // The admin API is an API like others.
    sign_by(server, &server.admin.admin_api().await, "RS256").await;
    assert_eq!(header(&server.admin.token().await)["alg"], "RS256");
    assert_eq!(server.admin.get("/apis").await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_2_1_what_signs_tokens_is_one_of_the_keys_and_stays_until_it_is_changed(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let make = async |alg: Value| {
        let document =
            json!({ "audience": "https://orders.test", "name": "Orders", "access_token_signing_alg": alg });
        server.admin.send(Method::POST, "/apis", &document).await
    };
    let refused = |answer: &Answer| {
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert_eq!(answer.json()["errors"][0]["pointer"], "/access_token_signing_alg", "{}", answer.text());
    };
    for bad in ["none", "HS256", "rs256", "ES384", ""] {
        refused(&make(json!(bad)).await);
    }
    let made = make(json!("RS256")).await;
    assert_eq!(made.json()["access_token_signing_alg"], "RS256", "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let api = RegisteredApi { id, audience: "https://orders.test".to_owned(), name: "Orders".to_owned() };
    refused(&change(&server, &api, json!({ "access_token_signing_alg": "none" })).await);
    let kept = change(&server, &api, json!({ "scopes": "read" })).await;
    assert_eq!(kept.json()["access_token_signing_alg"], "RS256", "it was not spoken of");
    sign_by(&server, &api, "EdDSA").await;
    let usual = server.admin.api("https://stock.test").await;
    let shown = server.admin.get(&format!("/apis/{}", usual.id)).await.json();
    assert_eq!(shown["access_token_signing_alg"], "ES256");
    let trail = server.admin.get("/audit?limit=200").await.json();
    let events = trail["items"].as_array().unwrap().iter().filter(|event| event["action"] == "api.updated");
    let told: Vec<_> = events
        .map(|event| {
            (event["detail"]["changed"].clone(), event["detail"]["access_token_signing_alg"].clone())
        })
        .collect();
    let expected =
        [(json!(["scopes"]), json!("RS256")), (json!(["access_token_signing_alg"]), json!("EdDSA"))];
    assert!(expected.iter().all(|event| told.contains(event)) && told.len() == 2, "{trail}");
}
