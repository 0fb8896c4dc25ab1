//! Logos of clients that came by themselves (RFC 7591 §2, `logo_uri`): fetched once, written anew, and shown from here.

use std::time::Duration;

use portcullis_server::config::Dynamic;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::{DocumentAt, picture};
use portcullis_tests::registering::web_metadata;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, login_form};
use rstest::rstest;
use serde_json::{Value, json};

use crate::document_scene::{request, server};

const JPEG: &str = "content-type: image/jpeg\r\n";

fn with_logo(place: &DocumentAt, logo: &str) -> Value {
    let mut document = place.good();
    document["logo_uri"] = json!(logo);
    document
}

async fn consent(server: &TestServer, place: &DocumentAt, person: &Person) -> Answer {
    let mut visitor = server.visitor();
    let login = visitor.open(&request(place).path()).await;
    let sent = visitor.submit(&login_form(&login, &person.username, &person.password)).await;
    let page = visitor.follow(sent).await;
    assert!(page.text().contains("id=\"stranger\""), "{}", page.text());
    page
}

/// Where the logo is that a page shows.
fn logo(page: &Answer) -> Option<String> {
    let text = page.text();
    let (_, image) = text.split_once("id=\"logo\" src=\"")?;
    Some(image.split('"').next()?.replace("&#x2f;", "/"))
}

#[rstest]
#[tokio::test]
async fn a_logo_is_fetched_once_and_shown_from_here(#[values(Sqlite, Postgres)] database: Database) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    place.publish(&with_logo(&place, &place.beside("/logo")));
    place.say_at("/logo", "200 OK", JPEG, &picture());
    let shown = logo(&consent(&server, &place, &ada).await).expect("it is shown");
    assert_eq!(place.asked(), 2, "the document, and the logo");
    let image = server.machine.get(&shown).await;
    assert_eq!((image.status.as_u16(), image.header("content-type")), (200, "image/png"));
    assert_eq!(image.header("x-content-type-options"), "nosniff");
    assert_eq!(image.header("cross-origin-resource-policy"), "same-origin");
    assert!(image.header("content-security-policy").contains("sandbox"));
    assert!(!image.text().contains("JFIF") && image.text().contains("PNG"));
    server.wait(Duration::from_hours(1));
    assert_eq!(logo(&consent(&server, &place, &ada).await), Some(shown.clone()));
    assert_eq!(place.asked(), 3, "the document was read again, and the logo was not");
    place.publish(&place.good());
    server.wait(Duration::from_hours(1));
    assert_eq!(logo(&consent(&server, &place, &ada).await), None);
    assert_eq!(server.machine.get(&shown).await.status, 404, "what nobody shows is not kept");
    assert_eq!(server.machine.get("/logos/x").await.status, 404);
}

#[rstest]
#[tokio::test]
async fn what_is_no_picture_is_not_shown_and_changes_nothing_else(
    #[values(Sqlite, Postgres)] database: Database,
) {
    const SVG: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let long = [picture(), vec![0; 300_000]].concat();
    let cut = picture().split_off(9);
    let whole = picture();
    for (status, headers, body) in [
        ("200 OK", "content-type: image/svg+xml\r\n", SVG),
        ("200 OK", "content-type: image/png\r\n", SVG),
        ("200 OK", "content-type: text/html\r\n", b"<html>".as_slice()),
        ("200 OK", JPEG, b"".as_slice()),
        ("200 OK", JPEG, cut.as_slice()),
        ("200 OK", JPEG, long.as_slice()),
        ("404 Not Found", JPEG, whole.as_slice()),
        ("302 Found", "location: /elsewhere\r\n", b"".as_slice()),
    ] {
        let place = DocumentAt::start().await;
        place.publish(&with_logo(&place, &place.beside("/logo")));
        place.say_at("/logo", status, headers, body);
        place.say_at("/elsewhere", "200 OK", JPEG, &whole);
        assert_eq!(logo(&consent(&server, &place, &ada).await), None, "{status} {headers}");
        assert_eq!(place.asked(), 2, "{status} {headers}");
    }
}

#[rstest]
#[tokio::test]
async fn a_logo_of_somebody_else_is_not_shown(#[values(Sqlite, Postgres)] database: Database) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    place.say_at("/logo", "200 OK", JPEG, &picture());
    place.publish(&with_logo(&place, &place.beside("/logo").replace("127.0.0.1", "localhost")));
    assert_eq!(logo(&consent(&server, &place, &ada).await), None);
}

#[rstest]
#[tokio::test]
async fn a_logo_at_an_internal_address_is_not_asked_for(#[values(Sqlite, Postgres)] database: Database) {
    let place = DocumentAt::start().await;
    place.say("200 OK", JPEG, "");
    let server =
        TestServer::start_with(database, |config| config.reach.registration.dynamic = Dynamic::Open).await;
    let mut metadata = web_metadata();
    metadata["logo_uri"] = json!(place.beside("/logo"));
    let answer = server.register(None, &metadata).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["logo_uri"], metadata["logo_uri"]);
    assert_eq!(place.asked(), 0, "nobody was called");
    metadata["logo_uri"] = json!("javascript:alert(1)");
    let refused = server.register(None, &metadata).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_client_metadata"));
}
