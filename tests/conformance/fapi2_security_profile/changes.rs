//! A client that is changed into the profile, or out of it.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Bank, document, refreshing, refused, told};

const ORDERS: &str = "https://orders.test";

async fn put(server: &TestServer, client: &Registered, document: &Value) -> Answer {
    let path = format!("/clients/{}", client.id);
    let request = server.admin.request(Method::PUT, &path).await.header("if-match", "*");
    Answer::to(request.json(document)).await
}

#[rstest]
#[tokio::test]
async fn a_client_that_is_changed_into_the_profile_is_checked_at_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let mut wish = json!({ "name": "Test shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "profile": "fapi2" } });
    let refusal = put(&server, &shop, &wish).await;
    assert_eq!(refusal.status, 422, "its secret is no proof there: {}", refusal.text());
    assert!(refusal.text().contains("token_endpoint_auth_method"), "{}", refusal.text());
    let shown = server.admin.get(&format!("/clients/{}", shop.id)).await.json();
    assert_eq!(shown["settings"]["profile"], "none", "nothing was changed");
    wish["jwks"] = SigningKeys::generate().public_jwks();
    wish["options"]["authentication"] = json!({ "token_endpoint_auth_method": "private_key_jwt" });
    let changed = put(&server, &shop, &wish).await;
    assert_eq!(changed.json()["settings"]["profile"], "fapi2", "{}", changed.text());
    // An update that says nothing of it keeps it, and is held to it.
    wish["options"].as_object_mut().unwrap().remove("profile");
    assert_eq!(put(&server, &shop, &wish).await.json()["settings"]["profile"], "fapi2");
    wish["options"]["id_token_alg"] = json!("RS256");
    assert_eq!(put(&server, &shop, &wish).await.status, 422);
    wish["options"]["profile"] = json!("none");
    assert_eq!(put(&server, &shop, &wish).await.json()["settings"]["profile"], "none");
    let trail = server.admin.get("/audit?limit=200").await.json();
    let events =
        trail["items"].as_array().unwrap().iter().filter(|event| event["action"] == "client.updated");
    let changed: Vec<bool> =
        events.map(|event| event["detail"]["changed"].to_string().contains("\"profile\"")).collect();
    assert_eq!(changed, [true, false, true], "the trail says so: {trail}");
}

#[rstest]
#[tokio::test]
async fn unbound_tokens_end_when_their_client_is_changed_into_the_profile_and_grants_stay(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::with(database, |_| {}, |document| document["options"]["profile"] = json!("none")).await;
    let server = &bank.server;
    let orders = server.admin.api(ORDERS).await;
    server.admin.assign(&orders, "viewer", &bank.ada.id).await;
    let guard = server.admin.guard_client(&orders).await;
    let service = GuardedService::start(&server.issuer, ORDERS, &guard).await;
    let mut wish = document(&bank.keys);
    wish["apis"] = json!([orders.id]);
    wish["options"]["profile"] = json!("none");
    assert_eq!(put(server, &bank.client, &wish).await.status, 200);
    let request = bank.request().with("scope", "openid offline_access").with("resource", ORDERS);
    let callback = server.visitor().authorize(&request, &bank.ada).await;
    let tokens = bank.bare("/token", &super::redemption(&request, &callback)).await;
    assert_eq!(tokens.json()["token_type"], "Bearer", "{}", tokens.text());
    let (access, refresh) = (tokens.member("access_token"), tokens.member("refresh_token"));
    assert_eq!(service.get("/orders", Some(&access)).await.status, 200);
    server.wait(Duration::from_secs(1));
    wish["options"]["profile"] = json!("fapi2");
    assert_eq!(put(server, &bank.client, &wish).await.status, 200);
    service.refresh_policy().await;
    assert_eq!(service.get("/orders", Some(&access)).await.status, 401, "services hear of it");
    let told_of = bank.bare("/introspect", &[("token", &access)]).await.json();
    assert_eq!(told_of["active"], false, "{told_of}");
    let bare = bank.bare("/token", &refreshing(&refresh)).await;
    assert_eq!(told(&bare), refused(400, "invalid_request"), "{}", bare.text());
    let bound = bank.post("/token", &refreshing(&refresh)).await;
    assert_eq!(bound.json()["token_type"], "DPoP", "the grant is still there: {}", bound.text());
}

#[rstest]
#[tokio::test]
async fn a_refresh_token_that_was_spent_before_the_change_stays_spent(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::with(database, |_| {}, |document| document["options"]["profile"] = json!("none")).await;
    let request: AuthorizeRequest = bank.request().with("scope", "openid offline_access");
    let callback = bank.server.visitor().authorize(&request, &bank.ada).await;
    let first = bank.post("/token", &super::redemption(&request, &callback)).await.member("refresh_token");
    let second = bank.post("/token", &refreshing(&first)).await.member("refresh_token");
    assert_eq!(put(&bank.server, &bank.client, &document(&bank.keys)).await.status, 200);
    // Whoever lost the answer gets it again, by the rules of before.
    let again = bank.post_by(&Holder::generate(), "/token", &refreshing(&first)).await;
    assert_eq!(again.member("refresh_token"), second, "{}", again.text());
    assert_eq!(bank.post("/token", &refreshing(&second)).await.json().get("refresh_token"), None);
    bank.server.wait(Duration::from_mins(1));
    let replayed = bank.post("/token", &refreshing(&first)).await;
    assert_eq!(told(&replayed), refused(400, "invalid_grant"), "{}", replayed.text());
    let burnt = bank.post("/token", &refreshing(&second)).await;
    assert_eq!(told(&burnt), refused(400, "invalid_grant"), "two parties had it: {}", burnt.text());
}
