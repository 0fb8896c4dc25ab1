//! A server that accepts documents, and who comes to it.

use portcullis_server::config::{Config, Documents};
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database;
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;

/// Accepts documents of this machine.
pub(crate) fn accepting(config: &mut Config) {
    config.reach.outbound.allow = vec!["127.0.0.1".parse().expect("an address")];
    config.reach.outbound.ca_file = Some(DocumentAt::authority());
    config.reach.registration.client_id_metadata_documents = Documents::Any;
}

pub(crate) async fn server(database: Database) -> TestServer {
    TestServer::start_with(database, accepting).await
}

/// The client that a place describes.
pub(crate) fn client(place: &DocumentAt) -> Registered {
    let redirect_uris = vec![place.beside("/callback")];
    Registered { id: place.client_id.clone(), secret: None, redirect_uris }
}

pub(crate) fn request(place: &DocumentAt) -> AuthorizeRequest {
    AuthorizeRequest::of(&client(place)).with("scope", "openid offline_access")
}

/// What somebody gets who was never here and comes with this request.
pub(crate) async fn page(server: &TestServer, request: &AuthorizeRequest) -> Answer {
    server.visitor().open(&request.path()).await
}

pub(crate) async fn is_accepted(server: &TestServer, request: &AuthorizeRequest) -> bool {
    page(server, request).await.text().contains("id=\"login\"")
}

/// The page that says why the browser is not sent back.
pub(crate) async fn assert_refused(server: &TestServer, request: &AuthorizeRequest, why: &str) {
    let answer = page(server, request).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{why}: {}", answer.text());
    assert!(answer.text().contains("client_id"), "{why}: the page names what is wrong");
}
