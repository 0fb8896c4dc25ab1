use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture, scopes};
use crate::domain::consent::Consent;
use crate::domain::grant::Grant;
use crate::domain::ids::{ApiId, UserId};
use crate::domain::interaction::Interaction;
use crate::domain::organisation::Organisation;
use crate::domain::rbac::{Assignment, AssignmentSubject, OrganisationScope, Role, RoleName};
use crate::domain::revocation::Revocation;
use crate::storage::{assignments, consents, grants, interactions, organisations, revocations, roles};

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_interaction_is_finished_once(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await;
    let flow = Interaction {
        id: fixture.id(),
        client: client.id,
        browser: fixture.digest(),
        request: r#"{"state":"x"}"#.to_owned(),
        prior_session: Some(fixture.id()),
        prior_proof: Some(fixture.now()),
        session: None,
        created_at: fixture.now(),
        expires_at: fixture.now().plus(Duration::from_mins(20)),
        finished_at: None,
    };
    let (added, session, now) = (flow.clone(), fixture.id(), fixture.now());
    let asked = session.clone();
    let finished = fixture
        .write(move |tx| {
            Box::pin(async move {
                interactions::insert(tx, &added).await?;
                assert!(interactions::bind(tx, &added.id, &asked).await?);
                let late = interactions::finish(tx, &added.id, added.expires_at).await?;
                let first = interactions::finish(tx, &added.id, now).await?;
                let again = interactions::finish(tx, &added.id, now).await?;
                let rebound = interactions::bind(tx, &added.id, &asked).await?;
                Ok((late, first, again, rebound))
            })
        })
        .await;
    assert_eq!(finished, (false, true, false, false));
    let found = interactions::find(&mut fixture.read().await, &flow.id).await.unwrap();
    assert_eq!(found, Some(Interaction { session: Some(session), finished_at: Some(now), ..flow }));
}

/// The roles come with the grant, so that a token needs no statement more.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_grant_stands_with_the_roles_that_count_at_its_api(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (user, client) = (fixture.user("ada").await, fixture.client().await);
    let (api, other) = (fixture.api("https://orders.test").await, fixture.api("https://stock.test").await);
    let elsewhere =
        Organisation { id: fixture.id(), name: "Elsewhere".to_owned(), created_at: fixture.now() };
    let added = elsewhere.clone();
    fixture.write(move |tx| Box::pin(async move { organisations::insert(tx, &added).await })).await;
    let own = OrganisationScope::One(user.organisation.clone());
    for (api, name, places) in [
        (&api, "writer", vec![OrganisationScope::Every, own.clone()]),
        (&api, "reader", vec![own]),
        (&api, "guest", vec![OrganisationScope::One(elsewhere.id)]),
        (&other, "keeper", vec![OrganisationScope::Every]),
    ] {
        fixture.give(&user.id, (&api.id, name), places).await;
    }
    let at_api = Grant {
        id: fixture.id(),
        reach: Some(api.id.clone()).into(),
        ..fixture.grant(&client.id, &user.id, "openid").await
    };
    fixture.insert_grant(&at_api).await;
    let mut tx = fixture.read().await;
    let known = grants::standing_to_issue(&mut tx, &at_api.id).await.unwrap().unwrap().at_issue.unwrap();
    let names: Vec<&str> = known.roles.iter().map(RoleName::as_str).collect();
    assert_eq!((&*names, known.is_remembered), (&["reader", "writer"][..], false));
    assert_eq!(grants::standing(&mut tx, &at_api.id).await.unwrap().unwrap().at_issue, None);
    assert_eq!(known.roles, assignments::roles_of_user(&mut tx, &user.id, &api.id).await.unwrap());
}

impl Fixture {
    async fn give(&self, user: &UserId, (api, name): (&ApiId, &str), places: Vec<OrganisationScope>) {
        let name = RoleName::parse(name).unwrap();
        let role = Role { id: self.id(), api: api.clone(), name, description: String::new() };
        let given = places.into_iter().map(|organisation| Assignment {
            id: self.id(),
            role: role.id.clone(),
            subject: AssignmentSubject::User(user.clone()),
            organisation,
        });
        let given: Vec<Assignment> = given.collect();
        self.write(move |tx| {
            Box::pin(async move {
                roles::insert(tx, &role).await?;
                for one in given {
                    assert!(assignments::insert(tx, &one).await?);
                }
                Ok(())
            })
        })
        .await;
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_grant_stands_with_its_user_and_session(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (_, user, session, grant) = fixture.any_grant().await;
    let standing = grants::standing(&mut fixture.read().await, &grant).await.unwrap().unwrap();
    assert_eq!((standing.grant.id, standing.user.id), (grant, user.clone()));
    assert_eq!(standing.session.map(|session| session.id), Some(session));
    let without = fixture.grant(&standing.grant.client, &user, "openid").await;
    let standing = grants::standing(&mut fixture.read().await, &without.id).await.unwrap().unwrap();
    assert_eq!((standing.grant, standing.session), (without, None));
    let unknown = grants::standing(&mut fixture.read().await, &fixture.id()).await.unwrap();
    assert_eq!(unknown.map(|standing| standing.grant), None);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn signing_out_revokes_grants_except_those_with_offline_access(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (client, user, session, bound) = fixture.any_grant().await;
    let mut made = Vec::new();
    for scope in ["openid offline_access", "offline_access", "openid x:offline_access", "openid"] {
        let grant = Grant {
            id: fixture.id(),
            session: session.clone(),
            scopes: scopes(scope),
            ..fixture.grant(&client, &user, "openid").await
        };
        fixture.insert_grant(&grant).await;
        made.push(grant.id);
    }
    let now = fixture.now();
    fixture
        .write(move |tx| Box::pin(async move { grants::revoke_by_session(tx, &session, now).await }))
        .await;
    let told = async || {
        let raised = revocations::since(&mut fixture.read().await, 0, 100).await.unwrap();
        let places: Vec<u64> = raised.iter().map(|raised| raised.seq).collect();
        assert_eq!(places, (1..=raised.len() as u64).collect::<Vec<_>>(), "in order and without gaps");
        raised.into_iter().map(|raised| raised.revocation.value).collect::<std::collections::BTreeSet<_>>()
    };
    let ended = [&made[2], &made[3], &bound].map(ToString::to_string);
    assert_eq!(told().await, ended.into(), "services hear of each");
    let mut standing = Vec::new();
    for id in made.iter().chain([&bound]) {
        let found = grants::find(&mut fixture.read().await, id).await.unwrap().unwrap();
        standing.push(found.revoked_at.is_none());
    }
    assert_eq!(standing, [true, true, false, false, false]);
    fixture.write(move |tx| Box::pin(async move { grants::revoke_by_user(tx, &user, now).await })).await;
    // The two with offline access, and the five that were made beside them for other sessions.
    assert_eq!(told().await.len(), 3 + 7);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn consent_is_remembered_for_one_api_replaced_and_forgotten(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (here, there) = (fixture.api_id(), fixture.api_id());
    let (user, client) = (fixture.user("ada").await.id, fixture.client().await.id);
    let mut last = None;
    for scope in ["openid", "email openid"] {
        let consent = Consent {
            user: user.clone(),
            client: client.clone(),
            api: Some(here.clone()),
            scopes: scopes(scope),
            claims: "address nickname".parse().unwrap(),
            details: crate::domain::details::Details::parse(r#"[{"type":"files","actions":["read"]}]"#)
                .unwrap(),
            granted_at: fixture.now(),
        };
        let saved = consent.clone();
        fixture.write(move |tx| Box::pin(async move { consents::save(tx, &saved).await })).await;
        last = Some(consent);
    }
    let mut tx = fixture.read().await;
    assert_eq!(consents::find(&mut tx, &user, &client, Some(&here)).await.unwrap(), last);
    for other in [Some(&there), None] {
        assert_eq!(consents::find(&mut tx, &user, &client, other).await.unwrap(), None);
    }
    drop(tx);
    let forgotten = fixture
        .write(move |tx| {
            Box::pin(async move {
                let first = consents::delete(tx, &user, &client).await?;
                Ok((first, consents::delete(tx, &user, &client).await?))
            })
        })
        .await;
    assert_eq!(forgotten, (true, false));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_revoked_token_is_revoked_however_often_it_is_said(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let end = fixture.now().plus(Duration::from_mins(5));
    fixture
        .write(move |tx| {
            Box::pin(async move {
                tx.revoke(Revocation::of_token("abc", end));
                tx.revoke(Revocation::of_token("abc", end));
                Ok(())
            })
        })
        .await;
    let mut tx = fixture.read().await;
    assert!(revocations::jti_revoked(&mut tx, "abc").await.unwrap());
    assert!(!revocations::jti_revoked(&mut tx, "abd").await.unwrap());
}
