use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::decision::{Day, DecisionRecord, Room};
use crate::domain::ids::ApiId;
use crate::domain::secret::Digest32;
use crate::storage::decision_records::{self, DayTotal};
use crate::storage::{apis, forgotten};

const DAY: Day = Day::numbered(20_000);

fn record(subject: &str, decisions: u64) -> DecisionRecord {
    DecisionRecord {
        subject: subject.to_owned(),
        pseudonymous: false,
        roles: vec!["clerk".to_owned(), "viewer".to_owned()],
        domain: "acme".to_owned(),
        object: "/orders/{id}".to_owned(),
        action: "read".to_owned(),
        allowed: true,
        asked_by: None,
        revision: 3,
        decisions,
    }
}

async fn add(fixture: &Fixture, api: &ApiId, day: Day, found: (&[DecisionRecord], u64), requests: u64) {
    add_within(fixture, api, day, found, Room { requests, bytes: u64::MAX }).await;
}

async fn add_within(
    fixture: &Fixture,
    api: &ApiId,
    day: Day,
    (records, lost): (&[DecisionRecord], u64),
    room: Room,
) {
    let mut records: Vec<(Digest32, DecisionRecord)> =
        records.iter().map(|record| (record.digest(), record.clone())).collect();
    records.sort_by_key(|(digest, _)| *digest.as_bytes());
    let api = api.clone();
    let work = async |fixture: &Fixture| {
        fixture
            .write(move |tx| {
                Box::pin(async move { decision_records::add(tx, &api, day, (&records, lost), room).await })
            })
            .await;
    };
    work(fixture).await;
}

/// Who asked how often, as one page after the other tells it.
async fn told(fixture: &Fixture, api: &ApiId, since: Day) -> Vec<(String, u64)> {
    let (mut all, mut place) = (Vec::new(), None);
    loop {
        let mut tx = fixture.read().await;
        let page = decision_records::page(&mut tx, api, (since, DAY), place, 2).await.unwrap();
        all.extend(page.0.into_iter().map(|record| (record.subject, record.decisions)));
        place = page.1;
        if place.is_none() {
            return all;
        }
    }
}

async fn totals(fixture: &Fixture, api: &ApiId) -> Vec<DayTotal> {
    decision_records::days(&mut fixture.read().await, api, DAY.minus(1_000), 100).await.unwrap()
}

/// Nobody decides so often.
const ENDLESS: u64 = 9_000_000_000_000_000_000;

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn the_same_request_is_one_row_a_day_and_comes_back_as_it_was(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    add(&fixture, &api, DAY, (&[record("alice", 2), record("bob", 1)], 4), 100).await;
    let newer = DecisionRecord { revision: 9, ..record("alice", 5) };
    add(&fixture, &api, DAY, (std::slice::from_ref(&newer), 0), 100).await;
    let mut tx = fixture.read().await;
    let (records, _) = decision_records::page(&mut tx, &api, (DAY, DAY), None, 10).await.unwrap();
    let alice = records.iter().find(|record| record.subject == "alice").unwrap();
    assert_eq!(*alice, DecisionRecord { decisions: 7, ..newer });
    assert_eq!(records.len(), 2);
    assert_eq!(totals(&fixture, &api).await, [DayTotal { day: DAY, requests: 2, decisions: 8, lost: 4 }]);
    let denied = DecisionRecord { allowed: false, ..record("alice", 1) };
    add(&fixture, &api, DAY, (&[denied], 0), 100).await;
    assert_eq!(totals(&fixture, &api).await[0].requests, 3, "another answer is another row");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_full_day_counts_what_it_knows_and_loses_the_rest(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    add(&fixture, &api, DAY, (&["a", "b", "c"].map(|name| record(name, 1)), 0), 2).await;
    let [total] = totals(&fixture, &api).await[..] else { panic!("one day") };
    assert_eq!((total.requests, total.decisions, total.lost), (2, 2, 1));
    add(&fixture, &api, DAY, (&["a", "b", "c"].map(|name| record(name, 10)), 0), 2).await;
    let [total] = totals(&fixture, &api).await[..] else { panic!("one day") };
    assert_eq!((total.requests, total.decisions, total.lost), (2, 22, 11));
    add(&fixture, &api, DAY.minus(1), (&[record("c", 1)], 0), 2).await;
    assert_eq!(totals(&fixture, &api).await.len(), 2, "another day has room");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_day_has_room_for_so_many_bytes_however_few_requests_these_are(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let room = Room { requests: 100, bytes: 10_000 };
    let long = |number: u8| DecisionRecord { object: format!("{number}").repeat(2_000), ..record("a", 1) };
    let many = [1, 2, 3, 4, 5].map(long);
    for _ in 0..2 {
        add_within(&fixture, &api, DAY, (&many, 0), room).await;
    }
    let [total] = totals(&fixture, &api).await[..] else { panic!("one day") };
    assert_eq!((total.requests, total.decisions, total.lost), (4, 8, 2), "what is known is counted on");
    let short = [record("b", 1), record("c", 1)];
    add_within(&fixture, &api, DAY, (&short, 0), room).await;
    let [total] = totals(&fixture, &api).await[..] else { panic!("one day") };
    assert_eq!((total.requests, total.decisions, total.lost), (4, 8, 4), "there is no room for short ones");
    let more = Room { bytes: 11_000, ..room };
    add_within(&fixture, &api, DAY, (&short, 0), more).await;
    assert_eq!(totals(&fixture, &api).await[0].requests, 6);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn records_are_read_day_by_day_and_only_those_of_the_api(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let other = fixture.api("https://stock.example").await.id;
    for (days, name) in [(0, "today"), (1, "yesterday"), (2, "before")] {
        let three = [1, 2, 3].map(|number| record(&format!("{name}-{number}"), 1));
        add(&fixture, &api, DAY.minus(days), (&three, 0), 100).await;
    }
    add(&fixture, &other, DAY, (&[record("elsewhere", 1)], 0), 100).await;
    let all = told(&fixture, &api, DAY.minus(1)).await;
    let days: Vec<&str> = all.iter().map(|(name, _)| name.split('-').next().unwrap()).collect();
    assert_eq!(days, [["today"; 3], ["yesterday"; 3]].concat());
    let mut names: Vec<_> = all.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 6, "none twice");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_is_old_or_somebody_elses_is_forgotten(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let today = Day::of(fixture.now());
    for days in [0, 30, 31, 90] {
        let many: Vec<_> = (0..600).map(|number| record(&format!("{days}-{number}"), 1)).collect();
        add(&fixture, &api, today.minus(days), (&many, 0), 10_000).await;
    }
    let before = today.minus(30);
    let more = async || {
        fixture
            .write(move |tx| Box::pin(async move { decision_records::delete_before(tx, before, 500).await }))
            .await
    };
    let mut turns = 0;
    while more().await {
        turns += 1;
    }
    assert_eq!(turns, 4, "a few at a time");
    let kept =
        decision_records::days(&mut fixture.read().await, &api, today.minus(1_000), 100).await.unwrap();
    assert_eq!(kept.iter().map(|total| total.day).collect::<Vec<_>>(), [today, today.minus(30)]);
    let mut tx = fixture.read().await;
    let (left, _) =
        decision_records::page(&mut tx, &api, (today.minus(1_000), today), None, 5_000).await.unwrap();
    assert_eq!(left.len(), 1_200);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn who_is_to_be_forgotten_is_hidden_at_once_and_tells_nothing_more(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let both = [record("alice", 1), record("bob", 1)];
    add(&fixture, &api, DAY, (&both, 0), 100).await;
    let now = fixture.now();
    for _ in 0..2 {
        fixture.write(move |tx| Box::pin(async move { forgotten::insert(tx, "alice", now).await })).await;
    }
    assert_eq!(told(&fixture, &api, DAY).await, [("bob".to_owned(), 1)]);
    let denied = [record("alice", 4), DecisionRecord { allowed: false, ..record("alice", 5) }];
    add(&fixture, &api, DAY, (&denied, 0), 100).await;
    assert_eq!(told(&fixture, &api, DAY).await, [("bob".to_owned(), 1)]);
    assert_eq!(totals(&fixture, &api).await[0].lost, 9, "what is refused is counted");
    assert_eq!(release(&fixture).await, 0, "as long as there are records, they are hidden");
    let more = async || {
        fixture.write(|tx| Box::pin(async move { forgotten::delete_records(tx, "alice", 1).await })).await
    };
    assert_eq!([more().await, more().await], [true, false]);
    assert_eq!(release(&fixture).await, 1);
    add(&fixture, &api, DAY, (&both, 0), 100).await;
    assert_eq!(told(&fixture, &api, DAY).await.len(), 2);
}

async fn release(fixture: &Fixture) -> u64 {
    let before = fixture.now().plus(std::time::Duration::from_secs(1));
    fixture.write(move |tx| Box::pin(async move { forgotten::release(tx, before, 500).await })).await
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_api_takes_its_records_with_it(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    add(&fixture, &api, DAY, (&[record("alice", 2)], 0), 100).await;
    let gone = api.clone();
    fixture.write(move |tx| Box::pin(async move { apis::delete(tx, &gone).await })).await;
    assert_eq!(told(&fixture, &api, DAY).await, []);
    assert_eq!(totals(&fixture, &api).await, []);
}

/// Two replicas add the same records in the same order, so none waits for the other for ever.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn two_who_add_at_once_lose_nothing(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let many: Vec<_> = (0..200).map(|number| record(&format!("{number}"), 1)).collect();
    let once = async || add(&fixture, &api, DAY, (&many, 0), 10_000).await;
    tokio::join!(once(), once(), once());
    let total = totals(&fixture, &api).await[0];
    assert_eq!((total.requests, total.decisions), (200, 600));
    assert!(told(&fixture, &api, DAY).await.iter().all(|(_, decisions)| *decisions == 3));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_count_beyond_belief_keeps_nothing_else_out(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    add(&fixture, &api, DAY, (&[record("alice", ENDLESS)], ENDLESS), 1).await;
    for most in [1, 100] {
        let many = [record("alice", 1_000_000_000_000_000_000), record("bob", 1)];
        add(&fixture, &api, DAY, (&many, 1_000_000_000_000_000_000), most).await;
    }
    let [day] = totals(&fixture, &api).await[..] else { panic!("one day") };
    assert_eq!((day.requests, day.decisions, day.lost), (2, ENDLESS, ENDLESS));
    let mut found = told(&fixture, &api, DAY).await;
    found.sort();
    assert_eq!(found, [("alice".to_owned(), ENDLESS), ("bob".to_owned(), 1)]);
}
