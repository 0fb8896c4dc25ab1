//! Documents that describe clients
//! ([OAuth Client ID Metadata Document](https://datatracker.ietf.org/doc/html/draft-ietf-oauth-client-id-metadata-document-02)): which are
//! fetched, which are accepted, and for how long.

use std::time::Duration;

use portcullis_server::config::Documents;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::document_scene::{accepting, assert_refused, client, is_accepted, page, request, server};

#[rstest]
#[tokio::test]
async fn section_5_2_of_many_who_come_at_once_one_has_the_document_fetched(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    place.publish(&place.good());
    let request = request(&place);
    let pages = futures_util::future::join_all((0..12).map(|_| is_accepted(&server, &request))).await;
    assert!(pages.into_iter().all(|accepted| accepted));
    assert_eq!(place.asked(), 1);
}

#[rstest]
#[tokio::test]
async fn section_8_6_only_hosts_that_are_named_and_public_ones_are_asked(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let place = DocumentAt::start().await;
    place.publish(&place.good());
    let listed = |host: &str| {
        let host = host.to_owned();
        TestServer::start_with(database, move |config| {
            accepting(config);
            config.reach.registration.client_id_metadata_documents = Documents::AllowListed;
            config.reach.registration.document_hosts = vec![host];
        })
    };
    assert_refused(&listed("app.example").await, &request(&place), "another host").await;
    let inward = TestServer::start_with(database, |config| {
        accepting(config);
        config.reach.outbound.allow.clear();
    })
    .await;
    assert_refused(&inward, &request(&place), "an internal address").await;
    for host in ["169.254.169.254", "10.0.0.1", "localhost", "[::1]"] {
        let request = request(&place).with("client_id", &format!("https://{host}/client.json"));
        assert_refused(&inward, &request, host).await;
    }
    assert_eq!(place.asked(), 0, "nobody was called");
    assert!(is_accepted(&listed("127.0.0.1").await, &request(&place)).await);
}

#[rstest]
#[tokio::test]
async fn section_3_what_is_no_address_of_a_document_is_never_fetched(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    place.publish(&place.good());
    let origin = place.beside("");
    for bad in [
        origin.clone(),
        format!("{origin}/"),
        format!("{origin}/a/../client.json"),
        format!("{origin}/./client.json"),
        format!("{origin}/%2e%2e/client.json"),
        format!("{}#x", place.client_id),
        place.client_id.replace("https://", "http://"),
        place.client_id.replace("https://", "https://me@"),
        place.client_id.replace("https://", "HTTPS://"),
    ] {
        assert_refused(&server, &request(&place).with("client_id", &bad), &bad).await;
    }
    assert_eq!(place.asked(), 0);
}

/// Refuses what a place says, twice with one look, and takes it once it is mended.
async fn assert_not_taken(server: &TestServer, place: &DocumentAt, why: &str) {
    let request = request(place);
    assert_refused(server, &request, why).await;
    assert_refused(server, &request, why).await;
    assert_eq!(place.asked(), 1, "{why}: what was bad is not asked for again at once");
    let token = server.machine.token(&client(place), &[("grant_type", "authorization_code")]).await;
    assert!(matches!(token.error().as_str(), "invalid_client" | "temporarily_unavailable"), "{why}");
    place.publish(&place.good());
    server.wait(Duration::from_mins(1));
    assert!(is_accepted(server, &request).await, "{why}: it was mended");
}

#[rstest]
#[tokio::test]
async fn section_4_a_document_that_describes_no_acceptable_client_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    // All stay open: a place at the port of one before would be a client that the server knows.
    let mut places = Vec::new();
    for (member, value) in [
        ("client_id", json!("https://127.0.0.1/other.json")),
        ("client_id", Value::Null),
        ("client_secret", json!("pck_x")),
        ("client_secret_expires_at", json!(0)),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("token_endpoint_auth_method", json!("client_secret_post")),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("redirect_uris", json!([])),
        ("redirect_uris", json!(["https://other.example/cb"])),
        ("redirect_uris", json!(["com.other.app:/cb"])),
        ("redirect_uris", json!(["http://app.example/cb"])),
        ("post_logout_redirect_uris", json!(["https://other.example/bye"])),
        ("grant_types", json!(["client_credentials"])),
        ("scope", json!("admin")),
        ("client_name", json!("a\u{202e}b")),
        ("client_name", json!(" ")),
        ("client_name", Value::Null),
        ("policy_uri", json!("javascript:alert(1)")),
    ] {
        let place = DocumentAt::start().await;
        let mut document = place.good();
        document[member] = value.clone();
        place.publish(&document);
        assert_not_taken(&server, &place, &format!("{member} {value}")).await;
        places.push(place);
    }
}

#[rstest]
#[tokio::test]
async fn section_5_2_what_was_bad_is_not_kept_whatever_it_says_of_its_freshness(
    #[values(Sqlite, Postgres)] database: Database,
) {
    const DAY: &str = "max-age=86400";
    let server = server(database).await;
    for is_error in [true, false] {
        let place = DocumentAt::start().await;
        if is_error {
            place.say("404 Not Found", &format!("cache-control: {DAY}\r\n"), "{}");
        } else {
            let mut invalid = place.good();
            invalid["redirect_uris"] = json!([]);
            place.publish_for(&invalid, DAY);
        }
        assert_refused(&server, &request(&place), DAY).await;
        place.publish(&place.good());
        server.wait(Duration::from_secs(30));
        assert!(is_accepted(&server, &request(&place)).await, "{is_error}");
        assert_eq!(place.asked(), 2, "{is_error}");
    }
}

#[rstest]
#[tokio::test]
async fn section_3_and_5_and_5_1_an_answer_that_is_no_document_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    const JSON: &str = "content-type: application/json\r\n";
    let server = server(database).await;
    for (status, headers, body) in [
        ("404 Not Found", JSON, None),
        ("201 Created", JSON, None),
        ("302 Found", "location: /client.json\r\n", None),
        ("200 OK", "content-type: text/html\r\n", None),
        ("200 OK", "", None),
        ("200 OK", JSON, Some("{".to_owned())),
        ("200 OK", JSON, Some("[]".to_owned())),
        ("200 OK", JSON, Some(json!({ "padding": "x".repeat(9_000) }).to_string())),
    ] {
        let place = DocumentAt::start().await;
        place.say(status, headers, &body.unwrap_or_else(|| place.good().to_string()));
        assert_not_taken(&server, &place, &format!("{status} {headers}")).await;
    }
    let away = DocumentAt::start().await;
    away.hang_up();
    assert_not_taken(&server, &away, "away").await;
}

#[rstest]
#[tokio::test]
async fn section_5_2_a_document_is_kept_as_long_as_it_says_within_bounds(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    for (said, secs) in [
        ("max-age=600", 600),
        ("no-store", 300),
        ("max-age=0", 300),
        ("public", 3_600),
        ("max-age=31536000", 86_400),
    ] {
        let place = DocumentAt::start().await;
        place.publish_for(&place.good(), said);
        let request = request(&place);
        assert!(is_accepted(&server, &request).await);
        server.wait(Duration::from_secs(secs - 1));
        assert!(is_accepted(&server, &request).await);
        assert_eq!(place.asked(), 1, "{said}");
        server.wait(Duration::from_secs(1));
        assert!(is_accepted(&server, &request).await);
        assert_eq!(place.asked(), 2, "{said}");
    }
}

#[rstest]
#[tokio::test]
async fn section_5_what_a_newer_document_says_counts(#[values(Sqlite, Postgres)] database: Database) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    place.publish(&place.good());
    let first = server.tokens(&client(&place), &request(&place), &ada).await;
    let mut moved = place.good();
    moved["redirect_uris"] = json!([place.beside("/elsewhere")]);
    place.publish(&moved);
    server.wait(Duration::from_hours(1));
    let old = page(&server, &request(&place)).await;
    assert_eq!((old.status.as_u16(), old.location()), (400, None));
    assert!(old.text().contains("redirect_uri"));
    let new = request(&place).with("redirect_uri", &place.beside("/elsewhere"));
    assert!(is_accepted(&server, &new).await);
    let renewed = server.machine.refresh(&client(&place), &first.member("refresh_token")).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    place.say("404 Not Found", "", "");
    server.wait(Duration::from_hours(1));
    let gone = server.machine.refresh(&client(&place), &renewed.member("refresh_token")).await;
    assert_eq!((gone.status.as_u16(), gone.error().as_str()), (401, "invalid_client"));
}

#[rstest]
#[tokio::test]
async fn section_5_2_a_client_whose_document_cannot_be_had_is_known_for_a_while(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    place.publish(&place.good());
    let tokens = server.tokens(&client(&place), &request(&place), &ada).await;
    place.say("503 Service Unavailable", "", "");
    server.wait(Duration::from_hours(30));
    let renewed = server.machine.refresh(&client(&place), &tokens.member("refresh_token")).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    server.wait(Duration::from_hours(19));
    let late = server.machine.refresh(&client(&place), &renewed.member("refresh_token")).await;
    assert_eq!((late.status.as_u16(), late.error().as_str()), (503, "temporarily_unavailable"));
}

#[rstest]
#[tokio::test]
async fn section_8_6_one_network_cannot_have_many_addresses_fetched(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        accepting(config);
        config.reach.registration.per_address_per_minute = 2;
    })
    .await;
    let place = DocumentAt::start().await;
    place.publish(&place.good());
    assert!(is_accepted(&server, &request(&place)).await);
    let other = request(&place).with("client_id", &place.beside("/other.json"));
    assert_refused(&server, &other, "of another client").await;
    let third = request(&place).with("client_id", &place.beside("/third.json"));
    let answer = page(&server, &third).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(place.asked(), 2);
    assert!(is_accepted(&server, &request(&place)).await, "who is known comes in as before");
    assert_refused(&server, &other, "what was bad costs nothing more").await;
}

#[rstest]
#[tokio::test]
async fn section_8_9_an_administrator_sees_such_a_client_and_switches_it_off_for_good(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    place.publish(&place.good());
    assert!(is_accepted(&server, &request(&place)).await);
    let listed = server.admin.get("/registrations").await.json();
    assert_eq!(listed["items"][0]["client"], json!(place.client_id));
    assert_eq!(listed["items"][0]["source"], "document");
    let body = json!({ "client": place.client_id });
    let off = server.admin.send(Method::POST, "/registrations/disable", &body).await;
    assert_eq!(off.status, 204, "{}", off.text());
    assert_refused(&server, &request(&place), "off").await;
    let mut renamed = place.good();
    renamed["client_name"] = json!("Other");
    place.publish(&renamed);
    server.wait(Duration::from_hours(1));
    assert_refused(&server, &request(&place), "still off").await;
    assert_eq!(place.asked(), 2);
    let on = server.admin.send(Method::POST, "/registrations/enable", &body).await;
    assert_eq!(on.status, 204, "{}", on.text());
    assert!(is_accepted(&server, &request(&place)).await);
    let nobody = json!({ "client": "https://nobody.example/client.json" });
    let unknown = server.admin.send(Method::POST, "/registrations/disable", &nobody).await;
    assert_eq!(unknown.status, 404);
}
