use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::decision::DecisionRecord;
use crate::domain::ids::ApiId;
use crate::domain::policy::{PolicyShadow, PolicyText};
use crate::domain::secret::Digest32;
use crate::storage::shadows::{self, Found};
use crate::storage::{apis, forgotten};

fn record(subject: &str, decisions: u64) -> DecisionRecord {
    DecisionRecord {
        subject: subject.to_owned(),
        pseudonymous: false,
        roles: vec!["viewer".to_owned()],
        domain: String::new(),
        object: "orders".to_owned(),
        action: "read".to_owned(),
        allowed: true,
        asked_by: None,
        revision: 1,
        decisions,
    }
}

fn shadow(fixture: &Fixture, api: &ApiId, rules: &str) -> PolicyShadow {
    let text = PolicyText { model: "m".to_owned(), rules: rules.to_owned(), cases: String::new() };
    PolicyShadow {
        api: api.clone(),
        sha256: text.sha256(),
        text,
        started_by: "operator".to_owned(),
        started_at: fixture.now(),
        requests: 0,
        decisions: 0,
        lost: 0,
        untried: 0,
    }
}

async fn start(fixture: &Fixture, shadow: &PolicyShadow) {
    let shadow = shadow.clone();
    fixture.write(move |tx| Box::pin(async move { shadows::start(tx, &shadow).await })).await;
}

async fn add(fixture: &Fixture, shadow: &PolicyShadow, records: &[DecisionRecord], most: u64) {
    let (api, sha256) = (shadow.api.clone(), shadow.sha256);
    let mut records: Vec<(Digest32, DecisionRecord)> =
        records.iter().map(|record| (record.digest(), record.clone())).collect();
    records.sort_by_key(|(digest, _)| *digest.as_bytes());
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let found = Found { records: &records, lost: 1, untried: 5 };
                shadows::add(tx, (&api, &sha256), found, most).await
            })
        })
        .await;
}

async fn counts(fixture: &Fixture, api: &ApiId) -> Option<(u64, u64, u64)> {
    let found = shadows::find(&mut fixture.read().await, api).await.unwrap();
    found.map(|found| (found.requests, found.decisions, found.lost))
}

async fn subjects(fixture: &Fixture, api: &ApiId) -> Vec<String> {
    let (mut all, mut place) = (Vec::new(), None);
    loop {
        let mut tx = fixture.read().await;
        let (records, end) = shadows::page(&mut tx, api, place.as_ref(), 2).await.unwrap();
        all.extend(records.into_iter().map(|record| record.subject));
        place = end;
        if place.is_none() {
            all.sort();
            return all;
        }
    }
}

const MOMENT: std::time::Duration = std::time::Duration::from_secs(1);

/// Nobody decides so often.
const ENDLESS: u64 = 9_000_000_000_000_000_000;

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn rules_on_trial_come_back_as_they_were_and_the_api_names_them(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let marked = async || apis::find(&mut fixture.read().await, &api).await.unwrap().unwrap().shadow;
    assert_eq!((counts(&fixture, &api).await, marked().await), (None, None));
    let first = shadow(&fixture, &api, "one");
    start(&fixture, &first).await;
    assert_eq!(shadows::find(&mut fixture.read().await, &api).await.unwrap(), Some(first.clone()));
    assert_eq!(marked().await, Some(first.sha256));
    add(&fixture, &first, &[record("alice", 2)], 100).await;
    let second = shadow(&fixture, &api, "two");
    start(&fixture, &second).await;
    assert_eq!(counts(&fixture, &api).await, Some((0, 0, 0)), "what the first would decide is forgotten");
    assert_eq!(subjects(&fixture, &api).await, [""; 0]);
    for stopped in [true, false] {
        let id = api.clone();
        let was = fixture.write(move |tx| Box::pin(async move { shadows::stop(tx, &id).await })).await;
        assert_eq!((was, marked().await), (stopped, None));
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn differences_are_counted_once_and_up_to_a_bound(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let tried = shadow(&fixture, &api, "one");
    start(&fixture, &tried).await;
    add(&fixture, &tried, &["a", "b", "c"].map(|name| record(name, 2)), 2).await;
    assert_eq!(counts(&fixture, &api).await, Some((2, 4, 3)), "one is too many, and one was lost before");
    add(&fixture, &tried, &["a", "b", "c"].map(|name| record(name, 1)), 2).await;
    assert_eq!(counts(&fixture, &api).await, Some((2, 6, 5)));
    assert_eq!(shadows::find(&mut fixture.read().await, &api).await.unwrap().unwrap().untried, 10);
    let stale = shadow(&fixture, &api, "another");
    add(&fixture, &stale, &[record("z", 9)], 100).await;
    assert_eq!(counts(&fixture, &api).await, Some((2, 6, 5)), "what is tried no longer is not noted");
    assert_eq!(subjects(&fixture, &api).await.len(), 2);
    let known = subjects(&fixture, &api).await.remove(0);
    let (now, gone) = (fixture.now(), known.clone());
    fixture.write(move |tx| Box::pin(async move { forgotten::insert(tx, &gone, now).await })).await;
    assert_eq!(subjects(&fixture, &api).await.len(), 1, "whoever is to be forgotten is hidden");
    add(&fixture, &tried, &[record(&known, 4)], 100).await;
    assert_eq!(counts(&fixture, &api).await, Some((2, 6, 10)), "and tells nothing more");
    let more = fixture
        .write(move |tx| Box::pin(async move { forgotten::delete_records(tx, &known, 2).await }))
        .await;
    assert!(!more);
    let released = fixture
        .write(move |tx| Box::pin(async move { forgotten::release(tx, now.plus(MOMENT), 500).await }))
        .await;
    assert_eq!(released, 1, "nothing is left of it");
    let id = api.clone();
    fixture.write(move |tx| Box::pin(async move { shadows::reset(tx, &id).await })).await;
    assert_eq!(counts(&fixture, &api).await, Some((0, 0, 0)));
    let id = api.clone();
    fixture.write(move |tx| Box::pin(async move { apis::delete(tx, &id).await })).await;
    assert_eq!(counts(&fixture, &api).await, None);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_count_beyond_belief_keeps_nothing_else_out(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let tried = shadow(&fixture, &api, "p");
    start(&fixture, &tried).await;
    add(&fixture, &tried, &[record("alice", ENDLESS)], 1).await;
    for most in [1, 100] {
        add(&fixture, &tried, &[record("alice", 1_000_000_000_000_000_000), record("bob", 1)], most).await;
    }
    assert_eq!(counts(&fixture, &api).await, Some((2, ENDLESS, 4)));
    assert_eq!(subjects(&fixture, &api).await.len(), 2);
}
