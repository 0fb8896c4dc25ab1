//! What comes with a request and counts once.

use crate::domain::clock::Timestamp;
use crate::domain::confirmation::KeyProof;
use crate::domain::secret::Digest32;

/// An assertion by which a client showed who it is, and which is good unless it was used before
/// ([RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientAssertion {
    /// Names the assertion among those of all clients.
    pub name: Digest32,
    /// When it is taken nowhere any more.
    pub good_until: Timestamp,
}

/// What came with a request, counts once, and is not used up yet. Whoever writes for the request takes it along.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Once {
    /// What the client showed who it is by.
    pub assertion: Option<ClientAssertion>,
    /// What it showed of its key.
    pub proof: Option<KeyProof>,
}

impl From<KeyProof> for Once {
    fn from(proof: KeyProof) -> Self {
        Self { assertion: None, proof: Some(proof) }
    }
}

impl Once {
    /// Notes that it was used up.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there is nothing to use up.
    pub const fn is_empty(&self) -> bool {
        self.assertion.is_none() && self.proof.is_none()
    }
}
