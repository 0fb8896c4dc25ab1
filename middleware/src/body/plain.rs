//! Bodies without axum.

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tower::BoxError;

use super::HttpBody;

pub(super) type Held = UnsyncBoxBody<Bytes, BoxError>;

pub(super) fn hold<B: HttpBody>(body: B) -> Held {
    body.map_err(Into::into).boxed_unsync()
}

pub(super) const fn reason(error: BoxError) -> BoxError {
    error
}
