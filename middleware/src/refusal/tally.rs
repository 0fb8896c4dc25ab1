//! How often a guard refused, by the code of the answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// The codes of all refusals, in the order in which they are searched.
const CODES: [&str; 22] = [
    "body_too_large",
    "busy",
    "claims_mismatch",
    "cross_site",
    "forbidden",
    "insufficient_scope",
    "insufficient_user_authentication",
    "internal",
    "invalid_body",
    "invalid_dpop_proof",
    "invalid_header",
    "invalid_path",
    "invalid_query",
    "invalid_request",
    "invalid_token",
    "rate_limited",
    "reduced_capacity",
    "request_timeout",
    "timeout",
    "unauthenticated",
    "unavailable",
    "use_dpop_nonce",
];

/// A count for each code.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicU64; CODES.len()]);

impl Tally {
    pub(super) fn count(&self, code: &str) {
        if let Some(count) = CODES.binary_search(&code).ok().and_then(|at| self.0.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The codes that were answered, and how often.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        CODES.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_count_of_its_own() {
        let tally = Tally::default();
        let codes = super::super::tests::codes();
        for (times, code) in codes.iter().enumerate() {
            for _ in 0..=times {
                tally.count(code);
            }
        }
        let expected: BTreeMap<&str, u64> = codes.into_iter().zip(1..).collect();
        assert_eq!(tally.counts(), expected);
        assert_eq!(expected.len(), CODES.len(), "a count that nobody adds to");
    }

    #[test]
    fn what_was_never_answered_is_left_out() {
        let tally = Tally::default();
        assert!(tally.counts().is_empty());
        tally.count("forbidden");
        assert_eq!(tally.counts(), BTreeMap::from([("forbidden", 1)]));
    }
}
