//! What the server says about itself, and its keys.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::header;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const OPENID: &str = "/.well-known/openid-configuration";
const DAY: Duration = Duration::from_hours(24);
const OAUTH: &str = "/.well-known/oauth-authorization-server";

#[rstest]
#[tokio::test]
async fn both_documents_say_the_same_and_name_this_issuer(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (openid, oauth) = (server.machine.get(OPENID).await, server.machine.get(OAUTH).await);
    assert_eq!(openid.header("content-type"), "application/json");
    assert_eq!(openid.json()["issuer"], server.issuer);
    assert_eq!(openid.json(), oauth.json());
}

#[rstest]
#[tokio::test]
async fn every_endpoint_that_is_named_exists(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let document = server.machine.get(OPENID).await.json();
    let mut seen = 0;
    for (name, value) in document.as_object().unwrap() {
        let Some(address) = value.as_str().filter(|_| name.ends_with("_endpoint") || name == "jwks_uri")
        else {
            continue;
        };
        let path = address.strip_prefix(&server.issuer).unwrap_or_else(|| panic!("{name}: {address}"));
        let status = server.machine.get(path).await.status;
        assert_ne!(status, 404, "{name}: {address}");
        seen += 1;
    }
    assert!(seen >= 6, "{document}");
}

#[rstest]
#[tokio::test]
async fn only_what_works_is_advertised(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let document = server.machine.get(OPENID).await.json();
    let set = |name: &str| -> BTreeSet<String> {
        let list = document.get(name).and_then(Value::as_array).unwrap_or_else(|| panic!("no {name}"));
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let text = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(set("response_types_supported"), text(&["code"]));
    assert_eq!(set("code_challenge_methods_supported"), text(&["S256"]));
    let grants = text(&[
        "authorization_code",
        "client_credentials",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:openid:params:grant-type:ciba",
    ]);
    assert_eq!(set("grant_types_supported"), grants);
    let methods = text(&["client_secret_basic", "client_secret_post", "none", "private_key_jwt"]);
    assert_eq!(set("token_endpoint_auth_methods_supported"), methods);
    assert_eq!(set("id_token_signing_alg_values_supported"), text(&["ES256", "EdDSA", "PS256", "RS256"]));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    assert_eq!(document["request_uri_parameter_supported"], false);
    for algorithm in set("token_endpoint_auth_signing_alg_values_supported") {
        assert!(!algorithm.starts_with("HS") && algorithm != "none", "{algorithm}");
    }
}

#[rstest]
#[case::openid(OPENID)]
#[case::oauth(OAUTH)]
#[case::keys("/jwks")]
#[tokio::test]
async fn a_description_is_kept_by_its_tag(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] path: &str,
) {
    let server = TestServer::start_on(database).await;
    let first = server.machine.get(path).await;
    assert_eq!(first.status, 200);
    assert!(first.header("cache-control").contains("max-age="), "{}", first.header("cache-control"));
    let tag = first.header("etag");
    assert!(tag.starts_with('"'), "{tag}");
    let again = server.machine.request(Method::GET, path).header("if-none-match", tag);
    let again = Answer::to(again).await;
    assert_eq!(again.status, 304);
    assert!(again.body.is_empty());
    let before = server.statements();
    server.machine.get(path).await;
    assert_eq!(server.statements() - before, 0, "a description costs no statement");
}

#[rstest]
#[tokio::test]
async fn only_the_public_half_of_keys_is_published(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let set = server.machine.get("/jwks").await.json();
    let keys = set["keys"].as_array().unwrap();
    let algorithms: BTreeSet<&str> = keys.iter().filter_map(|key| key["alg"].as_str()).collect();
    assert_eq!(algorithms, BTreeSet::from(["ES256", "EdDSA", "PS256", "RS256"]));
    for key in keys {
        for secret in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert_eq!(key.get(secret), None, "{secret} of {key}");
        }
        assert_eq!(key["use"], "sig");
        assert!(key["kid"].is_string());
    }
}

#[rstest]
#[tokio::test]
async fn a_key_overlaps_with_its_successor(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api("https://orders.test").await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let sign = async || {
        let answer = server.machine.client_credentials(&machine, &orders.audience).await;
        header(&answer.member("access_token"))["kid"].as_str().unwrap().to_owned()
    };
    let published = async || {
        let set = server.machine.get("/jwks").await.json();
        set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let old = sign().await;
    let tag = server.machine.get("/jwks").await.header("etag").to_owned();
    server.wait(DAY * 83 + DAY / 2);
    server.app().keys().tend().await.unwrap();
    assert_eq!(published().await.len(), 8, "the successors are published a week before they sign");
    assert_ne!(server.machine.get("/jwks").await.header("etag"), tag);
    assert_eq!(sign().await, old, "verifiers have time to learn of them");
    server.wait(DAY * 7);
    let new = sign().await;
    assert_ne!(new, old);
    assert!(published().await.contains(&old), "tokens of the old key are still good");
    server.wait(DAY * 8);
    server.app().keys().tend().await.unwrap();
    let kept = published().await;
    assert_eq!((kept.len(), kept.contains(&old)), (4, false), "it is gone when they are all over");
}

#[rstest]
#[tokio::test]
async fn health_is_told_without_secrets(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    assert_eq!(server.machine.get("/healthz/live").await.status, 200);
    assert_eq!(server.machine.get("/healthz/ready").await.status, 200);
    assert_ne!(server.machine.get(OPENID).await.json(), json!(null));
}
