//! Whose something is to send.

use crate::domain::clock::Timestamp;

/// The time for which something is somebody's to send, and the word that proves it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// Proves whose it is.
    pub token: String,
    /// Until when nobody else takes it.
    pub until: Timestamp,
}
