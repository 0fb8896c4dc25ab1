//! What the audit trail says about the account of a person, for that person.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use crate::domain::audit::AuditAction as Action;
use crate::domain::audit::AuditOutcome::{self as Outcome, Refused, Success};
use crate::domain::audit::{Actor, AuditEvent, AuditRecord};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, UserId};
use crate::services::account::AccountService;
use crate::services::visit::LiveSession;
use crate::storage::{StoreError, audit};

/// How much of the log is taken at once.
#[derive(Clone, Copy)]
struct Portion {
    /// Entries at most.
    entries: usize,
    /// Events that are read for it, of each kind: some of whoever administrates the server are about others.
    read: u32,
}

/// What applications are called, as far as that was asked for; `None`: there is none any more.
type Titles = BTreeMap<ClientId, Option<String>>;

/// A page.
const PAGE: Portion = Portion { entries: 50, read: 200 };
/// A part of the whole.
const PART: Portion = Portion { entries: 2_000, read: 1_000 };
/// Parts of the whole that are taken at most.
const MOST_PARTS: usize = 10;

/// What concerns an account, by the names that texts have for it. Everything else that somebody did is not about the own account.
const WORDS: [(Action, Outcome, &str); 37] = [
    (Action::AddressConfirmed, Success, "address_confirmed"),
    (Action::AddressProofRequested, Refused, "address_proof_refused"),
    (Action::AddressProofRequested, Success, "address_proof_requested"),
    (Action::AddressReturned, Success, "address_returned"),
    (Action::CibaAllowed, Success, "ciba_allowed"),
    (Action::CibaRefused, Refused, "ciba_refused"),
    (Action::ConsentGranted, Success, "consent_granted"),
    (Action::ConsentRefused, Refused, "consent_refused"),
    (Action::ConsentWithdrawn, Success, "consent_withdrawn"),
    (Action::DeviceAllowed, Success, "device_allowed"),
    (Action::DeviceRefused, Refused, "device_refused"),
    (Action::PasskeyAdded, Success, "passkey_added"),
    (Action::PasskeyRemoved, Success, "passkey_removed"),
    (Action::PasskeyRenamed, Success, "passkey_renamed"),
    (Action::PasswordChanged, Refused, "password_refused"),
    (Action::PasswordChanged, Success, "password_changed"),
    (Action::RecoveryCodeUsed, Success, "recovery_code_used"),
    (Action::RecoveryCodesMade, Success, "recovery_codes_made"),
    (Action::SecondStepAdded, Success, "second_step_added"),
    (Action::SecondStepRemoved, Success, "second_step_removed"),
    (Action::PasswordResetRequested, Success, "password_reset_requested"),
    (Action::SessionEnded, Success, "session_ended"),
    (Action::SetupCompleted, Success, "set_up"),
    (Action::SignIn, Refused, "sign_in_refused"),
    (Action::SignIn, Success, "sign_in"),
    (Action::SignInCodeRequested, Success, "sign_in_code_requested"),
    (Action::SignUpRequested, Refused, "sign_up_refused"),
    (Action::UserCreated, Success, "created"),
    (Action::UserDataDownloaded, Success, "data_downloaded"),
    (Action::UserDeletionRequested, Success, "deletion_requested"),
    (Action::UserDeletionWithdrawn, Success, "deletion_withdrawn"),
    (Action::UserDisabled, Success, "disabled"),
    (Action::UserEnabled, Success, "enabled"),
    (Action::UserImpersonated, Success, "impersonated"),
    (Action::UserSignedOut, Success, "signed_out"),
    (Action::UserSignedUp, Success, "signed_up"),
    (Action::UserUpdated, Success, "updated"),
];

/// A sign-in by the code of a letter.
const BY_LETTER: &str = "sign_in_by_letter";

/// A page of the log.
#[derive(Debug)]
pub(crate) struct OwnLog {
    /// The newest first.
    pub(crate) entries: Vec<LogEntry>,
    /// Before what the next page begins, if there is one.
    pub(crate) older: Option<u64>,
}

/// Something that happened to an account.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct LogEntry {
    /// What, by the name of its text.
    pub(crate) what: &'static str,
    pub(crate) by: By,
    /// The application that it is about, by the name that people know.
    pub(crate) client: Option<String>,
    /// What was changed.
    pub(crate) fields: Vec<String>,
    pub(crate) at: Timestamp,
    /// From where, unless it was somebody else: where administrators work is not the person's business.
    pub(crate) address: Option<IpAddr>,
}

/// Who did it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    Administrator,
    Operator,
    /// The person, or an application that the entry names.
    Own,
    Program,
    Server,
    /// Nobody was signed in.
    Visitor,
}

impl By {
    /// The name of its text.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Own => "own",
            Self::Program => "program",
            Self::Server => "server",
            Self::Visitor => "visitor",
        }
    }
}

impl AccountService {
    /// What happened to the account of whoever is signed in, before `before`.
    pub(crate) async fn log(&self, live: &LiveSession, before: Option<u64>) -> Result<OwnLog, StoreError> {
        self.part(live, before, (PAGE, &mut Titles::new())).await
    }

    /// All of it, or the newest part of one that is very long.
    pub(crate) async fn whole_log(&self, live: &LiveSession) -> Result<OwnLog, StoreError> {
        let mut titles = Titles::new();
        let mut whole = self.part(live, None, (PART, &mut titles)).await?;
        for _ in 1..MOST_PARTS {
            let Some(before) = whole.older else { break };
            let OwnLog { entries, older } = self.part(live, Some(before), (PART, &mut titles)).await?;
            whole.entries.extend(entries);
            whole.older = older;
        }
        Ok(whole)
    }

    async fn part(
        &self,
        live: &LiveSession,
        before: Option<u64>,
        (portion, titles): (Portion, &mut Titles),
    ) -> Result<OwnLog, StoreError> {
        let me = &live.user.id;
        let (done, suffered) = {
            let mut tx = self.store.read().await?;
            let actor = Actor::User(me.clone());
            let done = audit::list_by_actor(&mut tx, &actor, before, portion.read).await?;
            (done, audit::list_by_target(&mut tx, me.as_str(), before, portion.read).await?)
        };
        let (records, older) = merged((done, suffered), me, portion);
        let mut entries = Vec::with_capacity(records.len());
        for (what, record) in records {
            if let Some(client) = client_of(&record.event)
                && !titles.contains_key(&client)
            {
                let found = self.store.client(&client).await?.map(|found| found.title());
                titles.insert(client, found);
            }
            entries.push(entry(what, record, me, titles));
        }
        Ok(OwnLog { entries, older })
    }
}

fn entry(what: &'static str, record: AuditRecord, me: &UserId, titles: &Titles) -> LogEntry {
    let AuditRecord { at, event, .. } = record;
    let client = client_of(&event).and_then(|client| titles.get(&client).cloned().flatten());
    let by = by(&event, me);
    let fields = event.detail.get("changed").and_then(Value::as_array).into_iter().flatten();
    let fields = fields.filter_map(|field| field.as_str().map(str::to_owned)).collect();
    // An application that passed for the person works from somewhere of its own.
    let is_elsewhere = event.action == Action::UserImpersonated;
    let address = event.address.filter(|_| !is_elsewhere && matches!(by, By::Own | By::Visitor));
    LogEntry { what, by, client, fields, at, address }
}

/// What concerns the person, each once and the newest first, as much of it as fits a page, and before what the next page begins.
///
/// A list that came to its end says nothing of what is older than its last event: there the page ends, too.
fn merged(
    (done, suffered): (Vec<AuditRecord>, Vec<AuditRecord>),
    me: &UserId,
    portion: Portion,
) -> (Vec<(&'static str, AuditRecord)>, Option<u64>) {
    let most = usize::try_from(portion.read).unwrap_or(usize::MAX);
    let end = |list: &[AuditRecord]| list.last().filter(|_| list.len() >= most).map(|last| last.seq);
    let horizon = end(&done).max(end(&suffered));
    let mut all: Vec<AuditRecord> = done.into_iter().chain(suffered).collect();
    all.retain(|record| horizon.is_none_or(|horizon| record.seq >= horizon));
    all.sort_by_key(|record| std::cmp::Reverse(record.seq));
    all.dedup_by_key(|record| record.seq);
    let mut entries: Vec<_> =
        all.into_iter().filter_map(|record| Some((words(&record.event, me)?, record))).collect();
    if entries.len() > portion.entries {
        entries.truncate(portion.entries);
        let last = entries.last().map(|(_, record)| record.seq);
        return (entries, last);
    }
    (entries, horizon)
}

/// What an event is called that concerns this person.
fn words(event: &AuditEvent, me: &UserId) -> Option<&'static str> {
    // What an administrator does to the accounts of others is theirs.
    let is_about = |target: &str| target == me.as_str() || UserId::parse(target).is_err();
    if !event.target.as_deref().is_some_and(is_about) {
        return None;
    }
    let is_by_letter = event.detail.get("by").and_then(Value::as_str) == Some("letter");
    if event.action == Action::SignIn && event.outcome == Success && is_by_letter {
        return Some(BY_LETTER);
    }
    let found =
        WORDS.iter().find(|(action, outcome, _)| (*action, *outcome) == (event.action, event.outcome));
    found.map(|(_, _, name)| *name)
}

fn client_of(event: &AuditEvent) -> Option<ClientId> {
    if event.action == Action::UserImpersonated {
        return match &event.actor {
            Actor::Client(client) => Some(client.clone()),
            Actor::Anonymous | Actor::Operator | Actor::System | Actor::User(_) => None,
        };
    }
    let detailed = event.detail.get("client").and_then(Value::as_str);
    detailed.or(event.target.as_deref()).and_then(|client| ClientId::parse(client).ok())
}

fn by(event: &AuditEvent, me: &UserId) -> By {
    match &event.actor {
        Actor::Anonymous => By::Visitor,
        Actor::Client(_) if event.action == Action::UserImpersonated => By::Own,
        Actor::Client(_) => By::Program,
        Actor::Operator => By::Operator,
        Actor::System => By::Server,
        Actor::User(user) if user == me => By::Own,
        Actor::User(_) => By::Administrator,
    }
}

/// Every text that an entry may have.
#[cfg(test)]
pub(crate) fn every_name() -> impl Iterator<Item = &'static str> {
    WORDS.into_iter().map(|(_, _, name)| name).chain([BY_LETTER])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SessionId;
    use crate::domain::secret::{Digest32, Entropy};

    const NOW: Timestamp = Timestamp::from_secs(1);

    fn record(seq: u64, event: AuditEvent) -> AuditRecord {
        AuditRecord { seq, at: NOW, event, hash: Digest32::of(b"") }
    }

    fn people() -> (UserId, UserId) {
        let entropy = Entropy::seeded(1);
        (UserId::generate(NOW, &entropy), UserId::generate(NOW, &entropy))
    }

    #[test]
    fn what_is_about_the_own_account_is_told_and_what_is_about_others_is_not() {
        let (me, other) = people();
        let session = SessionId::generate(NOW, &Entropy::seeded(2));
        let mine = |action| AuditEvent::new(Actor::User(me.clone()), action);
        let theirs = |action| AuditEvent::new(Actor::User(other.clone()), action);
        for (event, expected) in [
            (mine(Action::SignIn).on(&session), Some("sign_in")),
            (AuditEvent::new(Actor::Anonymous, Action::SignIn).on(&me).refused(), Some("sign_in_refused")),
            (mine(Action::PasswordChanged).on(&me), Some("password_changed")),
            (mine(Action::PasswordChanged).on(&other), None),
            (theirs(Action::UserUpdated).on(&me), Some("updated")),
            (mine(Action::UserUpdated).on(&other), None),
            (mine(Action::UserDeleted).on(&other), None),
            (mine(Action::PolicyActivated).on("api_1"), None),
            (mine(Action::SetupLinkIssued), None),
            (mine(Action::SignIn), None),
        ] {
            assert_eq!(words(&event, &me), expected, "{event:?}");
        }
    }

    #[test]
    fn an_event_that_is_in_both_lists_is_there_once_and_the_newest_is_first() {
        let (me, _) = people();
        let event = || AuditEvent::new(Actor::User(me.clone()), Action::UserUpdated).on(&me);
        let failed = AuditEvent::new(Actor::Anonymous, Action::SignIn).on(&me).refused();
        let done = vec![record(7, event()), record(3, event())];
        let suffered = vec![record(7, event()), record(5, failed), record(3, event())];
        let (entries, older) = merged((done, suffered), &me, PAGE);
        assert_eq!(entries.iter().map(|(_, record)| record.seq).collect::<Vec<_>>(), [7, 5, 3]);
        assert_eq!(older, None);
    }

    #[test]
    fn a_list_that_is_cut_ends_the_page_where_it_ends() {
        let (me, _) = people();
        let other =
            |seq| record(seq, AuditEvent::new(Actor::User(me.clone()), Action::PolicyActivated).on("api_1"));
        let failed = |seq| record(seq, AuditEvent::new(Actor::Anonymous, Action::SignIn).on(&me).refused());
        // 200 deeds that concern others, down to number 202, and three failed sign-ins around that.
        let done: Vec<_> = (101..301).rev().map(|number| other(2 * number)).collect();
        let (entries, older) = merged((done, vec![failed(501), failed(203), failed(181)]), &me, PAGE);
        assert_eq!(entries.iter().map(|(_, record)| record.seq).collect::<Vec<_>>(), [501, 203]);
        assert_eq!(older, Some(202), "what is older is on the next page");
        let many: Vec<_> = (0..60).rev().map(failed).collect();
        let (entries, older) = merged((Vec::new(), many), &me, PAGE);
        assert_eq!((entries.len(), older), (PAGE.entries, Some(10)));
    }
}
