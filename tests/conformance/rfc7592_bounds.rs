//! RFC 7592, section 2: what an administrator bounds a client by that looks after its own registration.

use std::time::Duration;

use portcullis_server::config::Dynamic;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::rfc7592::{administered, changed, read, registered, server, told, update};

#[rstest]
#[tokio::test]
async fn section_2_2_a_client_does_not_take_back_what_an_administrator_took(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let orders = server.admin.api("https://orders.example").await;
    let allowed = json!({ "scopes": "openid email orders:read", "apis": [orders.id] });
    let token = server.initial_token(allowed).await;
    let own = OwnRegistration::of(&server.register(Some(&token), &web_metadata()).await);
    let house = server.admin.post("/organisations", &json!({ "name": "House" })).await;
    let narrower = json!({ "scopes": "openid", "apis": [], "organisation": house["id"] });
    let taken = administered(&server, &own, narrower).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    let wanted = changed(&own, "scope", json!("openid email orders:read"));
    let answer = update(&server, &own, &wanted).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["scope"], "openid");
    let shown = server.admin.get(&format!("/clients/{}", own.client.id)).await.json();
    assert_eq!((&shown["settings"]["apis"], &shown["organisation"]), (&json!([]), &house["id"]), "{shown}");
    // What was given counts as well.
    let own = OwnRegistration::of(&answer);
    let given =
        administered(&server, &own, json!({ "scopes": "openid phone", "organisation": house["id"] })).await;
    assert_eq!(given.status, 200, "{}", given.text());
    let wanted = changed(&own, "scope", json!("openid phone email"));
    assert_eq!(update(&server, &own, &wanted).await.json()["scope"], "openid phone");
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_client_does_not_leave_the_profile_that_it_is_held_to(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let own = registered(&server).await;
    let held = administered(&server, &own, json!({ "options": { "profile": "oauth21" } })).await;
    assert_eq!(held.status, 200, "{}", held.text());
    let answer = update(&server, &own, &changed(&own, "client_name", json!("Other"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = server.admin.get(&format!("/clients/{}", own.client.id)).await.json();
    assert_eq!(
        (&shown["name"], &shown["settings"]["profile"]),
        (&json!("Other"), &json!("oauth21")),
        "{shown}"
    );
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_client_keeps_the_types_of_details_that_it_was_given(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let orders = server.admin.api("https://orders.example").await;
    let types = json!({ "items": [{ "type": "payment", "title": "Make a payment",
        "schema": { "type": "object", "additionalProperties": false } }] });
    let path = format!("/apis/{}/authorization-details-types", orders.id);
    let put = server.admin.request(Method::PUT, &path).await.header("if-match", "*");
    let set = Answer::to(put.json(&types)).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let own = registered(&server).await;
    let given = json!({ "apis": [orders.id], "options": { "authorization_details_types": ["payment"] } });
    let given = administered(&server, &own, given).await;
    assert_eq!(given.status, 200, "{}", given.text());
    let answer = update(&server, &own, &changed(&own, "client_name", json!("Other"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kept = async || {
        let shown = server.admin.get(&format!("/clients/{}", own.client.id)).await.json();
        shown["settings"]["authorization_details_types"].clone()
    };
    assert_eq!(kept().await, json!(["payment"]));
    // A type that is gone stands in the way of nothing.
    let put = server.admin.request(Method::PUT, &path).await.header("if-match", "*");
    assert_eq!(Answer::to(put.json(&json!({ "items": [] }))).await.status, 200);
    let next = OwnRegistration::of(&answer);
    let again = update(&server, &next, &changed(&next, "client_name", json!("Third"))).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(kept().await, json!([]));
}

#[rstest]
#[tokio::test]
async fn section_2_2_an_administrator_gives_no_grant_that_the_client_did_not_ask_for(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let token = server.initial_token(json!({ "grants": ["authorization_code"] })).await;
    let mut metadata = web_metadata();
    metadata["grant_types"] = json!(["authorization_code"]);
    let own = OwnRegistration::of(&server.register(Some(&token), &metadata).await);
    let named = administered(&server, &own, json!({ "name": "By hand" })).await;
    assert_eq!(named.status, 200, "{}", named.text());
    assert_eq!(named.json()["grants"], json!(["authorization_code"]), "{}", named.text());
    assert_eq!(read(&server, &own).await.json()["grant_types"], json!(["authorization_code"]));
}

#[rstest]
#[tokio::test]
async fn section_2_2_what_people_are_shown_of_a_client_is_in_the_trail(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let own = registered(&server).await;
    let answer = update(&server, &own, &changed(&own, "contacts", json!(["it@rp.test"]))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let event = server.admin.get("/audit?limit=1").await.json()["items"][0].clone();
    assert_eq!((&event["action"], &event["target"]), (&json!("client.updated"), &json!(own.client.id)));
    assert_eq!(event["detail"]["changed"], json!(["about"]));
}

#[rstest]
#[tokio::test]
async fn section_2_an_initial_token_outlives_an_api_that_it_names(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let orders = server.admin.api("https://orders.example").await;
    let allowed = json!({ "uses": 2, "scopes": "openid", "apis": [orders.id] });
    let token = server.initial_token(allowed).await;
    let path = format!("/apis/{}", orders.id);
    let delete = server.admin.request(Method::DELETE, &path).await.header("if-match", "*");
    let gone = Answer::to(delete).await;
    assert!(gone.status.is_success(), "{}", gone.text());
    let answer = server.register(Some(&token), &web_metadata()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// A client says how long it takes to look at the list of its sector. Who takes something from it meanwhile has taken it.
#[rstest]
#[tokio::test]
async fn section_2_2_a_client_does_not_win_a_race_against_an_administrator(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let list = DocumentAt::start().await;
    let server = TestServer::start_with(database, |config| {
        config.reach.registration.dynamic = Dynamic::Token;
        config.reach.outbound.allow = vec!["127.0.0.1".parse().expect("an address")];
        config.reach.outbound.ca_file = Some(DocumentAt::authority());
    })
    .await;
    let token = server.initial_token(json!({ "scopes": "openid email" })).await;
    let sector = list.client_id.replace("127.0.0.1", "localhost");
    let mut metadata = web_metadata();
    metadata["sector_identifier_uri"] = json!(sector);
    metadata["scope"] = json!("openid email");
    list.publish(&metadata["redirect_uris"]);
    let answer = server.register(Some(&token), &metadata).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let own = OwnRegistration::of(&answer);
    let asked = list.asked();
    list.hold();
    metadata["client_id"] = json!(own.client.id);
    metadata["client_name"] = json!("Other");
    let changing = update(&server, &own, &metadata);
    let taking = async {
        list.is_asked(asked + 1).await;
        let taken = administered(
            &server,
            &own,
            json!({ "scopes": "openid",
            "options": { "protocol": { "subject_type": "pairwise", "sector_identifier": "localhost" } } }),
        );
        let taken = taken.await;
        assert_eq!(taken.status, 200, "{}", taken.text());
        list.go_on();
    };
    let (answer, ()) = tokio::join!(changing, taking);
    assert_eq!(told(&answer), (503, "temporarily_unavailable".to_owned()), "{}", answer.text());
    let shown = server.admin.get(&format!("/clients/{}", own.client.id)).await.json();
    assert_eq!(shown["scopes"], "openid", "{shown}");
    assert_eq!(update(&server, &own, &metadata).await.json()["scope"], "openid", "the next one knows");
}

#[rstest]
#[tokio::test]
async fn section_5_a_registration_token_does_not_end_before_the_client_does(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let own = registered(&server).await;
    server.clock.advance(Duration::from_hours(24 * 3650));
    let answer = read(&server, &own).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
