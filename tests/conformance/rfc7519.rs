//! JSON Web Token ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)): what the tokens of this server are made of.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

use crate::oidc_core::{ALL_SCOPES, asking, held_to, known_person, names, profile};

const ORDERS: &str = "https://orders.test";

/// A token of each kind that clients get, with its kind.
async fn tokens(server: &TestServer) -> Vec<(&'static str, String)> {
    let ada = known_person(server, "ada").await;
    let shop = held_to(server, json!({})).await;
    let everything: Value =
        names(&profile()).into_iter().map(|name| (name.to_owned(), Value::Null)).collect();
    let hers =
        server.tokens(&shop, &asking(&shop, ALL_SCOPES, &json!({ "id_token": everything })), &ada).await;
    let refreshed = server.machine.refresh(&shop, &hers.member("refresh_token")).await;
    let orders = server.admin.api(ORDERS).await;
    let robot = server.admin.machine_client(&[&orders]).await;
    let own = server.machine.client_credentials(&robot, ORDERS).await;
    vec![
        ("ID token", hers.member("id_token")),
        ("access token", hers.member("access_token")),
        ("ID token of a refresh", refreshed.member("id_token")),
        ("access token of a refresh", refreshed.member("access_token")),
        ("access token of a machine", own.member("access_token")),
    ]
}

#[rstest]
#[tokio::test]
async fn section_4_1_the_claims_of_a_token_are_what_their_registration_says_and_there_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let now = server.clock.now().as_secs();
    for (kind, token) in tokens(&server).await {
        let said = claims(&token);
        assert_eq!(said["iss"], server.issuer, "{kind}");
        for text in ["sub", "aud"] {
            assert!(said[text].as_str().is_some_and(|text| !text.is_empty()), "{kind} {text}: {said}");
        }
        assert_eq!(said["iat"], now, "{kind}");
        assert!(said["exp"].as_i64().is_some_and(|end| end > now), "{kind}: {said}");
        assert!(said["nbf"].is_null() || said["nbf"] == now, "{kind}: {said}");
        assert!(said["auth_time"].is_null() || said["auth_time"] == now, "{kind}: {said}");
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        // A member that is there twice is there once in what was read.
        assert_eq!(said.to_string().len(), payload.len(), "{kind}: {}", String::from_utf8_lossy(&payload));
        assert!(!said.as_object().unwrap().values().any(Value::is_null), "{kind}: {said}");
    }
}

#[rstest]
#[tokio::test]
async fn section_4_1_7_no_two_access_tokens_have_one_name(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let robots =
        [server.admin.machine_client(&[&orders]).await, server.admin.machine_client(&[&orders]).await];
    let mut seen = BTreeSet::new();
    for number in 0..40 {
        let answer = server.machine.client_credentials(&robots[number % 2], ORDERS).await;
        let jti = claims(&answer.member("access_token"))["jti"].as_str().unwrap().to_owned();
        assert!(jti.len() >= 22, "128 bits take 22 characters: {jti}");
        assert!(seen.insert(jti), "the same second, and another name");
    }
}

#[rstest]
#[tokio::test]
async fn section_5_and_7_1_a_token_has_three_parts_and_a_header_that_says_how_to_read_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for (kind, token) in tokens(&server).await {
        assert_eq!(token.split('.').count(), 3, "{kind}");
        let plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
        assert!(token.chars().all(plain), "{kind}: base64url without padding");
        let said = header(&token);
        // Section 5.3: no claim stands in a header.
        assert!(names(&said).into_iter().all(|name| ["alg", "kid", "typ"].contains(&name)), "{kind}: {said}");
        let typ = if kind.starts_with("access") { "at+jwt" } else { "JWT" };
        assert_eq!(said["typ"].as_str().unwrap_or("JWT"), typ, "{kind}: {said}");
    }
}

#[rstest]
#[tokio::test]
async fn section_4_1_4_a_token_counts_no_longer_from_its_exp_on(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let tokens = tokens(&server).await;
    let (_, token) = tokens.iter().find(|(kind, _)| *kind == "access token").unwrap();
    let left = claims(token)["exp"].as_i64().unwrap() - server.clock.now().as_secs();
    server.wait(Duration::from_secs(u64::try_from(left - 1).unwrap()));
    assert_eq!(server.machine.userinfo(token).await.status, 200);
    server.wait(Duration::from_secs(1));
    let refused = server.machine.userinfo(token).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").contains("error=\"invalid_token\""));
}

#[rstest]
#[tokio::test]
async fn section_7_2_what_is_not_made_as_a_token_is_made_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let tokens = tokens(&server).await;
    let (_, good) = tokens.iter().find(|(kind, _)| *kind == "access token").unwrap();
    assert_eq!(server.machine.userinfo(good).await.status, 200);
    let [first, second, third]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut critical = header(good);
    critical["crit"] = json!(["exp"]);
    let critical = URL_SAFE_NO_PAD.encode(critical.to_string());
    let no_json = URL_SAFE_NO_PAD.encode("{");
    for bad in [
        format!("{first}.{second}"),
        format!("{first}.{second}.{third}.{third}"),
        format!("{first}..{third}"),
        format!(".{second}.{third}"),
        format!("{good}="),
        format!("{first}.{second}=.{third}"),
        format!("{no_json}.{second}.{third}"),
        format!("{first}.{no_json}.{third}"),
        format!("{critical}.{second}.{third}"),
        "..".to_owned(),
    ] {
        assert_eq!(server.machine.userinfo(&bad).await.status, 401, "{bad}");
    }
}
