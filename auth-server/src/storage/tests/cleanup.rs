use std::time::Duration;

use rstest::rstest;

use super::ciba_requests::request;
use super::invitations::invitation;
use super::letter_sign_ins::waiting;
use super::support::{Backend, Fixture, scopes};
use crate::domain::backchannel::NoticeState;
use crate::domain::clock::Timestamp;
use crate::domain::device::DeviceRequest;
use crate::domain::grant::Grant;
use crate::domain::ids::{ClientId, InteractionKind};
use crate::domain::interaction::Interaction;
use crate::domain::letter::LetterState;
use crate::domain::once::Once;
use crate::domain::revocation::Revocation;
use crate::storage::cleanup::{self, Expired};
use crate::storage::device_authorizations::{self, NewDevice};
use crate::storage::leases::Lease;
use crate::storage::mail_outbox::{self, NewLetter};
use crate::storage::refresh_tokens::{self, NewRefreshToken};
use crate::storage::single_use::{self, Purpose};
use crate::storage::{
    ciba_requests, grants, interactions, invitations, jobs, letter_sign_ins, logout_notices, sessions,
};

const HOUR: Duration = Duration::from_hours(1);

/// A device that waits until `end`.
fn device(fixture: &Fixture, client: &ClientId, end: Timestamp) -> NewDevice {
    NewDevice {
        digest: fixture.digest(),
        user_code: fixture.digest(),
        request: DeviceRequest {
            client: client.clone(),
            scopes: scopes("openid"),
            resource: None,
            address: None,
            created_at: fixture.now(),
            expires_at: end,
            decided_at: None,
        },
        interval: Duration::from_secs(5),
    }
}

fn letter(fixture: &Fixture, end: Timestamp) -> NewLetter {
    NewLetter {
        id: fixture.id(),
        kind: "test",
        user: Some(fixture.id()),
        tally: fixture.digest(),
        sealed: Vec::new(),
        created_at: fixture.now(),
        expires_at: end,
    }
}

/// One row of everything that ends in an hour.
async fn fill(fixture: &Fixture) -> Grant {
    let (client, user, session, grant) = fixture.any_grant().await;
    let end = fixture.now().plus(HOUR);
    let flow = Interaction {
        id: fixture.id::<InteractionKind>(),
        client: client.clone(),
        browser: fixture.digest(),
        request: "{}".to_owned(),
        prior_session: None,
        prior_proof: None,
        session: None,
        created_at: fixture.now(),
        expires_at: end,
        finished_at: None,
    };
    let device = device(fixture, &client, end);
    let asked = request(fixture, &client, &user, end);
    let token = NewRefreshToken {
        digest: fixture.digest(),
        grant: grant.clone(),
        client,
        scopes: scopes("openid"),
        expires_at: end,
        absolute_expires_at: end,
        once: Once::default(),
    };
    let letter = letter(fixture, end);
    let invited = invitation(fixture, end);
    let (code, now, job, notice) = (fixture.digest(), fixture.now(), fixture.id(), fixture.id());
    let lease = Lease { token: "t".to_owned(), until: end };
    fixture
        .write(move |tx| {
            Box::pin(async move {
                ciba_requests::insert(tx, &asked).await?;
                assert!(device_authorizations::insert(tx, &device).await?);
                interactions::insert(tx, &flow).await?;
                invitations::insert(tx, &invited, &code).await?;
                refresh_tokens::insert(tx, &token).await?;
                single_use::issue(tx, Purpose::AuthorizationCode, &code, &1, end).await?;
                letter_sign_ins::insert(tx, &waiting(code, None, now)).await?;
                tx.revoke(Revocation::of_token("jti", end));
                assert!(jobs::insert(tx, &job, "x", "{}", now).await?);
                mail_outbox::insert(tx, &letter, LetterState::Waiting).await?;
                let leased = jobs::take(tx, "t", end, now).await?.unwrap();
                assert!(jobs::finish(tx, &leased.id, "t", end).await?);
                let told = logout_notices::of_session(tx, &session).await?.remove(0);
                assert!(logout_notices::insert(tx, &notice, &told, now, Some(&lease)).await?);
                let settled = (&notice, &lease);
                assert!(logout_notices::settle(tx, settled, NoticeState::Failed, None, end).await?);
                Ok(())
            })
        })
        .await;
    grants::find(&mut fixture.read().await, &grant).await.unwrap().unwrap()
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_has_ended_goes_and_what_has_not_stays(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    fill(&fixture).await;
    let (end, day) = (fixture.now().plus(HOUR), fixture.now().plus(HOUR * 25));
    let gone = |before| {
        let fixture = &fixture;
        async move {
            let mut gone = Vec::new();
            for what in Expired::ALL {
                gone.push(
                    fixture
                        .write(move |tx| {
                            Box::pin(async move { cleanup::expired(tx, what, before, 10).await })
                        })
                        .await,
                );
            }
            gone
        }
    };
    assert_eq!(gone(end).await, [0; 12]);
    // In the order of the list; the session lives for a day.
    assert_eq!(gone(end.plus(HOUR)).await, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1]);
    assert_eq!(gone(day).await, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn one_step_takes_a_few_rows_only(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let end = fixture.now().plus(HOUR);
    for number in 0..5 {
        fixture
            .write(move |tx| {
                Box::pin(async move {
                    tx.revoke(Revocation::of_token(&number.to_string(), end));
                    Ok(())
                })
            })
            .await;
    }
    let mut steps = Vec::new();
    for _ in 0..3 {
        let before = end.plus(HOUR);
        let step = fixture.write(move |tx| {
            Box::pin(async move { cleanup::expired(tx, Expired::Revocations, before, 3).await })
        });
        steps.push(step.await);
    }
    assert_eq!(steps, [3, 2, 0]);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_grant_goes_when_neither_token_nor_session_is_left(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let bound = fill(&fixture).await;
    // Made beside it, without a token and with a session that was never there.
    let loose = {
        let found = fixture.grant(&bound.client, &bound.user, "openid").await;
        found.id
    };
    let before = fixture.now().plus(HOUR * 48);
    let sweep = |before| {
        let fixture = &fixture;
        async move {
            let mut after = None;
            loop {
                let next = fixture
                    .write(move |tx| {
                        Box::pin(async move { cleanup::grants(tx, after.as_ref(), before, 1).await })
                    })
                    .await;
                match next {
                    Some(end) => after = Some(end),
                    None => return,
                }
            }
        }
    };
    let exists = async |id| grants::find(&mut fixture.read().await, id).await.unwrap().is_some();
    sweep(fixture.now()).await;
    assert!(exists(&loose).await);
    sweep(before).await;
    assert!(exists(&bound.id).await && !exists(&loose).await);
    for what in Expired::ALL {
        fixture.write(move |tx| Box::pin(async move { cleanup::expired(tx, what, before, 10).await })).await;
    }
    assert_eq!(sessions::find(&mut fixture.read().await, &bound.session).await.unwrap(), None);
    sweep(before).await;
    assert!(!exists(&bound.id).await);
}
