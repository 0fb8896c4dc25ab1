//! An issuer on a socket of this machine, which can be told to misbehave.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use portcullis_policy::{PolicySource, SnapshotDocument};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::events::{Revocations, Told, read};
use super::keys::{SigningKey, insert};
use super::register::{Asked, Register, Said};
use crate::clock::Clock;
use crate::introspection::SIGNED;
use crate::policy::POLICY;

/// An issuer for tests: it is found by its URL, publishes its keys and signs what it is told to. It ends with its last clone.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    url: String,
    state: Arc<Shared>,
    clock: Clock,
    skew_secs: AtomicI64,
    names: AtomicUsize,
    serving: JoinHandle<()>,
}

struct Shared {
    url: String,
    /// The last one signs.
    keys: Mutex<Vec<SigningKey>>,
    /// Published beside them, and for nobody to take a signature by.
    encryption: SigningKey,
    /// What is handed out under which revision, without its dates.
    policy: Mutex<(u64, Option<Value>)>,
    fault: Mutex<Option<Fault>>,
    fetches: AtomicUsize,
    knows_no_openid: AtomicBool,
    register: Mutex<Register>,
    revocations: Revocations,
}

/// How an issuer misbehaves, whatever it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A key set without a key.
    Empty,
    /// 200 with a page.
    Html,
    /// Ten megabytes.
    Huge,
    /// A redirect to another host.
    Redirect,
    /// No answer, ever.
    Stall,
    /// An error.
    Status(u16),
    /// A key set of which no key can be used.
    UnusableKeys,
}

impl Shared {
    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What guards are told that know so many revocations: nothing by an issuer that misbehaves.
    fn told(&self, after: Option<usize>) -> Option<Told> {
        let revision = self.policy.lock().unwrap_or_else(PoisonError::into_inner).0;
        let keys = self.published();
        let policy = (revision > 0).then(|| tag(revision));
        self.fault().is_none().then(|| self.revocations.told(after, policy.as_deref(), &keys))
    }

    fn published(&self) -> String {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys: Vec<Value> = keys.iter().map(SigningKey::published).collect();
        keys.push(self.encryption.published_for("enc"));
        json!({ "keys": keys }).to_string()
    }
}

/// The entity tag of a policy.
fn tag(revision: u64) -> String {
    format!("\"{revision}\"")
}

impl Issuer {
    /// An issuer on a free port of 127.0.0.1, by the clock of this machine.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(Clock::system()).await
    }

    /// The same by another clock.
    pub async fn start_at(clock: Clock) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Shared {
            url: url.clone(),
            keys: Mutex::new(vec![SigningKey::new("test-key-1")]),
            encryption: SigningKey::new("test-encryption-key"),
            policy: Mutex::default(),
            fault: Mutex::default(),
            fetches: AtomicUsize::new(0),
            knows_no_openid: AtomicBool::new(false),
            register: Mutex::default(),
            revocations: Revocations::default(),
        });
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(openid_metadata))
            .route("/.well-known/oauth-authorization-server", get(oauth_metadata))
            .route("/introspect", post(introspect))
            .route("/jwks", get(jwks))
            .route("/policies/snapshot", get(snapshot))
            .route("/policies/events", get(events))
            .with_state((Arc::clone(&state), clock.clone()));
        let serving = tokio::spawn(async move {
            // It never returns; when the listener fails, requests do, too.
            let _ = axum::serve(listener, app).await;
        });
        let (skew_secs, names) = (AtomicI64::new(0), AtomicUsize::new(0));
        Ok(Self(Arc::new(Inner { url, state, clock, skew_secs, names, serving })))
    }

    /// Its name, and where it is.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Describes itself from now on as an authorization server (RFC 8414) and no more as an OpenID provider, or the other way round.
    pub fn forget_openid(&self, forgets: bool) {
        self.0.state.knows_no_openid.store(forgets, Ordering::Relaxed);
    }

    /// Signs with a new key from now on. The old ones are still published.
    pub fn rotate(&self) {
        let mut keys = self.keys();
        let kid = format!("test-key-{}", keys.len() + 1);
        keys.push(SigningKey::new(kid));
        drop(keys);
        self.0.state.revocations.tell();
    }

    /// Publishes the key that signs, and no other.
    pub fn withdraw_old_keys(&self) {
        let mut keys = self.keys();
        let old = keys.len().saturating_sub(1);
        keys.drain(..old);
        drop(keys);
        self.0.state.revocations.tell();
    }

    /// Misbehaves from now on, or no more.
    pub fn misbehave(&self, fault: impl Into<Option<Fault>>) {
        *self.0.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault.into();
        self.0.state.revocations.tell();
    }

    /// Is ahead of its clock by so many seconds from now on, or behind it.
    pub fn skew(&self, secs: i64) {
        self.0.skew_secs.store(secs, Ordering::Relaxed);
    }

    /// Hands out rules under the default model, signed, to the guard of an API that asks as a client for them: at
    /// `/policies/snapshot`, as the server does. Called again, as the next revision.
    pub fn hand_out(&self, api: &str, client_id: &str, rules: &str) {
        let mut policy = self.0.state.policy.lock().unwrap_or_else(PoisonError::into_inner);
        policy.0 += 1;
        let document = SnapshotDocument::new(api, policy.0, PolicySource::with_default_model(rules));
        let mut claims = json!(document);
        insert(&mut claims, "iss", self.url().into());
        insert(&mut claims, "aud", client_id.into());
        policy.1 = Some(claims);
        drop(policy);
        self.0.state.revocations.tell();
    }

    /// Revokes a signed token, as a sign-out does. Guards that [have their policy](Self::hand_out) from here hear of it at once, or
    /// when they are refreshed; the others never do.
    pub fn revoke(&self, token: &str) {
        if let Some((name, expires_at)) = read(token) {
            self.0.state.revocations.add(("jti", &name), None, expires_at);
        }
    }

    /// Revokes every token that somebody has by now, as disabling a user does. Those that are minted a second later are good.
    pub fn revoke_all_of(&self, subject: &str) {
        let now = self.now();
        self.0.state.revocations.add(("sub", subject), Some(now), now + LONGEST_LIFE);
    }

    /// Says from now on that a token is not active (RFC 7662), whether it was [opaque](super::Mint::opaque) or not. Verifying its
    /// signature does not find that out.
    pub fn take_back(&self, token: &str) {
        self.register().forget(token);
    }

    /// Signs what it says of tokens (RFC 9701) from now on, or no more.
    pub fn sign_answers(&self, signs: bool) {
        self.register().signs = signs;
    }

    /// How often it was asked about a token.
    pub fn questions(&self) -> usize {
        self.register().questions()
    }

    /// The key set that it publishes, for guards that are [given](crate::Issuer::static_jwks) one.
    pub fn jwks(&self) -> String {
        self.0.state.published()
    }

    /// How often its keys were asked for.
    pub fn fetches(&self) -> usize {
        self.0.state.fetches.load(Ordering::Relaxed)
    }

    /// A compact JWS over any header and payload, by the key that signs.
    ///
    /// # Panics
    ///
    /// Never: there is always a key.
    pub fn sign(&self, header: &str, payload: &[u8]) -> String {
        self.with_key(|key| key.sign(header, payload))
    }

    pub(super) fn with_key<T>(&self, use_it: impl FnOnce(&SigningKey) -> T) -> T {
        use_it(self.keys().last().expect("an issuer has a key"))
    }

    pub(super) fn encryption_key(&self) -> &SigningKey {
        &self.0.state.encryption
    }

    pub(super) fn kid(&self) -> String {
        self.with_key(|key| key.kid.clone())
    }

    pub(super) fn now(&self) -> u64 {
        self.0.clock.unix_secs().saturating_add_signed(self.0.skew_secs.load(Ordering::Relaxed))
    }

    /// A name that no other token has.
    pub(super) fn next_name(&self) -> String {
        format!("test-token-{}", self.0.names.fetch_add(1, Ordering::Relaxed))
    }

    /// The text of an opaque token that no other has.
    pub(super) fn next_opaque(&self) -> String {
        format!("opaque-{}", self.next_name())
    }

    pub(super) fn register(&self) -> MutexGuard<'_, Register> {
        self.0.state.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> MutexGuard<'_, Vec<SigningKey>> {
        self.0.state.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.serving.abort();
        // Guards that listen hold a connection, and that the state.
        *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(Fault::Stall);
        self.state.revocations.tell();
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Issuer").field("url", &self.0.url).finish_non_exhaustive()
    }
}

/// No token of a test is good for longer, in seconds.
const LONGEST_LIFE: u64 = 86_400;

type Served = State<(Arc<Shared>, Clock)>;

async fn snapshot(State((state, clock)): Served) -> Response {
    let (revision, claims) = state.policy.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(mut claims) = claims else {
        return StatusCode::NOT_FOUND.into_response();
    };
    insert(&mut claims, "iat", clock.unix_secs().into());
    insert(&mut claims, "exp", (clock.unix_secs() + 86_400).into());
    let token = {
        let keys = state.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = keys.last() else { return StatusCode::NOT_FOUND.into_response() };
        let header = json!({ "alg": "ES256", "typ": POLICY, "kid": key.kid });
        key.sign(&header.to_string(), claims.to_string().as_bytes())
    };
    ([(header::ETAG, tag(revision))], answer(&state, token).await).into_response()
}

async fn events(State((state, _)): Served, headers: HeaderMap) -> Response {
    if state.fault().is_some() {
        return answer(&state, String::new()).await;
    }
    let told = Arc::clone(&state);
    state.revocations.answer(&headers, move |after| told.told(after))
}

async fn introspect(State((state, clock)): Served, headers: HeaderMap, form: Bytes) -> Response {
    let Some(asked) = Asked::read(&headers, &form) else { return StatusCode::UNAUTHORIZED.into_response() };
    let now = clock.unix_secs();
    let (said, signs) = {
        let mut register = state.register.lock().unwrap_or_else(PoisonError::into_inner);
        (register.answer(&asked, now), register.signs)
    };
    let (media, body) = match said {
        Said::Active(claims) if signs => {
            let envelope = json!({
                "iss": state.url, "aud": asked.client_id, "iat": now, "token_introspection": claims,
            });
            let keys = state.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(key) = keys.last() else { return StatusCode::NOT_FOUND.into_response() };
            let header = json!({ "alg": "ES256", "typ": SIGNED, "kid": key.kid });
            let signed = key.sign(&header.to_string(), envelope.to_string().as_bytes());
            ("application/token-introspection+jwt", signed)
        }
        Said::Active(claims) => ("application/json", claims.to_string()),
        Said::Verbatim { media, body } => (media, body),
    };
    answer_as(&state, media, body).await
}

async fn openid_metadata(State((state, _)): Served) -> Response {
    metadata(&state, !state.knows_no_openid.load(Ordering::Relaxed)).await
}

async fn oauth_metadata(State((state, _)): Served) -> Response {
    metadata(&state, state.knows_no_openid.load(Ordering::Relaxed)).await
}

async fn metadata(state: &Shared, is_here: bool) -> Response {
    if !is_here && state.fault().is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let at = |path: &str| format!("{}/{path}", state.url);
    let document = json!({
        "issuer": state.url, "jwks_uri": at("jwks"), "introspection_endpoint": at("introspect"),
    });
    answer(state, document.to_string()).await
}

async fn jwks(State((state, _)): Served) -> Response {
    state.fetches.fetch_add(1, Ordering::Relaxed);
    answer(&state, state.published()).await
}

async fn answer(state: &Shared, document: String) -> Response {
    answer_as(state, "application/json", document).await
}

async fn answer_as(state: &Shared, media: &'static str, document: String) -> Response {
    let fault = state.fault();
    let json = |text: String| ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    match fault {
        None => ([(header::CONTENT_TYPE, media)], document).into_response(),
        Some(Fault::Empty) => json(json!({ "keys": [] }).to_string()),
        Some(Fault::Html) => {
            ([(header::CONTENT_TYPE, "text/html")], "<!doctype html><p>Sign in").into_response()
        }
        Some(Fault::Huge) => json(" ".repeat(10 << 20)),
        Some(Fault::Redirect) => {
            (StatusCode::FOUND, [(header::LOCATION, "http://127.0.0.1:9/jwks")]).into_response()
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Status(status)) => {
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        }
        Some(Fault::UnusableKeys) => {
            json(json!({ "keys": [{ "kty": "oct", "k": "AAAA" }, {}, 1] }).to_string())
        }
    }
}
