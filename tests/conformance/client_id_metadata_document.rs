//! Clients that are named by the address of a document which describes them
//! ([OAuth Client ID Metadata Document](https://datatracker.ietf.org/doc/html/draft-ietf-oauth-client-id-metadata-document-02)): whom they
//! can be, and what they get.

use portcullis_server::config::Documents;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::jwt;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{login_form, the_form};
use rstest::rstest;
use serde_json::json;

use crate::document_scene::{accepting, assert_refused, client, is_accepted, request, server};

#[rstest]
#[tokio::test]
async fn section_5_a_client_that_its_document_describes_signs_people_in(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    place.publish(&place.good());
    let request = request(&place);
    let answer = server.tokens(&client(&place), &request, &ada).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(jwt::claims(&answer.member("id_token"))["aud"], json!(place.client_id));
    assert_eq!(jwt::claims(&answer.member("access_token"))["client_id"], json!(place.client_id));
    let renewed = server.machine.refresh(&client(&place), &answer.member("refresh_token")).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    assert_eq!(place.asked(), 1, "one look is enough for all of it");
}

#[rstest]
#[tokio::test]
async fn section_5_2_another_replica_knows_the_client_without_asking_again(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    place.publish(&place.good());
    let answer = server.tokens(&client(&place), &request(&place), &ada).await;
    let replica = server.replica().await;
    place.hang_up();
    let renewed = replica.machine.refresh(&client(&place), &answer.member("refresh_token")).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    assert_eq!(place.asked(), 1);
}

#[rstest]
#[tokio::test]
async fn section_6_support_is_off_unless_it_is_asked_for_and_advertised_when_it_is(
    #[values(Sqlite, Postgres)] database: Database,
) {
    const MEMBER: &str = "client_id_metadata_document_supported";
    const DISCOVERY: &str = "/.well-known/oauth-authorization-server";
    let place = DocumentAt::start().await;
    place.publish(&place.good());
    let closed = TestServer::start_with(database, |config| {
        accepting(config);
        config.reach.registration.client_id_metadata_documents = Documents::Off;
    })
    .await;
    assert_refused(&closed, &request(&place), "off").await;
    assert_eq!(closed.machine.get(DISCOVERY).await.json().get(MEMBER), None);
    let token = closed.machine.token(&client(&place), &[("grant_type", "authorization_code")]).await;
    assert_eq!((token.status.as_u16(), token.error().as_str()), (401, "invalid_client"));
    let open = server(database).await;
    assert_eq!(open.machine.get(DISCOVERY).await.json().get(MEMBER), Some(&json!(true)));
    assert_eq!(place.asked(), 0);
}

#[rstest]
#[tokio::test]
async fn section_8_5_the_consent_page_shows_the_host_and_what_the_client_says_of_itself(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let mut document = place.good();
    document["redirect_uris"] = json!(["http://localhost:3000/cb", place.beside("/callback")]);
    document["policy_uri"] = json!(place.beside("/policy"));
    document["first_party"] = json!(true);
    place.publish(&document);
    let device = request(&place).with("redirect_uri", "http://localhost:49152/cb");
    for (request, runs_here) in [(device, true), (request(&place), false)] {
        let mut visitor = server.visitor();
        let login = visitor.open(&request.path()).await;
        assert!(login.text().contains("127.0.0.1") && !login.text().contains("Editor"), "{}", login.text());
        let sent = visitor.submit(&login_form(&login, &ada.username, &ada.password)).await;
        let consent = visitor.follow(sent).await;
        let text = consent.text();
        assert!(text.contains("id=\"document-host\">127.0.0.1<"), "{text}");
        assert!(text.contains("rel=\"noopener noreferrer\""), "{text}");
        assert_eq!(text.contains("id=\"runs-here\""), runs_here, "{text}");
        let denied = visitor.submit(&the_form(&consent, "consent").with("decision", "deny")).await;
        assert!(denied.location().is_some_and(|to| to.query().unwrap_or_default().contains("access_denied")));
    }
}

#[rstest]
#[tokio::test]
async fn section_8_2_a_client_with_keys_proves_who_it_is_where_it_pushes_and_where_it_redeems(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let (keys, other) = (SigningKeys::generate(), SigningKeys::generate());
    let mut document = place.good();
    document["token_endpoint_auth_method"] = json!("private_key_jwt");
    document["jwks"] = keys.public_jwks();
    place.publish(&document);
    let request = request(&place);
    let sign =
        |keys: &SigningKeys| assertion_fields(keys, &place.client_id, &server.issuer, server.clock.now());
    let push = async |keys: &SigningKeys| {
        let proof = sign(keys);
        let mut fields = request.fields_without("");
        fields.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
        server.machine.post("/par", &fields).await
    };
    assert_eq!(push(&other).await.error(), "invalid_client");
    let pushed = push(&keys).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let handle = pushed.member("request_uri");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &place.client_id).append_pair("request_uri", &handle);
    let callback = server.visitor().walk(&format!("/authorize?{}", query.finish()), &ada).await;
    let proof = sign(&keys);
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", request.pkce.verifier.as_str()),
    ];
    let nameless = server.machine.token(&client(&place), &fields).await;
    assert_eq!(nameless.error(), "invalid_client", "without its proof");
    fields.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
    let tokens = server.machine.post("/token", &fields).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_8_9_of_an_api_only_those_get_tokens_that_may(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let place = DocumentAt::start().await;
    place.publish(&place.good());
    let server = TestServer::start_with(database, |config| {
        accepting(config);
        config.reach.registration.apis = vec!["https://tools.example".to_owned()];
    })
    .await;
    let ada = server.admin.user("ada").await;
    server.admin.api("https://tools.example").await;
    server.admin.api("https://orders.example").await;
    let tools = request(&place).with("resource", "https://tools.example");
    let answer = server.tokens(&client(&place), &tools, &ada).await;
    assert_eq!(jwt::claims(&answer.member("access_token"))["aud"], "https://tools.example");
    let orders = request(&place).with("resource", "https://orders.example");
    let refused = server.visitor().authorize(&orders, &ada).await;
    assert_eq!(refused.error(), "invalid_target");
    assert!(is_accepted(&server, &request(&place)).await);
}
