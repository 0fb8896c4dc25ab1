//! Group HT, as far as this server calls others.

use portcullis_server::config::Documents;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::certificates::Certificate;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;

use crate::assert_page_without_redirect;

const HERE: [u8; 4] = [127, 0, 0, 1];
const LONG: &str = "491231235959Z";
const OVER: &str = "250601000000Z";

/// A client that publishes its keys there asks for a token.
async fn asked(server: &TestServer, place: &DocumentAt) -> Answer {
    let keys = SigningKeys::generate();
    place.say_at("/keys", "200 OK", "", keys.public_jwks().to_string().as_bytes());
    let signer =
        json!({ "name": "Signer", "preset": "m2m", "options": { "jwks_uri": place.beside("/keys") } });
    let signer = server.admin.client(signer).await;
    let shown = assertion_fields(&keys, &signer.id, &server.issuer, server.clock.now());
    let shown = shown.iter().map(|(name, value)| (*name, value.as_str()));
    let fields: Vec<_> = shown.chain([("token", "x")]).collect();
    server.machine.post("/introspect", &fields).await
}

#[rstest]
#[tokio::test]
async fn ht_20_nothing_is_fetched_from_a_place_whose_certificate_is_not_good(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (authority, stranger) = (Certificate::authority("ours"), Certificate::authority("ours"));
    let server = TestServer::start_with(database, |config| {
        let file = config.server.data_dir.join("authority.pem");
        std::fs::write(&file, authority.certificate_pem()).unwrap();
        config.reach.outbound.ca_file = Some(file);
        config.reach.outbound.allow = vec!["127.0.0.1".parse().unwrap()];
        config.reach.registration.client_id_metadata_documents = Documents::Any;
    })
    .await;
    let of = Certificate::of_this_machine;
    for (certificate, is_good, why) in [
        (of(Some(&authority), HERE, LONG), true, "all is well"),
        (of(Some(&authority), HERE, OVER), false, "it has expired"),
        (of(Some(&authority), [127, 0, 0, 2], LONG), false, "it is that of another host"),
        (of(None, HERE, LONG), false, "it is signed by itself"),
        (of(Some(&stranger), HERE, LONG), false, "nobody knows the authority, whatever its name"),
    ] {
        let place = DocumentAt::showing(certificate.chain()).await;
        place.publish(&place.good());
        let redirect_uris = vec![place.beside("/callback")];
        let client = Registered { id: place.client_id.clone(), secret: None, redirect_uris };
        let page = server.visitor().open(&AuthorizeRequest::of(&client).path()).await;
        if is_good {
            assert!(page.text().contains("id=\"login\""), "{why}: {}", page.text());
        } else {
            assert_page_without_redirect(&page, why);
        }
        let answer = asked(&server, &place).await;
        let told = (answer.status.as_u16(), answer.error());
        let expected = if is_good { (200, "") } else { (503, "temporarily_unavailable") };
        assert_eq!(told, (expected.0, expected.1.to_owned()), "{why}: {}", answer.text());
        assert!(place.asked() > 0, "{why}: somebody knocked");
        assert_eq!(place.spoken_to(), if is_good { 2 } else { 0 }, "{why}");
    }
}
