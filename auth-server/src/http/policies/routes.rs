//! `/policies/routes/{digest}`: what a guard says about the routes of its service, by the digest of what it says.
//!
//! A guard asks first whether that is known, so that of many replicas one sends it.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use portcullis_policy::RouteDocument;
use serde::Serialize;

use crate::domain::inventory::InventoryState;
use crate::domain::secret::Digest32;
use crate::http::admin::body::JsonBody;
use crate::http::admin::problem::{Problem, ProblemKind};
use crate::http::oauth::client_request::HeaderClient;
use crate::services::admin_error::Thing;
use crate::services::callers::Arrival;
use crate::services::policies::inventory::{AnnounceError, Announced, InventoryService};

/// What is known of an inventory.
#[derive(Serialize)]
struct StateDocument {
    digest: String,
    state: &'static str,
}

/// Whether the inventory is known, and what was decided about it.
pub(super) async fn state(
    State(inventories): State<InventoryService>,
    Path(digest): Path<String>,
    HeaderClient(caller): HeaderClient,
) -> Result<Response, Problem> {
    let digest = named(&digest)?;
    let found = inventories.state(caller.client.client(), &digest).await.map_err(|error| refused(&error))?;
    let state = found.ok_or_else(|| Problem::not_found(Thing::Inventory))?;
    Ok(shown(StatusCode::OK, &digest, state))
}

/// Keeps an inventory until somebody decides about it. The same one again changes nothing.
pub(super) async fn announce(
    State(inventories): State<InventoryService>,
    Path(digest): Path<String>,
    HeaderClient(caller): HeaderClient,
    JsonBody(document): JsonBody<RouteDocument>,
) -> Result<Response, Problem> {
    let digest = named(&digest)?;
    let arrival = Arrival { address: Some(caller.address), now: caller.now };
    let announced = inventories.announce(caller.client.client(), &digest, &document, arrival).await;
    let Announced { state, is_new } = announced.map_err(|error| refused(&error))?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(shown(status, &digest, state))
}

/// The digest in the address. A text that is none names nothing.
#[expect(clippy::result_large_err, reason = "a problem is made once for a request that is refused")]
fn named(raw: &str) -> Result<Digest32, Problem> {
    raw.parse().map_err(|_| Problem::not_found(Thing::Inventory))
}

fn shown(status: StatusCode, digest: &Digest32, state: InventoryState) -> Response {
    let document = StateDocument { digest: digest.hex(), state: state.as_str() };
    (status, Json(document)).into_response()
}

fn refused(error: &AnnounceError) -> Problem {
    let problem = match error {
        AnnounceError::Invalid(errors) => Problem::invalid(errors),
        AnnounceError::ServesNothing => Problem::new(ProblemKind::ServesNothing),
        AnnounceError::Store(cause) => Problem::fault(cause),
        AnnounceError::Throttled { retry_after } => Problem::throttled(retry_after.as_secs()),
        AnnounceError::TooLong => Problem::new(ProblemKind::TooLarge).with_detail(error.to_string()),
    };
    problem.because(error)
}
