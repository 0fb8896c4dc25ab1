//! OpenID Connect Client-Initiated Backchannel Authentication Flow - Core 1.0
//! (<https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html>), section 4: clients that registered
//! themselves, or that a document describes.

use portcullis_server::config::Dynamic;
use portcullis_tests::agent::Answer;
use portcullis_tests::ciba::CIBA;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::ciba_core::{ADA, refusal, said};
use crate::document_scene;

async fn server(database: Database) -> TestServer {
    TestServer::start_with(database, |config| config.reach.registration.dynamic = Dynamic::Open).await
}

#[rstest]
#[tokio::test]
async fn section_4_who_registers_does_not_make_itself_one_that_names_people(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let with = |member: &str, value: Value| {
        let mut metadata = web_metadata();
        metadata[member] = value;
        metadata
    };
    for (member, value) in [
        ("backchannel_token_delivery_mode", json!("poll")),
        ("backchannel_client_notification_endpoint", json!("https://partner.test/ciba")),
        ("backchannel_authentication_request_signing_alg", json!("ES256")),
        ("backchannel_user_code_parameter", json!(true)),
        ("grant_types", json!(["authorization_code", CIBA])),
    ] {
        let answer = server.register(None, &with(member, value)).await;
        assert_eq!(refusal(&answer), said("invalid_client_metadata"), "{member}");
        let why = answer.member("error_description");
        assert!(why.starts_with(&format!("{member}: ")), "{why}");
    }
    // What asks for nothing takes nothing away.
    let none = with("backchannel_user_code_parameter", json!(false));
    assert_eq!(server.register(None, &none).await.status, 201);
}

#[rstest]
#[tokio::test]
async fn section_4_an_administrator_gives_the_grant_to_a_registered_client_as_it_is(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    server.admin.user("ada").await;
    let own = OwnRegistration::of(&server.register(None, &web_metadata()).await);
    assert_eq!(refusal(&server.machine.start(&own.client, ADA).await), said("unauthorized_client"));
    let path = format!("/clients/{}", own.client.id);
    let known = server.admin.get(&path).await;
    let request = server.admin.request(Method::PUT, &path).await.header("if-match", known.header("etag"));
    let given = json!({ "name": "Partner", "preset": "web", "redirect_uris": own.client.redirect_uris,
        "scopes": "openid profile", "options": { "protocol": { "backchannel_token_delivery_mode": "poll" } } });
    let given = Answer::to(request.json(&given)).await;
    assert_eq!(given.status, 200, "{}", given.text());
    assert_eq!(server.machine.start(&own.client, ADA).await.status, 200);
    // Trust was given to the client as it was: once it calls itself something else, it ends.
    let mut other = web_metadata();
    other["client_id"] = json!(own.client.id);
    other["client_name"] = json!("The tax office");
    let changed = server.about_registration(Method::PUT, &own.path, Some(&own.token), Some(&other)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(refusal(&server.machine.start(&own.client, ADA).await), said("unauthorized_client"));
}

#[rstest]
#[tokio::test]
async fn section_4_what_a_document_says_of_it_is_for_other_servers(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (document_scene::server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let mut document = place.good();
    document["backchannel_token_delivery_mode"] = json!("poll");
    place.publish(&document);
    let client = document_scene::client(&place);
    let tokens = server.tokens(&client, &document_scene::request(&place), &ada).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(refusal(&server.machine.start(&client, ADA).await), said("unauthorized_client"));
}
