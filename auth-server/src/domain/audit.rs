//! The audit trail: who did what to what, in a chain that shows when a link was changed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde_json::Value;

use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, UserId};
use crate::domain::secret::Digest32;

/// Something that happened, before it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: AuditAction,
    /// To what: an identifier.
    pub target: Option<String>,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// From where.
    pub address: Option<IpAddr>,
    /// What else an investigation needs; never a secret.
    pub detail: Value,
}

impl AuditEvent {
    /// An event that succeeded, without a target or detail.
    pub const fn new(actor: Actor, action: AuditAction) -> Self {
        Self {
            actor,
            action,
            target: None,
            outcome: AuditOutcome::Success,
            address: None,
            detail: Value::Null,
        }
    }

    /// Names what it was done to.
    #[must_use]
    pub fn on(mut self, target: impl fmt::Display) -> Self {
        self.target = Some(target.to_string());
        self
    }

    /// Notes where it came from.
    #[must_use]
    pub const fn from(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }

    /// Notes that it was refused.
    #[must_use]
    pub const fn refused(mut self) -> Self {
        self.outcome = AuditOutcome::Refused;
        self
    }

    /// Adds detail.
    #[must_use]
    pub fn with(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// Who did something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Actor {
    /// Somebody unknown: nobody signed in.
    Anonymous,
    /// A client that acts for itself.
    Client(ClientId),
    /// Whoever runs commands on the machine of the server.
    Operator,
    /// The server itself: a schedule, a migration.
    System,
    /// A person.
    User(UserId),
}

/// The text names no actor.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown {0} in the audit trail")]
pub struct UnknownWord(&'static str);

impl Actor {
    /// The identifier of a person or client, or the word for the others.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Client(id) => id.as_str(),
            Self::Operator => "operator",
            Self::System => "system",
            Self::User(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Actor {
    type Err = UnknownWord;

    fn from_str(raw: &str) -> Result<Self, UnknownWord> {
        match raw {
            "anonymous" => Ok(Self::Anonymous),
            "operator" => Ok(Self::Operator),
            "system" => Ok(Self::System),
            other => UserId::parse(other)
                .map(Self::User)
                .or_else(|_| ClientId::parse(other).map(Self::Client))
                .map_err(|_| UnknownWord("actor")),
        }
    }
}

/// How something ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuditOutcome {
    /// A rule stood in the way.
    Refused,
    /// It was done.
    Success,
}

impl AuditOutcome {
    /// The text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Success => "success",
        }
    }
}

impl FromStr for AuditOutcome {
    type Err = UnknownWord;

    fn from_str(raw: &str) -> Result<Self, UnknownWord> {
        match raw {
            "refused" => Ok(Self::Refused),
            "success" => Ok(Self::Success),
            _ => Err(UnknownWord("outcome")),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "the text form beside each variant says what it is")]
pub enum AuditAction {
    AccessRefused,
    AddressConfirmed,
    AddressProofRequested,
    AddressReturned,
    ApiCreated,
    ApiDeleted,
    ApiUpdated,
    AssertionReplayed,
    AssignmentCreated,
    AssignmentDeleted,
    CibaAllowed,
    CibaPingUndelivered,
    CibaRefused,
    ClientCreated,
    ClientDeleted,
    ClientDisabled,
    ClientEnabled,
    ClientSecretAdded,
    ClientSecretRetired,
    ClientSecretRotated,
    ClientUpdated,
    CodeReplayed,
    ConsentGranted,
    ConsentRefused,
    ConsentWithdrawn,
    DeviceAllowed,
    DeviceRefused,
    GrantCreated,
    GrantRevoked,
    InitialTokenCreated,
    InitialTokenDeleted,
    InvitationCreated,
    InvitationDeleted,
    InvitationSentAgain,
    KeyCreated,
    KeyDeleted,
    KeyRevoked,
    KeyRotated,
    LogoutUndelivered,
    MailUndelivered,
    OrganisationCreated,
    PasskeyAdded,
    PasskeyRemoved,
    PasskeyRenamed,
    PasswordChanged,
    PasswordResetRequested,
    PolicyActivated,
    PolicyActivationApproved,
    PolicyActivationCancelled,
    PolicyActivationRefused,
    PolicyActivationScheduled,
    PolicyDraftSaved,
    PolicyShadowStarted,
    PolicyShadowStopped,
    RecoveryCodeUsed,
    RecoveryCodesMade,
    RefreshTokenReplayed,
    RoleCreated,
    RoleDeleted,
    RoutesAnnounced,
    RoutesApproved,
    RoutesDeleted,
    RoutesRejected,
    SecondStepAdded,
    SecondStepRemoved,
    SessionEnded,
    SetupCompleted,
    SetupLinkIssued,
    SignIn,
    SignInCodeRequested,
    SignUpRequested,
    TokenRevoked,
    UserCreated,
    UserDataDownloaded,
    UserDeleted,
    UserDeletionRequested,
    UserDeletionWithdrawn,
    UserDisabled,
    UserEnabled,
    UserImpersonated,
    UserSignedOut,
    UserSignedUp,
    UserUpdated,
}

const ACTIONS: [(AuditAction, &str); 83] = [
    (AuditAction::AccessRefused, "access.refused"),
    (AuditAction::AddressConfirmed, "address.confirmed"),
    (AuditAction::AddressProofRequested, "address.proof_requested"),
    (AuditAction::AddressReturned, "address.returned"),
    (AuditAction::ApiCreated, "api.created"),
    (AuditAction::ApiDeleted, "api.deleted"),
    (AuditAction::ApiUpdated, "api.updated"),
    (AuditAction::AssertionReplayed, "assertion.replayed"),
    (AuditAction::AssignmentCreated, "assignment.created"),
    (AuditAction::AssignmentDeleted, "assignment.deleted"),
    (AuditAction::CibaAllowed, "ciba.allowed"),
    (AuditAction::CibaPingUndelivered, "ciba.ping_undelivered"),
    (AuditAction::CibaRefused, "ciba.refused"),
    (AuditAction::ClientCreated, "client.created"),
    (AuditAction::ClientDeleted, "client.deleted"),
    (AuditAction::ClientDisabled, "client.disabled"),
    (AuditAction::ClientEnabled, "client.enabled"),
    (AuditAction::ClientSecretAdded, "client.secret_added"),
    (AuditAction::ClientSecretRetired, "client.secret_retired"),
    (AuditAction::ClientSecretRotated, "client.secret_rotated"),
    (AuditAction::ClientUpdated, "client.updated"),
    (AuditAction::CodeReplayed, "code.replayed"),
    (AuditAction::ConsentGranted, "consent.granted"),
    (AuditAction::ConsentRefused, "consent.refused"),
    (AuditAction::ConsentWithdrawn, "consent.withdrawn"),
    (AuditAction::DeviceAllowed, "device.allowed"),
    (AuditAction::DeviceRefused, "device.refused"),
    (AuditAction::GrantCreated, "grant.created"),
    (AuditAction::GrantRevoked, "grant.revoked"),
    (AuditAction::InitialTokenCreated, "initial_token.created"),
    (AuditAction::InitialTokenDeleted, "initial_token.deleted"),
    (AuditAction::InvitationCreated, "invitation.created"),
    (AuditAction::InvitationDeleted, "invitation.deleted"),
    (AuditAction::InvitationSentAgain, "invitation.sent_again"),
    (AuditAction::KeyCreated, "key.created"),
    (AuditAction::KeyDeleted, "key.deleted"),
    (AuditAction::KeyRevoked, "key.revoked"),
    (AuditAction::KeyRotated, "key.rotated"),
    (AuditAction::LogoutUndelivered, "logout.undelivered"),
    (AuditAction::MailUndelivered, "mail.undelivered"),
    (AuditAction::OrganisationCreated, "organisation.created"),
    (AuditAction::PasskeyAdded, "passkey.added"),
    (AuditAction::PasskeyRemoved, "passkey.removed"),
    (AuditAction::PasskeyRenamed, "passkey.renamed"),
    (AuditAction::PasswordChanged, "password.changed"),
    (AuditAction::PasswordResetRequested, "password.reset_requested"),
    (AuditAction::PolicyActivated, "policy.activated"),
    (AuditAction::PolicyActivationApproved, "policy.activation_approved"),
    (AuditAction::PolicyActivationCancelled, "policy.activation_cancelled"),
    (AuditAction::PolicyActivationRefused, "policy.activation_refused"),
    (AuditAction::PolicyActivationScheduled, "policy.activation_scheduled"),
    (AuditAction::PolicyDraftSaved, "policy.draft_saved"),
    (AuditAction::PolicyShadowStarted, "policy.shadow_started"),
    (AuditAction::PolicyShadowStopped, "policy.shadow_stopped"),
    (AuditAction::RecoveryCodeUsed, "recovery_code.used"),
    (AuditAction::RecoveryCodesMade, "recovery_codes.made"),
    (AuditAction::RefreshTokenReplayed, "refresh_token.replayed"),
    (AuditAction::RoleCreated, "role.created"),
    (AuditAction::RoleDeleted, "role.deleted"),
    (AuditAction::RoutesAnnounced, "routes.announced"),
    (AuditAction::RoutesApproved, "routes.approved"),
    (AuditAction::RoutesDeleted, "routes.deleted"),
    (AuditAction::RoutesRejected, "routes.rejected"),
    (AuditAction::SecondStepAdded, "second_step.added"),
    (AuditAction::SecondStepRemoved, "second_step.removed"),
    (AuditAction::SessionEnded, "session.ended"),
    (AuditAction::SetupCompleted, "setup.completed"),
    (AuditAction::SetupLinkIssued, "setup.link_issued"),
    (AuditAction::SignIn, "sign_in"),
    (AuditAction::SignInCodeRequested, "sign_in.code_requested"),
    (AuditAction::SignUpRequested, "sign_up.requested"),
    (AuditAction::TokenRevoked, "token.revoked"),
    (AuditAction::UserCreated, "user.created"),
    (AuditAction::UserDataDownloaded, "user.data_downloaded"),
    (AuditAction::UserDeleted, "user.deleted"),
    (AuditAction::UserDeletionRequested, "user.deletion_requested"),
    (AuditAction::UserDeletionWithdrawn, "user.deletion_withdrawn"),
    (AuditAction::UserDisabled, "user.disabled"),
    (AuditAction::UserEnabled, "user.enabled"),
    (AuditAction::UserImpersonated, "user.impersonated"),
    (AuditAction::UserSignedOut, "user.signed_out"),
    (AuditAction::UserSignedUp, "user.signed_up"),
    (AuditAction::UserUpdated, "user.updated"),
];

impl AuditAction {
    /// The text form, such as `user.created`.
    pub fn as_str(self) -> &'static str {
        ACTIONS.get(self as usize).map_or("unknown", |(_, name)| name)
    }
}

impl FromStr for AuditAction {
    type Err = UnknownWord;

    fn from_str(raw: &str) -> Result<Self, UnknownWord> {
        ACTIONS
            .into_iter()
            .find(|(_, name)| *name == raw)
            .map(|(action, _)| action)
            .ok_or(UnknownWord("action"))
    }
}

/// An event as it is recorded: one link of the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// Its place in the chain, from 1, without gaps.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    pub event: AuditEvent,
    /// The hash of this link: it covers the event and, through the hash before it, everything earlier.
    pub hash: Digest32,
}

/// What the first link is chained to.
pub const GENESIS: [u8; 32] = [0; 32];

/// The hash of a link.
pub fn chain(previous: &Digest32, canonical: &[u8]) -> Digest32 {
    Digest32::of_parts(&[previous.as_bytes(), canonical])
}

/// The one byte string that stands for an event: every part with its length before it, so that no two events share one.
pub fn canonical(at: Timestamp, event: &AuditEvent, detail: &str) -> Vec<u8> {
    let at = at.as_micros().to_string();
    let address = event.address.map(|address| address.to_string()).unwrap_or_default();
    let parts = [
        at.as_str(),
        event.actor.as_str(),
        event.action.as_str(),
        event.target.as_deref().unwrap_or_default(),
        event.outcome.as_str(),
        &address,
        detail,
    ];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_stands_at_its_own_place_in_the_table() {
        for (position, (action, name)) in ACTIONS.into_iter().enumerate() {
            assert_eq!(action as usize, position);
            assert_eq!(action.as_str(), name);
            assert_eq!(name.parse(), Ok(action));
        }
        assert_eq!(AuditAction::UserUpdated as usize + 1, ACTIONS.len());
    }

    #[test]
    fn actors_survive_the_way_to_text_and_back() {
        let user = Actor::User(UserId::parse("usr_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c").unwrap());
        let client = Actor::Client(ClientId::parse("cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c").unwrap());
        for actor in [Actor::Anonymous, Actor::Operator, Actor::System, user, client] {
            assert_eq!(actor.as_str().parse(), Ok(actor.clone()));
        }
        assert_eq!("root".parse::<Actor>(), Err(UnknownWord("actor")));
    }

    #[test]
    fn every_part_of_an_event_changes_its_hash() {
        let base = AuditEvent::new(Actor::System, AuditAction::KeyCreated).on("a");
        let now = Timestamp::from_secs(1);
        let hash = |at, event: &AuditEvent, detail| chain(&Digest32::of(b""), &canonical(at, event, detail));
        let original = hash(now, &base, "{}");
        let changed = [
            hash(Timestamp::from_secs(2), &base, "{}"),
            hash(now, &base, "{ }"),
            hash(now, &base.clone().on("b"), "{}"),
            hash(now, &base.clone().refused(), "{}"),
            hash(now, &AuditEvent { actor: Actor::Operator, ..base.clone() }, "{}"),
            hash(now, &AuditEvent { action: AuditAction::KeyRotated, ..base.clone() }, "{}"),
            hash(now, &base.clone().from("127.0.0.1".parse().ok()), "{}"),
        ];
        assert!(changed.iter().all(|other| *other != original));
        assert_ne!(chain(&original, b"x"), chain(&Digest32::of(b"other"), b"x"));
    }
}
