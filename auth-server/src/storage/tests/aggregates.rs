use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture, scopes};
use crate::domain::client::{Client, ClientAuthentication};
use crate::domain::consent::Consent;
use crate::domain::grant::Grant;
use crate::domain::ids::{ClientKind, OrganisationId};
use crate::domain::interaction::Interaction;
use crate::domain::organisation::Organisation;
use crate::domain::policy::{PolicyDraft, PolicyRevision, content_digest};
use crate::domain::rbac::{Assignment, AssignmentSubject, OrganisationScope, Role, RoleName};
use crate::domain::signing::{SigningAlg, StoredKey};
use crate::domain::user::{PasswordHash, User, Username};
use crate::storage::{
    apis, assignments, clients, consents, credentials, grants, interactions, organisations, policies,
    revocations, roles, sessions, signing_keys, users,
};

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
    let hash = |text: &str| PasswordHash::from_phc(format!("$argon2id${text}"));
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
    assert_eq!(row.password, Some(PasswordHash::from_phc("$argon2id$one".to_owned())));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_client_comes_back_with_every_way_to_authenticate(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await;
    assert_eq!(clients::find(&mut fixture.read().await, &client.id).await.unwrap(), Some(client.clone()));
    let keys = ClientAuthentication::PrivateKeyJwt(r#"{"keys":[]}"#.to_owned());
    for authentication in [ClientAuthentication::None, keys] {
        let changed = Client { authentication, organisation: None, ..client.clone() };
        let written = changed.clone();
        assert!(fixture.write(move |tx| Box::pin(async move { clients::update(tx, &written).await })).await);
        let mut tx = fixture.read().await;
        assert_eq!(clients::list(&mut tx, None, 10).await.unwrap(), [changed]);
    }
    let unknown = Client { id: fixture.id::<ClientKind>(), ..client };
    assert!(!fixture.write(move |tx| Box::pin(async move { clients::update(tx, &unknown).await })).await);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_client_that_cannot_be_read_is_an_error_and_not_a_public_client(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await;
    for tampering in [
        "UPDATE clients SET secret_digest = NULL",
        "UPDATE clients SET authentication = 'something_new'",
        "UPDATE clients SET authentication = 'none', settings = '{}'",
    ] {
        fixture.place.tamper(tampering).await;
        let found = clients::find(&mut fixture.read().await, &client.id).await;
        assert!(matches!(found, Err(crate::storage::StoreError::Corrupt { .. })), "{tampering}: {found:?}");
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn roles_are_held_where_they_were_given(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (user, api) = (fixture.user("ada").await, fixture.api("https://orders.example").await);
    let role = Role {
        id: fixture.id(),
        api: api.id.clone(),
        name: RoleName::parse("reader").unwrap(),
        description: "reads".to_owned(),
    };
    let given = Assignment {
        id: fixture.id(),
        role: role.id.clone(),
        subject: AssignmentSubject::User(user.id.clone()),
        organisation: OrganisationScope::Every,
    };
    let (added, held) = (role.clone(), given.clone());
    fixture
        .write(move |tx| {
            Box::pin(async move {
                roles::insert(tx, &added).await?;
                assert!(!assignments::role_is_held(tx, &added.id).await?);
                assert!(assignments::insert(tx, &held).await?);
                assert!(assignments::role_is_held(tx, &added.id).await?);
                Ok(())
            })
        })
        .await;
    let mut tx = fixture.read().await;
    assert_eq!(roles::list(&mut tx, &api.id).await.unwrap(), std::slice::from_ref(&role));
    assert_eq!(assignments::list(&mut tx, &api.id, None, 10).await.unwrap(), std::slice::from_ref(&given));
    assert_eq!(assignments::find(&mut tx, &given.id).await.unwrap(), Some(given.clone()));
    assert_eq!(
        assignments::roles_of_user(&mut tx, &user.id, &api.id).await.unwrap(),
        std::slice::from_ref(&role.name)
    );
    assert_eq!(
        assignments::roles_held(&mut tx, &given.subject, &api.id).await.unwrap(),
        std::slice::from_ref(&role.name)
    );
    let holders = assignments::enabled_holders(&mut tx, &api.id).await.unwrap();
    assert_eq!(holders, [(user.id.clone(), role.name.clone())]);
    drop(tx);
    let off = User { disabled_at: Some(fixture.now()), ..user };
    let left = fixture
        .write(move |tx| {
            Box::pin(async move {
                users::update(tx, &off).await?;
                let holders = assignments::enabled_holders(tx, &api.id).await?;
                assert!(roles::delete(tx, &role.id).await?);
                Ok((holders.len(), assignments::find(tx, &given.id).await?))
            })
        })
        .await;
    assert_eq!(left, (0, None));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_session_is_found_by_its_token_until_it_is_ended(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (user, digest) = (fixture.user("ada").await, fixture.digest());
    let session = fixture.session(&user.id, &digest).await;
    let live = async || sessions::find_live(&mut fixture.read().await, &digest).await.unwrap();
    assert_eq!(live().await, Some((session.clone(), user.clone())));
    fixture.clock.advance(Duration::from_mins(1));
    let (id, now) = (session.id.clone(), fixture.now());
    fixture.write(move |tx| Box::pin(async move { sessions::touch(tx, &id, now).await })).await;
    assert_eq!(live().await.map(|(session, _)| session.last_seen_at), Some(now));
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
async fn the_session_of_a_disabled_user_is_not_found(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (user, digest) = (fixture.user("ada").await, fixture.digest());
    fixture.session(&user.id, &digest).await;
    let off = User { disabled_at: Some(fixture.now()), ..user };
    assert!(fixture.write(move |tx| Box::pin(async move { users::update(tx, &off).await })).await);
    assert_eq!(sessions::find_live(&mut fixture.read().await, &digest).await.unwrap(), None);
}

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
    assert!(grants::standing(&mut fixture.read().await, &fixture.id()).await.unwrap().is_none());
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
    let revoked = fixture
        .write(move |tx| Box::pin(async move { grants::revoke_by_session(tx, &session, now).await }))
        .await;
    assert_eq!(revoked, 3);
    let mut standing = Vec::new();
    for id in made.iter().chain([&bound]) {
        let found = grants::find(&mut fixture.read().await, id).await.unwrap().unwrap();
        standing.push(found.revoked_at.is_none());
    }
    assert_eq!(standing, [true, true, false, false, false]);
    let everything =
        fixture.write(move |tx| Box::pin(async move { grants::revoke_by_user(tx, &user, now).await })).await;
    // The two with offline access, and the five that were made beside them for other sessions.
    assert_eq!(everything, 7);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn consent_is_remembered_replaced_and_forgotten(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (user, client) = (fixture.user("ada").await.id, fixture.client().await.id);
    let mut last = None;
    for scope in ["openid", "email openid"] {
        let consent = Consent {
            user: user.clone(),
            client: client.clone(),
            scopes: scopes(scope),
            granted_at: fixture.now(),
        };
        let saved = consent.clone();
        fixture.write(move |tx| Box::pin(async move { consents::save(tx, &saved).await })).await;
        last = Some(consent);
    }
    let mut tx = fixture.read().await;
    assert_eq!(consents::find(&mut tx, &user, &client).await.unwrap(), last);
    assert_eq!(consents::list_by_user(&mut tx, &user, None, 10).await.unwrap().len(), 1);
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
async fn of_two_replicas_that_rotate_at_once_one_makes_the_key(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let key = |kid: &str, generation| StoredKey {
        kid: kid.to_owned(),
        alg: SigningAlg::Es256,
        generation,
        sealed: vec![1, 2, 3],
        public_jwk: "{}".to_owned(),
        created_at: fixture.now(),
        activates_at: fixture.now(),
    };
    let (first, rival, second) = (key("a", 1), key("b", 1), key("c", 2));
    let made = fixture
        .write(move |tx| {
            Box::pin(async move {
                let made = [
                    signing_keys::insert(tx, &second).await?,
                    signing_keys::insert(tx, &first).await?,
                    signing_keys::insert(tx, &rival).await?,
                ];
                Ok(made)
            })
        })
        .await;
    assert_eq!(made, [true, true, false]);
    let listed = signing_keys::list(&mut fixture.read().await).await.unwrap();
    assert_eq!(listed.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!((listed[0].alg, listed[0].sealed.as_slice()), (SigningAlg::Es256, [1, 2, 3].as_slice()));
    assert!(fixture.write(move |tx| Box::pin(async move { signing_keys::delete(tx, "a").await })).await);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_draft_is_saved_only_on_top_of_the_version_that_was_read(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let draft = |version| PolicyDraft {
        api: api.clone(),
        model: "[r]".to_owned(),
        rules: "p, a, b".to_owned(),
        version,
        updated_by: "operator".to_owned(),
        updated_at: fixture.now(),
    };
    let drafts = [draft(1), draft(1), draft(3), draft(2), draft(2)];
    let saved = fixture
        .write(move |tx| {
            Box::pin(async move {
                let mut saved = Vec::new();
                for draft in &drafts {
                    saved.push(policies::save_draft(tx, draft).await?);
                }
                Ok(saved)
            })
        })
        .await;
    assert_eq!(saved, [true, false, false, true, false]);
    assert_eq!(policies::find_draft(&mut fixture.read().await, &api).await.unwrap(), Some(draft(2)));
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn revisions_are_numbered_listed_and_activated(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await;
    let revision = |number| PolicyRevision {
        api: api.id.clone(),
        number,
        model: "[r]".to_owned(),
        rules: "p, a, b".to_owned(),
        sha256: content_digest("[r]", "p, a, b"),
        author: "operator".to_owned(),
        message: "first".to_owned(),
        created_at: fixture.now(),
    };
    let (one, two, id) = (revision(1), revision(2), api.id.clone());
    fixture
        .write(move |tx| {
            Box::pin(async move {
                assert_eq!(policies::newest_revision(tx, &id).await?, None);
                policies::insert_revision(tx, &one).await?;
                policies::insert_revision(tx, &two).await?;
                assert!(apis::set_active_revision(tx, &id, 2).await?);
                Ok(())
            })
        })
        .await;
    let mut tx = fixture.read().await;
    assert_eq!(policies::newest_revision(&mut tx, &api.id).await.unwrap(), Some(2));
    assert_eq!(policies::find_revision(&mut tx, &api.id, 1).await.unwrap(), Some(revision(1)));
    assert_eq!(
        policies::list_revisions(&mut tx, &api.id, None, 10).await.unwrap(),
        [revision(2), revision(1)]
    );
    assert_eq!(policies::list_revisions(&mut tx, &api.id, Some(2), 10).await.unwrap(), [revision(1)]);
    assert_eq!(apis::find(&mut tx, &api.id).await.unwrap().unwrap().active_revision, Some(2));
    assert!(apis::find(&mut tx, &fixture.api_id()).await.unwrap().is_none());
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
                revocations::revoke_jti(tx, "abc", end).await?;
                revocations::revoke_jti(tx, "abc", end).await
            })
        })
        .await;
    let mut tx = fixture.read().await;
    assert!(revocations::jti_revoked(&mut tx, "abc").await.unwrap());
    assert!(!revocations::jti_revoked(&mut tx, "abd").await.unwrap());
}
