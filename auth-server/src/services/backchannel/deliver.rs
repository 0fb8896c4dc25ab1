//! Sends logout tokens, until they are taken or given up (Back-Channel Logout §2.5, §2.8).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::backchannel::{LogoutNotice, NoticeState};
use crate::domain::clock::Clock;
use crate::domain::issuer::Issuer;
use crate::domain::secret::Entropy;
use crate::keys::ring::KeyRing;
use crate::outbound::Outbound;
use crate::services::backchannel::retry::{Flights, Undelivered, new_lease, send_due, wait_after};
use crate::services::backchannel::token;
use crate::storage::leases::Lease;
use crate::storage::logout_notices;
use crate::storage::{Store, StoreError};

/// Notices that are sent at one time.
const BATCH: u32 = 16;
/// How often a notice is tried before it is given up: for three to five hours.
const MAX_ATTEMPTS: u32 = 15;
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

impl LogoutSender {
    pub(crate) fn new(parts: SenderParts) -> Self {
        Self { parts, round: Arc::default(), flights: Arc::default() }
    }

    /// Sends everything that is due, here or because another replica did not come to it. A client that takes its time keeps one
    /// place, and holds up nobody else.
    pub(crate) async fn deliver_due(&self) -> Result<(), StoreError> {
        let _round = self.round.lock().await;
        send_due(BATCH, |room| {
            let this = self.clone();
            async move { Ok(this.take(room).await?.map(|(lease, notices)| this.start(&lease, notices))) }
        })
        .await
    }

    /// Waits until nothing is on its way any more.
    pub(crate) async fn settled(&self) {
        drop(self.flights.write().await);
    }

    async fn take(&self, room: u32) -> Result<Option<(Lease, Vec<LogoutNotice>)>, StoreError> {
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
    pub(super) fn start(&self, lease: &Lease, notices: Vec<LogoutNotice>) -> Flights {
        let flight = Arc::clone(&self.flights).try_read_owned().ok().map(Arc::new);
        let begun = notices.into_iter().map(|notice| {
            let (this, lease, flight) = (self.clone(), lease.clone(), flight.clone());
            tokio::spawn(async move { this.attempt(notice, lease, flight).await })
        });
        Flights::of(begun)
    }

    async fn attempt(
        &self,
        notice: LogoutNotice,
        lease: Lease,
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
        lease: Lease,
        outcome: Result<(), Undelivered>,
    ) -> Result<(), StoreError> {
        let SenderParts { store, clock, entropy, .. } = &self.parts;
        let now = clock.now();
        let outcome = outcome.map_err(Undelivered::shortened);
        let (notice, due_at) = (notice.clone(), now.plus(wait_after(notice.attempts, LONGEST_WAIT, entropy)));
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

fn undelivered(notice: &LogoutNotice, reason: &str) -> AuditEvent {
    let detail = json!({
        "notice": notice.id.as_str(), "session": notice.session.as_str(), "attempts": notice.attempts,
        "reason": reason,
    });
    AuditEvent::new(Actor::System, AuditAction::LogoutUndelivered).on(&notice.client).refused().with(detail)
}

impl fmt::Debug for LogoutSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogoutSender")
    }
}
