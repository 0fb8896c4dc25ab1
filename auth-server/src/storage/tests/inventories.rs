use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ApiId;
use crate::domain::inventory::{InventoryState, RouteInventory};
use crate::domain::secret::Digest32;
use crate::storage::{apis, inventories};

fn inventory(api: &ApiId, version: Option<&str>, at: Timestamp) -> RouteInventory {
    RouteInventory {
        api: api.clone(),
        digest: Digest32::of(version.unwrap_or_default().as_bytes()),
        version: version.map(str::to_owned),
        state: InventoryState::Pending,
        routes: 3,
        document: "{}".to_owned(),
        announced: ("cli_1".to_owned(), at),
        decided: None,
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_inventory_is_added_once_decided_and_deleted(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let first = inventory(&api, None, fixture.now());
    let decided = RouteInventory {
        state: InventoryState::Approved,
        decided: Some(("operator".to_owned(), fixture.now())),
        ..first.clone()
    };
    let (added, changed) = (first.clone(), decided.clone());
    let outcome = fixture
        .write(move |tx| {
            Box::pin(async move {
                let unknown = inventories::decide(tx, &added).await?;
                let once = inventories::insert(tx, &added).await?;
                let again = inventories::insert(tx, &added).await?;
                let found = inventories::find(tx, &added.api, &added.digest).await?;
                let approved = inventories::list_approved(tx, &added.api).await?;
                let done = inventories::decide(tx, &changed).await?;
                Ok(((unknown, once, again, done), found, approved))
            })
        })
        .await;
    assert_eq!(outcome, ((false, true, false, true), Some(first), Vec::new()));
    let mut tx = fixture.read().await;
    let state = inventories::find_state(&mut tx, &api, &decided.digest).await.unwrap();
    assert_eq!(state, Some(InventoryState::Approved));
    assert_eq!(inventories::list_approved(&mut tx, &api).await.unwrap(), std::slice::from_ref(&decided));
    let listed = RouteInventory { document: String::new(), ..decided.clone() };
    assert_eq!(inventories::list(&mut tx, &api).await.unwrap(), [listed]);
    drop(tx);
    let (of, digest) = (api.clone(), decided.digest);
    let gone = fixture
        .write(move |tx| {
            Box::pin(async move {
                let once = inventories::delete(tx, &of, &digest).await?;
                Ok([once, inventories::delete(tx, &of, &digest).await?])
            })
        })
        .await;
    assert_eq!(gone, [true, false]);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn the_newest_of_a_state_are_kept_and_an_api_takes_all_with_it(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (api, other) =
        (fixture.api("https://orders.example").await.id, fixture.api("https://b.example").await.id);
    let start = fixture.now();
    let all: Vec<_> = (1..=5)
        .map(|at| inventory(&api, Some(&at.to_string()), start.plus(Duration::from_secs(at))))
        .collect();
    let oldest = RouteInventory { state: InventoryState::Rejected, ..inventory(&api, Some("0"), start) };
    let foreign = inventory(&other, Some("1"), start);
    let of = api.clone();
    let forgotten = fixture
        .write(move |tx| {
            Box::pin(async move {
                for inventory in all.iter().chain([&oldest, &foreign]) {
                    inventories::insert(tx, inventory).await?;
                }
                inventories::keep_newest(tx, &of, InventoryState::Pending, 2).await
            })
        })
        .await;
    assert_eq!(forgotten, 3);
    let mut tx = fixture.read().await;
    let kept = inventories::list(&mut tx, &api).await.unwrap();
    let versions: Vec<_> = kept.iter().filter_map(|inventory| inventory.version.as_deref()).collect();
    assert_eq!(versions, ["5", "4", "0"]);
    assert_eq!(inventories::list(&mut tx, &other).await.unwrap().len(), 1);
    drop(tx);
    let of = api.clone();
    fixture.write(move |tx| Box::pin(async move { apis::delete(tx, &of).await })).await;
    assert!(inventories::list(&mut fixture.read().await, &api).await.unwrap().is_empty());
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_state_that_cannot_be_read_is_an_error_and_no_approval(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let added = inventory(&api, Some("1"), fixture.now());
    let digest = added.digest;
    fixture.write(move |tx| Box::pin(async move { inventories::insert(tx, &added).await })).await;
    fixture.place.tamper("UPDATE route_inventories SET state = 'perhaps'").await;
    let found = inventories::find(&mut fixture.read().await, &api, &digest).await;
    assert!(matches!(found, Err(crate::storage::StoreError::Corrupt { .. })), "{found:?}");
}
