//! The configuration endpoint of a client ([RFC 7592 §2](https://www.rfc-editor.org/rfc/rfc7592#section-2)).

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::domain::issuer::Issuer;
use crate::http::oauth::no_store::NoStore;
use crate::http::registration::answer::{refused, told};
use crate::http::registration::bearer::Sent;
use crate::services::registration::RegistrationService;

/// `GET /register/{client}`.
pub(super) async fn read(
    State(registrations): State<RegistrationService>,
    State(issuer): State<Issuer>,
    Path(client): Path<String>,
    Sent { token, arrival, .. }: Sent,
) -> Response {
    match registrations.read(&client, token.as_deref(), arrival).await {
        Ok(registered) => told(StatusCode::OK, registered, &issuer),
        Err(error) => refused(&error),
    }
}

/// `PUT /register/{client}`.
pub(super) async fn update(
    State(registrations): State<RegistrationService>,
    State(issuer): State<Issuer>,
    Path(client): Path<String>,
    Sent { token, arrival, body }: Sent,
) -> Response {
    let updated = Box::pin(registrations.update(&client, token.as_deref(), &body, arrival)).await;
    match updated {
        Ok(registered) => told(StatusCode::OK, registered, &issuer),
        Err(error) => refused(&error),
    }
}

/// `DELETE /register/{client}`.
pub(super) async fn delete(
    State(registrations): State<RegistrationService>,
    Path(client): Path<String>,
    Sent { token, arrival, .. }: Sent,
) -> Response {
    match registrations.delete(&client, token.as_deref(), arrival).await {
        Ok(()) => NoStore(StatusCode::NO_CONTENT).into_response(),
        Err(error) => refused(&error),
    }
}
