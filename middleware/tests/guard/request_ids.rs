//! The names of requests.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::{HeaderMap, Request, StatusCode};
use portcullis_guard::{
    BuildError, Caps, Cors, GuardBuilder, GuardExt, GuardedRouter, Proxies, RequestId, authenticated, public,
};
use tracing::subscriber::set_default;
use tracing_subscriber::fmt::MakeWriter;

use crate::service::{Answer, guard_of, send};
use crate::signer::Signer;

async fn app(guard: GuardBuilder) -> Result<Router, BuildError> {
    let both = async |id: RequestId, headers: HeaderMap| {
        tracing::info!("at work");
        format!("{id} {}", headers["x-request-id"].to_str().unwrap())
    };
    let guard = guard.build().await?;
    Ok(GuardedRouter::new()
        .route("/id", get(both).guard(public()))
        .route("/me", get(async || "me").guard(authenticated()))
        .route("/own", get(async || ([("x-request-id", "mine")], "own")).guard(public()))
        .guarded_by(&guard))
}

async fn from(app: &Router, peer: &str, path: &str, given: &[&str]) -> Answer {
    let request = Request::get(path);
    let request = given.iter().fold(request, |request, id| request.header("x-request-id", *id));
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
    send(app, request).await
}

#[tokio::test]
async fn every_answer_and_every_refusal_has_a_name_of_ours() {
    let caps = Caps::new().in_flight(1);
    let app = app(guard_of(&Signer::es256("a")).request_ids().caps(caps)).await.unwrap();
    let mut seen = std::collections::HashSet::new();
    for (path, status) in [("/id", 200), ("/me", 401), ("/nowhere", 404), ("/own", 200)] {
        let answer = from(&app, "192.0.2.1", path, &["theirs"]).await;
        assert_eq!(answer.status, status);
        let id = answer.header("x-request-id").to_owned();
        assert!(id.starts_with("req_") && seen.insert(id.clone()), "{path}: {id}");
        assert_eq!(answer.headers.get_all("x-request-id").iter().count(), 1);
        if path == "/id" {
            assert_eq!(answer.body, format!("{id} {id}"), "the header that a stranger sent is gone");
        }
    }
}

#[tokio::test]
async fn a_name_counts_from_a_trusted_proxy_only_and_only_if_it_is_one() {
    let proxies = Proxies::trust(["10.0.0.0/8"]).unwrap();
    let app = app(guard_of(&Signer::es256("a")).request_ids().proxies(proxies)).await.unwrap();
    let name = async |peer: &str, given: &[&str]| {
        from(&app, peer, "/id", given).await.header("x-request-id").to_owned()
    };
    assert_eq!(name("10.0.0.1", &["0af7651916cd43dd"]).await, "0af7651916cd43dd");
    assert_eq!(from(&app, "10.0.0.1", "/me", &["a-b"]).await.header("x-request-id"), "a-b");
    for (peer, given) in [
        ("192.0.2.1", &["0af7651916cd43dd"][..]),
        ("10.0.0.1", &["a", "b"]),
        ("10.0.0.1", &["a b"]),
        ("10.0.0.1", &["<script>"]),
        ("10.0.0.1", &[""]),
        ("10.0.0.1", &[]),
    ] {
        let name = name(peer, given).await;
        assert!(name.starts_with("req_"), "{peer} {given:?}: {name}");
    }
    let long = "a".repeat(129);
    assert!(name("10.0.0.1", &[&long]).await.starts_with("req_"));
    let mut unknown = Request::get("/id").header("x-request-id", "a").body(Body::empty()).unwrap();
    unknown.extensions_mut().clear();
    assert!(send(&app, unknown).await.header("x-request-id").starts_with("req_"), "nobody knows who sent it");
}

#[tokio::test]
async fn what_is_logged_about_a_request_has_its_name() {
    let lines = Lines::default();
    let log = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false);
    let _set = set_default(log.with_max_level(tracing::Level::DEBUG).finish());
    let app = app(guard_of(&Signer::es256("a")).request_ids()).await.unwrap();
    for (path, said) in [("/id", "at work"), ("/me", "refused")] {
        lines.take();
        let id = from(&app, "192.0.2.1", path, &[]).await.header("x-request-id").to_owned();
        let text = lines.take();
        let line = text.lines().find(|line| line.contains(said)).unwrap();
        assert!(line.contains(&format!("request{{request.id={id}}}")), "{line}");
    }
}

#[tokio::test]
async fn a_script_may_read_the_name_and_a_handler_without_names_gets_none() {
    let cors = Cors::origins(["https://app.example.com"]);
    let app = app(guard_of(&Signer::es256("a")).cors(cors)).await.unwrap();
    let asked = Request::get("/id").header("origin", "https://app.example.com").body(Body::empty()).unwrap();
    let answer = send(&app, asked).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
}

/// What was logged in this thread.
#[derive(Clone, Default)]
struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Lines {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
