//! Clients that came by themselves and that nobody uses, as they see it: over HTTP, while the server works by itself.

use std::time::Duration;

use portcullis_server::config::Dynamic;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::process::eventually;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const DAY: Duration = Duration::from_hours(24);

async fn about(server: &TestServer, own: &OwnRegistration) -> u16 {
    let answer = server.about_registration(Method::GET, &own.path, Some(&own.token), None).await;
    answer.status.as_u16()
}

#[rstest]
#[tokio::test]
async fn a_client_that_nobody_uses_goes_after_the_days_that_are_set(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.reach.registration.dynamic = Dynamic::Open;
        config.reach.registration.unused_days = 3;
    })
    .await;
    let ada = server.admin.user("ada").await;
    let by_hand = server.admin.web_client(&[]).await;
    let register = async || OwnRegistration::of(&server.register(None, &web_metadata()).await);
    let (unused, used) = (register().await, register().await);
    let request = AuthorizeRequest::of(&used.client).with("scope", "openid offline_access");
    assert_eq!(server.tokens(&used.client, &request, &ada).await.status, 200);
    server.wait(DAY * 2);
    let late = register().await;
    assert_eq!(about(&server, &unused).await, 200, "it is not due yet");
    server.wait(DAY + Duration::from_mins(11));
    eventually("the client is gone", async || about(&server, &unused).await == 401).await;
    server.look().await;
    let page = server.visitor().open(&AuthorizeRequest::of(&unused.client).path()).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, None), "nobody is signed in there any more");
    let token = server.machine.client_credentials(&unused.client, &server.issuer).await;
    assert_eq!((token.status.as_u16(), token.error().as_str()), (401, "invalid_client"));
    for kept in [&used, &late] {
        assert_eq!(about(&server, kept).await, 200);
    }
    let again = server.visitor().authorize(&AuthorizeRequest::of(&by_hand), &ada).await;
    assert!(!again.code().is_empty());
    let events = server.admin.get("/audit?limit=200").await.json();
    let events = events["items"].as_array().cloned().unwrap_or_default();
    let taken =
        |event: &&Value| event["action"] == "client.deleted" && event["detail"]["reason"] == json!("unused");
    assert_eq!(events.iter().filter(taken).count(), 1, "{events:?}");
}
