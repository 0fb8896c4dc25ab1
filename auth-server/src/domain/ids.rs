//! Identifiers: a prefix that says what it names, and 128 bits that sort by the time of creation.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Builder;

use crate::domain::client_document::DocumentUrl;
use crate::domain::clock::Timestamp;
use crate::domain::secret::Entropy;

/// What an identifier names.
pub trait Kind {
    /// The text before the hexadecimal digits, underscore included.
    const PREFIX: &'static str;

    /// Whether a text names such a thing although it has another form.
    fn is_of_another_form(_raw: &str) -> bool {
        false
    }
}

/// An identifier such as `usr_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c`: a version 7 UUID (RFC 9562 §5.7) in lower-case hexadecimal.
///
/// Holding one proves that the text has the prefix of its kind and 32 digits. Only a client may be named otherwise: by the
/// address of the document that describes it.
pub struct Id<K> {
    text: Arc<str>,
    kind: PhantomData<fn() -> K>,
}

/// The text is not an identifier of the expected kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected an identifier that starts with {prefix} and ends in 32 lower-case hexadecimal digits")]
pub struct InvalidId {
    prefix: &'static str,
}

impl<K: Kind> Id<K> {
    /// Makes a new identifier: later ones sort after earlier ones.
    pub fn generate(now: Timestamp, entropy: &Entropy) -> Self {
        let millis = u64::try_from(now.as_micros() / 1000).unwrap_or(0);
        let uuid = Builder::from_unix_timestamp_millis(millis, &entropy.bytes::<10>()).into_uuid();
        Self::trusted(format!("{}{}", K::PREFIX, uuid.simple()))
    }

    /// Accepts the text of an identifier of this kind.
    pub fn parse(raw: &str) -> Result<Self, InvalidId> {
        let error = InvalidId { prefix: K::PREFIX };
        if K::is_of_another_form(raw) {
            return Ok(Self::trusted(raw.to_owned()));
        }
        let digits = raw.strip_prefix(K::PREFIX).ok_or(error)?;
        let hexadecimal = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() == 32 && digits.bytes().all(hexadecimal) {
            Ok(Self::trusted(raw.to_owned()))
        } else {
            Err(error)
        }
    }

    fn trusted(text: String) -> Self {
        Self { text: text.into(), kind: PhantomData }
    }
}

impl<K> Id<K> {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        Self { text: Arc::clone(&self.text), kind: PhantomData }
    }
}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(raw: &str) -> Result<Self, InvalidId> {
        Self::parse(raw)
    }
}

impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = String::deserialize(deserializer)?;
        Self::parse(&raw).map_err(serde::de::Error::custom)
    }
}

/// Names a person.
pub enum UserKind {}
/// Names an OAuth client.
pub enum ClientKind {}
/// Names an API: a resource server.
pub enum ApiKind {}
/// Names a role of an API.
pub enum RoleKind {}
/// Names a role held by somebody.
pub enum AssignmentKind {}
/// Names an organisation: a tenant.
pub enum OrganisationKind {}
/// Names a signed-in session.
pub enum SessionKind {}
/// Names one browser flow held on the server.
pub enum InteractionKind {}
/// Names what a user allowed a client.
pub enum GrantKind {}
/// Names a background job.
pub enum JobKind {}
/// Names an activation at a later time.
pub enum ScheduleKind {}
/// Names what a client is told of the end of a session.
pub enum LogoutNoticeKind {}
/// Names a letter to a person.
pub enum LetterKind {}
/// Names what a client asks of a person from behind.
pub enum CibaRequestKind {}
/// Names a token that lets a client register itself.
pub enum InitialTokenKind {}
/// Names an invitation to have an account.
pub enum InvitationKind {}
/// Names a sign-in that waits for its second step.
pub enum StepKind {}
/// Names a sign-in that waits for the code of a letter.
pub enum LetterSignInKind {}
/// Names a passkey of an account.
pub enum PasskeyKind {}
/// Names what an authenticator is asked to sign.
pub enum ChallengeKind {}

impl Kind for UserKind {
    const PREFIX: &'static str = "usr_";
}
impl Kind for ClientKind {
    const PREFIX: &'static str = "cli_";

    fn is_of_another_form(raw: &str) -> bool {
        DocumentUrl::parse(raw).is_ok()
    }
}
impl Kind for ApiKind {
    const PREFIX: &'static str = "api_";
}
impl Kind for RoleKind {
    const PREFIX: &'static str = "rol_";
}
impl Kind for AssignmentKind {
    const PREFIX: &'static str = "asg_";
}
impl Kind for OrganisationKind {
    const PREFIX: &'static str = "org_";
}
impl Kind for SessionKind {
    const PREFIX: &'static str = "ses_";
}
impl Kind for InteractionKind {
    const PREFIX: &'static str = "itx_";
}
impl Kind for GrantKind {
    const PREFIX: &'static str = "gnt_";
}
impl Kind for JobKind {
    const PREFIX: &'static str = "job_";
}
impl Kind for ScheduleKind {
    const PREFIX: &'static str = "sch_";
}
impl Kind for LogoutNoticeKind {
    const PREFIX: &'static str = "lgn_";
}
impl Kind for LetterKind {
    const PREFIX: &'static str = "mal_";
}
impl Kind for CibaRequestKind {
    const PREFIX: &'static str = "cbr_";
}
impl Kind for InitialTokenKind {
    const PREFIX: &'static str = "iat_";
}
impl Kind for InvitationKind {
    const PREFIX: &'static str = "inv_";
}
impl Kind for StepKind {
    const PREFIX: &'static str = "stp_";
}
impl Kind for LetterSignInKind {
    const PREFIX: &'static str = "lsi_";
}
impl Kind for PasskeyKind {
    const PREFIX: &'static str = "pky_";
}
impl Kind for ChallengeKind {
    const PREFIX: &'static str = "chg_";
}

/// Identifier of a user.
pub type UserId = Id<UserKind>;
/// Identifier of a client: its `client_id`.
pub type ClientId = Id<ClientKind>;
/// Identifier of an API.
pub type ApiId = Id<ApiKind>;
/// Identifier of a role.
pub type RoleId = Id<RoleKind>;
/// Identifier of an assignment.
pub type AssignmentId = Id<AssignmentKind>;
/// Identifier of an organisation.
pub type OrganisationId = Id<OrganisationKind>;
/// Identifier of a session: the `sid` of a token.
pub type SessionId = Id<SessionKind>;
/// Identifier of an interaction.
pub type InteractionId = Id<InteractionKind>;
/// Identifier of a grant: the `gid` of a token.
pub type GrantId = Id<GrantKind>;
/// Identifier of a job.
pub type JobId = Id<JobKind>;
/// Identifier of an activation at a later time.
pub type ScheduleId = Id<ScheduleKind>;
/// Identifier of a notice that a session ended.
pub type LogoutNoticeId = Id<LogoutNoticeKind>;
/// Identifier of a letter to a person.
pub type LetterId = Id<LetterKind>;
/// Identifier of what a client asks of a person from behind.
pub type CibaRequestId = Id<CibaRequestKind>;
/// Identifier of a token that lets a client register itself.
pub type InitialTokenId = Id<InitialTokenKind>;
/// Identifier of an invitation to have an account.
pub type InvitationId = Id<InvitationKind>;
/// Identifier of a sign-in that waits for its second step.
pub type StepId = Id<StepKind>;
/// Identifier of a sign-in that waits for the code of a letter.
pub type LetterSignInId = Id<LetterSignInKind>;
/// Identifier of a passkey of an account.
pub type PasskeyId = Id<PasskeyKind>;
/// Identifier of what an authenticator is asked to sign.
pub type ChallengeId = Id<ChallengeKind>;

impl ClientId {
    /// The address of the document that describes the client, if that is what names it.
    pub fn document(&self) -> Option<DocumentUrl> {
        DocumentUrl::parse(self.as_str()).ok()
    }

    /// The identifier of the client that a document describes.
    pub fn of_document(url: &DocumentUrl) -> Self {
        Self::trusted(url.as_str().to_owned())
    }
}

impl OrganisationId {
    /// The organisation that every installation starts with; the first migration inserts its row.
    pub fn first() -> Self {
        Self::trusted("org_00000000000070008000000000000000".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_id_parses_as_its_own_kind_and_as_no_other() {
        let id = UserId::generate(Timestamp::from_secs(1_700_000_000), &Entropy::seeded(1));
        assert_eq!(UserId::parse(id.as_str()), Ok(id.clone()));
        assert_eq!(ClientId::parse(id.as_str()), Err(InvalidId { prefix: "cli_" }));
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let entropy = Entropy::seeded(2);
        let early = GrantId::generate(Timestamp::from_secs(1), &entropy);
        let late = GrantId::generate(Timestamp::from_secs(2), &entropy);
        assert!(early < late);
    }

    #[test]
    fn only_the_canonical_text_is_accepted() {
        let good = "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
        assert_eq!(ClientId::parse(good).unwrap().as_str(), good);
        for bad in [
            "",
            "cli_",
            "CLI_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c",
            "cli_0190C8B0a4e27f3a9d2f4b6c8e0a1b2c",
            &format!("{good}0"),
            &format!("{good}\n"),
        ] {
            assert_eq!(ClientId::parse(bad), Err(InvalidId { prefix: "cli_" }), "{bad:?}");
        }
    }

    #[test]
    fn a_client_may_be_named_by_its_document_and_nothing_else_may() {
        let url = "https://app.example/client.json";
        let id = ClientId::parse(url).unwrap();
        assert_eq!(id.document().map(|url| ClientId::of_document(&url)), Some(id));
        assert_eq!(UserId::parse(url), Err(InvalidId { prefix: "usr_" }));
        assert_eq!(ClientId::parse("http://app.example/c"), Err(InvalidId { prefix: "cli_" }));
        assert_eq!(ClientId::parse("cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c").unwrap().document(), None);
    }

    #[test]
    fn the_first_organisation_has_a_valid_id() {
        let first = OrganisationId::first();
        assert_eq!(OrganisationId::parse(first.as_str()), Ok(first));
    }
}
