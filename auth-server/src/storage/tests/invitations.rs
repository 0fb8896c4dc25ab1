use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::clock::Timestamp;
use crate::domain::invitation::{Invitation, InvitedRole};
use crate::domain::rbac::RoleName;
use crate::domain::user::Email;
use crate::storage::{invitations, users};

/// An invitation whose link works until `end`.
pub(super) fn invitation(fixture: &Fixture, end: Timestamp) -> Invitation {
    Invitation {
        id: fixture.id(),
        to: Email::parse("Ada@example.org").unwrap(),
        organisation: None,
        roles: vec![InvitedRole { api: fixture.id(), role: RoleName::parse("viewer").unwrap() }],
        invited_by: "operator".to_owned(),
        days: 7,
        created_at: fixture.now(),
        expires_at: end,
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_invitation_is_good_for_its_last_link_and_its_time(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (now, end) = (fixture.now(), fixture.now().plus(Duration::from_hours(1)));
    let (kept, link, next) = (invitation(&fixture, end), fixture.digest(), fixture.digest());
    let (stored, id) = (kept.clone(), kept.id.clone());
    fixture.write(move |tx| Box::pin(async move { invitations::insert(tx, &stored, &link).await })).await;
    let mut tx = fixture.read().await;
    assert_eq!(invitations::find(&mut tx, &id).await.unwrap(), Some(kept.clone()));
    assert_eq!(invitations::find_good(&mut tx, &id, &link, now).await.unwrap(), Some(kept.clone()));
    assert_eq!(invitations::find_good(&mut tx, &id, &link, end).await.unwrap(), None);
    assert_eq!(invitations::find_good(&mut tx, &id, &next, now).await.unwrap(), None);
    drop(tx);
    let (later, named) = (end.plus(Duration::from_hours(1)), id.clone());
    let renewed = fixture
        .write(move |tx| Box::pin(async move { invitations::renew(tx, &named, &next, later).await }))
        .await;
    assert!(renewed);
    let mut tx = fixture.read().await;
    assert_eq!(invitations::find_good(&mut tx, &id, &link, now).await.unwrap(), None, "the link of before");
    let good = invitations::find_good(&mut tx, &id, &next, end).await.unwrap().unwrap();
    assert_eq!(good, Invitation { expires_at: later, ..kept });
    drop(tx);
    for there_was_one in [true, false] {
        let named = id.clone();
        let gone =
            fixture.write(move |tx| Box::pin(async move { invitations::delete(tx, &named).await })).await;
        assert_eq!(gone, there_was_one);
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn invitations_are_listed_in_pages_oldest_first(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let end = fixture.now().plus(Duration::from_hours(1));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (made, link) = (invitation(&fixture, end), fixture.digest());
        ids.push(made.id.clone());
        fixture.write(move |tx| Box::pin(async move { invitations::insert(tx, &made, &link).await })).await;
    }
    ids.sort();
    let mut tx = fixture.read().await;
    let first = invitations::list(&mut tx, None, 2).await.unwrap();
    let rest = invitations::list(&mut tx, Some(first[1].id.as_str()), 2).await.unwrap();
    let listed: Vec<_> = first.into_iter().chain(rest).map(|found| found.id).collect();
    assert_eq!(listed, ids);
}

/// Whoever wants an account learns nothing of who has the address, but an address is one whatever its capitals and its account are.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_account_is_found_by_its_address_in_whatever_case_and_state(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (_, user, _, _) = fixture.any_grant().await;
    let changed = users::find(&mut fixture.read().await, &user).await.unwrap().unwrap();
    let changed = crate::domain::user::User {
        email: Some(Email::parse("Ada@example.org").unwrap()),
        disabled_at: Some(fixture.now()),
        ..changed
    };
    let stored = changed.clone();
    fixture.write(move |tx| Box::pin(async move { users::update(tx, &stored).await })).await;
    let mut tx = fixture.read().await;
    for (typed, found) in [("ada@EXAMPLE.org", true), ("ADA@example.org", true), ("bea@example.org", false)] {
        let address = Email::parse(typed).unwrap();
        let holder = users::find_by_address(&mut tx, &address).await.unwrap();
        assert_eq!(holder.map(|user| user.id), found.then(|| changed.id.clone()), "{typed}");
    }
}
