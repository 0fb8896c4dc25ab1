//! Group RT: refresh tokens.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use rstest::rstest;
use serde_json::json;

use crate::Victim;

#[rstest]
#[tokio::test]
async fn rt_01_a_replayed_token_burns_its_whole_family(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, first) = Victim::refresh_token(&server).await;
    let second = server.machine.refresh(&victim.shop, &first).await.member("refresh_token");
    let third = server.machine.refresh(&victim.shop, &second).await;
    let (access, third) = (third.member("access_token"), third.member("refresh_token"));
    assert_eq!(server.machine.refresh(&victim.shop, &first).await.error(), "invalid_grant");
    assert_eq!(server.machine.refresh(&victim.shop, &third).await.error(), "invalid_grant");
    assert!(!server.machine.is_active(&victim.shop, &access).await);
    let events = server.admin.get("/audit?limit=200").await.json();
    let events = events["items"].as_array().cloned().unwrap_or_default();
    let thefts = events.iter().filter(|event| event["action"] == "refresh_token.replayed").count();
    assert_eq!(thefts, 1, "the theft is on record: {events:?}");
}

/// At two replicas.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rt_02_a_hundred_refreshes_at_once_are_one_lineage(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (victim, token) = Victim::refresh_token(&server).await;
    let replicas = [&server, &server.replica().await];
    let refreshes = (0..100).map(|number| replicas[number % 2].machine.refresh(&victim.shop, &token));
    let answers = join_all(refreshes).await;
    // The retry rule: within the window the same client gets the same successor.
    let successors: BTreeSet<String> = answers
        .iter()
        .inspect(|answer| assert_eq!(answer.status, 200, "{}", answer.text()))
        .map(|answer| answer.member("refresh_token"))
        .collect();
    assert_eq!(successors.len(), 1);
    let successor = successors.first().unwrap();
    let third = replicas[1].machine.refresh(&victim.shop, successor).await;
    assert_eq!(third.status, 200, "{}", third.text());
    // Beyond the rule, at whichever replica: somebody else has the token.
    server.wait(Duration::from_mins(1));
    assert_eq!(replicas[1].machine.refresh(&victim.shop, &token).await.error(), "invalid_grant");
    let burnt = server.machine.refresh(&victim.shop, &third.member("refresh_token")).await;
    assert_eq!(burnt.error(), "invalid_grant");
}

#[rstest]
#[tokio::test]
async fn rt_04_another_client_gets_nothing_and_burns_nothing(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, token) = Victim::refresh_token(&server).await;
    let thief = server.admin.web_client(&[]).await;
    let native = server.admin.native_client(&[]).await;
    let nobody = Registered { secret: None, ..victim.shop.clone() };
    let wrong = Registered { secret: Some("pck_wrong".to_owned()), ..victim.shop.clone() };
    for (client, error) in [
        (&thief, "invalid_grant"),
        (&native, "invalid_grant"),
        (&nobody, "invalid_client"),
        (&wrong, "invalid_client"),
    ] {
        assert_eq!(server.machine.refresh(client, &token).await.error(), error);
    }
    assert_eq!(server.machine.refresh(&victim.shop, &token).await.status, 200, "the family still lives");
}

#[rstest]
#[tokio::test]
async fn rt_04_a_stranger_who_repeats_a_spent_token_burns_nothing(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, first) = Victim::refresh_token(&server).await;
    let second = server.machine.refresh(&victim.shop, &first).await.member("refresh_token");
    let nobody = Registered { secret: None, ..victim.shop.clone() };
    server.wait(Duration::from_mins(1));
    assert_eq!(server.machine.refresh(&nobody, &first).await.error(), "invalid_client");
    assert_eq!(server.machine.refresh(&victim.shop, &second).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn rt_05_a_scope_is_never_widened(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (victim, token) = Victim::refresh_token(&server).await;
    for wider in ["openid email", "openid offline_access profile", "admin", "openid openid2"] {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &*token), ("scope", wider)];
        let refused = server.machine.token(&victim.shop, &fields).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_scope"), "{wider}");
    }
    assert_eq!(server.machine.refresh(&victim.shop, &token).await.status, 200, "asking did not spend it");
}

#[rstest]
#[tokio::test]
async fn rt_07_a_changed_password_ends_every_refresh_token(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (mut victim, token) = Victim::refresh_token(&server).await;
    let page = victim.visitor.open("/account/security/password").await;
    let form = the_form(&page, "change-password-form").with("password", &victim.person.password);
    assert_eq!(
        victim.visitor.submit(&form.with("new-password", "something else entirely")).await.status,
        303
    );
    assert_eq!(server.machine.refresh(&victim.shop, &token).await.error(), "invalid_grant");
}

#[rstest]
#[tokio::test]
async fn rt_07_a_password_set_by_an_administrator_ends_every_refresh_token(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, token) = Victim::refresh_token(&server).await;
    let path = format!("/users/{}/password", victim.person.id);
    let document = json!({ "password": "set by an administrator" });
    assert_eq!(server.admin.send(reqwest::Method::PUT, &path, &document).await.status, 204);
    assert_eq!(server.machine.refresh(&victim.shop, &token).await.error(), "invalid_grant");
}

#[rstest]
#[tokio::test]
async fn rt_07_a_disabled_account_ends_every_refresh_token(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, token) = Victim::refresh_token(&server).await;
    let path = format!("/users/{}", victim.person.id);
    server.admin.post(&format!("{path}/disable"), &json!({})).await;
    assert_eq!(server.machine.refresh(&victim.shop, &token).await.error(), "invalid_grant");
    server.admin.post(&format!("{path}/enable"), &json!({})).await;
    assert_eq!(
        server.machine.refresh(&victim.shop, &token).await.error(),
        "invalid_grant",
        "it does not come back"
    );
}

#[rstest]
#[tokio::test]
async fn rt_07_a_withdrawn_consent_ends_every_refresh_token(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, token) = Victim::refresh_token(&server).await;
    let path = format!("/users/{}/consents/withdraw", victim.person.id);
    let body = json!({ "client": victim.shop.id });
    assert_eq!(server.admin.send(reqwest::Method::POST, &path, &body).await.status, 204);
    assert_eq!(server.machine.refresh(&victim.shop, &token).await.error(), "invalid_grant");
}

#[rstest]
#[tokio::test]
async fn rt_07_a_sign_out_everywhere_ends_every_refresh_token(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, token) = Victim::refresh_token(&server).await;
    let path = format!("/users/{}/sign-out", victim.person.id);
    assert_eq!(server.admin.send(reqwest::Method::POST, &path, &json!({})).await.status, 204);
    assert_eq!(server.machine.refresh(&victim.shop, &token).await.error(), "invalid_grant");
}

#[rstest]
#[tokio::test]
async fn rt_08_a_family_ends_however_busy_it_is(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (victim, mut token) = Victim::refresh_token(&server).await;
    for hour in 1..24 * 90 {
        server.wait(Duration::from_hours(1));
        let answer = server.machine.refresh(&victim.shop, &token).await;
        assert_eq!(answer.status, 200, "hour {hour}: {}", answer.text());
        token = answer.member("refresh_token");
    }
    server.wait(Duration::from_hours(1));
    server.wait(Duration::from_mins(1));
    assert_eq!(server.machine.refresh(&victim.shop, &token).await.error(), "invalid_grant");
    let request = AuthorizeRequest::of(&victim.shop).with("scope", "openid offline_access");
    let callback = server.visitor().authorize(&request, &victim.person).await;
    assert_eq!(
        server.machine.redeem(&victim.shop, &request, &callback).await.status,
        200,
        "a new sign-in works"
    );
}
