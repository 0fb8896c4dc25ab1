//! Token Introspection ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)): what no other suite shows of it.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt::{claims, damaged, header};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::basic;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::signed_in::{SignedIn, told};

#[rstest]
#[tokio::test]
async fn section_2_1_a_wrong_hint_hides_no_token(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let tokens = server.tokens(&shop, &request, &ada).await;
    for (token, hint) in [
        ("access_token", "refresh_token"),
        ("access_token", "x"),
        ("refresh_token", "access_token"),
        ("refresh_token", "x"),
    ] {
        let fields = [("token", &*tokens.member(token)), ("token_type_hint", hint)];
        let told = server.machine.post_as(&shop, "/introspect", &fields).await.json();
        assert_eq!((&told["active"], &told["sub"]), (&json!(true), &json!(ada.sub)), "{token} as {hint}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_1_and_2_3_whoever_does_not_say_who_it_is_is_told_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = SignedIn::on(database).await;
    let (server, shop) = (&scene.server, &scene.shop);
    let token = scene.redeem().await.member("access_token");
    let wrong = Registered { secret: Some(format!("pck_{}", "A".repeat(43))), ..shop.clone() };
    let bare = Registered { secret: None, ..shop.clone() };
    let public = server.admin.native_client(&[]).await;
    for answer in [
        server.machine.post("/introspect", &[("token", &token)]).await,
        server.machine.introspect(&wrong, &token).await,
        server.machine.introspect(&bare, &token).await,
        server.machine.introspect(&public, &token).await,
        // The token itself opens nothing here.
        Answer::to(
            server
                .machine
                .request(Method::POST, "/introspect")
                .bearer_auth(&token)
                .form(&[("token", &token)]),
        )
        .await,
    ] {
        assert_eq!(told(&answer), (401, "invalid_client".to_owned()));
        assert!(!answer.text().contains("active"), "{}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_2_1_what_is_no_form_by_post_with_one_token_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = SignedIn::on(database).await;
    let (server, shop) = (&scene.server, &scene.shop);
    let token = scene.redeem().await.member("access_token");
    let by = |method: Method, path: &str| {
        let request = server.machine.request(method, path);
        request.header("authorization", basic(&shop.id, shop.secret.as_deref().unwrap_or_default()))
    };
    let in_address = format!("/introspect?token={token}");
    assert_eq!(Answer::to(by(Method::GET, &in_address)).await.status, 405);
    for request in [
        by(Method::POST, &in_address).form(&[("x", "y")]),
        by(Method::POST, "/introspect").json(&json!({ "token": token })),
        by(Method::POST, "/introspect").form(&[("token_type_hint", "access_token")]),
        by(Method::POST, "/introspect").form(&[("token", &token), ("token", &token)]),
    ] {
        let answer = Answer::to(request).await;
        assert_eq!(told(&answer), (400, "invalid_request".to_owned()), "{}", answer.text());
    }
}

/// Of such a token nothing else is said (section 2.2), and it is no error.
#[rstest]
#[tokio::test]
async fn section_2_2_and_4_a_token_that_is_over_or_forged_or_of_others_is_not_active(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let mut scene = SignedIn::on(database).await;
    let other = scene.server.admin.web_client(&[]).await;
    let tokens = scene.redeem().await;
    scene.again().await;
    let revoked = scene.redeem().await.member("access_token");
    let (server, shop) = (&scene.server, &scene.shop);
    assert_eq!(server.machine.revoke(shop, &revoked).await.status, 200);
    let (access, refresh) = (tokens.member("access_token"), tokens.member("refresh_token"));
    let forged = SigningKeys::generate().sign_with(&header(&access), &claims(&access));
    let inactive = async |client: &Registered, token: &str, why: &str| {
        let answer = server.machine.introspect(client, token).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "active": false })), "{why}");
    };
    inactive(shop, "x", "it is unknown").await;
    inactive(shop, &revoked, "it was revoked").await;
    inactive(shop, &forged, "somebody else signed it").await;
    inactive(shop, &damaged(&access), "its signature was changed").await;
    for token in [&access, &refresh] {
        inactive(&other, token, "it is of another client").await;
        assert!(server.machine.is_active(shop, token).await);
    }
    server.wait(Duration::from_mins(6));
    inactive(shop, &access, "it has expired").await;
}

/// The user name is what people sign in by: a client learns it with the claim that it is.
#[rstest]
#[case::nothing_of_it("openid", false)]
#[case::the_profile("openid profile", true)]
#[tokio::test]
async fn section_5_a_client_hears_no_user_name_that_it_was_not_allowed(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] scope: &str,
    #[case] told: bool,
) {
    let server = TestServer::start_on(database).await;
    let (orders, ada) = (server.admin.api("https://orders.test").await, server.admin.user("ada").await);
    let (shop, guard) = (server.admin.web_client(&[&orders]).await, server.admin.guard_client(&orders).await);
    let request = AuthorizeRequest::of(&shop).with("scope", scope);
    for asked in [request.clone(), request.with("resource", &orders.audience)] {
        let token = server.tokens(&shop, &asked, &ada).await.member("access_token");
        let said = server.machine.introspect(&shop, &token).await.json();
        assert_eq!(said["active"], json!(true), "{said}");
        assert_eq!(said.get("username").is_some(), told, "{said}");
        let there = server.machine.introspect(&guard, &token).await.json();
        let its_own = asked.get("resource") == orders.audience;
        assert_eq!(there.get("username"), its_own.then(|| json!("ada")).as_ref(), "{there}");
    }
}
