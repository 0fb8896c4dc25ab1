//! The gateway behind a real nginx, configured as its page says, and asked by others.

mod bound;
mod copied;
mod grpc;
mod started;
mod told;

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::process::{Place, ServerProcess, eventually};
use portcullis_tests::proxied::{self, Listening, Upstream, free_port};
use portcullis_tests::registered::Registered;
use portcullis_tests::token::Machine;
use reqwest::{Method, RequestBuilder};
use tempfile::{TempDir, tempdir};

use crate::commands::{ORDERS, json, place_on, registered, said};
use crate::terminal::adapted;

const IDENTITY: [&str; 6] = [
    "x-auth-subject",
    "x-auth-client",
    "x-auth-organisation",
    "x-auth-roles",
    "x-auth-scopes",
    "x-auth-decision",
];

const ROUTES: &str = "[[route]]\npath = \"/orders\"\nmethods = [\"GET\"]\nrequire = \"rbac(orders, read)\"\n\
    [[route]]\npath = \"/orders/{id}\"\nmethods = [\"DELETE\"]\nrequire = \"rbac(orders, delete)\"\n\
    [[route]]\npath = \"/reports\"\nmethods = [\"GET\"]\nrequire = \"scope(reports)\"\n\
    [[route]]\npath = \"/open/{*rest}\"\nrequire = \"public\"\n";

/// A file of the example that people copy, or of the page about it.
fn text_of(file: &str) -> String {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    fs::read_to_string(Path::new(&here).join("..").join(file)).unwrap()
}

/// The configuration of nginx.
fn nginx_block() -> String {
    text_of("middleware/examples/gateway/nginx.conf")
}

/// A server with an API, a client for the gateway, and one that calls.
struct Ground {
    place: Place,
    server: ServerProcess,
    viewer: Registered,
    stranger: Registered,
    policy: String,
    here: TempDir,
    _data: TempDir,
}

impl Ground {
    async fn new() -> Self {
        let (data, place) = place_on(Sqlite).await;
        let server = ServerProcess::start(&place).await;
        let create = |preset: &str, more: &[&str]| {
            let start = ["client", "create", "--preset", preset, "--name", preset, "--api", ORDERS];
            registered(&json(&place, &[&start[..], more].concat()))
        };
        let (service, here) = (create("service", &[]), tempdir().unwrap());
        let (viewer, stranger) = (create("m2m", &["--role", "viewer"]), create("m2m", &[]));
        let secret = here.path().join("secret");
        fs::write(&secret, format!("{}\n", service.secret.unwrap())).unwrap();
        let policy = format!(
            "[policy]\nclient_id = \"{}\"\nclient_secret_file = \"{}\"\n",
            service.id,
            secret.display()
        );
        Self { place, server, viewer, stranger, policy, here, _data: data }
    }

    /// The file of a gateway on a port.
    fn file(&self, port: u16, rest: &str) -> PathBuf {
        let file = self.here.path().join("gateway.toml");
        let start = format!(
            "[gateway]\nlisten = \"127.0.0.1:{port}\"\nissuer = \"{}\"\naudience = \"{ORDERS}\"\n",
            self.place.address()
        );
        fs::write(&file, start + rest).unwrap();
        file
    }

    async fn token(&self, client: &Registered) -> String {
        self.server.machine.client_credentials(client, ORDERS).await.member("access_token")
    }
}

/// nginx, the gateway that it asks, and the service behind it.
struct Scene {
    ground: Ground,
    gateway: Listening,
    nginx: Listening,
    upstream: Upstream,
}

impl Scene {
    async fn set(rest: &str) -> Self {
        let ground = Ground::new().await;
        let (asked, front, upstream) = (free_port(), free_port(), Upstream::start().await);
        let file = ground.file(asked, &format!("{}{rest}{ROUTES}", ground.policy));
        let gateway = proxied::gateway(&file, asked).await;
        let places = [
            ("127.0.0.1:8090", format!("127.0.0.1:{asked}")),
            ("127.0.0.1:8081", format!("127.0.0.1:{}", upstream.port)),
            ("127.0.0.1:8000", format!("127.0.0.1:{front}")),
        ];
        let places = places.each_ref().map(|(theirs, ours)| (*theirs, ours.as_str()));
        let http = adapted(&nginx_block(), &places);
        let nginx = proxied::nginx(ground.here.path(), front, &http).await;
        let ready = format!("{}/readyz", gateway.address);
        eventually("the gateway is ready", async || Answer::to(agent().get(&ready)).await.status == 200)
            .await;
        // Whoever waited for nginx asked for `/`.
        assert!(upstream.seen().is_empty(), "nothing passes that is not listed");
        Self { ground, gateway, nginx, upstream }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        agent().request(method, format!("{}{path}", self.nginx.address))
    }

    async fn read(&self, token: &str) -> Answer {
        Answer::to(self.ask(Method::GET, "/orders?page=1").bearer_auth(token)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_behind_nginx_hears_who_calls_from_the_gateway_alone_sqlite() {
    let scene = Scene::set("").await;
    let token = scene.ground.token(&scene.ground.viewer).await;
    let forged =
        |request: RequestBuilder| IDENTITY.iter().fold(request, |all, name| all.header(*name, "owner,root"));
    let asked = scene.ask(Method::GET, "/orders?page=1").bearer_auth(&token);
    let asked = forged(asked)
        .header("x_auth_subject", "root")
        .header("x-original-uri", "/open/x")
        .header("x-original-method", "POST")
        .header("x-forwarded-uri", "/open/x")
        .header("x-forwarded-for", "6.6.6.6");
    let answer = Answer::to(asked).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "here"), "{}", scene.gateway.log());
    let seen = scene.upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "GET /orders?page=1");
    assert_eq!(seen[0].header("x-auth-client"), scene.ground.viewer.id);
    assert_eq!(seen[0].header("x-auth-subject"), scene.ground.viewer.id);
    assert_eq!(seen[0].header("x-auth-roles"), "viewer");
    assert!(seen[0].header("x-auth-decision").starts_with("dec_"));
    for (name, value) in &seen[0].headers {
        assert!(!value.to_str().unwrap().contains("root"), "{name}: {value:?}");
    }

    let answer = Answer::to(forged(scene.ask(Method::POST, "/open/a%20b?x=%2f").body("of no account"))).await;
    assert_eq!(answer.status, 200, "{}", scene.gateway.log());
    let seen = scene.upstream.seen();
    assert_eq!(seen[0].line, "POST /open/a%20b?x=%2f");
    for name in &IDENTITY[..5] {
        assert_eq!(seen[0].header(name), "", "nobody is known, and nobody is made up: {name}");
    }
    assert!(seen[0].header("x-auth-decision").starts_with("dec_"));
    assert!(!scene.gateway.log().contains(&token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_hands_on_what_a_caller_can_do_about_a_403_sqlite() {
    let scene = Scene::set("").await;
    let viewer = scene.ground.token(&scene.ground.viewer).await;
    let narrow = Answer::to(scene.ask(Method::GET, "/reports").bearer_auth(&viewer)).await;
    let challenge = narrow.header("www-authenticate");
    assert_eq!(narrow.status, 403);
    assert!(
        challenge.contains("insufficient_scope") && challenge.contains("scope=\"reports\""),
        "{challenge}"
    );
    assert!(narrow.header("x-decision-id").starts_with("dec_"), "{:?}", narrow.headers);
    assert!(!narrow.headers.contains_key("retry-after"), "{:?}", narrow.headers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_hands_on_what_the_gateway_refuses_and_nothing_else_sqlite() {
    let scene = Scene::set("").await;
    let (viewer, stranger) =
        (scene.ground.token(&scene.ground.viewer).await, scene.ground.token(&scene.ground.stranger).await);
    let anonymous = Answer::to(scene.ask(Method::GET, "/orders")).await;
    assert_eq!(anonymous.status, 401);
    assert!(anonymous.header("www-authenticate").starts_with("Bearer"), "{:?}", anonymous.headers);
    let bad = scene.read("no.such.token").await;
    assert_eq!(bad.status, 401);
    assert!(bad.header("www-authenticate").contains("invalid_token"), "{:?}", bad.headers);
    let refused = scene.read(&stranger).await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("x-decision-id").starts_with("dec_"), "{:?}", refused.headers);
    assert!(!refused.headers.contains_key("www-authenticate"), "{:?}", refused.headers);
    for (method, path) in [
        (Method::DELETE, "/orders/1"),
        (Method::POST, "/orders"),
        (Method::PUT, "/orders/1"),
        (Method::GET, "/nowhere"),
        (Method::GET, "/orders/"),
    ] {
        let answer = Answer::to(scene.ask(method.clone(), path).bearer_auth(&viewer)).await;
        assert_eq!(answer.status, 403, "{method} {path}");
    }
    assert_eq!(Answer::to(scene.ask(Method::GET, "/_portcullis").bearer_auth(&viewer)).await.status, 404);

    let raw = Machine::new(&scene.nginx.address);
    for path in [
        "/open/../orders",
        "/open/..%2forders",
        "/open/%2e%2e/orders",
        "/open//orders",
        "//orders",
        "/orders;a=b",
        "/open/x;a=b",
        "/open/x%00",
        "/open/x%5c..%5corders",
        "/open/%2e/x",
        "/open/x%252f..",
        "/open/%6frders",
        "/x/../_portcullis",
        "/./orders",
        "/open/\u{e9}",
        "/open/%ff",
        "/open/%zz",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: api.example.com\r\nauthorization: Bearer {viewer}\r\nconnection: close\r\n\r\n"
        );
        let status = raw.raw(request.as_bytes()).await;
        assert!(matches!(status, 400 | 403 | 404), "{path}: {status}");
    }
    let two = format!(
        "GET /orders HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {viewer}\r\nauthorization: Bearer {viewer}\r\nconnection: close\r\n\r\n"
    );
    assert!(matches!(raw.raw(two.as_bytes()).await, 400 | 403));
    let none = format!("GET /orders HTTP/1.0\r\nauthorization: Bearer {viewer}\r\n\r\n");
    assert_eq!(raw.raw(none.as_bytes()).await, 403, "a request that names no host is judged as none");
    let seen: Vec<_> = scene.upstream.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(seen, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_headers_of_a_client_make_a_fault_of_the_question_sqlite() {
    let scene = Scene::set("").await;
    let token = scene.ground.token(&scene.ground.viewer).await;
    let raw = Machine::new(&scene.nginx.address);
    let asked = async |target: &str, more: &str| {
        let start = format!("GET {target} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n");
        raw.raw(format!("{start}{more}\r\n").as_bytes()).await
    };
    let many = (0..120).map(|number| format!("x-{number}: a\r\n")).collect::<Vec<_>>().concat();
    assert_eq!(asked("/orders", &many).await, 401);
    assert_eq!(asked("/nowhere", &format!("authorization: Bearer {token}\r\n{many}")).await, 403);
    assert_eq!(scene.upstream.seen().len(), 0);
    // The gateway lets it pass; the service has a limit of its own.
    assert_eq!(asked("/orders", &format!("authorization: Bearer {token}\r\n{many}")).await, 431);
    // The longest that nginx takes by itself: four lines of 8 KiB.
    let long = "a".repeat(8_160);
    for name in ["authorization", "dpop", "host-like", "cookie"] {
        assert_eq!(asked("/orders", &format!("{name}: {long}\r\n")).await, 401, "{name}");
    }
    let all = format!("authorization: Bearer {long}\r\ndpop: {long}\r\n");
    assert_eq!(asked(&format!("/orders?{long}"), &all).await, 401);
    let host = format!("GET /orders?{long} HTTP/1.1\r\nhost: {long}\r\nconnection: close\r\n{all}\r\n");
    assert_eq!(raw.raw(host.as_bytes()).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_rules_and_a_revoked_token_count_at_once_and_without_a_gateway_nobody_passes_sqlite()
{
    let scene = Scene::set("").await;
    let (token, other) =
        (scene.ground.token(&scene.ground.viewer).await, scene.ground.token(&scene.ground.viewer).await);
    assert_eq!(scene.read(&token).await.status, 200);
    scene.ground.server.machine.revoke(&scene.ground.viewer, &other).await;
    eventually("the revoked token is refused", async || scene.read(&other).await.status == 401).await;
    assert_eq!(scene.read(&token).await.status, 200);
    let rules = scene.ground.here.path().join("rules.csv");
    fs::write(&rules, "p, viewer, *, orders, delete\n").unwrap();
    for step in [&["push", rules.to_str().unwrap()][..], &["activate", "--message", "Delete only"]] {
        let output = scene.ground.place.run(&[&["policy"], step, &["--api", ORDERS]].concat());
        assert!(output.status.success(), "{}", said(&output));
    }
    eventually("the new rules hold", async || scene.read(&token).await.status == 403).await;
    assert_eq!(Answer::to(scene.ask(Method::DELETE, "/orders/1").bearer_auth(&token)).await.status, 200);

    scene.upstream.seen();
    let Scene { ground: _ground, gateway, nginx, upstream } = scene;
    assert!(gateway.end().success(), "it stops when it is asked to");
    for path in ["/orders", "/open/x"] {
        let answer = Answer::to(agent().get(format!("{}{path}", nginx.address)).bearer_auth(&token)).await;
        assert_eq!(answer.status, 500, "{path}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_told_through_nginx_sqlite() {
    let scene = Scene::set("[limits]\nper_caller_per_minute = 2\n").await;
    let token = scene.ground.token(&scene.ground.viewer).await;
    for status in [200, 200, 429] {
        let answer = scene.read(&token).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("retry-after").parse::<u32>().is_ok(),
            status == 429,
            "{:?}",
            answer.headers
        );
    }
    assert_eq!(scene.upstream.seen().len(), 2);
}
