//! OAuth 2.0 Dynamic Client Registration ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)): who and what is refused.

use std::time::Duration;

use portcullis_server::config::Dynamic;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::registering::web_metadata;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

async fn server(database: Database) -> TestServer {
    TestServer::start_with(database, |config| config.reach.registration.dynamic = Dynamic::Token).await
}

/// How many clients came by themselves.
async fn arrived(server: &TestServer) -> usize {
    let listed = server.admin.get("/registrations").await.json();
    listed["items"].as_array().map_or(0, Vec::len)
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

#[rstest]
#[tokio::test]
async fn section_3_and_openid_registration_section_3_3_without_a_token_that_counts_nobody_registers(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let none = server.register(None, &web_metadata()).await;
    assert_eq!(told(&none), (401, "invalid_token".to_owned()));
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"portcullis\"");
    let used = server.initial_token(json!({})).await;
    assert_eq!(server.register(Some(&used), &web_metadata()).await.status, 201);
    let taken_away = server.initial_token(json!({ "name": "Gone" })).await;
    let listed = server.admin.get("/initial-access-tokens").await.json();
    let items = listed["items"].as_array().expect("a list");
    let gone = items.iter().find(|token| token["name"] == "Gone").expect("it is listed");
    let id = gone["id"].as_str().expect("it has an id");
    let path = format!("/initial-access-tokens/{id}");
    assert_eq!(server.admin.send(Method::DELETE, &path, &Value::Null).await.status, 204);
    let late = server.initial_token(json!({ "days": 1 })).await;
    server.wait(Duration::from_hours(24));
    let admin = server.admin.token().await;
    let made_up = format!("pci_{}", "A".repeat(43));
    for (token, why) in [
        (used.as_str(), "used"),
        (&taken_away, "taken away"),
        (&late, "expired"),
        (&admin, "of an administrator"),
        (&made_up, "made up"),
        ("x", "nonsense"),
    ] {
        let answer = server.register(Some(token), &web_metadata()).await;
        assert_eq!(told(&answer), (401, "invalid_token".to_owned()), "{why}");
        assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{why}");
    }
    assert_eq!(arrived(&server).await, 1);
}

#[rstest]
#[tokio::test]
async fn section_3_of_many_who_use_the_last_of_a_token_at_once_one_registers(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let token = server.initial_token(json!({ "uses": 2 })).await;
    let metadata = web_metadata();
    let all = (0..12).map(|_| server.register(Some(&token), &metadata));
    let answers = futures_util::future::join_all(all).await;
    let registered = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!((registered, arrived(&server).await), (2, 2));
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.status == 401));
}

#[rstest]
#[tokio::test]
async fn section_3_2_2_and_openid_registration_section_3_3_what_cannot_be_registered_is_refused_at_no_cost(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    const REDIRECT: &str = "invalid_redirect_uri";
    const METADATA: &str = "invalid_client_metadata";
    let server = server(database).await;
    let token = server.initial_token(json!({})).await;
    for (member, value, code) in [
        ("redirect_uris", json!(["http://partner.test/cb"]), REDIRECT),
        ("redirect_uris", json!(["https://*.partner.test/cb"]), REDIRECT),
        ("redirect_uris", json!(["https://me@partner.test/cb"]), REDIRECT),
        ("redirect_uris", json!(["https://partner.test/cb#x"]), REDIRECT),
        ("redirect_uris", json!(["javascript:alert(1)"]), REDIRECT),
        ("redirect_uris", json!(["com.partner.app:/cb"]), REDIRECT),
        ("redirect_uris", json!([]), REDIRECT),
        ("redirect_uris", json!("https://partner.test/cb"), METADATA),
        ("client_name", json!(""), METADATA),
        ("client_name", json!("a\u{202e}b"), METADATA),
        ("token_endpoint_auth_method", json!("client_secret_jwt"), METADATA),
        ("token_endpoint_auth_method", json!("private_key_jwt"), METADATA),
        ("grant_types", json!(["password"]), METADATA),
        ("grant_types", json!(["client_credentials"]), METADATA),
        ("response_types", json!(["token"]), METADATA),
        ("scope", json!("admin"), METADATA),
        ("subject_type", json!("special"), METADATA),
        ("id_token_signed_response_alg", json!("HS256"), METADATA),
        ("id_token_signed_response_alg", json!("none"), METADATA),
        ("policy_uri", json!("javascript:alert(1)"), METADATA),
        ("tos_uri", json!("http://partner.test/tos"), METADATA),
        ("initiate_login_uri", json!("http://partner.test/login"), METADATA),
        ("post_logout_redirect_uris", json!(["http://partner.test/bye"]), METADATA),
        ("backchannel_logout_uri", json!("https://169.254.169.254/x"), METADATA),
        ("require_signed_request_object", json!(true), METADATA),
    ] {
        let mut metadata = web_metadata();
        metadata[member] = value.clone();
        let answer = server.register(Some(&token), &metadata).await;
        assert_eq!(told(&answer), (400, code.to_owned()), "{member} {value}: {}", answer.text());
        assert_ne!(answer.member("error_description"), "", "{member} {value}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.text().contains("alert(1)"), "nothing is echoed: {}", answer.text());
    }
    assert_eq!(arrived(&server).await, 0);
    assert_eq!(server.register(Some(&token), &web_metadata()).await.status, 201);
}

#[rstest]
#[tokio::test]
async fn section_2_1_grants_and_response_types_that_do_not_fit_one_another_are_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let every = ["authorization_code", "refresh_token", "client_credentials"];
    let token = server.initial_token(json!({ "grants": every })).await;
    for (grants, types, blamed) in [
        (json!(["authorization_code"]), json!([]), "response_types: "),
        (json!(["authorization_code"]), json!(["token"]), "response_types: "),
        (json!(["authorization_code"]), json!(["code", "token"]), "response_types: "),
        (json!(["client_credentials"]), json!(["code"]), "response_types: "),
        (json!(["refresh_token"]), json!([]), "grant_types: "),
    ] {
        let mut metadata = web_metadata();
        metadata["grant_types"] = grants;
        metadata["response_types"] = types;
        let answer = server.register(Some(&token), &metadata).await;
        assert_eq!(told(&answer), (400, "invalid_client_metadata".to_owned()), "{metadata}");
        assert!(answer.member("error_description").starts_with(blamed), "{metadata}: {}", answer.text());
    }
    assert_eq!(arrived(&server).await, 0);
    let mut metadata = web_metadata();
    metadata["response_types"] = json!(["code"]);
    assert_eq!(server.register(Some(&token), &metadata).await.status, 201);
}

#[rstest]
#[tokio::test]
async fn section_2_keys_at_an_internal_address_are_refused_and_not_asked_for(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let token = server.initial_token(json!({})).await;
    for host in ["127.0.0.1", "169.254.169.254", "[::1]", "10.0.0.1", "0.0.0.0", "localhost"] {
        let mut metadata = web_metadata();
        metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
        metadata["jwks_uri"] = json!(format!("https://{host}/jwks"));
        let answer = server.register(Some(&token), &metadata).await;
        assert_eq!(told(&answer), (400, "invalid_client_metadata".to_owned()), "{host}");
        assert!(answer.text().contains("jwks_uri"), "{}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_a_request_that_cannot_be_read_is_refused(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let token = server.initial_token(json!({})).await;
    let send = async |content_type: &str, body: String| {
        let request = server.machine.request(Method::POST, "/register").bearer_auth(&token);
        Answer::to(request.header("content-type", content_type).body(body)).await
    };
    let good = web_metadata().to_string();
    let long = json!({ "padding": "x".repeat(40_000) }).to_string();
    for (content_type, body, status) in [
        ("application/x-www-form-urlencoded", good.clone(), 415),
        ("text/plain", good.clone(), 415),
        ("application/json", long, 413),
        ("application/json", "{".to_owned(), 400),
        ("application/json", "[]".to_owned(), 400),
        ("application/json", String::new(), 400),
        ("application/json", format!("{good} {good}"), 400),
    ] {
        let answer = send(content_type, body).await;
        assert_eq!(answer.status, status, "{content_type}: {}", answer.text());
        assert_ne!(answer.error(), "");
    }
    let twice = server.machine.request(Method::POST, "/register").bearer_auth(&token);
    let twice = twice.header("authorization", "Bearer other").header("content-type", "application/json");
    assert_eq!(told(&Answer::to(twice.body(good)).await), (400, "invalid_request".to_owned()));
    let by_get = server.machine.get("/register").await;
    assert_eq!(by_get.status, 405);
    assert_eq!(arrived(&server).await, 0);
}

#[rstest]
#[tokio::test]
async fn section_5_one_network_registers_a_few_clients_in_a_minute(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.reach.registration.dynamic = Dynamic::Open;
        config.reach.registration.per_address_per_minute = 2;
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(server.register(None, &web_metadata()).await.status.as_u16());
    }
    assert_eq!(statuses, [201, 201, 429]);
    let answer = server.register(None, &web_metadata()).await;
    assert_ne!(answer.header("retry-after"), "");
    server.wait(Duration::from_secs(30));
    assert_eq!(server.register(None, &web_metadata()).await.status, 201);
}

#[rstest]
#[tokio::test]
async fn section_5_the_administration_is_for_nobody_who_registers_himself(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.reach.registration.dynamic = Dynamic::Open;
        let issuer = config.issuer();
        config.reach.registration.apis = vec![format!("{issuer}/api")];
    })
    .await;
    let answer = server.register(None, &web_metadata()).await;
    let shown = server.admin.get(&format!("/clients/{}", answer.member("client_id"))).await.json();
    assert_eq!(shown["settings"]["apis"], json!([]));
    let admin_api = server.admin.admin_api().await;
    let document = json!({ "name": "Near", "apis": [admin_api.id] });
    let refused = server.admin.send(Method::POST, "/initial-access-tokens", &document).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (422, "invalid"));
}
