//! An order service that anybody can read in a minute: five routes, each with what it requires.
//!
//! Start the server (`cargo run --release`), and register the service and a caller, from the root of the repository:
//!
//! ```sh
//! umask 077
//! alias portcullis=target/release/portcullis
//! portcullis client create --preset service --name Orders --api https://orders.example --format json > orders.json
//! portcullis client create --preset m2m --name Robot --api https://orders.example --role viewer --format json > robot.json
//! ```
//!
//! Start this service:
//!
//! ```sh
//! export ORDERS_ISSUER=http://localhost:8080 ORDERS_AUDIENCE=https://orders.example
//! export ORDERS_CLIENT_ID=$(jq -r .client_id orders.json) ORDERS_CLIENT_SECRET=$(jq -r .client_secret orders.json)
//! cargo run --release -p portcullis-guard --example orders --features html
//! ```
//!
//! Ask without a token (401), with one (200), and for what a viewer may not do (403, with the name of the decision):
//!
//! ```sh
//! TOKEN=$(curl -s http://localhost:8080/token -u "$(jq -r '.client_id + ":" + .client_secret' robot.json)" \
//!   -d grant_type=client_credentials -d resource=https://orders.example | jq -r .access_token)
//! curl -i http://127.0.0.1:8081/orders
//! curl -i http://127.0.0.1:8081/orders -H "Authorization: Bearer $TOKEN"
//! curl -i http://127.0.0.1:8081/orders -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"item": "a gate"}'
//! ```
//!
//! Configured by the environment: `ORDERS_ISSUER` and `ORDERS_AUDIENCE`, where to listen (`ORDERS_LISTEN`),
//! the client that fetches the policy (`ORDERS_CLIENT_ID` with `ORDERS_CLIENT_SECRET` or, better,
//! `ORDERS_CLIENT_SECRET_FILE`), a folder from which it can start while the issuer is away
//! (`ORDERS_CACHE_DIR`), and the version of this service, by which the server keeps its routes
//! (`ORDERS_VERSION`).

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use portcullis_guard::{
    Guard, GuardExt, GuardedRouter, Html, InputPolicy, Issuer, Limits, Policy, PolicyEndpoint, Principal,
    Quota, Status, public, rbac,
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    start_log();
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &*error, "orders cannot be served");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let issuer = required("ORDERS_ISSUER")?;
    let mut guard = Guard::builder()
        .issuer(Issuer::oidc(&issuer))
        .audience(required("ORDERS_AUDIENCE")?)
        .policy(Policy::remote(policy_endpoint(&issuer)?))
        .limits(Limits::new().by_address(Quota::per_minute(600)))
        .input(InputPolicy::strict().html("/note", Html::inline()));
    if let Some(folder) = env::var_os("ORDERS_CACHE_DIR") {
        guard = guard.cache_dir(folder);
    }
    if let Ok(version) = env::var("ORDERS_VERSION") {
        guard = guard.service_version(version);
    }
    let guard = guard.build().await?;
    let app = app(&guard).into_make_service_with_connect_info::<SocketAddr>();

    let listen = env::var("ORDERS_LISTEN").unwrap_or_else(|_| "127.0.0.1:8081".to_owned());
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    tracing::info!(listen, policy.revision = guard.policy_revision(), "orders are served");
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    // What was decided in the last seconds is told before the program ends.
    guard.flush().await;
    Ok(())
}

/// Waits until the program is asked to end.
async fn stopped() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// The service, as its tests take it.
pub(crate) fn app(guard: &Guard) -> Router {
    let asked = guard.clone();
    GuardedRouter::new()
        .route("/orders", get(list).guard(rbac("orders", "read")))
        .route("/orders", post(create).guard(rbac("orders", "create")))
        .route("/orders/{id}", get(show).guard(rbac("orders", "read")))
        .route("/health", get(async || "ok").guard(public()))
        .route("/ready", get(async move || ready(&asked)).guard(public()))
        .guarded_by(guard)
        .with_state(Orders::default())
}

type Orders = Arc<RwLock<BTreeMap<u64, Order>>>;

#[derive(Clone, Serialize)]
struct Order {
    id: u64,
    item: String,
    /// HTML, cleaned by the guard.
    note: String,
    ordered_by: String,
}

#[derive(Deserialize)]
struct NewOrder {
    item: String,
    #[serde(default)]
    note: String,
}

async fn list(State(orders): State<Orders>) -> Json<Vec<Order>> {
    Json(orders.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect())
}

async fn show(State(orders): State<Orders>, Path(id): Path<u64>) -> Result<Json<Order>, StatusCode> {
    let orders = orders.read().unwrap_or_else(PoisonError::into_inner);
    orders.get(&id).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn create(
    State(orders): State<Orders>,
    who: Principal,
    Json(NewOrder { item, note }): Json<NewOrder>,
) -> (StatusCode, Json<Order>) {
    let mut orders = orders.write().unwrap_or_else(PoisonError::into_inner);
    let id = orders.last_key_value().map_or(1, |(last, _)| last + 1);
    let order = Order { id, item, note, ordered_by: who.subject().to_owned() };
    orders.insert(id, order.clone());
    (StatusCode::CREATED, Json(order))
}

/// Whether keys and policy are there and young enough, and where they came from.
fn ready(guard: &Guard) -> (StatusCode, Json<Status>) {
    let status = guard.status();
    let answer = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (answer, Json(status))
}

/// The policy of this service, as the server hands it to the client of its API.
fn policy_endpoint(issuer: &str) -> Result<PolicyEndpoint, Box<dyn Error>> {
    let secret = match env::var("ORDERS_CLIENT_SECRET_FILE") {
        Ok(file) => {
            std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?.trim().to_owned()
        }
        Err(_) => required("ORDERS_CLIENT_SECRET")?,
    };
    let url = format!("{}/policies/snapshot", issuer.trim_end_matches('/'));
    Ok(PolicyEndpoint::new(url, required("ORDERS_CLIENT_ID")?, secret))
}

fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}

/// Lines on standard error, with colours for people only (<https://no-color.org>): not in a file.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).init();
}
