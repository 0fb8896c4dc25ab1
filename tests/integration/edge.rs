//! What holds for every request, whatever route it takes.

use std::net::IpAddr;

use axum::body::{Body, Bytes};
use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use portcullis_server::domain::issuer::Issuer;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::text_of;
use portcullis_tests::provision::Provisioned;
use portcullis_tests::server::{BareServer, TestServer};
use portcullis_tests::token::basic;
use portcullis_tests::visitor::login_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

/// A client on a connection of HTTP/2 of its own, from an address of this machine.
fn http2_from(address: [u8; 4]) -> Client<HttpConnector, Body> {
    let mut connector = HttpConnector::new();
    connector.set_local_address(Some(IpAddr::from(address)));
    Client::builder(TokioExecutor::new()).http2_only(true).build(connector)
}

/// A body that never arrives.
fn silence() -> Body {
    Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_do_not_keep_others_out(#[values(Sqlite, Postgres)] database: Database) {
    let server = BareServer::start_with(database, |config| config.server.bounds.max_in_flight = 1024).await;
    let ask = |client: &Client<HttpConnector, Body>, method: Method, path: &str, body: Body| {
        let request = Request::builder().method(method).uri(server.machine.url(path));
        let form = request.header("content-type", "application/x-www-form-urlencoded");
        client.request(form.body(body).unwrap())
    };
    let senders: Vec<_> = (0..11).map(|_| http2_from([127, 0, 0, 1])).collect();
    let mut slow: FuturesUnordered<_> = senders
        .iter()
        .flat_map(|sender| (0..100).map(|_| ask(sender, Method::POST, "/token", silence())))
        .collect();
    // All but those that hold a seat are told to come back at once.
    for _ in 0..slow.len() - 64 {
        let refused = slow.next().await.unwrap().unwrap();
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["content-type"], "application/json");
        assert!(refused.headers().contains_key("retry-after"));
    }
    assert_eq!(slow.len(), 64);
    let same = http2_from([127, 0, 0, 1]);
    for path in ["/healthz/live", "/healthz/ready"] {
        let answer = ask(&same, Method::GET, path, Body::empty()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let other = http2_from([127, 0, 0, 2]);
    assert_eq!(ask(&other, Method::GET, "/login", Body::empty()).await.unwrap().status(), 200);
}

#[rstest]
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_the_form_of_the_route(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server =
        TestServer::start_with(database, |config| config.server.bounds.max_body_bytes = 64 * 1024).await;
    let token = server.admin.token().await;
    let client = http2_from([127, 0, 0, 1]);
    let large = json!({ "username": "x".repeat(70_000) }).to_string();
    for (path, form) in [
        ("/token", "application/json"),
        ("/introspect", "application/json"),
        ("/revoke", "application/json"),
        ("/userinfo", "application/json"),
        ("/policies/snapshot", "application/problem+json"),
        ("/api/v1/users", "application/problem+json"),
        ("/authorize", "text/html; charset=utf-8"),
        ("/logout", "text/html; charset=utf-8"),
    ] {
        let kind =
            if path.starts_with("/api") { "application/json" } else { "application/x-www-form-urlencoded" };
        for chunked in [false, true] {
            let body = if chunked {
                Body::from_stream(stream::iter([Ok::<_, std::io::Error>(large.clone())]))
            } else {
                Body::from(large.clone())
            };
            let request = Request::post(server.machine.url(path)).header("content-type", kind);
            let request = request.header("authorization", format!("Bearer {token}")).body(body).unwrap();
            let answer = client.request(request).await.unwrap();
            assert_eq!(answer.status(), 413, "{path}, chunked: {chunked}");
            let (head, body) = answer.into_parts();
            assert_eq!(head.headers["content-type"], form, "{path}, chunked: {chunked}");
            let body = axum::body::to_bytes(Body::new(body), usize::MAX).await.unwrap();
            let told = String::from_utf8(body.to_vec()).unwrap();
            if form.starts_with("text/html") {
                let id = head.headers["x-request-id"].to_str().unwrap();
                assert_eq!(text_of(&told, "reference").as_deref(), Some(id), "{path}");
            } else {
                assert!(told.contains("too"), "{path}: {told}");
            }
        }
    }
    let fits = json!({ "username": "x".repeat(60_000) });
    let answer = server.admin.send(Method::POST, "/users", &fits).await;
    assert_eq!(answer.status, 422, "what fits is read: {}", answer.text());
}

#[rstest]
#[tokio::test]
async fn addresses_and_forms_that_cannot_be_read_get_a_page_with_a_reference(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let page = |answer: &Answer, status: u16, what: &str| {
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{what}");
        let reference =
            text_of(&answer.text(), "reference").unwrap_or_else(|| panic!("{what}: no reference"));
        assert_eq!(reference, answer.header("x-request-id"), "{what}");
    };
    for (path, status) in [
        ("/login?interaction=a&interaction=b", 400),
        ("/login?next=password&next=password", 400),
        ("/login?switch=1&switch=1", 400),
        ("/consent?interaction=a&interaction=b", 400),
        ("/account?notice=a&notice=b", 400),
        ("/account/log?before=x", 400),
        ("/account/sessions/end", 405),
        ("/logout?state=a&state=b", 400),
        ("/admin/policies/%ff", 404),
        ("/admin/policies/nothing", 404),
        ("/static/x/%ff", 404),
        ("/static/x/nothing.css", 404),
        ("/nothing", 404),
    ] {
        page(&server.machine.get(path).await, status, path);
    }
    for path in [
        "/login",
        "/consent",
        "/account/apps/withdraw",
        "/account/profile",
        "/account/sessions/end",
        "/account/sessions/end-others",
        "/account/sign-out",
        "/logout/confirm",
        "/recover",
        "/account/profile/email",
        "/account/profile/email/confirm",
        "/recover/address",
        "/recover/new",
        "/verify",
        "/setup",
        "/sign-up",
        "/sign-up/new",
        "/admin/policies/%61",
    ] {
        let foreign = server.machine.request(Method::POST, path).header("origin", "https://evil.test");
        page(&Answer::to(foreign.form(&[("a", "b")])).await, 403, path);
        let own = || server.machine.request(Method::POST, path).header("sec-fetch-site", "same-origin");
        page(&Answer::to(own().header("content-type", "text/plain").body("a=b")).await, 400, path);
        page(&Answer::to(own().form(&[("a", "b"), ("a", "b")])).await, 400, path);
        page(&Answer::to(own().form(&[("csrf_token", "wrong")])).await, 403, path);
    }
    for path in ["/authorize", "/logout"] {
        for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
            let request = server.machine.request(Method::POST, path).header("content-type", kind);
            page(&Answer::to(request.body("client_id=x&state=y")).await, 400, &format!("{path} as {kind}"));
        }
        page(&Answer::to(server.machine.request(Method::POST, path)).await, 400, path);
    }
}

#[rstest]
#[tokio::test]
async fn an_issuer_with_a_path_is_found_below_it_and_where_rfc_8414_says(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut issuer = String::new();
    let server = BareServer::start_with(database, |config| {
        issuer = format!("{}/auth/eu", config.issuer());
        config.server.issuer = Some(Issuer::parse(&issuer).unwrap().into());
    })
    .await;
    for path in [
        "/.well-known/oauth-authorization-server/auth/eu",
        "/auth/eu/.well-known/openid-configuration",
        // Behind a proxy that strips the path.
        "/.well-known/openid-configuration",
    ] {
        let answer = server.machine.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.json()["issuer"], issuer.as_str(), "{path}");
    }
    for path in ["/.well-known/oauth-authorization-server/auth", "/auth/.well-known/openid-configuration"] {
        assert_eq!(server.machine.get(path).await.status, 404, "{path}");
    }
    let document = server.machine.get("/auth/eu/.well-known/openid-configuration").await.json();
    for (name, value) in document.as_object().unwrap() {
        let Some(address) = value.as_str().filter(|_| name.ends_with("_endpoint") || name == "jwks_uri")
        else {
            continue;
        };
        let path = address.strip_prefix(&server.issuer).unwrap_or_else(|| panic!("{name}: {address}"));
        assert_ne!(server.machine.get(path).await.status, 404, "{name}: {address}");
    }
    assert_eq!(server.machine.get("/auth/eu/api/v1/users").await.status, 401);
    let provisioned = Provisioned::in_app(server.app()).await;
    let (shop, ada) = (&provisioned.client, &provisioned.person);
    for base in ["/auth/eu", ""] {
        let request = AuthorizeRequest::of(shop);
        let callback = server.visitor().walk(&format!("{base}{}", request.path()), ada).await;
        assert_eq!(callback.get("iss"), issuer);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", callback.code()),
            ("redirect_uri", request.get("redirect_uri")),
            ("code_verifier", &request.pkce.verifier),
        ];
        let tokens = server.machine.post_as(shop, &format!("{base}/token"), &fields).await;
        assert_eq!(tokens.status, 200, "{base}: {}", tokens.text());
    }
}

#[rstest]
#[tokio::test]
async fn a_database_that_is_away_is_told_as_trouble_that_passes(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let orders = server.admin.api("https://orders.test").await;
    let guard = server.admin.guard_client(&orders).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let mut stranger = server.visitor();
    let form = login_form(&stranger.open("/login").await, &ada.username, &ada.password);
    let token = server.admin.token().await;
    let get = |path: &str| server.machine.request(Method::GET, path);
    // The server knows the guard by now, and has not read its policy yet.
    server.machine.introspect(&guard, "x").await;
    let basic = basic(&guard.id, guard.secret.as_deref().unwrap());
    server.app().store().close().await;
    for path in ["/account", "/", "/account/security/password", "/consent", "/logout"] {
        let answer = visitor.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{path}");
        assert_eq!(text_of(&answer.text(), "reference").unwrap(), answer.header("x-request-id"), "{path}");
    }
    let unknown = "/login?interaction=itx_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c".to_owned();
    let page = [
        stranger.get(&AuthorizeRequest::of(&shop).path()).await,
        stranger.get(&unknown).await,
        stranger.submit(&form).await,
    ];
    for answer in page {
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{}", answer.url);
    }
    let batch = json!({ "batch": "g-1", "decisions": [] });
    for request in [
        get("/api/v1/users").bearer_auth(&token),
        get("/policies/snapshot").header("authorization", &basic),
        get(&format!("/policies/routes/{}", "00".repeat(32))).header("authorization", &basic),
        server
            .machine
            .request(Method::POST, "/policies/decisions")
            .header("authorization", &basic)
            .json(&batch),
    ] {
        let answer = Answer::to(request).await;
        let told = (answer.status.as_u16(), answer.header("retry-after"), answer.header("content-type"));
        assert_eq!(told, (503, "1", "application/problem+json"), "{}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn a_set_up_page_without_a_database_asks_to_try_again(#[values(Sqlite, Postgres)] database: Database) {
    let server = BareServer::start_on(database).await;
    server.app().store().close().await;
    let answer = server.visitor().get("/setup").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn what_machines_ask_for_all_day_is_logged_for_debugging_only(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = BareServer::start_on(database).await;
    let page = server.machine.get("/login").await.text();
    let (_, rest) = page.split_once("href=\"/static/").unwrap();
    let (style, _) = rest.split_once('"').unwrap();
    for (path, route) in [
        (format!("/static/{style}"), "/static/{hash}/{name}"),
        ("/jwks".to_owned(), "/jwks"),
        ("/.well-known/authzen-configuration".to_owned(), "/.well-known/authzen-configuration"),
        ("/healthz/live".to_owned(), "/healthz/live"),
        ("/.well-known/openid-configuration".to_owned(), "/.well-known/openid-configuration"),
    ] {
        assert_eq!(server.machine.get(&path).await.status, 200, "{path}");
        let lines = server.log.lines_with(&format!("http.route=\"{route}\""));
        assert!(!lines.is_empty(), "{route}: {}", server.log.text());
        for line in lines {
            assert!(line.contains(" DEBUG ") && !line.contains(" INFO "), "{line}");
        }
    }
    let lines = server.log.lines_with("http.route=\"/login\"");
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(" INFO ")), "{lines:?}");
}
