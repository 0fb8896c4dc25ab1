//! The token of a request about a registration, who sends it, and its body.

use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use axum::response::Response;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use crate::domain::clock::Clock;
use crate::http::extract::address::ClientAddress;
use crate::http::noted::Noted;
use crate::http::registration::MAX_BODY_BYTES;
use crate::http::registration::answer::{Unreadable, unreadable};
use crate::services::registration::Arrival;

/// A request, taken apart.
pub(super) struct Sent {
    /// The token that it shows, if it shows one.
    pub(super) token: Option<String>,
    pub(super) arrival: Arrival,
    /// Empty for a request that has none.
    pub(super) body: Bytes,
}

impl<S> FromRequest<S> for Sent
where
    S: Send + Sync,
    Clock: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        // The address of a registration ends in the client that it is of.
        if let Some(last) = parts.uri.path().rsplit('/').next() {
            Noted::note_claimed(&parts.extensions, last);
        }
        let address = ClientAddress::from_request_parts(&mut parts, state).await;
        let ClientAddress(address) = address.map_err(|_| unreadable(Unreadable::Address))?;
        let token = token(&parts.headers).map_err(unreadable)?.map(str::to_owned);
        let too_long = |_| unreadable(Unreadable::TooLong);
        let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.map_err(too_long)?;
        if !body.is_empty() && !is_json(&parts.headers) {
            return Err(unreadable(Unreadable::ContentType));
        }
        Ok(Self { token, arrival: Arrival { address, now: Clock::from_ref(state).now() }, body })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The one bearer token of a request (RFC 6750 §2.1). Of two, the next hop might read the other one.
fn token(headers: &HeaderMap) -> Result<Option<&str>, Unreadable> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unreadable::Token);
    }
    let text = first.to_str().map_err(|_| Unreadable::Token)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim_matches(' '))),
        // Another scheme shows no token.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<String>, Unreadable> {
        let headers: HeaderMap =
            values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).collect();
        token(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn the_token_is_read_from_one_bearer_header() {
        assert_eq!(read(&["Bearer pci_x"]), Ok(Some("pci_x".to_owned())));
        assert_eq!(read(&["bearer  x"]), Ok(Some("x".to_owned())));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Basic YTpi"]), Ok(None));
        assert_eq!(read(&["Bearer a", "Bearer b"]), Err(Unreadable::Token));
    }
}
