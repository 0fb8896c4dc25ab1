//! The routes of a service, told to the server that hands out its policy.
//!
//! The server is asked first whether it knows them, by their digest: of many replicas that start at once, one tells it.

#[cfg(feature = "axum")]
mod methods;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
#[cfg(feature = "axum")]
pub(crate) use methods::{Handlers, methods_of};
use portcullis_policy::{Route, RouteDocument, RoutesFault};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use url::Url;

use crate::clock::Clock;
use crate::fetch::{FetchError, Fetcher, Get};
use crate::policy::{PolicyEndpoint, PolicyError, Surroundings};
use crate::schedule::Schedule;

/// How long what the server knows is not asked about again: it may have been restored from a backup, or told to forget.
const CONFIRMED_FOR: Duration = Duration::from_hours(1);

/// When the server is asked after it could not be.
const SCHEDULE: Schedule = Schedule {
    every: CONFIRMED_FOR,
    first_retry: Duration::from_secs(1),
    last_retry: Duration::from_mins(5),
};

/// How often it is tried again in a row, before an hour goes by: for a quarter of an hour in all.
const TRIES: u32 = 10;

/// The routers of a service are put together one after another.
const GATHERING: Schedule = Schedule {
    every: Duration::from_secs(1),
    first_retry: Duration::from_secs(1),
    last_retry: Duration::from_secs(1),
};

/// The answer says in a few words what became of the routes.
const MAX_ANSWER: usize = 4 * 1024;

/// Checks the version of a service.
pub(crate) fn check_version(version: &str) -> Result<(), RoutesFault> {
    RouteDocument::new("-", Some(version.to_owned()), Vec::new()).check()
}

/// Tells a server of the routes of this service.
pub(crate) struct Announcer {
    server: Server,
    api: String,
    version: Option<String>,
    clock: Clock,
    /// One more than may be told, at most: then it is known that they are too many.
    routes: Mutex<BTreeSet<Route>>,
    /// Routes were added, or the guard is gone.
    changed: Arc<Notify>,
    /// Holding this makes an attempt the only one.
    settled: AsyncMutex<Option<Settled>>,
}

struct Server {
    fetcher: Fetcher,
    url: Url,
    authorization: Option<HeaderValue>,
}

/// Routes that need not be told for a while: the server knows them, or will never take them.
struct Settled {
    name: String,
    at: Duration,
}

/// Why the server was not told.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("they cannot be told: {0}")]
    Document(#[from] RoutesFault),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("they are more than {} bytes", RouteDocument::MAX_BYTES)]
    TooLong,
}

impl Announcer {
    pub(crate) fn new(
        endpoint: &PolicyEndpoint,
        version: Option<String>,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<Arc<Self>, PolicyError> {
        let server = Server {
            fetcher: surroundings.fetcher.get()?,
            url: endpoint.routes()?,
            authorization: endpoint.authorization(),
        };
        Ok(Arc::new(Self {
            server,
            api: surroundings.audience.to_owned(),
            version,
            clock: surroundings.clock.clone(),
            routes: Mutex::default(),
            changed: Arc::default(),
            settled: AsyncMutex::default(),
        }))
    }

    /// Takes note of routes. The same ones again are nothing new.
    pub(crate) fn note(&self, routes: Vec<Route>) {
        let mut known = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        for route in routes {
            if known.len() > RouteDocument::MAX_ROUTES {
                break;
            }
            known.insert(route);
        }
        if known.len() > before {
            self.changed.notify_one();
        }
    }

    /// Tells for as long as somebody holds the guard.
    pub(crate) fn spawn(self: &Arc<Self>) {
        tokio::spawn(follow(Arc::downgrade(self), Arc::clone(&self.changed)));
    }

    /// Tells the server once, unless it is known to know. False when that is worth another try.
    pub(crate) async fn announce(&self) -> bool {
        let mut settled = self.settled.lock().await;
        let (name, outcome) = match self.document() {
            Ok(None) => return true,
            Ok(Some((name, document))) => {
                if settled.as_ref().is_some_and(|known| known.holds(&name, self.clock.steady())) {
                    return true;
                }
                let outcome = self.server.tell(&name, document).await.map_err(Fault::from);
                (name, outcome)
            }
            Err(fault) => (String::new(), Err(fault)),
        };
        let is_settled = outcome.as_ref().map_or_else(Fault::is_final, |_| true);
        self.log(&name, outcome.as_ref());
        if is_settled {
            *settled = Some(Settled { name, at: self.clock.steady() });
        }
        is_settled
    }

    /// The digest and the text of the routes, if there are any.
    fn document(&self) -> Result<Option<(String, Bytes)>, Fault> {
        let routes: Vec<Route> =
            self.routes.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        if routes.is_empty() {
            return Ok(None);
        }
        let document = RouteDocument::new(&self.api, self.version.clone(), routes);
        document.check()?;
        // Texts and lists of them: there is nothing that JSON could not say.
        let text = serde_json::to_vec(&document).unwrap_or_default();
        if text.len() > RouteDocument::MAX_BYTES {
            return Err(Fault::TooLong);
        }
        Ok(Some((hex(&text), text.into())))
    }

    fn log(&self, name: &str, outcome: Result<&Announcement, &Fault>) {
        let (api, url) = (self.api.as_str(), &self.server.url);
        match outcome {
            Ok(Announcement::Anew) => {
                tracing::info!(api, routes.digest = name, "the server was told of the routes");
            }
            Ok(Announcement::Before) => {
                tracing::debug!(api, routes.digest = name, "the server knows the routes");
            }
            Err(fault) if fault.is_unheard_of() => {
                tracing::info!(api, %url, "the server keeps no list of routes");
            }
            Err(fault) if fault.is_final() => {
                tracing::warn!(api, %url, %fault, "the server does not get the routes");
            }
            Err(fault) => tracing::debug!(api, %url, %fault, "the server could not be told of the routes"),
        }
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

impl Settled {
    fn holds(&self, name: &str, now: Duration) -> bool {
        self.name == name && now.saturating_sub(self.at) < CONFIRMED_FOR
    }
}

/// What became of an announcement.
enum Announcement {
    Anew,
    Before,
}

impl Server {
    async fn tell(&self, name: &str, document: Bytes) -> Result<Announcement, FetchError> {
        // A digest is a segment of a path as it is.
        let mut url = self.url.clone();
        url.set_path(&format!("{}{name}", self.url.path()));
        let get =
            Get { url: &url, etag: None, authorization: self.authorization.as_ref(), max_bytes: MAX_ANSWER };
        match self.fetcher.get(get).await {
            Ok(_) => return Ok(Announcement::Before),
            Err(FetchError::Status(StatusCode::NOT_FOUND)) => {}
            Err(fault) => return Err(fault),
        }
        let status = self.fetcher.put(&url, self.authorization.as_ref(), document).await?;
        if status.is_success() { Ok(Announcement::Anew) } else { Err(FetchError::Status(status)) }
    }
}

impl Fault {
    /// Whether another try would end the same way.
    fn is_final(&self) -> bool {
        match self {
            Self::Document(_) | Self::TooLong => true,
            Self::Fetch(FetchError::Refused { status, .. } | FetchError::Status(status)) => {
                let passes = [
                    StatusCode::REQUEST_TIMEOUT,
                    StatusCode::TOO_MANY_REQUESTS,
                    // A secret that is being changed.
                    StatusCode::UNAUTHORIZED,
                ];
                status.is_client_error() && !passes.contains(status)
            }
            Self::Fetch(_) => false,
        }
    }

    /// Whether the server is older than this guard.
    fn is_unheard_of(&self) -> bool {
        let unheard_of = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED];
        matches!(self, Self::Fetch(FetchError::Status(status)) if unheard_of.contains(status))
    }
}

/// Tells, and tells again when routes were added or an hour went by.
async fn follow(announcer: Weak<Announcer>, changed: Arc<Notify>) {
    changed.notified().await;
    loop {
        tokio::time::sleep(GATHERING.pause(0)).await;
        let mut failures = 0;
        loop {
            let Some(strong) = announcer.upgrade() else { return };
            failures = if strong.announce().await || failures == TRIES { 0 } else { failures + 1 };
            drop(strong);
            if tokio::time::timeout(SCHEDULE.pause(failures), changed.notified()).await.is_ok() {
                break;
            }
        }
    }
}

/// SHA-256 in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_refused_with_a_reason_need_not_ask_again() {
        let refused = |status| Fault::Fetch(FetchError::Refused { status, said: "no".to_owned() }).is_final();
        assert!(refused(StatusCode::BAD_REQUEST) && refused(StatusCode::FORBIDDEN));
        assert!(!refused(StatusCode::UNAUTHORIZED), "a secret that is being changed");
    }
}
