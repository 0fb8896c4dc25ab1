//! Groups CA and IN: how clients prove who they are, and what they may ask about tokens.

use futures_util::future::join_all;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_of};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::basic;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Victim;

const ORDERS: &str = "https://orders.test";
const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that signs, and its keys.
async fn signer(server: &TestServer) -> (Registered, SigningKeys) {
    let orders = server.admin.api(ORDERS).await;
    let keys = SigningKeys::generate();
    let document =
        json!({ "name": "Signer", "preset": "m2m", "apis": [orders.id], "jwks": keys.public_jwks() });
    (server.admin.client(document).await, keys)
}

async fn present(server: &TestServer, assertion: &str) -> Answer {
    let fields = [
        ("grant_type", "client_credentials"),
        ("resource", ORDERS),
        ("client_assertion_type", BEARER),
        ("client_assertion", assertion),
    ];
    server.machine.post("/token", &fields).await
}

/// At two replicas.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ca_01_an_assertion_works_once(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (client, keys) = signer(&server).await;
    let replicas = [&server, &server.replica().await];
    let assertion = || keys.sign(&assertion_of(&client.id, &server.issuer, server.clock.now()));
    for first in replicas {
        let assertion = assertion();
        assert_eq!(present(first, &assertion).await.status, 200);
        for second in replicas {
            let replay = present(second, &assertion).await;
            assert_eq!((replay.status.as_u16(), replay.error().as_str()), (401, "invalid_client"));
        }
    }
    let assertion = assertion();
    let answers = join_all((0..20).map(|number| present(replicas[number % 2], &assertion))).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.error() == "invalid_client").count();
    assert_eq!((good, refused), (1, 19));
}

#[rstest]
#[tokio::test]
async fn ca_02_and_03_an_assertion_is_for_this_server_now_and_by_its_client(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (client, keys) = signer(&server).await;
    let now = server.clock.now().as_secs();
    let bends: [(&str, Value); 15] = [
        ("aud", json!("https://as.evil.test")),
        ("aud", json!([server.issuer, "https://as.evil.test"])),
        ("aud", json!("https://as.evil.test/token")),
        ("aud", Value::Null),
        ("exp", Value::Null),
        ("exp", json!(now - 1)),
        ("exp", json!(now + 10 * 365 * 24 * 3600)),
        ("exp", json!("tomorrow")),
        ("iat", json!(now + 3600)),
        ("nbf", json!(now + 3600)),
        ("iss", json!("cli_other")),
        ("iss", Value::Null),
        ("sub", json!("cli_other")),
        ("sub", Value::Null),
        ("jti", Value::Null),
    ];
    for (claim, value) in bends {
        let mut claims = assertion_of(&client.id, &server.issuer, server.clock.now());
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        } else {
            claims[claim] = value.clone();
        }
        let answer = present(&server, &keys.sign(&claims)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (401, "invalid_client"),
            "{claim}: {value}"
        );
    }
    let stranger = SigningKeys::generate();
    let forged = stranger.sign(&assertion_of(&client.id, &server.issuer, server.clock.now()));
    assert_eq!(present(&server, &forged).await.error(), "invalid_client");
}

#[rstest]
#[tokio::test]
async fn ca_05_two_methods_at_once_are_refused(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let secret = machine.secret.clone().unwrap();
    let fields = [
        ("grant_type", "client_credentials"),
        ("resource", ORDERS),
        ("client_id", machine.id.as_str()),
        ("client_secret", secret.as_str()),
    ];
    let both =
        server.machine.request(Method::POST, "/token").header("authorization", basic(&machine.id, &secret));
    let answer = Answer::to(both.form(&fields)).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_request"));
    let keys = SigningKeys::generate();
    let assertion = keys.sign(&assertion_of(&machine.id, &server.issuer, server.clock.now()));
    let mut mixed = fields.to_vec();
    mixed.extend([("client_assertion_type", BEARER), ("client_assertion", assertion.as_str())]);
    assert_eq!(server.machine.post("/token", &mixed).await.error(), "invalid_request");
}

#[rstest]
#[tokio::test]
async fn ca_07_a_confidential_client_must_prove_itself(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::of(&server).await;
    let bare = Registered { secret: None, ..victim.shop.clone() };
    let answer = server.machine.redeem(&bare, &victim.request, &victim.callback).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, "invalid_client"));
    let request =
        server.machine.request(Method::POST, "/token").form(&[("grant_type", "client_credentials")]);
    let answer = Answer::to(request.header("authorization", basic(&victim.shop.id, "wrong"))).await;
    assert_eq!(answer.status, 401);
    // RFC 6749 §5.2: the scheme that was used is named in the challenge.
    assert!(answer.header("www-authenticate").starts_with("Basic"), "{:?}", answer.headers);
}

#[rstest]
#[tokio::test]
async fn ca_08_guessing_a_secret_is_slowed_and_the_client_still_works(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.limits.client_failures_per_address_per_minute = 30;
    })
    .await;
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let mut refused = 0;
    for guess in 0..1_000 {
        let wrong = Registered { secret: Some(format!("pck_guess{guess}")), ..machine.clone() };
        refused += u32::from(server.machine.client_credentials(&wrong, ORDERS).await.status == 429);
    }
    // Each server counts for itself: behind a balancer there are as many guesses more as there are servers.
    let most = if database == Replicas { 60 } else { 30 };
    assert_eq!(refused, 1_000 - most, "so many guesses were not even looked at");
    assert_eq!(server.machine.client_credentials(&machine, ORDERS).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn in_01_nobody_asks_about_tokens_without_a_name(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::of(&server).await;
    let access = victim.redeem(&server).await.member("access_token");
    assert_eq!(server.machine.post("/introspect", &[("token", &access)]).await.status, 401);
    let public = server.admin.native_client(&[]).await;
    let answer = server.machine.introspect(&public, &access).await;
    assert!(answer.status == 401 || answer.json() == json!({ "active": false }), "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn in_02_a_token_for_somebody_else_is_not_described(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, refresh) = Victim::refresh_token(&server).await;
    let access = server.machine.refresh(&victim.shop, &refresh).await.member("access_token");
    let other = server.admin.web_client(&[]).await;
    for token in [&access, &refresh] {
        assert_eq!(server.machine.introspect(&other, token).await.json(), json!({ "active": false }));
    }
}

#[rstest]
#[tokio::test]
async fn in_04_nobody_revokes_the_tokens_of_another_client(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, refresh) = Victim::refresh_token(&server).await;
    let other = server.admin.web_client(&[]).await;
    let answer = server.machine.revoke(&other, &refresh).await;
    assert!(matches!(answer.status.as_u16(), 200 | 400), "{}", answer.status);
    assert_eq!(server.machine.refresh(&victim.shop, &refresh).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn in_07_userinfo_takes_access_tokens_with_openid_only(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::of(&server).await;
    let tokens = victim.redeem(&server).await;
    let (access, id_token) = (tokens.member("access_token"), tokens.member("id_token"));
    assert_eq!(server.machine.userinfo(&id_token).await.status, 401);
    let query = server.machine.get(&format!("/userinfo?access_token={access}")).await;
    assert!(matches!(query.status.as_u16(), 400 | 401), "{}", query.status);
    let none = server.machine.get("/userinfo").await;
    assert_eq!(none.status, 401);
    assert!(none.header("www-authenticate").starts_with("Bearer"));
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let without = server.machine.client_credentials(&machine, ORDERS).await.member("access_token");
    assert!(matches!(server.machine.userinfo(&without).await.status.as_u16(), 401 | 403));
    let twice = server.machine.request(Method::POST, "/userinfo").bearer_auth(&access);
    let twice = Answer::to(twice.form(&[("access_token", &access)])).await;
    assert_eq!(twice.status, 400, "RFC 6750 §2: one way at a time");
}

#[rstest]
#[tokio::test]
async fn a_client_that_asks_too_often_waits_and_no_other_does(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.limits.token_per_client_per_minute = 5;
    })
    .await;
    let orders = server.admin.api("https://orders.test").await;
    let (one, other) =
        (server.admin.machine_client(&[&orders]).await, server.admin.machine_client(&[&orders]).await);
    let mut last = server.machine.client_credentials(&one, &orders.audience).await;
    for _ in 0..5 {
        last = server.machine.client_credentials(&one, &orders.audience).await;
    }
    assert_eq!((last.status.as_u16(), last.error().as_str()), (429, "temporarily_unavailable"));
    assert!(!last.header("retry-after").is_empty());
    assert_eq!(server.machine.client_credentials(&other, &orders.audience).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn an_administrator_who_asks_too_often_waits(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_with(database, |config| {
        config.limits.admin_per_caller_per_minute = 5;
    })
    .await;
    let mut last = server.admin.get("/users").await;
    for _ in 0..6 {
        last = server.admin.get("/users").await;
    }
    assert_eq!(last.status, 429);
    assert!(!last.header("ratelimit").is_empty() && !last.header("retry-after").is_empty());
}
