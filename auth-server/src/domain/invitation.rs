//! Invitations: accounts that administrators offer to somebody with an address of mail.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, InvitationId, OrganisationId};
use crate::domain::rbac::RoleName;
use crate::domain::user::Email;

/// The link of an invitation works for so many days, unless an administrator says otherwise.
pub const USUAL_DAYS: u32 = 7;
/// The most days that one works.
pub const MAX_DAYS: u32 = 30;

/// An account that is there for whoever reads what goes to an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invitation {
    /// Names the invitation.
    pub id: InvitationId,
    /// Whom it goes to.
    pub to: Email,
    /// Where the account will belong, and where its roles count. Without it: to the first organisation, and everywhere.
    pub organisation: Option<OrganisationId>,
    /// What it may do.
    pub roles: Vec<InvitedRole>,
    /// Who invited.
    pub invited_by: String,
    /// For how many days a link of it works.
    pub days: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when its link works.
    pub expires_at: Timestamp,
}

/// A role that comes with an invitation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InvitedRole {
    /// The API that it is one of.
    pub api: ApiId,
    /// Its name.
    pub role: RoleName,
}

impl Invitation {
    /// For how long a link of it works, from when it is sent.
    pub fn lifetime(&self) -> Duration {
        Duration::from_hours(24) * self.days
    }
}
