//! A service of this process, behind a guard whose clock stands still.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::uri::Uri;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::{
    Clock, Field, Guard, GuardExt, GuardedRouter, Html, InputPolicy, Issuer, TokenForm, authenticated, public,
};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

pub(super) const ISSUER: &str = "https://id.test";
pub(super) const AUDIENCE: &str = "https://api.test";
pub(super) const KID: &str = "known";

/// When all of this takes place.
pub(super) const NOW: u64 = 1_800_000_000;

/// The key of the issuer: the same each time, so that what was found can be tried again.
pub(super) static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| key(1));

/// The key of somebody else.
pub(super) static STRANGERS_KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| key(2));

static SERVICE: LazyLock<(Runtime, Router)> = LazyLock::new(|| started(router()));

/// A service, and what runs it.
pub(super) fn started(router: impl Future<Output = Router>) -> (Runtime, Router) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let router = runtime.block_on(router);
    (runtime, router)
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any seed is a key")
}

/// The line between a header and a payload.
const BETWEEN: &[u8] = b"\n----\n";

/// A header and a payload.
pub(super) fn halves(text: &[u8]) -> (&[u8], &[u8]) {
    let between = text.windows(BETWEEN.len()).position(|window| window == BETWEEN);
    let (header, rest) = text.split_at(between.unwrap_or(text.len()));
    (header, rest.get(BETWEEN.len()..).unwrap_or_default())
}

pub(super) fn with_signature(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", encoded(signature))
}

/// The public half of a key, by the members that are needed (RFC 8037 §2).
pub(super) fn jwk(key: &Ed25519KeyPair) -> String {
    format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encoded(key.public_key()))
}

/// A text with the keys in place of their names, and something in place of another name.
pub(super) fn placed(text: &[u8], name: &str, value: &str) -> Vec<u8> {
    let names = [("STRANGER", jwk(&STRANGERS_KEY)), ("KEY", jwk(&KEY)), (name, value.to_owned())];
    let mut placed = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.first() {
        let standing = names.iter().find(|(name, _)| rest.starts_with(name.as_bytes()));
        let (what, length) =
            standing.map_or((std::slice::from_ref(first), 1), |(name, value)| (value.as_bytes(), name.len()));
        placed.extend(what);
        rest = rest.get(length..).unwrap_or_default();
    }
    placed
}

pub(super) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A guard that takes tokens of this form.
pub(super) async fn guard(form: TokenForm) -> Guard {
    let x = encoded(KEY.public_key());
    let keys = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{KID}","x":"{x}"}}]}}"#);
    let guard = Guard::builder()
        .issuer(Issuer::static_jwks(ISSUER, keys).token_form(form))
        .audience(AUDIENCE)
        .clock(Clock::from_fn(|| Duration::from_secs(NOW)))
        .manual_refresh();
    guard.build().await.expect("a guard")
}

async fn router() -> Router {
    let guard = guard(TokenForm::rfc9068()).await;
    let declared = InputPolicy::strict()
        .html("/html", Html::rich())
        .html("/list/*", Html::inline())
        .field("/line", Field::line().trimmed().rewrite());
    let echo = async |body: Bytes| body;
    GuardedRouter::new()
        .route("/", get(async || "").guard(public()))
        .route("/token", get(async || "").guard(authenticated()))
        .route("/json", post(echo).guard(public()))
        .route("/declared", post(echo).guard(public()).input(&declared.build().expect("a policy")))
        .route("/{*rest}", get(async |uri: Uri| uri.path().to_owned()).guard(public()))
        .guarded_by(&guard)
}

/// What the service answers.
pub(super) fn ask(request: Request<Body>) -> (StatusCode, Bytes) {
    let (runtime, router) = &*SERVICE;
    answered(runtime, router, request)
}

/// What a service answers.
pub(super) fn answered(runtime: &Runtime, router: &Router, request: Request<Body>) -> (StatusCode, Bytes) {
    runtime.block_on(async {
        let response = router.clone().oneshot(request).await.expect("a router answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body in memory");
        (parts.status, body.to_bytes())
    })
}
