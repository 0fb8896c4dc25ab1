//! Where the issuer has people sign in, as its metadata says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::fetch::{FetchError, Fetcher};
use crate::jwks::{MetadataFault, MetadataPlace, SignInPlaces};

/// How long places are taken for known, and how long while the issuer does not say them again.
const FRESH: Duration = Duration::from_mins(10);
const STALE: Duration = Duration::from_hours(24);
/// After so long an issuer that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(30);
/// And where nothing is known yet, so that nobody can sign in.
const COLD_PAUSE: Duration = Duration::from_secs(1);

/// Where people sign in, looked for now and then. Clones are the same.
#[derive(Clone)]
pub(super) struct Discovered(Arc<Search>);

struct Search {
    place: MetadataPlace,
    fetcher: Fetcher,
    clock: Clock,
    findings: Mutex<Findings>,
}

/// What is known.
#[derive(Default)]
struct Findings {
    places: Option<Arc<SignInPlaces>>,
    /// When the issuer said so last.
    said: Duration,
    /// When to look again, whatever came of it.
    due: Duration,
    /// Open while somebody looks.
    look: Option<watch::Receiver<()>>,
}

impl Findings {
    fn usable(&self, now: Duration) -> Option<Arc<SignInPlaces>> {
        self.places.clone().filter(|_| now.saturating_sub(self.said) < STALE)
    }
}

/// What is to be done for who asks.
enum Turn {
    Look(Look),
    Wait(watch::Receiver<()>),
}

/// A look at the metadata. However it ends, whoever waits for it goes on.
struct Look {
    search: Arc<Search>,
    _over: watch::Sender<()>,
}

impl Drop for Look {
    fn drop(&mut self) {
        self.search.findings().look = None;
    }
}

impl Discovered {
    pub(super) fn new(place: MetadataPlace, (fetcher, clock): (Fetcher, Clock)) -> Self {
        Self(Arc::new(Search { place, fetcher, clock, findings: Mutex::default() }))
    }

    pub(super) fn issuer(&self) -> &str {
        self.0.place.issuer()
    }

    /// Where people sign in and out. When it is time to look again, one looks, and goes on when nobody waits any more. The others go by
    /// what is known; where nothing is, they wait for what comes of it.
    pub(super) async fn places(&self) -> Result<Arc<SignInPlaces>, MetadataFault> {
        // Whoever waited for somebody else's look, which came to nothing, does not wait for one more.
        let nothing = || MetadataFault::Fetch(FetchError::Silent);
        let turn = match self.0.turn() {
            Ok(known) => return known.ok_or_else(nothing),
            Err(turn) => turn,
        };
        match turn {
            Turn::Look(look) => tokio::spawn(look.take()).await.unwrap_or_else(|_| Err(nothing())),
            Turn::Wait(mut look) => {
                // It is never sent, and closed when it is over.
                let _ = look.changed().await;
                self.0.findings().usable(self.0.clock.steady()).ok_or_else(nothing)
            }
        }
    }
}

impl Search {
    /// What is known, if that is to do; or whose turn it is to look.
    fn turn(self: &Arc<Self>) -> Result<Option<Arc<SignInPlaces>>, Turn> {
        let now = self.clock.steady();
        let mut findings = self.findings();
        let usable = findings.usable(now);
        if now < findings.due {
            return Ok(usable);
        }
        match &findings.look {
            Some(_) if usable.is_some() => Ok(usable),
            Some(look) => Err(Turn::Wait(look.clone())),
            None => {
                let (over, look) = watch::channel(());
                findings.look = Some(look);
                drop(findings);
                Err(Turn::Look(Look { search: Arc::clone(self), _over: over }))
            }
        }
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    async fn take(self) -> Result<Arc<SignInPlaces>, MetadataFault> {
        let Search { place, fetcher, clock, .. } = &*self.search;
        let outcome = place.fetch(fetcher).await.and_then(|metadata| metadata.sign_in()).map(Arc::new);
        let now = clock.steady();
        let mut findings = self.search.findings();
        let fault = match outcome {
            Ok(places) => {
                findings.places = Some(Arc::clone(&places));
                (findings.said, findings.due) = (now, now.saturating_add(FRESH));
                return Ok(places);
            }
            Err(fault) => fault,
        };
        let usable = findings.usable(now);
        findings.due = now.saturating_add(if usable.is_some() { PAUSE } else { COLD_PAUSE });
        drop(findings);
        if usable.is_some() {
            tracing::warn!(issuer = place.issuer(), %fault, "where people sign in could not be asked for: what is known serves on");
        }
        usable.ok_or(fault)
    }
}
