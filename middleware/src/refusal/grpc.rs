//! Refusals as a gRPC client reads them: in a header of an answer that has nothing else.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::body::Body;
use crate::ended::Ended;

/// How a client wants to be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// `Trailers-Only` of the gRPC protocol.
    Grpc,
    /// The same for browsers.
    GrpcWeb,
    /// A status and a problem document.
    Http,
}

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

impl Dialect {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let media = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let begins = |name: &[u8]| {
            media.split_at_checked(name.len()).is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(name) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
            })
        };
        match () {
            () if begins(b"application/grpc") => Self::Grpc,
            () if begins(b"application/grpc-web") || begins(b"application/grpc-web-text") => Self::GrpcWeb,
            () => Self::Http,
        }
    }

    /// The type of an answer without messages.
    const fn media(self) -> &'static str {
        if matches!(self, Self::GrpcWeb) { "application/grpc-web+proto" } else { "application/grpc" }
    }
}

/// The answer to a call that was refused. gRPC has its own statuses, and the one of HTTP is 200.
pub(super) fn refused(dialect: Dialect, status: StatusCode, detail: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(dialect.media()));
    headers.insert(STATUS, HeaderValue::from(code(status)));
    headers.extend(
        HeaderValue::try_from(utf8_percent_encode(detail, NOT_PLAIN).to_string())
            .map(|detail| (MESSAGE, detail)),
    );
    response
}

/// What follows the messages of a call that was let through and may not go on.
pub(crate) fn stream_trailers(ended: Ended) -> HeaderMap {
    let status = match ended {
        Ended::Denied => StatusCode::FORBIDDEN,
        Ended::Expired | Ended::Revoked | Ended::SignIn => StatusCode::UNAUTHORIZED,
        Ended::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(STATUS, HeaderValue::from(code(status)));
    trailers.extend(HeaderValue::try_from(ended.to_string()).map(|why| (MESSAGE, why)));
    trailers
}

/// The status of gRPC that means what a status of HTTP does here.
const fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        // INVALID_ARGUMENT
        400 | 415 | 422 => 3,
        // DEADLINE_EXCEEDED
        408 | 504 => 4,
        // UNAUTHENTICATED
        401 => 16,
        // PERMISSION_DENIED
        403 => 7,
        // RESOURCE_EXHAUSTED
        413 | 429 => 8,
        // INTERNAL
        500 => 13,
        // UNAVAILABLE
        503 => 14,
        // UNKNOWN
        _ => 2,
    }
}

/// What a message is percent-encoded in, as gRPC has it: what is not printable ASCII, and `%` itself.
const NOT_PLAIN: &AsciiSet = &CONTROLS.add(b'%');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_from_a_request_by_its_media_type() {
        for (media, dialect) in [
            ("application/grpc", Dialect::Grpc),
            ("Application/gRPC+proto", Dialect::Grpc),
            ("application/grpc-web+proto", Dialect::GrpcWeb),
            ("application/grpc-web-text", Dialect::GrpcWeb),
            ("application/grpc; charset=utf-8", Dialect::Grpc),
            ("application/grpcx", Dialect::Http),
            ("application/json", Dialect::Http),
            ("", Dialect::Http),
        ] {
            let value = HeaderValue::from_static(media);
            assert_eq!(
                Dialect::of(&HeaderMap::from_iter([(header::CONTENT_TYPE, value)])),
                dialect,
                "{media}"
            );
        }
        assert_eq!(Dialect::of(&HeaderMap::new()), Dialect::Http);
    }

    #[test]
    fn a_refusal_is_a_status_in_a_header() {
        let response = refused(Dialect::Grpc, StatusCode::FORBIDDEN, "100 % n\u{e9}");
        assert_eq!(response.status(), StatusCode::OK);
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!((header("grpc-status"), header("grpc-message")), ("7", "100 %25 n%C3%A9"));
        assert_eq!(header("content-type"), "application/grpc");
        for (status, grpc) in [
            (400, 3),
            (401, 16),
            (408, 4),
            (413, 8),
            (415, 3),
            (422, 3),
            (429, 8),
            (500, 13),
            (503, 14),
            (504, 4),
        ] {
            assert_eq!(code(StatusCode::from_u16(status).unwrap()), grpc, "{status}");
        }
    }
}
