//! A backend service behind the guard.

use axum::Router;
use axum::routing::{get, post};
use portcullis_guard::{
    Guard, GuardBuilder, GuardExt as _, GuardedRouter, Issuer, Policy, PolicyEndpoint, Principal, rbac,
};
use reqwest::Method;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::agent::Answer;
use crate::registered::Registered;
use crate::token::Machine;

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
        let secret = client.secret.clone().expect("the client of a guard has a secret");
        let endpoint = PolicyEndpoint::new(format!("{issuer}/policies/snapshot"), &client.id, secret);
        let guard = Guard::builder()
            .issuer(Issuer::oidc(issuer))
            .audience(audience)
            .policy(Policy::remote(endpoint))
            .manual_refresh();
        let guard = configure(guard).build().await.expect("the guard is built");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let app = routes(&guard);
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("accepting goes on for ever");
        });
        Self { guard, machine: Machine::new(&format!("http://127.0.0.1:{port}")), serving }
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

fn routes(guard: &Guard) -> Router {
    GuardedRouter::new()
        .route("/orders", get(list).guard(rbac("orders", "read")))
        .route("/orders", post(create).guard(rbac("orders", "create")))
        .guarded_by(guard)
}

async fn list(who: Principal) -> String {
    format!("orders of {}", who.subject())
}

async fn create(who: Principal) -> String {
    format!("an order by {}", who.subject())
}
