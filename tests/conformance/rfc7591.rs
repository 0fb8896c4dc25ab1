//! OAuth 2.0 Dynamic Client Registration ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)): what a client gets.

use portcullis_server::config::{Config, Dynamic};
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::login_form;
use rstest::rstest;
use serde_json::{Value, json};

/// Lets clients register that show a token.
fn with_tokens(config: &mut Config) {
    config.reach.registration.dynamic = Dynamic::Token;
}

async fn server(database: Database) -> TestServer {
    TestServer::start_with(database, with_tokens).await
}

#[rstest]
#[tokio::test]
async fn section_3_2_1_a_client_is_told_what_was_registered_and_works(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let token = server.initial_token(json!({})).await;
    let mut metadata = web_metadata();
    metadata["contacts"] = json!(["ops@partner.test"]);
    metadata["client_uri"] = json!("https://partner.test/");
    metadata["initiate_login_uri"] = json!("https://partner.test/login");
    metadata["software_id"] = json!("partner");
    metadata["post_logout_redirect_uris"] = json!(["https://partner.test/bye"]);
    metadata["backchannel_logout_uri"] = json!("https://partner.test/backchannel");
    let answer = server.register(Some(&token), &metadata).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let told = answer.json();
    for (member, value) in metadata.as_object().expect("it is an object") {
        assert_eq!(told.get(member), Some(value), "{member}");
    }
    for (member, value) in [
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("response_types", json!(["code"])),
        ("scope", json!("email offline_access openid profile")),
        ("id_token_signed_response_alg", json!("RS256")),
        ("client_secret_expires_at", json!(0)),
        ("client_id_issued_at", json!(server.clock.now().as_secs())),
    ] {
        assert_eq!(told.get(member), Some(&value), "{member}");
    }
    let own = OwnRegistration::of(&answer);
    assert!(own.client.secret.as_ref().is_some_and(|secret| secret.len() > 43));
    let request = AuthorizeRequest::of(&own.client);
    let tokens = server.tokens(&own.client, &request, &ada).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(jwt::header(&tokens.member("id_token"))["alg"], "RS256");
}

#[rstest]
#[tokio::test]
async fn section_2_what_means_nothing_here_is_ignored(#[values(Sqlite, Postgres)] database: Database) {
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let token = server.initial_token(json!({})).await;
    let mut metadata = web_metadata();
    for (member, value) in [
        ("client_id", json!("cli_00000000000070008000000000000001")),
        ("client_secret", json!("chosen")),
        ("first_party", json!(true)),
        ("skip_consent", json!(true)),
        ("organisation", json!("org_00000000000070008000000000000000")),
        ("preset", json!("service")),
        ("options", json!({ "first_party": true })),
        ("apis", json!(["admin"])),
        ("roles", json!(["owner"])),
        ("scope", json!("openid admin")),
        ("software_statement", json!("x.y.z")),
        ("client_name#de", json!("Partnerin")),
    ] {
        metadata[member] = value;
    }
    let answer = server.register(Some(&token), &metadata).await;
    let own = OwnRegistration::of(&answer);
    assert_ne!(own.client.id, metadata["client_id"]);
    assert_ne!(own.client.secret.as_deref(), Some("chosen"));
    for member in ["first_party", "organisation", "software_statement", "roles"] {
        assert_eq!(answer.json().get(member), None, "{member}");
    }
    let shown = server.admin.get(&format!("/clients/{}", own.client.id)).await.json();
    assert_eq!(shown["settings"]["first_party"], false);
    assert_eq!((&shown["settings"]["apis"], &shown["scopes"]), (&json!([]), &json!("openid")));
    // Somebody is asked, and told that nobody vouches for it.
    let mut visitor = server.visitor();
    let login = visitor.open(&AuthorizeRequest::of(&own.client).path()).await;
    let sent = visitor.submit(&login_form(&login, &ada.username, &ada.password)).await;
    let consent = visitor.follow(sent).await.text();
    assert!(consent.contains("id=\"consent\"") && consent.contains("id=\"stranger\""), "{consent}");
}

#[rstest]
#[tokio::test]
async fn section_3_a_token_says_what_a_client_may_have(#[values(Sqlite, Postgres)] database: Database) {
    let server = server(database).await;
    let orders = server.admin.api("https://orders.example").await;
    let token = server
        .initial_token(json!({
            "uses": 10,
            "grants": ["client_credentials", "authorization_code"],
            "scopes": "openid orders:read",
            "redirect_hosts": ["partner.test"],
            "apis": [orders.id],
        }))
        .await;
    let machine = json!({ "client_name": "Robot", "grant_types": ["client_credentials"],
        "scope": "orders:read orders:write" });
    let answer = server.register(Some(&token), &machine).await;
    assert_eq!(answer.json()["scope"], "orders:read");
    assert_eq!(answer.json()["response_types"], json!([]));
    let robot = OwnRegistration::of(&answer).client;
    let issued = server.machine.client_credentials(&robot, "https://orders.example").await;
    assert_eq!(issued.status, 200, "{}", issued.text());
    let elsewhere = json!({ "client_name": "App", "redirect_uris": ["https://other.test/cb"] });
    let refused = server.register(Some(&token), &elsewhere).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_redirect_uri"));
    let refresher = server.register(Some(&token), &web_metadata()).await;
    assert_eq!((refresher.status.as_u16(), refresher.error().as_str()), (400, "invalid_client_metadata"));
}

#[rstest]
#[tokio::test]
async fn section_2_a_client_with_keys_gets_no_secret_and_signs(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let orders = server.admin.api("https://orders.example").await;
    let allowed = json!({ "grants": ["client_credentials"], "scopes": "", "apis": [orders.id] });
    let token = server.initial_token(allowed).await;
    let keys = SigningKeys::generate();
    let metadata = json!({ "client_name": "Robot", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": keys.public_jwks() });
    let answer = server.register(Some(&token), &metadata).await;
    assert_eq!(answer.json()["jwks"], keys.public_jwks());
    let own = OwnRegistration::of(&answer);
    assert_eq!((own.client.secret, answer.json().get("client_secret_expires_at")), (None, None));
    let proof = assertion_fields(&keys, &own.client.id, &server.issuer, server.clock.now());
    let mut fields = vec![("grant_type", "client_credentials"), ("resource", "https://orders.example")];
    fields.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
    let issued = server.machine.post("/token", &fields).await;
    assert_eq!(issued.status, 200, "{}", issued.text());
}

#[rstest]
#[tokio::test]
async fn section_3_everybody_registers_where_that_is_said_and_gets_little(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.reach.registration.dynamic = Dynamic::Open;
        config.reach.registration.scopes = "openid tools".to_owned();
        config.reach.registration.apis = vec!["https://tools.example".to_owned()];
    })
    .await;
    let ada = server.admin.user("ada").await;
    server.admin.api("https://tools.example").await;
    let device = json!({ "client_name": "Editor", "token_endpoint_auth_method": "none",
        "redirect_uris": ["http://localhost/cb", "http://127.0.0.1/cb"] });
    let answer = server.register(None, &device).await;
    assert_eq!(answer.json()["scope"], "openid tools");
    let own = OwnRegistration::of(&answer);
    assert_eq!(own.client.secret, None);
    let request = AuthorizeRequest::of(&own.client)
        .with("redirect_uri", "http://localhost:49152/cb")
        .with("scope", "tools")
        .with("resource", "https://tools.example");
    let tokens = server.tokens(&own.client, &request, &ada).await;
    assert_eq!(jwt::claims(&tokens.member("access_token"))["aud"], "https://tools.example");
    assert_eq!(tokens.json().get("refresh_token"), None, "it did not register for any");
    let machine = json!({ "client_name": "Robot", "grant_types": ["client_credentials"] });
    assert_eq!(server.register(None, &machine).await.error(), "invalid_client_metadata");
    let wrong = server.register(Some("pci_wrong"), &device).await;
    assert_eq!((wrong.status.as_u16(), wrong.error().as_str()), (401, "invalid_token"));
    let vouched = server.initial_token(json!({ "scopes": "openid email" })).await;
    assert_eq!(server.register(Some(&vouched), &device).await.json()["scope"], "email openid");
}

#[rstest]
#[tokio::test]
async fn section_3_who_registered_and_by_which_token_can_be_looked_up(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let token = server.initial_token(json!({ "name": "Of May" })).await;
    let own = OwnRegistration::of(&server.register(Some(&token), &web_metadata()).await);
    let tokens = server.admin.get("/initial-access-tokens").await;
    assert!(!tokens.text().contains(&token), "a token is shown once");
    let id = tokens.json()["items"][0]["id"].clone();
    assert_eq!(
        (&tokens.json()["items"][0]["name"], &tokens.json()["items"][0]["uses_left"]),
        (&json!("Of May"), &json!(0))
    );
    let listed = server.admin.get("/registrations").await.json();
    assert_eq!(listed["items"][0]["client"], json!(own.client.id));
    assert_eq!(listed["items"][0]["initial_token"], id);
    let trail = server.admin.get("/audit").await.json();
    let events = trail["items"].as_array().expect("a list");
    let made = events
        .iter()
        .find(|event| event["action"] == "client.created" && event["target"] == own.client.id.as_str())
        .expect("it is in the trail");
    assert_eq!((&made["actor"], &made["detail"]["initial_token"]), (&json!("anonymous"), &id));
    assert!(!trail.to_string().contains(&own.token), "no secret is in the trail");
    assert!(!trail.to_string().contains(own.client.secret.as_deref().unwrap_or(&own.token)));
}

#[rstest]
#[tokio::test]
async fn section_3_the_endpoint_is_advertised_where_it_answers(
    #[values(Sqlite, Postgres)] database: Database,
) {
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    let open = server(database).await;
    let endpoint = open.machine.get(DISCOVERY).await.member("registration_endpoint");
    assert_eq!(endpoint, format!("{}/register", open.issuer));
    let closed = TestServer::start_on(database).await;
    assert_eq!(closed.machine.get(DISCOVERY).await.json().get("registration_endpoint"), None);
    let token = closed.initial_token(json!({})).await;
    for token in [None, Some(token.as_str())] {
        let answer = closed.register(token, &web_metadata()).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    let none: Value = closed.admin.get("/registrations").await.json();
    assert_eq!(none["items"], json!([]));
}
