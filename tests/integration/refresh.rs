//! Refresh tokens: rotation, and the retry after a lost answer.

use portcullis_tests::agent::Answer;
use std::time::Duration;

use openidconnect::OAuth2TokenResponse as _;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::relying_party::RelyingParty;
use portcullis_tests::server::TestServer;
use rstest::rstest;

use crate::offline;

/// How long a refresh token lives when nobody uses it.
const UNUSED: Duration = Duration::from_hours(14 * 24);

#[rstest]
#[tokio::test]
async fn a_library_of_others_refreshes_and_gets_a_new_token_each_time(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let party = RelyingParty::discover(&server.issuer, &shop).await;
    let begun = party.begin(&["offline_access"]);
    let callback = server.visitor().walk(begun.url.as_str(), &ada).await;
    let first =
        party.finish(begun, &callback).await.refresh_token.expect("offline_access brings a refresh token");
    let second = party.refresh(&first).await.refresh_token().unwrap().secret().clone();
    let third = party.refresh(&second).await.refresh_token().unwrap().secret().clone();
    assert!(first != second && second != third && first != third);
}

#[rstest]
#[tokio::test]
async fn a_lost_answer_is_given_again_to_the_same_client(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (shop, first) = offline(&server).await;
    let lost = server.machine.refresh(&shop, &first).await.member("refresh_token");
    server.wait(Duration::from_secs(5));
    let again = server.machine.refresh(&shop, &first).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again.member("refresh_token"), lost, "a retry gets the same successor");
    assert_eq!(server.machine.refresh(&shop, &lost).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_retry_after_the_window_burns_the_family(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (shop, first) = offline(&server).await;
    let second = server.machine.refresh(&shop, &first).await.member("refresh_token");
    server.wait(Duration::from_secs(11));
    assert_eq!(server.machine.refresh(&shop, &first).await.error(), "invalid_grant");
    assert_eq!(server.machine.refresh(&shop, &second).await.error(), "invalid_grant");
}

#[rstest]
#[tokio::test]
async fn a_refresh_may_narrow_the_scope_for_one_token(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid email offline_access");
    let first = server.tokens(&shop, &request, &ada).await.member("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", first.as_str()), ("scope", "openid")];
    let narrow = server.machine.token(&shop, &fields).await;
    assert_eq!(narrow.member("scope"), "openid");
    let wide = server.machine.refresh(&shop, &narrow.member("refresh_token")).await;
    // RFC 6749 §6: an omitted scope means the one that was granted.
    assert!(wide.member("scope").contains("email"), "{}", wide.text());
}

#[rstest]
#[tokio::test]
async fn a_refresh_token_that_nobody_uses_ends(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (shop, first) = offline(&server).await;
    server.wait(UNUSED.checked_sub(Duration::from_mins(1)).expect("days are longer than a minute"));
    let second = server.machine.refresh(&shop, &first).await;
    assert_eq!(second.status, 200, "{}", second.text());
    server.wait(UNUSED + Duration::from_mins(1));
    assert_eq!(server.machine.refresh(&shop, &second.member("refresh_token")).await.error(), "invalid_grant");
}

/// A grant without `offline_access` ends with its session. Whoever finds that out, and tries again, has stolen nothing.
#[rstest]
#[tokio::test]
async fn a_token_whose_session_is_over_is_refused_without_an_alarm(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid");
    let token = server.tokens(&shop, &request, &ada).await.member("refresh_token");
    server.wait(std::time::Duration::from_hours(25));
    for _ in 0..3 {
        let refused = server.machine.refresh(&shop, &token).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_grant"));
        server.wait(std::time::Duration::from_mins(1));
    }
    let trail = server.admin.get("/audit?limit=100").await.text();
    assert!(!trail.contains("replay"), "{trail}");
}

/// What a client may ask for can shrink: then its old grants do not give it more.
#[rstest]
#[tokio::test]
async fn an_api_that_was_taken_from_a_client_is_no_target_any_more(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let shop = server.admin.web_client(&[&orders]).await;
    let request = AuthorizeRequest::of(&shop)
        .with("scope", "openid profile offline_access")
        .with("resource", &orders.audience);
    let first = server.tokens(&shop, &request, &ada).await;
    let late = server.visitor().authorize(&request, &ada).await;
    let changed = serde_json::json!({
        "name": "Test shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"], "apis": [],
        "scopes": "openid offline_access",
    });
    let change = server.admin.request(reqwest::Method::PUT, &format!("/clients/{}", shop.id)).await;
    let changed = Answer::to(change.header("if-match", "*").json(&changed)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());

    let refused = server.machine.redeem(&shop, &request, &late).await;
    assert_eq!(refused.error(), "invalid_target", "{}", refused.text());
    let refused = server.machine.refresh(&shop, &first.member("refresh_token")).await;
    assert_eq!(refused.error(), "invalid_target", "{}", refused.text());
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*first.member("refresh_token")),
        ("resource", &*server.issuer),
    ];
    let narrowed = server.machine.token(&shop, &fields).await;
    assert_eq!(narrowed.status, 200, "{}", narrowed.text());
    assert_eq!(narrowed.member("scope"), "offline_access openid");
}

#[rstest]
#[tokio::test]
async fn a_token_of_a_client_that_was_switched_off_says_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let token = server.tokens(&shop, &request, &ada).await.member("access_token");
    assert_eq!(server.machine.userinfo(&token).await.status, 200);
    server.admin.post(&format!("/clients/{}/disable", shop.id), &serde_json::json!({})).await;
    assert_eq!(server.machine.userinfo(&token).await.status, 401);
}
