//! Who asks for a change.

use std::net::IpAddr;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;

/// Who asks for a change, from where, and when: what every admin use case is told, and what its audit event says.
///
/// Whether the caller may ask at all was decided before, by the policy of the admin API.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who asks.
    pub actor: Actor,
    /// Whether the caller owns the server.
    pub authority: Authority,
    /// Where the request came from. `None` when it came from this machine, by the command line.
    pub address: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
}

/// Whether a caller owns the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Authority {
    /// An administrator to whom an owner gave a part of the work.
    Delegate,
    /// Somebody who may do everything.
    Owner,
}

impl Caller {
    /// Whoever runs a command on the server's own machine.
    pub const fn operator(now: Timestamp) -> Self {
        Self { actor: Actor::Operator, authority: Authority::Owner, address: None, now }
    }

    /// The server itself, for example when it starts.
    pub const fn system(now: Timestamp) -> Self {
        Self { actor: Actor::System, authority: Authority::Owner, address: None, now }
    }

    /// An audit event for what this caller does.
    pub fn event(&self, action: AuditAction) -> AuditEvent {
        AuditEvent::new(self.actor.clone(), action).from(self.address)
    }
}
