//! The name of a request, by which its lines in the log are found again.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue, Request};

use crate::body::Body;
use crate::client_address::Proxies;
use crate::header::exactly_one;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest name that is taken over.
const LONGEST: usize = 128;

/// The name of a request: an extension of the request and an extractor of axum, the field `request.id` of the span that everything about
/// it is logged in, and the header `X-Request-Id` of its answer. See [`GuardBuilder::request_ids`](crate::GuardBuilder::request_ids).
///
/// ```
/// use portcullis_guard::RequestId;
///
/// async fn show(id: RequestId) -> String {
///     format!("if anything is wrong, tell us this: {id}")
/// }
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The name: letters, digits and a few signs, none of which needs escaping in a header, a log or a page.
    pub fn as_str(&self) -> &str {
        // Only visible ASCII is ever put in.
        self.0.to_str().unwrap_or_default()
    }

    pub(super) const fn header(&self) -> &HeaderValue {
        &self.0
    }

    /// What a trusted proxy calls a request, if it is a name.
    fn given(request: &Request<Body>) -> Option<Self> {
        let value = exactly_one(request.headers(), &REQUEST_ID)?;
        let is_name = (1..=LONGEST).contains(&value.len()) && value.as_bytes().iter().copied().all(is_plain);
        is_name.then(|| Self(value.clone()))
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:+/=@~".contains(&byte)
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Names requests, without drawing randomness for each.
pub(crate) struct RequestIds {
    /// What tells this guard from every other.
    guard: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) const fn new(guard: u64) -> Self {
        Self { guard, next: AtomicU64::new(1) }
    }

    /// Names a request, and has everybody behind this find that name and no other: in the header as well, where a stranger may
    /// have written one.
    pub(super) fn name(&self, request: &mut Request<Body>, proxies: &Proxies) -> Option<RequestId> {
        let is_believed = proxies.trust_peer_of(request.extensions());
        let given = if is_believed { RequestId::given(request) } else { None };
        let id = given.or_else(|| self.next())?;
        request.headers_mut().insert(REQUEST_ID, id.0.clone());
        request.extensions_mut().insert(id.clone());
        Some(id)
    }

    /// A name is there: sixteen digits and some more are the text of a header.
    fn next(&self) -> Option<RequestId> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("req_{:016x}{number:08x}", self.guard)).ok().map(RequestId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(values: &[&'static [u8]]) -> Option<String> {
        let mut request = Request::new(Body::empty());
        for value in values {
            request.headers_mut().append(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        RequestId::given(&request).map(|id| id.to_string())
    }

    #[test]
    fn a_name_is_short_and_has_nothing_that_a_log_could_stumble_over() {
        for good in ["a", "0af7651916cd43dd8448eb211c80319c", "Root=1-67891233-abcdef", "a_b.c:d+e/f@g~h"] {
            assert_eq!(given(&[good.as_bytes()]).as_deref(), Some(good));
        }
        assert_eq!(given(&[&[b'a'; LONGEST]]).map(|id| id.len()), Some(LONGEST));
        let bad: [&[u8]; 9] =
            [b"", b"a b", b"a\tb", b"a\"b", b"a<b", b"a,b", b"a;b", b"a\xffb", &[b'a'; LONGEST + 1]];
        for bad in bad {
            assert_eq!(given(&[bad]), None, "{}", bad.escape_ascii());
        }
        assert_eq!(given(&[b"a", b"b"]), None);
        assert_eq!(given(&[]), None);
    }

    #[test]
    fn names_differ_within_a_guard_and_between_guards() {
        let (one, other) = (RequestIds::new(1), RequestIds::new(2));
        let names = [one.next(), one.next(), other.next()].map(|id| id.unwrap().to_string());
        assert_eq!(names[0], "req_000000000000000100000001");
        assert!(names[0] != names[1] && names[0] != names[2]);
    }
}
