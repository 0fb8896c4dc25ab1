//! Tells clients that somebody decided ([CIBA §10.2]), until they hear it or there is nothing left to ask for.
//!
//! What a client is told lies sealed beside its request. The process in which somebody decides tells at once; what is not taken then is
//! told again by whichever replica comes to it.
//!
//! [CIBA §10.2]: https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#ping_callback

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use zeroize::Zeroizing;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ciba::{CibaSettings, NotificationToken};
use crate::domain::client_url::ClientUrl;
use crate::domain::clock::Clock;
use crate::domain::ids::{CibaRequestId, ClientId};
use crate::domain::secret::{Entropy, OpaqueToken};
use crate::keys::seal::Sealer;
use crate::outbound::Outbound;
use crate::services::backchannel::retry::{Flights, Undelivered, new_lease, send_due, wait_after};
use crate::storage::ciba_requests::{self, Ping};
use crate::storage::leases::Lease;
use crate::storage::{Store, StoreError};

/// Pings that are sent at one time.
const BATCH: u32 = 16;
/// The longest wait between two tries: what is told lives for minutes.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// What a ping is sealed for.
const PURPOSE: &str = "ping of a CIBA request";

/// What a sender works with.
pub(crate) struct PingParts {
    pub(crate) store: Store,
    pub(crate) sealer: Sealer,
    pub(crate) outbound: Outbound,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
}

/// Sends pings. Clones share everything.
#[derive(Clone)]
pub(crate) struct PingSender {
    parts: Arc<PingParts>,
    /// Held to read by everything that is on its way.
    flights: Arc<RwLock<()>>,
}

/// What is sealed: both are secrets.
#[derive(Deserialize, Serialize)]
struct Sealed<'a> {
    auth_req_id: &'a str,
    token: &'a str,
}

impl PingSender {
    pub(crate) fn new(parts: PingParts) -> Self {
        Self { parts: Arc::new(parts), flights: Arc::default() }
    }

    /// What a client is to be told, as it is kept.
    pub(super) fn sealed(
        &self,
        id: &CibaRequestId,
        auth_req_id: &OpaqueToken,
        token: &NotificationToken,
    ) -> Vec<u8> {
        let what = Sealed { auth_req_id: auth_req_id.expose(), token: token.expose() };
        let text = Zeroizing::new(json!(what).to_string());
        self.parts.sealer.seal(PURPOSE, id.as_str().as_bytes(), text.as_bytes())
    }

    /// Sends what is due, and does not wait for it.
    pub(super) fn wake(&self) {
        let (this, flight) = (self.clone(), self.flight());
        drop(tokio::spawn(async move {
            if let Err(error) = this.deliver_due().await {
                // It stays due.
                tracing::warn!(cause = %error, "clients cannot be told of decisions at present");
            }
            drop(flight);
        }));
    }

    /// Sends everything that is due, here or because another replica did not come to it.
    pub(crate) async fn deliver_due(&self) -> Result<(), StoreError> {
        send_due(BATCH, |room| {
            let this = self.clone();
            async move { Ok(this.take(room).await?.map(|(lease, pings)| this.start(&lease, pings))) }
        })
        .await
    }

    fn start(&self, lease: &Lease, pings: Vec<Ping>) -> Flights {
        Flights::of(pings.into_iter().map(|ping| {
            let (this, lease, flight) = (self.clone(), lease.clone(), self.flight());
            tokio::spawn(async move { this.attempt(ping, lease, flight).await })
        }))
    }

    /// Waits until nothing is on its way any more.
    pub(crate) async fn settled(&self) {
        drop(self.flights.write().await);
    }

    fn flight(&self) -> Option<OwnedRwLockReadGuard<()>> {
        Arc::clone(&self.flights).try_read_owned().ok()
    }

    async fn take(&self, room: u32) -> Result<Option<(Lease, Vec<Ping>)>, StoreError> {
        let PingParts { store, clock, entropy, .. } = &*self.parts;
        let now = clock.now();
        // Looking is cheap and happens all the time; only what is there has to be written for.
        if !ciba_requests::ping_is_due(&mut store.read().await?.uncounted(), now).await? {
            return Ok(None);
        }
        let lease = new_lease(entropy, now);
        let ours = lease.clone();
        let pings = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    ciba_requests::take_pings(tx, &ours, now, room).await
                })
            })
            .await?;
        Ok((!pings.is_empty()).then_some((lease, pings)))
    }

    async fn attempt(&self, ping: Ping, lease: Lease, flight: Option<OwnedRwLockReadGuard<()>>) {
        let outcome = self.tell(&ping).await;
        if let Err(error) = self.settle(&ping, lease, outcome).await {
            // The lease runs out, and it is sent again.
            tracing::warn!(cause = %error, request.id = %ping.id, "it cannot be noted that a client was told of a decision");
        }
        drop(flight);
    }

    async fn tell(&self, ping: &Ping) -> Result<(), Undelivered> {
        if self.parts.clock.now() >= ping.expires_at {
            return Err(Undelivered::ForGood("the request expired before the client was told".to_owned()));
        }
        let endpoint = self.endpoint(&ping.client).await?;
        let damaged = || Undelivered::ForGood("what the client is to be told cannot be opened".to_owned());
        let text = self.parts.sealer.open(PURPOSE, ping.id.as_str().as_bytes(), &ping.sealed);
        let text = Zeroizing::new(text.map_err(|_| damaged())?);
        let told: Sealed<'_> = serde_json::from_slice(&text).map_err(|_| damaged())?;
        let body = json!({ "auth_req_id": told.auth_req_id }).to_string();
        match self.parts.outbound.post_json(&endpoint, told.token, body).await {
            Ok(200 | 204) => Ok(()),
            Ok(status @ (408 | 425 | 429 | 500..)) => {
                Err(Undelivered::ForNow(format!("the client answered with the status {status}")))
            }
            // A redirect is followed nowhere, and no client may answer with one.
            Ok(status) => Err(Undelivered::ForGood(format!("the client answered with the status {status}"))),
            Err(error) => Err(Undelivered::ForNow(error.to_string())),
        }
    }

    /// Where the client wants to be told, as it is registered now.
    async fn endpoint(&self, client: &ClientId) -> Result<ClientUrl, Undelivered> {
        let found = self.parts.store.client(client).await;
        let client = found.map_err(|error| Undelivered::ForNow(error.to_string()))?;
        let client = client.filter(|client| client.is_enabled());
        let settings = client.as_ref().and_then(|client| client.settings.protocol.openid.ciba.as_ref());
        let endpoint = settings.and_then(CibaSettings::endpoint).cloned();
        endpoint
            .ok_or_else(|| Undelivered::ForGood("the client is not told of decisions any more".to_owned()))
    }

    /// Notes what came of an attempt.
    async fn settle(
        &self,
        ping: &Ping,
        lease: Lease,
        outcome: Result<(), Undelivered>,
    ) -> Result<(), StoreError> {
        let PingParts { store, clock, entropy, .. } = &*self.parts;
        let due_at = clock.now().plus(wait_after(ping.attempts, LONGEST_WAIT, entropy));
        let (ping, outcome) = (ping.clone(), outcome.map_err(Undelivered::shortened));
        store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    let reason = match outcome {
                        Ok(()) => None,
                        // After that there is nothing to ask for.
                        Err(Undelivered::ForNow(_)) if due_at < ping.expires_at => {
                            ciba_requests::put_off_ping(tx, &ping.id, &lease, due_at).await?;
                            return Ok(());
                        }
                        Err(Undelivered::ForNow(reason) | Undelivered::ForGood(reason)) => Some(reason),
                    };
                    let is_ours = ciba_requests::settle_ping(tx, &ping.id, &lease).await?;
                    if let Some(reason) = reason.filter(|_| is_ours) {
                        tx.audit(undelivered(&ping, &reason));
                    }
                    Ok(())
                })
            })
            .await
    }
}

fn undelivered(ping: &Ping, reason: &str) -> AuditEvent {
    let detail = json!({ "request": ping.id, "attempts": ping.attempts, "reason": reason });
    AuditEvent::new(Actor::System, AuditAction::CibaPingUndelivered).on(&ping.client).refused().with(detail)
}

impl fmt::Debug for PingSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PingSender")
    }
}
