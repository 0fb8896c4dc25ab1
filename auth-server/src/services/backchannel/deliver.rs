//! Sends logout tokens, until they are taken or given up (Back-Channel Logout §2.5, §2.8).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};
use tokio::task::JoinHandle;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::backchannel::{LogoutNotice, NoticeState};
use crate::domain::clock::Clock;
use crate::domain::issuer::Issuer;
use crate::domain::secret::Entropy;
use crate::keys::ring::KeyRing;
use crate::outbound::Outbound;
use crate::services::backchannel::{new_lease, token};
use crate::storage::logout_notices::{self, NoticeLease};
use crate::storage::{Store, StoreError};

/// Notices that are sent at one time.
const BATCH: u32 = 16;
/// How often a notice is tried before it is given up: for three to five hours.
const MAX_ATTEMPTS: u32 = 15;
/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// What a sender works with.
#[derive(Clone)]
pub(crate) struct SenderParts {
    pub(crate) store: Store,
    pub(crate) keys: KeyRing,
    pub(crate) issuer: Issuer,
    pub(crate) outbound: Outbound,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
}

/// Sends logout tokens. Clones share everything.
#[derive(Clone)]
pub(crate) struct LogoutSender {
    parts: SenderParts,
    round: Arc<Mutex<()>>,
    /// Held to read by everything that is on its way.
    flights: Arc<RwLock<()>>,
}

/// Why a client did not take a notice.
#[derive(Debug)]
enum Undelivered {
    /// It will not take it, ever.
    ForGood(String),
    /// It may take it later.
    ForNow(String),
}

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 200;

impl Undelivered {
    /// What is kept of the reason: the other side has a part in its text.
    fn shortened(self) -> Self {
        let kept = |text: String| -> String {
            text.chars().filter(|letter| !letter.is_control()).take(MAX_REASON).collect()
        };
        match self {
            Self::ForGood(reason) => Self::ForGood(kept(reason)),
            Self::ForNow(reason) => Self::ForNow(kept(reason)),
        }
    }
}

impl LogoutSender {
    pub(crate) fn new(parts: SenderParts) -> Self {
        Self { parts, round: Arc::default(), flights: Arc::default() }
    }

    /// Sends everything that is due, here or because another replica did not come to it. A client that takes its time keeps one
    /// place, and holds up nobody else.
    pub(crate) async fn deliver_due(&self) -> Result<(), StoreError> {
        let _round = self.round.lock().await;
        let mut flights = FuturesUnordered::new();
        loop {
            let room = BATCH.saturating_sub(u32::try_from(flights.len()).unwrap_or(BATCH));
            let taken = if room == 0 { None } else { self.take(room).await? };
            match taken {
                Some((lease, notices)) => flights.extend(self.start(&lease, notices).0),
                None if flights.next().await.is_none() => return Ok(()),
                None => {}
            }
        }
    }

    /// Waits until nothing is on its way any more.
    pub(crate) async fn settled(&self) {
        drop(self.flights.write().await);
    }

    async fn take(&self, room: u32) -> Result<Option<(NoticeLease, Vec<LogoutNotice>)>, StoreError> {
        let SenderParts { store, clock, entropy, .. } = &self.parts;
        let now = clock.now();
        // Looking is cheap and happens all the time; only what is there has to be written for.
        if !logout_notices::is_due(&mut store.read().await?.uncounted(), now).await? {
            return Ok(None);
        }
        let lease = new_lease(entropy, now);
        let ours = lease.clone();
        let notices = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    logout_notices::take(tx, &ours, now, room).await
                })
            })
            .await?;
        Ok((!notices.is_empty()).then_some((lease, notices)))
    }

    /// Begins to send. Nobody has to wait for it: what was begun goes on when the set is dropped.
    pub(super) fn start(&self, lease: &NoticeLease, notices: Vec<LogoutNotice>) -> Flights {
        let flight = Arc::clone(&self.flights).try_read_owned().ok().map(Arc::new);
        let begun = notices.into_iter().map(|notice| {
            let (this, lease, flight) = (self.clone(), lease.clone(), flight.clone());
            tokio::spawn(async move { this.attempt(notice, lease, flight).await })
        });
        Flights(begun.collect())
    }

    async fn attempt(
        &self,
        notice: LogoutNotice,
        lease: NoticeLease,
        flight: Option<Arc<OwnedRwLockReadGuard<()>>>,
    ) {
        let outcome = self.tell(&notice).await;
        if let Err(error) = self.settle(&notice, lease, outcome).await {
            // The lease runs out, and it is sent again.
            tracing::warn!(cause = %error, notice.id = %notice.id, "it cannot be noted that a client was told of a sign-out");
        }
        drop(flight);
    }

    async fn tell(&self, notice: &LogoutNotice) -> Result<(), Undelivered> {
        let SenderParts { store, keys, issuer, outbound, clock, entropy } = &self.parts;
        // It was sent so often, and nobody could note what came of it.
        if notice.attempts > MAX_ATTEMPTS {
            return Err(Undelivered::ForGood("what came of it could not be noted".to_owned()));
        }
        let found = store.client(&notice.client).await;
        let client = found.map_err(|error| Undelivered::ForNow(error.to_string()))?;
        let client = client.filter(|client| client.is_enabled());
        let wanted = client
            .as_ref()
            .and_then(|client| Some((client, client.settings.protocol.backchannel_logout.as_ref()?)));
        let Some((client, told)) = wanted else {
            return Err(Undelivered::ForGood("the client is not told of sign-outs any more".to_owned()));
        };
        let token = token::make((keys, issuer, entropy), notice, client, clock.now());
        let token = token.map_err(|error| Undelivered::ForNow(error.to_string()))?;
        let form =
            form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
        match outbound.post_form(&told.uri, form).await {
            // 204 is what some frameworks make of an empty 200 (§2.8).
            Ok(200 | 204) => Ok(()),
            Ok(400) => {
                Err(Undelivered::ForGood("the client refused the logout token: status 400".to_owned()))
            }
            Ok(status) => Err(Undelivered::ForNow(format!("the client answered with the status {status}"))),
            Err(error) => Err(Undelivered::ForNow(error.to_string())),
        }
    }

    /// Notes what came of an attempt.
    async fn settle(
        &self,
        notice: &LogoutNotice,
        lease: NoticeLease,
        outcome: Result<(), Undelivered>,
    ) -> Result<(), StoreError> {
        let SenderParts { store, clock, entropy, .. } = &self.parts;
        let now = clock.now();
        let outcome = outcome.map_err(Undelivered::shortened);
        let (notice, due_at) = (notice.clone(), now.plus(wait_after(notice.attempts, entropy)));
        store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    let ours = (&notice.id, &lease);
                    let reason = match outcome {
                        Ok(()) => {
                            let state = NoticeState::Delivered;
                            logout_notices::settle(tx, ours, state, None, now).await?;
                            return Ok(());
                        }
                        Err(Undelivered::ForNow(reason)) if notice.attempts < MAX_ATTEMPTS => {
                            logout_notices::put_off(tx, ours, due_at, &reason).await?;
                            return Ok(());
                        }
                        Err(Undelivered::ForNow(reason) | Undelivered::ForGood(reason)) => reason,
                    };
                    if logout_notices::settle(tx, ours, NoticeState::Failed, Some(&reason), now).await? {
                        tx.audit(undelivered(&notice, &reason));
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// What is on its way.
pub(super) struct Flights(Vec<JoinHandle<()>>);

impl Flights {
    pub(super) async fn join_all(self) {
        for flight in self.0 {
            _ = flight.await;
        }
    }
}

fn undelivered(notice: &LogoutNotice, reason: &str) -> AuditEvent {
    let detail = json!({
        "notice": notice.id.as_str(), "session": notice.session.as_str(), "attempts": notice.attempts,
        "reason": reason,
    });
    AuditEvent::new(Actor::System, AuditAction::LogoutUndelivered).on(&notice.client).refused().with(detail)
}

/// Doubling waits, each shortened at random by up to a half, so that clients that were away are not met by everything at once.
fn wait_after(attempts: u32, entropy: &Entropy) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let whole = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    let [part] = entropy.bytes::<1>();
    whole.mul_f64(1.0 - f64::from(part) / 512.0)
}

impl fmt::Debug for LogoutSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogoutSender")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_differ() {
        let entropy = Entropy::seeded(1);
        for (attempts, whole) in [(1, 5), (2, 10), (5, 80), (11, 3_600), (u32::MAX, 3_600)] {
            let whole = Duration::from_secs(whole);
            for _ in 0..100 {
                let wait = wait_after(attempts, &entropy);
                assert!(whole / 2 < wait && wait <= whole, "{attempts}: {wait:?}");
            }
        }
        let waits: Vec<_> = (0..10).map(|_| wait_after(5, &entropy)).collect();
        assert!(waits.iter().any(|wait| wait != &waits[0]), "{waits:?}");
    }
}
