//! Section 5: the proof beside the other grants.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::{AuthorizeRequest, random_text};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::jwt::claims;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use rstest::rstest;
use serde_json::json;

use super::{ORDERS, refused, told, with_proof};

/// The token is bound, and introspection says so.
fn assert_bound(answer: &Answer, holder: &Holder) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["token_type"], "DPoP");
    assert_eq!(claims(&answer.member("access_token"))["cnf"], json!({ "jkt": holder.jkt() }));
}

#[rstest]
#[tokio::test]
async fn section_5_a_device_proves_its_key_at_each_poll(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let television = server.admin.device_client("openid offline_access", &[]).await;
    let (holder, thief) = (Holder::generate(), Holder::generate());
    let codes = server.machine.device_codes(&television, &[("scope", "openid offline_access")]).await;
    let fields: [Field<'_>; 2] =
        [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", &codes.device)];
    let pending = holder.post(&server, &television, "/token", &fields).await;
    assert_eq!(told(&pending), refused(400, "authorization_pending"), "{}", pending.text());
    server.visitor().decide_device(&codes.user, &ada, "allow").await;
    server.wait(std::time::Duration::from_secs(10));
    let broken = holder.proof(&holder.claims(&server, "POST", "/par"));
    let elsewhere = with_proof(&server, &television, &fields, &broken).await;
    assert_eq!(told(&elsewhere), refused(400, "invalid_dpop_proof"), "and nothing is spent");
    server.wait(std::time::Duration::from_secs(10));
    let tokens = holder.post(&server, &television, "/token", &fields).await;
    assert_bound(&tokens, &holder);
    let token = tokens.member("refresh_token");
    assert_eq!(told(&thief.refresh(&server, &television, &token).await), refused(400, "invalid_grant"));
    assert_bound(&holder.refresh(&server, &television, &token).await, &holder);
}

#[rstest]
#[tokio::test]
async fn section_5_what_an_assertion_buys_is_bound_to_the_proof_beside_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let (keys, holder) = (SigningKeys::generate(), Holder::generate());
    let issuer = "https://builds.example";
    let robot = json!({ "name": "Deployment", "preset": "m2m", "apis": [orders.id],
        "options": { "protocol": { "assertion_issuers": [
            { "issuer": issuer, "jwks": keys.public_jwks(), "subjects": ["repo:orders"] } ] } } });
    let robot = server.admin.client(robot).await;
    let now = server.clock.now().as_secs();
    let assertion = keys.sign(&json!({ "iss": issuer, "sub": "repo:orders", "aud": server.issuer,
        "iat": now, "exp": now + 300, "jti": random_text() }));
    let fields: [Field<'_>; 3] = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &assertion),
        ("resource", ORDERS),
    ];
    holder.greet(&server).await;
    let elsewhere = holder.proof(&holder.claims(&server, "POST", "/par"));
    let refusal = with_proof(&server, &robot, &fields, &elsewhere).await;
    assert_eq!(told(&refusal), refused(400, "invalid_dpop_proof"), "and the assertion is not spent");
    let proof = holder.proof(&holder.claims(&server, "POST", "/token"));
    assert_bound(&with_proof(&server, &robot, &fields, &proof).await, &holder);
    let next = keys.sign(&json!({ "iss": issuer, "sub": "repo:orders", "aud": server.issuer,
        "iat": now, "exp": now + 300, "jti": random_text() }));
    let fields: [Field<'_>; 3] = [fields[0], ("assertion", &next), fields[2]];
    let again = with_proof(&server, &robot, &fields, &proof).await;
    assert_eq!(told(&again), refused(400, "invalid_dpop_proof"), "a proof counts once: {}", again.text());
    let fresh = holder.post(&server, &robot, "/token", &fields).await;
    assert_bound(&fresh, &holder);
}

#[rstest]
#[tokio::test]
async fn section_5_an_exchanged_token_is_bound_to_who_exchanged_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (orders, stock) = (server.admin.api(ORDERS).await, server.admin.api("https://stock.test").await);
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[&orders]).await;
    let service = json!({ "name": "Orders", "preset": "service", "serves": orders.id, "apis": [stock.id],
        "options": { "protocol": { "token_exchange": { "apis": [stock.id] } } } });
    let service = server.admin.client(service).await;
    let request = AuthorizeRequest::of(&shop).with("resource", ORDERS);
    let subject = server.tokens(&shop, &request, &ada).await.member("access_token");
    let (holder, other) = (Holder::generate(), Holder::generate());
    let fields: [Field<'_>; 4] = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &subject),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("resource", &stock.audience),
    ];
    holder.greet(&server).await;
    let proof = holder.proof(&holder.claims(&server, "POST", "/token"));
    let exchanged = with_proof(&server, &service, &fields, &proof).await;
    assert_bound(&exchanged, &holder);
    let again = with_proof(&server, &service, &fields, &proof).await;
    assert_eq!(told(&again), refused(400, "invalid_dpop_proof"), "a proof counts once: {}", again.text());
    // Each exchange is bound to the key that is proven then.
    assert_bound(&other.post(&server, &service, "/token", &fields).await, &other);
    // What is bound is not exchanged on: whoever holds it would have to prove the key, and nobody does here.
    let bound = exchanged.member("access_token");
    let fields: [Field<'_>; 3] = [fields[0], ("subject_token", &bound), fields[2]];
    let onward = holder.post(&server, &service, "/token", &fields).await;
    assert_eq!(told(&onward), refused(400, "invalid_request"), "{}", onward.text());
}
