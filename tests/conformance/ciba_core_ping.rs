//! OpenID Connect Client-Initiated Backchannel Authentication Flow - Core 1.0
//! (<https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html>), section 10.2: the ping.

use std::time::Duration;

use portcullis_tests::ciba::bank;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::pinged::{Heard, Pinged};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use portcullis_tests::visitor::{Person, Visitor};
use rstest::rstest;
use serde_json::{Value, json};

use crate::ciba_core::{ADA, refusal, said};

const TOKEN: &str = "8d67dc78-7faa-4d41-aabd-67707b374255";

/// A bank that is told of decisions, and somebody whom it asks.
struct Scene {
    server: TestServer,
    ada: Person,
    visitor: Visitor,
    bank: Registered,
    pinged: Pinged,
}

impl Scene {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_with(database, |config| {
            config.reach.outbound.allow = vec!["127.0.0.1".parse().expect("an address")];
        })
        .await;
        let pinged = Pinged::start().await;
        let ada = server.admin.user("ada").await;
        let endpoint = json!({ "backchannel_client_notification_endpoint": pinged.uri });
        let bank = server.admin.client(bank("ping", &endpoint)).await;
        let visitor = server.visitor();
        Self { server, ada, visitor, bank, pinged }
    }

    async fn start(&self) -> String {
        self.server.machine.started(&self.bank, &with(TOKEN)).await
    }

    async fn decide(&mut self, decision: &str) {
        self.visitor.decide_request(&self.ada, decision).await;
        self.server.app().tell_of_decisions().await.unwrap();
    }

    async fn later(&self, wait: Duration) {
        self.server.wait(wait);
        self.server.app().tell_of_decisions().await.unwrap();
    }

    /// The events of what could not be told.
    async fn undelivered(&self) -> Vec<Value> {
        let trail = self.server.admin.get("/audit?limit=200").await.json();
        let events = trail["items"].as_array().unwrap().clone();
        events.into_iter().filter(|event| event["action"] == "ciba.ping_undelivered").collect()
    }
}

fn with(token: &str) -> Vec<Field<'_>> {
    [ADA, &[("client_notification_token", token)]].concat()
}

fn ping(id: &str) -> Heard {
    Heard {
        path: "/ciba".to_owned(),
        authorization: format!("Bearer {TOKEN}"),
        content_type: "application/json".to_owned(),
        body: json!({ "auth_req_id": id }).to_string(),
    }
}

#[rstest]
#[case("allow", 200)]
#[case("deny", 400)]
#[tokio::test]
async fn section_10_2_the_client_is_told_once_that_somebody_decided(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] decision: &str,
    #[case] status: u16,
    #[values(200, 204)] answer: u16,
) {
    let mut scene = Scene::on(database).await;
    scene.pinged.answer(answer);
    let id = scene.start().await;
    scene.later(Duration::from_secs(1)).await;
    assert_eq!(scene.pinged.told_by_now(), None, "nobody decided yet");
    scene.decide(decision).await;
    assert_eq!(scene.pinged.told_by_now(), Some(ping(&id)));
    scene.later(Duration::from_mins(2)).await;
    assert_eq!(scene.pinged.told_by_now(), None);
    assert_eq!(scene.server.machine.ask(&scene.bank, &id).await.status, status);
    assert_eq!(scene.undelivered().await, Vec::<Value>::new());
}

#[rstest]
#[tokio::test]
async fn section_7_1_a_client_that_is_told_sends_a_token_that_nobody_guesses(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let machine = &scene.server.machine;
    assert_eq!(refusal(&machine.start(&scene.bank, ADA).await), said("invalid_request"), "none");
    let long = "abcdefgh".repeat(129);
    for odd in ["short", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "8d67dc78 7faa 4d41 aabd 67707b374255", &long]
    {
        assert_eq!(refusal(&machine.start(&scene.bank, &with(odd)).await), said("invalid_request"), "{odd}");
    }
    // One that polls sends none, and it means nothing if it does.
    let polls = scene.server.admin.bank().await;
    assert_eq!(machine.start(&polls, &with("short")).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_10_2_a_client_that_is_away_is_told_later_and_in_the_meantime_may_ask(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    scene.pinged.answer(503);
    let id = scene.start().await;
    scene.decide("allow").await;
    assert_eq!(scene.pinged.told_by_now(), Some(ping(&id)));
    // Not before its time: half of the wait at least.
    scene.later(Duration::from_secs(2)).await;
    assert_eq!(scene.pinged.told_by_now(), None);
    scene.later(Duration::from_secs(4)).await;
    assert_eq!(scene.pinged.told_by_now(), Some(ping(&id)));
    scene.pinged.answer(204);
    scene.later(Duration::from_secs(11)).await;
    assert_eq!(scene.pinged.told_by_now(), Some(ping(&id)));
    scene.later(Duration::from_mins(1)).await;
    assert_eq!(scene.pinged.told_by_now(), None);
    assert_eq!(scene.server.machine.ask(&scene.bank, &id).await.status, 200);
}

#[rstest]
#[case::redirected(302)]
#[case::token_unknown(401)]
#[case::gone(410)]
#[tokio::test]
async fn section_10_2_no_redirect_is_followed_and_a_refusal_is_not_repeated(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] status: u16,
) {
    let mut scene = Scene::on(database).await;
    scene.pinged.answer(status);
    let id = scene.start().await;
    scene.decide("allow").await;
    assert_eq!(scene.pinged.told_by_now(), Some(ping(&id)));
    scene.later(Duration::from_mins(2)).await;
    assert_eq!(scene.pinged.told_by_now(), None, "neither here nor elsewhere");
    let events = scene.undelivered().await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["target"], &events[0]["detail"]["attempts"]), (&json!(scene.bank.id), &json!(1)));
    let text = events[0].to_string();
    assert!(text.contains(&status.to_string()) && !text.contains(TOKEN) && !text.contains(&id), "{text}");
    assert_eq!(scene.server.machine.ask(&scene.bank, &id).await.status, 200, "it may still ask");
}

#[rstest]
#[tokio::test]
async fn section_10_2_a_client_that_stays_away_is_given_up_with_its_request(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    scene.pinged.answer(500);
    scene.start().await;
    scene.decide("deny").await;
    let mut told = 0;
    for _ in 0..12 {
        scene.later(Duration::from_secs(30)).await;
        while scene.pinged.told_by_now().is_some() {
            told += 1;
        }
    }
    assert!((3..=12).contains(&told), "{told}");
    assert_eq!(scene.undelivered().await.len(), 1);
    scene.later(Duration::from_mins(10)).await;
    assert_eq!(scene.pinged.told_by_now(), None);
}

#[rstest]
#[tokio::test]
async fn section_10_2_a_client_that_changed_meanwhile_is_told_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    scene.pinged.answer(503);
    scene.start().await;
    scene.decide("allow").await;
    assert!(scene.pinged.told_by_now().is_some());
    scene.server.admin.post(&format!("/clients/{}/disable", scene.bank.id), &json!({})).await;
    scene.later(Duration::from_secs(30)).await;
    assert_eq!(scene.pinged.told_by_now(), None);
    assert_eq!(scene.undelivered().await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn section_14_the_notification_token_is_neither_stored_in_the_open_nor_logged(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    scene.pinged.answer(401);
    let id = scene.start().await;
    if database == Sqlite {
        for file in std::fs::read_dir(scene.server.data_dir()).unwrap() {
            let path = file.unwrap().path();
            let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            for secret in [TOKEN, id.as_str()] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
    scene.decide("allow").await;
    let log = scene.server.log.text();
    assert!(!log.contains(TOKEN) && !log.contains(&id), "{log}");
}
