//! A service that is guarded. Its secret comes from the environment: `PORTCULLIS_CLIENT_SECRET`.
//! Cargo: portcullis-guard, axum, tokio (with `macros`, `net` and `rt-multi-thread`) and
//! tracing-subscriber (with `env-filter`).

use std::error::Error;
use std::net::SocketAddr;

use axum::routing::get;
use portcullis_guard::{Guard, GuardExt, GuardedRouter, Issuer, Policy, PolicyEndpoint, Principal, rbac};
use tracing_subscriber::EnvFilter;

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "https://orders.example";
const CLIENT_ID: &str = "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let secret = std::env::var("PORTCULLIS_CLIENT_SECRET")?;
    let policy = PolicyEndpoint::new(format!("{ISSUER}/policies/snapshot"), CLIENT_ID, secret);
    let guard = Guard::builder()
        .issuer(Issuer::oidc(ISSUER))
        .audience(AUDIENCE)
        .policy(Policy::remote(policy))
        .build()
        .await?;
    let app = GuardedRouter::new()
        .route("/orders", get(orders).guard(rbac("orders", "read")))
        .guarded_by(&guard)
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn orders(who: Principal) -> String {
    format!("orders of {}", who.subject())
}
