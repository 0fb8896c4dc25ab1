//! Fetching the policy from the server that signs it, and keeping the last one.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use portcullis_policy::Options;
use tokio::sync::Mutex;
use url::Url;

use super::endpoint::PolicyEndpoint;
use super::signed::{Expected, MAX_BYTES, Opened, POLICY, SnapshotFault, open};
use super::{PolicyError, SharedPolicy, Surroundings};
use crate::clock::Clock;
use crate::disk::{Owner, Recalled, Slot};
use crate::fetch::{FetchError, Fetched, Fetcher, Get};
use crate::jwks::Trusts;
use crate::outage::{self, OutageLog, OutageReport};
use crate::revocation::Revoked;
use crate::schedule::{Confirmed, Moment};
use crate::status::{PolicyStatus, Provenance};

/// A policy elsewhere. What was taken over stays until something newer was.
pub(crate) struct RemotePolicy {
    endpoint: Endpoint,
    fetcher: Fetcher,
    proof: Arc<Proof>,
    current: SharedPolicy,
    /// What the same server says was revoked. Only the policy is signed, so it says whose server that is.
    revoked: Arc<Revoked>,
    /// What is known of the current one. Holding this makes a fetch the only one.
    held: Mutex<HeldPolicy>,
    confirmed: Confirmed,
    outage: OutageLog,
    max_age: Duration,
    slot: Option<Slot>,
}

struct Endpoint {
    url: Url,
    authorization: Option<HeaderValue>,
}

#[derive(Default)]
struct HeldPolicy {
    /// What the server calls it. The disk does not say: a policy from there is not asked about, it is fetched again.
    etag: Option<HeaderValue>,
    /// SHA-256 of what it says.
    content: Option<[u8; 32]>,
    /// The signed text, for the disk.
    signed: Option<Arc<[u8]>>,
}

/// What a snapshot is checked against, for the thread that does it.
pub(super) struct Proof {
    trusts: Arc<Trusts>,
    /// Which of them signs what the server says, once that is known.
    issuer: OnceLock<usize>,
    client_id: String,
    api: String,
    clock: Clock,
    /// How the policy is compiled.
    options: Options,
}

#[derive(Debug, thiserror::Error)]
enum PolicyFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("revision {offered} is older than {current}, which holds")]
    Older { offered: u64, current: u64 },
    #[error("revision {0} says something else than it did: was the server restored from a backup?")]
    Rewritten(u64),
    #[error(transparent)]
    Snapshot(#[from] SnapshotFault),
    #[error("it could not be compiled")]
    Compiler,
}

impl RemotePolicy {
    pub(crate) fn new(
        endpoint: &PolicyEndpoint,
        fetcher: Fetcher,
        current: SharedPolicy,
        revoked: Arc<Revoked>,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, PolicyError> {
        let url = endpoint.snapshot()?;
        let authorization = endpoint.authorization();
        let (client_id, api) = (endpoint.client_id(), surroundings.audience);
        let owner = || Owner::new("policy", [url.as_str(), client_id, api]);
        let slot = surroundings.folder.map(|folder| Slot::new(folder, owner()));
        let proof = Proof {
            trusts: Arc::clone(surroundings.trusts),
            issuer: endpoint.issuer(surroundings.trusts)?.map(OnceLock::from).unwrap_or_default(),
            client_id: client_id.to_owned(),
            api: api.to_owned(),
            clock: surroundings.clock.clone(),
            options: surroundings.compiling,
        };
        Ok(Self {
            endpoint: Endpoint { url, authorization },
            fetcher,
            proof: Arc::new(proof),
            current,
            revoked,
            held: Mutex::default(),
            confirmed: Confirmed::default(),
            outage: OutageLog::default(),
            max_age: endpoint.max_age(),
            slot,
        })
    }

    /// What anything else from this server is checked against.
    pub(super) const fn proof(&self) -> &Arc<Proof> {
        &self.proof
    }

    pub(crate) fn is_too_old(&self, moment: Moment) -> bool {
        self.confirmed.is_older_than(self.max_age, moment)
    }

    pub(crate) fn status(&self, now: Duration) -> PolicyStatus {
        let revision = self.current.revision();
        Provenance {
            source: revision.map(|_| self.confirmed.source()),
            age: self.confirmed.age(now),
            usable: revision.is_some() && !self.is_too_old(Moment::strict(now)),
        }
        .of_policy(revision)
    }

    /// Takes over what the disk holds, at the age that it has: as long as the server says nothing else.
    pub(crate) async fn recall(&self) {
        let Some(slot) = &self.slot else { return };
        let Some(Recalled { content, age }) = slot.recall(self.proof.clock.unix_secs()).await else { return };
        let mut held = self.held.lock().await;
        let opened = match self.reopen(&content).await {
            Ok(opened) => opened,
            Err(fault) => {
                tracing::warn!(file = slot.name(), %fault, "a file of the cache folder is not used");
                return;
            }
        };
        let (revision, age_secs) = (opened.snapshot.revision(), age.as_secs());
        tracing::info!(
            file = slot.name(),
            age_secs,
            policy.revision = revision,
            "policy taken from the cache folder"
        );
        if age > self.max_age {
            tracing::warn!(file = slot.name(), "it is too old except for routes that serve stale");
        }
        *held = HeldPolicy { etag: None, content: Some(opened.content), signed: Some(content) };
        self.revoked.is_told_by(opened.issuer);
        self.current.store(opened.snapshot);
        self.confirmed.recall(age, self.proof.clock.steady());
    }

    /// Waits until the disk holds what was fetched.
    pub(crate) async fn settle(&self) {
        if let Some(slot) = &self.slot {
            slot.settle().await;
        }
    }

    /// Takes note that a policy with this tag is the one in force; false when it is another one than is held.
    pub(crate) async fn confirms(&self, tag: &str) -> bool {
        let held = self.held.lock().await;
        let is_held = held.etag.as_ref().is_some_and(|etag| etag.as_bytes() == tag.as_bytes());
        if is_held {
            self.confirm(&held);
        }
        is_held
    }

    fn confirm(&self, held: &HeldPolicy) {
        let now = self.proof.clock.steady();
        self.confirmed.mark(now);
        if let Some(OutageReport { lasted, attempts }) = self.outage.ended(now) {
            tracing::info!(
                attempts,
                for_secs = lasted.as_secs(),
                policy.url = %self.endpoint.url,
                policy.revision = self.current.revision(),
                "the policy is confirmed again"
            );
        }
        if let (Some(slot), Some(signed)) = (&self.slot, &held.signed) {
            slot.keep(signed, self.proof.clock.unix_secs());
        }
    }

    /// Asks the server once.
    pub(crate) async fn refresh(&self) {
        let mut held = self.held.lock().await;
        match self.fetch(&mut held).await {
            Ok(()) => self.confirm(&held),
            Err(fault) => self.tell_failure(&fault),
        }
    }

    fn tell_failure(&self, fault: &PolicyFault) {
        let now = self.proof.clock.steady();
        let PolicyStatus { revision, age, usable, .. } = self.status(now);
        let Some(OutageReport { lasted, attempts }) = self.outage.failed(now, fault, usable) else {
            tracing::debug!(%fault, policy.revision = revision, "the policy could not be refreshed");
            return;
        };
        let left = self.confirmed.left(self.max_age, now);
        tracing::warn!(
            %fault,
            policy.url = %self.endpoint.url,
            policy.client_id = self.proof.client_id,
            policy.revision = revision,
            attempts,
            for_secs = lasted.as_secs(),
            age_secs = age.map(|age| age.as_secs()),
            serves_until = left.and_then(|left| self.proof.clock.utc_after(left)),
            "the policy could not be refreshed: {}",
            outage::consequence(usable, age),
        );
    }

    async fn fetch(&self, held: &mut HeldPolicy) -> Result<(), PolicyFault> {
        let Endpoint { url, authorization } = &self.endpoint;
        let get = Get {
            url,
            etag: held.etag.as_ref(),
            authorization: authorization.as_ref(),
            max_bytes: MAX_BYTES,
        };
        if let Fetched::Document { body, etag, .. } = self.fetcher.get(get).await? {
            let opened = self.open(body.clone()).await?;
            let (content, issuer) = (opened.content, opened.issuer);
            let vouched = self.is_vouched(held).await;
            self.take_over(opened, held, vouched)?;
            // Not by what comes from the disk: whoever could write there may have made that up.
            let _ = self.proof.issuer.set(issuer);
            self.revoked.is_told_by(issuer);
            let signed = self.slot.as_ref().map(|_| Arc::from(&*body));
            *held = HeldPolicy { etag, content: Some(content), signed };
        }
        Ok(())
    }

    /// Opens a snapshot; one by a key that is not known yet, once more after the keys were fetched.
    async fn open(&self, body: Bytes) -> Result<Opened, PolicyFault> {
        match self.open_now(body.clone(), Moment::strict).await {
            Err(PolicyFault::Snapshot(SnapshotFault::MissingKey(trust))) if trust.may_refresh() => {
                trust.refresh_for_request().await;
                self.open_now(body, Moment::strict).await
            }
            outcome => outcome,
        }
    }

    /// Opens a snapshot from the disk. Keys of any age prove it: it has an age of its own, which is what counts.
    async fn reopen(&self, signed: &[u8]) -> Result<Opened, PolicyFault> {
        self.open_now(Bytes::copy_from_slice(signed), Moment::lenient).await
    }

    /// Compiling a large policy takes tens of milliseconds, and requests are waiting for this thread.
    async fn open_now(&self, body: Bytes, moment: fn(Duration) -> Moment) -> Result<Opened, PolicyFault> {
        let proof = Arc::clone(&self.proof);
        let opening = tokio::task::spawn_blocking(move || proof.open(&body, POLICY, moment));
        Ok(opening.await.map_err(|_| PolicyFault::Compiler)??)
    }

    /// Whether a key of the issuer still proves what is held. A policy from the disk that none proves must not stand in the
    /// way of what the server says, whatever its revision: whoever could write to the folder may have made it up, together
    /// with its key.
    async fn is_vouched(&self, held: &HeldPolicy) -> bool {
        let Some(signed) = held.signed.as_ref().filter(|_| self.confirmed.is_by_disk()) else { return true };
        let outcome = self.reopen(signed).await;
        if let Err(fault) = &outcome {
            tracing::warn!(%fault, policy.revision = self.current.revision(), "the policy from the disk is replaced");
        }
        outcome.is_ok()
    }

    /// Changes over in one step, so that no request meets a guard without a policy.
    fn take_over(&self, opened: Opened, held: &HeldPolicy, vouched: bool) -> Result<(), PolicyFault> {
        let (offered, current) = (opened.snapshot.revision(), self.current.revision());
        match current.filter(|_| vouched) {
            Some(current) if offered < current => return Err(PolicyFault::Older { offered, current }),
            Some(current) if offered == current => {
                // It may be signed anew; what it says stays.
                let same = held.content.is_none_or(|content| content == opened.content);
                return if same { Ok(()) } else { Err(PolicyFault::Rewritten(current)) };
            }
            _ => {}
        }
        tracing::info!(
            policy.api = self.proof.api,
            policy.revision = offered,
            policy.rules = opened.snapshot.rule_count(),
            policy.previous = current,
            "policy in force"
        );
        self.current.store(opened.snapshot);
        Ok(())
    }
}

impl Proof {
    pub(super) fn open(
        &self,
        body: &[u8],
        kind: &str,
        moment: fn(Duration) -> Moment,
    ) -> Result<Opened, SnapshotFault> {
        let token = std::str::from_utf8(body).map_err(|_| crate::token::TokenFault::Shape)?;
        open(
            token,
            &Expected {
                kind,
                trusts: &self.trusts,
                issuer: self.issuer.get().copied(),
                client_id: &self.client_id,
                api: &self.api,
                now: self.clock.unix_secs(),
                moment: moment(self.clock.steady()),
                options: if kind == POLICY { self.options } else { Options::default() },
            },
        )
    }
}
