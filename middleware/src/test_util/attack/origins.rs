//! Scripts of origins that nobody named, which want to read with the cookies of their reader.

use http::{HeaderMap, header};

use super::target::{Attempt, Target};

const HOSTILE: [&str; 4] =
    ["https://evil.example", "null", "https://localhost.evil.example", "http://evil.example:8080"];

/// Each with the origin that asks. What is wrong is told by the headers of the answer, whatever its status.
pub(super) fn attacks(target: &Target) -> Vec<(String, Attempt)> {
    let of = |origin: &&str| {
        let preflight = Attempt { method: http::Method::OPTIONS, body: Vec::new(), ..target.with(None) }
            .header("access-control-request-method", target.method.as_str())
            .header("access-control-request-headers", "authorization, content-type");
        [
            (format!("a preflight of {origin}"), preflight.header("origin", origin)),
            (format!("a script of {origin}"), target.good().header("origin", origin)),
            (format!("a script of {origin} without a token"), target.with(None).header("origin", origin)),
        ]
    };
    HOSTILE.iter().flat_map(of).collect()
}

/// What a script that nobody named learns from these headers that it should not.
pub(super) fn complaint(headers: &HeaderMap) -> Option<&'static str> {
    let allows =
        |asked: &str| headers.get_all(header::ACCESS_CONTROL_ALLOW_ORIGIN).iter().any(|it| it == asked);
    if HOSTILE.into_iter().any(allows) {
        return Some("it lets an origin read that nobody named");
    }
    let with_credentials = headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    (with_credentials && allows("*")).then_some("it lets everybody read with credentials")
}
