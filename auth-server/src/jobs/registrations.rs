//! Takes away clients that came by themselves and that nobody uses, and tokens that let none in any more.

use std::time::Duration;

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::storage::{Store, StoreError, client_removal, initial_tokens, registrations};

/// How soon it is looked again at one that somebody uses.
const AGAIN: Duration = Duration::from_hours(30 * 24);
/// Most clients in one transaction, so that nobody waits long behind it.
const BATCH: u32 = 50;
/// Tokens are kept for a while after their end, for whoever wonders where they went.
const KEPT: Duration = Duration::from_hours(24);

/// Looks at the clients that are due, and at the tokens.
pub(super) async fn review(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    while look_at_some(store, now).await? {}
    loop {
        let gone = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    initial_tokens::delete_expired(tx, now.minus(KEPT), BATCH).await
                })
            })
            .await?;
        if gone < u64::from(BATCH) {
            return Ok(());
        }
    }
}

/// Gives whether there may be more. Each client is either gone or put off afterwards, so this ends.
async fn look_at_some(store: &Store, now: Timestamp) -> Result<bool, StoreError> {
    store
        .write(move |tx| {
            Box::pin(async move {
                tx.in_background();
                let due = registrations::due(tx, now, BATCH).await?;
                let full = u32::try_from(due.len()).unwrap_or(BATCH) >= BATCH;
                for client in due {
                    if registrations::is_used(tx, &client).await? {
                        registrations::put_off(tx, &client, now.plus(AGAIN)).await?;
                        continue;
                    }
                    let event = AuditEvent::new(Actor::System, AuditAction::ClientDeleted);
                    let event = event.with(json!({ "reason": "unused" }));
                    client_removal::take_away(tx, &client, event, now).await?;
                }
                Ok(full)
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::domain::client::Client;
    use crate::domain::ids::{ClientId, InitialTokenId};
    use crate::domain::registration::{About, Allowance, InitialToken, Registration, RegistrationSource};
    use crate::domain::secret::Digest32;
    use crate::storage::registrations::Upkeep;
    use crate::storage::tests::support::{Backend, Fixture};
    use crate::storage::{audit, clients};

    /// A client that registered, and is due in an hour.
    async fn arrived(fixture: &Fixture) -> ClientId {
        let client = fixture.client().await.id;
        let registration = Registration {
            client: client.clone(),
            source: RegistrationSource::Dynamic,
            about: About::default(),
            allowance: None,
            initial_token: None,
            created_at: fixture.now(),
        };
        let review_at = fixture.now().plus(Duration::from_hours(1));
        let upkeep = Upkeep { token: None, freshness: None, review_at };
        fixture
            .write(move |tx| Box::pin(async move { registrations::insert(tx, &registration, upkeep).await }))
            .await;
        client
    }

    async fn is_there(fixture: &Fixture, client: &ClientId) -> bool {
        clients::find(&mut fixture.read().await, client).await.unwrap().is_some()
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn a_client_that_nobody_uses_goes_and_one_that_somebody_uses_stays(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let (unused, used) = (arrived(&fixture).await, arrived(&fixture).await);
        let by_hand = fixture.client().await.id;
        let ada = fixture.user("ada").await;
        fixture.grant(&used, &ada.id, "openid").await;
        review(&fixture.store, fixture.now()).await.unwrap();
        assert!(is_there(&fixture, &unused).await, "it is not due yet");
        fixture.clock.advance(Duration::from_hours(2));
        review(&fixture.store, fixture.now()).await.unwrap();
        assert!(!is_there(&fixture, &unused).await);
        assert!(registrations::find(&mut fixture.read().await, &unused).await.unwrap().is_none());
        assert!(is_there(&fixture, &used).await && is_there(&fixture, &by_hand).await);
        assert!(registrations::due(&mut fixture.read().await, fixture.now(), 10).await.unwrap().is_empty());
        fixture.clock.advance(AGAIN + Duration::from_hours(1));
        assert_eq!(registrations::due(&mut fixture.read().await, fixture.now(), 10).await.unwrap(), [used]);
    }

    /// Two replicas may find the same client due, and take it away one after the other.
    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn a_client_goes_once_in_the_trail_however_many_take_it_away(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let unused = arrived(&fixture).await;
        let now = fixture.now();
        for _ in 0..2 {
            let client = unused.clone();
            let event = AuditEvent::new(Actor::System, AuditAction::ClientDeleted);
            let taken = fixture.write(move |tx| {
                Box::pin(async move { client_removal::take_away(tx, &client, event, now).await })
            });
            taken.await;
        }
        let events = audit::list(&mut fixture.read().await, None, 50).await.unwrap();
        let gone = events.iter().filter(|kept| kept.event.action == AuditAction::ClientDeleted).count();
        assert_eq!(gone, 1);
    }

    /// Gone, it would come back by itself, and nobody would know that it was switched off.
    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn a_client_that_was_switched_off_stays_off_however_long_nobody_uses_it(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let client = arrived(&fixture).await;
        let found = clients::find(&mut fixture.read().await, &client).await.unwrap().unwrap();
        let off = Client { disabled_at: Some(fixture.now()), ..found };
        fixture.write(move |tx| Box::pin(async move { clients::update(tx, &off).await })).await;
        fixture.clock.advance(Duration::from_hours(2));
        review(&fixture.store, fixture.now()).await.unwrap();
        assert!(is_there(&fixture, &client).await);
    }

    #[rstest]
    #[case(Backend::Sqlite)]
    #[case(Backend::Postgres)]
    #[tokio::test]
    async fn a_token_goes_a_day_after_its_end(#[case] backend: Backend) {
        let fixture = Fixture::new(backend).await;
        let end = fixture.now().plus(Duration::from_hours(1));
        let allowance = Allowance {
            grants: Vec::new(),
            scopes: String::new(),
            redirect_hosts: Vec::new(),
            apis: Vec::new(),
        };
        let token = InitialToken {
            id: InitialTokenId::generate(fixture.now(), &fixture.entropy),
            name: "Partners".to_owned(),
            allowance,
            uses_left: 1,
            created_by: "operator".to_owned(),
            created_at: fixture.now(),
            expires_at: end,
        };
        let (added, digest) = (token.clone(), Digest32::of(b"x"));
        fixture
            .write(move |tx| Box::pin(async move { initial_tokens::insert(tx, &added, &digest).await }))
            .await;
        let listed = async || initial_tokens::list(&mut fixture.read().await, None, 10).await.unwrap();
        review(&fixture.store, end.plus(KEPT)).await.unwrap();
        assert_eq!(listed().await, [token]);
        let later = end.plus(KEPT).plus(Duration::from_secs(1));
        review(&fixture.store, later).await.unwrap();
        assert!(listed().await.is_empty());
    }
}
