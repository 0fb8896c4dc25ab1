//! Where the policy of a service is, who asks for it, and how old it may become.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

use crate::jwks::is_allowed;
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
    client_id: String,
    client_secret: String,
    poll_every: Duration,
    max_age: Duration,
    max_stale: Option<Duration>,
    records: DecisionRecords,
    plain_http: bool,
}

/// A URL that no policy is fetched from.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an https URL (http only for this machine)")]
pub struct UrlRefused(String);

impl PolicyEndpoint {
    /// The policy at `url` (`{issuer}/policies/snapshot`) for a client of the API that it is about.
    pub fn new(
        url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            poll_every: DEFAULT_POLL,
            max_age: DEFAULT_MAX_AGE,
            max_stale: None,
            records: DecisionRecords::on(),
            plain_http: false,
        }
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
        let url = Url::parse(&self.url).ok().filter(|url| is_allowed(url, self.plain_http));
        url.ok_or_else(|| UrlRefused(self.url.clone()))
    }

    /// Where the server says when the policy changed, and what was revoked: beside the policy.
    pub(crate) fn events(&self) -> Result<Url, UrlRefused> {
        self.snapshot()?.join("events").map_err(|_| UrlRefused(self.url.clone()))
    }

    /// Where the server takes what was decided: beside the policy, too.
    pub(crate) fn decisions(&self) -> Result<Url, UrlRefused> {
        self.snapshot()?.join("decisions").map_err(|_| UrlRefused(self.url.clone()))
    }

    /// Where rules are that are to be tried.
    pub(crate) fn shadow(&self) -> Result<Url, UrlRefused> {
        self.snapshot()?.join("shadow").map_err(|_| UrlRefused(self.url.clone()))
    }

    pub(crate) const fn records(&self) -> DecisionRecords {
        self.records
    }

    pub(crate) fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// Where the server is told of routes, by the digest of what it is told: beside the policy.
    pub(crate) fn routes(&self) -> Result<Url, UrlRefused> {
        self.snapshot()?.join("routes/").map_err(|_| UrlRefused(self.url.clone()))
    }

    /// How often it is asked.
    pub(crate) fn schedule(&self) -> Schedule {
        let every = self.poll_every;
        Schedule { every, first_retry: every, last_retry: every.max(Duration::from_secs(5)) }
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
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

    /// HTTP Basic with both halves form-encoded first (RFC 6749 §2.3.1).
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = format!("{}:{}", encode(&self.client_id), encode(&self.client_secret));
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for PolicyEndpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("PolicyEndpoint");
        shown.field("url", &self.url).field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_no_debug_text() {
        let endpoint = PolicyEndpoint::new("https://id.test/policies/snapshot", "orders", "s3cret");
        assert!(!format!("{endpoint:?}").contains("s3cret"));
        assert!(endpoint.authorization().unwrap().is_sensitive());
    }

    #[test]
    fn both_halves_of_the_credentials_are_form_encoded() {
        let endpoint = PolicyEndpoint::new("https://id.test", "a:b", "p %+é");
        let value = endpoint.authorization().unwrap();
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let credentials = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!(credentials, "a%3Ab:p+%25%2B%C3%A9");
    }
}
