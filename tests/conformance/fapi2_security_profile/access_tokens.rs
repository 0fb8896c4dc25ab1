//! What the access tokens of a client are signed with is said by their API (§5.4.1): a client that is held to the profile and an API whose
//! tokens are signed by RS256 are not for each other, whichever of the two is saved last.

use portcullis_server::config::SecretText;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::execute;
use portcullis_tests::jwt::header;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;
use tempfile::tempdir;

use super::changes::put;
use super::settings::{assert_refused, create};
use super::{Bank, document, redemption, refused, told};
use crate::rfc9068_algorithms::{change, sign_by};

const ORDERS: &str = "https://orders.test";

#[rstest]
#[tokio::test]
async fn section_5_4_1_a_client_gets_no_api_whose_tokens_are_signed_by_rs256(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::on(database).await;
    let server = &bank.server;
    let (stock, orders) = (server.admin.api("https://stock.test").await, server.admin.api(ORDERS).await);
    sign_by(server, &orders, "RS256").await;
    let apis = json!([stock.id, orders.id]);
    assert_refused(&create(server, |document| document["apis"] = apis.clone()).await, "/apis/1");
    let mut wish = document(&bank.keys);
    wish["apis"] = apis;
    assert_refused(&put(server, &bank.client, &wish).await, "/apis/1");
    // Nor does a client that has it come into the profile.
    wish["options"]["profile"] = json!("oauth21");
    let other = server.admin.client(wish.clone()).await;
    wish["options"]["profile"] = json!("fapi2");
    assert_refused(&put(server, &other, &wish).await, "/apis/1");
    sign_by(server, &orders, "PS256").await;
    assert_eq!(put(server, &other, &wish).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_an_api_that_such_a_client_may_call_is_not_changed_to_rs256(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::on(database).await;
    let server = &bank.server;
    let orders = server.admin.api(ORDERS).await;
    let mut wish = document(&bank.keys);
    wish["apis"] = json!([orders.id]);
    assert_eq!(put(server, &bank.client, &wish).await.status, 200);
    let to_rs256 = json!({ "access_token_signing_alg": "RS256" });
    let refusal = change(server, &orders, to_rs256.clone()).await;
    assert_refused(&refusal, "/access_token_signing_alg");
    assert!(refusal.text().contains(&bank.client.id), "the client is named: {}", refusal.text());
    let shown = server.admin.get(&format!("/apis/{}", orders.id)).await.json();
    assert_eq!(shown["access_token_signing_alg"], "ES256", "nothing was changed");
    for alg in ["EdDSA", "PS256"] {
        sign_by(server, &orders, alg).await;
        let request = bank.request().with("scope", "openid").with("resource", ORDERS);
        let callback = bank.sign_in(&request).await;
        let tokens = bank.post("/token", &redemption(&request, &callback)).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        assert_eq!(header(&tokens.member("access_token"))["alg"], alg);
    }
    wish["apis"] = json!([]);
    assert_eq!(put(server, &bank.client, &wish).await.status, 200);
    sign_by(server, &orders, "RS256").await;
}

/// As a replica saves it that does not know what the tokens of an API can be signed with.
#[rstest]
#[tokio::test]
async fn section_5_4_1_what_was_saved_together_all_the_same_is_issued_no_token(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let folder = tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let stored = SecretText::new(url.clone());
    let bank = Bank::with(database, |config| config.database.url = Some(stored), |_| {}).await;
    let server: &TestServer = &bank.server;
    let orders = server.admin.api(ORDERS).await;
    let mut wish = document(&bank.keys);
    wish["apis"] = json!([orders.id]);
    assert_eq!(put(server, &bank.client, &wish).await.status, 200);
    execute(
        &url,
        "UPDATE apis SET access_token_signing_alg = 'RS256' WHERE audience = 'https://orders.test'",
    )
    .await;
    // What is in memory goes with any change.
    server.admin.api("https://stock.test").await;
    let request = bank.request().with("scope", "openid").with("resource", ORDERS);
    let callback = bank.sign_in(&request).await;
    let refusal = bank.post("/token", &redemption(&request, &callback)).await;
    assert_eq!(told(&refusal), refused(400, "invalid_target"));
    assert!(refusal.text().contains("algorithm"), "{}", refusal.text());
    // Another client gets its token, and the bank one for userinfo.
    let robot = server.admin.machine_client(&[&orders]).await;
    let token = server.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    assert_eq!(header(&token)["alg"], "RS256");
    bank.tokens("openid").await;
}
