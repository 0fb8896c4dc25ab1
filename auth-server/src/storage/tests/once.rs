//! What comes with requests and counts once, and what is bought with it.

use std::time::Duration;

use futures_util::future::join_all;
use rstest::rstest;

use super::begun::{begin_with, first, underway};
use super::support::{Backend, Fixture, scopes};
use crate::domain::confirmation::{KeyProof, Thumbprint};
use crate::domain::grant::Grant;
use crate::domain::once::{ClientAssertion, Once};
use crate::domain::refresh::RefreshState;
use crate::domain::secret::Digest32;
use crate::domain::signing::SigningAlg;
use crate::storage::refresh_tokens::{self, NewRefreshToken};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{Store, StoreError, Unique, grants};

const TTL: Duration = Duration::from_mins(1);
const USED: StoreError = StoreError::Conflict(Unique::Once);

/// What a request brought.
#[derive(Clone, Copy, Debug)]
enum Brought {
    Assertion,
    Both,
    Nothing,
    Proof,
}

impl Brought {
    const ALL: [Self; 4] = [Self::Assertion, Self::Both, Self::Nothing, Self::Proof];

    fn fresh(self, fixture: &Fixture) -> Once {
        let good_until = fixture.now().plus(TTL);
        let key = Thumbprint::parse(&"A".repeat(43)).unwrap();
        let assertion = ClientAssertion { name: fixture.digest(), good_until };
        let proof = KeyProof { key, alg: SigningAlg::Es256, name: fixture.digest(), good_until };
        Once {
            assertion: matches!(self, Self::Assertion | Self::Both).then_some(assertion),
            proof: matches!(self, Self::Proof | Self::Both).then_some(proof),
        }
    }
}

/// The parts of it, each alone and with something beside it that was never seen.
fn again(fixture: &Fixture, once: &Once) -> Vec<Once> {
    let fresh = Brought::Both.fresh(fixture);
    let assertion = once.assertion.map(|shown| Once { assertion: Some(shown), proof: None });
    let proof = once.proof.clone().map(|proof| Once { assertion: None, proof: Some(proof) });
    let beside_proof = assertion.clone().map(|once| Once { proof: fresh.proof, ..once });
    let beside_assertion = proof.clone().map(|once| Once { assertion: fresh.assertion, ..once });
    [assertion, proof, beside_proof, beside_assertion].into_iter().flatten().collect()
}

async fn use_up(store: &Store, once: &Once) -> Result<(), StoreError> {
    let once = once.clone();
    store.write(move |tx| Box::pin(async move { single_use::use_up(tx, &once).await })).await
}

/// None of it is good for anything any more, and a thing beside it that was shown in vain still is.
async fn assert_used(fixture: &Fixture, once: &Once) {
    for part in again(fixture, once) {
        assert_eq!(use_up(&fixture.store, &part).await, Err(USED), "{part:?}");
        let unused = Once {
            assertion: part.assertion.filter(|_| once.assertion != part.assertion),
            proof: part.proof.filter(|proof| once.proof.as_ref() != Some(proof)),
        };
        assert_eq!(use_up(&fixture.store, &unused).await, Ok(()), "{unused:?}");
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_counts_once_is_used_up_in_one_statement(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    for brought in Brought::ALL {
        let once = brought.fresh(&fixture);
        let before = fixture.store.statements();
        assert_eq!(use_up(&fixture.store, &once).await, Ok(()), "{brought:?}");
        assert_eq!(fixture.store.statements() - before, u64::from(!once.is_empty()), "{brought:?}");
        assert_used(&fixture, &once).await;
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_callers_at_two_replicas_one_uses_it_up(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let replica = fixture.replica().await;
    let shared = Brought::Both.fresh(&fixture);
    let callers = (0..20).map(|number| {
        let store = if number % 2 == 0 { fixture.store.clone() } else { replica.clone() };
        // Each shows the one assertion, half of them with a proof of their own.
        let own = Brought::Proof.fresh(&fixture).proof;
        let once = Once { proof: if number < 10 { own } else { shared.proof.clone() }, ..shared.clone() };
        tokio::spawn(async move { use_up(&store, &once).await })
    });
    let outcomes: Vec<_> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(USED)).count(), 19, "{outcomes:?}");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_grant_uses_it_up_as_it_begins_with_a_token_or_without(
    #[case] backend: Backend,
    #[values(false, true)] refreshes: bool,
) {
    let fixture = Fixture::new(backend).await;
    let model = underway(&fixture).await;
    let token = || refreshes.then(|| first(&fixture));
    for brought in Brought::ALL {
        let grant = Grant { id: fixture.id(), ..model.clone() };
        let once = brought.fresh(&fixture);
        let before = fixture.store.statements();
        let begun = begin_with(&fixture.store, &grant, token(), once.clone()).await;
        assert!(begun.unwrap().is_some(), "{brought:?}");
        assert_eq!(fixture.store.statements() - before, 1, "{brought:?}");
        for part in again(&fixture, &once) {
            let next = Grant { id: fixture.id(), ..model.clone() };
            let begun = begin_with(&fixture.store, &next, token(), part).await;
            assert_eq!(begun.map(drop), Err(USED), "{brought:?}");
            assert_eq!(
                grants::find(&mut fixture.read().await, &next.id).await.unwrap(),
                None,
                "nothing is kept"
            );
        }
        assert_used(&fixture, &once).await;
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_grant_that_cannot_begin_uses_nothing_up(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let grant = Grant { user: fixture.id(), ..underway(&fixture).await };
    let once = Brought::Both.fresh(&fixture);
    assert!(begin_with(&fixture.store, &grant, Some(first(&fixture)), once.clone()).await.unwrap().is_none());
    assert_eq!(use_up(&fixture.store, &once).await, Ok(()));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_refresh_token_uses_it_up_as_it_is_issued(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (client, _, _, grant) = fixture.any_grant().await;
    let now = fixture.now();
    let issued = async |digest: Digest32, once: Once| {
        let (grant, client, ends) = (grant.clone(), client.clone(), now.plus(TTL));
        let token = NewRefreshToken {
            digest,
            grant,
            client,
            scopes: scopes("openid"),
            expires_at: ends,
            absolute_expires_at: ends,
            once,
        };
        let work =
            fixture.store.write(move |tx| Box::pin(async move { refresh_tokens::insert(tx, &token).await }));
        work.await
    };
    for brought in Brought::ALL {
        let (digest, once) = (fixture.digest(), brought.fresh(&fixture));
        let before = fixture.store.statements();
        assert_eq!(issued(digest, once.clone()).await, Ok(()), "{brought:?}");
        assert_eq!(fixture.store.statements() - before, 1, "{brought:?}");
        let found = refresh_tokens::find(&mut fixture.read().await, &digest).await.unwrap().unwrap();
        assert_eq!(found.state, RefreshState::Active { expires_at: now.plus(TTL) });
        for part in again(&fixture, &once) {
            let next = fixture.digest();
            assert_eq!(issued(next, part).await, Err(USED), "{brought:?}");
            assert!(refresh_tokens::find(&mut fixture.read().await, &next).await.unwrap().is_none());
        }
        assert_used(&fixture, &once).await;
    }
}

/// How a replica of the version before issues the token of a refresh, after it used the assertion up by itself.
const ISSUE_OF_BEFORE: &str = "
    INSERT INTO refresh_tokens (digest, grant_id, client_id, scopes, issued_at, expires_at, absolute_expires_at, proof,
                                proof_good_until)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_replica_of_the_version_before_and_one_of_this_see_what_the_other_used_up(
    #[case] backend: Backend,
) {
    let fixture = Fixture::new(backend).await;
    let (client, _, _, grant) = fixture.any_grant().await;
    let (now, ends) = (fixture.now(), fixture.now().plus(TTL));
    let issue_as_before = async |once: &Once| {
        let (digest, client, grant, once) = (fixture.digest(), client.clone(), grant.clone(), once.clone());
        let work = fixture.store.write(move |tx| {
            Box::pin(async move {
                let proof = once.proof.as_ref();
                let values = [
                    (&digest).into(),
                    (&grant).into(),
                    (&client).into(),
                    "openid".into(),
                    now.into(),
                    ends.into(),
                    ends.into(),
                    proof.map(|proof| proof.name.as_bytes().as_slice()).into(),
                    proof.map(|proof| proof.good_until).into(),
                ];
                tx.execute(ISSUE_OF_BEFORE, &values).await.map(drop)
            })
        });
        work.await
    };
    let once = Brought::Both.fresh(&fixture);
    assert_eq!(issue_as_before(&once).await, Ok(()));
    assert_eq!(use_up(&fixture.store, &once).await, Err(USED), "the proof is used");
    let assertion = Once { proof: None, ..once };
    assert_eq!(use_up(&fixture.store, &assertion).await, Ok(()), "that one used no assertion up here");
    let once = Brought::Both.fresh(&fixture);
    assert_eq!(use_up(&fixture.store, &once).await, Ok(()));
    assert_eq!(issue_as_before(&once).await, Err(USED), "nor does it count there");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_is_pushed_uses_it_up_as_it_is_kept(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let purpose = Purpose::PushedRequest;
    let kept = async |digest: Digest32, once: Once| {
        let ends = fixture.now().plus(TTL);
        let work = fixture.store.write(move |tx| {
            Box::pin(
                async move { single_use::issue_with(tx, (purpose, &digest), &"request", ends, &once).await },
            )
        });
        work.await
    };
    let found = async |digest: Digest32| {
        let now = fixture.now();
        single_use::find::<String>(&mut fixture.read().await, purpose, &digest, now).await.unwrap()
    };
    for brought in Brought::ALL {
        let (digest, once) = (fixture.digest(), brought.fresh(&fixture));
        let before = fixture.store.statements();
        assert_eq!(kept(digest, once.clone()).await, Ok(()), "{brought:?}");
        assert_eq!(fixture.store.statements() - before, 1, "{brought:?}");
        assert_eq!(found(digest).await.as_deref(), Some("request"));
        for part in again(&fixture, &once) {
            let next = fixture.digest();
            assert_eq!(kept(next, part).await, Err(USED), "{brought:?}");
            assert_eq!(found(next).await, None);
        }
        assert_used(&fixture, &once).await;
    }
}
