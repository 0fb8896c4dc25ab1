//! A service of plain tower on hyper, without a router: what its routes require stands in a table, and the server bounds what no layer
//! can see, the heads of requests. `axum::serve` has no such bounds; a router of axum is a service like any other and fits in here.
//!
//! Start the server (`cargo run --release`), and register the service and a caller, from the root of the repository:
//!
//! ```sh
//! umask 077
//! alias portcullis=target/release/portcullis
//! portcullis client create --preset service --name Hello --api https://hello.example --format json > hello.json
//! portcullis client create --preset m2m --name Robot --api https://hello.example --scope hello --format json > robot.json
//! ```
//!
//! Start this service:
//!
//! ```sh
//! export HELLO_ISSUER=http://localhost:8080 HELLO_AUDIENCE=https://hello.example
//! cargo run --release -p portcullis-guard --example hyper
//! ```
//!
//! Ask without a token (401), with one (200), and by a head that does not end (the connection is closed after ten seconds):
//!
//! ```sh
//! TOKEN=$(curl -s http://localhost:8080/token -u "$(jq -r '.client_id + ":" + .client_secret' robot.json)" \
//!   -d grant_type=client_credentials -d resource=https://hello.example -d scope=hello | jq -r .access_token)
//! curl -i http://127.0.0.1:8088/hello
//! curl -i http://127.0.0.1:8088/hello -H "Authorization: Bearer $TOKEN"
//! printf 'GET /hello HTTP/1.1\r\nHost:' | timeout 20 nc 127.0.0.1 8088
//! ```
//!
//! Configured by the environment: `HELLO_ISSUER` and `HELLO_AUDIENCE`, and where to listen (`HELLO_LISTEN`).

mod serve;

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use portcullis_guard::{Body, Caps, Guard, Issuer, Limits, Principal, Quota, RouteTable, public, scope};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::{Layer, service_fn};
use tracing_subscriber::EnvFilter;

/// How many connections may be open at once. Whoever comes next waits until one is closed.
const CONNECTIONS: usize = 1_024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let guard = Guard::builder()
        .issuer(Issuer::oidc(required("HELLO_ISSUER")?))
        .audience(required("HELLO_AUDIENCE")?)
        .limits(Limits::new().by_address(Quota::per_minute(600)))
        // What comes after the head: the body, and the answer.
        .caps(
            Caps::new().body(64 << 10).whole_within(Duration::from_secs(30)).in_flight(256).spare("/health"),
        )
        .build()
        .await?;
    let table = RouteTable::new()
        .methods([Method::GET, Method::HEAD], "/hello", scope("hello"))
        .route("/health", public())
        .guarded_by(&guard)?;
    let service = table.layer(service_fn(answer));

    let listen = env::var("HELLO_LISTEN").unwrap_or_else(|_| "127.0.0.1:8088".to_owned());
    let listener = TcpListener::bind(&listen).await?;
    tracing::info!(listen, "callers are greeted");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                // Too many files are open, more often than not: that passes.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = service.clone();
        tokio::spawn(async move {
            if let Err(error) = serve::serve(stream, peer, service).await {
                tracing::debug!(%error, "a connection was closed");
            }
            drop(place);
        });
    }
}

/// What is guarded. Whoever gets here may.
async fn answer<B>(request: Request<B>) -> Result<Response<Body>, Infallible> {
    let who = request.extensions().get::<Principal>();
    let text = who.map_or_else(|| "ok".to_owned(), |who| format!("hello, {}", who.subject()));
    Ok(Response::new(text.into()))
}

fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}
