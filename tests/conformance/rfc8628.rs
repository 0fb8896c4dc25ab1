//! OAuth 2.0 Device Authorization Grant ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)): the device.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::device::{Codes, DEVICE_CODE};
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

const ASKED: &[(&str, &str)] = &[("scope", "openid profile offline_access")];
const MAY: &str = "openid profile offline_access orders:read";
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

pub(crate) fn said(error: &str) -> (u16, String) {
    (400, error.to_owned())
}

pub(crate) async fn television(server: &TestServer) -> (Registered, Codes) {
    let television = server.admin.device_client(MAY, &[]).await;
    let codes = server.machine.device_codes(&television, ASKED).await;
    (television, codes)
}

#[rstest]
#[tokio::test]
async fn section_3_1_and_3_2_a_device_gets_its_codes(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let television = server.admin.device_client(MAY, &[]).await;
    let answer = server.machine.post_as(&television, "/device_authorization", ASKED).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    // A page that could read it would have codes asked for from its visitor's own address.
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let body = answer.json();
    assert_eq!((&body["expires_in"], &body["interval"]), (&json!(600), &json!(5)));
    let code = answer.member("user_code");
    assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'), "{code}");
    assert!(code.bytes().all(|letter| b"BCDFGHJKLMNPQRSTVWXZ-".contains(&letter)), "{code}");
    assert_eq!(answer.member("verification_uri"), server.machine.url("/device"));
    let complete = format!("{}?user_code={code}", server.machine.url("/device"));
    assert_eq!(answer.member("verification_uri_complete"), complete);
    let device = answer.member("device_code");
    assert!(device.len() >= 43, "256 bits: {device}");
}

#[rstest]
#[tokio::test]
async fn section_3_1_who_may_not_ask_gets_no_codes(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let television = server.admin.device_client(MAY, &[]).await;
    let ask = async |client: &Registered, fields: &[(&str, &str)]| {
        refusal(&server.machine.post_as(client, "/device_authorization", fields).await)
    };
    let invalid_client = (401, "invalid_client".to_owned());
    let nobody = Registered { id: "cli_00000000000070008000000000000001".to_owned(), ..television.clone() };
    assert_eq!(ask(&nobody, ASKED).await, invalid_client);
    let anonymous = server.machine.post("/device_authorization", ASKED).await;
    assert_eq!(refusal(&anonymous), invalid_client);
    for (method, body, status) in [(Method::GET, "", 405), (Method::POST, "{}", 400)] {
        let request = server.machine.request(method.clone(), "/device_authorization");
        let answer = Answer::to(request.header("content-type", "application/json").body(body)).await;
        assert_eq!(answer.status, status, "{method}: {}", answer.text());
    }
    for other in [server.admin.web_client(&[]).await, server.admin.native_client(&[]).await] {
        assert_eq!(ask(&other, ASKED).await, said("unauthorized_client"), "{other:?}");
    }
    for (fields, error) in [
        (vec![], "invalid_scope"),
        (vec![("scope", "nothing")], "invalid_scope"),
        (vec![("scope", "openid"), ("resource", "https://nobody.test")], "invalid_target"),
        (
            vec![("scope", "openid"), ("resource", "https://a.test"), ("resource", "https://b.test")],
            "invalid_target",
        ),
        (vec![("scope", "openid"), ("scope", "openid")], "invalid_request"),
    ] {
        assert_eq!(ask(&television, &fields).await, said(error), "{fields:?}");
    }
    server.admin.post(&format!("/clients/{}/disable", television.id), &json!({})).await;
    server.look().await;
    assert_eq!(ask(&television, ASKED).await, invalid_client);
}

#[rstest]
#[tokio::test]
async fn section_3_4_and_3_5_a_device_waits_until_somebody_allows_it(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (television, codes) = television(&server).await;
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("authorization_pending"));
    server.wait(INTERVAL);
    let before = server.statements();
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("authorization_pending"));
    assert_eq!(server.statements() - before, 1, "one statement while it waits");
    let end = server.visitor().decide_device(&codes.user, &ada, "allow").await;
    assert!(end.url.path().ends_with("/device/done"), "{}", end.text());
    server.wait(INTERVAL);
    let tokens = server.machine.poll(&television, &codes).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(tokens.header("cache-control"), "no-store");
    assert_eq!(tokens.json()["scope"], "offline_access openid profile");
    assert_eq!(jwt::claims(&tokens.member("id_token"))["sub"], ada.sub);
    assert_eq!(server.machine.userinfo(&tokens.member("access_token")).await.json()["sub"], ada.sub);
    let next = server.machine.refresh(&television, &tokens.member("refresh_token")).await;
    assert_eq!(next.status, 200, "{}", next.text());
    let trail = server.admin.get("/audit").await.text();
    assert!(trail.contains("device.allowed") && trail.contains("grant.created"), "{trail}");
}

#[rstest]
#[tokio::test]
async fn section_3_5_who_asks_too_often_waits_five_seconds_longer(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (television, codes) = television(&server).await;
    let poll = async || refusal(&server.machine.poll(&television, &codes).await).1;
    assert_eq!(poll().await, "authorization_pending");
    assert_eq!(poll().await, "slow_down");
    server.wait(INTERVAL);
    assert_eq!(poll().await, "slow_down", "ten seconds by now");
    server.wait(Duration::from_secs(15));
    assert_eq!(poll().await, "authorization_pending", "fifteen by now");
    server.wait(Duration::from_secs(14));
    assert_eq!(poll().await, "slow_down");
    server.visitor().decide_device(&codes.user, &ada, "allow").await;
    let tokens = server.machine.poll(&television, &codes).await;
    assert_eq!(tokens.status, 200, "what was allowed does not wait: {}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_3_5_what_is_denied_is_told(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (television, codes) = television(&server).await;
    let mut visitor = server.visitor();
    let end = visitor.decide_device(&codes.user, &ada, "deny").await;
    assert!(end.url.path().ends_with("/device/denied"), "{}", end.text());
    for _ in 0..2 {
        assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("access_denied"));
    }
    let again = visitor.type_code(&codes.user).await;
    assert_eq!(again.status, 422, "the code is used: {}", again.text());
    let trail = server.admin.get("/audit").await.text();
    assert!(trail.contains("device.refused"), "{trail}");
}

#[rstest]
#[tokio::test]
async fn section_3_5_a_code_lives_ten_minutes(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (television, codes) = television(&server).await;
    let allowed_late = server.machine.device_codes(&television, ASKED).await;
    let mut visitor = server.visitor();
    let asking = visitor.reach_device(&codes.user, &ada).await;
    server.visitor().decide_device(&allowed_late.user, &ada, "allow").await;
    server.wait(Duration::from_mins(10));
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("expired_token"));
    assert_eq!(refusal(&server.machine.poll(&television, &allowed_late).await), said("expired_token"));
    let late = visitor.submit(&the_form(&asking, "device-confirm").with("decision", "allow")).await;
    assert_eq!(late.status, 410, "{}", late.text());
    assert_eq!(server.visitor().type_code(&codes.user).await.status, 422);
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("expired_token"));
}

#[rstest]
#[tokio::test]
async fn section_3_4_a_device_code_is_of_its_client_and_known(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (television, codes) = television(&server).await;
    let printer = server.admin.device_client(MAY, &[]).await;
    server.visitor().decide_device(&codes.user, &ada, "allow").await;
    assert_eq!(refusal(&server.machine.poll(&printer, &codes).await), said("invalid_grant"));
    for odd in ["", "x", &format!("pcd_{}", "A".repeat(43)), &format!("{}A", codes.device), &codes.user] {
        let odd = Codes { device: (*odd).to_owned(), ..codes.clone() };
        let error = if odd.device.is_empty() { "invalid_request" } else { "invalid_grant" };
        assert_eq!(refusal(&server.machine.poll(&television, &odd).await), said(error), "{odd:?}");
    }
    let shop = server.admin.web_client(&[]).await;
    assert_eq!(refusal(&server.machine.poll(&shop, &codes).await), said("unauthorized_client"));
    assert_eq!(server.machine.poll(&television, &codes).await.status, 200, "nobody spent it");
}

#[rstest]
#[tokio::test]
async fn section_3_5_a_device_code_buys_one_grant_and_a_replay_revokes_it(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (television, codes) = television(&server).await;
    server.visitor().decide_device(&codes.user, &ada, "allow").await;
    let polls = (0..8).map(|_| server.machine.poll(&television, &codes));
    let answers = futures_util::future::join_all(polls).await;
    let good: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(good.len(), 1, "{answers:?}");
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("invalid_grant"));
    assert_eq!(server.machine.userinfo(&good[0].member("access_token")).await.status, 401);
    let refreshed = server.machine.refresh(&television, &good[0].member("refresh_token")).await;
    assert_eq!(refusal(&refreshed), said("invalid_grant"));
}

#[rstest]
#[tokio::test]
async fn section_3_4_tokens_are_for_the_api_that_was_asked_for(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    server.admin.assign(&orders, "viewer", &ada.id).await;
    let television = server.admin.device_client(MAY, &[&orders]).await;
    let asked = [("scope", "orders:read"), ("resource", "https://orders.test")];
    let codes = server.machine.device_codes(&television, &asked).await;
    let page = server.visitor().reach_device(&codes.user, &ada).await;
    assert!(page.text().contains("id=\"consent-api\""), "the page names the API: {}", page.text());
    server.visitor().decide_device(&codes.user, &ada, "allow").await;
    let tokens = server.machine.poll(&television, &codes).await;
    let claims = jwt::claims(&tokens.member("access_token"));
    assert_eq!((&claims["aud"], &claims["roles"]), (&json!(orders.audience), &json!(["viewer"])));
    assert_eq!(tokens.json()["id_token"], json!(null), "nobody asked for `openid`");
}

#[rstest]
#[tokio::test]
async fn section_5_2_codes_are_limited_for_who_asks(#[values(Sqlite, Postgres)] database: Database) {
    let server =
        TestServer::start_with(database, |config| config.limits.flows_per_address_per_minute = 3).await;
    let (television, _) = television(&server).await;
    for _ in 0..2 {
        server.machine.device_codes(&television, ASKED).await;
    }
    let refused = server.machine.post_as(&television, "/device_authorization", ASKED).await;
    assert_eq!(refusal(&refused), (429, "temporarily_unavailable".to_owned()));
    assert!(!refused.header("retry-after").is_empty());
}

#[rstest]
#[tokio::test]
async fn section_5_5_what_changed_meanwhile_counts(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    let television = server.admin.device_client(MAY, &[]).await;
    // The session in which it was allowed ended.
    let codes = server.machine.device_codes(&television, &[("scope", "openid")]).await;
    let mut visitor = server.visitor();
    visitor.decide_device(&codes.user, &ada, "allow").await;
    let account = visitor.open("/account").await;
    visitor.submit(&the_form(&account, "sign-out-form")).await;
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("invalid_grant"));
    // The account was disabled.
    let codes = server.machine.device_codes(&television, ASKED).await;
    server.visitor().decide_device(&codes.user, &bob, "allow").await;
    server.admin.post(&format!("/users/{}/disable", bob.id), &json!({})).await;
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("invalid_grant"));
    // What was allowed was taken back.
    let codes = server.machine.device_codes(&television, ASKED).await;
    server.visitor().decide_device(&codes.user, &ada, "allow").await;
    let withdraw = format!("/users/{}/consents/withdraw", ada.id);
    let body = json!({ "client": television.id });
    assert_eq!(server.admin.send(Method::POST, &withdraw, &body).await.status, 204);
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("invalid_grant"));
    // The client may ask for less.
    let codes = server.machine.device_codes(&television, ASKED).await;
    server.visitor().decide_device(&codes.user, &ada, "allow").await;
    let path = format!("/clients/{}", television.id);
    let etag = server.admin.get(&path).await.header("etag").to_owned();
    let less = json!({ "name": "Television", "preset": "device", "scopes": "openid" });
    let change = server.admin.request(Method::PUT, &path).await.header("if-match", etag).json(&less);
    assert_eq!(Answer::to(change).await.status, 200);
    server.look().await;
    assert_eq!(server.machine.poll(&television, &codes).await.json()["scope"], "openid");
}

#[rstest]
#[tokio::test]
async fn section_4_the_metadata_name_the_endpoint_as_long_as_it_is_on(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(false, true)] on: bool,
) {
    let before = TestServer::start_on(database).await;
    let television = before.admin.device_client(MAY, &[]).await;
    let server =
        if on { before } else { before.replica_with(|config| config.protocol.device_grant = false).await };
    let metadata = server.machine.get("/.well-known/oauth-authorization-server").await.json();
    let grants = metadata["grant_types_supported"].as_array().unwrap().clone();
    assert_eq!(grants.contains(&json!(DEVICE_CODE)), on);
    let answer = server.machine.post_as(&television, "/device_authorization", ASKED).await;
    let made = json!({ "name": "New", "preset": "device", "scopes": MAY });
    let made = server.admin.send(Method::POST, "/clients", &made).await;
    let path = format!("/clients/{}", television.id);
    let change = server.admin.request(Method::PUT, &path).await.header("if-match", "*");
    let kept = json!({ "name": "Old", "preset": "device", "scopes": MAY });
    assert_eq!(Answer::to(change.json(&kept)).await.status, 200, "what there was can be changed");
    if on {
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!(metadata["device_authorization_endpoint"], server.machine.url("/device_authorization"));
        assert_eq!(answer.status, 200, "{}", answer.text());
    } else {
        assert!(made.status == 422 && made.text().contains("\"/preset\""), "{}", made.text());
        assert_eq!(metadata["device_authorization_endpoint"], json!(null));
        assert_eq!(refusal(&answer), said("unsupported_grant_type"));
        let code =
            Codes { device: format!("pcd_{}", "A".repeat(43)), user: String::new(), complete: String::new() };
        assert_eq!(refusal(&server.machine.poll(&television, &code).await), said("unsupported_grant_type"));
        assert_eq!(server.visitor().open("/device").await.status, 404);
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_which_clients_are_devices_is_checked_as_a_whole(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let wish = json!({ "protocol": { "device_grant": true } });
    let app = json!({ "name": "App", "preset": "native", "redirect_uris": ["http://127.0.0.1/cb"], "options": wish });
    let made = server.admin.post("/clients", &app).await;
    assert_eq!(made["client"]["grants"], json!(["authorization_code", DEVICE_CODE, "refresh_token"]));
    assert_eq!(made["client"]["settings"]["protocol"]["device_grant"], true);
    let device = server.admin.post("/clients", &json!({ "name": "TV", "preset": "device" })).await;
    assert_eq!(device["client"]["grants"], json!([DEVICE_CODE, "refresh_token"]));
    assert_eq!(device["client_secret"], json!(null), "a device keeps no secret");
    let callback = ["https://rp.test/cb"];
    for (document, pointer) in [
        (json!({ "name": "x", "preset": "m2m", "options": wish }), "/options/protocol/device_grant"),
        (
            json!({ "name": "x", "preset": "spa", "redirect_uris": callback, "options": wish }),
            "/options/protocol/device_grant",
        ),
        (json!({ "name": "x", "preset": "device", "redirect_uris": callback }), "/redirect_uris"),
        (
            json!({ "name": "x", "preset": "device", "options": { "first_party": true } }),
            "/options/first_party",
        ),
        (
            json!({ "name": "x", "preset": "device", "options": { "protocol": { "require_pushed_requests": true } } }),
            "/options/protocol/require_pushed_requests",
        ),
    ] {
        let refused = server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{document}");
        assert!(refused.text().contains(pointer), "{document}: {}", refused.text());
    }
}
