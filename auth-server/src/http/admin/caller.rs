//! Who sent a request, as the use cases want to know it.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::http::admin::problem::{Problem, ProblemKind};
use crate::services::caller::Caller;

/// The caller that the live check behind the guard let through. Without one the request is a fault, not an anonymous
/// one.
pub(crate) struct By(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or_else(|| Problem::new(ProblemKind::Fault))
    }
}
