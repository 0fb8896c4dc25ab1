//! Where the policy of a service is, who asks for it, and how old it may become.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::PolicyError;
use crate::credentials::ServiceCredentials;
use crate::fetch::{UrlRefused, allowed_url};
use crate::jwks::Trusts;
use crate::records::DecisionRecords;
use crate::schedule::Schedule;

/// How often the server is asked, unless told otherwise. The answer is nearly always "not modified".
const DEFAULT_POLL: Duration = Duration::from_secs(1);

/// How long a policy that could not be confirmed since is used, unless told otherwise: as long as the server says that it is
/// good, so that a guard that runs and one that starts from its disk agree.
const DEFAULT_MAX_AGE: Duration = Duration::from_hours(24);

/// Where a server hands out the policy of this service, and the client that asks for it.
#[derive(Clone)]
pub struct PolicyEndpoint {
    url: String,
    credentials: ServiceCredentials,
    poll_every: Duration,
    max_age: Duration,
    max_stale: Option<Duration>,
    records: DecisionRecords,
    issuer: Option<String>,
    plain_http: bool,
}

impl PolicyEndpoint {
    /// The policy at `url` (`{issuer}/policies/snapshot`) for a client of the API that it is about.
    ///
    /// The server is one of the issuers that the guard trusts: the one that is [named](Self::of_issuer), or else the only one, or the one
    /// that `url` names. No other may sign the policy. Where a guard trusts several and nothing tells, because the server has another
    /// name here, it is the one by whom the first policy that comes from there is signed.
    ///
    /// What this server says was revoked concerns the tokens of that issuer only. Until it is known which one that is, tokens of all of
    /// them are refused that have a name which was revoked.
    pub fn new(
        url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            credentials: ServiceCredentials::new(client_id, client_secret),
            poll_every: DEFAULT_POLL,
            max_age: DEFAULT_MAX_AGE,
            max_stale: None,
            records: DecisionRecords::on(),
            issuer: None,
            plain_http: false,
        }
    }

    /// Which of the issuers of the guard the server is: for where there are several and the server has another name here.
    #[must_use]
    pub fn of_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// How often the server is asked while it cannot be listened to: every second, unless set.
    #[must_use]
    pub const fn poll_every(mut self, pause: Duration) -> Self {
        self.poll_every = pause;
        self
    }

    /// How old the policy may become while the server does not confirm it: a day, unless set, which is how long its
    /// signature is good for. After that nothing is decided by it (503), except where a route [serves
    /// stale](crate::Requirement::serve_stale).
    #[must_use]
    pub const fn policy_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Answers 503 to every token when the server has not said for so long what was revoked. It speaks every second, so
    /// less than three seconds would refuse tokens for a hiccup. Unless set, tokens are good until they expire while the
    /// server is away.
    #[must_use]
    pub const fn revocations_max_stale(mut self, age: Duration) -> Self {
        self.max_stale = Some(age);
        self
    }

    /// What the server is told of the decisions that are made here.
    #[must_use]
    pub const fn decision_records(mut self, records: DecisionRecords) -> Self {
        self.records = records;
        self
    }

    /// Where the policy is.
    pub(crate) fn snapshot(&self) -> Result<Url, UrlRefused> {
        allowed_url(&self.url, self.plain_http)
    }

    /// Which issuer's it is, of those that are trusted, if that can be told.
    pub(crate) fn issuer(&self, trusts: &Trusts) -> Result<Option<usize>, PolicyError> {
        if let Some(issuer) = &self.issuer {
            let named = trusts.of(issuer).ok_or_else(|| PolicyError::NoSuchIssuer(issuer.clone()))?;
            return Ok(Some(named.0));
        }
        if trusts.names().len() == 1 {
            return Ok(Some(0));
        }
        let url = self.snapshot()?;
        let is_its_own = |issuer: &str| {
            let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
            Url::parse(&format!("{issuer}/policies/snapshot")).is_ok_and(|own| own == url)
        };
        Ok(trusts.names().iter().position(|issuer| is_its_own(issuer)))
    }

    fn beside(&self, name: &str) -> Result<Url, UrlRefused> {
        self.snapshot()?.join(name).map_err(|_| UrlRefused(self.url.clone()))
    }

    /// Where the server says when the policy changed, and what was revoked: beside the policy.
    pub(crate) fn events(&self) -> Result<Url, UrlRefused> {
        self.beside("events")
    }

    /// Where the server takes what was decided: beside the policy, too.
    pub(crate) fn decisions(&self) -> Result<Url, UrlRefused> {
        self.beside("decisions")
    }

    /// Where rules are that are to be tried.
    pub(crate) fn shadow(&self) -> Result<Url, UrlRefused> {
        self.beside("shadow")
    }

    pub(crate) const fn records(&self) -> DecisionRecords {
        self.records
    }

    pub(crate) fn client_secret(&self) -> &str {
        self.credentials.client_secret()
    }

    /// Where the server is told of routes, by the digest of what it is told: beside the policy.
    pub(crate) fn routes(&self) -> Result<Url, UrlRefused> {
        self.beside("routes/")
    }

    /// How often it is asked.
    pub(crate) fn schedule(&self) -> Schedule {
        let every = self.poll_every;
        Schedule { every, first_retry: every, last_retry: every.max(Duration::from_secs(5)) }
    }

    pub(crate) fn client_id(&self) -> &str {
        self.credentials.client_id()
    }

    pub(crate) const fn max_age(&self) -> Duration {
        self.max_age
    }

    pub(crate) const fn max_stale(&self) -> Option<Duration> {
        self.max_stale
    }

    /// Sends the client secret over plain `http` to a host that is not this machine: only for networks that
    /// nobody else is on.
    #[must_use]
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        self.credentials.authorization()
    }
}

impl fmt::Debug for PolicyEndpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("PolicyEndpoint");
        shown.field("url", &self.url).field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_no_debug_text() {
        let endpoint = PolicyEndpoint::new("https://id.test/policies/snapshot", "orders", "s3cret");
        assert!(!format!("{endpoint:?}").contains("s3cret"));
    }
}
