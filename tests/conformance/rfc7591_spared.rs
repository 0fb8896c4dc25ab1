//! RFC 7591: what an operator spares the clients that register, and whom not.

use portcullis_server::config::{Config, Dynamic};
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_of};
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::registered::Registered;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

use crate::document_scene;
use crate::rfc7592::{changed, update};

/// Lets everybody register, and spares them what can be.
fn spare(config: &mut Config) {
    config.reach.registration.dynamic = Dynamic::Open;
    config.reach.registration.pkce_optional = true;
    config.reach.registration.endpoint_audience = true;
}

fn with(more: &[(&str, Value)]) -> Value {
    let mut metadata = web_metadata();
    for (member, value) in more {
        metadata[*member] = value.clone();
    }
    metadata
}

async fn registered(server: &TestServer, metadata: &Value) -> OwnRegistration {
    OwnRegistration::of(&server.register(None, metadata).await)
}

/// What the server says of a client to administrators.
async fn protocol(server: &TestServer, id: &str) -> (bool, String) {
    let shown = server.admin.get(&format!("/clients/{id}")).await.json();
    let protocol = &shown["settings"]["protocol"];
    let audience = protocol["assertion_audience"].as_str().unwrap().to_owned();
    (protocol["require_pkce"].as_bool().unwrap(), audience)
}

fn bare(client: &Registered) -> AuthorizeRequest {
    AuthorizeRequest::of(client).without("code_challenge").without("code_challenge_method")
}

#[rstest]
#[tokio::test]
async fn a_registered_client_is_held_to_pkce_and_to_the_issuer_unless_the_operator_says_otherwise(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.reach.registration.dynamic = Dynamic::Open;
    })
    .await;
    let own = registered(&server, &web_metadata()).await;
    assert_eq!(protocol(&server, &own.client.id).await, (true, "issuer".to_owned()));
    let answer = server.visitor().open(&bare(&own.client).path()).await;
    assert!(!answer.text().contains("id=\"login\""), "nobody is asked to sign in: {}", answer.text());
}

#[rstest]
#[tokio::test]
async fn a_registered_client_that_is_spared_pkce_signs_people_in_without(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("client_secret_basic", "client_secret_post")] method: &str,
) {
    let server = TestServer::start_with(database, spare).await;
    let ada = server.admin.user("ada").await;
    let own = registered(&server, &with(&[("token_endpoint_auth_method", json!(method))])).await;
    let request = bare(&own.client);
    let callback = server.visitor().authorize(&request, &ada).await;
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
    ];
    let answer = if method == "client_secret_post" {
        let secret = own.client.secret.as_deref().unwrap();
        fields.extend([("client_id", own.client.id.as_str()), ("client_secret", secret)]);
        server.machine.post("/token", &fields).await
    } else {
        server.machine.token(&own.client, &fields).await
    };
    assert_eq!(answer.status, 200, "{}", answer.text());
    // A change of its own neither gives nor takes.
    let more = changed(&own, "token_endpoint_auth_method", json!(method));
    let next = update(&server, &own, &more).await;
    assert_eq!(next.status, 200, "{}", next.text());
    assert_eq!(protocol(&server, &own.client.id).await, (false, "issuer".to_owned()));
    let next = OwnRegistration::of(&next);
    let mut device = more;
    device["redirect_uris"] = json!(["http://127.0.0.1/cb"]);
    let next = update(&server, &next, &device).await;
    assert_eq!(next.status, 200, "{}", next.text());
    assert_eq!(protocol(&server, &own.client.id).await, (true, "issuer".to_owned()));
}

#[rstest]
#[tokio::test]
async fn a_client_that_needs_pkce_registers_and_is_not_spared_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, spare).await;
    for metadata in [
        with(&[("token_endpoint_auth_method", json!("none"))]),
        with(&[("redirect_uris", json!(["http://localhost:3000/cb"]))]),
        with(&[("redirect_uris", json!(["https://partner.test/callback", "http://127.0.0.1/cb"]))]),
    ] {
        let own = registered(&server, &metadata).await;
        assert!(protocol(&server, &own.client.id).await.0, "{metadata}");
    }
}

#[rstest]
#[tokio::test]
async fn a_registered_client_that_signs_may_name_endpoints(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_with(database, spare).await;
    let keys = SigningKeys::generate();
    let signs = [("token_endpoint_auth_method", json!("private_key_jwt")), ("jwks", keys.public_jwks())];
    let own = registered(&server, &with(&signs)).await;
    assert_eq!(protocol(&server, &own.client.id).await, (false, "endpoint".to_owned()));
    for (audience, status) in [("/token", 400), ("", 400), ("/introspect", 401)] {
        let answer = refresh(&server, &keys, &own.client.id, audience).await;
        assert_eq!(answer.status.as_u16(), status, "{audience}: {}", answer.text());
    }
}

/// A token request that is refused in any case: with 400 once the client is believed.
async fn refresh(server: &TestServer, keys: &SigningKeys, client: &str, audience: &str) -> Answer {
    let audience = format!("{}{audience}", server.issuer);
    let assertion = keys.sign(&assertion_of(client, &audience, server.clock.now()));
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    server.machine.post("/token", &fields).await
}

#[rstest]
#[tokio::test]
async fn a_client_that_a_document_describes_is_spared_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        document_scene::accepting(config);
        spare(config);
    })
    .await;
    let place = DocumentAt::start().await;
    let mut document = place.good();
    document["token_endpoint_auth_method"] = json!("private_key_jwt");
    document["jwks"] = SigningKeys::generate().public_jwks();
    place.publish(&document);
    let client = document_scene::client(&place);
    assert!(document_scene::is_accepted(&server, &AuthorizeRequest::of(&client)).await);
    let refused = server.visitor().open(&bare(&client).path()).await;
    assert!(!refused.text().contains("id=\"login\""), "{}", refused.text());
    if let Some(callback) = refused.location().map(|target| Callback::of(&target)) {
        assert_eq!(callback.error(), "invalid_request");
    }
}
