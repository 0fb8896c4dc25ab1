use std::sync::Arc;

use futures_util::future::join_all;
use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::client::Client;
use crate::domain::ids::ClientId;
use crate::domain::rbac::{Assignment, AssignmentSubject, OrganisationScope, Role, RoleName};
use crate::domain::user::User;
use crate::storage::{Store, StoreError, assignments, clients, roles, users};

async fn rename(store: &Store, client: &Client, name: &str) {
    let renamed = Client { name: name.to_owned(), ..client.clone() };
    let work = store.write(move |tx| {
        Box::pin(async move {
            assert!(clients::update(tx, &renamed).await?);
            tx.invalidate();
            Ok::<_, StoreError>(())
        })
    });
    work.await.unwrap();
}

async fn name_in(store: &Store, id: &ClientId) -> String {
    store.client(id).await.unwrap().unwrap().name.clone()
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_was_asked_for_once_needs_no_statement(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (client, api) = (fixture.client().await, fixture.api("https://orders.example").await);
    let ask = async || {
        assert_eq!(*fixture.store.client(&client.id).await.unwrap().unwrap(), client);
        assert_eq!(*fixture.store.api(&api.id).await.unwrap().unwrap(), api);
        assert_eq!(*fixture.store.api_by_audience(api.audience.as_str()).await.unwrap().unwrap(), api);
        assert!(fixture.store.client_roles(&client.id, &api.id).await.unwrap().is_empty());
        assert_eq!(fixture.store.client(&fixture.id()).await.unwrap(), None);
    };
    let before = fixture.store.statements();
    ask().await;
    assert_eq!(fixture.store.statements() - before, 5);
    let unknown = fixture.id();
    assert_eq!(fixture.store.client(&unknown).await.unwrap(), None);
    let before = fixture.store.statements();
    ask().await;
    assert_eq!(fixture.store.client(&unknown).await.unwrap(), None);
    // Only the made-up identifier, which is another one each time, is looked up.
    assert_eq!(fixture.store.statements() - before, 1);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_change_is_seen_at_once_here_and_by_a_replica_at_its_next_look(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await;
    let replica = fixture.replica().await;
    replica.refresh_if_stale().await.unwrap();
    assert_eq!(name_in(&fixture.store, &client.id).await, "Orders");
    assert_eq!(name_in(&replica, &client.id).await, "Orders");
    let mut told = replica.invalidations();
    told.mark_unchanged();
    rename(&fixture.store, &client, "Renamed").await;
    assert_eq!(name_in(&fixture.store, &client.id).await, "Renamed");
    replica.refresh_if_stale().await.unwrap();
    assert_eq!(name_in(&replica, &client.id).await, "Renamed");
    assert!(told.has_changed().unwrap());
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_replica_hears_of_a_change_without_being_asked(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await;
    let replica = fixture.replica().await;
    replica.refresh_if_stale().await.unwrap();
    assert_eq!(name_in(&replica, &client.id).await, "Orders");
    let mut told = replica.invalidations();
    rename(&fixture.store, &client, "Renamed").await;
    told.changed().await.unwrap();
    assert_eq!(name_in(&replica, &client.id).await, "Renamed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_hears_of_a_change_reads_nothing_older() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let client = fixture.client().await;
    for round in 0..200 {
        name_in(&fixture.store, &client.id).await;
        let listeners = (0..3).map(|_| {
            let (store, id, mut told) =
                (fixture.store.clone(), client.id.clone(), fixture.store.invalidations());
            tokio::spawn(async move {
                told.changed().await.unwrap();
                name_in(&store, &id).await
            })
        });
        let listeners: Vec<_> = listeners.collect();
        let name = format!("name {round}");
        rename(&fixture.store, &client, &name).await;
        for heard in join_all(listeners).await {
            assert_eq!(heard.unwrap(), name);
        }
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_client_that_was_unknown_is_known_once_it_is_registered(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let template = fixture.client().await;
    let later = Client { id: fixture.id(), ..template };
    assert_eq!(fixture.store.client(&later.id).await.unwrap(), None);
    let added = later.clone();
    fixture
        .write(move |tx| {
            Box::pin(async move {
                clients::insert(tx, &added).await?;
                tx.invalidate();
                Ok(())
            })
        })
        .await;
    assert_eq!(fixture.store.client(&later.id).await.unwrap(), Some(Arc::new(later)));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_that_asks_for_one_client_reads_it_a_few_times_at_most(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await;
    let before = fixture.store.statements();
    let crowd = (0..200).map(|_| {
        let (store, id) = (fixture.store.clone(), client.id.clone());
        tokio::spawn(async move { store.client(&id).await.unwrap().unwrap() })
    });
    for found in join_all(crowd).await {
        assert_eq!(*found.unwrap(), client);
    }
    let taken = fixture.store.statements() - before;
    assert!(taken <= 4, "{taken}");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn made_up_identifiers_do_not_push_out_what_exists(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await;
    let known = Some(Arc::new(client.clone()));
    assert_eq!(fixture.store.client(&client.id).await.unwrap(), known);
    for _ in 0..3000 {
        assert_eq!(fixture.store.client(&fixture.id()).await.unwrap(), None);
    }
    let before = fixture.store.statements();
    assert_eq!(fixture.store.client(&client.id).await.unwrap(), known);
    assert_eq!(fixture.store.statements(), before);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn the_roles_of_a_client_count_where_it_belongs(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (client, api) = (fixture.client().await, fixture.api("https://orders.example").await);
    let elsewhere = OrganisationScope::One(fixture.id());
    let at_home = OrganisationScope::One(client.organisation.clone().unwrap());
    for (name, organisation) in [("b", OrganisationScope::Every), ("a", at_home), ("c", elsewhere)] {
        let role = Role {
            id: fixture.id(),
            api: api.id.clone(),
            name: RoleName::parse(name).unwrap(),
            description: String::new(),
        };
        let assignment = Assignment {
            id: fixture.id(),
            role: role.id.clone(),
            subject: AssignmentSubject::Client(client.id.clone()),
            organisation,
        };
        fixture
            .write(move |tx| {
                Box::pin(async move {
                    roles::insert(tx, &role).await?;
                    assert!(assignments::insert(tx, &assignment).await?);
                    assert!(!assignments::insert(tx, &assignment).await?);
                    tx.invalidate();
                    Ok(())
                })
            })
            .await;
    }
    assert!(fixture.store.user_roles(&fixture.id(), &api.id).await.unwrap().is_empty());
    let held = fixture.store.client_roles(&client.id, &api.id).await.unwrap();
    assert_eq!(held.iter().map(RoleName::as_str).collect::<Vec<_>>(), ["a", "b"]);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn whoever_holds_roles_is_listed_with_all_that_their_tokens_carry(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (api, other) =
        (fixture.api("https://orders.example").await, fixture.api("https://stock.example").await);
    let (client, ada, bob) = (fixture.client().await, fixture.user("ada").await, fixture.user("bob").await);
    let (off, apart) = (fixture.user("off").await, fixture.user("apart").await);
    let home = || OrganisationScope::One(ada.organisation.clone());
    let elsewhere = || OrganisationScope::One(fixture.id());
    let user = |user: &User| AssignmentSubject::User(user.id.clone());
    let wide = || OrganisationScope::Every;
    let given = [
        (&api, "a", vec![(user(&ada), wide()), (user(&ada), home()), (user(&off), wide())]),
        (&api, "b", vec![(user(&ada), home()), (user(&bob), wide()), (user(&apart), elsewhere())]),
        (&api, "c", vec![(AssignmentSubject::Client(client.id.clone()), home()), (user(&ada), elsewhere())]),
        (&other, "d", vec![(user(&ada), wide()), (user(&apart), wide())]),
    ];
    for (api, name, holders) in given {
        let role = Role {
            id: fixture.id(),
            api: api.id.clone(),
            name: RoleName::parse(name).unwrap(),
            description: String::new(),
        };
        let made: Vec<Assignment> = holders
            .into_iter()
            .map(|(subject, organisation)| Assignment {
                id: fixture.id(),
                role: role.id.clone(),
                subject,
                organisation,
            })
            .collect();
        fixture
            .write(move |tx| {
                Box::pin(async move {
                    roles::insert(tx, &role).await?;
                    for assignment in &made {
                        assert!(assignments::insert(tx, assignment).await?);
                    }
                    Ok(())
                })
            })
            .await;
    }
    let off = User { disabled_at: Some(fixture.now()), ..off };
    fixture.write(move |tx| Box::pin(async move { users::update(tx, &off).await })).await;

    let mut tx = fixture.read().await;
    let (first, second) = (ada.sub.as_str(), bob.sub.as_str());
    let mut expected = [(first, "a"), (first, "b"), (second, "b")];
    expected.sort_unstable();
    let held = assignments::users_with_roles(&mut tx, &api.id, "", 10).await.unwrap();
    let shown: Vec<_> = held.iter().map(|one| (one.subject.as_str(), one.role.as_str())).collect();
    assert_eq!(shown, expected);
    assert!(held.iter().all(|one| one.organisation.as_deref() == Some(ada.organisation.as_str())));
    // One at a time: each comes with all of theirs.
    let mut after = String::new();
    let mut walked = Vec::new();
    loop {
        let page = assignments::users_with_roles(&mut tx, &api.id, &after, 1).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.subject.clone();
        walked.extend(page);
    }
    assert_eq!(walked, held);
    let clients = assignments::clients_with_roles(&mut tx, &api.id, "", 10).await.unwrap();
    let shown: Vec<_> = clients.iter().map(|one| (one.subject.as_str(), one.role.as_str())).collect();
    assert_eq!(shown, [(client.id.as_str(), "c")]);
    assert!(
        assignments::clients_with_roles(&mut tx, &api.id, client.id.as_str(), 10).await.unwrap().is_empty()
    );
    assert!(assignments::clients_with_roles(&mut tx, &other.id, "", 10).await.unwrap().is_empty());
}
