//! Grants as they begin, and what is taken back at the same moment.

use std::time::Duration;

use rstest::rstest;
use tokio::sync::oneshot;

use super::support::{Backend, Fixture, START, scopes};
use crate::domain::confirmation::{Confirmation, KeyProof, Thumbprint};
use crate::domain::consent::Consent;
use crate::domain::details::Details;
use crate::domain::grant::Grant;
use crate::domain::ids::{ApiId, ClientId, GrantId, UserId};
use crate::domain::rbac::{Assignment, AssignmentSubject, OrganisationScope, Role, RoleName};
use crate::domain::refresh::RefreshState;
use crate::domain::secret::Digest32;
use crate::domain::signing::SigningAlg;
use crate::storage::grants::{FirstToken, Standing};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{
    Store, StoreError, Tx, Unique, assignments, consents, grants, refresh_tokens, roles, sessions, users,
};

const TTL: Duration = Duration::from_hours(24);

fn first(fixture: &Fixture, proof: Option<KeyProof>) -> FirstToken {
    FirstToken {
        digest: fixture.digest(),
        expires_at: fixture.now().plus(TTL),
        absolute_expires_at: fixture.now().plus(TTL * 90),
        proof,
    }
}

async fn begin(
    store: &Store,
    grant: &Grant,
    first: Option<FirstToken>,
) -> Result<Option<Standing>, StoreError> {
    let grant = grant.clone();
    store.write(move |tx| Box::pin(async move { grants::begin(tx, &grant, first.as_ref()).await })).await
}

/// A grant of somebody who is signed in, with a consent and a role at an API, which is not there yet.
async fn underway(fixture: &Fixture) -> Grant {
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
    let token = first(&fixture, None);
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
        let token = first(&fixture, None);
        let begun = begin(&fixture.store, &gone, Some(token.clone())).await.unwrap();
        assert!(begun.is_none());
        assert!(refresh_tokens::find(&mut fixture.read().await, &token.digest).await.unwrap().is_none());
    }
    let nowhere = Grant { reach: Some(fixture.api_id()).into(), ..grant };
    let token = first(&fixture, None);
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
async fn a_family_uses_its_proof_up_as_it_begins(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let grant = underway(&fixture).await;
    let key = Thumbprint::parse(&"A".repeat(43)).unwrap();
    let good_until = fixture.now().plus(TTL);
    let proof = KeyProof { key, alg: SigningAlg::Es256, name: fixture.digest(), good_until };
    let token = first(&fixture, Some(proof.clone()));
    assert!(begin(&fixture.store, &grant, Some(token)).await.unwrap().is_some());
    let again = Grant { id: fixture.id(), ..grant };
    let used = Err(StoreError::Conflict(Unique::Once));
    let begun = begin(&fixture.store, &again, Some(first(&fixture, Some(proof.clone())))).await;
    assert_eq!(begun.map(drop), used);
    assert_eq!(grants::find(&mut fixture.read().await, &again.id).await.unwrap(), None, "nothing is kept");
    let now = fixture.now();
    let alone =
        fixture.store.write(move |tx| Box::pin(async move { single_use::use_proof(tx, &proof, now).await }));
    assert_eq!(alone.await, used);
}

/// Issues a code for a grant, as far as what is stored of it matters here.
async fn issue(fixture: &Fixture, Grant { user, client, .. }: &Grant) -> Digest32 {
    let digest = fixture.digest();
    let payload = serde_json::json!({ "client": client.as_str(), "user": user.as_str() });
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let ends = START.plus(TTL);
                single_use::issue(tx, Purpose::AuthorizationCode, &digest, &payload, ends).await
            })
        })
        .await;
    digest
}

/// Spends a code and begins its grant.
async fn redeem(
    tx: &mut Tx,
    code: &Digest32,
    (grant, first): (&Grant, &FirstToken),
) -> Result<Option<Standing>, StoreError> {
    let spent = single_use::consume_from_user(tx, Purpose::AuthorizationCode, code, START).await?;
    let spent: Option<serde_json::Value> = spent;
    if spent.is_none() { Ok(None) } else { grants::begin(tx, grant, Some(first)).await }
}

/// Takes back all that a user allowed a client, as those do who end something.
async fn take_back(tx: &mut Tx, user: &UserId, client: &ClientId) -> Result<(), StoreError> {
    users::hold(tx, user).await?;
    sessions::end_all(tx, user, START).await?;
    consents::delete(tx, user, client).await?;
    grants::revoke_between(tx, user, client, START).await.map(drop)
}

async fn somebody_waits(fixture: &Fixture) {
    let waiters =
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let mut tx = fixture.read().await;
    while tx.fetch_all(waiters, &[]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Of two replicas one redeems a code while the other takes back what it stands for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_redemption_waits_for_who_takes_back_and_sees_it() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let grant = underway(&fixture).await;
    let code = issue(&fixture, &grant).await;
    let (release, released) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel::<()>();
    let (store, user, client) = (fixture.store.clone(), grant.user.clone(), grant.client.clone());
    let taking = tokio::spawn(async move {
        let work = store.write(move |tx| {
            Box::pin(async move {
                take_back(tx, &user, &client).await?;
                begun.send(()).unwrap();
                released.await.map_err(|_| StoreError::Busy)
            })
        });
        work.await
    });
    has_begun.await.unwrap();
    let (store, token) = (fixture.replica().await, first(&fixture, None));
    let redeeming = tokio::spawn(async move {
        let work = store.write(move |tx| Box::pin(async move { redeem(tx, &code, (&grant, &token)).await }));
        work.await
    });
    somebody_waits(&fixture).await;
    release.send(()).unwrap();
    taking.await.unwrap().unwrap();
    let standing = redeeming.await.unwrap().unwrap().unwrap();
    assert_eq!(standing.session.unwrap().ended_at, Some(START));
    assert!(!standing.at_issue.unwrap().is_remembered);
}

/// Whoever takes back what one client was allowed begins with its codes, in the order in which a redemption goes on: neither waits for
/// the other.
#[rstest]
#[case::from_every_client(false)]
#[case::from_one_client(true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_who_takes_back_waits_for_a_redemption_and_ends_what_it_bought(
    #[case] codes_first: bool,
) {
    let fixture = Fixture::new(Backend::Postgres).await;
    let grant = underway(&fixture).await;
    let code = issue(&fixture, &grant).await;
    let (release, released) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel::<()>();
    let (store, token, bought) = (fixture.replica().await, first(&fixture, None), grant.clone());
    let redeeming = tokio::spawn(async move {
        let work = store.write(move |tx| {
            Box::pin(async move {
                // Between the code and its grant, too.
                let purpose = Purpose::AuthorizationCode;
                let spent: Option<serde_json::Value> =
                    single_use::consume_from_user(tx, purpose, &code, START).await?;
                assert!(spent.is_some());
                begun.send(()).unwrap();
                released.await.map_err(|_| StoreError::Busy)?;
                grants::begin(tx, &bought, Some(&token)).await
            })
        });
        work.await
    });
    has_begun.await.unwrap();
    let (store, user, client) = (fixture.store.clone(), grant.user.clone(), grant.client.clone());
    let taking = tokio::spawn(async move {
        let work = store.write(move |tx| {
            Box::pin(async move {
                if codes_first {
                    let purpose = Purpose::AuthorizationCode;
                    assert!(!single_use::forget_between(tx, purpose, &user, &client).await?, "it is spent");
                }
                take_back(tx, &user, &client).await
            })
        });
        work.await
    });
    somebody_waits(&fixture).await;
    release.send(()).unwrap();
    let standing = redeeming.await.unwrap().unwrap().unwrap();
    assert_eq!(standing.session.unwrap().ended_at, None, "it came first");
    taking.await.unwrap().unwrap();
    assert!(is_revoked(&fixture, &grant.id).await);
}

async fn is_revoked(fixture: &Fixture, id: &GrantId) -> bool {
    grants::find(&mut fixture.read().await, id).await.unwrap().unwrap().revoked_at.is_some()
}
