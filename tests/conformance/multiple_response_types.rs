//! OAuth 2.0 Multiple Response Types ([text](https://openid.net/specs/oauth-v2-multiple-response-types-1_0.html)): the code is the only
//! type, and nothing else comes in an address.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use rstest::rstest;

use crate::signed_in::{SignedIn, told_at_callback};

#[rstest]
#[tokio::test]
async fn section_3_and_5_no_other_type_is_answered_with_a_token(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for client in [server.admin.web_client(&[]).await, server.admin.native_client(&[]).await] {
        for kind in
            ["token", "id_token", "id_token token", "token id_token", "code token", "code id_token", "none"]
        {
            for mode in [None, Some("query"), Some("form_post")] {
                let mut request = AuthorizeRequest::of(&client).with("response_type", kind);
                if let Some(mode) = mode {
                    request = request.with("response_mode", mode);
                }
                if mode == Some("form_post") {
                    let page = server.visitor().get(&request.path()).await;
                    assert!(page.text().contains("unsupported_response_type"), "{kind}: {}", page.text());
                    continue;
                }
                let callback = told_at_callback(&server, &request).await;
                assert_eq!(callback.error(), "unsupported_response_type", "{kind} {mode:?}");
            }
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_2_1_and_3_an_answer_is_never_in_the_fragment_and_holds_no_token(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = SignedIn::on(database).await;
    let request = AuthorizeRequest::of(&scene.shop);
    for mode in ["fragment", "web_message", "fragment.jwt", "x"] {
        let bad = request.clone().with("response_mode", mode);
        let target = scene.visitor.get(&bad.path()).await.location().expect("it is told at once");
        assert_eq!(target.fragment(), None, "{mode}");
        assert!(target.as_str().contains("error=invalid_request"), "{mode}: {target}");
    }
    let answer = scene.visitor.open(&request.with("scope", "openid offline_access").path()).await;
    let target = answer.location().expect("it was allowed before");
    assert_eq!(target.fragment(), None);
    let names: Vec<String> = target.query_pairs().map(|(name, _)| name.into_owned()).collect();
    for token in ["access_token", "id_token", "token_type", "refresh_token"] {
        assert!(!names.iter().any(|name| name == token), "{target}");
    }
}
