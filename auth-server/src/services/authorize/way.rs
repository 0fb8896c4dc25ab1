//! The way a request came.

use crate::domain::secret::Digest32;

/// The way a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the browser.
    Front,
    /// Pushed; what stood for it is spent.
    Spent,
    /// Pushed; what stands for it is still to be spent.
    Unspent(Digest32),
}

impl Way {
    /// What is still to be spent.
    pub(super) const fn handle(&self) -> Option<&Digest32> {
        match self {
            Self::Front | Self::Spent => None,
            Self::Unspent(handle) => Some(handle),
        }
    }
}
