//! Sends letters, until they are taken or given up.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::OwnedRwLockReadGuard;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::letter::LetterState;
use crate::mail::{Outlook, Parcel, Unsent};
use crate::services::backchannel::retry::{Flights, lease_for, send_due, shortened, wait_after};
use crate::services::mailing::{Contents, MailParts, MailService, Office, PURPOSE};
use crate::storage::StoreError;
use crate::storage::leases::Lease;
use crate::storage::mail_outbox::{self, DueLetter};

/// Letters that are sent at one time: mail servers count connections.
const BATCH: u32 = 4;
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// How often a letter is tried: more often than its time has room for, so that only one of which nothing can be noted comes to it.
const MAX_ATTEMPTS: u32 = 200;
/// How much longer than sending may take a letter stays whose it is, so that nobody sends it a second time meanwhile.
const LEEWAY: Duration = Duration::from_secs(30);

/// Why a letter did not go, and how it ends if it ends.
struct Refusal {
    reason: String,
    /// `None`: it is tried again.
    end: Option<LetterState>,
}

impl MailService {
    /// Sends everything that is due, here or because another replica did not come to it.
    pub(crate) async fn deliver_due(&self) -> Result<(), StoreError> {
        let Some(office) = &self.0 else { return Ok(()) };
        let _round = office.round.lock().await;
        send_due(BATCH, |room| {
            let office = Arc::clone(office);
            async move { Ok(office.take(room).await?.map(|(lease, letters)| office.start(&lease, letters))) }
        })
        .await
    }

    /// Waits until nothing is on its way any more.
    pub(crate) async fn settled(&self) {
        if let Some(office) = &self.0 {
            drop(office.flights.write().await);
        }
    }

    /// Whether there is anything to send, ever.
    pub(crate) const fn sends(&self) -> bool {
        self.0.is_some()
    }
}

impl Office {
    async fn take(&self, room: u32) -> Result<Option<(Lease, Vec<DueLetter>)>, StoreError> {
        let MailParts { store, clock, entropy, limits, .. } = &self.parts;
        let now = clock.now();
        // Looking is cheap and happens all the time; only what is there has to be written for.
        if !mail_outbox::is_due(&mut store.read().await?.uncounted(), now).await? {
            return Ok(None);
        }
        let lease = lease_for(limits.timeout + LEEWAY, entropy, now);
        let ours = lease.clone();
        let letters = store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    mail_outbox::take(tx, &ours, now, room).await
                })
            })
            .await?;
        Ok((!letters.is_empty()).then_some((lease, letters)))
    }

    /// Begins to send. Nobody has to wait for it: what was begun goes on when the set is dropped.
    fn start(self: &Arc<Self>, lease: &Lease, letters: Vec<DueLetter>) -> Flights {
        let flight = Arc::clone(&self.flights).try_read_owned().ok().map(Arc::new);
        let begun = letters.into_iter().map(|letter| {
            let (this, lease, flight) = (Arc::clone(self), lease.clone(), flight.clone());
            tokio::spawn(async move { this.attempt(letter, lease, flight).await })
        });
        Flights::of(begun)
    }

    async fn attempt(&self, letter: DueLetter, lease: Lease, flight: Option<Arc<OwnedRwLockReadGuard<()>>>) {
        let outcome = self.send(&letter).await;
        if let Err(refusal) = &outcome {
            tracing::warn!(letter.id = %letter.id, letter.kind = %letter.kind, cause = refusal.reason, "a letter was not sent");
        }
        if let Err(error) = self.settle(&letter, lease, outcome).await {
            // The lease runs out, and it is sent again.
            tracing::warn!(cause = %error, letter.id = %letter.id, "it cannot be noted that a letter was sent");
        }
        drop(flight);
    }

    async fn send(&self, letter: &DueLetter) -> Result<(), Refusal> {
        let MailParts { clock, sealer, mailer, .. } = &self.parts;
        if clock.now() >= letter.expires_at {
            let last = letter.last_error.as_deref().map(|last| format!(": {last}")).unwrap_or_default();
            let reason = format!("it could not be sent for as long as it was worth sending{last}");
            return Err(Refusal { reason, end: Some(LetterState::Expired) });
        }
        if letter.attempts > MAX_ATTEMPTS {
            let reason = "what came of it could not be noted".to_owned();
            return Err(Refusal { reason, end: Some(LetterState::Failed) });
        }
        let text = sealer.open(PURPOSE, letter.id.as_str().as_bytes(), &letter.sealed);
        let text = text.map_err(|error| Refusal { reason: error.to_string(), end: None })?;
        // A replica of a later version may have written it: that one can read it.
        let contents: Contents = serde_json::from_slice(&text).map_err(|_| Refusal {
            reason: "it was written by another version of this program".to_owned(),
            end: None,
        })?;
        let Contents { to, letter: said } = &contents;
        let parcel = Parcel { id: &letter.id, to, letter: said, written_at: letter.created_at };
        match mailer.send(&parcel).await {
            Ok(_) => Ok(()),
            Err(Unsent { outlook: Outlook::Hopeless, reason, .. }) => {
                Err(Refusal { reason, end: Some(LetterState::Failed) })
            }
            Err(Unsent { outlook: Outlook::Later, reason, .. }) => Err(Refusal { reason, end: None }),
        }
    }

    /// Notes what came of an attempt.
    async fn settle(
        &self,
        letter: &DueLetter,
        lease: Lease,
        outcome: Result<(), Refusal>,
    ) -> Result<(), StoreError> {
        let MailParts { store, clock, entropy, .. } = &self.parts;
        let now = clock.now();
        let again = again(letter, now.plus(wait_after(letter.attempts, LONGEST_WAIT, entropy)));
        let letter = letter.clone();
        store
            .write(move |tx| {
                Box::pin(async move {
                    tx.in_background();
                    let ours = (&letter.id, &lease);
                    let Err(Refusal { reason, end }) = outcome else {
                        return mail_outbox::settle(tx, ours, LetterState::Sent, None, now).await.map(drop);
                    };
                    let reason = shortened(&reason);
                    match end {
                        None => mail_outbox::put_off(tx, ours, again, &reason).await.map(drop),
                        Some(end) => {
                            if mail_outbox::settle(tx, ours, end, Some(&reason), now).await? {
                                tx.audit(undelivered(&letter, end, &reason));
                            }
                            Ok(())
                        }
                    }
                })
            })
            .await
    }
}

/// When a letter is tried next: at the latest when its time is over, to be given up.
fn again(letter: &DueLetter, due: Timestamp) -> Timestamp {
    due.min(letter.expires_at)
}

fn undelivered(letter: &DueLetter, end: LetterState, reason: &str) -> AuditEvent {
    let detail = json!({
        "letter": letter.id.as_str(), "kind": letter.kind, "state": end.as_str(), "attempts": letter.attempts,
        "reason": reason,
    });
    let event = AuditEvent::new(Actor::System, AuditAction::MailUndelivered).refused().with(detail);
    match &letter.user {
        Some(user) => event.on(user),
        None => event,
    }
}
