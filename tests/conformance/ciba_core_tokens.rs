//! OpenID Connect Client-Initiated Backchannel Authentication Flow - Core 1.0
//! (<https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html>), sections 10.1 and 11: the tokens.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::ciba::{CIBA, bank};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use portcullis_tests::visitor::{Person, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::ciba_core::{ADA, refusal, said};

const INTERVAL: Duration = Duration::from_secs(5);
const LONGER: &[Field<'_>] = &[("scope", "openid profile offline_access"), ("login_hint", "ada")];

async fn started(server: &TestServer, fields: &[Field<'_>]) -> (Person, Registered, String) {
    let ada = server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    let id = server.machine.started(&bank, fields).await;
    (ada, bank, id)
}

#[rstest]
#[tokio::test]
async fn section_10_1_a_client_waits_until_the_person_allows_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bank, id) = started(&server, LONGER).await;
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("authorization_pending"));
    server.wait(INTERVAL);
    let before = server.statements();
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("authorization_pending"));
    assert_eq!(server.statements() - before, 1, "one statement while it waits");
    let done = server.visitor().decide_request(&ada, "allow").await;
    assert!(done.text().contains("id=\"notice\""), "{}", done.text());
    server.wait(INTERVAL);
    let tokens = server.machine.ask(&bank, &id).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(tokens.header("cache-control"), "no-store");
    assert_eq!(tokens.json()["scope"], "offline_access openid profile");
    assert_eq!(tokens.json()["token_type"], "Bearer");
    assert_eq!(server.machine.userinfo(&tokens.member("access_token")).await.json()["sub"], ada.sub);
    let next = server.machine.refresh(&bank, &tokens.member("refresh_token")).await;
    assert_eq!(next.status, 200, "{}", next.text());
    assert_eq!(jwt::claims(&next.member("id_token"))["urn:openid:params:jwt:claim:auth_req_id"], Value::Null);
    let trail = server.admin.get("/audit").await.text();
    assert!(trail.contains("ciba.allowed") && trail.contains("grant.created"), "{trail}");
    assert!(!trail.contains(&id), "what the client asks with is a secret");
}

#[rstest]
#[tokio::test]
async fn section_10_3_1_an_id_token_says_which_request_it_answers_and_how_the_person_signed_in(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bank, id) = started(&server, ADA).await;
    server.wait(Duration::from_secs(20));
    let signed_in = server.clock.now().as_secs();
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    server.wait(Duration::from_secs(20));
    visitor.decide_request(&ada, "allow").await;
    let tokens = server.machine.ask(&bank, &id).await;
    let claims = jwt::claims(&tokens.member("id_token"));
    assert_eq!(claims["urn:openid:params:jwt:claim:auth_req_id"], id);
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!(ada.sub), &json!(bank.id)));
    assert_eq!((&claims["auth_time"], &claims["acr"]), (&json!(signed_in), &json!("urn:portcullis:acr:1fa")));
    assert!(claims["at_hash"].is_string() && claims["sid"].is_string(), "{claims}");
}

#[rstest]
#[tokio::test]
async fn section_11_who_asks_too_often_waits_five_seconds_longer(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bank, id) = started(&server, ADA).await;
    let ask = async || refusal(&server.machine.ask(&bank, &id).await).1;
    assert_eq!(ask().await, "authorization_pending");
    assert_eq!(ask().await, "slow_down");
    server.wait(INTERVAL);
    assert_eq!(ask().await, "slow_down", "ten seconds by now");
    server.wait(Duration::from_secs(15));
    assert_eq!(ask().await, "authorization_pending", "fifteen by now");
    server.visitor().decide_request(&ada, "allow").await;
    let tokens = server.machine.ask(&bank, &id).await;
    assert_eq!(tokens.status, 200, "what was allowed does not wait: {}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_11_what_is_denied_is_told(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, bank, id) = started(&server, ADA).await;
    let done = server.visitor().decide_request(&ada, "deny").await;
    assert!(done.text().contains("gets nothing"), "{}", done.text());
    for _ in 0..2 {
        assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("access_denied"));
    }
    assert!(server.admin.get("/audit").await.text().contains("ciba.refused"));
}

#[rstest]
#[tokio::test]
async fn section_11_a_request_ends_with_its_time(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, bank, late) = started(&server, ADA).await;
    server.visitor().decide_request(&ada, "allow").await;
    let id = server.machine.started(&bank, &[ADA, &[("requested_expiry", "60")]].concat()).await;
    let mut visitor = server.visitor();
    let page = visitor.approvals(&ada).await;
    server.wait(Duration::from_mins(1));
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("expired_token"));
    let request = portcullis_tests::ciba::waiting(&page).remove(0);
    let form = the_form(&page, &format!("{request}-form")).with("decision", "allow");
    assert_eq!(visitor.submit(&form).await.status, 410);
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("expired_token"));
    server.wait(Duration::from_mins(4));
    assert_eq!(
        refusal(&server.machine.ask(&bank, &late).await),
        said("expired_token"),
        "allowed, not fetched"
    );
}

#[rstest]
#[tokio::test]
async fn section_11_an_auth_req_id_is_of_its_client_and_known(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bank, id) = started(&server, ADA).await;
    server.visitor().decide_request(&ada, "allow").await;
    let other = server.admin.bank().await;
    assert_eq!(refusal(&server.machine.ask(&other, &id).await), said("invalid_grant"));
    let device = format!("pcd_{}", id.strip_prefix("pcq_").unwrap());
    for odd in ["x", &format!("pcq_{}", "A".repeat(43)), &format!("{id}A"), &device] {
        assert_eq!(refusal(&server.machine.ask(&bank, odd).await), said("invalid_grant"), "{odd}");
    }
    assert_eq!(refusal(&server.machine.ask(&bank, "").await), said("invalid_request"));
    let shop = server.admin.web_client(&[]).await;
    assert_eq!(refusal(&server.machine.ask(&shop, &id).await), said("unauthorized_client"));
    let request = server
        .machine
        .request(Method::POST, &format!("/token?auth_req_id={id}"))
        .form(&[("grant_type", CIBA)]);
    assert_eq!(refusal(&Answer::to(request).await), said("invalid_request"), "addresses are logged");
    assert_eq!(server.machine.ask(&bank, &id).await.status, 200, "nobody spent it");
}

#[rstest]
#[tokio::test]
async fn section_10_1_an_auth_req_id_buys_one_grant_and_a_replay_revokes_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bank, id) = started(&server, LONGER).await;
    server.visitor().decide_request(&ada, "allow").await;
    let asked = (0..8).map(|_| server.machine.ask(&bank, &id));
    let answers = futures_util::future::join_all(asked).await;
    let good: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(good.len(), 1, "{answers:?}");
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("invalid_grant"));
    assert_eq!(server.machine.userinfo(&good[0].member("access_token")).await.status, 401);
    let refreshed = server.machine.refresh(&bank, &good[0].member("refresh_token")).await;
    assert_eq!(refusal(&refreshed), said("invalid_grant"));
}

#[rstest]
#[tokio::test]
async fn section_10_1_tokens_are_for_the_api_and_bound_to_the_key(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    server.admin.assign(&orders, "viewer", &ada.id).await;
    let mut document = bank("poll", &json!({ "dpop_bound_access_tokens": true }));
    document["apis"] = json!([orders.id]);
    let bank = server.admin.client(document).await;
    let asked = [("scope", "openid orders:read"), ("login_hint", "ada"), ("resource", "https://orders.test")];
    let id = server.machine.started(&bank, &asked).await;
    server.visitor().decide_request(&ada, "allow").await;
    let fields = [("grant_type", CIBA), ("auth_req_id", id.as_str())];
    let bare = server.machine.token(&bank, &fields).await;
    assert_eq!(refusal(&bare), said("invalid_dpop_proof"), "this client gets no other tokens");
    let holder = Holder::generate();
    let tokens = holder.post(&server, &bank, "/token", &fields).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(tokens.json()["token_type"], "DPoP");
    let claims = jwt::claims(&tokens.member("access_token"));
    assert_eq!((&claims["aud"], &claims["roles"]), (&json!(orders.audience), &json!(["viewer"])));
    assert_eq!(claims["cnf"]["jkt"], holder.jkt());
}

#[rstest]
#[tokio::test]
async fn section_10_1_what_changed_meanwhile_counts(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    // The session in which it was allowed ended.
    let (ada, bank, id) = started(&server, ADA).await;
    let mut visitor = server.visitor();
    visitor.decide_request(&ada, "allow").await;
    let account = visitor.open("/account").await;
    visitor.submit(&the_form(&account, "sign-out-form")).await;
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("invalid_grant"));
    // The client may ask for less.
    let id = server.machine.started(&bank, LONGER).await;
    server.visitor().decide_request(&ada, "allow").await;
    let mut less = portcullis_tests::ciba::bank("poll", &json!({}));
    less["scopes"] = json!("openid");
    change(&server, &bank, &less).await;
    assert_eq!(server.machine.ask(&bank, &id).await.json()["scope"], "openid");
    // The account was disabled.
    let id = server.machine.started(&bank, ADA).await;
    server.visitor().decide_request(&ada, "allow").await;
    server.admin.post(&format!("/users/{}/disable", ada.id), &json!({})).await;
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("invalid_grant"));
}

/// Changes a client into one that the document describes.
async fn change(server: &TestServer, client: &Registered, document: &Value) {
    let path = format!("/clients/{}", client.id);
    let etag = server.admin.get(&path).await.header("etag").to_owned();
    let change = server.admin.request(Method::PUT, &path).await.header("if-match", etag).json(document);
    let answer = Answer::to(change).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn section_10_1_a_client_that_lost_the_grant_gets_nothing_and_asks_nobody(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bank, allowed) = started(&server, ADA).await;
    let mut visitor = server.visitor();
    visitor.decide_request(&ada, "allow").await;
    let id = server.machine.started(&bank, ADA).await;
    let page = visitor.approvals(&ada).await;
    let request = portcullis_tests::ciba::waiting(&page).remove(0);
    let mut without = portcullis_tests::ciba::bank("poll", &json!({}));
    without["options"]["protocol"] = json!({});
    change(&server, &bank, &without).await;
    for id in [&allowed, &id] {
        assert_eq!(refusal(&server.machine.ask(&bank, id).await), said("unauthorized_client"));
    }
    let empty = visitor.approvals(&ada).await;
    assert_eq!(portcullis_tests::ciba::waiting(&empty), Vec::<String>::new());
    let account = visitor.open("/account").await;
    assert!(account.text().contains("Nothing waits for you."), "{}", account.text());
    let form = the_form(&page, &format!("{request}-form")).with("decision", "allow");
    assert_eq!(visitor.submit(&form).await.status, 410);
}

#[rstest]
#[tokio::test]
async fn section_10_1_requests_go_with_their_client_and_their_person(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, gone, _) = started(&server, ADA).await;
    let bank = server.admin.bank().await;
    let id = server.machine.started(&bank, ADA).await;
    let mut visitor = server.visitor();
    assert_eq!(portcullis_tests::ciba::waiting(&visitor.approvals(&ada).await).len(), 2);
    let delete = async |path: String| server.admin.send(Method::DELETE, &path, &json!({})).await.status;
    assert_eq!(delete(format!("/clients/{}", gone.id)).await, 204);
    assert_eq!(portcullis_tests::ciba::waiting(&visitor.approvals(&ada).await).len(), 1);
    visitor.decide_request(&ada, "allow").await;
    assert_eq!(delete(format!("/users/{}", ada.id)).await, 204);
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("invalid_grant"));
    assert_eq!(refusal(&server.machine.start(&bank, ADA).await), said("unknown_user_id"));
}

#[rstest]
#[tokio::test]
async fn section_10_1_what_is_taken_back_before_it_is_fetched_is_not_given(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bank, id) = started(&server, LONGER).await;
    let mut visitor = server.visitor();
    visitor.decide_request(&ada, "allow").await;
    let other = server.machine.started(&bank, ADA).await;
    let elsewhere = server.admin.bank().await;
    let theirs = server.machine.started(&elsewhere, ADA).await;
    let path = format!("/users/{}/consents/withdraw", ada.id);
    let taken_back =
        async || server.admin.send(Method::POST, &path, &json!({ "client": bank.id })).await.status;
    assert_eq!(taken_back().await, 204);
    for id in [&id, &other] {
        assert_eq!(refusal(&server.machine.ask(&bank, id).await), said("invalid_grant"));
    }
    assert_eq!(portcullis_tests::ciba::waiting(&visitor.approvals(&ada).await).len(), 1);
    assert_eq!(refusal(&server.machine.ask(&elsewhere, &theirs).await), said("authorization_pending"));
    assert_eq!(taken_back().await, 404, "nothing is left");
}
