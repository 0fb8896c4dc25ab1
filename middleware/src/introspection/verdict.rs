//! What comes of asking about a token.

use std::sync::Arc;

use crate::token::{TokenFault, Verified};

/// What is known of a token.
#[derive(Clone)]
pub(crate) enum Verdict {
    Good(Arc<Verified>),
    Refused(TokenFault),
    /// Nothing is known of it.
    Unanswered(Unanswered),
}

/// Why it is not known whether a token is good: never the caller's fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unanswered {
    /// The issuer does not answer, or not in a way that can be understood.
    Away,
    /// Too many questions are open.
    Busy,
}
