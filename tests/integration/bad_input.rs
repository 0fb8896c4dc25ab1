//! Input that makes no sense gets a clear answer with the right status, and nothing happens.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

const FORM: &str = "application/x-www-form-urlencoded";

async fn post(server: &TestServer, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    Answer::to(server.machine.request(Method::POST, path).header("content-type", kind).body(body)).await
}

#[rstest]
#[tokio::test]
async fn a_repeated_parameter_is_refused_everywhere(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    // RFC 6749 §3.1 and §3.2: parameters MUST NOT be included more than once.
    for repeated in ["state", "scope", "nonce", "code_challenge", "response_type"] {
        let request = AuthorizeRequest::of(&shop).and(repeated, "again");
        let answer = server.visitor().open(&request.path()).await;
        let target = answer.location().unwrap_or_else(|| panic!("{repeated}: {}", answer.text()));
        assert!(target.as_str().contains("error=invalid_request"), "{repeated}: {target}");
    }
    for repeated in ["client_id", "redirect_uri"] {
        let request = AuthorizeRequest::of(&shop).and(repeated, "again");
        let answer = server.visitor().open(&request.path()).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{repeated}");
    }
    let body = "grant_type=client_credentials&grant_type=client_credentials";
    let answer = post(&server, "/token", FORM, body).await;
    // Who asks comes first: this request names no client.
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, "invalid_client"));
}

#[rstest]
#[tokio::test]
async fn bodies_of_the_wrong_kind_are_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for path in ["/token", "/introspect", "/revoke"] {
        for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
            let answer = post(&server, path, kind, "{\"grant_type\":\"client_credentials\"}").await;
            assert!(answer.status.is_client_error(), "{path} as {kind}: {}", answer.status);
            assert_eq!(answer.header("content-type"), "application/json", "{path} as {kind}");
        }
    }
    let answer = post(&server, "/login", "text/plain", "username=ada").await;
    assert!(answer.status.is_client_error());
}

#[rstest]
#[tokio::test]
async fn text_that_is_not_utf_8_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    for broken in ["%ff", "%c3%28", "%", "%zz", "%ed%a0%80"] {
        let path = format!("{}&login_hint={broken}", AuthorizeRequest::of(&shop).path());
        assert_eq!(server.machine.raw_get(path.as_bytes()).await, 400, "{broken}");
        let body = format!("grant_type=refresh_token&refresh_token={broken}");
        assert_eq!(post(&server, "/token", FORM, body).await.status, 400, "{broken}");
    }
    let answer = post(&server, "/token", FORM, vec![b'g', b'=', 0xff]).await;
    assert_eq!(answer.status, 400);
    assert_eq!(server.machine.raw_get(b"/login?x=\xff").await, 400);
}

#[rstest]
#[tokio::test]
async fn over_long_fields_are_refused_before_any_work(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let long = "x".repeat(20_000);
    for name in ["state", "nonce", "scope", "login_hint"] {
        let request = AuthorizeRequest::of(&shop).with(name, &long);
        let status = server.visitor().open(&request.path()).await.status.as_u16();
        assert!(matches!(status, 303 | 400 | 414 | 431), "{name}: {status}");
    }
    let fields = [("grant_type", "authorization_code"), ("code", long.as_str())];
    assert_eq!(server.machine.token(&shop, &fields).await.status, 400);
    let huge = vec![b'x'; 2 << 20];
    assert_eq!(post(&server, "/token", FORM, huge.clone()).await.status, 413);
    assert_eq!(post(&server, "/login", FORM, huge).await.status, 413);
}

#[rstest]
#[tokio::test]
async fn broken_json_is_a_problem_with_a_place(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for body in
        ["{", "[]", "{\"username\": 5}", "{\"username\":\"a\",\"username\":\"b\"}", "{\"admin\": true}", ""]
    {
        let request = server.admin.request(Method::POST, "/users").await;
        let request = request.header("content-type", "application/json").body(body);
        let answer = Answer::to(request).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{body}: {}", answer.status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
    }
    assert_eq!(
        server.admin.get("/users?username=a").await.json()["items"],
        json!([]),
        "nothing was half-written"
    );
}

#[rstest]
#[tokio::test]
async fn broken_tokens_are_refused_without_a_fault(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let good = server.admin.token().await;
    let dots = ".".repeat(5000);
    let broken = [
        "x".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        dots,
        "a.b.c".to_owned(),
        format!("{good}."),
        format!(".{good}"),
        good.replace('.', ".."),
        portcullis_tests::jwt::damaged(&good),
        "x".repeat(100_000),
    ];
    for token in &broken {
        for path in ["/userinfo", "/api/v1/users"] {
            let request = server.machine.request(Method::GET, path).bearer_auth(token);
            let status = Answer::to(request).await.status.as_u16();
            let shown: String = token.chars().take(40).collect();
            assert!(matches!(status, 400 | 401 | 431), "{path} {shown}: {status}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn wrong_methods_and_unknown_paths_say_so(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for (method, path) in [
        (Method::GET, "/token"),
        (Method::GET, "/introspect"),
        (Method::GET, "/revoke"),
        (Method::DELETE, "/userinfo"),
        (Method::POST, "/jwks"),
        (Method::PUT, "/login"),
        (Method::PATCH, "/authorize"),
    ] {
        let answer = Answer::to(server.machine.request(method.clone(), path)).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(!answer.header("allow").is_empty(), "{method} {path}");
    }
    for path in
        ["/nothing", "/userinfo/x.css", "/account;.js", "/static/x/../../etc/passwd", "/api/v1/nothing"]
    {
        let status = server.machine.get(path).await.status.as_u16();
        assert!(matches!(status, 400 | 401 | 404), "{path}: {status}");
    }
}
