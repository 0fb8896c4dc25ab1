//! Taking accounts over from another system, with the hashes of their passwords.

use std::collections::HashSet;
use std::fmt;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::user::{PasswordHash, User, Username};
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::fields::FieldErrors;
use crate::services::password::check_brought;
use crate::services::users::UserService;
use crate::services::users::form::UserForm;
use crate::storage::{Turn, Tx, credentials, organisations, users};

/// Accounts of one transaction.
const AT_ONCE: usize = 200;

/// Hashes that are made at one time. The workers are fewer; nobody waits long.
const HASHED_AT_ONCE: usize = 8;

/// An account of another system, as text from any edge.
#[derive(Clone)]
pub struct BroughtAccount {
    /// Where it stands in what is brought, for a person: `line 7`.
    pub place: String,
    /// What is known of it.
    pub form: UserForm,
    /// The hash of its password.
    pub hash: Option<String>,
    /// Whether somebody made sure of the address of mail.
    pub email_verified: bool,
    /// Whether the account can be used.
    pub enabled: bool,
}

impl fmt::Debug for BroughtAccount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BroughtAccount").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What became of the accounts.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// How many are there now, or would be.
    pub created: usize,
    /// Those of them that have no password: nobody signs in with them before one is set.
    pub without_password: usize,
    /// Those whose user name somebody has here: they stay as they are.
    pub existing: Vec<LeftOut>,
    /// Those that cannot be accounts here.
    pub refused: Vec<LeftOut>,
}

/// An account that was not taken over.
#[derive(Debug)]
pub struct LeftOut {
    /// Where it stands in what is brought.
    pub place: String,
    /// What its owner types to sign in, as it was brought.
    pub username: String,
    /// Why.
    pub reason: String,
}

/// An account that was looked at, and can be one here.
struct Candidate {
    account: BroughtAccount,
    user: User,
}

impl UserService {
    /// Takes accounts over. Those that are wrong or there already are left out and told; done again, it does what is left.
    ///
    /// With `dry_run` nothing is written, and nothing is hashed.
    pub async fn import(
        &self,
        accounts: Vec<BroughtAccount>,
        dry_run: bool,
        caller: &Caller,
    ) -> Result<ImportReport, AdminError> {
        let mut report = ImportReport::default();
        let mut candidates = self.candidates(accounts, &mut report, caller);
        while !candidates.is_empty() {
            let rest = candidates.split_off(candidates.len().min(AT_ONCE));
            let new = self.new_ones(candidates, &mut report).await?;
            candidates = rest;
            if dry_run {
                report.created += new.len();
                report.without_password += new.iter().filter(|new| !new.has_password()).count();
            } else {
                self.take_over(new, &mut report, caller).await?;
            }
        }
        Ok(report)
    }

    /// Those that can be accounts, as far as that can be told without the database.
    fn candidates(
        &self,
        accounts: Vec<BroughtAccount>,
        report: &mut ImportReport,
        caller: &Caller,
    ) -> Vec<Candidate> {
        let mut names = HashSet::new();
        let mut candidates = Vec::with_capacity(accounts.len());
        for account in accounts {
            match self.candidate(account, &mut names, caller) {
                Ok(candidate) => candidates.push(candidate),
                Err(refused) => report.refused.push(refused),
            }
        }
        candidates
    }

    fn candidate(
        &self,
        account: BroughtAccount,
        names: &mut HashSet<Username>,
        caller: &Caller,
    ) -> Result<Candidate, LeftOut> {
        let mut errors = FieldErrors::default();
        let hash = account.hash.as_deref().map(check_brought).transpose();
        let is_readable = errors.take("/password_hash", hash).is_some();
        let details = match account.form.parse() {
            Ok(details) if is_readable => details,
            Ok(_) => return Err(left_out(&account, errors.to_string())),
            Err(wrong) => {
                for error in wrong.iter() {
                    errors.refuse(error.pointer.clone(), error.code, error.message.clone());
                }
                return Err(left_out(&account, errors.to_string()));
            }
        };
        if !names.insert(details.username.clone()) {
            return Err(left_out(&account, "/username: stands further up as well".to_owned()));
        }
        let user = details.user(caller.now, &self.entropy);
        let user = User {
            email_verified_at: user.email.as_ref().filter(|_| account.email_verified).map(|_| caller.now),
            disabled_at: (!account.enabled).then_some(caller.now),
            ..user
        };
        Ok(Candidate { account, user })
    }

    /// Those that nobody has here.
    async fn new_ones(
        &self,
        candidates: Vec<Candidate>,
        report: &mut ImportReport,
    ) -> Result<Vec<Candidate>, AdminError> {
        let mut tx = self.store.read().await?;
        let mut new = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            if users::find_by_username(&mut tx, &candidate.user.username).await?.is_some() {
                report.existing.push(existing(&candidate.account));
            } else if organisations::find(&mut tx, &candidate.user.organisation).await?.is_none() {
                let reason = "/organisation: there is no such organisation".to_owned();
                report.refused.push(left_out(&candidate.account, reason));
            } else {
                new.push(candidate);
            }
        }
        Ok(new)
    }

    async fn take_over(
        &self,
        new: Vec<Candidate>,
        report: &mut ImportReport,
        caller: &Caller,
    ) -> Result<(), AdminError> {
        let hashed: Vec<(Candidate, Option<PasswordHash>)> = stream::iter(new)
            .map(|candidate| async move {
                let hash = self.hash_of(&candidate.account).await?;
                Ok::<_, AdminError>((candidate, hash))
            })
            .buffered(HASHED_AT_ONCE)
            .try_collect()
            .await?;
        let caller = caller.clone();
        let overtaken: Vec<Result<bool, LeftOut>> = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let mut outcomes = Vec::with_capacity(hashed.len());
                    for (candidate, hash) in &hashed {
                        outcomes.push(insert(tx, candidate, hash.as_ref(), &caller).await?);
                    }
                    tx.invalidate();
                    Ok::<_, AdminError>(outcomes)
                })
            })
            .await?;
        for outcome in overtaken {
            match outcome {
                Ok(has_password) => {
                    report.created += 1;
                    report.without_password += usize::from(!has_password);
                }
                Err(existing) => report.existing.push(existing),
            }
        }
        Ok(())
    }

    async fn hash_of(&self, account: &BroughtAccount) -> Result<Option<PasswordHash>, AdminError> {
        if let Some(hash) = &account.hash {
            return Ok(Some(self.hasher.bring(hash).await?));
        }
        // Nobody chooses it now: it is held to no more than the form looked at, as hashes are held to nothing.
        match account.form.parse()?.password {
            Some(password) => Ok(Some(self.hasher.hash(&password).await?)),
            None => Ok(None),
        }
    }
}

impl Candidate {
    const fn has_password(&self) -> bool {
        self.account.hash.is_some() || self.account.form.password.is_some()
    }
}

/// Whether the account has a password, or who has the name: somebody may have taken it meanwhile.
async fn insert(
    tx: &mut Tx,
    candidate: &Candidate,
    hash: Option<&PasswordHash>,
    caller: &Caller,
) -> Result<Result<bool, LeftOut>, AdminError> {
    let Candidate { account, user } = candidate;
    if users::find_by_username(tx, &user.username).await?.is_some() {
        return Ok(Err(existing(account)));
    }
    users::insert(tx, user).await?;
    if let Some(hash) = hash {
        credentials::set_password(tx, &user.id, hash, caller.now).await?;
    }
    let detail = json!({ "password": hash.is_some(), "imported": true });
    tx.audit(caller.event(AuditAction::UserCreated).on(&user.id).with(detail));
    Ok(Ok(hash.is_some()))
}

fn existing(account: &BroughtAccount) -> LeftOut {
    left_out(account, "somebody has this name".to_owned())
}

fn left_out(account: &BroughtAccount, reason: String) -> LeftOut {
    LeftOut { place: account.place.clone(), username: account.form.username.clone(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Entropy;
    use crate::services::trial::{Trial, operator};
    use crate::storage::credentials::for_sign_in;

    const HASH: &str = "$2a$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";

    fn account(number: usize, username: &str, hash: Option<&str>) -> BroughtAccount {
        let form = UserForm { username: username.to_owned(), ..UserForm::default() };
        let (place, hash) = (format!("line {number}"), hash.map(str::to_owned));
        BroughtAccount { place, form, hash, email_verified: true, enabled: true }
    }

    fn told(left_out: &[LeftOut]) -> Vec<(&str, &str, &str)> {
        left_out.iter().map(|one| (&*one.place, &*one.username, &*one.reason)).collect()
    }

    #[tokio::test]
    async fn more_than_one_transaction_holds_are_taken_over_and_once() {
        let trial = Trial::begin().await;
        let before = trial.trail().await.len();
        let names: Vec<String> = (0..AT_ONCE + 3).map(|number| format!("user-{number}")).collect();
        let all = || names.iter().enumerate().map(|(at, name)| account(at, name, Some(HASH))).collect();
        let dry = trial.users.import(all(), true, &operator()).await.unwrap();
        assert_eq!((dry.created, dry.without_password, trial.trail().await.len()), (203, 0, before));
        let done = trial.users.import(all(), false, &operator()).await.unwrap();
        assert_eq!((done.created, done.existing.len(), done.refused.len()), (203, 0, 0));
        assert!(trial.trail().await.iter().all(|action| *action == "user.created"), "each is an event");
        let again = trial.users.import(all(), false, &operator()).await.unwrap();
        assert_eq!((again.created, again.existing.len()), (0, 203));
        let (last, mut tx) = (Username::parse("user-202").unwrap(), trial.store.read().await.unwrap());
        let row = for_sign_in(&mut tx, &last).await.unwrap().unwrap();
        assert_eq!(row.password.unwrap().as_text(), HASH);
    }

    #[tokio::test]
    async fn what_is_wrong_is_left_out_with_its_reason_and_without_what_it_says() {
        let trial = Trial::begin().await;
        trial.user("ada").await;
        let mut off = account(5, "off", None);
        off.form.email = Some("off@example.org".to_owned());
        off.enabled = false;
        let mut elsewhere = account(6, "elsewhere", None);
        elsewhere.form.organisation = Some(
            crate::domain::ids::OrganisationId::generate(operator().now, &Entropy::seeded(9)).to_string(),
        );
        let mut plain = account(7, "plain", None);
        plain.form.password = Some("password".to_owned());
        let accounts = vec![
            account(1, "ADA", Some(HASH)),
            account(2, "bob", Some("a-secret-that-is-no-hash")),
            account(3, "cleo", None),
            account(4, "Cleo", None),
            off,
            elsewhere,
            plain,
        ];
        let report = trial.users.import(accounts, false, &operator()).await.unwrap();
        assert_eq!((report.created, report.without_password), (2, 2));
        assert_eq!(told(&report.existing), [("line 1", "ADA", "somebody has this name")]);
        let refused = told(&report.refused);
        let places: Vec<_> = refused.iter().map(|(place, ..)| *place).collect();
        assert_eq!(places, ["line 2", "line 4", "line 7", "line 6"]);
        assert!(!format!("{report:?}").contains("a-secret"), "{report:?}");
        let mut tx = trial.store.read().await.unwrap();
        let off = users::find_by_username(&mut tx, &Username::parse("off").unwrap()).await.unwrap().unwrap();
        assert_eq!((off.disabled_at.is_some(), off.email_verified_at.is_some()), (true, true));
        let cleo =
            users::find_by_username(&mut tx, &Username::parse("cleo").unwrap()).await.unwrap().unwrap();
        assert_eq!((cleo.disabled_at, cleo.email_verified_at), (None, None), "there is no address");
    }
}
