//! Grants as they begin.

use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture, scopes};
use crate::domain::confirmation::{Confirmation, Thumbprint};
use crate::domain::consent::Consent;
use crate::domain::details::Details;
use crate::domain::grant::Grant;
use crate::domain::ids::{ApiId, ClientId, UserId};
use crate::domain::once::Once;
use crate::domain::rbac::{Assignment, AssignmentSubject, OrganisationScope, Role, RoleName};
use crate::domain::refresh::RefreshState;
use crate::storage::grants::{FirstToken, Standing};
use crate::storage::{Store, StoreError, assignments, consents, grants, refresh_tokens, roles};

pub(super) const TTL: Duration = Duration::from_hours(24);

pub(super) fn first(fixture: &Fixture) -> FirstToken {
    FirstToken {
        digest: fixture.digest(),
        expires_at: fixture.now().plus(TTL),
        absolute_expires_at: fixture.now().plus(TTL * 90),
    }
}

async fn begin(
    store: &Store,
    grant: &Grant,
    first: Option<FirstToken>,
) -> Result<Option<Standing>, StoreError> {
    begin_with(store, grant, first, Once::default()).await
}

pub(super) async fn begin_with(
    store: &Store,
    grant: &Grant,
    first: Option<FirstToken>,
    once: Once,
) -> Result<Option<Standing>, StoreError> {
    let grant = grant.clone();
    let work = store
        .write(move |tx| Box::pin(async move { grants::begin(tx, &grant, first.as_ref(), &once).await }));
    work.await
}

/// A grant of somebody who is signed in, with a consent and a role at an API, which is not there yet.
pub(super) async fn underway(fixture: &Fixture) -> Grant {
    let (user, client) = (fixture.user("ada").await.id, fixture.client().await.id);
    let (session, api) =
        (fixture.session(&user, &fixture.digest()).await.id, fixture.api("https://orders.test").await.id);
    let role = Role {
        id: fixture.id(),
        api: api.clone(),
        name: RoleName::parse("reader").unwrap(),
        description: String::new(),
    };
    let held = Assignment {
        id: fixture.id(),
        role: role.id.clone(),
        subject: AssignmentSubject::User(user.clone()),
        organisation: OrganisationScope::Every,
    };
    allow(fixture, &user, &client, &api, (role, held)).await;
    let binding = Confirmation { jkt: Some(Thumbprint::parse(&"A".repeat(43)).unwrap()), x5t: None };
    let model = fixture.grant(&client, &user, "openid offline_access").await;
    Grant { id: fixture.id(), session, reach: Some(api).into(), binding, ..model }
}

async fn allow(
    fixture: &Fixture,
    user: &UserId,
    client: &ClientId,
    api: &ApiId,
    (role, held): (Role, Assignment),
) {
    let consent = Consent {
        user: user.clone(),
        client: client.clone(),
        api: Some(api.clone()),
        scopes: scopes("openid"),
        claims: "nickname".parse().unwrap(),
        details: Details::default(),
        granted_at: fixture.now(),
    };
    fixture
        .write(move |tx| {
            Box::pin(async move {
                roles::insert(tx, &role).await?;
                assert!(assignments::insert(tx, &held).await?);
                consents::save(tx, &consent).await
            })
        })
        .await;
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_grant_begins_with_its_first_token_and_says_how_it_stands(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let grant = underway(&fixture).await;
    let token = first(&fixture);
    let before = fixture.store.statements();
    let begun = begin(&fixture.store, &grant, Some(token.clone())).await.unwrap().unwrap();
    assert_eq!(fixture.store.statements() - before, 1);
    let mut tx = fixture.read().await;
    let later = grants::standing_to_issue(&mut tx, &grant.id).await.unwrap().unwrap();
    assert_eq!(later.grant, grant);
    let known = begun.at_issue.clone().unwrap();
    assert_eq!((known.roles, known.is_remembered), (vec![RoleName::parse("reader").unwrap()], true));
    assert!(begun.session.is_some());
    assert_eq!(begun.grant, later.grant);
    assert_eq!((begun.user, begun.session, begun.at_issue), (later.user, later.session, later.at_issue));
    let found = refresh_tokens::find(&mut tx, &token.digest).await.unwrap().unwrap();
    assert_eq!((found.grant, found.client, found.scopes), (grant.id, grant.client, grant.scopes));
    assert_eq!(found.state, RefreshState::Active { expires_at: token.expires_at });
    assert_eq!(found.absolute_expires_at, token.absolute_expires_at);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_grant_may_begin_without_a_token_and_without_its_session(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let grant = Grant { session: fixture.id(), ..underway(&fixture).await };
    let begun = begin(&fixture.store, &grant, None).await.unwrap().unwrap();
    assert_eq!((begun.grant.id, begun.session), (grant.id.clone(), None));
    let (id, now) = (grant.id, fixture.now());
    let revoked =
        fixture.write(move |tx| Box::pin(async move { refresh_tokens::revoke_family(tx, &id, now).await }));
    assert_eq!(revoked.await, 0, "there is none");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn nothing_begins_without_its_user_its_client_or_its_api(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let grant = underway(&fixture).await;
    let nobody = Grant { user: fixture.id(), ..grant.clone() };
    let nothing = Grant { client: fixture.id(), ..grant.clone() };
    for gone in [nobody, nothing] {
        let token = first(&fixture);
        let begun = begin(&fixture.store, &gone, Some(token.clone())).await.unwrap();
        assert!(begun.is_none());
        assert!(refresh_tokens::find(&mut fixture.read().await, &token.digest).await.unwrap().is_none());
    }
    let nowhere = Grant { reach: Some(fixture.api_id()).into(), ..grant };
    let token = first(&fixture);
    let begun = begin(&fixture.store, &nowhere, Some(token.clone())).await;
    assert_eq!(begun.map(drop), Err(StoreError::MissingReference));
    let mut tx = fixture.read().await;
    assert_eq!(grants::find(&mut tx, &nowhere.id).await.unwrap(), None);
    assert!(refresh_tokens::find(&mut tx, &token.digest).await.unwrap().is_none());
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn the_view_stands_in_the_way_of_no_table(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let grant = underway(&fixture).await;
    let change = match backend {
        Backend::Postgres => {
            "ALTER TABLE users ALTER COLUMN name TYPE VARCHAR(999);
             ALTER TABLE sessions ALTER COLUMN user_agent TYPE VARCHAR(999);
             ALTER TABLE grants ALTER COLUMN scopes TYPE VARCHAR(999);
             ALTER TABLE refresh_tokens ALTER COLUMN scopes TYPE VARCHAR(999)"
        }
        Backend::Sqlite => {
            "CREATE TABLE anew AS SELECT * FROM sessions;
             DROP TABLE sessions;
             ALTER TABLE anew RENAME TO sessions"
        }
    };
    fixture.place.tamper(change).await;
    let begun = begin(&fixture.store, &grant, Some(first(&fixture))).await.unwrap().unwrap();
    assert!(begun.session.is_some());
}
