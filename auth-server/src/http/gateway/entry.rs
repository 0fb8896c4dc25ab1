//! Reads what a proxy says about the request that it has at hand. What is missing, repeated or could be read in two ways is refused.

use std::net::{IpAddr, SocketAddr};

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, StatusCode, Uri};

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Why it is not clear which request is asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unclear {
    #[error("the address of the client is not in X-Forwarded-For")]
    Address,
    #[error("the host of the request is missing, is there twice, or is none")]
    Host,
    #[error("the method of the request is missing, is there twice, or is none")]
    Method,
    #[error("the scheme of the request is missing, is there twice, or is neither https nor http")]
    Scheme,
    #[error("path and query of the request are missing, are there twice, or are none")]
    Target,
    #[error("there are two access tokens, or two DPoP proofs")]
    Twice,
}

impl IntoResponse for Unclear {
    fn into_response(self) -> Response {
        let mut response = StatusCode::BAD_REQUEST.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The value of a header that has to be there once, and is text.
pub(super) fn once(parts: &Parts, name: impl AsRef<str>) -> Option<&str> {
    let mut values = parts.headers.get_all(name.as_ref()).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().filter(|text| !text.is_empty()),
        _ => None,
    }
}

/// Path and query, byte for byte: what the proxy routes by and what is judged must be the same text.
pub(super) fn target(text: &str) -> Result<Uri, Unclear> {
    let target: PathAndQuery = text.parse().map_err(|_| Unclear::Target)?;
    // The parser leaves a fragment out, and gives a slash to what has none.
    if !text.starts_with('/') || target.as_str() != text {
        return Err(Unclear::Target);
    }
    Ok(Uri::from(target))
}

/// The chain of proxies, if it ends with an address: whoever comes last was written by the proxy that asks.
pub(super) fn chain(parts: &Parts) -> Result<&str, Unclear> {
    let chain = once(parts, FORWARDED_FOR).ok_or(Unclear::Address)?;
    let last = chain.rsplit(',').next().unwrap_or_default().trim();
    let is_address = last.parse::<IpAddr>().is_ok() || last.parse::<SocketAddr>().is_ok();
    if is_address { Ok(chain) } else { Err(Unclear::Address) }
}
