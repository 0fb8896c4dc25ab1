//! The OAuth 2.0 Authorization Framework ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749)): what its token endpoint refuses.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::{Field, basic};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::signed_in::{SignedIn, told};

const ORDERS: &str = "https://orders.test";
const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: &[u8] = b"grant_type=client_credentials";
const OWN: [Field<'_>; 2] = [("grant_type", "client_credentials"), ("resource", ORDERS)];

async fn robot(database: Database) -> (TestServer, Registered, String) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let robot = server.admin.machine_client(&[&orders]).await;
    let secret = robot.secret.clone().expect("it has one");
    (server, robot, secret)
}

fn refused(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

#[rstest]
#[tokio::test]
async fn section_2_3_a_client_that_authenticates_in_two_ways_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, robot, secret) = robot(database).await;
    let post = |fields: &[Field<'_>]| server.machine.request(Method::POST, "/token").form(fields);
    let in_body = [&OWN[..], &[("client_id", &*robot.id), ("client_secret", &*secret)]].concat();
    let both = post(&in_body).header("authorization", basic(&robot.id, &secret));
    assert_eq!(told(&Answer::to(both).await), refused(400, "invalid_request"));
    let assertion = assertion_fields(&SigningKeys::generate(), &robot.id, &server.issuer, server.clock.now());
    let assertion: Vec<Field<'_>> = assertion.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let both = post(&[&in_body[..], &assertion].concat());
    assert_eq!(told(&Answer::to(both).await), refused(400, "invalid_request"));
    let both = post(&[&OWN[..], &assertion].concat()).header("authorization", basic(&robot.id, &secret));
    assert_eq!(told(&Answer::to(both).await), refused(400, "invalid_request"));
    assert_eq!(Answer::to(post(&in_body)).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_2_3_a_client_that_keeps_no_secret_is_asked_for_none_and_believed_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let app = server.admin.native_client(&[]).await;
    // Section 10.1: nor does it get one.
    assert_eq!(app.secret, None);
    let none = server.admin.send(Method::POST, &format!("/clients/{}/secrets", app.id), &json!({})).await;
    assert!(none.status.is_client_error(), "{}", none.text());
    let said = Registered { secret: Some(format!("pck_{}", "A".repeat(43))), ..app.clone() };
    assert_eq!(told(&server.machine.token(&said, &OWN).await), refused(401, "invalid_client"));
    assert_eq!(server.machine.introspect(&app, "x").await.status, 401, "its name alone opens nothing");
}

#[rstest]
#[tokio::test]
async fn section_2_3_1_a_secret_in_the_address_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let (server, robot, secret) = robot(database).await;
    let credentials = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", &robot.id)
        .append_pair("client_secret", &secret)
        .finish();
    let in_address = server.machine.post(&format!("/token?{credentials}"), &OWN).await;
    assert!(in_address.status.is_client_error(), "{}", in_address.text());
    assert_eq!(in_address.member("access_token"), "");
}

#[rstest]
#[tokio::test]
async fn section_2_3_1_whoever_guesses_secrets_is_slowed(#[values(Sqlite, Postgres)] database: Database) {
    let limit = |config: &mut portcullis_server::config::Config| {
        config.limits.client_failures_per_address_per_minute = 3;
    };
    let server = TestServer::start_with(database, limit).await;
    let robot = server.admin.machine_client(&[]).await;
    let wrong = Registered { secret: Some("pck_wrong".to_owned()), ..robot.clone() };
    let guess = async || server.machine.token(&wrong, &OWN[..1]).await.status.as_u16();
    for _ in 0..3 {
        assert_eq!(guess().await, 401);
    }
    assert_eq!(guess().await, 429);
    assert_eq!(server.machine.token(&robot, &OWN[..1]).await.status, 200, "who knows it is not shut out");
    server.wait(Duration::from_mins(1));
    assert_eq!(guess().await, 401);
}

#[rstest]
#[tokio::test]
async fn section_3_2_a_token_request_is_a_form_by_post_with_each_parameter_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, robot, secret) = robot(database).await;
    let by = async |method: Method, kind: &str, body: &'static [u8]| {
        let request = server.machine.request(method, "/token").header("content-type", kind);
        Answer::to(request.header("authorization", basic(&robot.id, &secret)).body(body)).await
    };
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(by(method.clone(), FORM, GRANT).await.status, 405, "{method}");
    }
    assert_eq!(told(&by(Method::POST, "application/json", b"{}").await), refused(400, "invalid_request"));
    for body in [
        &b"grant_type=client_credentials&grant_type=client_credentials"[..],
        b"grant_type=client_credentials&scope=a&scope=a",
        b"grant_type=client_credentials&unknown=1&unknown=2",
        b"grant_type=client_credentials&scope=%ff",
        b"grant_type=client_credentials&scope=\xff",
        b"scope=a",
        b"grant_type=",
        b"",
    ] {
        let answer = by(Method::POST, FORM, body).await;
        assert_eq!(told(&answer), refused(400, "invalid_request"), "{}", body.escape_ascii());
    }
    assert_eq!(by(Method::POST, FORM, GRANT).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_3_2_1_and_4_1_3_and_4_4_2_and_5_2_and_6_and_10_2_a_confidential_client_has_to_authenticate(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = SignedIn::on(database).await;
    let refresh = scene.redeem().await.member("refresh_token");
    scene.again().await;
    let shop = &scene.shop;
    let bare = Registered { secret: None, ..shop.clone() };
    let wrong = Registered { secret: Some(format!("pck_{}", "A".repeat(43))), ..shop.clone() };
    for client in [&bare, &wrong] {
        // Sections 4.1.3, 6 and 4.4.2.
        for answer in [
            scene.redeem_with(client, &[]).await,
            scene.server.machine.refresh(client, &refresh).await,
            scene.server.machine.token(client, &OWN).await,
        ] {
            assert_eq!(told(&answer), refused(401, "invalid_client"));
            // Section 5.2: the scheme that was used is named.
            assert!(answer.header("www-authenticate").starts_with("Basic"), "{:?}", answer.headers);
        }
    }
    assert_eq!(scene.redeem().await.status, 200);
    assert_eq!(scene.server.machine.refresh(shop, &refresh).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_4_1_2_and_10_5_a_code_counts_once_and_soon_no_more(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = SignedIn::on(database).await;
    let tokens = scene.redeem().await;
    assert_eq!(tokens.status, 200);
    assert_eq!(told(&scene.redeem().await), refused(400, "invalid_grant"));
    // Section 10.5: what it bought is taken back.
    assert_eq!(scene.server.machine.userinfo(&tokens.member("access_token")).await.status, 401);
    let refresh = scene.server.machine.refresh(&scene.shop, &tokens.member("refresh_token")).await;
    assert_eq!(told(&refresh), refused(400, "invalid_grant"));
    scene.again().await;
    scene.server.wait(Duration::from_mins(1));
    assert_eq!(told(&scene.redeem().await), refused(400, "invalid_grant"), "ten minutes at most, one here");
}

#[rstest]
#[tokio::test]
async fn section_4_1_2_and_4_1_3_and_10_6_a_code_is_of_its_client_and_of_its_redirect_uri(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = SignedIn::on(database).await;
    let thief = scene.server.admin.web_client(&[]).await;
    assert_eq!(told(&scene.redeem_with(&thief, &[]).await), refused(400, "invalid_grant"));
    for other in ["https://rp.test/cb/", "https://evil.test/cb", "HTTPS://rp.test/cb"] {
        let answer = scene.redeem_with(&scene.shop, &[("redirect_uri", Some(other))]).await;
        assert_eq!(told(&answer), refused(400, "invalid_grant"), "{other}");
    }
    let longer = format!("{}A", scene.callback.code());
    for code in [longer.as_str(), "x", "pcc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let answer = scene.redeem_with(&scene.shop, &[("code", Some(code))]).await;
        assert_eq!(told(&answer), refused(400, "invalid_grant"), "{code}");
    }
    let without = scene.redeem_with(&scene.shop, &[("code", None)]).await;
    assert_eq!(told(&without), refused(400, "invalid_request"));
    assert_eq!(scene.redeem().await.status, 200, "none of it spent the code");
}

#[rstest]
#[tokio::test]
async fn section_4_4_a_client_that_keeps_no_secret_gets_nothing_for_itself(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    for client in [server.admin.native_client(&[&orders]).await, server.admin.web_client(&[&orders]).await] {
        assert_eq!(told(&server.machine.token(&client, &OWN).await), refused(400, "unauthorized_client"));
    }
}

#[rstest]
#[tokio::test]
async fn section_5_2_a_refusal_has_its_code_and_400_as_json(#[values(Sqlite, Postgres)] database: Database) {
    let (server, robot, _) = robot(database).await;
    for (fields, error) in [
        (&[("grant_type", "password"), ("username", "ada"), ("password", "x")][..], "unsupported_grant_type"),
        (&[("grant_type", "x")], "unsupported_grant_type"),
        (&[("grant_type", "authorization_code"), ("code", "x")], "unauthorized_client"),
        (&[("grant_type", "client_credentials"), ("resource", ORDERS), ("scope", "\"")], "invalid_scope"),
        (&[], "invalid_request"),
    ] {
        let answer = server.machine.token(&robot, fields).await;
        assert_eq!(told(&answer), refused(400, error), "{fields:?}");
        assert!(answer.header("content-type").starts_with("application/json"), "{fields:?}");
        assert_eq!(answer.header("cache-control"), "no-store", "{fields:?}");
    }
}

#[rstest]
#[tokio::test]
async fn section_6_and_10_4_a_refresh_token_is_of_its_client_and_widens_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = SignedIn::on(database).await;
    let (server, shop) = (&scene.server, &scene.shop);
    let token = scene.redeem().await.member("refresh_token");
    for thief in [server.admin.web_client(&[]).await, server.admin.native_client(&[]).await] {
        assert_eq!(told(&server.machine.refresh(&thief, &token).await), refused(400, "invalid_grant"));
    }
    let shorter = &token[..token.len() - 1];
    for none in [shorter, "x", "pcr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", scene.callback.code()] {
        assert_eq!(told(&server.machine.refresh(shop, none).await), refused(400, "invalid_grant"), "{none}");
    }
    for wider in ["openid offline_access email", "admin"] {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &*token), ("scope", wider)];
        assert_eq!(
            told(&server.machine.token(shop, &fields).await),
            refused(400, "invalid_scope"),
            "{wider}"
        );
    }
    assert_eq!(server.machine.refresh(shop, &token).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_10_3_and_10_10_a_token_that_was_changed_or_made_up_opens_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = SignedIn::on(database).await;
    let good = scene.redeem().await.member("access_token");
    assert_eq!(scene.server.machine.userinfo(&good).await.status, 200);
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    for bad in [
        portcullis_tests::jwt::damaged(&good),
        format!("{header}.{payload}."),
        format!("{header}.{payload}A.{signature}"),
        SigningKeys::generate()
            .sign_with(&portcullis_tests::jwt::header(&good), &portcullis_tests::jwt::claims(&good)),
        "A".repeat(43),
    ] {
        assert_eq!(scene.server.machine.userinfo(&bad).await.status, 401, "{bad}");
        assert!(!scene.server.machine.is_active(&scene.shop, &bad).await, "{bad}");
    }
}
