//! What services say about their routes.

use std::str::FromStr;

use crate::domain::clock::Timestamp;
use crate::domain::ids::ApiId;
use crate::domain::secret::Digest32;

/// The routes of one version of a service, and what an administrator thinks of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteInventory {
    /// The API that the service is.
    pub api: ApiId,
    /// Names the text.
    pub digest: Digest32,
    /// The version of the service, if it said one.
    pub version: Option<String>,
    /// What was decided about it.
    pub state: InventoryState,
    /// How many routes it has.
    pub routes: u64,
    /// The text: a route document as its guard wrote it. Empty in a list.
    pub document: String,
    /// The client that announced it, and when it did first.
    pub announced: (String, Timestamp),
    /// Who decided, and when.
    pub decided: Option<(String, Timestamp)>,
}

/// What was decided about an inventory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InventoryState {
    /// These are the routes of the service.
    Approved,
    /// Nothing yet.
    Pending,
    /// They are not, and it need not be asked again.
    Rejected,
}

/// The text names no state.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("has to be `approved`, `pending` or `rejected`")]
pub struct UnknownState;

impl InventoryState {
    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
        }
    }
}

impl FromStr for InventoryState {
    type Err = UnknownState;

    fn from_str(raw: &str) -> Result<Self, UnknownState> {
        let all = [Self::Approved, Self::Pending, Self::Rejected];
        all.into_iter().find(|state| state.as_str() == raw).ok_or(UnknownState)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_the_way_to_text_and_back() {
        for state in [InventoryState::Approved, InventoryState::Pending, InventoryState::Rejected] {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("Approved".parse::<InventoryState>(), Err(UnknownState));
    }
}
