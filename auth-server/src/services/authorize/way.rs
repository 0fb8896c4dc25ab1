//! The way a request came.

use crate::domain::secret::Digest32;

/// The way a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the browser.
    Front,
    /// Out of an interaction. If it was pushed, its handle is spent as the interaction ends.
    Kept,
    /// Pushed, by this handle.
    Pushed(Digest32),
}

impl Way {
    /// What the answer has to spend.
    pub(super) const fn handle(&self) -> Option<&Digest32> {
        match self {
            Self::Front | Self::Kept => None,
            Self::Pushed(handle) => Some(handle),
        }
    }
}
