//! A backend service behind the guard.

use std::net::SocketAddr;

use axum::http::HeaderValue;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use portcullis_guard::{
    AccessDenied, Decision, Guard, GuardBuilder, GuardExt as _, GuardedRouter, Issuer, Policy,
    PolicyEndpoint, Principal, rbac,
};
use reqwest::Method;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::agent::Answer;
use crate::registered::Registered;
use crate::token::Machine;

/// The header that names the revision that decided.
pub const REVISION: &str = "x-revision";

/// A service with two guarded routes: `GET /orders` needs `read` and `POST /orders` needs `create` of `orders`.
pub struct GuardedService {
    guard: Guard,
    machine: Machine,
    serving: JoinHandle<()>,
}

impl GuardedService {
    /// Starts the service: it finds the server's keys by discovery, and fetches its policy as `client`.
    ///
    /// Keys and policy are fetched when it starts and when [`refresh_policy`](Self::refresh_policy) is called, so that
    /// no test waits for a timer.
    ///
    /// # Panics
    ///
    /// When the guard cannot be built.
    pub async fn start(issuer: &str, audience: &str, client: &Registered) -> Self {
        Self::start_with(issuer, audience, client, |guard| guard).await
    }

    /// Starts the service with a guard that the test configures further.
    ///
    /// # Panics
    ///
    /// When the guard cannot be built.
    pub async fn start_with(
        issuer: &str,
        audience: &str,
        client: &Registered,
        configure: impl FnOnce(GuardBuilder) -> GuardBuilder,
    ) -> Self {
        Self::behind(configure(guard(issuer, issuer, audience, client).manual_refresh())).await
    }

    /// Starts the service as it runs in production: it listens to the server at `replica` for policies and revocations.
    ///
    /// # Panics
    ///
    /// When the guard cannot be built.
    pub async fn listening(issuer: &str, replica: &str, audience: &str, client: &Registered) -> Self {
        Self::behind(guard(issuer, replica, audience, client)).await
    }

    async fn behind(guard: GuardBuilder) -> Self {
        let guard = guard.build().await.expect("the guard is built");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let app = routes(&guard);
        let serving = tokio::spawn(async move {
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, app).await.expect("accepting goes on for ever");
        });
        Self { guard, machine: Machine::new(&format!("http://127.0.0.1:{port}")), serving }
    }

    /// Tells the server now what was decided, as the guard does every ten seconds.
    pub async fn flush_decisions(&self) {
        self.guard.flush().await;
    }

    /// Fetches the policy now, as the guard does every second.
    pub async fn refresh_policy(&self) {
        self.guard.refresh().await;
    }

    /// The revision that is in force.
    pub fn revision(&self) -> Option<u64> {
        self.guard.policy_revision()
    }

    /// Sends a `GET`.
    pub async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(Method::GET, path, token).await
    }

    /// Sends a `GET` with a token that is bound to a key, and a proof beside it (RFC 9449).
    pub async fn get_proven(&self, path: &str, token: &str, proof: &str) -> Answer {
        let request = self.machine.request(Method::GET, path);
        Answer::to(request.header("authorization", format!("DPoP {token}")).header("dpop", proof)).await
    }

    /// Sends a `GET` with the certificate that a proxy hands on (RFC 9440).
    pub async fn get_showing(&self, path: &str, token: &str, certificate: Option<String>) -> Answer {
        let request = self.machine.request(Method::GET, path).bearer_auth(token);
        Answer::to(match certificate {
            Some(certificate) => request.header("client-cert", certificate),
            None => request,
        })
        .await
    }

    /// Sends a `POST`.
    pub async fn post(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(Method::POST, path, token).await
    }

    async fn send(&self, method: Method, path: &str, token: Option<&str>) -> Answer {
        let request = self.machine.request(method, path);
        Answer::to(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await
    }
}

impl Drop for GuardedService {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A guard that takes its policy from the server at `replica`.
fn guard(issuer: &str, replica: &str, audience: &str, client: &Registered) -> GuardBuilder {
    let secret = client.secret.clone().expect("the client of a guard has a secret");
    let endpoint = PolicyEndpoint::new(format!("{replica}/policies/snapshot"), &client.id, secret);
    Guard::builder().issuer(Issuer::oidc(issuer)).audience(audience).policy(Policy::remote(endpoint))
}

pub(crate) fn routes(guard: &Guard) -> Router {
    GuardedRouter::new()
        .route("/orders", get(list).guard(rbac("orders", "read")))
        .route("/orders", post(create).guard(rbac("orders", "create")))
        .guarded_by(guard)
        .layer(map_response(name_revision))
}

async fn list(who: Principal, Extension(decision): Extension<Decision>) -> (Extension<Decision>, String) {
    (Extension(decision), format!("orders of {}", who.subject()))
}

async fn create(who: Principal, Extension(decision): Extension<Decision>) -> (Extension<Decision>, String) {
    (Extension(decision), format!("an order by {}", who.subject()))
}

/// Says by which revision a request was let through or refused.
async fn name_revision(mut response: Response) -> Response {
    let told = response.extensions();
    let decision =
        told.get::<Decision>().copied().or_else(|| told.get::<AccessDenied>().map(AccessDenied::decision));
    if let Some(revision) = decision.and_then(|decision| decision.revision()) {
        response.headers_mut().insert(REVISION, HeaderValue::from(revision));
    }
    response
}
