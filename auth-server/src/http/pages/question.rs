//! What scripts ask of authenticators, and the fields in which they send what these answer.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use serde_json::json;

use crate::services::passkeys::Question;

/// The field that names what was asked.
pub(super) const CHALLENGE: &str = "challenge";
/// The field with what the authenticator says.
pub(super) const CREDENTIAL: &str = "credential";

/// What a script hands on to the browser.
pub(super) fn question(asked: &Question) -> Response {
    let Question { challenge, options } = asked;
    let headers = [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, Json(json!({ "challenge": challenge, "options": options }))).into_response()
}
