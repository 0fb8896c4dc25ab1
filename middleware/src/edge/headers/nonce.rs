//! The nonce of a page: drawn when a handler asks for it, and never twice.

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Extensions;

use crate::entropy::Entropy;

/// 144 random bits, which is more than CSP asks for (128) and needs no padding.
const BYTES: usize = 18;

/// What marks the scripts and styles of a page as the application's own: `<script nonce="..">`.
///
/// An extractor of axum, on routes whose headers are [those of pages](crate::SecurityHeaders::html). It is drawn when the first one asks
/// for it, and is the same until the response is over. A response for which nobody asked has a policy without a nonce, and may be
/// cached; one for which somebody did is never stored.
///
/// ```
/// use axum::response::Html;
/// use portcullis_guard::CspNonce;
///
/// async fn page(nonce: CspNonce) -> Html<String> {
///     Html(format!(r#"<!doctype html><script nonce="{nonce}" src="/app.js"></script>"#))
/// }
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct CspNonce(Arc<str>);

impl CspNonce {
    /// The nonce of a request, for services that are not of axum: before they begin to answer. `None` on routes whose headers
    /// are not those of pages.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<NonceSource>().map(NonceSource::take)
    }

    /// The text, which is of base64 and needs no escaping.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CspNonce {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Not in logs: whoever reads it before the page is there could add a script to it.
impl fmt::Debug for CspNonce {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("CspNonce(..)")
    }
}

/// The nonce of one request, whether it is drawn yet or not: an extension of the request.
#[derive(Clone)]
pub(crate) struct NonceSource(Arc<Source>);

impl fmt::Debug for NonceSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("NonceSource(..)")
    }
}

struct Source {
    entropy: Entropy,
    drawn: OnceLock<CspNonce>,
}

impl NonceSource {
    pub(crate) fn new(entropy: &Entropy) -> Self {
        Self(Arc::new(Source { entropy: entropy.clone(), drawn: OnceLock::new() }))
    }

    fn take(&self) -> CspNonce {
        let draw = || CspNonce(STANDARD.encode(self.0.entropy.bytes::<BYTES>()).into());
        self.0.drawn.get_or_init(draw).clone()
    }

    /// The nonce, if anybody asked for it.
    pub(crate) fn drawn(&self) -> Option<&CspNonce> {
        self.0.drawn.get()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_nonce_is_drawn_once_for_a_request_and_never_again() {
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let source = NonceSource::new(&Entropy::system());
            assert_eq!(source.drawn(), None);
            let nonce = source.take();
            assert_eq!((source.take(), source.drawn()), (nonce.clone(), Some(&nonce)));
            assert_eq!(nonce.as_str().len(), 24);
            assert!(seen.insert(nonce.as_str().to_owned()));
            assert_eq!(format!("{nonce:?}"), "CspNonce(..)");
        }
    }

    #[test]
    fn without_pages_there_is_none() {
        assert_eq!(CspNonce::of(&Extensions::new()), None);
    }
}
