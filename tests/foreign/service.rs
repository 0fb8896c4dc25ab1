//! A service whose guard was given an issuer and an audience.

use axum::routing::{get, post};
use portcullis_guard::{Guard, GuardExt as _, GuardedRouter, Principal, scope};
use portcullis_tests::agent::{Answer, agent};
use reqwest::StatusCode;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::issuer::ORDERS;

/// A service with two routes: `GET /orders` needs `orders:read`, `POST /orders` needs `orders:write`.
pub(crate) struct Service {
    guard: Guard,
    orders: String,
    serving: JoinHandle<()>,
}

impl Service {
    /// Starts it for an issuer, of which nothing is known but the URL.
    pub(crate) async fn trusting(issuer: &str) -> Self {
        let guard = Guard::oidc(issuer, ORDERS).await.expect("the guard is built");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let address = listener.local_addr().expect("a bound listener has an address");
        let app = GuardedRouter::new()
            .route("/orders", get(list).guard(scope("orders:read")))
            .route("/orders", post(list).guard(scope("orders:write")))
            .guarded_by(&guard);
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("accepting goes on for ever");
        });
        Self { guard, orders: format!("http://{address}/orders"), serving }
    }

    /// Asks for the orders.
    pub(crate) async fn get(&self, token: &str) -> Answer {
        Answer::to(agent().get(&self.orders).bearer_auth(token)).await
    }

    /// Makes an order.
    pub(crate) async fn post(&self, token: &str) -> Answer {
        Answer::to(agent().post(&self.orders).bearer_auth(token)).await
    }

    /// Fetches the keys now, as the guard does every minute.
    pub(crate) async fn refresh(&self) {
        self.guard.refresh().await;
    }

    /// Lets a token in, and knows whose it is.
    pub(crate) async fn accepts(&self, token: &str) {
        let answer = self.get(token).await;
        assert_eq!((answer.status, &*answer.text()), (StatusCode::OK, "robot of robot"));
    }

    /// Refuses a token, and says no more than that.
    pub(crate) async fn refuses(&self, token: &str) {
        let answer = self.get(token).await;
        assert_eq!((answer.status, &*answer.member("code")), (StatusCode::UNAUTHORIZED, "invalid_token"));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn list(who: Principal) -> String {
    format!("{} of {}", who.subject(), who.client_id())
}
