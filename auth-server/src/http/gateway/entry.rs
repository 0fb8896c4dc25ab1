//! Reads what a proxy says about the request that it has at hand. What is missing, repeated or could be read in two ways is refused.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri, header};
use portcullis_guard::ClientOrigin;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const DPOP: HeaderName = HeaderName::from_static("dpop");
/// What the client itself shows of who it is. Nothing else of what it sends is read.
const CREDENTIALS: [HeaderName; 2] = [header::AUTHORIZATION, DPOP];

/// Why it is not clear which request is asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unclear {
    #[error("the address of the client is not in X-Forwarded-For")]
    Address,
    #[error("there is a header that is read and could not be one")]
    Header,
    #[error("the host of the request is missing, is there twice, or is none")]
    Host,
    #[error("there is more in it than is read")]
    Long,
    #[error("the method of the request is missing, is there twice, or is none")]
    Method,
    #[error("the scheme of the request is missing, is there twice, or is neither https nor http")]
    Scheme,
    #[error("nothing is said of a request of HTTP")]
    Nothing,
    #[error("path and query of the request are missing, are there twice, or are none")]
    Target,
    #[error("it cannot be read")]
    Unreadable,
    #[error("there are two access tokens, or two DPoP proofs")]
    Twice,
}

impl IntoResponse for Unclear {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Long => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What a proxy says about the request that it has at hand.
pub(super) struct Told<'a> {
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) host: &'a str,
    pub(super) headers: &'a HeaderMap,
}

impl Told<'_> {
    /// Whether a header says something here.
    pub(super) fn reads(name: &HeaderName) -> bool {
        *name == FORWARDED_FOR || *name == FORWARDED_PROTO || CREDENTIALS.contains(name)
    }

    /// The request, as it is judged.
    pub(super) fn original(self) -> Result<Request<Body>, Unclear> {
        let Self { method, target, host, headers } = self;
        let scheme = once(headers, FORWARDED_PROTO).ok_or(Unclear::Scheme)?;
        if !matches!(scheme, "http" | "https") {
            return Err(Unclear::Scheme);
        }
        let origin = ClientOrigin::new(scheme, host).map_err(|_| Unclear::Host)?;
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, host)
            .header(FORWARDED_FOR, chain(headers)?)
            .extension(origin)
            .body(Body::empty())
            .map_err(|_| Unclear::Target)?;
        for name in CREDENTIALS {
            let mut values = headers.get_all(&name).iter();
            if let Some(value) = values.next() {
                request.headers_mut().insert(name, value.clone());
            }
            if values.next().is_some() {
                return Err(Unclear::Twice);
            }
        }
        Ok(request)
    }
}

/// The value of a header that has to be there once, and is text.
pub(super) fn once(headers: &HeaderMap, name: impl AsRef<str>) -> Option<&str> {
    let mut values = headers.get_all(name.as_ref()).iter();
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
fn chain(headers: &HeaderMap) -> Result<&str, Unclear> {
    let chain = once(headers, FORWARDED_FOR).ok_or(Unclear::Address)?;
    let last = chain.rsplit(',').next().unwrap_or_default().trim();
    let is_address = last.parse::<IpAddr>().is_ok() || last.parse::<SocketAddr>().is_ok();
    if is_address { Ok(chain) } else { Err(Unclear::Address) }
}
