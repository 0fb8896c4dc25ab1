use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::client::Client;
use crate::domain::client_authentication::{AuthMethod, ClientAuthentication, ClientKeys, ClientSecret};
use crate::domain::client_url::ClientUrl;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientKind;
use crate::domain::policy::{PolicyDraft, PolicyRevision, PolicyText};
use crate::domain::rbac::{Assignment, AssignmentSubject, OrganisationScope, Role, RoleName};
use crate::domain::schedule::{Ending, PolicySchedule, ScheduleEnd, ScheduleRequest};
use crate::domain::signing::{SigningAlg, StoredKey};
use crate::domain::user::{PasswordHash, User};
use crate::storage::{
    StoreError, Unique, apis, assignments, clients, credentials, policies, roles, schedules, signing_keys,
    users,
};

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_client_comes_back_with_every_way_to_authenticate(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await;
    assert_eq!(clients::find(&mut fixture.read().await, &client.id).await.unwrap(), Some(client.clone()));
    let registered = ClientKeys::Registered(r#"{"keys":[]}"#.to_owned());
    let published = ClientKeys::At(ClientUrl::parse("https://orders.example/jwks").unwrap());
    let secrets = [1, 2]
        .map(|second| ClientSecret { digest: fixture.digest(), created_at: Timestamp::from_secs(second) });
    let every = AuthMethod::NAMED.into_iter().flat_map(|method| {
        [&registered, &published].map(|keys| ClientAuthentication {
            method,
            secrets: if method.needs_secret() { secrets.to_vec() } else { Vec::new() },
            keys: Some(keys.clone()),
        })
    });
    for authentication in [ClientAuthentication::none()].into_iter().chain(every) {
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
async fn a_secret_of_a_replica_that_says_nothing_of_its_age_is_as_old_as_its_client(
    #[case] backend: Backend,
) {
    let fixture = Fixture::new(backend).await;
    let client = fixture.client().await;
    fixture.place.tamper("UPDATE clients SET secret_created_at = NULL").await;
    let found = clients::find(&mut fixture.read().await, &client.id).await.unwrap().unwrap();
    let digests =
        |client: &Client| client.authentication.secrets.iter().map(|it| it.digest).collect::<Vec<_>>();
    assert_eq!(digests(&found), digests(&client));
    assert_eq!(clients::list(&mut fixture.read().await, None, 10).await.unwrap(), [found]);
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
    assert_eq!(holders, [], "there is no way for the user to sign in yet");
    drop(tx);
    let (id, now) = (user.id.clone(), fixture.now());
    let of = api.id.clone();
    let holders = fixture
        .write(move |tx| {
            Box::pin(async move {
                let hash = PasswordHash::from_text("$argon2id$one".to_owned());
                credentials::set_password(tx, &id, &hash, now).await?;
                assignments::enabled_holders(tx, &of).await
            })
        })
        .await;
    assert_eq!(holders, [(user.id.clone(), role.name.clone())]);
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

fn text(number: u64) -> PolicyText {
    let [model, rules] = ["[r]", "p, a, b"].map(str::to_owned);
    PolicyText { model, rules, cases: format!("# {number}\r\n\tallow, a, b, c, d") }
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
        text: text(version),
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
        text: text(number),
        sha256: text(number).sha256(),
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
    assert_eq!(apis::find(&mut tx, &fixture.api_id()).await.unwrap(), None);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn one_schedule_waits_for_an_api_and_ends_once(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await.id;
    let schedule = || PolicySchedule {
        id: fixture.id(),
        api: api.clone(),
        text: text(1),
        sha256: text(1).sha256(),
        message: "Later".to_owned(),
        base_revision: Some(1),
        activate_at: fixture.now().plus(std::time::Duration::from_hours(1)),
        request: ScheduleRequest {
            written_by: "operator".to_owned(),
            requested_by: "operator".to_owned(),
            requested_at: fixture.now(),
        },
        approved_by: None,
        end: None,
    };
    let (first, second) = (schedule(), schedule());
    let insert = async |schedule: &PolicySchedule| {
        let added = schedule.clone();
        let work =
            fixture.store.write(move |tx| Box::pin(async move { schedules::insert(tx, &added).await }));
        work.await
    };
    insert(&first).await.unwrap();
    assert_eq!(insert(&second).await, Err(StoreError::Conflict(Unique::Other)), "one waits already");
    let mut tx = fixture.read().await;
    assert_eq!(schedules::find(&mut tx, &first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(schedules::find_waiting(&mut tx, &api).await.unwrap(), Some(first.id.clone()));
    drop(tx);
    let end = ScheduleEnd { at: fixture.now(), how: Ending::BaseMoved, revision: None };
    let id = first.id.clone();
    let ended = fixture
        .write(move |tx| {
            Box::pin(async move {
                assert!(schedules::approve(tx, &id, "ada").await?);
                assert!(!schedules::approve(tx, &id, "bea").await?, "somebody has approved it");
                let once = schedules::finish(tx, &id, end).await?;
                let again = ScheduleEnd { how: Ending::Cancelled, ..end };
                Ok([once, schedules::finish(tx, &id, again).await?])
            })
        })
        .await;
    assert_eq!(ended, [true, false]);
    insert(&second).await.unwrap();
    let mut tx = fixture.read().await;
    let approved_by = Some("ada".to_owned());
    let past = PolicySchedule { text: PolicyText::default(), approved_by, end: Some(end), ..first };
    assert_eq!(schedules::find(&mut tx, &past.id).await.unwrap().as_ref(), Some(&past));
    let mut listed = schedules::list(&mut tx, &api, None, 10).await.unwrap();
    listed.sort_by_key(|schedule| schedule.end.is_none());
    let waiting = PolicySchedule { text: PolicyText::default(), ..second };
    assert_eq!(listed, [past, waiting]);
    assert_eq!(schedules::find_waiting(&mut tx, &fixture.api_id()).await.unwrap(), None);
}
