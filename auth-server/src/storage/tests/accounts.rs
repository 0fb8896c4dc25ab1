use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture, scopes};
use crate::domain::clock::Timestamp;
use crate::domain::consent::Consent;
use crate::domain::details::Details;
use crate::domain::ids::{ApiId, ClientId, OrganisationId, UserId};
use crate::domain::organisation::Organisation;
use crate::domain::user::{Email, PasswordHash, User, Username};
use crate::storage::sessions::{Found, SentWith};
use crate::storage::{consents, credentials, organisations, sessions, users};

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn the_first_organisation_is_there_from_the_start(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let first =
        organisations::find(&mut fixture.read().await, &OrganisationId::first()).await.unwrap().unwrap();
    let changed = Organisation { name: "Acme".to_owned(), ..first.clone() };
    let written = changed.clone();
    assert!(
        fixture.write(move |tx| Box::pin(async move { organisations::update(tx, &written).await })).await
    );
    let mut tx = fixture.read().await;
    assert_eq!(organisations::list(&mut tx, None, 10).await.unwrap(), [changed]);
    assert_eq!(organisations::list(&mut tx, Some(first.id.as_str()), 10).await.unwrap(), []);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_user_comes_back_as_it_went_in_and_as_it_was_changed(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let user = fixture.user("ada").await;
    let mut tx = fixture.read().await;
    assert_eq!(users::find(&mut tx, &user.id).await.unwrap(), Some(user.clone()));
    assert_eq!(users::find_by_username(&mut tx, &user.username).await.unwrap(), Some(user.clone()));
    assert_eq!(users::find_by_sub(&mut tx, user.sub.as_str()).await.unwrap(), Some(user.clone()));
    assert_eq!(users::find_by_sub(&mut tx, "' OR 1=1 --").await.unwrap(), None);
    let now = fixture.now();
    let changed = User {
        username: Username::parse("zoë").unwrap(),
        email: None,
        email_verified_at: Some(now),
        disabled_at: Some(now),
        ..user.clone()
    };
    let written = changed.clone();
    assert!(fixture.write(move |tx| Box::pin(async move { users::update(tx, &written).await })).await);
    drop(tx);
    assert_eq!(users::find(&mut fixture.read().await, &user.id).await.unwrap(), Some(changed));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn lists_come_in_pages_oldest_first(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.push(fixture.user(name).await);
        fixture.clock.advance(Duration::from_millis(1));
    }
    let mut tx = fixture.read().await;
    let first = users::list(&mut tx, None, 2).await.unwrap();
    assert_eq!(first, made[..2]);
    assert_eq!(users::list(&mut tx, Some(first[1].id.as_str()), 2).await.unwrap(), made[2..]);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn of_two_password_changes_at_once_one_wins(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let user = fixture.user("ada").await;
    let hash = |text: &str| PasswordHash::from_text(format!("$argon2id${text}"));
    let row = credentials::for_sign_in(&mut fixture.read().await, &user.username).await.unwrap().unwrap();
    assert_eq!((row.user, row.password), (user.clone(), None));
    let (id, old, now) = (user.id.clone(), hash("old"), fixture.now());
    let won = fixture
        .write(move |tx| {
            Box::pin(async move {
                credentials::set_password(tx, &id, &hash("first"), now).await?;
                credentials::set_password(tx, &id, &old, now).await?;
                let one = credentials::replace_password(tx, &id, &old, &hash("one"), now).await?;
                let two = credentials::replace_password(tx, &id, &old, &hash("two"), now).await?;
                Ok((one, two))
            })
        })
        .await;
    assert_eq!(won, (true, false));
    let row = credentials::for_sign_in(&mut fixture.read().await, &user.username).await.unwrap().unwrap();
    assert_eq!(row.password, Some(PasswordHash::from_text("$argon2id$one".to_owned())));
}

/// Both databases look an address up alike, whatever letters it has: with capitals of ASCII or without, and otherwise as it is.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_address_is_found_whatever_the_case_of_ascii_and_as_no_other(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let user = fixture.user("ada").await;
    for (stored, alike, others) in [
        (
            "Ada.L@example.org",
            ["ADA.L@EXAMPLE.ORG", "ada.l@example.org"],
            ["ada@example.org", "adaal@example.org"],
        ),
        ("\u{c9}@example.org", ["\u{c9}@EXAMPLE.org"; 2], ["\u{e9}@example.org", "E\u{301}@example.org"]),
        (
            "\u{e9}.Ada@example.org",
            ["\u{e9}.aDA@example.org"; 2],
            ["\u{c9}.ada@example.org", "e.ada@example.org"],
        ),
        ("\u{130}@example.org", ["\u{130}@example.ORG"; 2], ["i@example.org", "i\u{307}@example.org"]),
        ("i@example.org", ["I@example.org"; 2], ["\u{131}@example.org", "\u{130}@example.org"]),
        ("\u{df}@example.org", ["\u{df}@Example.org"; 2], ["ss@example.org", "\u{1e9e}@example.org"]),
        ("k@example.org", ["K@example.org"; 2], ["\u{212a}@example.org", "\u{3ba}@example.org"]),
        (
            "ada@B\u{dc}CHER.example",
            ["ADA@b\u{fc}cher.example"; 2],
            ["ada@bucher.example", "ada@b\u{fc}cher.exampl"],
        ),
    ] {
        let changed = User { email: Some(Email::parse(stored).unwrap()), ..user.clone() };
        fixture.write(move |tx| Box::pin(async move { users::update(tx, &changed).await })).await;
        let is_found = async |typed: &str| {
            let typed = Email::parse(typed).unwrap();
            credentials::by_address(&mut fixture.read().await, &typed).await.unwrap().is_some()
        };
        for typed in alike.into_iter().chain([stored]) {
            assert!(is_found(typed).await, "{stored}: {typed}");
        }
        for typed in others {
            assert!(!is_found(typed).await, "{stored}: {typed}");
        }
    }
}

/// An account that says it has somebody's address hides none whose owner reads what goes there.
#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn of_several_accounts_with_an_address_one_that_is_confirmed_is_found_and_then_the_oldest(
    #[case] backend: Backend,
) {
    let fixture = Fixture::new(backend).await;
    let mut made = Vec::new();
    for name in ["a", "b", "c", "d"] {
        made.push(fixture.user(name).await);
        fixture.clock.advance(Duration::from_millis(1));
    }
    let address = Email::parse("ADA@example.org").unwrap();
    let found = async || {
        let row = credentials::by_address(&mut fixture.read().await, &address).await.unwrap();
        row.map(|row| row.user.username.as_str().to_owned())
    };
    let update = async |user: User| {
        assert!(fixture.write(move |tx| Box::pin(async move { users::update(tx, &user).await })).await);
    };
    assert_eq!(found().await.as_deref(), Some("a"));
    for (at, expected) in [(2, "c"), (1, "b"), (3, "b")] {
        update(User { email_verified_at: Some(fixture.now()), ..made[at].clone() }).await;
        assert_eq!(found().await.as_deref(), Some(expected));
    }
    for (at, expected) in [(1, Some("c")), (2, Some("d")), (3, Some("a")), (0, None)] {
        update(User { disabled_at: Some(fixture.now()), ..made[at].clone() }).await;
        assert_eq!(found().await.as_deref(), expected, "those that are switched off do not count");
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_session_is_found_by_its_token_until_it_is_ended(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (user, digest) = (fixture.user("ada").await, fixture.digest());
    let session = fixture.session(&user.id, &digest).await;
    let alone = SentWith::default();
    let live =
        async || sessions::find_live(&mut fixture.read().await, &digest, alone, fixture.now()).await.unwrap();
    let found = Found { session: session.clone(), user: user.clone(), consents: None, request: None };
    assert_eq!(live().await, Some(found));
    fixture.clock.advance(Duration::from_mins(1));
    let (id, now) = (session.id.clone(), fixture.now());
    fixture.write(move |tx| Box::pin(async move { sessions::touch(tx, &id, now).await })).await;
    assert_eq!(live().await.map(|found| found.session.last_seen_at), Some(now));
    let listed = sessions::list_by_user(&mut fixture.read().await, &user.id, now, 10).await.unwrap();
    assert_eq!(listed.len(), 1);
    let (id, owner) = (session.id.clone(), user.id.clone());
    let ended = fixture
        .write(move |tx| {
            Box::pin(async move {
                let first = sessions::end(tx, &id, now).await?;
                let again = sessions::end(tx, &id, now).await?;
                Ok((first, again, sessions::end_all(tx, &owner, now).await?))
            })
        })
        .await;
    assert_eq!(ended, (true, false, 0));
    assert_eq!(live().await, None);
    let found = sessions::find(&mut fixture.read().await, &session.id).await.unwrap().unwrap();
    assert_eq!(found.ended_at, Some(now));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn the_newest_sessions_that_are_in_use_come_first(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (ada, bob) = (fixture.user("ada").await.id, fixture.user("bob").await.id);
    let start = fixture.now();
    fixture.session(&bob, &fixture.digest()).await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(fixture.session(&ada, &fixture.digest()).await.id);
        fixture.clock.advance(Duration::from_hours(1));
    }
    let (ended, now) = (made[3].clone(), fixture.now());
    fixture.write(move |tx| Box::pin(async move { sessions::end(tx, &ended, now).await })).await;
    let listed = async |now: Timestamp, used: Timestamp, limit: u32| {
        let found = sessions::list_newest(&mut fixture.read().await, &ada, (now, used), limit).await.unwrap();
        found.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    let ever = Timestamp::from_secs(0);
    assert_eq!(listed(now, ever, 10).await, [made[2].clone(), made[1].clone(), made[0].clone()]);
    assert_eq!(listed(now, ever, 1).await, [made[2].clone()]);
    assert_eq!(
        listed(now, start, 10).await,
        [made[2].clone(), made[1].clone()],
        "used at that time is not after it"
    );
    let day = start.plus(Duration::from_hours(24));
    assert_eq!(listed(day, ever, 10).await, [made[2].clone(), made[1].clone()], "one has expired");
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_session_is_found_with_what_its_user_allowed_one_client(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (ada, bob) = (fixture.user("ada").await.id, fixture.user("bob").await.id);
    let (client, other) = (fixture.client().await.id, fixture.client().await.id);
    let digest = fixture.digest();
    let session = fixture.session(&ada, &digest).await;
    let here = fixture.api("https://orders.test").await.id;
    let consent = |user: &UserId, client: &ClientId, api: Option<ApiId>| Consent {
        user: user.clone(),
        client: client.clone(),
        api,
        scopes: scopes("openid"),
        claims: "nickname".parse().unwrap(),
        details: Details::default(),
        granted_at: fixture.now(),
    };
    let own = [consent(&ada, &client, None), consent(&ada, &client, Some(here))];
    let foreign = [consent(&ada, &other, None), consent(&bob, &client, None)];
    for consent in own.iter().chain(&foreign) {
        let saved = consent.clone();
        fixture.write(move |tx| Box::pin(async move { consents::save(tx, &saved).await })).await;
    }
    let found = async |named: Option<&ClientId>| {
        let sent = SentWith { client: named, handle: None };
        let found = sessions::find_live(&mut fixture.read().await, &digest, sent, fixture.now()).await;
        let found = found.unwrap().unwrap();
        assert_eq!((found.session.id, found.user.id), (session.id.clone(), ada.clone()));
        found.consents.map(|mut allowed| {
            allowed.sort_by_key(|consent| consent.api.clone());
            allowed
        })
    };
    assert_eq!(found(Some(&client)).await.as_deref(), Some(&own[..]));
    assert_eq!(found(Some(&fixture.id())).await, Some(Vec::new()));
    assert_eq!(found(None).await, None);
    // As a newer replica may write it.
    fixture.place.tamper("UPDATE consents SET claims = 'of_later' WHERE api_id <> ''").await;
    assert_eq!(found(Some(&client)).await, None, "the session is found all the same");
    assert_eq!(found(Some(&other)).await.as_deref(), Some(&foreign[..1]));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn the_session_of_a_disabled_user_is_not_found(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (user, digest) = (fixture.user("ada").await, fixture.digest());
    fixture.session(&user.id, &digest).await;
    let off = User { disabled_at: Some(fixture.now()), ..user };
    assert!(fixture.write(move |tx| Box::pin(async move { users::update(tx, &off).await })).await);
    let sent = SentWith::default();
    let found = sessions::find_live(&mut fixture.read().await, &digest, sent, fixture.now()).await;
    assert_eq!(found.unwrap(), None);
}
