//! Writing the headers of an answer, over or beside what the handler set.

use std::sync::Arc;

use http::Extensions;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, SERVER};

use super::nonce::{CspNonce, NonceSource};
use super::policy::Policy;
use crate::entropy::Entropy;
use crate::header::exactly_one;

const POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The headers of a profile at work.
#[derive(Debug)]
pub(crate) struct HeaderRules {
    /// What nobody else has a say in.
    pub(super) fixed: Vec<(HeaderName, HeaderValue)>,
    pub(super) ranked: Vec<Ranked>,
    pub(super) policy: Policy,
    /// The policy without a nonce.
    pub(super) plain: HeaderValue,
    pub(super) has_pages: bool,
}

/// A header whose values have an order: of two, the stricter one holds.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    pub(super) name: HeaderName,
    pub(super) declared: &'static str,
    /// The strictest first.
    pub(super) order: &'static [&'static str],
}

/// The headers of one answer that is still to come.
#[derive(Clone, Debug)]
pub(crate) struct Dress {
    rules: Arc<HeaderRules>,
    nonce: Option<NonceSource>,
}

impl Dress {
    /// For the answer to a request, whose handler may ask for a nonce.
    pub(crate) fn begin(rules: &Arc<HeaderRules>, extensions: &mut Extensions, entropy: &Entropy) -> Self {
        let nonce = rules.nonce(entropy);
        match &nonce {
            Some(nonce) => extensions.insert(nonce.clone()),
            // Somebody around this one may have answers that are pages.
            None => extensions.remove::<NonceSource>(),
        };
        Self { rules: Arc::clone(rules), nonce }
    }

    /// For a refusal.
    pub(crate) fn plain(rules: &Arc<HeaderRules>) -> Self {
        Self { rules: Arc::clone(rules), nonce: None }
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        self.rules.write(headers, self.nonce.as_ref());
    }
}

impl HeaderRules {
    /// What a handler may ask for a nonce, if its answers are pages.
    pub(super) fn nonce(&self, entropy: &Entropy) -> Option<NonceSource> {
        self.has_pages.then(|| NonceSource::new(entropy))
    }

    /// Writes the headers of an answer to a request that had this source of a nonce.
    pub(super) fn write(&self, headers: &mut HeaderMap, nonce: Option<&NonceSource>) {
        headers.remove(SERVER);
        headers.remove(POWERED_BY);
        for (name, value) in &self.fixed {
            headers.insert(name, value.clone());
        }
        for ranked in &self.ranked {
            ranked.write(headers);
        }
        let nonce = nonce.and_then(NonceSource::drawn).map(CspNonce::as_str);
        // A browser holds a page to every policy that it comes with, so one of the handler can only narrow ours.
        headers.append(CONTENT_SECURITY_POLICY, self.policy_with(nonce));
        if nonce.is_some() {
            // What is stored comes again, and with it the nonce.
            headers.insert(CACHE_CONTROL, NO_STORE);
        } else {
            headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
        }
    }

    fn policy_with(&self, nonce: Option<&str>) -> HeaderValue {
        // The text was a header without the nonce, which is base64.
        let marked = nonce.and_then(|nonce| self.policy.header(Some(nonce)).ok());
        marked.unwrap_or_else(|| self.plain.clone())
    }
}

impl Ranked {
    fn rank(&self, value: &str) -> Option<usize> {
        self.order.iter().position(|own| own.eq_ignore_ascii_case(value))
    }

    fn write(&self, headers: &mut HeaderMap) {
        let own = exactly_one(headers, &self.name).and_then(|value| value.to_str().ok());
        let keeps = own
            .and_then(|own| self.rank(own.trim()))
            .zip(self.rank(self.declared))
            .is_some_and(|(own, declared)| own < declared);
        if !keeps {
            headers.insert(&self.name, HeaderValue::from_static(self.declared));
        }
    }
}
