//! What runs beside the requests.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::administration::Administration;
use crate::app::ground::Ground;
use crate::app::tls::Spoken;
use crate::jobs::Runner;
use crate::keys::ring::KeyRing;
use crate::services::backchannel::LogoutSender;
use crate::services::ciba::ping::PingSender;
use crate::services::client_auth::uses::SecretUses;
use crate::services::mailing::MailService;
use crate::services::policies::live::AdminPolicy;
use crate::services::policies::notes::DecisionNotes;
use crate::services::revocation_feed::RevocationFeed;
use crate::storage::Store;

/// How often it is looked at whether a signing key is due.
const TEND_KEYS_EVERY: Duration = Duration::from_mins(1);
/// How soon it is looked again when the database did not answer.
const TEND_KEYS_AGAIN: Duration = Duration::from_secs(5);
/// The same for revocations, which are promised within two seconds.
const READ_AGAIN: Duration = Duration::from_millis(500);
/// How often the policy of the admin API is read although nobody said that it changed.
const READ_POLICY_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked for clients that are to be told of sign-outs, or of decisions, and for letters. The first time clients are
/// told at once.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// How often it is looked whether there is another certificate.
const READ_CERTIFICATE_EVERY: Duration = Duration::from_secs(10);

/// How often it is written what this server decided itself: so much is lost when it is killed.
const RECORD_EVERY: Duration = Duration::from_secs(5);
/// How long a stop waits for the last of it.
const RECORD_WITHIN: Duration = Duration::from_secs(5);

/// Starts it; it runs until the set is dropped.
pub(super) fn start(
    ground: &Ground,
    administration: &Administration,
    (logouts, pings): (&LogoutSender, &PingSender),
) -> JoinSet<()> {
    let Ground { clock, entropy, keys, store, .. } = ground;
    let mut tasks = JoinSet::new();
    tasks.spawn(tend_keys(keys.clone(), store.clone()));
    let jobs = Runner::new(store.clone(), clock.clone(), entropy.clone(), administration.policies.clone())
        .keep_records(ground.config.journal.records.keep_days)
        .tell(ground.mail.clone());
    tasks.spawn(jobs.run(std::future::pending()));
    tasks.spawn(follow_revocations(administration.distribution.feed.clone(), store.clone()));
    tasks.spawn(record_decisions(administration.distribution.decisions.notes().clone()));
    ground.notices.attend(logouts.clone());
    tasks.spawn(tell_of_sign_outs(logouts.clone()));
    tasks.spawn(tell_of_decisions(pings.clone()));
    if ground.mail.sends() {
        tasks.spawn(send_letters(ground.mail.clone()));
    }
    tasks.spawn(follow_policy(administration.console.policy.clone(), store.clone()));
    tasks
}

/// Keeps the keys in step with the schedule and with other replicas: at once, since a key may have been made or withdrawn since
/// they were loaded, when anything changes, and after a while.
async fn tend_keys(keys: KeyRing, store: Store) {
    let mut epochs = store.invalidations();
    loop {
        let wait = match keys.tend().await {
            Ok(()) => TEND_KEYS_EVERY,
            Err(error) => {
                tracing::error!(cause = %error, "the signing keys could not be looked after; the ones in memory stay");
                TEND_KEYS_AGAIN
            }
        };
        if !heard_or_after(&mut epochs, wait).await {
            return;
        }
    }
}

/// Reads what was revoked, on whatever replica, as soon as it is heard of; again after a while, since a reading may fail.
async fn follow_revocations(feed: RevocationFeed, store: Store) {
    let mut raised = store.revocations();
    loop {
        let wait = match feed.refresh().await {
            Ok(()) => READ_POLICY_EVERY,
            Err(error) => {
                tracing::error!(cause = %error, "revocations could not be read; services hear of them later");
                READ_AGAIN
            }
        };
        if !heard_or_after(&mut raised, wait).await {
            return;
        }
    }
}

/// Takes over the policy of the admin API when somebody activates a revision, on whatever replica. It is read at the start,
/// since one may have been activated since it was loaded, and again after a while, since a reading may fail.
async fn follow_policy(policy: AdminPolicy, store: Store) {
    let mut epochs = store.invalidations();
    loop {
        if let Err(error) = policy.refresh().await {
            tracing::error!(cause = %error, "the policy of the admin API could not be read; the one in force stays");
        }
        if !heard_or_after(&mut epochs, READ_POLICY_EVERY).await {
            return;
        }
    }
}

/// Tells clients again that did not listen, and those that another process left.
async fn tell_of_sign_outs(logouts: LogoutSender) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        if let Err(error) = logouts.deliver_due().await {
            tracing::warn!(cause = %error, "clients cannot be told of sign-outs at present");
        }
    }
}

/// The same for decisions that clients asked people for.
async fn tell_of_decisions(pings: PingSender) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        if let Err(error) = pings.deliver_due().await {
            tracing::warn!(cause = %error, "clients cannot be told of decisions at present");
        }
    }
}

/// The same for letters to people.
async fn send_letters(mail: MailService) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        if let Err(error) = mail.deliver_due().await {
            tracing::warn!(cause = %error, "letters cannot be sent at present");
        }
    }
}

/// Writes now and then what was decided.
async fn record_decisions(notes: DecisionNotes) {
    loop {
        tokio::time::sleep(RECORD_EVERY).await;
        if let Err(error) = notes.flush().await {
            tracing::warn!(cause = %error, "decisions could not be recorded; they are kept for the next time");
        }
    }
}

/// Writes what was decided since, when no more requests come.
pub(super) async fn record_the_last(notes: &DecisionNotes) {
    let cause = match tokio::time::timeout(RECORD_WITHIN, notes.flush()).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(elapsed) => elapsed.to_string(),
    };
    tracing::warn!(cause, "the last decisions could not be recorded");
}

/// Takes over another certificate when the files of it change. One that cannot be used leaves the one before in force.
pub(super) async fn follow_certificate(tls: Spoken) {
    if !tls.is_any() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(READ_CERTIFICATE_EVERY).await;
        match tls.refresh() {
            Ok(true) => tracing::info!("the certificate was replaced"),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(cause = %error, "the new certificate cannot be used; the one before stays");
            }
        }
    }
}

/// Writes now and then when secrets of clients were used.
pub(super) async fn note_uses(uses: SecretUses) {
    loop {
        tokio::time::sleep(RECORD_EVERY).await;
        if let Err(error) = uses.flush().await {
            tracing::warn!(cause = %error, "uses of secrets could not be noted; they are kept for the next time");
        }
    }
}

/// The same when no more requests come.
pub(super) async fn note_the_last_uses(uses: &SecretUses) {
    if !matches!(tokio::time::timeout(RECORD_WITHIN, uses.flush()).await, Ok(Ok(()))) {
        tracing::warn!("the last uses of secrets could not be noted");
    }
}

/// Waits until something is heard, at most for a while; false when nobody is left who could say anything.
async fn heard_or_after(news: &mut watch::Receiver<u64>, wait: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => true,
        heard = news.changed() => heard.is_ok(),
    }
}
