//! Users: creating, changing and switching off accounts.

pub mod consents;
mod deletion;
pub mod form;
pub mod import;
pub mod passkeys;
pub mod profile;
mod second_step;

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::letter::{ChangedBy, Letter};
use crate::domain::rbac::AssignmentSubject;
use crate::domain::revocation::Revocation;
use crate::domain::secret::Entropy;
use crate::domain::user::{Email, Password, PasswordHash, User, Username};
use crate::services::admin_error::{AdminError, Thing};
use crate::services::backchannel::{Departures, LogoutNotices};
use crate::services::caller::Caller;
use crate::services::fields::FieldErrors;
use crate::services::mailing::MailService;
use crate::services::owners::Owners;
use crate::services::paging::{Page, PageQuery};
use crate::services::password::{NotTaken, PasswordHasher};
use crate::services::users::form::{AccountDetails, UserForm, new_password, weak};
use crate::services::version::{Precondition, Version, Versioned};
use crate::storage::{Store, Turn, Tx, credentials, organisations, users};

/// Which users to list.
#[derive(Clone, Debug, Default)]
pub struct UserQuery {
    /// Only the user with exactly this name.
    pub username: Option<String>,
    /// Which page.
    pub page: PageQuery,
}

/// Creates, changes and switches off accounts.
#[derive(Clone)]
pub struct UserService {
    store: Store,
    hasher: PasswordHasher,
    entropy: Entropy,
    owners: Owners,
    notices: LogoutNotices,
    mail: MailService,
}

/// What the service needs besides the database.
pub(crate) struct UserParts {
    pub(crate) hasher: PasswordHasher,
    pub(crate) entropy: Entropy,
    pub(crate) owners: Owners,
    pub(crate) notices: LogoutNotices,
    pub(crate) mail: MailService,
}

/// An account that is to be kept.
pub(crate) struct UserDraft {
    user: User,
    hash: Option<PasswordHash>,
}

impl UserService {
    /// The service over this store.
    pub(crate) fn new(store: Store, parts: UserParts) -> Self {
        let UserParts { hasher, entropy, owners, notices, mail } = parts;
        Self { store, hasher, entropy, owners, notices, mail }
    }

    /// Knows who owns the server.
    pub(crate) const fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Creates an account.
    pub async fn create(&self, form: UserForm, caller: &Caller) -> Result<Versioned<User>, AdminError> {
        let draft = self.draft(form, caller).await?;
        let caller = caller.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    Self::add(tx, draft, &caller).await
                })
            })
            .await
    }

    /// A new account, checked as far as that goes without the database, its password hashed.
    pub(crate) async fn draft(&self, form: UserForm, caller: &Caller) -> Result<UserDraft, AdminError> {
        let details = form.parse()?;
        let hash = match details.password.clone() {
            Some(password) => Some(self.hash(&password, &details.username).await?),
            None => None,
        };
        Ok(UserDraft { user: details.user(caller.now, &self.entropy), hash })
    }

    /// Adds an account, as part of something larger.
    pub(crate) async fn add(
        tx: &mut Tx,
        draft: UserDraft,
        caller: &Caller,
    ) -> Result<Versioned<User>, AdminError> {
        let UserDraft { user, hash } = draft;
        check_references(tx, &user).await?;
        users::insert(tx, &user).await?;
        if let Some(hash) = &hash {
            credentials::set_password(tx, &user.id, hash, caller.now).await?;
        }
        let detail = json!({ "password": hash.is_some() });
        tx.audit(caller.event(AuditAction::UserCreated).on(&user.id).with(detail));
        tx.invalidate();
        Ok(versioned(user))
    }

    /// Lists accounts, oldest first.
    pub async fn list(&self, query: &UserQuery) -> Result<Page<User>, AdminError> {
        let mut tx = self.store.read().await?;
        if let Some(username) = &query.username {
            let found = match Username::parse(username) {
                Ok(username) => users::find_by_username(&mut tx, &username).await?,
                Err(_) => None,
            };
            return Ok(Page { items: found.into_iter().collect(), next: None });
        }
        let found = users::list(&mut tx, query.page.after(), query.page.probe()).await?;
        Ok(Page::of(found, &query.page, |user| user.id.to_string()))
    }

    /// Shows an account.
    pub async fn show(&self, id: &UserId) -> Result<Versioned<User>, AdminError> {
        let mut tx = self.store.read().await?;
        find(&mut tx, id).await.map(versioned)
    }

    /// Replaces what can be changed about an account.
    pub async fn update(
        &self,
        id: &UserId,
        form: UserForm,
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<Versioned<User>, AdminError> {
        let details = form.parse()?;
        let (id, precondition, caller, owners) =
            (id.clone(), precondition.clone(), caller.clone(), self.owners.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let before = find(tx, &id).await?;
                    if !precondition.holds(&versioned(before.clone()).version) {
                        return Err(AdminError::Stale);
                    }
                    owners.require_rank(tx, &AssignmentSubject::User(id), &caller).await?;
                    let after = changed(&before, details, caller.now);
                    check_references(tx, &after).await?;
                    users::update(tx, &after).await?;
                    if before.organisation != after.organisation {
                        tx.revoke(Revocation::of_subject(after.sub.as_str(), caller.now));
                    }
                    let detail = json!({ "changed": differences(&before, &after) });
                    tx.audit(caller.event(AuditAction::UserUpdated).on(&after.id).with(detail));
                    tx.invalidate();
                    Ok(versioned(after))
                })
            })
            .await
    }

    /// Switches an account off: its sessions and grants end at once. One whose owner wants it deleted is not kept by its owner any more.
    /// The last owner stays.
    pub async fn disable(&self, id: &UserId, caller: &Caller) -> Result<Versioned<User>, AdminError> {
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        let notices = self.notices.clone();
        let (user, departures) = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let user = find(tx, &id).await?;
                    if user.disabled_at.is_some() {
                        deletion::bar(tx, &user, &owners, &caller).await?;
                        return Ok::<_, AdminError>((versioned(user), Departures::default()));
                    }
                    owners.require_rank(tx, &AssignmentSubject::User(id.clone()), &caller).await?;
                    owners.require_other(tx, &id).await?;
                    users::hold(tx, &id).await?;
                    deletion::forget(tx, &id).await?;
                    let user = User { disabled_at: Some(caller.now), ..user };
                    users::update(tx, &user).await?;
                    let departures = notices.end_all(tx, &user.id, caller.now).await?;
                    tx.audit(caller.event(AuditAction::UserDisabled).on(&user.id));
                    tx.invalidate();
                    Ok((versioned(user), departures))
                })
            })
            .await?;
        self.notices.send(departures);
        Ok(user)
    }

    /// Ends every session of an account, and every grant: whoever uses it has to sign in again, everywhere.
    pub async fn sign_out(&self, id: &UserId, caller: &Caller) -> Result<(), AdminError> {
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        let notices = self.notices.clone();
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let user = find(tx, &id).await?;
                    owners.require_rank(tx, &AssignmentSubject::User(id), &caller).await?;
                    users::hold(tx, &user.id).await?;
                    let departures = notices.end_all(tx, &user.id, caller.now).await?;
                    tx.audit(caller.event(AuditAction::UserSignedOut).on(&user.id));
                    Ok::<_, AdminError>(departures)
                })
            })
            .await?;
        self.notices.send(departures);
        Ok(())
    }

    /// Switches an account on again, and keeps it if its owner wanted it deleted. What ended with it stays ended.
    pub async fn enable(&self, id: &UserId, caller: &Caller) -> Result<Versioned<User>, AdminError> {
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        let mail = self.mail.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    users::hold(tx, &id).await?;
                    let user = find(tx, &id).await?;
                    if user.disabled_at.is_none() {
                        return Ok(versioned(user));
                    }
                    owners.require_rank(tx, &AssignmentSubject::User(id), &caller).await?;
                    deletion::stop(tx, &user, &mail, &caller).await?;
                    let user = User { disabled_at: None, ..user };
                    users::update(tx, &user).await?;
                    tx.audit(caller.event(AuditAction::UserEnabled).on(&user.id));
                    tx.invalidate();
                    Ok(versioned(user))
                })
            })
            .await
    }

    /// Sets a password. Whoever was signed in with the old one is no longer.
    pub async fn set_password(&self, id: &UserId, raw: &str, caller: &Caller) -> Result<(), AdminError> {
        let user = self.show(id).await?.value;
        let password = new_password(raw, user.username.as_str())
            .map_err(|refusal| FieldErrors::of("/password", "invalid", refusal.to_string()))?;
        let hash = self.hash(&password, &user.username).await?;
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        let (notices, mail) = (self.notices.clone(), self.mail.clone());
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let user = find(tx, &id).await?;
                    owners.require_rank(tx, &AssignmentSubject::User(id), &caller).await?;
                    users::hold(tx, &user.id).await?;
                    credentials::set_password(tx, &user.id, &hash, caller.now).await?;
                    let departures = notices.end_all(tx, &user.id, caller.now).await?;
                    tx.audit(caller.event(AuditAction::PasswordChanged).on(&user.id));
                    let by = ChangedBy::Administrator;
                    mail.post(tx, Letter::PasswordChanged { by, at: caller.now }, &user).await?;
                    tx.invalidate();
                    Ok::<_, AdminError>(departures)
                })
            })
            .await?;
        self.notices.send(departures);
        Ok(())
    }

    async fn hash(&self, password: &Password, username: &Username) -> Result<PasswordHash, AdminError> {
        self.hasher.take(password, username.as_str()).await.map_err(|error| match error {
            NotTaken::Hash(error) => error.into(),
            NotTaken::Weak(weakness) => weak(weakness).into(),
        })
    }
}

async fn find(tx: &mut Tx, id: &UserId) -> Result<User, AdminError> {
    users::find(tx, id).await?.ok_or(AdminError::NotFound(Thing::User))
}

/// A name belongs to one account, and an account to an organisation that exists.
async fn check_references(tx: &mut Tx, user: &User) -> Result<(), AdminError> {
    let mut errors = FieldErrors::default();
    if users::find_by_username(tx, &user.username).await?.is_some_and(|other| other.id != user.id) {
        errors.refuse("/username", "taken", "somebody else has this name");
    }
    if organisations::find(tx, &user.organisation).await?.is_none() {
        errors.refuse("/organisation", "unknown", "there is no such organisation");
    }
    Ok(errors.finish(Some(()))?)
}

/// The account with new details. An address that changes has to be proven again.
fn changed(before: &User, details: AccountDetails, now: Timestamp) -> User {
    let same_address = details.email == before.email;
    let after = User {
        username: details.username,
        name: details.name,
        email: details.email,
        email_verified_at: before.email_verified_at.filter(|_| same_address),
        organisation: details.organisation,
        profile: details.profile.updated(before.profile.updated_at()),
        ..before.clone()
    };
    // What claims say: the organisation is none of them.
    let same_claims = User { organisation: before.organisation.clone(), ..after.clone() } == *before;
    if same_claims { after } else { User { profile: after.profile.clone().updated(Some(now)), ..after } }
}

/// The names of what changed. Not the values: the trail is kept longer than personal data may be.
pub(crate) fn differences(before: &User, after: &User) -> Vec<&'static str> {
    [
        ("username", before.username != after.username),
        ("name", before.name != after.name),
        ("email", before.email != after.email),
        ("organisation", before.organisation != after.organisation),
        ("profile", before.profile.to_json() != after.profile.to_json()),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

fn versioned(user: User) -> Versioned<User> {
    let version = Version::of(&(
        user.id.as_str(),
        user.username.as_str(),
        &user.name,
        user.email.as_ref().map(Email::as_str),
        (user.email_verified_at, user.organisation.as_str(), user.disabled_at, user.profile.to_json()),
    ));
    Versioned { value: user, version }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::audit::AuditService;
    use crate::services::trial::{Trial, delegate, operator};

    fn named(username: &str) -> UserForm {
        UserForm { username: username.to_owned(), ..UserForm::default() }
    }

    #[tokio::test]
    async fn a_name_belongs_to_one_account() {
        let trial = Trial::begin().await;
        trial.user("ada").await;
        let before = trial.trail().await.len();
        let refused = trial.users.create(named("ADA"), &operator()).await;
        assert!(
            matches!(refused, Err(AdminError::Invalid(errors)) if errors.to_string().contains("/username"))
        );
        assert_eq!(trial.trail().await.len(), before, "a refusal changes nothing");
    }

    #[tokio::test]
    async fn every_change_is_one_event() {
        let trial = Trial::begin().await;
        let before = trial.trail().await.len();
        let id = trial.user("ada").await;
        let seen = trial.users.show(&id).await.unwrap().version;
        trial.users.update(&id, named("bea"), &Precondition::Matches(vec![seen]), &operator()).await.unwrap();
        trial.users.set_password(&id, "correct horse battery", &operator()).await.unwrap();
        trial.users.disable(&id, &operator()).await.unwrap();
        trial.users.disable(&id, &operator()).await.unwrap();
        trial.users.enable(&id, &operator()).await.unwrap();
        let trail = trial.trail().await;
        let added: Vec<_> = trail.iter().take(trail.len() - before).rev().copied().collect();
        assert_eq!(
            added,
            ["user.created", "user.updated", "password.changed", "user.disabled", "user.enabled"]
        );
    }

    #[tokio::test]
    async fn a_change_of_something_older_is_refused() {
        let trial = Trial::begin().await;
        let id = trial.user("ada").await;
        let seen = Precondition::Matches(vec![trial.users.show(&id).await.unwrap().version]);
        trial.users.update(&id, named("bea"), &seen, &operator()).await.unwrap();
        let late = trial.users.update(&id, named("cleo"), &seen, &operator()).await;
        assert!(matches!(late, Err(AdminError::Stale)));
        assert_eq!(trial.users.show(&id).await.unwrap().value.username.as_str(), "bea");
    }

    #[tokio::test]
    async fn the_last_owner_cannot_be_switched_off() {
        let trial = Trial::begin().await;
        let (ada, bea) = (trial.owner("ada").await, trial.owner("bea").await);
        trial.users.disable(&ada, &operator()).await.unwrap();
        assert!(matches!(trial.users.disable(&bea, &operator()).await, Err(AdminError::LastOwner)));
        trial.users.enable(&ada, &operator()).await.unwrap();
        trial.users.disable(&bea, &operator()).await.unwrap();
    }

    #[tokio::test]
    async fn only_an_owner_changes_the_account_of_an_administrator() {
        let trial = Trial::begin().await;
        let owner = trial.owner("ada").await;
        let auditor = trial.user("bea").await;
        trial.grant(&trial.admin_api().await.id, "auditor", auditor.as_str()).await;
        for admin in [&owner, &auditor] {
            let password = trial.users.set_password(admin, "correct horse battery", &delegate()).await;
            assert!(matches!(password, Err(AdminError::OwnersOnly)));
            let update = trial.users.update(admin, named("x"), &Precondition::Any, &delegate()).await;
            assert!(matches!(update, Err(AdminError::OwnersOnly)));
            assert!(matches!(trial.users.disable(admin, &delegate()).await, Err(AdminError::OwnersOnly)));
        }
        let other = trial.user("cleo").await;
        trial.users.set_password(&other, "correct horse battery", &delegate()).await.unwrap();
    }

    #[tokio::test]
    async fn a_new_address_has_to_be_proven_again() {
        let before = User {
            email_verified_at: Some(crate::services::trial::START),
            ..Trial::begin().await.users.create(named("ada"), &operator()).await.unwrap().value
        };
        let details = UserForm { email: Some("ada@example.org".to_owned()), ..named("ada") }.parse().unwrap();
        let now = crate::services::trial::START;
        assert_eq!(changed(&before, details, now).email_verified_at, None);
        assert_eq!(
            changed(&before, named("ada").parse().unwrap(), now).email_verified_at,
            before.email_verified_at
        );
    }

    #[tokio::test]
    async fn a_change_of_what_claims_say_has_its_time_and_is_named_in_the_trail() {
        let trial = Trial::begin().await;
        let id = trial.user("ada").await;
        let later = Caller { now: operator().now.plus(std::time::Duration::from_secs(9)), ..operator() };
        let mut form = named("ada");
        form.profile.add("given_name=Ada").unwrap();
        let changed = trial.users.update(&id, form.clone(), &Precondition::Any, &later).await.unwrap();
        assert_eq!(changed.value.profile.updated_at(), Some(later.now));
        let trail = AuditService::new(trial.store.clone());
        let newest = trail.list(&PageQuery::new(None, Some(1))).await.unwrap().items.remove(0);
        assert_eq!(newest.event.detail, json!({ "changed": ["profile"] }), "the names and not the values");
        let last = Caller { now: later.now.plus(std::time::Duration::from_secs(9)), ..operator() };
        let same = trial.users.update(&id, form, &Precondition::Any, &last).await.unwrap();
        assert_eq!(same.value.profile.updated_at(), Some(later.now), "nothing changed");
        assert_eq!(same.version, changed.version);
    }

    #[tokio::test]
    async fn a_long_list_comes_in_pages_that_miss_and_repeat_nobody() {
        let trial = Trial::begin().await;
        for name in ["ada", "bea", "cleo", "dora", "eve"] {
            trial.user(name).await;
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = PageQuery::new(after, Some(2));
            let found = trial.users.list(&UserQuery { username: None, page }).await.unwrap();
            seen.extend(found.items.into_iter().map(|user| user.username.to_string()));
            after = found.next;
            if after.is_none() {
                break;
            }
        }
        seen.sort();
        assert_eq!(seen, ["ada", "bea", "cleo", "dora", "eve"]);
    }
}
