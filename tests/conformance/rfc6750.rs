//! Bearer Token Usage ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)) where this server is the resource: the userinfo endpoint and
//! its admin API.

use std::collections::BTreeMap;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;

const FORM: &str = "application/x-www-form-urlencoded";

/// A challenge by the scheme `Bearer`: its parameters, each of which comes once.
fn challenge(answer: &Answer) -> BTreeMap<String, String> {
    let text = answer.header("www-authenticate");
    let list = text.strip_prefix("Bearer ").unwrap_or_else(|| panic!("{}: {text:?}", answer.status));
    let mut parameters = BTreeMap::new();
    for parameter in list.split("\", ").map(|parameter| parameter.trim_end_matches('"')) {
        let (name, value) = parameter.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        let allowed = |char: char| matches!(char, ' '..='~') && !matches!(char, '"' | '\\');
        assert!(!name.is_empty() && value.chars().all(allowed), "{text}");
        assert_eq!(parameters.insert(name.to_owned(), value.to_owned()), None, "{name} comes twice: {text}");
    }
    parameters
}

#[rstest]
#[tokio::test]
async fn section_2_1_the_name_of_the_scheme_may_be_written_in_any_case(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let hers = server.tokens(&shop, &AuthorizeRequest::of(&shop), &ada).await.member("access_token");
    for (path, token) in [("/userinfo", hers), ("/api/v1/users", server.admin.token().await)] {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let request = server.machine.request(Method::GET, path);
            let answer = Answer::to(request.header("authorization", format!("{scheme} {token}"))).await;
            assert_eq!(answer.status, 200, "{path} {scheme}: {}", answer.text());
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_token_in_a_body_counts_by_post_and_in_a_form_alone(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let token = server.tokens(&shop, &AuthorizeRequest::of(&shop), &ada).await.member("access_token");
    let form = format!("access_token={token}");
    let part =
        format!("--x\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\n{token}\r\n--x--\r\n");
    let send = async |method: Method, path: &str, (kind, body): (&str, &str)| {
        let request = server.machine.request(method, path).header("content-type", kind);
        Answer::to(request.body(body.to_owned())).await
    };
    assert_eq!(send(Method::POST, "/userinfo", (FORM, &form)).await.status, 200);
    let json = format!("{{\"access_token\":\"{token}\"}}");
    for (method, path, sent) in [
        (Method::GET, "/userinfo", (FORM, &*form)),
        (Method::POST, "/userinfo", ("application/json", &*json)),
        (Method::POST, "/userinfo", ("text/plain", &*form)),
        (Method::POST, "/userinfo", ("multipart/form-data; boundary=x", &*part)),
    ] {
        let answer = send(method.clone(), path, sent).await;
        assert_eq!(answer.status, 401, "{method} {}: {}", sent.0, answer.text());
        assert_eq!(challenge(&answer).get("error"), None, "{method} {}: none was shown", sent.0);
    }
    let twice = send(Method::POST, "/userinfo", (FORM, &format!("{form}&{form}"))).await;
    assert_eq!((twice.status.as_u16(), challenge(&twice)["error"].as_str()), (400, "invalid_request"));
    let own = format!("access_token={}", server.admin.token().await);
    for method in [Method::GET, Method::POST] {
        let answer = send(method, "/api/v1/users", (FORM, &own)).await;
        assert_eq!(answer.status, 401, "the admin API takes none from a body: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_3_and_3_1_a_refusal_is_a_challenge_with_the_error_and_its_status(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let bought = async |scope: &str| {
        let request = AuthorizeRequest::of(&shop).with("scope", scope);
        server.tokens(&shop, &request, &ada).await.member("access_token")
    };
    let get = |path: &str| server.machine.request(Method::GET, path);
    for path in ["/userinfo", "/api/v1/users"] {
        for bare in [get(path), get(path).basic_auth("a", Some("b"))] {
            let answer = Answer::to(bare).await;
            assert_eq!(answer.status, 401, "{path}");
            let told = challenge(&answer);
            assert!(!told.is_empty(), "{path}: the scheme never stands alone");
            for name in ["error", "error_description", "error_uri", "scope"] {
                assert_eq!(told.get(name), None, "{path}: no token was shown");
            }
        }
        let answer = Answer::to(get(path).bearer_auth("x")).await;
        assert_eq!(
            (answer.status.as_u16(), challenge(&answer)["error"].as_str()),
            (401, "invalid_token"),
            "{path}"
        );
        let list = Answer::to(get(path).header("authorization", "Bearer x, Bearer y")).await;
        assert_eq!(
            (list.status.as_u16(), challenge(&list)["error"].as_str()),
            (400, "invalid_request"),
            "{path}"
        );
    }
    let answer = server.machine.userinfo(&bought("email").await).await;
    let told = challenge(&answer);
    assert_eq!((answer.status.as_u16(), told["error"].as_str()), (403, "insufficient_scope"));
    assert_eq!(told["scope"], "openid", "what would have been enough");
    let access = bought("openid").await;
    let both = server.machine.request(Method::POST, "/userinfo").bearer_auth(&access);
    let answer = Answer::to(both.form(&[("access_token", &access)])).await;
    assert_eq!((answer.status.as_u16(), challenge(&answer)["error"].as_str()), (400, "invalid_request"));
}

#[rstest]
#[tokio::test]
async fn section_2_a_request_that_shows_its_token_in_two_ways_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let token = server.tokens(&shop, &AuthorizeRequest::of(&shop), &ada).await.member("access_token");
    let post = || server.machine.request(Method::POST, "/userinfo").bearer_auth(&token);
    let both = Answer::to(post().form(&[("access_token", &token)])).await;
    assert_eq!((both.status.as_u16(), &*challenge(&both)["error"]), (400, "invalid_request"));
    let twice =
        Answer::to(server.machine.request(Method::GET, "/userinfo").bearer_auth(&token).bearer_auth(&token))
            .await;
    assert!(matches!(twice.status.as_u16(), 400 | 401), "{}", twice.status);
    // Section 2.3 is not supported: an address opens nothing.
    let in_address = server.machine.get(&format!("/userinfo?access_token={token}")).await;
    assert!(matches!(in_address.status.as_u16(), 400 | 401), "{}", in_address.status);
    assert_eq!(Answer::to(post()).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_5_2_a_token_that_was_changed_or_is_for_somebody_else_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let shop = server.admin.web_client(&[&orders]).await;
    let request = AuthorizeRequest::of(&shop);
    let token = server.tokens(&shop, &request, &ada).await.member("access_token");
    let elsewhere = server.tokens(&shop, &request.with("resource", &orders.audience), &ada).await;
    for bad in [portcullis_tests::jwt::damaged(&token), elsewhere.member("access_token"), "x".to_owned()] {
        let refused = server.machine.userinfo(&bad).await;
        assert_eq!((refused.status.as_u16(), &*challenge(&refused)["error"]), (401, "invalid_token"));
    }
}
