//! Clients that act for themselves, and how they prove who they are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_of};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

const ORDERS: &str = "https://orders.test";

#[rstest]
#[tokio::test]
async fn a_machine_gets_a_token_with_its_own_roles(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    server.admin.assign(&orders, "editor", &machine.id).await;
    let answer = server.machine.client_credentials(&machine, ORDERS).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.member("access_token");
    assert_eq!(header(&token)["typ"], "at+jwt");
    let claims = claims(&token);
    assert_eq!(claims["sub"], machine.id);
    assert_eq!(claims["client_id"], machine.id);
    assert_eq!(claims["aud"], ORDERS);
    assert_eq!(claims["roles"], json!(["editor"]));
    assert_eq!(claims.get("auth_time"), None, "nobody signed in");
    assert_eq!(answer.json().get("refresh_token"), None, "RFC 6749 §4.4.3");
}

#[rstest]
#[tokio::test]
async fn a_known_machine_costs_no_statement(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    assert_eq!(server.machine.client_credentials(&machine, ORDERS).await.status, 200);
    let before = server.statements();
    for _ in 0..20 {
        assert_eq!(server.machine.client_credentials(&machine, ORDERS).await.status, 200);
    }
    assert_eq!(server.statements() - before, 0);
}

#[rstest]
#[tokio::test]
async fn a_role_taken_away_is_missing_from_the_next_token(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let assignment = server.admin.assign(&orders, "editor", &machine.id).await;
    let token = server.machine.client_credentials(&machine, ORDERS).await.member("access_token");
    assert_eq!(claims(&token)["roles"], json!(["editor"]));
    let path = format!("/apis/{}/assignments/{assignment}", orders.id);
    assert_eq!(Answer::to(server.admin.request(Method::DELETE, &path).await).await.status, 204);
    let token = server.machine.client_credentials(&machine, ORDERS).await.member("access_token");
    assert!(claims(&token).get("roles").is_none_or(|roles| roles == &json!([])));
}

#[rstest]
#[tokio::test]
async fn a_secret_may_come_in_the_header_or_in_the_form(#[values(Sqlite, Postgres)] database: Database) {
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
    assert_eq!(server.machine.post("/token", &fields).await.status, 200);
    assert_eq!(server.machine.client_credentials(&machine, ORDERS).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_rotated_secret_replaces_the_old_one_at_once(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let mut machine = server.admin.machine_client(&[&orders]).await;
    assert_eq!(server.machine.client_credentials(&machine, ORDERS).await.status, 200);
    let renewed = server.admin.post(&format!("/clients/{}/secret", machine.id), &json!({})).await;
    let refused = server.machine.client_credentials(&machine, ORDERS).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (401, "invalid_client"));
    machine.secret = renewed["client_secret"].as_str().map(str::to_owned);
    assert_eq!(server.machine.client_credentials(&machine, ORDERS).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_disabled_client_gets_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let machine = server.admin.machine_client(&[&orders]).await;
    assert_eq!(server.machine.client_credentials(&machine, ORDERS).await.status, 200);
    server.admin.post(&format!("/clients/{}/disable", machine.id), &json!({})).await;
    assert_eq!(server.machine.client_credentials(&machine, ORDERS).await.error(), "invalid_client");
    server.admin.post(&format!("/clients/{}/enable", machine.id), &json!({})).await;
    assert_eq!(server.machine.client_credentials(&machine, ORDERS).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_client_that_signs_assertions_needs_no_secret(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let keys = SigningKeys::generate();
    let document =
        json!({ "name": "Signer", "preset": "m2m", "apis": [orders.id], "jwks": keys.public_jwks() });
    let signer = server.admin.client(document).await;
    assert_eq!(signer.secret, None);
    let assertion = keys.sign(&assertion_of(&signer.id, &server.issuer, server.clock.now()));
    let fields = [
        ("grant_type", "client_credentials"),
        ("resource", ORDERS),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion.as_str()),
    ];
    let answer = server.machine.post("/token", &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(claims(&answer.member("access_token"))["client_id"], signer.id);
}

#[rstest]
#[tokio::test]
async fn a_machine_must_name_a_resource_it_may_use(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.api("https://other.test").await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let refused = server.machine.client_credentials(&machine, "https://other.test").await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_target"));
    // A token of one API says nothing to another: its signature does not cover a changed audience.
    let token = server.machine.client_credentials(&machine, ORDERS).await.member("access_token");
    let mut changed = claims(&token);
    changed["aud"] = json!("https://other.test");
    let parts: Vec<&str> = token.split('.').collect();
    let forged = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(changed.to_string()), parts[2]);
    assert!(!server.machine.is_active(&machine, &forged).await);
}
