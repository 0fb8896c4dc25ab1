use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ids::OrganisationId;
use crate::domain::organisation::Organisation;
use crate::storage::audit::ChainReport;
use crate::storage::{StoreError, audit, organisations};

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_is_written_is_read(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let id = OrganisationId::generate(fixture.clock.now(), &fixture.entropy);
    let organisation = Organisation { id, name: "Acme".to_owned(), created_at: fixture.clock.now() };
    let written = organisation.clone();
    fixture
        .store
        .write(|tx| {
            Box::pin(async move {
                organisations::insert(tx, &written).await?;
                tx.audit(AuditEvent::new(Actor::System, AuditAction::OrganisationCreated).on(&written.id));
                tx.invalidate();
                Ok::<_, StoreError>(())
            })
        })
        .await
        .unwrap();
    let mut tx = fixture.store.read().await.unwrap();
    let id = organisation.id.clone();
    assert_eq!(organisations::find(&mut tx, &id).await.unwrap(), Some(organisation));
    assert_eq!(audit::verify(&mut tx).await.unwrap(), ChainReport::Intact { events: 1 });
    let client = crate::domain::ids::ClientId::generate(fixture.clock.now(), &fixture.entropy);
    assert!(assert_send(fixture.store.client(&client)).await.unwrap().is_none());
}
