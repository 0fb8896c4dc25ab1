//! Rules that the server wants tried: fetched when it says that there are others, and dropped when it says that there are none.
//!
//! Nothing waits for them, least of all what was revoked: who hears the server leaves word, and a task of its own follows.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{Mutex, watch};
use url::Url;

use super::endpoint::PolicyEndpoint;
use super::remote::Proof;
use super::signed::{MAX_BYTES, Opened, SHADOW, SnapshotFault};
use crate::fetch::{FetchError, Fetched, Fetcher, Get, UrlRefused};
use crate::records::OnTrial;
use crate::schedule::Moment;

/// What is tried here, if anything is.
pub(crate) struct Trial {
    url: Url,
    authorization: Option<HeaderValue>,
    fetcher: Fetcher,
    proof: Arc<Proof>,
    /// Whether it is not to be told who asked.
    pseudonymous: bool,
    current: ArcSwapOption<OnTrial>,
    /// What the server wants tried, as it said last.
    wanted: watch::Sender<Option<String>>,
    /// What the server called the rules that were asked for last, used or not. Holding this makes a fetch the only one.
    asked: Mutex<Option<String>>,
}

#[derive(Debug, thiserror::Error)]
enum TrialFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotFault),
    #[error("it could not be compiled")]
    Compiler,
    #[error("it has no name")]
    Unnamed,
}

impl Trial {
    pub(crate) fn new(
        endpoint: &PolicyEndpoint,
        fetcher: &Fetcher,
        proof: &Arc<Proof>,
    ) -> Result<Self, UrlRefused> {
        Ok(Self {
            url: endpoint.shadow()?,
            authorization: endpoint.authorization(),
            fetcher: fetcher.clone(),
            proof: Arc::clone(proof),
            pseudonymous: endpoint.records().pseudonymous,
            current: ArcSwapOption::empty(),
            wanted: watch::Sender::new(None),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn current(&self) -> Option<Arc<OnTrial>> {
        self.current.load_full()
    }

    /// Leaves word that the server wants the rules with this tag tried, or none. Saying it again has them asked for again if they
    /// could not be fetched.
    pub(crate) fn want(&self, tag: Option<String>) {
        self.wanted.send_replace(tag);
    }

    /// Follows for as long as somebody holds the guard.
    pub(crate) fn spawn(self: &Arc<Self>) {
        tokio::spawn(follow(Arc::downgrade(self), self.wanted.subscribe()));
    }

    /// Does what the server said last, and gives up on what it said before.
    pub(crate) async fn catch_up(&self) {
        let mut said = self.wanted.subscribe();
        loop {
            let tag = said.borrow_and_update().clone();
            tokio::select! {
                () = self.take_over(tag.as_deref()) => return,
                _ = said.wait_for(|last| *last != tag) => {}
            }
        }
    }

    /// Tries the rules with this tag, or none. Rules that cannot be used are asked for once; those that cannot be fetched, again.
    async fn take_over(&self, tag: Option<&str>) {
        let mut asked = self.asked.lock().await;
        if asked.as_deref() == tag {
            return;
        }
        if tag.is_none() {
            *asked = None;
            self.current.store(None);
            return;
        }
        match self.fetch().await {
            Ok(on_trial) => {
                // Signed anew, they are the same.
                if self.current().is_none_or(|known| known.name != on_trial.name) {
                    tracing::info!(policy.shadow = on_trial.name, "rules on trial");
                    self.current.store(Some(Arc::new(on_trial)));
                }
            }
            Err(TrialFault::Fetch(fault)) => {
                tracing::debug!(%fault, "the rules on trial could not be fetched");
                return;
            }
            Err(fault) => {
                tracing::warn!(%fault, "the rules on trial cannot be used");
                self.current.store(None);
            }
        }
        *asked = tag.map(str::to_owned);
    }

    async fn fetch(&self) -> Result<OnTrial, TrialFault> {
        let get = Get {
            url: &self.url,
            etag: None,
            authorization: self.authorization.as_ref(),
            max_bytes: MAX_BYTES,
        };
        let body = match self.fetcher.get(get).await? {
            Fetched::Document { body, .. } => body,
            Fetched::NotModified { .. } => Bytes::new(),
        };
        let proof = Arc::clone(&self.proof);
        let opening = tokio::task::spawn_blocking(move || proof.open(&body, SHADOW, Moment::strict));
        let Opened { snapshot, name, .. } = opening.await.map_err(|_| TrialFault::Compiler)??;
        Ok(OnTrial::new(name.ok_or(TrialFault::Unnamed)?, snapshot, self.pseudonymous))
    }
}

async fn follow(trial: Weak<Trial>, mut said: watch::Receiver<Option<String>>) {
    loop {
        let Some(trial) = trial.upgrade() else { return };
        trial.catch_up().await;
        drop(trial);
        if said.changed().await.is_err() {
            return;
        }
    }
}
