use futures_util::future::join_all;
use rstest::rstest;
use serde_json::json;

use super::support::{Backend, Fixture};
use crate::domain::audit::{Actor, AuditAction, AuditEvent, AuditRecord};
use crate::domain::ids::UserId;
use crate::storage::audit::{self, ChainReport};
use crate::storage::{Store, StoreError};

async fn record(store: &Store, count: usize) {
    let work = store.write(move |tx| {
        Box::pin(async move {
            for number in 0..count {
                let event = AuditEvent::new(Actor::Operator, AuditAction::KeyCreated)
                    .on(number)
                    .from("2001:db8::1".parse().ok())
                    .with(json!({ "text": "ä \"quoted\"", "number": number, "list": [1.5, null] }));
                tx.audit(event);
            }
            Ok::<_, StoreError>(())
        })
    });
    work.await.unwrap();
}

async fn report(fixture: &Fixture) -> ChainReport {
    audit::verify(&mut fixture.read().await).await.unwrap()
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_chain_does_not_fork_however_many_replicas_write(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    assert_eq!(report(&fixture).await, ChainReport::Intact { events: 0 });
    let replica = fixture.replica().await;
    let writers = (0..40).map(|number| {
        let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
        tokio::spawn(async move { record(&store, 2).await })
    });
    for ended in join_all(writers).await {
        ended.unwrap();
    }
    assert_eq!(report(&fixture).await, ChainReport::Intact { events: 80 });
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn events_are_listed_newest_first_with_everything_that_was_said(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    record(&fixture.store, 3).await;
    let mut tx = fixture.read().await;
    let newest = audit::list(&mut tx, None, 2).await.unwrap();
    assert_eq!(newest.iter().map(|record| record.seq).collect::<Vec<_>>(), [3, 2]);
    let rest = audit::list(&mut tx, Some(2), 2).await.unwrap();
    let [oldest] = rest.as_slice() else { panic!("{rest:?}") };
    assert_eq!((oldest.seq, oldest.at), (1, fixture.now()));
    assert_eq!(oldest.event.target.as_deref(), Some("0"));
    assert_eq!(oldest.event.detail["text"], "ä \"quoted\"");
    assert_eq!(oldest.event.address, "2001:db8::1".parse().ok());
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn events_are_listed_by_who_did_it_and_by_what_it_was_done_to(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (ada, bob) = (fixture.user("ada").await.id, fixture.user("bob").await.id);
    let (one, other) = (ada.clone(), bob.clone());
    let mark = |actor: &UserId, target: &UserId| {
        AuditEvent::new(Actor::User(actor.clone()), AuditAction::UserUpdated).on(target)
    };
    let events = [mark(&one, &other), mark(&other, &one), mark(&one, &one), mark(&other, &other)];
    fixture
        .write(move |tx| {
            Box::pin(async move {
                for event in events {
                    tx.audit(event);
                }
                Ok(())
            })
        })
        .await;
    let mut tx = fixture.read().await;
    let actor = Actor::User(ada.clone());
    let numbers = |found: Vec<AuditRecord>| found.iter().map(|record| record.seq).collect::<Vec<_>>();
    assert_eq!(numbers(audit::list_by_actor(&mut tx, &actor, None, 10).await.unwrap()), [3, 1]);
    assert_eq!(numbers(audit::list_by_target(&mut tx, ada.as_str(), None, 10).await.unwrap()), [3, 2]);
    assert_eq!(numbers(audit::list_by_target(&mut tx, bob.as_str(), None, 1).await.unwrap()), [4]);
    assert_eq!(numbers(audit::list_by_target(&mut tx, bob.as_str(), Some(4), 1).await.unwrap()), [1]);
    assert_eq!(numbers(audit::list_by_actor(&mut tx, &actor, Some(1), 10).await.unwrap()), [0_u64; 0]);
}

#[rstest]
#[case(Backend::Sqlite, "UPDATE audit_events SET target = 'x' WHERE seq = 600", 600)]
#[case(Backend::Postgres, "UPDATE audit_events SET target = 'x' WHERE seq = 600", 600)]
#[case(Backend::Sqlite, "UPDATE audit_events SET detail = '{}' WHERE seq = 2", 2)]
#[case(Backend::Postgres, "UPDATE audit_events SET detail = 'broken' WHERE seq = 2", 2)]
#[case(Backend::Sqlite, "DELETE FROM audit_events WHERE seq = 3", 3)]
#[case(Backend::Postgres, "DELETE FROM audit_events WHERE seq = 3", 3)]
#[case(Backend::Sqlite, "DELETE FROM audit_events WHERE seq > 590", 591)]
#[case(Backend::Postgres, "DELETE FROM audit_events WHERE seq > 590", 591)]
#[tokio::test]
async fn a_changed_or_missing_event_is_found(
    #[case] backend: Backend,
    #[case] tampering: &'static str,
    #[case] at: u64,
) {
    let fixture = Fixture::new(backend).await;
    record(&fixture.store, 601).await;
    assert_eq!(report(&fixture).await, ChainReport::Intact { events: 601 });
    fixture.place.tamper(tampering).await;
    assert_eq!(report(&fixture).await, ChainReport::Broken { at });
}
