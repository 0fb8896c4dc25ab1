//! OAuth 2.0 Security ([RFC 9700](https://www.rfc-editor.org/rfc/rfc9700)): what a service behind the guard refuses because of it.

use portcullis_server::domain::clock::Clock;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::damaged;
use rstest::rstest;
use serde_json::json;

use crate::resource::{ORDERS, Resource};

#[rstest]
#[tokio::test]
async fn section_2_3_and_4_10_2_and_rfc_8707_section_3_a_token_for_somebody_else_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    for audience in [
        json!("https://stock.test"),
        json!(["https://stock.test"]),
        json!(format!("{ORDERS}.evil.test")),
        json!(7),
    ] {
        resource.assert_refused(&resource.token(&json!({ "aud": audience })), &audience.to_string()).await;
    }
    // One of this server for itself.
    let own = resource.server.admin.token().await;
    resource.assert_refused(&own, "for the administration").await;
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_2_3_and_fapi2_section_5_3_4_a_token_allows_what_it_says_and_nothing_else(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let viewer = resource.token(&json!({}));
    let refused = resource.service.post("/orders", Some(&viewer)).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    for roles in [json!([]), json!(["nobody"]), json!("viewer")] {
        let refused =
            resource.service.get("/orders", Some(&resource.token(&json!({ "roles": roles })))).await;
        assert!(matches!(refused.status.as_u16(), 401 | 403), "{roles}: {}", refused.status);
    }
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn rfc_6749_section_7_a_token_that_has_expired_or_does_not_cover_the_resource_opens_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let now = Clock::system().now().as_secs();
    resource.assert_refused(&resource.token(&json!({ "exp": now - 60 })), "expired").await;
    let elsewhere = resource.token(&json!({ "aud": "https://stock.test" }));
    resource.assert_refused(&elsewhere, "for another resource").await;
    resource.assert_refused(&damaged(&resource.token(&json!({}))), "changed").await;
    let beyond = resource.service.post("/orders", Some(&resource.token(&json!({})))).await;
    assert_eq!(beyond.status, 403, "it covers reading alone: {}", beyond.text());
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_4_3_2_and_oauth21_section_5_1_and_fapi2_section_5_3_4_a_token_in_an_address_opens_no_service(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let token = resource.token(&json!({}));
    let refused = resource.service.get(&format!("/orders?access_token={token}"), None).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_4_9_2_no_token_is_in_the_log(#[values(Sqlite, Postgres)] database: Database) {
    let resource = Resource::on(database).await;
    let (good, bad) = (resource.token(&json!({})), resource.token(&json!({ "aud": "https://stock.test" })));
    assert_eq!(resource.service.get("/orders", Some(&good)).await.status, 200);
    resource.assert_refused(&bad, "for another").await;
    for token in [&good, &bad] {
        assert_eq!(resource.server.log.lines_with(token), Vec::<String>::new());
    }
}
