//! Group XS and HT, as far as pages and headers exist: what people typed stays text, and every answer is armoured.

use portcullis_server::config::{SignUp, Transport};
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::pages::{html_pages, leads_away};

const SCRIPT: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}";

/// The page contains the text in its escaped form only.
fn assert_harmless(page: &Answer, what: &str) {
    let text = page.text();
    assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{what}: {text}");
    assert!(!text.contains("'49"), "{what}: the template engine ran what was typed");
}

#[rstest]
#[tokio::test]
async fn xs_01_parameters_are_shown_as_text(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_with(database, |config| {
        config.reach.mail.transport = Transport::Folder;
        config.reach.accounts.sign_up = SignUp::Open;
        config.reach.accounts.sign_in_by_mail = true;
    })
    .await;
    let shop = server.admin.web_client(&[]).await;
    let names = [
        "state",
        "scope",
        "login_hint",
        "ui_locales",
        "claims",
        "client_id",
        "redirect_uri",
        "nonce",
        "prompt",
    ];
    for name in names {
        let page = server.visitor().open(&AuthorizeRequest::of(&shop).with(name, SCRIPT).path()).await;
        assert_harmless(&page, name);
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("interaction", SCRIPT)
        .append_pair("error", SCRIPT)
        .append_pair("state", SCRIPT)
        .append_pair("user_code", SCRIPT)
        .finish();
    for path in [
        "/login",
        "/login/letter",
        "/login/letter/code",
        "/consent",
        "/device",
        "/device/confirm",
        "/approvals",
        "/logout",
        "/logged-out",
        "/recover",
        "/account/profile/email",
        "/recover/address",
        "/recover/new",
        "/verify",
        "/verify/done",
        "/recover/sent",
        "/sign-up",
        "/sign-up/new",
        "/sign-up/sent",
        "/setup",
        "/account",
        "/account/apps",
        "/account/data",
        "/account/data/deletion",
        "/account/log",
        "/account/profile",
        "/account/sessions",
        "/login/leaving",
    ] {
        assert_harmless(&server.visitor().open(&format!("{path}?{query}")).await, path);
    }
}

#[rstest]
#[tokio::test]
async fn xs_02_names_are_shown_as_text(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let document = json!({ "username": "ada", "name": SCRIPT, "password": "correct horse battery" });
    server.admin.post("/users", &document).await;
    let ada = portcullis_tests::visitor::Person {
        id: String::new(),
        sub: String::new(),
        username: "ada".to_owned(),
        password: "correct horse battery".to_owned(),
    };
    let client = json!({ "name": SCRIPT, "preset": "web", "redirect_uris": ["https://rp.test/cb"] });
    let client = server.admin.client(client).await;
    let mut visitor = server.visitor();
    assert_harmless(&visitor.open(&AuthorizeRequest::of(&client).path()).await, "sign-in");
    assert_harmless(&visitor.sign_in(&ada).await, "account");
    let consent = visitor.open(&AuthorizeRequest::of(&client).path()).await;
    assert!(consent.text().contains("id=\"consent\""));
    assert_harmless(&consent, "consent");
    assert_eq!(visitor.submit(&the_form(&consent, "consent").with("decision", "allow")).await.status, 303);
    for page in ["apps", "data", "data/deletion", "log", "profile", "sessions"] {
        let shown = visitor.open(&format!("/account/{page}")).await;
        assert_eq!((shown.status.as_u16(), shown.url.path()), (200, &*format!("/account/{page}")));
        assert_harmless(&shown, page);
    }
    let mut asker = portcullis_tests::ciba::bank("poll", &json!({}));
    asker["name"] = json!(SCRIPT);
    let asker = server.admin.client(asker).await;
    let fields = [("scope", "openid profile"), ("login_hint", "ada"), ("binding_message", SCRIPT)];
    server.machine.started(&asker, &fields).await;
    let approvals = visitor.open("/approvals").await;
    assert_eq!(portcullis_tests::ciba::waiting(&approvals).len(), 1, "{}", approvals.text());
    assert_harmless(&approvals, "approvals");
}

#[rstest]
#[tokio::test]
async fn xs_04_the_policy_of_every_page_is_strict(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for page in html_pages(&server, database).await {
        let (url, policy) = (&page.url, page.header("content-security-policy"));
        assert!(policy.contains("default-src 'none'"), "{url}: {policy}");
        // A form that leads to an application names where.
        let holes: &[&str] = if leads_away(&page) { &[] } else { &["http:", "https:"] };
        for hole in ["unsafe-inline", "unsafe-eval", "*", "data:"].iter().chain(holes) {
            assert!(!policy.contains(hole), "{url}: {policy}");
        }
        assert!(policy.contains("base-uri 'none'"), "{url}: {policy}");
        assert!(!page.text().contains("style=\"") && !page.text().contains(" onclick="), "{url}");
        assert!(!page.text().contains("<script>"), "{url}: scripts are files");
    }
}

#[rstest]
#[tokio::test]
async fn xs_09_a_json_refusal_is_never_a_page(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let error = server.machine.post("/token", &[("grant_type", SCRIPT)]).await;
    assert_eq!(error.header("content-type"), "application/json");
    assert_eq!(error.header("x-content-type-options"), "nosniff");
    let problem = server.machine.get("/api/v1/users").await;
    assert_eq!(problem.header("x-content-type-options"), "nosniff");
    assert!(!problem.header("content-type").starts_with("text/html"));
}

#[rstest]
#[tokio::test]
async fn ht_01_a_forwarded_header_from_a_stranger_changes_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.limits.login_per_address_per_minute = 10;
    })
    .await;
    let mut tried = 0;
    for number in 0..40 {
        let mut visitor = server.visitor();
        let page = visitor.open("/login").await;
        let form = portcullis_tests::visitor::login_form(&page, &format!("user{number}"), "wrong password");
        let forwarded = format!("203.0.113.{number}");
        let headers = [
            ("sec-fetch-site", "same-origin"),
            ("origin", "null"),
            ("x-forwarded-for", forwarded.as_str()),
            ("x-real-ip", forwarded.as_str()),
            ("forwarded", "for=203.0.113.9"),
        ];
        tried += u32::from(visitor.submit_from(&form, &headers).await.status == 422);
    }
    assert!(tried <= 12, "{tried}");
}

#[rstest]
#[tokio::test]
async fn ht_13_no_other_site_reads_answers_with_credentials(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for path in
        ["/authorize?client_id=x", "/login", "/account", "/userinfo", "/token", "/api/v1/users", "/jwks"]
    {
        for method in [Method::GET, Method::OPTIONS] {
            let request = server.machine.request(method.clone(), path).header("origin", "https://evil.test");
            let answer = Answer::to(request.header("access-control-request-method", "POST")).await;
            assert_eq!(answer.header("access-control-allow-credentials"), "", "{method} {path}");
            let allowed = answer.header("access-control-allow-origin");
            assert!(
                allowed.is_empty() || (allowed == "*" && ["/jwks", "/token", "/userinfo"].contains(&path)),
                "{method} {path}: {allowed}"
            );
        }
    }
}

#[rstest]
#[tokio::test]
async fn ht_17_every_answer_is_armoured(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let long = server.machine.request(Method::POST, "/login").body("x".repeat(2 << 20));
    let mut answers = vec![Answer::to(long).await];
    assert_eq!(answers[0].status, 413);
    for (method, path) in [
        (Method::GET, "/nothing"),
        (Method::GET, "/token"),
        (Method::POST, "/token"),
        (Method::GET, "/jwks"),
        (Method::GET, "/login"),
        (Method::GET, "/healthz/live"),
        (Method::GET, "/api/v1/users"),
        (Method::GET, "/.well-known/openid-configuration"),
    ] {
        answers.push(Answer::to(server.machine.request(method, path)).await);
    }
    for answer in answers {
        let what = format!("{} {}", answer.url, answer.status);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        assert!(!answer.header("content-security-policy").is_empty(), "{what}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
        assert!(!answer.header("x-request-id").is_empty(), "{what}");
        assert_eq!(answer.header("server"), "", "{what}");
        if answer.header("content-type").starts_with("text/html") {
            assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{what}");
        }
    }
}

/// Each flow that begins is a row that is kept for a while.
#[rstest]
#[tokio::test]
async fn flows_of_one_network_are_limited(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_with(database, |config| {
        config.limits.flows_per_address_per_minute = 5;
    })
    .await;
    let shop = server.admin.web_client(&[]).await;
    let path = portcullis_tests::authorize::AuthorizeRequest::of(&shop).path();
    for _ in 0..5 {
        assert_eq!(server.visitor().get(&path).await.status, 303);
    }
    let refused = server.visitor().get(&path).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.location(), None);
    assert_eq!(refused.header("retry-after"), "12", "five a minute");
}

#[rstest]
#[tokio::test]
async fn ht_a_request_names_one_host(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let raw = async |hosts: &str| {
        let request = format!("GET /jwks HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        server.machine.raw(request.as_bytes()).await
    };
    assert_eq!(raw("Host: a\r\n").await, 200);
    assert_eq!(raw("").await, 400, "RFC 9112 §3.2");
    assert_eq!(raw("Host: a\r\nHost: b\r\n").await, 400);
    assert_eq!(raw("Host: a\r\nHost: a\r\n").await, 400);
}
