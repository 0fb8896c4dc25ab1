//! What users allowed, as it is redeemed, and what is taken back at the same moment.

use rstest::rstest;
use tokio::sync::oneshot;

use super::begun::{TTL, first, underway};
use super::support::{Backend, Fixture, START};
use crate::domain::code::{CodeBinding, CodeIdentity, CodePayload};
use crate::domain::decoupled::Approval;
use crate::domain::grant::Grant;
use crate::domain::ids::{ClientId, GrantId, UserId};
use crate::domain::once::Once;
use crate::domain::reach::Reach;
use crate::domain::secret::Digest32;
use crate::storage::grants::{FirstToken, Standing};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{StoreError, Tx, consents, grants, sessions, users};

/// What stands for a grant until it is redeemed: where it lies, what it is shown with, and the grant.
#[derive(Clone)]
struct Ticket {
    purpose: Purpose,
    digest: Digest32,
    grant: Grant,
}

/// Issues what the person allowed, as it is issued.
async fn issue(fixture: &Fixture, purpose: Purpose, grant: &Grant) -> Ticket {
    let ticket = Ticket { purpose, digest: fixture.digest(), grant: grant.clone() };
    let (issued, ends) = (ticket.clone(), START.plus(TTL));
    fixture
        .write(move |tx| {
            Box::pin(async move {
                let Ticket { purpose, digest, grant } = &issued;
                if *purpose == Purpose::AuthorizationCode {
                    single_use::issue_from_user(tx, *purpose, digest, &code_for(grant), ends).await
                } else {
                    single_use::issue_from_user(tx, *purpose, digest, &approval_of(grant), ends).await
                }
            })
        })
        .await;
    ticket
}

pub(super) fn code_for(grant: &Grant) -> CodePayload {
    let Grant { id, client, user, session, scopes, reach, identity, .. } = grant.clone();
    CodePayload {
        grant: id,
        client,
        user,
        session,
        redirect_uri: "https://orders.example/cb".to_owned(),
        binding: CodeBinding { challenge: None, jkt: None },
        identity: CodeIdentity { nonce: Some("n".to_owned()), claims: identity.claims },
        scopes,
        reach,
        auth_time: identity.auth_time,
    }
}

fn approval_of(grant: &Grant) -> Approval {
    let Grant { id, client, user, session, scopes, reach, identity, .. } = grant.clone();
    let (resource, auth_time) = (reach.apis.only().cloned(), identity.auth_time);
    Approval { grant: id, client, user, session, scopes, resource, auth_time }
}

/// Spends it.
async fn spend(tx: &mut Tx, ticket: &Ticket) -> Result<bool, StoreError> {
    let Ticket { purpose, digest, grant } = ticket;
    if *purpose == Purpose::AuthorizationCode {
        let spent = single_use::consume_from_user(tx, *purpose, digest, START).await?;
        Ok(spent.is_some_and(|spent: CodePayload| spent == code_for(grant)))
    } else {
        let spent = single_use::consume_from_user(tx, *purpose, digest, START).await?;
        Ok(spent.is_some_and(|spent: Approval| spent == approval_of(grant)))
    }
}

/// Spends it and begins its grant.
async fn redeem(tx: &mut Tx, ticket: &Ticket, first: &FirstToken) -> Result<Option<Standing>, StoreError> {
    if spend(tx, ticket).await? {
        grants::begin(tx, &ticket.grant, Some(first), &Once::default()).await
    } else {
        Ok(None)
    }
}

/// What stands beside a code or an approval of who allowed it.
#[derive(Clone, Copy, Debug)]
enum Beside {
    /// Nothing: a replica of before issued it.
    Nothing,
    /// Somebody else.
    Other,
    User,
}

impl Beside {
    async fn put(self, fixture: &Fixture) {
        let sql = match self {
            Self::Nothing => "UPDATE single_use SET user_id = NULL",
            Self::Other => "UPDATE single_use SET user_id = (SELECT id FROM users WHERE username = 'bob')",
            Self::User => return,
        };
        fixture.user("bob").await;
        fixture.place.tamper(sql).await;
    }
}

/// Details that can be asked for no more, in a code that is on its way.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_a_code_says_in_detail_keeps_nobody_from_redeeming_it(
    #[case] backend: Backend,
    #[values(Beside::Nothing, Beside::User)] beside: Beside,
) {
    let fixture = Fixture::new(backend).await;
    let grant = underway(&fixture).await;
    let details = r#"[{ "type": "payment", "a\u0000": "x\u0000y", "user": "nobody" }]"#;
    let reach = Reach { details: serde_json::from_str(details).unwrap(), ..grant.reach };
    let grant = Grant { reach, ..grant };
    let ticket = issue(&fixture, Purpose::AuthorizationCode, &grant).await;
    beside.put(&fixture).await;
    let first = first(&fixture);
    let work = fixture.write(move |tx| Box::pin(async move { redeem(tx, &ticket, &first).await }));
    assert!(work.await.is_some());
    let kept = grants::find(&mut fixture.read().await, &grant.id).await.unwrap().unwrap();
    assert_eq!(kept.reach, grant.reach);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn spending_what_a_user_allowed_is_one_statement(
    #[case] backend: Backend,
    #[values(Purpose::AuthorizationCode, Purpose::AuthReqId, Purpose::DeviceCode)] purpose: Purpose,
) {
    let fixture = Fixture::new(backend).await;
    let ticket = issue(&fixture, purpose, &underway(&fixture).await).await;
    let before = fixture.store.statements();
    let twice = fixture
        .write(move |tx| Box::pin(async move { Ok((spend(tx, &ticket).await?, spend(tx, &ticket).await?)) }));
    assert_eq!(twice.await, (true, false), "once");
    assert_eq!(fixture.store.statements() - before, 2);
}

/// Nobody would be held: of who takes it back and who redeems it neither would see the other.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_names_nobody_is_not_spent(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let grant = underway(&fixture).await;
    let mut payload = serde_json::to_value(code_for(&grant)).unwrap();
    payload.as_object_mut().unwrap().remove("user").unwrap();
    let (purpose, digest) = (Purpose::AuthorizationCode, fixture.digest());
    let stored = payload.clone();
    fixture
        .write(move |tx| {
            let ends = START.plus(TTL);
            Box::pin(async move { single_use::issue(tx, purpose, &digest, &stored, ends).await })
        })
        .await;
    let spent = fixture.store.write(move |tx| {
        Box::pin(
            async move { single_use::consume_from_user::<CodePayload>(tx, purpose, &digest, START).await },
        )
    });
    assert!(matches!(spent.await, Err(StoreError::Corrupt { .. })));
    let kept = single_use::find(&mut fixture.read().await, purpose, &digest, START).await.unwrap();
    assert_eq!(kept, Some(payload), "it is as it was");
}

/// Takes back all that a user allowed a client, as those do who end something.
async fn take_back(tx: &mut Tx, user: &UserId, client: &ClientId) -> Result<(), StoreError> {
    users::hold(tx, user).await?;
    sessions::end_all(tx, user, START).await?;
    consents::delete(tx, user, client).await?;
    grants::revoke_between(tx, user, client, START).await.map(drop)
}

/// Of two replicas one redeems a code while the other takes back what it stands for.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_redemption_waits_for_who_takes_back_and_sees_it(
    #[values(Purpose::AuthorizationCode, Purpose::DeviceCode)] purpose: Purpose,
    #[values(Beside::Nothing, Beside::Other, Beside::User)] beside: Beside,
) {
    let fixture = Fixture::new(Backend::Postgres).await;
    let grant = underway(&fixture).await;
    let ticket = issue(&fixture, purpose, &grant).await;
    beside.put(&fixture).await;
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
    let (store, token) = (fixture.replica().await, first(&fixture));
    let redeeming = tokio::spawn(async move {
        store.write(move |tx| Box::pin(async move { redeem(tx, &ticket, &token).await })).await
    });
    fixture.somebody_waits().await;
    release.send(()).unwrap();
    taking.await.unwrap().unwrap();
    let standing = redeeming.await.unwrap().unwrap().unwrap();
    assert_eq!(standing.session.unwrap().ended_at, Some(START));
    assert!(!standing.at_issue.unwrap().is_remembered);
}

/// Whoever takes back what one client was allowed begins with its codes, in the order in which a redemption goes on: neither waits for
/// the other.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_who_takes_back_waits_for_a_redemption_and_ends_what_it_bought(
    #[values(Purpose::AuthorizationCode, Purpose::DeviceCode)] purpose: Purpose,
    #[values(Beside::Nothing, Beside::Other, Beside::User)] beside: Beside,
    #[values(false, true)] codes_first: bool,
) {
    let fixture = Fixture::new(Backend::Postgres).await;
    let grant = underway(&fixture).await;
    let ticket = issue(&fixture, purpose, &grant).await;
    beside.put(&fixture).await;
    let (release, released) = oneshot::channel::<()>();
    let (begun, has_begun) = oneshot::channel::<()>();
    let (store, token) = (fixture.replica().await, first(&fixture));
    let redeeming = tokio::spawn(async move {
        let work = store.write(move |tx| {
            Box::pin(async move {
                // Between the code and its grant, too.
                assert!(spend(tx, &ticket).await?);
                begun.send(()).unwrap();
                released.await.map_err(|_| StoreError::Busy)?;
                grants::begin(tx, &ticket.grant, Some(&token), &Once::default()).await
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
                    assert!(!single_use::forget_between(tx, purpose, &user, &client).await?, "it is spent");
                }
                take_back(tx, &user, &client).await
            })
        });
        work.await
    });
    fixture.somebody_waits().await;
    release.send(()).unwrap();
    let standing = redeeming.await.unwrap().unwrap().unwrap();
    assert_eq!(standing.session.unwrap().ended_at, None, "it came first");
    taking.await.unwrap().unwrap();
    assert!(is_revoked(&fixture, &grant.id).await);
}

async fn is_revoked(fixture: &Fixture, id: &GrantId) -> bool {
    grants::find(&mut fixture.read().await, id).await.unwrap().unwrap().revoked_at.is_some()
}
