//! Input that makes no sense gets a clear answer with the right status, and nothing happens.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::login_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::offline;

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
    let ada = server.admin.user("ada").await;
    let request =
        AuthorizeRequest::of(&shop).and("resource", "https://a.test").and("resource", "https://b.test");
    let callback = server.visitor().authorize(&request, &ada).await;
    assert_eq!(callback.error(), "invalid_target", "RFC 8707 §2 lets it be repeated");
    let body = "grant_type=client_credentials&grant_type=client_credentials";
    let answer = post(&server, "/token", FORM, body).await;
    // Such a request is not read far enough to ask who sends it.
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_request"));
}

#[rstest]
#[tokio::test]
async fn a_repeated_parameter_of_a_known_client_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (shop, refresh) = offline(&server).await;
    let app = server.admin.native_client(&[]).await;
    let good = [
        ("/token", vec![("grant_type", "refresh_token"), ("refresh_token", &*refresh), ("scope", "openid")]),
        ("/introspect", vec![("token", &*refresh), ("token_type_hint", "refresh_token")]),
        ("/revoke", vec![("token", &*refresh), ("token_type_hint", "refresh_token")]),
    ];
    for (path, fields) in &good {
        let known = fields.iter().map(|(name, _)| *name);
        let others = ["client_id", "client_secret", "client_assertion", "code", "redirect_uri", "unknown"];
        for repeated in known.chain(others) {
            for client in [&shop, &app] {
                let mut twice = fields.clone();
                twice.push((repeated, "again"));
                if fields.iter().all(|(name, _)| *name != repeated) {
                    twice.push((repeated, "again"));
                }
                let answer = server.machine.post_as(client, path, &twice).await;
                let told = (answer.status.as_u16(), answer.error());
                assert_eq!(told, (400, "invalid_request".to_owned()), "{path} {repeated}");
            }
        }
    }
    for path in ["/introspect", "/revoke"] {
        let fields = [("token", &*refresh), ("resource", "a"), ("resource", "b")];
        let answer = server.machine.post_as(&shop, path, &fields).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_request"), "{path}");
    }
    let answer = server.machine.post("/userinfo", &[("access_token", "x"), ("a", "1"), ("a", "2")]).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_request"));
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*refresh),
        ("resource", "https://a.test"),
        ("resource", "https://b.test"),
    ];
    let answer = server.machine.token(&shop, &fields).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_target"));
    let (_, fields) = &good[0];
    assert_eq!(server.machine.token(&shop, fields).await.status, 200, "nothing of it was done");
}

#[rstest]
#[tokio::test]
async fn a_repeated_field_of_the_sign_in_page_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    for repeated in ["username", "password", "csrf_token", "interaction", "unknown"] {
        let mut visitor = server.visitor();
        let page = visitor.open("/login").await;
        let mut form = login_form(&page, &ada.username, &ada.password);
        let value = form.value(repeated).unwrap_or_default().to_owned();
        let sent = form.fields.iter().filter(|(name, _)| name == repeated).count();
        form.fields.extend(std::iter::repeat_n((repeated.to_owned(), value), 2 - sent));
        assert_eq!(visitor.submit(&form).await.status, 400, "{repeated}");
        assert_eq!(visitor.session(), None, "{repeated}");
    }
}

#[rstest]
#[tokio::test]
async fn a_document_that_does_not_say_it_is_json_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for kind in ["text/plain", "application/json-seq", "application/xml", ""] {
        let request = server.admin.request(Method::POST, "/users").await;
        let answer = Answer::to(request.header("content-type", kind).body("{\"username\":\"bea\"}")).await;
        assert_eq!(answer.status, 415, "{kind}: {}", answer.text());
        assert_eq!(answer.problem(), "unsupported-media-type", "{kind}");
    }
    assert_eq!(server.admin.get("/users?username=bea").await.json()["items"], json!([]));
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
    // The form is not even read, and that it comes from nowhere is not found out: it says how long it is.
    let answer = post(&server, "/login", FORM, huge).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (413, "text/html; charset=utf-8"));
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
    for (method, path) in
        [(Method::DELETE, "/users"), (Method::POST, "/users/usr_none"), (Method::PATCH, "/apis")]
    {
        let answer = Answer::to(server.admin.request(method.clone(), path).await).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.problem(), "method-not-allowed", "{method} {path}");
        assert!(!answer.header("allow").is_empty(), "{method} {path}");
    }
    for path in
        ["/nothing", "/userinfo/x.css", "/account;.js", "/static/x/../../etc/passwd", "/api/v1/nothing"]
    {
        let status = server.machine.get(path).await.status.as_u16();
        assert!(matches!(status, 400 | 401 | 404), "{path}: {status}");
    }
}

// HT-19: what a cache takes for a file by its name is not there, and what is said of it is kept by none.
#[rstest]
#[tokio::test]
async fn a_private_page_has_no_other_name_that_a_cache_would_keep(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, shop) = (server.admin.user("ada").await, server.admin.web_client(&[]).await);
    let token = server.tokens(&shop, &AuthorizeRequest::of(&shop), &ada).await.member("access_token");
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    for private in
        ["/userinfo", "/account", "/account/profile", "/account/security/password", "/api/v1/users"]
    {
        for other in ["/x.css", ";.js", ";/x.css", "%3bx.css", "%2fx.css", ".css"] {
            let path = format!("{private}{other}");
            let asked = server.machine.request(Method::GET, &path).bearer_auth(&token);
            let (machine, person) = (Answer::to(asked).await, visitor.get(&path).await);
            for answer in [machine, person] {
                assert!(matches!(answer.status.as_u16(), 400 | 401 | 403 | 404), "{path}: {}", answer.status);
                assert_eq!(answer.header("cache-control"), "no-store", "{path}");
                assert!(!answer.text().contains(&ada.username), "{path}: {}", answer.text());
            }
        }
    }
}
