//! Documents that describe clients
//! ([OAuth Client ID Metadata Document](https://datatracker.ietf.org/doc/html/draft-ietf-oauth-client-id-metadata-document-02)): whose
//! they are, and where answers go.

use std::time::Duration;

use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use rstest::rstest;
use serde_json::{Value, json};

use crate::document_scene::{assert_refused, is_accepted, page, request, server};

/// The place says the same at every path: what is written otherwise is asked for, and is not what the document says that it is.
#[rstest]
#[tokio::test]
async fn section_3_an_address_that_is_written_otherwise_is_another_client(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    place.publish(&place.good());
    let query = format!("{}?v=1", place.client_id);
    let others =
        [query.clone(), format!("{}/", place.client_id), place.beside("/Client.json"), place.beside("//")];
    for other in &others {
        assert_refused(&server, &request(&place).with("client_id", other), other).await;
    }
    assert_eq!(place.asked(), others.len(), "each was asked for under its own name");
    assert!(is_accepted(&server, &request(&place)).await);
    let mut second = place.good();
    second["client_id"] = json!(query);
    place.publish(&second);
    server.wait(Duration::from_mins(1));
    assert!(is_accepted(&server, &request(&place).with("client_id", &query)).await);
    assert!(is_accepted(&server, &request(&place)).await, "the one is as good as before");
    let listed = server.admin.get("/registrations").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2), "{listed}");
}

#[rstest]
#[tokio::test]
async fn section_4_1_a_document_with_a_private_key_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let public = SigningKeys::generate().public_jwks();
    let mut private = public.clone();
    private["keys"][0]["d"] = json!("AQAB");
    let shared = json!({ "keys": [{ "kty": "oct", "kid": "s", "alg": "HS256", "k": "c2VjcmV0" }] });
    for (keys, accepted) in [(private, false), (shared, false), (public, true)] {
        let place = DocumentAt::start().await;
        let mut document: Value = place.good();
        document["token_endpoint_auth_method"] = json!("private_key_jwt");
        document["jwks"] = keys.clone();
        place.publish(&document);
        assert_eq!(is_accepted(&server, &request(&place)).await, accepted, "{keys}");
        assert_eq!(place.asked(), 1, "{keys}");
    }
}

#[rstest]
#[tokio::test]
async fn section_4_2_an_answer_goes_to_an_address_of_the_document_alone(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    place.publish(&place.good());
    for other in [
        place.beside("/callback/"),
        place.beside("/Callback"),
        place.beside("/callback?x=1"),
        place.beside("/x/../callback"),
        place.beside("/callback").replace("127.0.0.1", "localhost"),
        "https://evil.test/callback".to_owned(),
    ] {
        let answer = page(&server, &request(&place).with("redirect_uri", &other)).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{other}: {}", answer.text());
        assert!(answer.text().contains("redirect_uri"), "{other}");
    }
    assert!(is_accepted(&server, &request(&place)).await);
}
