//! Health, for whoever decides whether this process gets requests.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;

use crate::http::error::Cause;
use crate::http::state::AppState;
use crate::services::health::HealthService;

pub(crate) fn router() -> Router<AppState> {
    Router::new().route("/healthz/live", get(live)).route("/healthz/ready", get(ready))
}

/// The process runs.
async fn live() -> &'static str {
    "live\n"
}

/// The process can do its work: its database answers.
async fn ready(State(health): State<HealthService>) -> Response {
    match health.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            let mut response = (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response();
            response.extensions_mut().insert(Cause::of(&error));
            response
        }
    }
}
