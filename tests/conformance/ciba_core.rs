//! OpenID Connect Client-Initiated Backchannel Authentication Flow - Core 1.0
//! (<https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html>): the request of the client.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::ciba::{CIBA, bank};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::damaged;
use portcullis_tests::registered::Registered;
use portcullis_tests::rsa_keys::RsaKeys;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

pub(crate) const ADA: &[Field<'_>] = &[("scope", "openid profile"), ("login_hint", "ada")];

pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

pub(crate) fn said(error: &str) -> (u16, String) {
    (400, error.to_owned())
}

#[rstest]
#[tokio::test]
async fn section_7_3_a_request_is_acknowledged(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    let answer = server.machine.start(&bank, ADA).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!((&body["expires_in"], &body["interval"]), (&json!(300), &json!(5)));
    let id = answer.member("auth_req_id");
    assert!(id.len() >= 43 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{id}");
}

#[rstest]
#[tokio::test]
async fn section_7_2_what_is_not_known_or_empty_is_passed_over(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    let fields =
        [ADA, &[("anything", "else"), ("user_code", ""), ("request_uri", ""), ("request", "")]].concat();
    let answer = server.machine.start(&bank, &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn section_7_1_a_client_may_ask_for_less_time_and_not_for_more(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    for (asked, life) in [("60", 60), ("3600", 300), ("1", 30)] {
        let fields = [ADA, &[("requested_expiry", asked)]].concat();
        let answer = server.machine.start(&bank, &fields).await;
        assert_eq!(answer.json()["expires_in"], json!(life), "{asked}: {}", answer.text());
    }
    for odd in ["0", "-1", "1.5", "soon"] {
        let fields = [ADA, &[("requested_expiry", odd)]].concat();
        assert_eq!(refusal(&server.machine.start(&bank, &fields).await), said("invalid_request"), "{odd}");
    }
}

#[rstest]
#[tokio::test]
async fn section_7_2_only_clients_that_prove_who_they_are_and_may_are_heard(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    let start = async |client: &Registered| refusal(&server.machine.start(client, ADA).await);
    let invalid_client = (401, "invalid_client".to_owned());
    let stranger = Registered { secret: None, ..bank.clone() };
    assert_eq!(start(&stranger).await, invalid_client);
    assert_eq!(refusal(&server.machine.post("/bc-authorize", ADA).await), invalid_client);
    let public = server.admin.native_client(&[]).await;
    let web = server.admin.web_client(&[]).await;
    let machine = server.admin.machine_client(&[]).await;
    for other in [public, web, machine] {
        assert_eq!(start(&other).await, said("unauthorized_client"), "{other:?}");
    }
    for (method, body, status) in [(Method::GET, "", 405), (Method::POST, "{}", 400)] {
        let request = server.machine.request(method.clone(), "/bc-authorize");
        let answer = Answer::to(request.header("content-type", "application/json").body(body)).await;
        assert_eq!(answer.status, status, "{method}: {}", answer.text());
    }
    server.admin.post(&format!("/clients/{}/disable", bank.id), &json!({})).await;
    assert_eq!(start(&bank).await, invalid_client);
}

#[rstest]
#[tokio::test]
async fn section_7_1_and_13_what_is_wrong_with_a_request_is_told(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    let long = "x".repeat(65);
    for (fields, error) in [
        (vec![("login_hint", "ada")], "invalid_request"),
        (vec![("scope", "profile"), ("login_hint", "ada")], "invalid_scope"),
        (vec![("scope", "openid"), ("scope", "openid"), ("login_hint", "ada")], "invalid_request"),
        (vec![("scope", "openid++x\""), ("login_hint", "ada")], "invalid_scope"),
        // Exactly one hint, and none that this server cannot read.
        (vec![("scope", "openid")], "invalid_request"),
        (vec![("scope", "openid"), ("login_hint", "ada"), ("id_token_hint", "x")], "invalid_request"),
        (vec![("scope", "openid"), ("login_hint_token", "x")], "invalid_request"),
        (vec![("scope", "openid"), ("login_hint", "ada"), ("login_hint_token", "x")], "invalid_request"),
        (vec![("scope", "openid"), ("id_token_hint", "x.y.z")], "invalid_request"),
        (vec![("scope", "openid"), ("login_hint", "nobody")], "unknown_user_id"),
        (vec![("scope", "openid"), ("login_hint", "no body")], "unknown_user_id"),
        (
            vec![("scope", "openid"), ("login_hint", "ada"), ("binding_message", long.as_str())],
            "invalid_binding_message",
        ),
        (
            vec![("scope", "openid"), ("login_hint", "ada"), ("binding_message", "caf\u{e9}")],
            "invalid_binding_message",
        ),
        (vec![("scope", "openid"), ("login_hint", "ada"), ("max_age", "soon")], "invalid_request"),
        (vec![("scope", "openid"), ("login_hint", "ada"), ("user_code", "1234")], "invalid_request"),
        (
            vec![("scope", "openid"), ("login_hint", "ada"), ("request_uri", "https://bank.test/r")],
            "invalid_request",
        ),
        (vec![("scope", "openid"), ("login_hint", "ada"), ("request", "x.y.z")], "invalid_request"),
        (
            vec![("scope", "openid"), ("login_hint", "ada"), ("authorization_details", "[]")],
            "invalid_authorization_details",
        ),
        (
            vec![("scope", "openid"), ("login_hint", "ada"), ("resource", "https://nobody.test")],
            "invalid_target",
        ),
        (
            vec![
                ("scope", "openid"),
                ("login_hint", "ada"),
                ("resource", "https://a.test"),
                ("resource", "https://b.test"),
            ],
            "invalid_target",
        ),
    ] {
        assert_eq!(refusal(&server.machine.start(&bank, &fields).await), said(error), "{fields:?}");
    }
    let secret =
        Answer::to(server.machine.form_of(&bank, "/bc-authorize?client_notification_token=x", ADA)).await;
    assert_eq!(refusal(&secret), said("invalid_request"), "addresses are logged");
}

#[rstest]
#[tokio::test]
async fn section_13_a_client_hears_who_is_unknown_and_of_nobody_whom_it_does_not_serve(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server =
        TestServer::start_with(database, |config| config.limits.login_per_address_per_minute = 4).await;
    let ada = server.admin.user("ada").await;
    let bob = server.admin.user("bob").await;
    let bank = server.admin.bank().await;
    let name = async |client: &Registered, hint: &str| {
        refusal(&server.machine.start(client, &[("scope", "openid"), ("login_hint", hint)]).await)
    };
    server.admin.post(&format!("/users/{}/disable", bob.id), &json!({})).await;
    assert_eq!(name(&bank, "bob").await, said("unknown_user_id"), "switched off");
    let other = server.admin.post("/organisations", &json!({ "name": "Other" })).await;
    let mut theirs = portcullis_tests::ciba::bank("poll", &json!({}));
    theirs["organisation"] = other["id"].clone();
    let theirs = server.admin.client(theirs).await;
    assert_eq!(name(&theirs, "ada").await, said("unknown_user_id"), "of another organisation");
    // Whoever tries names is stopped, and learns no more from those that exist.
    for number in 0..3 {
        assert_eq!(name(&bank, &format!("guess-{number}")).await, said("unknown_user_id"));
    }
    let throttled = server.machine.start(&bank, ADA).await;
    assert_eq!(refusal(&throttled), (429, "temporarily_unavailable".to_owned()), "{}", ada.username);
    assert!(!throttled.header("retry-after").is_empty());
    // Nor does it get further in small steps: four names in a minute are one in fifteen seconds.
    let mut told = 0;
    for number in 0..100 {
        server.wait(std::time::Duration::from_millis(150));
        let answer = name(&bank, &format!("step-{number}")).await;
        told += usize::from(answer == said("unknown_user_id"));
    }
    assert!(told <= 2, "{told} names in fifteen seconds");
    server.wait(std::time::Duration::from_mins(1));
    assert_eq!(server.machine.start(&bank, ADA).await.status, 200);
}

/// A bank that signs its requests, and proves who it is by a secret.
async fn signing_bank(server: &TestServer) -> (Registered, SigningKeys) {
    let keys = SigningKeys::generate();
    let mut document = bank("poll", &json!({ "backchannel_authentication_request_signing_alg": "ES256" }));
    document["jwks"] = keys.public_jwks();
    document["options"]["authentication"] = json!({ "token_endpoint_auth_method": "client_secret_basic" });
    (server.admin.client(document).await, keys)
}

/// What a good object of the client says.
fn object(server: &TestServer, client: &Registered) -> Value {
    let now = server.clock.now().as_secs();
    json!({ "iss": client.id, "aud": server.issuer, "iat": now, "nbf": now, "exp": now + 60, "jti": "r-1",
        "scope": "openid", "login_hint": "ada", "binding_message": "W4SCT" })
}

#[rstest]
#[tokio::test]
async fn section_7_1_1_a_signed_request_is_taken_and_is_the_whole_request(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (bank, keys) = signing_bank(&server).await;
    let good = keys.sign(&object(&server, &bank));
    let taken = server.machine.start(&bank, &[("request", &good)]).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    let page = server.visitor().approvals(&ada).await;
    assert!(page.text().contains("W4SCT"), "{}", page.text());
    for beside in [("scope", "openid"), ("login_hint", "ada"), ("binding_message", "x")] {
        let mixed = server.machine.start(&bank, &[("request", &good), beside]).await;
        assert_eq!(refusal(&mixed), said("invalid_request"), "{beside:?}");
    }
    assert_eq!(refusal(&server.machine.start(&bank, ADA).await), said("invalid_request"), "not signed");
}

#[rstest]
#[tokio::test]
async fn section_7_1_1_a_signed_request_that_is_not_whole_or_not_theirs_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    server.admin.user("ada").await;
    let (bank, keys) = signing_bank(&server).await;
    let refused = async |object: &str| refusal(&server.machine.start(&bank, &[("request", object)]).await);
    for missing in ["iss", "aud", "iat", "nbf", "exp", "jti", "scope", "login_hint"] {
        let mut claims = object(&server, &bank);
        claims.as_object_mut().unwrap().remove(missing);
        assert_eq!(refused(&keys.sign(&claims)).await, said("invalid_request"), "{missing}");
    }
    let now = server.clock.now().as_secs();
    for (name, value) in [
        ("aud", json!("https://other.test")),
        ("iss", json!("cli_other")),
        ("client_id", json!("cli_other")),
        ("sub", json!(bank.id)),
        ("exp", json!(now)),
        ("nbf", json!(now + 600)),
        ("iat", json!(now + 600)),
        ("jti", json!("")),
        ("request", json!("x")),
    ] {
        let mut claims = object(&server, &bank);
        claims[name] = value;
        assert_eq!(refused(&keys.sign(&claims)).await, said("invalid_request"), "{name}");
    }
    let good = object(&server, &bank);
    assert_eq!(refused(&SigningKeys::generate().sign(&good)).await, said("invalid_request"), "another key");
    assert_eq!(refused(&damaged(&keys.sign(&good))).await, said("invalid_request"));
    assert_eq!(refused(&keys.sign_as("at+jwt", &good)).await, said("invalid_request"), "another kind");
    let unsigned = keys.sign_with(&json!({ "alg": "none", "typ": "JWT" }), &good);
    assert_eq!(refused(&unsigned).await, said("invalid_request"));
}

#[rstest]
#[tokio::test]
async fn section_7_1_1_a_request_is_signed_by_the_algorithm_that_was_registered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    server.admin.user("ada").await;
    let (keys, others) = (SigningKeys::generate(), RsaKeys::generate());
    let mut document = bank("poll", &json!({ "backchannel_authentication_request_signing_alg": "ES256" }));
    let mut jwks = keys.public_jwks();
    jwks["keys"].as_array_mut().unwrap().extend(others.jwks("PS256")["keys"].as_array().cloned().unwrap());
    document["jwks"] = jwks;
    document["options"]["authentication"] = json!({ "token_endpoint_auth_method": "client_secret_basic" });
    let bank = server.admin.client(document).await;
    let claims = object(&server, &bank);
    let other = others.sign(&json!({ "alg": "PS256", "typ": "JWT" }), &claims);
    let refused = server.machine.start(&bank, &[("request", &other)]).await;
    assert_eq!(refusal(&refused), said("invalid_request"));
    assert!(refused.member("error_description").contains("another algorithm"), "{}", refused.text());
    assert_eq!(server.machine.start(&bank, &[("request", &keys.sign(&claims))]).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_4_the_metadata_name_the_endpoint_as_long_as_it_is_on(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(false, true)] on: bool,
) {
    let before = TestServer::start_on(database).await;
    let bank = before.admin.bank().await;
    let server =
        if on { before } else { before.replica_with(|config| config.protocol.ciba_grant = false).await };
    let ada = server.admin.user("ada").await;
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    let has = metadata["grant_types_supported"].as_array().unwrap().contains(&json!(CIBA));
    assert_eq!(has, on);
    let answer = server.machine.start(&bank, ADA).await;
    if on {
        assert_eq!(metadata["backchannel_authentication_endpoint"], server.machine.url("/bc-authorize"));
        assert_eq!(metadata["backchannel_token_delivery_modes_supported"], json!(["poll", "ping"]));
        assert_eq!(metadata["backchannel_user_code_parameter_supported"], false);
        let algs = &metadata["backchannel_authentication_request_signing_alg_values_supported"];
        assert_eq!(*algs, metadata["request_object_signing_alg_values_supported"]);
        assert_eq!(answer.status, 200, "{}", answer.text());
    } else {
        let named = metadata.as_object().unwrap().keys().filter(|name| name.starts_with("backchannel_"));
        assert_eq!(named.filter(|name| !name.contains("logout")).count(), 0, "{metadata}");
        assert_eq!(refusal(&answer), said("unsupported_grant_type"));
        let id = format!("pcq_{}", "A".repeat(43));
        assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("unsupported_grant_type"));
        let mut visitor = server.visitor();
        let account = visitor.sign_in(&ada).await;
        assert!(!account.text().contains("id=\"approvals\""), "{}", account.text());
        assert_eq!(visitor.open("/approvals").await.status, 404);
    }
}
