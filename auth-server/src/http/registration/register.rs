//! The registration endpoint ([RFC 7591 §3](https://www.rfc-editor.org/rfc/rfc7591#section-3)).

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::domain::issuer::Issuer;
use crate::http::cors;
use crate::http::registration::answer::{refused, told};
use crate::http::registration::bearer::Sent;
use crate::services::registration::RegistrationService;

pub(super) async fn register(
    State(registrations): State<RegistrationService>,
    State(issuer): State<Issuer>,
    Sent { token, arrival, body }: Sent,
) -> Response {
    let answer = match Box::pin(registrations.register(&body, token.as_deref(), arrival)).await {
        Ok(registered) => told(StatusCode::CREATED, registered, &issuer),
        Err(error) => refused(&error),
    };
    cors::open(answer)
}
