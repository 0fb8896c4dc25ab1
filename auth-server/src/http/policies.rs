//! `/policies/snapshot`: the policy that a guard enforces, signed, for the client that the guard is. `/policies/events`: when to
//! ask for it again, and what was revoked. `/policies/shadow`: rules that it is to try. `/policies/decisions`: what was decided by it. `/policies/routes/{digest}`: what a guard says
//! about the routes of its service.

mod decisions;
mod events;
mod routes;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::http::admin::problem::{Problem, ProblemKind};
use crate::http::oauth::client_request::{ClientRequest, HeaderClient};
use crate::http::state::AppState;
use crate::services::admin_error::Thing;
use crate::services::policies::snapshot::{SignedSnapshot, SnapshotError, SnapshotService};
use crate::services::token::TokenCaller;

pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/policies/shadow", get(shadow_by_header).post(shadow_by_form))
        .route("/policies/snapshot", get(by_header).post(by_form))
        .route("/policies/decisions", post(decisions::take))
        .route("/policies/events", get(events::by_header).post(events::by_form))
        .route("/policies/routes/{digest}", get(routes::state).put(routes::announce))
}

/// For guards with a secret: they ask every second, and nearly always nothing changed.
async fn by_header(
    State(snapshots): State<SnapshotService>,
    known: HeaderMap,
    HeaderClient(caller): HeaderClient,
) -> Response {
    answer(&snapshots, &known, &caller).await
}

/// For guards that sign assertions, or whose secret does not fit into a header.
async fn by_form(
    State(snapshots): State<SnapshotService>,
    known: HeaderMap,
    ClientRequest { caller, .. }: ClientRequest,
) -> Response {
    answer(&snapshots, &known, &caller).await
}

/// `/policies/shadow`, for guards with a secret.
async fn shadow_by_header(
    State(snapshots): State<SnapshotService>,
    known: HeaderMap,
    HeaderClient(caller): HeaderClient,
) -> Response {
    shadow(&snapshots, &known, &caller).await
}

/// `/policies/shadow`, for guards that sign assertions.
async fn shadow_by_form(
    State(snapshots): State<SnapshotService>,
    known: HeaderMap,
    ClientRequest { caller, .. }: ClientRequest,
) -> Response {
    shadow(&snapshots, &known, &caller).await
}

async fn shadow(snapshots: &SnapshotService, known: &HeaderMap, caller: &TokenCaller) -> Response {
    match snapshots.shadow(caller.client.client(), caller.now).await {
        Ok(Some(signed)) => shown(&signed, "application/portcullis-policy-shadow+jwt", known),
        Ok(None) => Problem::not_found(Thing::Shadow).into_response(),
        Err(error) => refused(&error),
    }
}

async fn answer(snapshots: &SnapshotService, known: &HeaderMap, caller: &TokenCaller) -> Response {
    match snapshots.snapshot(caller.client.client(), caller.now).await {
        Ok(signed) => shown(&signed, "application/portcullis-policy+jwt", known),
        Err(error) => refused(&error),
    }
}

fn shown(signed: &SignedSnapshot, media_type: &'static str, known: &HeaderMap) -> Response {
    let mut response = if is_known(known, &signed.entity_tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        signed.jws.clone().into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    // A guard may keep it and has to ask whether it still holds.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&signed.entity_tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// Whether the caller has this version already (RFC 9110 §13.1.2: tags are compared weakly).
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|known| {
        let known = known.strip_prefix("W/").unwrap_or(known);
        known == "*" || known == tag
    })
}

fn refused(error: &SnapshotError) -> Response {
    let problem = match error {
        SnapshotError::NoPolicy => Problem::not_found(Thing::Policy),
        SnapshotError::ServesNothing => Problem::new(ProblemKind::ServesNothing),
        SnapshotError::Sign(_) | SnapshotError::Store(_) => Problem::fault(error),
    };
    problem.because(error).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (IF_NONE_MATCH, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_version_that_the_caller_has_is_not_sent_again() {
        let tag = "\"r2-100-abc\"";
        for has in
            [&["\"r2-100-abc\""][..], &["W/\"r2-100-abc\""], &["\"x\", \"r2-100-abc\""], &["\"x\"", "*"]]
        {
            assert!(is_known(&known(has), tag), "{has:?}");
        }
        for lacks in [&[][..], &["\"r1-100-abc\""], &["r2-100-abc"]] {
            assert!(!is_known(&known(lacks), tag), "{lacks:?}");
        }
    }
}
