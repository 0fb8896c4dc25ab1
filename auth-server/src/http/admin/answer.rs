//! What the admin API answers when all went well: JSON that nobody may keep.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::services::version::Version;

/// A document on its way out.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: T,
}

impl<T> Answer<T> {
    pub(crate) const fn ok(body: T) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body }
    }

    /// Something new, and where it is from now on.
    pub(crate) fn created(body: T, location: String) -> Self {
        Self { status: StatusCode::CREATED, headers: vec![(LOCATION, location)], body }
    }

    /// Something that will be done, and where it can be looked after until then.
    pub(crate) fn accepted(body: T, location: String) -> Self {
        Self { status: StatusCode::ACCEPTED, headers: vec![(LOCATION, location)], body }
    }

    /// Says which version of the thing this is, for `If-Match`.
    pub(crate) fn at(mut self, version: &Version) -> Self {
        self.headers.push((ETAG, tag(version)));
        self
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        private(&mut response);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// It is done and there is nothing to show.
#[derive(Debug)]
pub(crate) struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        private(&mut response);
        response
    }
}

/// A version as a strong entity tag (RFC 9110 §8.8.3).
pub(crate) fn tag(version: &Version) -> String {
    format!("\"{}\"", version.as_str())
}

/// Answers of the admin API are for the caller alone.
fn private(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_carries_its_version_and_place_and_may_not_be_stored() {
        let response =
            Answer::created("x", "/api/v1/users/usr_1".to_owned()).at(&Version::number(7)).into_response();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()[ETAG], "\"7\"");
        assert_eq!(response.headers()[LOCATION], "/api/v1/users/usr_1");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(Done.into_response().headers()[CACHE_CONTROL], "no-store");
    }
}
