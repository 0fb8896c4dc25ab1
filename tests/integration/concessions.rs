//! What an administrator can spare a client, and what not.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const PKCE: &str = "/options/protocol/require_pkce";
const AUDIENCE: &str = "/options/protocol/assertion_audience";

fn document(more: &[(&str, Value)]) -> Value {
    let mut document = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"] });
    for (member, value) in more {
        document[*member] = value.clone();
    }
    document
}

fn spared() -> (&'static str, Value) {
    ("options", json!({ "protocol": { "require_pkce": false } }))
}

/// What an administrator says of a client in the place of all before.
async fn replaced(server: &TestServer, path: &str, document: &Value) -> Answer {
    let put = server.admin.request(Method::PUT, path).await;
    Answer::to(put.header("if-match", "*").json(document)).await
}

/// Where a document is wrong.
fn pointers(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 422, "{}", answer.text());
    let errors = answer.json()["errors"].as_array().cloned().unwrap();
    assert!(errors.iter().all(|error| error["code"] == "contradiction"), "{errors:?}");
    errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn only_a_client_that_proves_who_it_is_on_the_web_can_do_without_pkce(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let keys = SigningKeys::generate().public_jwks();
    let with_profile = |name: &str| {
        let options = json!({ "profile": name, "protocol": { "require_pkce": false } });
        document(&[("options", options), ("jwks", keys.clone())])
    };
    let loopback = ("redirect_uris", json!(["https://rp.test/cb", "http://127.0.0.1/cb"]));
    for (refused, reason) in [
        (document(&[spared(), ("preset", json!("spa"))]), "does not prove who it is"),
        (document(&[spared(), ("preset", json!("native"))]), "does not prove who it is"),
        (document(&[spared(), loopback]), "https addresses alone"),
        (json!({ "name": "Robot", "preset": "m2m", "options": spared().1 }), "no authorization requests"),
        (json!({ "name": "Screen", "preset": "device", "options": spared().1 }), "no authorization requests"),
        (with_profile("oauth21"), "the profile oauth21"),
        (with_profile("fapi2"), "the profile fapi2"),
    ] {
        let answer = server.admin.send(Method::POST, "/clients", &refused).await;
        assert_eq!(pointers(&answer), [PKCE], "{refused}");
        assert!(answer.text().contains(reason), "{refused}: {}", answer.text());
    }
    let good = server.admin.send(Method::POST, "/clients", &document(&[spared()])).await;
    assert_eq!(good.status, 201, "{}", good.text());
    assert_eq!(good.json()["client"]["settings"]["protocol"]["require_pkce"], false);
    // What it cannot be spared later refuses the change.
    let path = format!("/clients/{}", good.json()["client"]["id"].as_str().unwrap());
    let options = json!({ "profile": "oauth21", "protocol": { "require_pkce": false } });
    let stricter = replaced(&server, &path, &document(&[("options", options)])).await;
    assert_eq!(pointers(&stricter), [PKCE]);
}

#[rstest]
#[tokio::test]
async fn only_a_client_that_signs_and_is_no_bank_names_endpoints(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let jwks = ("jwks", SigningKeys::generate().public_jwks());
    let endpoint = json!({ "protocol": { "assertion_audience": "endpoint" } });
    let bank = json!({ "profile": "fapi2", "protocol": { "assertion_audience": "endpoint" } });
    for refused in [document(&[("options", endpoint.clone())]), document(&[jwks.clone(), ("options", bank)])]
    {
        let answer = server.admin.send(Method::POST, "/clients", &refused).await;
        assert_eq!(pointers(&answer), [AUDIENCE], "{refused}");
    }
    let unknown = json!({ "protocol": { "assertion_audience": "token" } });
    let answer =
        server.admin.send(Method::POST, "/clients", &document(&[jwks.clone(), ("options", unknown)])).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["pointer"]), (422, &json!(AUDIENCE)));
    let good = document(&[jwks, ("options", endpoint)]);
    let good = server.admin.send(Method::POST, "/clients", &good).await;
    assert_eq!(good.status, 201, "{}", good.text());
    assert_eq!(good.json()["client"]["settings"]["protocol"]["assertion_audience"], "endpoint");
}

#[rstest]
#[tokio::test]
async fn what_is_not_said_is_spared_nobody_and_each_change_is_on_record(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let jwks = ("jwks", SigningKeys::generate().public_jwks());
    let made = server.admin.post("/clients", &document(&[jwks])).await;
    let protocol = |shown: &Value| {
        let protocol = &shown["settings"]["protocol"];
        (protocol["require_pkce"].clone(), protocol["assertion_audience"].clone())
    };
    assert_eq!(protocol(&made["client"]), (json!(true), json!("issuer")));
    let path = format!("/clients/{}", made["client"]["id"].as_str().unwrap());
    let both = json!({ "protocol": { "require_pkce": false, "assertion_audience": "endpoint" } });
    let spared = replaced(&server, &path, &document(&[("options", both)])).await;
    assert_eq!(protocol(&spared.json()), (json!(false), json!("endpoint")), "{}", spared.text());
    let back = replaced(&server, &path, &document(&[])).await;
    assert_eq!(protocol(&back.json()), (json!(true), json!("issuer")), "{}", back.text());
    let events = server.admin.get("/audit?limit=200").await.json();
    let changes: Vec<&Value> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["action"] == "client.updated")
        .map(|event| &event["detail"]["changed"])
        .collect();
    let both = json!(["require_pkce", "assertion_audience"]);
    assert_eq!(changes, [&both, &both], "{events}");
}
