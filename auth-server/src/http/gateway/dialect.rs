//! How each kind of proxy asks, and what it makes of the answer.
//!
//! Which dialect is spoken is said by the address that the proxy was configured with, never by a header: a client could send that.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};

use crate::http::gateway::entry::{Told, Unclear, once, target};

/// The prefix under which Envoy asks about a path.
const ENVOY: &str = "/envoy";
/// What nginx is told instead of a status that it would make a 500 of.
const STATUS: HeaderName = HeaderName::from_static("x-auth-status");

/// How a proxy asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    /// `ext_authz` over HTTP: method, path and host of the question are those of the request.
    Envoy,
    /// `ForwardAuth` of Traefik, and whatever else sets `X-Forwarded-Method` and `X-Forwarded-Uri`.
    Forward,
    /// `auth_request`, with the headers that our configuration of nginx sets.
    Nginx,
}

impl Dialect {
    /// The dialect that is spoken at an address.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/forward" => Some(Self::Forward),
            "/nginx" => Some(Self::Nginx),
            _ => path.strip_prefix(ENVOY).filter(|rest| rest.starts_with('/')).map(|_| Self::Envoy),
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Forward => "forward",
            Self::Nginx => "nginx",
        }
    }

    /// The request that the proxy has at hand.
    pub(super) fn original(self, parts: &Parts) -> Result<Request<Body>, Unclear> {
        let (method, target) = self.line(parts)?;
        let host = self.host(parts).ok_or(Unclear::Host)?;
        Told { method, target, host, headers: &parts.headers }.original()
    }

    fn line(self, parts: &Parts) -> Result<(Method, http::Uri), Unclear> {
        let (method, uri) = match self {
            Self::Envoy => {
                let whole = parts.uri.path_and_query().map_or("", |target| target.as_str());
                let own = whole.strip_prefix(ENVOY).ok_or(Unclear::Target)?;
                return Ok((parts.method.clone(), target(own)?));
            }
            Self::Forward => ("x-forwarded-method", "x-forwarded-uri"),
            Self::Nginx => ("x-original-method", "x-original-uri"),
        };
        let method =
            once(&parts.headers, method).and_then(|name| name.parse().ok()).ok_or(Unclear::Method)?;
        Ok((method, target(once(&parts.headers, uri).ok_or(Unclear::Target)?)?))
    }

    fn host(self, parts: &Parts) -> Option<&str> {
        match self {
            // HTTP/2 has it in the address. Both may be there, and then both are one.
            Self::Envoy => match (parts.uri.authority(), parts.headers.contains_key(header::HOST)) {
                (Some(authority), false) => Some(authority.as_str()),
                (Some(authority), true) => {
                    once(&parts.headers, header::HOST).filter(|host| *host == authority.as_str())
                }
                (None, _) => once(&parts.headers, header::HOST),
            },
            Self::Forward | Self::Nginx => once(&parts.headers, "x-forwarded-host"),
        }
    }

    /// The answer as the proxy understands it. nginx makes a 500 of what is neither 2xx nor 401 nor 403, so a refusal is 403 there,
    /// and a header says which; our own outage may be its 500.
    pub(super) fn spoken(self, mut response: Response) -> Response {
        let status = response.status();
        let is_strange =
            status.is_client_error() && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if self == Self::Nginx {
            response.headers_mut().insert(STATUS, HeaderValue::from(status.as_u16()));
            if is_strange {
                *response.status_mut() = StatusCode::FORBIDDEN;
            }
        }
        response
    }
}
