//! The name of one request: in the log, in the answer, and on every error page.

use std::convert::Infallible;
use std::fmt;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::request::Parts;

use crate::domain::secret::Entropy;

/// The name of one request. Whoever reports a problem quotes it, and the log is found by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RequestId([u8; LENGTH]);

/// 13 characters of 5 bits: an operator can read one out, and two do not meet in a log.
const LENGTH: usize = 13;
/// Crockford's base 32 in lower case: no letter looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl RequestId {
    pub(crate) fn generate(entropy: &Entropy) -> Self {
        Self(
            entropy
                .bytes::<LENGTH>()
                .map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'0')),
        )
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("the alphabet is letters and digits")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let id = parts.extensions.get::<Self>().copied();
        Ok(id.expect("the edge names every request before it is routed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_safe_in_a_header_and_on_a_page() {
        let entropy = Entropy::os();
        let ids: Vec<_> = (0..100).map(|_| RequestId::generate(&entropy)).collect();
        assert!(
            ids.iter()
                .all(|id| id.as_str().len() == LENGTH && id.as_str().bytes().all(|b| ALPHABET.contains(&b)))
        );
        let mut distinct: Vec<_> = ids.iter().map(RequestId::as_str).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len());
    }
}
