//! Answers that scripts of other sites may read ([RFC 9700 §2.6](https://www.rfc-editor.org/rfc/rfc9700#section-2.6)).
//!
//! Every origin may ask, because none of these endpoints looks at cookies: what a script gets here, its own server gets as
//! well. Credentials of the browser are therefore never allowed.

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};

/// Lets scripts of every site read an answer.
pub(crate) fn open(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("dpop-nonce, retry-after, www-authenticate"),
    );
    response
}

/// What a browser asks before it sends a request that a form could not send.
pub(crate) async fn preflight() -> Response {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, dpop"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (ACCESS_CONTROL_MAX_AGE, "7200"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    open((StatusCode::NO_CONTENT, headers).into_response())
}
