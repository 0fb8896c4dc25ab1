//! Pages that people sign in to. The secret comes from the environment: `PORTCULLIS_CLIENT_SECRET`.
//! Cargo: portcullis-guard (with `login`), axum, tokio (with `macros`, `net` and `rt-multi-thread`) and
//! tracing-subscriber (with `env-filter`).

use std::error::Error;

use axum::routing::get;
use portcullis_guard::{Csrf, Guard, GuardExt, GuardedRouter, Issuer, Login, Principal, authenticated};
use tracing_subscriber::EnvFilter;

const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "https://orders.example";
const CLIENT_ID: &str = "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
const ORIGIN: &str = "https://shop.example.com";
const LISTEN: &str = "127.0.0.1:8087";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let secret = std::env::var("PORTCULLIS_CLIENT_SECRET")?;
    let guard = Guard::builder()
        .issuer(Issuer::oidc(ISSUER))
        .audience(AUDIENCE)
        .csrf(Csrf::origins([ORIGIN]))
        .login(Login::new(ISSUER, CLIENT_ID, ORIGIN).secret(secret))
        .build()
        .await?;
    let app = GuardedRouter::new()
        .route("/", get(start).guard(authenticated()))
        .merge(guard.login_routes())
        .guarded_by(&guard);
    let listener = tokio::net::TcpListener::bind(LISTEN).await?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn start(who: Principal) -> String {
    format!("signed in as {}", who.subject())
}
