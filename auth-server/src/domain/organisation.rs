//! Organisations: the tenants.

use crate::domain::clock::Timestamp;
use crate::domain::ids::OrganisationId;

/// A tenant: accounts belong to one, and roles may count in one only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Organisation {
    /// Names the organisation.
    pub id: OrganisationId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}
