//! [OpenID Connect Discovery](https://openid.net/specs/openid-connect-discovery-1_0.html): what no other suite shows of it.

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;

#[rstest]
#[tokio::test]
async fn section_3_and_4_scripts_of_every_origin_may_read_what_clients_ask_for(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let from_elsewhere = |method: Method, path: &str| {
        server.machine.request(method, path).header("origin", "https://spa.test")
    };
    let refused = Answer::to(from_elsewhere(Method::POST, "/token").form(&[("grant_type", "x")])).await;
    assert!(refused.status.is_client_error(), "{}", refused.text());
    let mut answers = vec![refused];
    for (path, status) in [
        ("/.well-known/openid-configuration", 200),
        ("/.well-known/oauth-authorization-server", 200),
        ("/jwks", 200),
        ("/userinfo", 401),
    ] {
        let answer = Answer::to(from_elsewhere(Method::GET, path)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        answers.push(answer);
    }
    for answer in answers {
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{}", answer.url);
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{}", answer.url);
    }
    for method in [Method::GET, Method::OPTIONS] {
        let answer = Answer::to(from_elsewhere(method, "/authorize?client_id=x")).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "a page that people are led to");
    }
}
