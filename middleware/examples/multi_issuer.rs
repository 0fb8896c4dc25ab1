//! A shop for customers and staff, who sign in at two servers: what each may do is said by whose token it is.
//!
//! Start two servers from the root of the repository, each in a terminal of its own:
//!
//! ```sh
//! target/release/portcullis --data-dir customers --listen 127.0.0.1:8080
//! target/release/portcullis --data-dir staff --listen 127.0.0.1:8090
//! ```
//!
//! Register the shop at both. Customers may have a scope, staff have roles; the rules are those of the staff.
//!
//! ```sh
//! umask 077
//! alias customers='target/release/portcullis --data-dir customers --listen 127.0.0.1:8080'
//! alias staff='target/release/portcullis --data-dir staff --listen 127.0.0.1:8090'
//! customers client create --preset service --name Shop --api https://shop.example --format json > unused.json
//! customers client create --preset m2m --name Ann --api https://shop.example --scope orders --format json > ann.json
//! staff client create --preset service --name Shop --api https://shop.example --format json > shop.json
//! staff client create --preset m2m --name Stan --api https://shop.example --role editor --format json > stan.json
//! ```
//!
//! Open the shop:
//!
//! ```sh
//! export SHOP_CUSTOMERS=http://localhost:8080 SHOP_STAFF=http://localhost:8090 SHOP_AUDIENCE=https://shop.example
//! export SHOP_CLIENT_ID=$(jq -r .client_id shop.json) SHOP_CLIENT_SECRET=$(jq -r .client_secret shop.json)
//! cargo run --release -p portcullis-guard --example multi_issuer
//! ```
//!
//! Ann orders something (200), and may not cancel orders (403); Stan, who is an editor, sees all orders (200), and orders nothing (403):
//!
//! ```sh
//! token() { curl -s "$1/token" -u "$(jq -r '.client_id + ":" + .client_secret' "$2")" \
//!   -d grant_type=client_credentials -d resource=https://shop.example | jq -r .access_token; }
//! ANN="Authorization: Bearer $(token http://localhost:8080 ann.json)"
//! STAN="Authorization: Bearer $(token http://localhost:8090 stan.json)"
//! curl -i http://127.0.0.1:8083/orders -H "$ANN" -H 'Content-Type: application/json' -d '{"item": "a gate"}'
//! curl -i http://127.0.0.1:8083/orders/1/cancel -H "$ANN" -X POST
//! curl -i http://127.0.0.1:8083/orders -H "$STAN"
//! curl -i http://127.0.0.1:8083/orders -H "$STAN" -H 'Content-Type: application/json' -d '{"item": "a gate"}'
//! ```
//!
//! The policy and what was revoked come from the staff's server. A token of a customer is good until it expires, which takes five
//! minutes: a guard hears from one server only.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use portcullis_guard::{
    Guard, GuardExt, GuardedRouter, Issuer, Policy, PolicyEndpoint, Principal, Status, issuer, public, rbac,
    scope,
};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let (customers, staff) = (required("SHOP_CUSTOMERS")?, required("SHOP_STAFF")?);
    let rules = format!("{staff}/policies/snapshot");
    let rules = PolicyEndpoint::new(rules, required("SHOP_CLIENT_ID")?, required("SHOP_CLIENT_SECRET")?);
    let guard = Guard::builder()
        .issuer(Issuer::oidc(&customers))
        .issuer(Issuer::oidc(&staff))
        .audience(required("SHOP_AUDIENCE")?)
        .policy(Policy::remote(rules))
        .build()
        .await?;
    let listen = env::var("SHOP_LISTEN").unwrap_or_else(|_| "127.0.0.1:8083".to_owned());
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    tracing::info!(listen, "the shop is open");
    axum::serve(listener, app(&guard, &customers, &staff)).await?;
    Ok(())
}

/// A role that a customer may have opens nothing here: the policy does not know whose roles it is asked about, the routes do.
fn app(guard: &Guard, customers: &str, staff: &str) -> Router {
    let customer = || issuer(customers.to_owned()).and(scope("orders"));
    let clerk = |action: &'static str| issuer(staff.to_owned()).and(rbac("orders", action));
    let asked = guard.clone();
    GuardedRouter::new()
        .route("/orders", get(list).guard(customer().or(clerk("read"))))
        .route("/orders", post(order).guard(customer()))
        .route("/orders/{id}/cancel", post(cancel).guard(clerk("update")))
        .route("/health", get(async || "ok").guard(public()))
        .route("/ready", get(async move || ready(&asked)).guard(public()))
        .guarded_by(guard)
        .with_state(Shop { staff: staff.into(), orders: Arc::default() })
}

#[derive(Clone)]
struct Shop {
    staff: Arc<str>,
    orders: Arc<Mutex<BTreeMap<u64, Order>>>,
}

#[derive(Clone, Serialize)]
struct Order {
    id: u64,
    item: String,
    /// A subject is unique at its issuer and nowhere else, so both make the name.
    customer: (String, String),
}

#[derive(Deserialize)]
struct NewOrder {
    item: String,
}

/// Customers see their own orders, staff all of them.
async fn list(State(shop): State<Shop>, who: Principal) -> Json<Vec<Order>> {
    let sees_all = who.issuer() == &*shop.staff;
    let orders = shop.open();
    let seen = orders.values().filter(|order| sees_all || order.customer == name(&who));
    Json(seen.cloned().collect())
}

async fn order(
    State(shop): State<Shop>,
    who: Principal,
    Json(NewOrder { item }): Json<NewOrder>,
) -> Json<Order> {
    let mut orders = shop.open();
    let id = orders.last_key_value().map_or(1, |(last, _)| last + 1);
    let order = Order { id, item, customer: name(&who) };
    orders.insert(id, order.clone());
    Json(order)
}

async fn cancel(State(shop): State<Shop>, Path(id): Path<u64>) -> StatusCode {
    if shop.open().remove(&id).is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

/// Ready while anybody can be served. `Status::ready` asks for the keys of both: by it, the outage of one would take the shop from
/// the customers of the other.
fn ready(guard: &Guard) -> (StatusCode, Json<Status>) {
    let status = guard.status();
    let serves_somebody = status.issuers.iter().any(|keys| keys.usable);
    let answer = if serves_somebody { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (answer, Json(status))
}

impl Shop {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(who: &Principal) -> (String, String) {
    (who.issuer().to_owned(), who.subject().to_owned())
}

fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}
