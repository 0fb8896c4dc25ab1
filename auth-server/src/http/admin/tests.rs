//! The whole admin API through its router: every route, every kind of caller.

mod bodies;
mod deeds;
mod routes;
mod rulebooks;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use http::{HeaderMap, Method, Request, StatusCode};
use portcullis_guard::Proxies;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use utoipa::openapi::OpenApi;

use crate::domain::audit::{Actor, AuditOutcome};
use crate::domain::claims::AccessTokenClaims;
use crate::domain::clock::Clock;
use crate::domain::confirmation::Confirmation;
use crate::domain::ids::ClientId;
use crate::domain::rbac::RoleName;
use crate::domain::scope::ScopeSet;
use crate::domain::signing::SigningAlg;
use crate::http::admin::document::{PERMISSION, operations};
use crate::http::admin::guard::{GuardParts, build};
use crate::http::admin::live::LiveCheck;
use crate::http::admin::state::{AdminState, People, Programs, Records};
use crate::http::admin::{mounted, router};
use crate::http::dpop::{self, Proofs};
use crate::keys::jwt::JwtType;
use crate::keys::ring::KeyRing;
use crate::services::audit::AuditService;
use crate::services::clients::form::ClientForm;
use crate::services::paging::PageQuery;
use crate::services::policies::questions::QuestionService;
use crate::services::registration::admin::RegistrationAdmin;
use crate::services::sign_outs::SignOutService;
use crate::services::trial::{START, Trial, operator};

/// The admin API over a database of its own, and a client to call it.
struct Console {
    trial: Trial,
    app: Router,
    document: OpenApi,
    ring: KeyRing,
    client: ClientId,
}

/// An answer, read to its end.
struct Heard {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Console {
    async fn open() -> Self {
        let trial = Trial::begin().await;
        let ring = trial.ring().await;
        let parts = GuardParts {
            issuer: trial.issuer.clone(),
            keys: ring.shared(),
            policy: trial.live.shared(),
            proxies: Proxies::default(),
            dpop: dpop::settings(std::slice::from_ref(&trial.issuer), None),
            certificates: None,
            per_minute: 100_000,
            clock: Clock::manual(START),
        };
        let guard = build(parts).await.unwrap();
        let clock = Clock::manual(START);
        let proofs = Proofs::new(std::slice::from_ref(&trial.issuer), None, clock.clone()).unwrap();
        let live = LiveCheck { callers: trial.callers(), clock, proofs, trail: trial.access_trail() };
        let (_, document) = mounted(&guard, &live);
        let app = router(&guard, &live, state(&trial)).unwrap();
        let form = ClientForm { name: "Robot".to_owned(), preset: "m2m".to_owned(), ..ClientForm::default() };
        let client = trial.clients.create(&form, &operator()).await.unwrap().client.value.id;
        Self { trial, app, document, ring, client }
    }

    /// An access token of the client, for `audience` and with `roles`.
    fn token(&self, audience: &str, roles: &[&str]) -> String {
        let now = START.as_secs();
        let claims = AccessTokenClaims {
            iss: self.trial.issuer.to_string(),
            sub: self.client.to_string(),
            aud: audience.to_owned(),
            client_id: self.client.clone(),
            exp: now + 300,
            iat: now,
            jti: "token".to_owned(),
            scope: ScopeSet::default(),
            authorization_details: crate::domain::details::Details::default(),
            auth_time: None,
            acr: None,
            amr: Vec::new(),
            roles: roles.iter().map(|role| RoleName::parse(role).unwrap()).collect(),
            org: None,
            sid: None,
            gid: None,
            act: None,
            cnf: Confirmation::default(),
        };
        self.ring.sign(SigningAlg::Es256, JwtType::AccessToken, &claims).unwrap()
    }

    /// Gives the client a role of the admin API and a token that carries it.
    async fn hold(&self, role: &str) -> String {
        self.trial.grant(&self.trial.admin_api().await.id, role, self.client.as_str()).await;
        self.token(&self.audience(), &[role])
    }

    fn audience(&self) -> String {
        self.trial.owners.audience().to_string()
    }

    async fn send(&self, request: Request<Body>) -> Heard {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Heard { status: parts.status, headers: parts.headers, body }
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: &Value) -> Heard {
        self.send(asked(method, path, Some(token), body)).await
    }

    /// A PUT of something that is at the version which was just read.
    async fn put(&self, path: &str, token: &str, tag: &str, body: &Value) -> Heard {
        let mut request = asked("PUT", path, Some(token), body);
        request.headers_mut().insert(IF_MATCH, tag.parse().unwrap());
        self.send(request).await
    }

    /// Every operation of the description: its method, its path with names that fit, and its permission.
    fn operations(&self) -> Vec<(&'static str, String, String)> {
        let mut document = self.document.clone();
        let mut found = Vec::new();
        for (path, item) in &mut document.paths.paths {
            let methods = [
                ("GET", item.get.is_some()),
                ("PUT", item.put.is_some()),
                ("POST", item.post.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            let count = methods.iter().filter(|(_, there)| *there).count();
            assert_eq!(count, operations(item).count(), "{path} has a method that this test does not know");
            for (method, _) in methods.into_iter().filter(|(_, there)| *there) {
                let operation = match method {
                    "GET" => item.get.as_ref(),
                    "PUT" => item.put.as_ref(),
                    "POST" => item.post.as_ref(),
                    _ => item.delete.as_ref(),
                };
                let extensions =
                    operation.unwrap().extensions.as_ref().expect("every route states a permission");
                let permission = extensions.get(PERMISSION).unwrap().as_str().unwrap().to_owned();
                found.push((method, named(path), permission));
            }
        }
        found
    }
}

fn state(trial: &Trial) -> AdminState {
    AdminState {
        apis: trial.apis.clone(),
        assignments: trial.assignments(),
        programs: Programs {
            clients: trial.clients.clone(),
            registrations: RegistrationAdmin::new(trial.store.clone(), trial.entropy.clone()),
        },
        inventories: trial.inventories(),
        organisations: trial.organisations(),
        people: People { invitations: trial.invitations(), users: trial.users.clone() },
        policies: trial.policies(),
        questions: QuestionService::new(trial.store.clone()),
        records: Records {
            audit: AuditService::new(trial.store.clone()),
            sign_outs: SignOutService::new(trial.store.clone()),
        },
        roles: trial.roles(),
    }
}

/// The path with an identifier in the place of each name.
fn named(path: &str) -> String {
    let digits = "0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
    [
        ("{user}", "usr_"),
        ("{invitation}", "inv_"),
        ("{client}", "cli_"),
        ("{api}", "api_"),
        ("{role}", "rol_"),
        ("{assignment}", "asg_"),
        ("{organisation}", "org_"),
        ("{schedule}", "sch_"),
        ("{token}", "iat_"),
    ]
    .into_iter()
    .fold(path.replace("{number}", "1").replace("{digest}", &digits.repeat(2)), |path, (name, prefix)| {
        path.replace(name, &format!("{prefix}{digits}"))
    })
}

fn asked(method: &str, path: &str, token: Option<&str>, body: &Value) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_null() {
        return request.body(Body::empty()).unwrap();
    }
    request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
}

#[tokio::test]
async fn every_route_refuses_whoever_may_not_call_it() {
    let console = Console::open().await;
    let foreign = console.token("https://orders.example", &["owner"]);
    let powerless = console.token(&console.audience(), &[]);
    let all = console.operations();
    assert!(all.len() > 30, "only {} operations are described", all.len());
    for (method, path, permission) in all {
        for (caller, token, status) in [
            ("nobody", None, StatusCode::UNAUTHORIZED),
            ("a token for another service", Some(&foreign), StatusCode::UNAUTHORIZED),
            ("a token without a role", Some(&powerless), StatusCode::FORBIDDEN),
        ] {
            let heard = console.send(asked(method, &path, token.map(String::as_str), &json!({}))).await;
            assert_eq!(heard.status, status, "{caller}: {method} {path} ({permission})");
            assert_eq!(heard.headers[CONTENT_TYPE], "application/problem+json", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_reader_writes_nowhere() {
    let console = Console::open().await;
    let auditor = console.hold("auditor").await;
    let before = console.trial.trail().await;
    for (method, path, permission) in console.operations() {
        let heard = console.send(asked(method, &path, Some(&auditor), &json!({}))).await;
        if permission.ends_with(":read") {
            assert_ne!(heard.status, StatusCode::FORBIDDEN, "{method} {path}");
        } else {
            assert_eq!(heard.status, StatusCode::FORBIDDEN, "{method} {path}");
        }
    }
    let mut after = console.trial.trail().await;
    after.retain(|action| *action != "access.refused");
    assert_eq!(after, before);
}

#[tokio::test]
async fn every_operation_is_described() {
    let console = Console::open().await;
    let mut document = console.document.clone();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            let id = operation.operation_id.clone().unwrap_or_default();
            assert!(
                !operation.summary.clone().unwrap_or_default().is_empty(),
                "{path} says not what it does"
            );
            let needed = operation.security.as_ref().map_or(0, Vec::len);
            assert_eq!(needed, 1, "{path} says not what it needs");
            let answers: Vec<_> = operation.responses.responses.keys().cloned().collect();
            assert!(answers.iter().any(|status| status.starts_with('2')), "{path}: {answers:?}");
            assert!(ids.insert(id.clone()), "{id} is there twice");
        }
    }
    let sent = console.send(asked("GET", "/api/openapi.json", None, &Value::Null)).await;
    assert_eq!(sent.status, StatusCode::OK);
    assert_eq!(sent.body["openapi"], "3.1.0");
    assert_eq!(sent.body["paths"].as_object().unwrap().len(), document.paths.paths.len());
    let text = sent.body.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(sent.body["components"]["schemas"][name].is_object(), "{name} is nowhere described");
    }
}

#[tokio::test]
async fn a_path_that_no_route_has_passes_nobody() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    for path in ["/api/v1/nothing", "/api/v1/users/", "/api/v1/users/x/y/z"] {
        assert_eq!(
            console.send(asked("GET", path, None, &Value::Null)).await.status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(
            console.call("GET", path, &owner, &Value::Null).await.status,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_safe_method_changes_nothing() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let before = console.trial.trail().await;
    let readable: Vec<_> = console
        .operations()
        .into_iter()
        .filter(|(method, ..)| *method == "GET")
        .map(|(_, path, _)| path)
        .collect();
    for (_, path, _) in console.operations().into_iter().filter(|(_, path, _)| !readable.contains(path)) {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            let heard = console.call(method.as_str(), &path, &owner, &Value::Null).await;
            assert_eq!(heard.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
    assert_eq!(console.trial.trail().await, before);
}

#[tokio::test]
async fn a_user_is_made_read_changed_and_switched_off() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let made =
        console.call("POST", "/api/v1/users", &owner, &json!({"username": "Ada", "name": "Ada L"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.headers[CACHE_CONTROL], "no-store");
    let path = made.headers[LOCATION].to_str().unwrap().to_owned();
    let read = console.call("GET", &path, &owner, &Value::Null).await;
    assert_eq!((read.status, &read.body), (StatusCode::OK, &made.body));
    let tag = read.headers[ETAG].to_str().unwrap().to_owned();
    let changed = console.put(&path, &owner, &tag, &json!({"username": "bea"})).await;
    assert_eq!((changed.status, changed.body["username"].as_str()), (StatusCode::OK, Some("bea")));
    let late = console.put(&path, &owner, &tag, &json!({"username": "cleo"})).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(late.body["current"]["username"], "bea");
    assert_eq!(late.headers[ETAG], changed.headers[ETAG]);
    let without = console.call("PUT", &path, &owner, &json!({"username": "dora"})).await;
    assert_eq!(without.status, StatusCode::PRECONDITION_REQUIRED);
    let off = console.call("POST", &format!("{path}/disable"), &owner, &Value::Null).await;
    assert!(off.body["disabled_at"].is_string(), "{}", off.body);
}
