use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture, scopes};
use crate::domain::claim::ClaimSet;
use crate::domain::consent::Consent;
use crate::domain::details::Details;
use crate::domain::grant::Grant;
use crate::domain::ids::{ApiId, ClientId, GrantId, SessionId, UserId};
use crate::domain::once::Once;
use crate::domain::reach::Reach;
use crate::domain::registration::Logo;
use crate::domain::secret::Digest32;
use crate::storage::applications::{self, Held};
use crate::storage::refresh_tokens::{self, NewRefreshToken};
use crate::storage::{consents, grants, logos, sessions};

/// A grant of somebody in a session.
async fn granted(
    fixture: &Fixture,
    (client, user, session): (&ClientId, &UserId, &SessionId),
    scope: &str,
    apis: &[ApiId],
) -> GrantId {
    let any = fixture.grant(client, user, "openid").await;
    let now = fixture.now();
    let (old, id) = (any.id.clone(), fixture.id());
    fixture.write(move |tx| Box::pin(async move { grants::revoke(tx, &old, now).await })).await;
    let reach = Reach { apis: apis.iter().cloned().collect(), ..Reach::default() };
    let grant = Grant { id, session: session.clone(), scopes: scopes(scope), reach, ..any };
    fixture.insert_grant(&grant).await;
    grant.id
}

async fn renewable(fixture: &Fixture, client: &ClientId, grant: &GrantId) -> Digest32 {
    let token = NewRefreshToken {
        digest: fixture.digest(),
        grant: grant.clone(),
        client: client.clone(),
        scopes: scopes("openid offline_access"),
        expires_at: fixture.now().plus(Duration::from_hours(48)),
        absolute_expires_at: fixture.now().plus(Duration::from_hours(96)),
        once: Once::default(),
    };
    let digest = token.digest;
    fixture.write(move |tx| Box::pin(async move { refresh_tokens::insert(tx, &token).await })).await;
    digest
}

async fn held(fixture: &Fixture, user: &UserId) -> Vec<Held> {
    applications::held(&mut fixture.read().await, user, fixture.now(), 10).await.unwrap()
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_applications_hold_counts_as_long_as_its_session_or_a_token_of_it(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (ada, bob) = (fixture.user("ada").await.id, fixture.user("bob").await.id);
    let (first, second) = (fixture.client().await.id, fixture.client().await.id);
    let session = fixture.session(&ada, &fixture.digest()).await.id;
    let theirs = fixture.session(&bob, &fixture.digest()).await.id;
    let (orders, stock) =
        (fixture.api("https://orders.test").await.id, fixture.api("https://stock.test").await.id);
    granted(&fixture, (&first, &ada, &session), "openid", std::slice::from_ref(&orders)).await;
    let start = fixture.now();
    fixture.clock.advance(Duration::from_mins(1));
    granted(&fixture, (&first, &ada, &session), "openid", std::slice::from_ref(&orders)).await;
    granted(&fixture, (&first, &ada, &session), "openid", &[orders.clone(), stock.clone()]).await;
    let offline = granted(&fixture, (&second, &ada, &session), "openid offline_access", &[]).await;
    granted(&fixture, (&second, &bob, &theirs), "openid", &[]).await;
    let found = held(&fixture, &ada).await;
    assert_eq!(found.len(), 3, "those that are of the same count as one: {found:?}");
    let one = found.iter().find(|one| one.apis.only() == Some(&orders)).unwrap();
    assert_eq!((&one.client, one.since, &one.scopes), (&first, start, &scopes("openid")));
    assert!(found.iter().any(|one| one.apis.contains(&orders) && one.apis.contains(&stock)));
    assert_eq!(held(&fixture, &bob).await.len(), 1);

    // The session ends: what may outlive it does so while it can be renewed.
    let (ended, now) = (session.clone(), fixture.now());
    fixture.write(move |tx| Box::pin(async move { sessions::end(tx, &ended, now).await })).await;
    assert_eq!(held(&fixture, &ada).await, []);
    let token = renewable(&fixture, &second, &offline).await;
    let found = held(&fixture, &ada).await;
    assert_eq!(found.iter().map(|one| &one.client).collect::<Vec<_>>(), [&second]);
    let client = second.clone();
    let spent = fixture
        .write(move |tx| {
            Box::pin(async move {
                let bound = crate::domain::confirmation::Confirmation::default();
                refresh_tokens::spend(tx, &token, (&client, &bound), b"next", now).await
            })
        })
        .await;
    assert!(spent.is_some());
    assert_eq!(held(&fixture, &ada).await, [], "a token that was used up renews nothing");
    renewable(&fixture, &second, &offline).await;
    assert_eq!(held(&fixture, &ada).await.len(), 1);
    fixture.clock.advance(Duration::from_hours(48));
    assert_eq!(held(&fixture, &ada).await, [], "nor does one that expired");
    renewable(&fixture, &second, &offline).await;
    let revoked = offline.clone();
    fixture.write(move |tx| Box::pin(async move { grants::revoke(tx, &revoked, now).await })).await;
    assert_eq!(held(&fixture, &ada).await, []);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn what_somebody_allowed_is_listed_with_logos(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (ada, bob) = (fixture.user("ada").await.id, fixture.user("bob").await.id);
    let (plain, drawn) = (fixture.client().await.id, fixture.client().await.id);
    let api = fixture.api("https://orders.test").await.id;
    let consent = |user: &UserId, client: &ClientId, api: Option<&ApiId>| Consent {
        user: user.clone(),
        client: client.clone(),
        api: api.cloned(),
        scopes: scopes("openid"),
        claims: ClaimSet::default(),
        details: Details::default(),
        granted_at: fixture.now(),
    };
    let all = [
        consent(&ada, &plain, None),
        consent(&ada, &drawn, None),
        consent(&ada, &drawn, Some(&api)),
        consent(&bob, &plain, None),
    ];
    for saved in all {
        fixture.write(move |tx| Box::pin(async move { consents::save(tx, &saved).await })).await;
    }
    let logo = Logo { uri: "https://orders.example/logo.png".to_owned(), image: vec![1, 2, 3] };
    let expected = (logo.name(), logo.uri.clone());
    let client = drawn.clone();
    fixture.write(move |tx| Box::pin(async move { logos::keep(tx, &client, &logo).await })).await;
    let found = applications::allowed(&mut fixture.read().await, &ada, 10).await.unwrap();
    let of = |id: &ClientId| found.iter().filter(|one| one.consent.client == *id).collect::<Vec<_>>();
    assert_eq!(found.len(), 3);
    assert_eq!(of(&plain).iter().map(|one| one.logo.clone()).collect::<Vec<_>>(), [None]);
    assert_eq!(of(&drawn).len(), 2);
    assert!(of(&drawn).iter().all(|one| one.logo.as_ref() == Some(&expected)));
    assert_eq!(applications::allowed(&mut fixture.read().await, &ada, 2).await.unwrap().len(), 2);
}
