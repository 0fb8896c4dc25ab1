//! An issuer on a socket, where people sign in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::Url;

use crate::service::Dial;
use crate::signer::{AUDIENCE, NOW, Signer, b64, jwks};

pub(crate) const CLIENT: &str = "shop app";
pub(crate) const SECRET: &str = "s3cret:%";

/// An issuer. Clones are the same.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) url: String,
    state: Arc<Shared>,
}

struct Shared {
    url: String,
    signer: Signer,
    /// What it signs with once it has taken that key out.
    next: Signer,
    has_next: AtomicBool,
    dial: Dial,
    told: Mutex<Told>,
    /// Renewals wait for a permit here.
    gate: Semaphore,
    /// And whoever asks for the metadata here.
    metadata_gate: Semaphore,
}

/// What the issuer is told to do.
#[derive(Default)]
pub(crate) struct Told {
    /// Members of the metadata that are otherwise than usual; `null` takes one out.
    pub(crate) metadata: Value,
    /// What the token endpoint answers to every request instead.
    pub(crate) instead: Option<(u16, String)>,
    /// Claims of ID tokens and access tokens that are otherwise than usual.
    pub(crate) id_claims: Value,
    pub(crate) access_claims: Value,
    /// Members of token answers that are otherwise than usual.
    pub(crate) members: Value,
    pub(crate) is_away: bool,
    codes: BTreeMap<String, BTreeMap<String, String>>,
    /// The refresh tokens that are good.
    refresh: BTreeSet<String>,
    pub(crate) asked: Asked,
    made: usize,
}

/// What the issuer was asked.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) renewals: usize,
    pub(crate) metadata: usize,
    pub(crate) exchanges: Vec<BTreeMap<String, String>>,
    pub(crate) revoked: Vec<String>,
    pub(crate) authorization: Option<String>,
}

impl Provider {
    pub(crate) async fn start(dial: &Dial) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Shared {
            url: url.clone(),
            signer: Signer::es256("a"),
            next: Signer::es256("b"),
            has_next: AtomicBool::new(false),
            dial: dial.clone(),
            told: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            metadata_gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, state }
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.state.told.lock().unwrap()
    }

    /// Signs somebody in who was sent to an address: gives the query that they come back with.
    pub(crate) fn answer(&self, location: &str) -> BTreeMap<String, String> {
        let asked = asked(location);
        let mut told = self.told();
        told.made += 1;
        let code = format!("code-{}", told.made);
        let state = asked["state"].clone();
        told.codes.insert(code.clone(), asked);
        drop(told);
        [("code", code), ("state", state), ("iss", self.url.clone())]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// A token of the issuer, of any type, with these claims.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        let mut header = self.state.signer.header();
        header["typ"] = typ.into();
        self.state.signer.sign(&header, claims)
    }

    /// Takes the key out that it signed with, and signs with another.
    pub(crate) fn change_keys(&self) {
        self.state.has_next.store(true, Ordering::Relaxed);
    }

    /// Has renewals wait.
    pub(crate) async fn hold(&self) {
        self.state
            .gate
            .acquire_many(u32::try_from(Semaphore::MAX_PERMITS.min(1 << 20)).unwrap())
            .await
            .unwrap()
            .forget();
        self.state.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn let_go(&self) {
        self.state.gate.add_permits(1_000);
    }

    /// Has whoever asks for the metadata wait.
    pub(crate) fn hold_metadata(&self) {
        self.state.metadata_gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn let_metadata_go(&self) {
        self.state.metadata_gate.add_permits(1_000);
    }

    pub(crate) async fn has_been_asked_for_metadata(&self, times: usize) {
        while self.told().asked.metadata < times {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.state.dial.now()
    }
}

/// The query of an address.
pub(crate) fn asked(location: &str) -> BTreeMap<String, String> {
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

/// Changes members; `null` takes one out.
pub(crate) fn change(document: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            document.as_object_mut().unwrap().remove(name);
        } else {
            document[name] = value.clone();
        }
    }
}

impl Shared {
    fn signer(&self) -> &Signer {
        if self.has_next.load(Ordering::Relaxed) { &self.next } else { &self.signer }
    }
}

async fn keys(State(state): State<Arc<Shared>>) -> String {
    jwks([state.signer()])
}

async fn metadata(State(state): State<Arc<Shared>>) -> Response {
    state.told.lock().unwrap().asked.metadata += 1;
    state.metadata_gate.acquire().await.unwrap().forget();
    state.metadata_gate.add_permits(1);
    let url = &state.url;
    let mut document = json!({
        "issuer": url, "jwks_uri": format!("{url}/jwks"), "authorization_endpoint": format!("{url}/authorize?tenant=a"),
        "token_endpoint": format!("{url}/token"), "end_session_endpoint": format!("{url}/logout"),
        "revocation_endpoint": format!("{url}/revoke"), "authorization_response_iss_parameter_supported": true,
    });
    let told = state.told.lock().unwrap();
    change(&mut document, &told.metadata);
    if told.is_away {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    } else {
        document.to_string().into_response()
    }
}

async fn token(State(state): State<Arc<Shared>>, headers: HeaderMap, form: String) -> Response {
    let form: BTreeMap<String, String> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    if form["grant_type"] == "refresh_token" {
        state.told.lock().unwrap().asked.renewals += 1;
        state.gate.acquire().await.unwrap().forget();
        state.gate.add_permits(1);
    }
    let mut told = state.told.lock().unwrap();
    told.asked.exchanges.push(form.clone());
    told.asked.authorization =
        headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    if told.is_away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some((status, body)) = told.instead.clone() {
        return (StatusCode::from_u16(status).unwrap(), body).into_response();
    }
    let refused = || (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#).into_response();
    let nonce = if form["grant_type"] == "authorization_code" {
        let Some(asked) = told.codes.remove(&form["code"]) else { return refused() };
        let challenge = b64(digest(&SHA256, form["code_verifier"].as_bytes()));
        if asked["code_challenge"] != challenge || asked["redirect_uri"] != form["redirect_uri"] {
            return refused();
        }
        json!(asked["nonce"])
    } else {
        // Whoever comes with a spent one has raced, or stolen it.
        if !told.refresh.remove(&form["refresh_token"]) {
            return refused();
        }
        if told.members.get("refresh_token").is_some_and(Value::is_null) {
            // It gives no other.
            told.refresh.insert(form["refresh_token"].clone());
        }
        Value::Null
    };
    tokens(&state, &mut told, &nonce).to_string().into_response()
}

fn tokens(state: &Shared, told: &mut Told, nonce: &Value) -> Value {
    told.made += 1;
    let (made, now) = (told.made, state.dial.now());
    let mut access = json!({
        "iss": state.url, "aud": AUDIENCE, "sub": "alice", "client_id": CLIENT, "jti": format!("token-{made}"),
        "iat": now, "exp": now + 300, "scope": "orders:read", "auth_time": NOW, "acr": "pwd",
    });
    change(&mut access, &told.access_claims);
    let signer = state.signer();
    let access = signer.sign(&signer.header(), &access);
    let hash = digest(&SHA256, access.as_bytes());
    let mut id = json!({
        "iss": state.url, "aud": CLIENT, "sub": "alice", "sid": "s1", "iat": now, "exp": now + 600, "auth_time": NOW,
        "acr": "pwd", "at_hash": b64(&hash.as_ref()[..16]), "name": "Alice <b>", "nonce": nonce,
    });
    change(&mut id, &told.id_claims);
    if id["nonce"].is_null() {
        id.as_object_mut().unwrap().remove("nonce");
    }
    let mut header = signer.header();
    header["typ"] = "JWT".into();
    let id = signer.sign(&header, &id);
    let refresh = format!("refresh-{made}");
    told.refresh.insert(refresh.clone());
    let mut document = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": 300, "refresh_token": refresh, "id_token": id,
    });
    change(&mut document, &told.members);
    document
}

async fn revoke(State(state): State<Arc<Shared>>, form: String) {
    let token =
        form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "token").unwrap().1.into_owned();
    state.told.lock().unwrap().asked.revoked.push(token);
}
