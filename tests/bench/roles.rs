//! What a child of this program serves: the floor, and the same handler behind the guard.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use portcullis_guard::{Guard, GuardExt, GuardedRouter, Issuer, Limits, Policy, Quota, rbac};
use portcullis_policy::PolicySource;

/// The issuer of the tokens that the load sends.
pub(crate) const ISSUER: &str = "https://bench.test";
/// The audience that the guard stands for.
pub(crate) const AUDIENCE: &str = "https://orders.bench.test";
/// Carries the JWKS to the guarded role.
pub(crate) const JWKS: &str = "BENCH_JWKS";
/// Carries the body to the floor role.
pub(crate) const BODY: &str = "BENCH_BODY";

/// Serves the role that the first argument names; `None` when it names none.
pub(crate) async fn serve(role: Option<&str>) -> Option<()> {
    let app = match role? {
        "floor" => floor(std::env::var(BODY).expect("the floor is given its body")),
        "guarded" => guarded().await,
        _ => return None,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("http://{}", listener.local_addr().expect("a bound address"));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await.expect("it serves until it is ended");
    Some(())
}

fn floor(body: String) -> Router {
    let body = bytes::Bytes::from(body);
    Router::new().route("/", get(move || std::future::ready(body.clone())))
}

/// Token, policy of 10,000 rules and both limits in front of a handler that answers five bytes.
async fn guarded() -> Router {
    let jwks = std::env::var(JWKS).expect("the guard is given its keys");
    let generous = || Quota::per_second(1_000_000);
    let guard = Guard::builder()
        .issuer(Issuer::static_jwks(ISSUER, jwks))
        .audience(AUDIENCE)
        .policy(Policy::source(PolicySource::with_default_model(rules())))
        .limits(Limits::new().by_address(generous()).by_identity(generous()))
        .build()
        .await
        .expect("a valid guard");
    GuardedRouter::new().route("/", get(async || "hello").guard(rbac("orders", "read"))).guarded_by(&guard)
}

fn rules() -> String {
    let many = (0..10_000).map(|n| format!("p, role{}, *, /things/{n}, read\n", n % 100));
    many.chain(["p, viewer, *, orders, read\n".to_owned()]).collect()
}
