//! New access tokens for sessions: by one refresh token at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio::sync::watch;

use super::Sessions;
use super::ask::Ask;
use super::id_token::{self, Expected, IdTokenFault, Who};
use super::provider::Tokens;
use super::seal::Handle;
use super::session::{HeldTokens, Session, Visit};
use super::signed::SignedFault;
use super::store::{StoreFault, StoreKey, StoredSession, Term};

/// For how long the others leave it to the replica that began. It takes five seconds at most, unless it ended meanwhile.
const TURN: Duration = Duration::from_secs(20);

/// How often, and after which pause, another replica is looked to.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// For how long nobody asks for a new token before the old one has ended, after that failed.
const REST: Duration = Duration::from_secs(5);

/// How often a store is told of new tokens, which are nowhere else.
const TRIES: u32 = 3;

/// What came of it.
#[derive(Clone)]
pub(super) enum Outcome {
    Renewed(Arc<Visit>),
    /// There is no session any more.
    Ended,
    /// The issuer or the store does not answer.
    Away,
}

type Awaited = watch::Receiver<Option<Outcome>>;
type Open = HashMap<StoreKey, Awaited, RandomState>;

/// The renewals of this process.
#[derive(Default)]
pub(super) struct Renewals {
    /// Those that are on their way: one for each session.
    open: Arc<Mutex<Open>>,
    /// When one failed last, by the steady clock.
    failed: Mutex<Option<Duration>>,
}

impl Renewals {
    /// Whether one failed so recently that those which have time are put off.
    pub(super) fn rest(&self, now: Duration) -> bool {
        lock(&self.failed).is_some_and(|then| now.saturating_sub(then) < REST)
    }
}

/// Takes a renewal off the list, however it ends.
struct Landing {
    key: StoreKey,
    open: Arc<Mutex<Open>>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    /// Renews the access token of a session, once for all who wait for it.
    ///
    /// It goes on when nobody waits any more: the issuer may have spent the refresh token already, and what came for it must not
    /// be lost.
    pub(super) async fn renewed(&self, visit: &Visit) -> Outcome {
        let mut awaited = self.renewal(visit.handle, visit.version);
        let outcome = awaited.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or(Outcome::Away)
    }

    fn renewal(&self, handle: Handle, version: u64) -> Awaited {
        let open = &self.rules().underway.renewals.open;
        let key = handle.key();
        let mut list = lock(open);
        if let Some(awaited) = list.get(&key) {
            return awaited.clone();
        }
        let (done, awaited) = watch::channel(None);
        list.insert(key, awaited.clone());
        drop(list);
        let landing = Landing { key, open: Arc::clone(open) };
        let sessions = self.clone();
        tokio::spawn(async move {
            let outcome = sessions.renew_in_turn(handle, version).await;
            // First off the list, then tell: whoever comes in between finds what was stored.
            drop(landing);
            let _ = done.send(Some(outcome));
        });
        awaited
    }

    /// Renews once it is the turn of this replica, unless another one has by then.
    async fn renew_in_turn(&self, handle: Handle, version: u64) -> Outcome {
        let store = &self.rules().store;
        let turn = StoreKey::of("renewal", &[handle.key().as_bytes(), &version.to_be_bytes()]);
        for _ in 0..LOOKS {
            let term = Term::of(self.rules().clock.unix_secs(), TURN);
            let is_ours = store.claim(turn, term).await;
            match (is_ours, self.look_up(handle).await) {
                (Ok(_), Ok(None)) => return Outcome::Ended,
                (Ok(_), Ok(Some((visit, _)))) if visit.version != version => {
                    return Outcome::Renewed(Arc::new(Visit { is_renewed: true, ..visit }));
                }
                (Ok(true), Ok(Some((visit, _)))) => return self.renew(visit, turn).await,
                (Ok(false), Ok(Some(_))) => tokio::time::sleep(PAUSE).await,
                (Err(_), _) | (_, Err(_)) => return Outcome::Away,
            }
        }
        Outcome::Away
    }

    async fn renew(&self, visit: Visit, turn: StoreKey) -> Outcome {
        let rules = self.rules();
        let Some(refresh) = visit.session.tokens.refresh.clone() else {
            return self.ended(visit.handle).await;
        };
        match rules.provider.renew(&refresh).await {
            Ok(tokens) => self.take_over(visit, tokens).await.unwrap_or(Outcome::Away),
            Err(fault) if fault.is_final() => {
                tracing::info!(%fault, "a session ends: its refresh token is refused");
                self.ended(visit.handle).await
            }
            Err(fault) => {
                rules.say_away(&fault, "the access token of a session could not be renewed");
                *lock(&rules.underway.renewals.failed) = Some(rules.clock.steady());
                // Whoever is next need not wait for the end of the turn.
                let _ = rules.store.release(turn).await;
                Outcome::Away
            }
        }
    }

    async fn ended(&self, handle: Handle) -> Outcome {
        let ended = self.end(handle).await;
        ended.map_or(Outcome::Away, |()| Outcome::Ended)
    }

    /// Keeps new tokens in the place of the old ones, unless the session was ended meanwhile.
    async fn take_over(&self, visit: Visit, tokens: Tokens) -> Result<Outcome, StoreFault> {
        let rules = self.rules();
        let Visit { session, handle, version, entered, .. } = visit;
        let session = match self.replaced(session, tokens).await {
            Ok(session) => session,
            Err(fault) => {
                tracing::warn!(%fault, "a session ends: a renewal brought an ID token that is refused");
                return Ok(self.ended(handle).await);
            }
        };
        let now = rules.clock.unix_secs();
        let stored = StoredSession {
            sealed: handle.seal(&session, &rules.entropy).ok_or(StoreFault::Away)?,
            version: version.saturating_add(1),
            names: Vec::new(),
            until_secs: self.idle_end(now, session.ends_at),
        };
        if !self.stored(handle, &stored, now).await? {
            // Another replica took this one for dead and was faster; or the session was ended meanwhile.
            if let Some((visit, _)) = self.look_up(handle).await? {
                return Ok(Outcome::Renewed(Arc::new(Visit { is_renewed: true, ..visit })));
            }
            if let Some(refresh) = &session.tokens.refresh {
                rules.provider.revoke(refresh).await;
            }
            return Ok(Outcome::Ended);
        }
        Ok(Outcome::Renewed(Arc::new(Visit {
            session,
            handle,
            version: stored.version,
            is_renewed: true,
            entered,
        })))
    }

    async fn stored(&self, handle: Handle, stored: &StoredSession, now: u64) -> Result<bool, StoreFault> {
        let store = &self.rules().store;
        let mut outcome = store.replace(handle.key(), stored.clone(), now).await;
        for _ in 1..TRIES {
            if outcome != Err(StoreFault::Away) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            outcome = match store.replace(handle.key(), stored.clone(), now).await {
                // It may have been done the first time, and the answer lost.
                Ok(false) => store
                    .find(handle.key(), now)
                    .await
                    .map(|it| it.as_ref().map(|it| &it.sealed) == Some(&stored.sealed)),
                other => other,
            };
        }
        outcome
    }

    /// The session with its new tokens. An ID token among them has to speak of the same person (OpenID Connect Core §12.2).
    async fn replaced(&self, session: Session, tokens: Tokens) -> Result<Session, IdTokenFault> {
        let rules = self.rules();
        let now = rules.clock.unix_secs();
        let Session { tokens: before, mut who, ask, opened_at, ends_at } = session;
        let mut id = before.id.clone();
        if let Some(id_token) = &tokens.id_token {
            let expected = Expected {
                client_id: rules.provider.client.id(),
                nonce: None,
                access_token: &tokens.access_token,
                ask: &Ask::default(),
            };
            match id_token::verify(&rules.signatures, id_token, &expected).await {
                Ok(again) if again.sub != who.sub => return Err(IdTokenFault::OtherSubject),
                Ok(again) => {
                    // The issuer ends it by the name that it had. Of the sign-in it may say nothing new.
                    let auth_time = again.auth_time.or(who.auth_time);
                    who = Who { auth_time, acr: again.acr.or(who.acr), ..who };
                    id.clone_from(id_token);
                }
                Err(IdTokenFault::Signed(SignedFault::Unavailable)) => {}
                Err(fault) => return Err(fault),
            }
        }
        let tokens = HeldTokens::of(tokens, id, Some(before), now);
        Ok(Session { tokens, who, ask, opened_at, ends_at })
    }
}
