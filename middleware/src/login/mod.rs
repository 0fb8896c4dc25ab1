//! Sign-in for services with pages and for the backends of single-page applications: the service is a client of the issuer, keeps
//! the tokens, and gives the browser the id of a session.

mod ask;
mod attempt;
mod backchannel;
mod callback;
mod config;
mod cookies;
mod departure;
mod discovered;
mod ends;
mod entry;
mod fields;
mod id_token;
mod logout_token;
mod memory;
mod navigation;
mod page;
mod provider;
#[cfg(feature = "redis")]
mod redis;
mod renewal;
mod return_path;
mod seal;
mod session;
mod sign_out;
mod signed;
mod signed_in;
mod store;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::callback::AccessFault;
pub use self::config::{Login, LoginError};
use self::cookies::CookieNames;
use self::ends::Ends;
pub(crate) use self::entry::{Found, Sent, Ticket};
pub use self::memory::MemorySessions;
pub(crate) use self::navigation::Way;
use self::provider::Provider;
#[cfg(feature = "redis")]
pub use self::redis::{NotARedisUrl, RedisSessions};
use self::renewal::Renewals;
pub(crate) use self::session::Visit;
use self::signed::Signatures;
pub use self::signed_in::SignedIn;
pub use self::store::{SessionStore, StoreFault, StoreFuture, StoreKey, StoredSession, StoredSignIn, Term};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::outage::{CALM, OutageLog, OutageReport};
use crate::status::StoreState;

/// Sign-ins and sessions of a guard. Clones are the same.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Rules>);

struct Rules {
    provider: Provider,
    signatures: Signatures,
    request: RequestRules,
    cookies: CookieNames,
    store: Arc<dyn SessionStore>,
    lifetimes: Lifetimes,
    places: OwnPlaces,
    underway: Underway,
    clock: Clock,
    entropy: Entropy,
}

/// What is going on in this process.
#[derive(Default)]
struct Underway {
    renewals: Renewals,
    ends: Ends,
    /// That no sign-in can be begun.
    crowd: OutageLog,
    /// Sign-ins that came to nothing by what strangers, too, may come back with.
    misled: OutageLog,
    /// That the issuer, or where sessions are kept, is away. Whoever comes meanwhile has it said, and comes as often as they like.
    away: OutageLog,
}

impl Rules {
    /// Says what nobody can have at the moment, ever more rarely.
    fn say_away(&self, cause: &dyn Display, what: &str) {
        let (away, now) = (&self.underway.away, self.clock.steady());
        away.calmed(now, CALM);
        if let Some(OutageReport { attempts, .. }) = away.failed(now, &format!("{what}: {cause}"), false) {
            tracing::warn!(%cause, attempts, "{what}");
        } else {
            tracing::debug!(%cause, "{what}");
        }
    }
}

/// What authorization requests ask for.
struct RequestRules {
    scope: String,
    resource: Option<String>,
    more: Vec<(String, String)>,
}

/// How long what is kept is good for.
#[derive(Clone, Copy, Debug)]
struct Lifetimes {
    idle: Duration,
    absolute: Duration,
    /// Between the way to the issuer and the way back.
    attempt: Duration,
    /// How long an access token has to be good for yet, or another one is fetched.
    spare: Duration,
}

/// Where this service has its pages.
struct OwnPlaces {
    origin: String,
    prefix: String,
    after_logout: Option<String>,
}

impl OwnPlaces {
    /// The path of a route of the login.
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// Where somebody goes who has signed out.
    fn after_logout(&self) -> &str {
        self.after_logout.as_deref().unwrap_or("/")
    }
}

impl Sessions {
    fn rules(&self) -> &Rules {
        &self.0
    }

    /// The path of a route of the login.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.places.path(name)
    }

    /// Looks for where sessions are kept, and where people sign in. What cannot be found now is looked for again by who needs it.
    pub(crate) async fn refresh(&self) {
        if let Err(fault) = self.0.store.refresh().await {
            tracing::warn!(%fault, "nobody can sign in, and nobody is");
        }
        if let Err(fault) = self.0.provider.places().await {
            tracing::warn!(%fault, "nobody can sign in: where is not known");
        }
    }

    /// Whether the place where sessions are kept can be used.
    pub(crate) fn state(&self) -> StoreState {
        self.0.store.state()
    }

    /// Goes on looking for where sessions are kept.
    pub(crate) fn spawn_refresh(&self) {
        self.0.store.watch();
    }
}
