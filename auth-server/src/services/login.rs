//! Signing in, staying signed in, signing out.
//!
//! Whoever fails learns nothing about why: an unknown user, a wrong password, a disabled account and one without a
//! password cost the same limits, the same hash, the same statements and one audit event, and give the same answer.

mod change;
mod first;
mod leaving;
mod letter;
mod passkey;
mod proof;
mod start;
mod step;
mod taken;
mod welcome;

use std::time::Duration;

use serde_json::json;

pub(crate) use self::change::PasswordChange;
use self::first::FirstProof;
pub(crate) use self::letter::{LetterAnswer, LetterStand, LetterWay, LetterWish};
pub(crate) use self::passkey::{PasskeyAnswer, PasskeyRefusal};
pub(crate) use self::proof::PasswordProof;
use self::start::Arrival;
pub(crate) use self::step::{CodeKind, Errand, Proven, StepAnswer};
use crate::config::Sessions;
use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{SessionId, StepId};
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::domain::session::{Acr, Session, SessionOrigin, SessionState};
use crate::domain::user::{InvalidPassword, Password, PasswordHash, User, Username};
use crate::services::backchannel::LogoutNotices;
use crate::services::known_device::DeviceProof;
use crate::services::login_limits::{LoginLimits, Throttled, Try};
use crate::services::mailing::MailService;
use crate::services::passkeys::party::RelyingParty;
use crate::services::password::{HashError, NotTaken, PasswordHasher, Verdict};
use crate::services::password_quality::Weakness;
use crate::services::second_step::StepKeys;
use crate::services::visit::{LiveSession, Sender, Visit};
use crate::storage::credentials::{self, SignInRow};
use crate::storage::{Outcome, Store, StoreError, sessions, users};

/// A session is marked as used at most this often: a write for each page would cost more than it tells.
const TOUCH_AFTER: Duration = Duration::from_mins(5);

/// Why somebody was not signed in, or a password not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// The new password is too easy, too short or too long.
    #[error(transparent)]
    NewPassword(#[from] BadNewPassword),
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The proof was right, of an account that its owner wants deleted: nobody is signed in, and by what it is kept under this name the
    /// account can be kept.
    #[error("the account is to be deleted")]
    Leaving(StepId),
    /// Password or account changed while the password was checked, or the session ended in which it was asked for: nothing is kept.
    #[error("the account changed meanwhile")]
    Overtaken,
    /// The sign-in whose code is given waits no longer, or not in this browser, or the account changed since.
    #[error("no such sign-in waits for its second step")]
    StepGone,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("too many tries")]
    Throttled(Throttled),
    /// User name and password do not belong together, or the account may not sign in. Nobody is told which.
    #[error("wrong user name or password")]
    Wrong,
}

impl Outcome for LoginError {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Hash(_) | Self::Overtaken | Self::Store(_))
    }
}

/// Why a new password is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadNewPassword {
    /// It is too long or too short.
    #[error(transparent)]
    Length(#[from] InvalidPassword),
    /// It is the one that it should replace.
    #[error("the new password is the old one")]
    Same,
    /// It is too easy to guess.
    #[error(transparent)]
    Weak(#[from] Weakness),
}

impl From<NotTaken> for LoginError {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Hash(error) => error.into(),
            NotTaken::Weak(weakness) => BadNewPassword::from(weakness).into(),
        }
    }
}

/// Somebody tries to sign in.
pub(crate) struct LoginAttempt<'a> {
    pub(crate) username: &'a str,
    pub(crate) password: &'a str,
    pub(crate) browser: BrowserTraits<'a>,
    pub(crate) visit: &'a Visit,
    /// Where it leads.
    pub(crate) errand: Errand,
}

/// What a browser says of itself.
#[derive(Clone, Copy)]
pub(crate) struct BrowserTraits<'a> {
    /// The cookie that proves former sign-ins.
    pub(crate) device: Option<&'a str>,
    pub(crate) user_agent: &'a str,
}

/// A new session.
pub(crate) struct SignedIn {
    /// For the session cookie.
    pub(crate) token: OpaqueToken,
    /// For the device cookie.
    pub(crate) device: String,
    pub(crate) live: LiveSession,
}

/// What the service needs besides the database.
#[derive(Clone)]
pub(crate) struct LoginParts {
    pub(crate) hasher: PasswordHasher,
    pub(crate) limits: LoginLimits,
    pub(crate) devices: DeviceProof,
    pub(crate) entropy: Entropy,
    pub(crate) notices: LogoutNotices,
    pub(crate) mail: MailService,
    pub(crate) steps: StepKeys,
    pub(crate) passkeys: RelyingParty,
    pub(crate) letters: LetterWay,
}

/// Signs people in and out.
#[derive(Clone)]
pub(crate) struct LoginService {
    store: Store,
    settings: Sessions,
    parts: LoginParts,
}

impl LoginService {
    pub(crate) const fn new(store: Store, settings: Sessions, parts: LoginParts) -> Self {
        Self { store, settings, parts }
    }

    /// Signs in with user name and password, or begins to where the account has a second step.
    pub(crate) async fn sign_in(&self, attempt: LoginAttempt<'_>) -> Result<Proven, LoginError> {
        let username = Username::parse(attempt.username).ok();
        let tried = self.admit(attempt.username, username.as_ref(), attempt.browser, attempt.visit)?;
        let row = match &username {
            Some(name) => credentials::for_sign_in(&mut self.store.read().await?, name).await?,
            None => None,
        };
        let verdict = match Password::parse(attempt.password) {
            Ok(password) => self.check(row.as_ref(), &password).await?,
            // No password is shorter or longer, whoever it is: that needs no hash to tell.
            Err(_) => Checked::Refused,
        };
        match (row, verdict) {
            (Some(row), Checked::Accepted { renewed }) if row.is_open() => {
                if row.second_step.is_some() {
                    let proof = FirstProof::Password { renewed };
                    let waiting = self.wait(row, proof, attempt.visit, &attempt.errand).await;
                    return waiting.map(Proven::CodeNeeded);
                }
                let is_known = tried.device.is_some();
                let LoginAttempt { browser, visit, .. } = attempt;
                let arrival = Arrival { row, renewed, is_known, taken: None, browser, visit };
                self.start(arrival).await.map(Box::new).map(Proven::SignedIn)
            }
            (row, _) => {
                self.parts.limits.failed(&tried);
                self.note_failure(AuditAction::SignIn, row.map(|row| row.user), attempt.visit).await
            }
        }
    }

    /// The session that a cookie stands for, if it lives, with what was allowed the client that asks for something, or was pushed by it.
    pub(crate) async fn session(
        &self,
        token: &OpaqueToken,
        sender: &Sender,
        now: Timestamp,
    ) -> Result<Option<LiveSession>, StoreError> {
        let (digest, sent) = (token.digest(), sender.with());
        let found = sessions::find_live(&mut self.store.read().await?, &digest, sent, now).await?;
        let Some(live) = found.map(|found| sender.sent(found)) else { return Ok(None) };
        let LiveSession { session, user, .. } = &live;
        let is_idle = now.since(session.last_seen_at) >= self.settings.idle();
        if session.state(now) != SessionState::Live || is_idle || !user.is_enabled() {
            return Ok(None);
        }
        if now.since(session.last_seen_at) >= TOUCH_AFTER {
            let id = session.id.clone();
            self.store.write(move |tx| Box::pin(async move { sessions::touch(tx, &id, now).await })).await?;
        }
        Ok(Some(live))
    }

    /// Ends the session of this visit, and the grants that live by it, and tells the applications that took part. It is
    /// waited for them, but not for long.
    pub(crate) async fn sign_out(&self, visit: &Visit) -> Result<(), StoreError> {
        let Some(live) = visit.session.clone() else { return Ok(()) };
        let (now, address, notices) = (visit.now, visit.address, self.parts.notices.clone());
        let departures = self
            .store
            .write(move |tx| {
                Box::pin(async move {
                    // What is being bought with the session is told of, or not bought: see `users::hold`.
                    users::hold(tx, &live.user.id).await?;
                    let departures = notices.end(tx, &live.session.id, now).await?;
                    tx.audit(
                        AuditEvent::new(Actor::User(live.user.id), AuditAction::SessionEnded)
                            .on(&live.session.id)
                            .from(Some(address)),
                    );
                    Ok::<_, StoreError>(departures)
                })
            })
            .await?;
        self.parts.notices.send_and_wait(departures.unwrap_or_default()).await;
        Ok(())
    }

    fn admit<'a>(
        &self,
        typed: &'a str,
        username: Option<&'a Username>,
        browser: BrowserTraits<'_>,
        visit: &Visit,
    ) -> Result<Try<'a>, LoginError> {
        let device = browser
            .device
            .zip(username)
            .and_then(|(cookie, username)| self.parts.devices.recognise(cookie, username));
        let username = username.map_or(typed, Username::as_str);
        let tried = Try { address: visit.address, username, device };
        self.parts.limits.admit(&tried).map_err(LoginError::Throttled)?;
        Ok(tried)
    }

    async fn check(&self, row: Option<&SignInRow>, password: &Password) -> Result<Checked, LoginError> {
        let stored = row.and_then(|row| row.password.as_ref());
        Ok(match self.parts.hasher.verify(stored, password).await? {
            Verdict::Right => Checked::Accepted { renewed: None },
            Verdict::RightButStale => {
                Checked::Accepted { renewed: Some(self.parts.hasher.hash(password).await?) }
            }
            Verdict::Wrong => Checked::Refused,
        })
    }

    fn new_session(&self, user: User, acr: Acr, browser: BrowserTraits<'_>, visit: &Visit) -> SignedIn {
        let (now, entropy) = (visit.now, &self.parts.entropy);
        let device = self.parts.devices.remember(browser.device, &user.username, entropy);
        let session = Session {
            id: SessionId::generate(now, entropy),
            user: user.id.clone(),
            auth_time: now,
            created_at: now,
            last_seen_at: now,
            expires_at: now.plus(self.settings.ttl()),
            ended_at: None,
            methods: acr.methods(),
            acr,
            origin: SessionOrigin::new(Some(visit.address), browser.user_agent),
        };
        let token = OpaqueToken::generate(TokenKind::Session, entropy);
        SignedIn { token, device, live: LiveSession { session, user, remembered: None, waiting: None } }
    }

    /// Writes down that it failed.
    async fn note_failure<T>(
        &self,
        action: AuditAction,
        user: Option<User>,
        visit: &Visit,
    ) -> Result<T, LoginError> {
        let event = failure(action, user.as_ref(), visit);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.audit(event);
                    Ok::<(), StoreError>(())
                })
            })
            .await?;
        Err(LoginError::Wrong)
    }
}

/// What failed. What was typed as a user name is not kept: it may be a password.
fn failure(action: AuditAction, user: Option<&User>, visit: &Visit) -> AuditEvent {
    let event = AuditEvent::new(Actor::Anonymous, action).from(Some(visit.address)).refused();
    match user {
        Some(user) => event.on(&user.id).with(json!({ "enabled": user.is_enabled() })),
        None => event.with(json!({ "user": "unknown" })),
    }
}

enum Checked {
    Accepted { renewed: Option<PasswordHash> },
    Refused,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::sync::oneshot;

    use super::*;
    use crate::config::{Limits, Passwords};
    use crate::domain::audit::AuditOutcome;
    use crate::domain::clock::Clock;
    use crate::domain::grant::Grant;
    use crate::domain::ids::{OrganisationId, UserId};
    use crate::domain::once::Once;
    use crate::domain::profile::Profile;
    use crate::domain::user::Sub;
    use crate::keys::master::MasterKey;
    use crate::keys::seal::Sealer;
    use crate::services::letter_limits::LetterLimits;
    use crate::storage::tests::support::{Backend, Fixture, START};
    use crate::storage::{audit, grants, users};

    const PASSWORD: &str = "correct horse battery";

    fn letters(clock: &Clock, entropy: &Entropy) -> LetterWay {
        let sealer = Sealer::from_master(&MasterKey::generate(entropy), entropy.clone());
        LetterWay::new(false, LetterLimits::new(&Limits::default(), clock, entropy), &sealer)
    }

    struct Desk {
        fixture: Fixture,
        store: Store,
        service: LoginService,
        entropy: Entropy,
    }

    impl Desk {
        async fn open(memory_kib: u32) -> Self {
            Self::on(Backend::Sqlite, memory_kib).await
        }

        async fn on(backend: Backend, memory_kib: u32) -> Self {
            let fixture = Fixture::new(backend).await;
            let (store, clock) = (fixture.store.clone(), fixture.clock.clone());
            let entropy = Entropy::seeded(1);
            let settings =
                Passwords { memory_kib, iterations: 1, queue_deadline_ms: 60_000, ..Passwords::default() };
            let parts = LoginParts {
                hasher: PasswordHasher::start(&settings, entropy.clone()).unwrap(),
                limits: LoginLimits::new(&Limits::default(), clock.clone(), &entropy),
                devices: DeviceProof::new(&[1; 32]),
                entropy: entropy.clone(),
                notices: LogoutNotices::new(entropy.clone()),
                mail: MailService::off(),
                steps: crate::services::second_step::tests::keys(),
                passkeys: crate::services::passkeys::party::tests::party(),
                letters: letters(&clock, &entropy),
            };
            let service = LoginService::new(store.clone(), Sessions::default(), parts);
            Self { fixture, store, service, entropy }
        }

        async fn user(&self, name: &str, password: Option<&str>, disabled_at: Option<Timestamp>) -> User {
            let user = User {
                id: UserId::generate(START, &self.entropy),
                sub: Sub::generate(&self.entropy),
                organisation: OrganisationId::first(),
                username: Username::parse(name).unwrap(),
                name: String::new(),
                email: None,
                email_verified_at: None,
                created_at: START,
                disabled_at,
                profile: Profile::default(),
            };
            let hash = match password {
                Some(password) => {
                    Some(self.service.parts.hasher.hash(&Password::parse(password).unwrap()).await.unwrap())
                }
                None => None,
            };
            let stored = user.clone();
            let written: Result<(), StoreError> = self
                .store
                .write(move |tx| {
                    Box::pin(async move {
                        users::insert(tx, &stored).await?;
                        match hash {
                            Some(hash) => credentials::set_password(tx, &stored.id, &hash, START).await,
                            None => Ok(()),
                        }
                    })
                })
                .await;
            written.unwrap();
            user
        }

        fn visit(&self, session: Option<LiveSession>) -> Visit {
            Visit {
                browser: OpaqueToken::generate(TokenKind::Browser, &self.entropy),
                session,
                address: "192.0.2.1".parse().unwrap(),
                now: START,
            }
        }

        async fn sign_in(&self, name: &str, password: &str, visit: &Visit) -> Result<SignedIn, LoginError> {
            let browser = BrowserTraits { device: None, user_agent: "test" };
            let errand = Errand::default();
            let attempt = LoginAttempt { username: name, password, browser, visit, errand };
            match self.service.sign_in(attempt).await? {
                Proven::SignedIn(signed_in) => Ok(*signed_in),
                Proven::CodeNeeded(_) => panic!("these accounts have no second step"),
            }
        }

        async fn lives(&self, token: &OpaqueToken, now: Timestamp) -> bool {
            self.service.session(token, &Sender::default(), now).await.unwrap().is_some()
        }
    }

    #[tokio::test]
    async fn a_sign_in_takes_at_most_six_statements() {
        let desk = Desk::open(64).await;
        let user = desk.user("alice", Some(PASSWORD), None).await;
        let before = desk.store.statements();
        let signed_in = desk.sign_in("Alice", PASSWORD, &desk.visit(None)).await.unwrap();
        let taken = desk.store.statements() - before;
        assert!(taken <= 6, "{taken}");
        assert_eq!(signed_in.live.user, user);
        let found = desk.service.session(&signed_in.token, &Sender::default(), START).await.unwrap().unwrap();
        assert_eq!(found.session, signed_in.live.session);
        // With a session that it replaces, too.
        let before = desk.store.statements();
        desk.sign_in("alice", PASSWORD, &desk.visit(Some(found))).await.unwrap();
        let taken = desk.store.statements() - before;
        assert!(taken <= 7, "{taken}");
    }

    #[tokio::test]
    async fn whoever_fails_learns_nothing_about_why() {
        let desk = Desk::open(64).await;
        desk.user("alice", Some(PASSWORD), None).await;
        desk.user("disabled", Some(PASSWORD), Some(START)).await;
        desk.user("passwordless", None, None).await;
        // The first event after a start reads the end of the audit chain.
        let first = desk.sign_in("first", PASSWORD, &desk.visit(None)).await;
        assert!(matches!(first, Err(LoginError::Wrong)));
        let mut costs = Vec::new();
        for (name, password) in [
            ("alice", "not the password"),
            ("disabled", PASSWORD),
            ("passwordless", PASSWORD),
            ("nobody", PASSWORD),
        ] {
            let before = desk.store.statements();
            let refused = desk.sign_in(name, password, &desk.visit(None)).await;
            assert!(matches!(refused, Err(LoginError::Wrong)), "{name}");
            costs.push(desk.store.statements() - before);
        }
        assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    }

    #[tokio::test]
    async fn no_password_of_an_impossible_length_is_hashed() {
        let desk = Desk::open(64).await;
        desk.user("alice", Some(PASSWORD), None).await;
        for password in [String::new(), "short".to_owned(), "x".repeat(10 << 20)] {
            let refused = desk.sign_in("alice", &password, &desk.visit(None)).await;
            assert!(matches!(refused, Err(LoginError::Wrong)));
        }
    }

    #[tokio::test]
    async fn the_sixth_try_from_one_place_has_to_wait() {
        let desk = Desk::open(64).await;
        for _ in 0..5 {
            assert!(matches!(
                desk.sign_in("nobody", PASSWORD, &desk.visit(None)).await,
                Err(LoginError::Wrong)
            ));
        }
        let refused = desk.sign_in("nobody", PASSWORD, &desk.visit(None)).await;
        assert!(matches!(refused, Err(LoginError::Throttled(_))));
    }

    #[rstest]
    #[tokio::test]
    async fn a_new_sign_in_kills_the_token_that_the_browser_had_and_the_session_of_somebody_else(
        #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    ) {
        let desk = Desk::on(backend, 64).await;
        desk.user("alice", Some(PASSWORD), None).await;
        desk.user("bob", Some(PASSWORD), None).await;
        let first = desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
        let visit = desk.visit(Some(first.live.clone()));
        let second = desk.sign_in("alice", PASSWORD, &visit).await.unwrap();
        assert_ne!(first.token.expose(), second.token.expose());
        assert!(!desk.lives(&first.token, START).await);
        let found = desk.service.session(&second.token, &Sender::default(), START).await.unwrap().unwrap();
        assert_eq!(found.session, second.live.session);
        assert_eq!(found.session.id, first.live.session.id, "the session goes on");
        assert!(found.session.auth_time > first.live.session.auth_time);
        // The same once more, as another replica would that read the session before: one of its own.
        let third = desk.sign_in("alice", PASSWORD, &visit).await.unwrap();
        assert_ne!(third.live.session.id, first.live.session.id);
        assert!(desk.lives(&second.token, START).await && desk.lives(&third.token, START).await);
        let fourth = desk.sign_in("bob", PASSWORD, &desk.visit(Some(second.live))).await.unwrap();
        assert!(!desk.lives(&second.token, START).await, "it was somebody else's");
        assert!(desk.lives(&third.token, START).await && desk.lives(&fourth.token, START).await);
    }

    #[rstest]
    #[tokio::test]
    async fn a_session_that_ended_meanwhile_is_not_renewed(
        #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    ) {
        let desk = Desk::on(backend, 64).await;
        desk.user("alice", Some(PASSWORD), None).await;
        let first = desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
        let visit = desk.visit(Some(first.live.clone()));
        desk.service.sign_out(&visit).await.unwrap();
        let second = desk.sign_in("alice", PASSWORD, &visit).await.unwrap();
        assert_ne!(second.live.session.id, first.live.session.id);
        assert!(desk.lives(&second.token, START).await);
        let mut tx = desk.store.read().await.unwrap();
        let ended = sessions::find(&mut tx, &first.live.session.id).await.unwrap().unwrap();
        assert_eq!(ended.ended_at, Some(START));
    }

    #[tokio::test]
    async fn a_session_ends_when_nobody_uses_it_and_when_its_time_is_over() {
        let desk = Desk::open(64).await;
        desk.user("alice", Some(PASSWORD), None).await;
        let token = desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap().token;
        let hour = |hours: u64| START.plus(Duration::from_secs(hours * 3600));
        assert!(!desk.lives(&token, hour(8)).await, "idle");
        for used in [7, 14, 21] {
            assert!(desk.lives(&token, hour(used)).await, "used after {used} hours");
        }
        assert!(!desk.lives(&token, hour(24)).await, "over");
    }

    /// What somebody else does while a password is checked.
    #[derive(Clone, Copy, Debug)]
    enum Meanwhile {
        Disable,
        SetPassword,
    }

    impl Desk {
        async fn meanwhile(&self, what: Meanwhile, user: &User) {
            let other = Password::parse("another long phrase").unwrap();
            let (user, hash) = (user.clone(), self.service.parts.hasher.hash(&other).await.unwrap());
            let written: Result<(), StoreError> = self
                .store
                .write(move |tx| {
                    Box::pin(async move {
                        match what {
                            Meanwhile::Disable => {
                                let disabled = User { disabled_at: Some(START), ..user };
                                users::update(tx, &disabled).await.map(drop)
                            }
                            Meanwhile::SetPassword => {
                                credentials::set_password(tx, &user.id, &hash, START).await
                            }
                        }
                    })
                })
                .await;
            written.unwrap();
        }
    }

    #[rstest]
    #[tokio::test]
    async fn a_sign_in_that_a_change_of_the_account_overtakes_is_refused_and_leaves_nothing(
        #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
        #[values(Meanwhile::Disable, Meanwhile::SetPassword)] what: Meanwhile,
        #[values(false, true)] is_stale: bool,
    ) {
        let desk = Desk::on(backend, 64).await;
        let user = desk.user("alice", Some(PASSWORD), None).await;
        let before = desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
        let session = before.live.session.clone();
        let visit = desk.visit(Some(before.live));
        let row = credentials::for_sign_in(&mut desk.store.read().await.unwrap(), &user.username).await;
        let renewed = if is_stale {
            let password = Password::parse(PASSWORD).unwrap();
            Some(desk.service.parts.hasher.hash(&password).await.unwrap())
        } else {
            None
        };
        desk.meanwhile(what, &user).await;
        let browser = BrowserTraits { device: None, user_agent: "test" };
        let row = row.unwrap().unwrap();
        let renewed_then = renewed.clone();
        let arrival =
            Arrival { row, renewed: renewed_then, is_known: false, taken: None, browser, visit: &visit };
        let refused = desk.service.start(arrival).await;
        assert!(matches!(refused, Err(LoginError::Wrong)), "the caller is told no more than anybody else");

        let mut tx = desk.store.read().await.unwrap();
        let kept = sessions::list_by_user(&mut tx, &user.id, START, 10).await.unwrap();
        assert_eq!(kept, [session], "the session of before as it was, and no other");
        let stored = credentials::for_sign_in(&mut tx, &user.username).await.unwrap().unwrap();
        assert_ne!(stored.password, renewed, "no hash of it is kept either");
        let last = audit::list(&mut tx, None, 1).await.unwrap().remove(0).event;
        assert_eq!((last.action, last.outcome), (AuditAction::SignIn, AuditOutcome::Refused));
        assert_eq!(last.target, Some(user.id.to_string()));
    }

    #[tokio::test]
    async fn whoever_signs_out_is_signed_out_at_once() {
        let desk = Desk::open(64).await;
        desk.user("alice", Some(PASSWORD), None).await;
        let signed_in = desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
        desk.service.sign_out(&desk.visit(Some(signed_in.live))).await.unwrap();
        assert!(!desk.lives(&signed_in.token, START).await);
    }

    #[tokio::test]
    async fn a_change_of_password_ends_every_session_but_the_new_one() {
        let desk = Desk::open(64).await;
        let user = desk.user("alice", Some(PASSWORD), None).await;
        let elsewhere = desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
        let here = desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
        let (visit, new) = (desk.visit(Some(here.live.clone())), "another long phrase");
        let browser = BrowserTraits { device: Some(&here.device), user_agent: "" };
        let change = |current, new| PasswordChange { current, new, user: &user, browser, visit: &visit };
        let wrong = desk.service.change_password(change("not the password", new)).await;
        assert!(matches!(wrong, Err(LoginError::Wrong)));
        for (new, why) in [
            (PASSWORD, BadNewPassword::Same),
            ("passwordpassword", BadNewPassword::Weak(Weakness::Common)),
            ("alice-in-the-year-2026", BadNewPassword::Weak(Weakness::Personal)),
            ("short", BadNewPassword::Length(InvalidPassword::TooShort)),
        ] {
            let refused = desk.service.change_password(change(PASSWORD, new)).await;
            assert!(matches!(refused, Err(LoginError::NewPassword(found)) if found == why), "{why}");
        }
        assert!(desk.lives(&elsewhere.token, START).await);
        let changed = desk.service.change_password(change(PASSWORD, new)).await.unwrap();
        assert!(!desk.lives(&elsewhere.token, START).await);
        assert!(!desk.lives(&here.token, START).await);
        assert!(desk.lives(&changed.token, START).await);
        assert!(matches!(desk.sign_in("alice", PASSWORD, &desk.visit(None)).await, Err(LoginError::Wrong)));
        assert_eq!(desk.sign_in("alice", new, &desk.visit(None)).await.unwrap().live.user, user);
    }

    /// A password is checked and hashed for longer than a session takes to end.
    #[rstest]
    #[case::alone(false)]
    #[case::everywhere(true)]
    #[tokio::test]
    async fn whoever_was_signed_out_meanwhile_sets_no_password(
        #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
        #[case] everywhere: bool,
    ) {
        let desk = Desk::on(backend, 64).await;
        let user = desk.user("alice", Some(PASSWORD), None).await;
        let here = desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
        let ended = here.live.session.id.clone();
        let owner = user.id.clone();
        let signed_out: Result<(), StoreError> = desk
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if everywhere {
                        return sessions::end_all(tx, &owner, START).await.map(drop);
                    }
                    sessions::end(tx, &ended, START).await.map(drop)
                })
            })
            .await;
        signed_out.unwrap();
        let visit = desk.visit(Some(here.live.clone()));
        let browser = BrowserTraits { device: Some(&here.device), user_agent: "" };
        let new = "another long phrase";
        let change = PasswordChange { current: PASSWORD, new, user: &user, browser, visit: &visit };
        assert!(matches!(desk.service.change_password(change).await, Err(LoginError::Overtaken)));
        assert!(matches!(desk.sign_in("alice", new, &desk.visit(None)).await, Err(LoginError::Wrong)));
        let mut tx = desk.store.read().await.unwrap();
        assert_eq!(sessions::list_by_user(&mut tx, &user.id, START, 10).await.unwrap(), []);
        let changed = audit::list(&mut tx, None, 100).await.unwrap();
        assert!(changed.iter().all(|record| record.event.action != AuditAction::PasswordChanged));
        drop(tx);
        desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
    }

    #[tokio::test]
    async fn a_hash_made_with_other_parameters_is_made_anew_at_the_next_sign_in() {
        let desk = Desk::open(64).await;
        let user = desk.user("alice", None, None).await;
        let old = Desk::open(128).await.service.parts.hasher;
        let old = old.hash(&Password::parse(PASSWORD).unwrap()).await.unwrap();
        let id = user.id.clone();
        let stored: Result<(), StoreError> = desk
            .store
            .write(move |tx| Box::pin(async move { credentials::set_password(tx, &id, &old, START).await }))
            .await;
        stored.unwrap();
        desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
        let row =
            credentials::for_sign_in(&mut desk.store.read().await.unwrap(), &user.username).await.unwrap();
        assert!(row.unwrap().password.unwrap().as_text().contains("m=64,"));
        assert_eq!(desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap().live.user, user);
    }

    #[tokio::test]
    async fn a_password_that_changed_while_it_was_checked_signs_nobody_in() {
        let desk = Desk::open(64).await;
        let user = desk.user("alice", Some(PASSWORD), None).await;
        let checked =
            credentials::for_sign_in(&mut desk.store.read().await.unwrap(), &user.username).await.unwrap();
        let new = desk.service.parts.hasher.hash(&Password::parse("another phrase").unwrap()).await.unwrap();
        let id = user.id.clone();
        let stored: Result<(), StoreError> = desk
            .store
            .write(move |tx| Box::pin(async move { credentials::set_password(tx, &id, &new, START).await }))
            .await;
        stored.unwrap();
        let visit = desk.visit(None);
        let browser = BrowserTraits { device: None, user_agent: "" };
        let row = checked.unwrap();
        let arrival = Arrival { row, renewed: None, is_known: false, taken: None, browser, visit: &visit };
        let refused = desk.service.start(arrival).await;
        assert!(matches!(refused, Err(LoginError::Wrong)));
    }

    /// What is bought at the same moment is seen, or sees that the session ended.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_postgres_a_sign_in_of_somebody_else_ends_what_is_being_bought_with_the_session_before() {
        let desk = Desk::on(Backend::Postgres, 64).await;
        let user = desk.user("alice", Some(PASSWORD), None).await;
        desk.user("bob", Some(PASSWORD), None).await;
        let before = desk.sign_in("alice", PASSWORD, &desk.visit(None)).await.unwrap();
        let client = desk.fixture.client().await.id;
        let model = desk.fixture.grant(&client, &user.id, "openid").await;
        let grant = Grant { id: desk.fixture.id(), session: before.live.session.id.clone(), ..model };
        let (begun, has_begun) = oneshot::channel::<()>();
        let (over, is_over) = oneshot::channel::<()>();
        let (release, released) = oneshot::channel::<()>();
        let bought = grant.clone();
        let buying = desk.store.write(move |tx| {
            Box::pin(async move {
                let standing = grants::begin(tx, &bought, None, &Once::default()).await?;
                begun.send(()).unwrap();
                released.await.map_err(|_| StoreError::Busy)?;
                Ok::<_, StoreError>(standing.and_then(|standing| standing.session))
            })
        });
        let signing_in = async {
            has_begun.await.unwrap();
            let signed_in = desk.sign_in("bob", PASSWORD, &desk.visit(Some(before.live))).await;
            drop(over);
            signed_in.map(drop)
        };
        let watching = async {
            tokio::select! {
                () = desk.fixture.somebody_waits() => {}
                _ = is_over => {}
            }
            release.send(()).unwrap();
        };
        let (session, signed_in, ()) = tokio::join!(buying, signing_in, watching);
        signed_in.unwrap();
        assert_eq!(session.unwrap().unwrap().ended_at, None, "it came first");
        let kept = grants::find(&mut desk.fixture.read().await, &grant.id).await.unwrap().unwrap();
        assert_eq!(kept.revoked_at, Some(START));
    }

    /// Whoever signs in where somebody else is signed in holds both.
    #[rstest]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_postgres_who_holds_two_users_holds_them_in_one_order(
        #[values(false, true)] first_comes: bool,
    ) {
        let (gone, come) = if first_comes { (1, 0) } else { (0, 1) };
        let desk = Desk::on(Backend::Postgres, 64).await;
        let mut users =
            [desk.user("alice", Some(PASSWORD), None).await, desk.user("bob", Some(PASSWORD), None).await];
        users.sort_by(|one, other| one.id.cmp(&other.id));
        let before = desk.sign_in(users[gone].username.as_str(), PASSWORD, &desk.visit(None)).await.unwrap();
        let (held, is_held) = oneshot::channel::<()>();
        let (release, released) = oneshot::channel::<()>();
        let [first, second] = [users[0].id.clone(), users[1].id.clone()];
        let holding = desk.store.write(move |tx| {
            Box::pin(async move {
                users::hold(tx, &first).await?;
                held.send(()).unwrap();
                released.await.map_err(|_| StoreError::Busy)?;
                users::hold(tx, &second).await
            })
        });
        let signing_in = async {
            is_held.await.unwrap();
            let visit = desk.visit(Some(before.live));
            desk.sign_in(users[come].username.as_str(), PASSWORD, &visit).await.map(drop)
        };
        let watching = async {
            desk.fixture.somebody_waits().await;
            release.send(()).unwrap();
        };
        let (holding, signed_in, ()) = tokio::join!(holding, signing_in, watching);
        holding.unwrap();
        signed_in.unwrap();
    }
}
