//! What a client that is held to the profile may be: every other setting refuses all of its document.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::certificates::{Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::rsa_keys::RsaKeys;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Bank, document};

async fn create(server: &TestServer, change: impl FnOnce(&mut Value)) -> Answer {
    let mut document = document(&SigningKeys::generate());
    change(&mut document);
    server.admin.send(Method::POST, "/clients", &document).await
}

/// The one field that is to blame.
#[track_caller]
fn assert_refused(answer: &Answer, pointer: &str) {
    assert_eq!(answer.status, 422, "{pointer}: {}", answer.text());
    let errors = answer.json()["errors"].clone();
    let pointers: Vec<_> = errors.as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, [json!(pointer)], "{errors}");
    assert!(errors[0].to_string().contains("fapi2"), "the profile is named: {errors}");
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_only_confidential_clients(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for (preset, redirects) in [
        ("spa", json!(["https://bank.test/cb"])),
        ("native", json!(["http://127.0.0.1/cb"])),
        ("device", json!([])),
    ] {
        let public = json!({ "name": "Bank", "preset": preset, "redirect_uris": redirects,
            "options": { "profile": "fapi2" } });
        assert_refused(&server.admin.send(Method::POST, "/clients", &public).await, "/preset");
    }
    let listed = server.admin.get("/clients").await.json();
    let names: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|client| client["name"].clone()).collect();
    assert!(!names.contains(&json!("Bank")), "nothing was registered: {names:?}");
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_clients_sign_or_show_a_certificate(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let server = &bank.server;
    let method = "/options/authentication/token_endpoint_auth_method";
    for named in ["client_secret_basic", "client_secret_post"] {
        let answer = create(server, |document| {
            document["options"]["authentication"] = json!({ "token_endpoint_auth_method": named });
        });
        assert_refused(&answer.await, method);
    }
    let answer = create(server, |document| {
        document.as_object_mut().unwrap().remove("jwks");
    });
    assert_refused(&answer.await, method);
    let machine = json!({ "name": "Robot", "preset": "m2m", "options": { "profile": "fapi2",
        "protocol": { "assertion_issuers": [{ "issuer": "https://builds.test", "subjects": ["a"],
            "jwks": SigningKeys::generate().public_jwks() }] } } });
    assert_refused(&server.admin.send(Method::POST, "/clients", &machine).await, method);
    // A certificate does as well, and what its key could sign is of no matter.
    let certificate = Certificate::self_signed(Wanted::named("bank"));
    let mut jwks = RsaKeys::generate().jwks("RS256");
    jwks["keys"][0]["x5t#S256"] = json!(certificate.thumbprint());
    let shown = create(server, |document| {
        document["jwks"] = jwks;
        let named = json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth" });
        document["options"]["authentication"] = named;
    });
    let shown = shown.await;
    assert_eq!(shown.status, 201, "{}", shown.text());
    assert_eq!(shown.json()["client"]["settings"]["profile"], "fapi2");
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_2_no_answer_goes_over_plain_http(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_with(database, |config| {
        config.reach.outbound.allow = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let loopback = create(&server, |document| {
        document["redirect_uris"] = json!(["https://bank.test/cb", "http://127.0.0.1/cb"]);
    });
    assert_refused(&loopback.await, "/redirect_uris/1");
    let told = create(&server, |document| {
        document["options"]["protocol"] = json!({ "backchannel_logout_uri": "http://127.0.0.1/told" });
    });
    assert_refused(&told.await, "/options/protocol/backchannel_logout_uri");
    let published = create(&server, |document| {
        document.as_object_mut().unwrap().remove("jwks");
        document["options"]["jwks_uri"] = json!("http://127.0.0.1/jwks");
        let named = json!({ "token_endpoint_auth_method": "private_key_jwt" });
        document["options"]["authentication"] = named;
    });
    assert_refused(&published.await, "/options/jwks_uri");
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_nothing_is_signed_by_rs256(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let id_token = create(&server, |document| document["options"]["id_token_alg"] = json!("RS256"));
    assert_refused(&id_token.await, "/options/id_token_alg");
    for name in ["authorization_signed_response_alg", "userinfo_signed_response_alg"] {
        let answer = create(&server, |document| document["options"]["protocol"] = json!({ name: "RS256" }));
        assert_refused(&answer.await, &format!("/options/protocol/{name}"));
        for alg in ["ES256", "EdDSA", "PS256"] {
            let answer = create(&server, |document| document["options"]["protocol"] = json!({ name: alg }));
            assert_eq!(answer.await.status, 201, "{name} {alg}");
        }
    }
    let keys = RsaKeys::generate();
    let unnamed = json!({ "keys": [keys.jwk()] });
    for jwks in [keys.jwks("RS256"), unnamed] {
        assert_refused(&create(&server, |document| document["jwks"] = jwks).await, "/jwks");
    }
    let answer = create(&server, |document| document["jwks"] = keys.jwks("PS256")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let machine = create(&server, |document| {
        document["preset"] = json!("m2m");
        document["redirect_uris"] = json!([]);
        document["options"]["protocol"] = json!({ "assertion_issuers": [{ "issuer": "https://builds.test",
            "subjects": ["a"], "jwks": keys.jwks("RS256") }] });
    });
    assert_refused(&machine.await, "/options/protocol/assertion_issuers/0/jwks");
}

#[rstest]
#[tokio::test]
async fn a_profile_that_does_not_exist_is_no_profile(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let answer = create(&server, |document| document["options"]["profile"] = json!("fapi1")).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(answer.json()["errors"][0]["pointer"], "/options/profile");
}
