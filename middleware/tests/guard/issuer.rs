//! An issuer on a socket of its own, which can be told to misbehave.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Json, Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// An issuer on 127.0.0.1.
#[derive(Clone)]
pub(crate) struct TestIssuer {
    pub(crate) url: String,
    state: Arc<Shared>,
}

struct Answers {
    asked: Mutex<Asked>,
    jwks: Mutex<Answer>,
    metadata: Mutex<Answer>,
    policy: Mutex<Answer>,
    events: Mutex<Answer>,
    shadow: Mutex<Answer>,
}

struct Shared {
    answers: Answers,
    /// What is answered to records of decisions, and those that came.
    records: Mutex<(StatusCode, Vec<Value>)>,
    routes: Mutex<Told>,
    away: AtomicBool,
    jwks_fetches: AtomicUsize,
    not_modified: AtomicUsize,
    /// Answers wait for a permit here.
    gate: Semaphore,
    trial_gate: Semaphore,
    rules_asked_for: AtomicUsize,
    /// The credentials that the policy was asked for with last.
    authorization: Mutex<Option<String>>,
}

/// What the issuer was told of routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Each document by its name.
    pub(crate) known: BTreeMap<String, String>,
    /// How often it was asked whether it knows something.
    pub(crate) asked: usize,
    /// How often it was told.
    pub(crate) sent: usize,
    /// With which credentials, last.
    pub(crate) authorization: Option<String>,
    /// What it answers to whoever tells it, if not that all is well.
    pub(crate) refusal: Option<StatusCode>,
}

/// What the issuer was asked about tokens, and what it says of each.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The media type and the body, by the token.
    pub(crate) answers: BTreeMap<String, (&'static str, String)>,
    /// What it answers to every question instead.
    pub(crate) instead: Option<Answer>,
    /// What it was asked.
    pub(crate) questions: Vec<Question>,
}

/// A question about a token.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) headers: HeaderMap,
    pub(crate) form: String,
}

/// What an endpoint answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Document(String),
    Redirect(String),
    Status(StatusCode),
}

impl TestIssuer {
    /// An issuer that publishes `jwks`.
    pub(crate) async fn start(jwks: impl Into<String>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Shared {
            answers: Answers {
                asked: Mutex::default(),
                jwks: Mutex::new(Answer::Document(jwks.into())),
                metadata: Mutex::new(metadata(&url, &url)),
                policy: Mutex::new(Answer::Status(StatusCode::NOT_FOUND)),
                events: Mutex::new(Answer::Status(StatusCode::NOT_FOUND)),
                shadow: Mutex::new(Answer::Status(StatusCode::NOT_FOUND)),
            },
            records: Mutex::new((StatusCode::NO_CONTENT, Vec::new())),
            routes: Mutex::default(),
            away: AtomicBool::new(false),
            jwks_fetches: AtomicUsize::new(0),
            not_modified: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            trial_gate: Semaphore::new(Semaphore::MAX_PERMITS),
            rules_asked_for: AtomicUsize::new(0),
            authorization: Mutex::default(),
        });
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata_endpoint))
            .route("/jwks", get(jwks_endpoint))
            .route("/introspect", post(introspection_endpoint))
            .route("/policies/snapshot", get(policy_endpoint))
            .route("/policies/events", get(events_endpoint))
            .route("/policies/shadow", get(shadow_endpoint))
            .route("/policies/decisions", post(decisions_endpoint))
            .route("/policies/routes/{digest}", get(routes_endpoint).put(told_endpoint))
            .layer(from_fn_with_state(Arc::clone(&state), presence))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, state }
    }

    pub(crate) fn publish(&self, answer: Answer) {
        *self.state.answers.jwks.lock().unwrap() = answer;
    }

    /// Says of itself that it is asked about tokens at another issuer, or that it says nothing of itself.
    pub(crate) fn move_to(&self, other: Option<&Self>) {
        let gone = Answer::Status(StatusCode::SERVICE_UNAVAILABLE);
        let metadata = other.map_or(gone, |other| metadata(&self.url, &other.url));
        *self.state.answers.metadata.lock().unwrap() = metadata;
    }

    pub(crate) fn hand_out(&self, policy: Answer) {
        *self.state.answers.policy.lock().unwrap() = policy;
    }

    /// Rules that services are to try.
    pub(crate) fn try_rules(&self, rules: Answer) {
        *self.state.answers.shadow.lock().unwrap() = rules;
    }

    /// What holds, as the server says it to whoever asks.
    pub(crate) fn say(&self, state: Answer) {
        *self.state.answers.events.lock().unwrap() = state;
    }

    /// What records of decisions are answered from now on.
    pub(crate) fn take_records(&self, status: StatusCode) {
        self.state.records.lock().unwrap().0 = status;
    }

    /// The records that came since somebody looked.
    pub(crate) fn records(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.records.lock().unwrap().1)
    }

    /// Answers nothing any more, at any path.
    pub(crate) fn leave(&self) {
        self.state.away.store(true, Ordering::SeqCst);
    }

    pub(crate) fn come_back(&self) {
        self.state.away.store(false, Ordering::SeqCst);
    }

    /// What it was told of routes; a test may change it.
    pub(crate) fn routes(&self) -> MutexGuard<'_, Told> {
        self.state.routes.lock().unwrap()
    }

    /// What it was asked about tokens; a test may change what it says.
    pub(crate) fn asked(&self) -> MutexGuard<'_, Asked> {
        self.state.answers.asked.lock().unwrap()
    }

    /// How often it was asked about a token.
    pub(crate) fn questions(&self) -> usize {
        self.asked().questions.len()
    }

    /// Says this of a token.
    pub(crate) fn say_of(&self, token: &str, answer: &Value) {
        self.asked().answers.insert(token.to_owned(), ("application/json", answer.to_string()));
    }

    /// How often the keys were asked for.
    pub(crate) fn fetches(&self) -> usize {
        self.state.jwks_fetches.load(Ordering::SeqCst)
    }

    /// How often the answer was 304.
    pub(crate) fn not_modified(&self) -> usize {
        self.state.not_modified.load(Ordering::SeqCst)
    }

    pub(crate) fn authorization(&self) -> Option<String> {
        self.state.authorization.lock().unwrap().clone()
    }

    /// Lets nobody have rules on trial until `release_rules`.
    pub(crate) fn hold_rules(&self) {
        self.state.trial_gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Waits until somebody has asked for rules on trial.
    pub(crate) async fn asked_for_rules(&self) {
        while self.rules_fetches() == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// How often rules on trial were asked for.
    pub(crate) fn rules_fetches(&self) -> usize {
        self.state.rules_asked_for.load(Ordering::SeqCst)
    }

    pub(crate) fn release_rules(&self) {
        self.state.trial_gate.add_permits(1_000);
    }

    /// Lets nobody have an answer until `resume`.
    pub(crate) fn stall(&self) {
        self.state.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn resume(&self) {
        self.state.gate.add_permits(1_000);
    }
}

fn metadata(url: &str, asked_at: &str) -> Answer {
    let metadata = json!({
        "issuer": url, "jwks_uri": format!("{url}/jwks"),
        "introspection_endpoint": format!("{asked_at}/introspect"),
    });
    Answer::Document(metadata.to_string())
}

async fn metadata_endpoint(State(state): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let answer = state.answers.metadata.lock().unwrap().clone();
    answer.respond(&headers, &state)
}

async fn jwks_endpoint(State(state): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    state.jwks_fetches.fetch_add(1, Ordering::SeqCst);
    let _permit = state.gate.acquire().await.unwrap();
    let answer = state.answers.jwks.lock().unwrap().clone();
    answer.respond(&headers, &state)
}

async fn introspection_endpoint(
    State(state): State<Arc<Shared>>,
    headers: HeaderMap,
    form: String,
) -> Response {
    state.answers.asked.lock().unwrap().questions.push(Question { headers, form: form.clone() });
    let _permit = state.gate.acquire().await.unwrap();
    let asked = state.answers.asked.lock().unwrap();
    if let Some(answer) = &asked.instead {
        return answer.clone().respond(&HeaderMap::new(), &state);
    }
    let token = form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "token").unwrap().1;
    let inactive = ("application/json", r#"{"active":false}"#.to_owned());
    let (media, body) = asked.answers.get(&*token).cloned().unwrap_or(inactive);
    ([(header::CONTENT_TYPE, media)], body).into_response()
}

async fn policy_endpoint(State(state): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    *state.authorization.lock().unwrap() = authorization;
    let answer = state.answers.policy.lock().unwrap().clone();
    answer.respond(&headers, &state)
}

async fn events_endpoint(State(state): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let answer = state.answers.events.lock().unwrap().clone();
    answer.respond(&headers, &state)
}

async fn shadow_endpoint(State(state): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    state.rules_asked_for.fetch_add(1, Ordering::SeqCst);
    let _permit = state.trial_gate.acquire().await.unwrap();
    let answer = state.answers.shadow.lock().unwrap().clone();
    answer.respond(&headers, &state)
}

async fn decisions_endpoint(
    State(state): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(batch): Json<Value>,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    *state.authorization.lock().unwrap() = authorization;
    let (status, batches) = &mut *state.records.lock().unwrap();
    batches.push(batch);
    status.into_response()
}

async fn routes_endpoint(State(state): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    let mut told = state.routes.lock().unwrap();
    told.asked += 1;
    if told.known.contains_key(&name) { "{}".into_response() } else { StatusCode::NOT_FOUND.into_response() }
}

async fn told_endpoint(
    State(state): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    document: String,
) -> StatusCode {
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    let mut told = state.routes.lock().unwrap();
    told.sent += 1;
    told.authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    if let Some(refusal) = told.refusal {
        return refusal;
    }
    told.known.insert(name, document);
    StatusCode::CREATED
}

async fn presence(State(state): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if state.away.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    next.run(request).await
}

impl Answer {
    fn respond(self, headers: &HeaderMap, state: &Shared) -> Response {
        let body = match self {
            Self::Document(body) => body,
            Self::Redirect(to) => return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
            Self::Status(status) => return status.into_response(),
        };
        let etag = etag_of(&body);
        if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == etag.as_str()) {
            state.not_modified.fetch_add(1, Ordering::SeqCst);
            return StatusCode::NOT_MODIFIED.into_response();
        }
        ([(header::ETAG, etag)], body).into_response()
    }
}

/// What the server calls a document.
pub(crate) fn etag_of(document: &str) -> String {
    let sum = document.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    format!("\"{sum:x}\"")
}
