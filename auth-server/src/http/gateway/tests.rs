//! Questions as proxies ask them, and as clients would like them to be asked.

use std::net::SocketAddr;

use axum::response::IntoResponse;
use http::{Method, Request, StatusCode};
use portcullis_guard::{Guard, Issuer, Proxies, RouteTable, SharedKeys, authenticated, public, scope};

use super::entry::Unclear;
use super::{Dialect, Front, identity, undecided};
use crate::http::bounds::Cut;

const PEER: ([u8; 4], u16) = ([127, 0, 0, 1], 40_000);

/// What each proxy says about `GET /open?x=1` of a client.
fn nginx() -> Vec<(&'static str, &'static str)> {
    vec![
        ("x-original-method", "GET"),
        ("x-original-uri", "/open?x=1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example"),
        ("x-forwarded-for", "192.0.2.1"),
    ]
}

fn forward() -> Vec<(&'static str, &'static str)> {
    let mut headers = nginx();
    headers[0].0 = "x-forwarded-method";
    headers[1].0 = "x-forwarded-uri";
    headers
}

fn envoy() -> Vec<(&'static str, &'static str)> {
    let mut headers = nginx().split_off(2);
    headers[1].0 = "host";
    headers
}

fn question(method: Method, address: &str, headers: &[(&str, &str)]) -> Request<()> {
    let request = Request::builder().method(method).uri(address);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
}

fn read(address: &str, headers: &[(&str, &str)]) -> Result<Request<axum::body::Body>, Unclear> {
    let (parts, ()) = question(Method::GET, address, headers).into_parts();
    Dialect::of(parts.uri.path()).unwrap().original(&parts)
}

/// Each dialect, the address of a question about `/open?x=1`, and its headers.
fn dialects() -> [(&'static str, Vec<(&'static str, &'static str)>); 3] {
    [("/nginx", nginx()), ("/forward", forward()), ("/envoy/open?x=1", envoy())]
}

pub(super) async fn front() -> Front {
    let guard = Guard::builder()
        .issuer(Issuer::shared("https://id.example", SharedKeys::none()))
        .audience("https://api.example")
        .manual_refresh()
        .build()
        .await
        .unwrap();
    let table = RouteTable::new()
        .route("/open", public())
        .methods([Method::GET], "/orders", scope("orders"))
        .route("/me", authenticated());
    Front::new(&guard, table, Proxies::trust(["127.0.0.0/8", "::1"]).unwrap()).unwrap()
}

async fn status(address: &str, headers: &[(&str, &str)]) -> StatusCode {
    front().await.asked(SocketAddr::from(PEER), question(Method::GET, address, headers)).await.1.status()
}

fn with(
    headers: &[(&'static str, &'static str)],
    name: &str,
    value: &'static str,
) -> Vec<(&'static str, &'static str)> {
    let replaced = headers.iter().map(|(own, old)| (*own, if *own == name { value } else { *old }));
    replaced.collect()
}

#[test]
fn the_original_request_is_the_same_in_every_dialect() {
    for (address, headers) in dialects() {
        let request = read(address, &headers).unwrap();
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::GET, "/open?x=1"),
            "{address}"
        );
        assert_eq!(request.headers()["host"], "api.example");
        assert_eq!(request.headers()["x-forwarded-for"], "192.0.2.1");
        let origin = request.extensions().get::<portcullis_guard::ClientOrigin>().unwrap();
        assert_eq!(origin.as_str(), "https://api.example");
    }
}

#[test]
fn only_credentials_of_the_client_are_handed_on() {
    for (address, mut headers) in dialects() {
        headers.extend([
            ("authorization", "Bearer a"),
            ("dpop", "p"),
            ("cookie", "a=b"),
            ("content-type", "application/json"),
            ("content-length", "5"),
            ("x-http-method-override", "DELETE"),
            ("forwarded", "for=6.6.6.6"),
            ("x-auth-roles", "owner"),
        ]);
        let request = read(address, &headers).unwrap();
        let mut names: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "dpop", "host", "x-forwarded-for"], "{address}");
    }
}

#[test]
fn what_is_missing_or_there_twice_is_refused() {
    for (address, headers) in dialects() {
        for (position, (name, value)) in headers.iter().enumerate() {
            let mut missing = headers.clone();
            missing.remove(position);
            assert!(read(address, &missing).is_err(), "{address} without {name}");
            assert!(read(address, &with(&headers, name, "")).is_err(), "{address} with an empty {name}");
            let mut twice = headers.clone();
            twice.push((name, value));
            assert!(read(address, &twice).is_err(), "{address} with {name} twice");
        }
        for name in ["authorization", "dpop"] {
            let mut twice = headers.clone();
            twice.extend([(name, "Bearer a"), (name, "Bearer b")]);
            assert_eq!(read(address, &twice).unwrap_err(), Unclear::Twice, "{address}");
        }
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (name, value, why) in [
        ("x-forwarded-proto", "https, http", Unclear::Scheme),
        ("x-forwarded-proto", "ws", Unclear::Scheme),
        ("x-forwarded-host", "api.example, evil.example", Unclear::Host),
        ("x-forwarded-host", "api.example/x", Unclear::Host),
        ("x-forwarded-for", "unknown", Unclear::Address),
        ("x-forwarded-for", "192.0.2.1, ", Unclear::Address),
        ("x-original-method", "GET POST", Unclear::Method),
        ("x-original-uri", "open", Unclear::Target),
        ("x-original-uri", "https://evil.example/open", Unclear::Target),
        ("x-original-uri", "?x=1", Unclear::Target),
        ("x-original-uri", "*", Unclear::Target),
        ("x-original-uri", "/open#x", Unclear::Target),
        ("x-original-uri", "/open x", Unclear::Target),
    ] {
        assert_eq!(read("/nginx", &with(&nginx(), name, value)).unwrap_err(), why, "{name}: {value}");
    }
}

#[test]
fn a_client_does_not_choose_the_dialect() {
    let mut headers = envoy();
    headers.extend([("x-original-uri", "/me"), ("x-forwarded-uri", "/me"), ("x-forwarded-method", "PUT")]);
    assert_eq!(read("/envoy/open", &headers).unwrap().uri(), "/open");
    for address in ["/", "/envoy", "/envoyopen", "/nginx/", "/forward/x", "/NGINX", "//nginx", "/x/nginx"] {
        assert_eq!(Dialect::of(address), None, "{address}");
    }
}

#[test]
fn two_names_of_the_host_at_envoy_are_one_or_refused() {
    let envoy = envoy();
    for headers in [&envoy[..], &[envoy[0], envoy[2]]] {
        assert_eq!(read("http://api.example/envoy/open", headers).unwrap().headers()["host"], "api.example");
    }
    assert_eq!(read("http://evil.example/envoy/open", &envoy).unwrap_err(), Unclear::Host);
}

#[tokio::test]
async fn the_guard_decides() {
    for (address, headers) in dialects() {
        let answer =
            front().await.asked(SocketAddr::from(PEER), question(Method::GET, address, &headers)).await.1;
        assert_eq!(answer.status(), 200, "{address}");
        assert!(answer.headers()[identity::DECISION].to_str().unwrap().starts_with("dec_"));
        assert!(!answer.headers().contains_key(identity::SUBJECT));
    }
    let answer =
        front().await.asked(SocketAddr::from(PEER), question(Method::GET, "/envoy/me", &envoy())).await.1;
    assert_eq!(answer.status(), 401);
    assert!(answer.headers().contains_key("www-authenticate"));
    assert_eq!(status("/envoy/nowhere", &envoy()).await, 401, "whoever has no token is asked for one first");
}

#[tokio::test]
async fn paths_that_two_programs_could_read_in_two_ways_are_refused_in_the_words_of_the_proxy() {
    for path in [
        "//open",
        "/./open",
        "/x/../open",
        "/%2e%2e/open",
        "/open%2fx",
        "/open;x",
        "/%6fpen",
        "/open%00",
        "/open%5cx",
        "/a%252fb",
    ] {
        let in_nginx: &'static str = path;
        assert_eq!(status("/nginx", &with(&nginx(), "x-original-uri", in_nginx)).await, 403, "{path}");
        assert_eq!(status("/forward", &with(&forward(), "x-forwarded-uri", in_nginx)).await, 400, "{path}");
        assert_eq!(status(&format!("/envoy{path}"), &envoy()).await, 400, "{path}");
    }
}

#[tokio::test]
async fn nginx_is_told_what_it_cannot_be_answered() {
    let asked = question(Method::GET, "/nginx", &with(&nginx(), "x-original-uri", "/a;b"));
    let answer = front().await.asked(SocketAddr::from(PEER), asked).await.1;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-auth-status"]),
        (403, &"400".parse().unwrap())
    );
    assert_eq!(status("/nginx", &nginx()[1..]).await, 403);
    assert_eq!(status("/forward", &forward()[1..]).await, 400);
    assert_eq!(status("/nginx", &with(&nginx(), "x-original-uri", "/me")).await, 401);
    let mut token = with(&nginx(), "x-original-uri", "/me");
    token.push(("authorization", "Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImEifQ.e30.AAAA"));
    assert_eq!(status("/nginx", &token).await, 401);
}

#[test]
fn what_was_not_decided_passes_nowhere_and_each_proxy_hears_what_it_can() {
    let plain = |code: u16| StatusCode::from_u16(code).unwrap().into_response();
    for dialect in [Dialect::Envoy, Dialect::Forward, Dialect::Nginx] {
        for (answer, code, at_nginx) in [
            (plain(429), 429, 403),
            (plain(500), 500, 500),
            (plain(503), 503, 503),
            (undecided(Cut::Panic), 500, 500),
            (undecided(Cut::TooSlow), 503, 503),
        ] {
            let spoken = dialect.spoken(answer);
            let is_nginx = dialect == Dialect::Nginx;
            assert_eq!(spoken.status(), if is_nginx { at_nginx } else { code }, "{dialect:?} {code}");
            let told = spoken.headers().get("x-auth-status").map(|told| told.to_str().unwrap().to_owned());
            assert_eq!(told, is_nginx.then(|| code.to_string()), "{dialect:?} {code}");
        }
    }
}

#[tokio::test]
async fn whoever_is_no_proxy_is_refused_whatever_he_says() {
    let front = front().await;
    for peer in ["192.0.2.7:1", "[2001:db8::1]:1", "[::ffff:192.0.2.7]:1"] {
        for (address, headers) in dialects() {
            let (_, answer) =
                front.asked(peer.parse().unwrap(), question(Method::GET, address, &headers)).await;
            assert_eq!(answer.status(), 403, "{peer} {address}");
        }
    }
    for peer in ["127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        let (_, answer) = front.asked(peer.parse().unwrap(), question(Method::GET, "/nginx", &nginx())).await;
        assert_eq!(answer.status(), 200, "{peer}");
    }
}

#[tokio::test]
async fn other_addresses_are_none() {
    assert_eq!(status("/", &nginx()).await, 404);
    let front = front().await;
    assert_eq!(front.health("/healthz").unwrap().status(), 200);
    assert!(matches!(front.health("/readyz").unwrap().status().as_u16(), 200 | 503));
    assert!(front.health("/envoy/healthz").is_none());
}
