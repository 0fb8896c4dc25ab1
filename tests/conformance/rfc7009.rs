//! Token Revocation ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)): what no other suite shows of it.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use rstest::rstest;

/// A client with what it got for somebody who signed in.
async fn signed_in(server: &TestServer) -> (Registered, Answer) {
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let tokens = server.tokens(&shop, &request, &ada).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    (shop, tokens)
}

#[rstest]
#[tokio::test]
async fn section_2_1_who_does_not_prove_who_it_is_revokes_nothing(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (shop, tokens) = signed_in(&server).await;
    let refresh = tokens.member("refresh_token");
    let wrong = Registered { secret: Some(format!("pck_{}", "A".repeat(43))), ..shop.clone() };
    let bare = Registered { secret: None, ..shop.clone() };
    let nobody = server.machine.post("/revoke", &[("token", refresh.as_str())]).await;
    let refused =
        [server.machine.revoke(&wrong, &refresh).await, server.machine.revoke(&bare, &refresh).await, nobody];
    for answer in refused {
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, "invalid_client"));
    }
    assert_eq!(server.machine.refresh(&shop, &refresh).await.status, 200);
}

#[rstest]
#[case::of_another_kind("access_token", "refresh_token")]
#[case::of_no_kind("x", "x")]
#[tokio::test]
async fn section_2_1_a_wrong_hint_hides_no_token(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
    #[case] of_refresh: &str,
    #[case] of_access: &str,
) {
    let server = TestServer::start_on(database).await;
    let (shop, tokens) = signed_in(&server).await;
    let (access, refresh) = (tokens.member("access_token"), tokens.member("refresh_token"));
    let revoke = async |token: &str, hint: &str| {
        let fields = [("token", token), ("token_type_hint", hint)];
        let answer = server.machine.post_as(&shop, "/revoke", &fields).await;
        assert_eq!(answer.status, 200, "{hint}: {}", answer.text());
    };
    revoke(&access, of_access).await;
    assert!(!server.machine.is_active(&shop, &access).await);
    revoke(&refresh, of_refresh).await;
    assert_eq!(server.machine.refresh(&shop, &refresh).await.error(), "invalid_grant");
}

#[rstest]
#[tokio::test]
async fn section_2_1_nobody_revokes_what_another_client_holds(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (shop, tokens) = signed_in(&server).await;
    let (access, refresh) = (tokens.member("access_token"), tokens.member("refresh_token"));
    for thief in [server.admin.web_client(&[]).await, server.admin.native_client(&[]).await] {
        for token in [&access, &refresh] {
            let answer = server.machine.revoke(&thief, token).await;
            assert!(matches!(answer.status.as_u16(), 200 | 400), "{}", answer.text());
            assert!(server.machine.is_active(&shop, token).await);
        }
    }
    assert_eq!(server.machine.refresh(&shop, &refresh).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_2_1_what_was_revoked_is_refused_at_once(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (shop, tokens) = signed_in(&server).await;
    let (access, refresh) = (tokens.member("access_token"), tokens.member("refresh_token"));
    assert_eq!(server.machine.revoke(&shop, &refresh).await.status, 200);
    let refused = server.machine.refresh(&shop, &refresh).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_grant"));
    assert_eq!(server.machine.userinfo(&access).await.status, 401, "what came of it is over as well");
    assert!(!server.machine.is_active(&shop, &access).await);
}

#[rstest]
#[tokio::test]
async fn section_2_2_1_errors_are_those_of_the_token_endpoint(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (shop, tokens) = signed_in(&server).await;
    let token = tokens.member("access_token");
    for fields in [&[][..], &[("token_type_hint", "access_token")], &[("token", &*token), ("token", &*token)]]
    {
        let refused = server.machine.post_as(&shop, "/revoke", fields).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_request"));
    }
    assert_eq!(server.machine.get(&format!("/revoke?token={token}")).await.status, 405);
    assert!(server.machine.is_active(&shop, &token).await);
}
