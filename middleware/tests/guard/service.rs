//! A guarded service, and requests to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::{
    Clock, Guard, GuardBuilder, GuardExt, GuardedRouter, Issuer, Principal, authenticated, rbac,
};
use portcullis_policy::{PolicySource, Snapshot};
use serde_json::Value;
use tower::ServiceExt;

use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, jwks};

/// A clock that tests turn.
#[derive(Clone)]
pub(crate) struct Dial(Arc<AtomicU64>);

impl Dial {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW * 1_000)))
    }

    pub(crate) fn clock(&self) -> Clock {
        let millis = Arc::clone(&self.0);
        Clock::from_fn(move || Duration::from_millis(millis.load(Ordering::Relaxed)))
    }

    /// The clock of a process that starts now: its steady hand begins at zero.
    pub(crate) fn clock_of_new_process(&self) -> Clock {
        let (wall, millis) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let start = self.0.load(Ordering::Relaxed);
        Clock::new(
            move || Duration::from_millis(wall.load(Ordering::Relaxed)),
            move || Duration::from_millis(millis.load(Ordering::Relaxed) - start),
        )
    }

    /// Seconds since the Unix epoch.
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed) / 1_000
    }

    pub(crate) fn turn(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

/// A guard under construction that trusts one key and stands at [`NOW`].
pub(crate) fn guard_of(signer: &Signer) -> GuardBuilder {
    builder(&Dial::new()).issuer(Issuer::static_jwks(ISSUER, jwks([signer])))
}

/// A guard under construction without issuers.
pub(crate) fn builder(dial: &Dial) -> GuardBuilder {
    Guard::builder().audience(AUDIENCE).clock(dial.clock()).manual_refresh()
}

/// A small service: `/me` for anybody with a token, `/orders` by policy, `/echo` says the body again.
pub(crate) fn service(guard: &Guard) -> Router {
    GuardedRouter::new()
        .route("/me", get(async |who: Principal| who.subject().to_owned()).guard(authenticated()))
        .route("/orders", get(async || "orders").guard(rbac("orders", "read")))
        .route("/orders", post(async || "created").guard(rbac("orders", "create")))
        .route("/echo", post(async |body: Bytes| body).guard(authenticated()))
        .guarded_by(guard)
}

pub(crate) fn policy(rules: &str, revision: u64) -> Snapshot {
    Snapshot::compile(&PolicySource::with_default_model(rules), revision).unwrap()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        self.problem()["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn send(service: &Router, request: Request<Body>) -> Answer {
    let response = service.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

pub(crate) fn request(method: &str, path: &str, token: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"))
}

/// `GET path` with a token.
pub(crate) async fn fetch(service: &Router, path: &str, token: &str) -> Answer {
    send(service, request("GET", path, token).body(Body::empty()).unwrap()).await
}
