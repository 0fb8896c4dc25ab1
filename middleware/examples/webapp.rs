//! A small shop with pages: people sign in at an issuer, see their orders and sign out.
//!
//! Start the server (`PORTCULLIS__OUTBOUND__ALLOW=127.0.0.1 cargo run --release`: it is to tell the shop of sign-outs, and calls this
//! machine only where it is told so), and register the API that the pages are for, and the shop, from the root of the repository:
//!
//! ```sh
//! umask 077
//! export PORTCULLIS__OUTBOUND__ALLOW=127.0.0.1
//! alias portcullis=target/release/portcullis
//! portcullis client create --preset service --name Orders --api https://orders.example --format json > orders.json
//! portcullis client create --preset web --name Shop --api https://orders.example --format json \
//!   --redirect-uri http://127.0.0.1:8087/auth/callback --post-logout-redirect-uri http://127.0.0.1:8087/ \
//!   --backchannel-logout-uri http://127.0.0.1:8087/auth/backchannel-logout > shop.json
//! ```
//!
//! Start the shop:
//!
//! ```sh
//! export WEBAPP_ISSUER=http://localhost:8080 WEBAPP_AUDIENCE=https://orders.example WEBAPP_ORIGIN=http://127.0.0.1:8087
//! export WEBAPP_CLIENT_ID=$(jq -r .client_id shop.json) WEBAPP_CLIENT_SECRET=$(jq -r .client_secret shop.json)
//! cargo run --release -p portcullis-guard --example webapp --features login
//! ```
//!
//! Open its origin in Chromium or Firefox, which keep `Secure` cookies of this machine over plain `http`, and sign in with an
//! account of the server.
//!
//! Configured by the environment: `WEBAPP_ISSUER`, `WEBAPP_AUDIENCE`, the client (`WEBAPP_CLIENT_ID` with `WEBAPP_CLIENT_SECRET`),
//! the origin by which browsers reach it (`WEBAPP_ORIGIN`), where to listen (`WEBAPP_LISTEN`), and how many seconds before its
//! end an access token is renewed (`WEBAPP_RENEW_EARLY_SECS`). The client has the redirect URI `ORIGIN/auth/callback`, the
//! post-logout redirect URI `ORIGIN/` and the back-channel logout URI `ORIGIN/auth/backchannel-logout`.

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use portcullis_guard::{
    Csrf, Guard, GuardExt, GuardedRouter, Issuer, Login, Principal, SecurityHeaders, SignedIn, authenticated,
    optional, public,
};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use url::Url;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let (issuer, origin) = (required("WEBAPP_ISSUER")?, required("WEBAPP_ORIGIN")?);
    let mut login = Login::new(&issuer, required("WEBAPP_CLIENT_ID")?, &origin)
        .secret(required("WEBAPP_CLIENT_SECRET")?)
        .scopes(["profile"])
        .after_logout("/");
    if let Ok(secs) = env::var("WEBAPP_RENEW_EARLY_SECS") {
        login = login.renew_early(Duration::from_secs(secs.parse()?));
    }
    // A form that signs out leads to the issuer in the end.
    let issuer_origin = Url::parse(&issuer)?.origin().ascii_serialization();
    let pages = SecurityHeaders::html().directive("form-action", ["'self'", &issuer_origin]);
    let guard = Guard::builder()
        .issuer(Issuer::oidc(&issuer))
        .audience(required("WEBAPP_AUDIENCE")?)
        .headers(pages)
        .csrf(Csrf::origins([origin]))
        .login(login)
        .build()
        .await?;
    let listen = env::var("WEBAPP_LISTEN").unwrap_or_else(|_| "127.0.0.1:8087".to_owned());
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    tracing::info!(listen, "the shop is open");
    axum::serve(listener, app(&guard)).await?;
    Ok(())
}

fn app(guard: &Guard) -> Router {
    GuardedRouter::new()
        .route("/", get(start).guard(optional()))
        .route("/orders", get(orders).guard(authenticated()))
        .route("/health", get(async || "ok").guard(public()))
        .merge(guard.login_routes())
        .guarded_by(guard)
}

/// For everybody, and different for who is signed in.
async fn start(session: Option<SignedIn>) -> Html<String> {
    let inside = session.map_or_else(
        || r#"<p><a id="login" href="/auth/login?return_to=/orders">Sign in</a></p>"#.to_owned(),
        |session| format!("<p>Welcome, {}.</p>{SIGN_OUT}", escaped(&name(&session))),
    );
    page("Shop", &inside)
}

/// For who is signed in: anybody else is sent to do so, and comes back here.
async fn orders(who: Principal, session: SignedIn) -> Html<String> {
    let (name, token) = (escaped(&name(&session)), escaped(who.token_id()));
    let inside =
        format!(r#"<p>Orders of <b id="name">{name}</b>, by <code id="token">{token}</code></p>{SIGN_OUT}"#);
    page("Orders", &inside)
}

const SIGN_OUT: &str =
    r#"<form id="logout" method="post" action="/auth/logout"><button>Sign out</button></form>"#;

/// What the ID token says of a person.
#[derive(Deserialize)]
struct Profile {
    name: Option<String>,
    preferred_username: Option<String>,
}

fn name(session: &SignedIn) -> String {
    let profile = session.claims::<Profile>();
    let named = profile.and_then(|profile| profile.name.or(profile.preferred_username));
    named.unwrap_or_else(|| session.subject().to_owned())
}

fn page(title: &str, inside: &str) -> Html<String> {
    Html(format!(
        r#"<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{title}</title><h1>{title}</h1>{inside}</html>"#
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}
