//! Requests to addresses that clients registered: one way out, and what it is bounded by.
//!
//! Whoever may register a client could otherwise have this server call what only this server reaches. So an address has to be on
//! the public internet, or be named by the operator; it is looked up once, by a resolver that gives only what may be called, and
//! what was looked up is what is called. ([Why](../../docs/adr/0014-outbound-requests.md).)

mod address;
mod document;
mod error;
mod hosts;
mod resolver;
mod rules;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trial;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub(crate) use self::document::Document;
pub(crate) use self::error::OutboundError;
use self::hosts::Hosts;
pub(crate) use self::resolver::Resolver;
use self::resolver::Screened;
pub(crate) use self::rules::Rules;
use crate::config;
use crate::domain::client_url::ClientUrl;
use crate::domain::clock::Clock;

/// What documents are asked for as.
pub(crate) const JSON: &str = "application/json";

/// The longest that a request takes, from the look-up of the name to the last byte, and the longest that it waits before that.
const DEADLINE: Duration = Duration::from_secs(5);
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// Requests of a kind at one time, to all hosts together.
const AT_ONCE: usize = 32;

/// The client of the server for addresses that its clients registered. Clones share everything.
#[derive(Clone)]
pub(crate) struct Outbound(Arc<Inner>);

struct Inner {
    rules: Rules,
    resolver: Resolver,
    authorities: Vec<reqwest::Certificate>,
    /// Built when it is needed first: most servers and nearly all commands never call anybody.
    client: OnceLock<Result<reqwest::Client, String>>,
    hosts: Arc<Hosts>,
    /// Apart from each other, so that who is slow to take forms keeps nobody from fetching.
    fetching: Semaphore,
    sending: Semaphore,
}

/// The file of certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("outbound.ca_file {file} {cause}")]
pub struct BadAuthorities {
    file: String,
    cause: String,
}

impl Outbound {
    /// What the configuration permits. No connection is made, and no name looked up.
    pub(crate) fn new(
        settings: &config::Outbound,
        resolver: Resolver,
        clock: Clock,
    ) -> Result<Self, BadAuthorities> {
        let authorities = match &settings.ca_file {
            Some(file) => authorities(file).map_err(|cause| {
                let file = file.display().to_string();
                BadAuthorities { file, cause }
            })?,
            None => Vec::new(),
        };
        Ok(Self(Arc::new(Inner {
            rules: Rules::new(&settings.allow),
            resolver,
            authorities,
            client: OnceLock::new(),
            hosts: Arc::new(Hosts::new(clock)),
            fetching: Semaphore::new(AT_ONCE),
            sending: Semaphore::new(AT_ONCE),
        })))
    }

    /// Which hosts may be called.
    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Fetches a document of at most so many bytes.
    pub(crate) async fn get(&self, url: &ClientUrl, max_bytes: usize) -> Result<Bytes, OutboundError> {
        self.fetch(url, max_bytes, JSON).await.map(|document| document.body)
    }

    /// The same of such a kind, with what its server says of it.
    pub(crate) async fn fetch(
        &self,
        url: &ClientUrl,
        max_bytes: usize,
        kind: &'static str,
    ) -> Result<Document, OutboundError> {
        let request = self.client()?.get(url.url().clone()).header("accept", kind);
        self.send(("GET", url), &self.0.fetching, async {
            let response = request.send().await.map_err(|error| OutboundError::of(&error))?;
            match response.status().as_u16() {
                200 => {
                    let headers = response.headers().clone();
                    read(response, max_bytes).await.map(|body| Document::of(&headers, body))
                }
                other => Err(OutboundError::Status(other)),
            }
        })
        .await
    }

    /// Sends a form, and gives the status of the answer.
    pub(crate) async fn post_form(&self, url: &ClientUrl, form: String) -> Result<u16, OutboundError> {
        let request = self.client()?.post(url.url().clone());
        self.post(url, request.header("content-type", "application/x-www-form-urlencoded").body(form)).await
    }

    /// Sends JSON with a bearer token, and gives the status of the answer.
    pub(crate) async fn post_json(
        &self,
        url: &ClientUrl,
        bearer: &str,
        json: String,
    ) -> Result<u16, OutboundError> {
        let request = self.client()?.post(url.url().clone()).bearer_auth(bearer);
        self.post(url, request.header("content-type", "application/json").body(json)).await
    }

    async fn post(&self, url: &ClientUrl, request: reqwest::RequestBuilder) -> Result<u16, OutboundError> {
        self.send(("POST", url), &self.0.sending, async {
            // The status says all; what else is sent is not listened to.
            let response = request.send().await.map_err(|error| OutboundError::of(&error))?;
            Ok(response.status().as_u16())
        })
        .await
    }

    async fn send<T: Reply>(
        &self,
        (method, url): (&str, &ClientUrl),
        permits: &Semaphore,
        exchange: impl Future<Output = Result<T, OutboundError>>,
    ) -> Result<T, OutboundError> {
        self.0.rules.check(url.url())?;
        let host = url.url().origin().ascii_serialization();
        let entered = async {
            let turn = Arc::clone(&self.0.hosts).enter(host, format!("{method} {}", url.as_str())).await?;
            let permit = permits.acquire().await.map_err(|_| OutboundError::Busy)?;
            Ok((turn, permit))
        };
        let (turn, _permit) = timeout(DEADLINE, entered).await.unwrap_or(Err(OutboundError::Busy))?;
        turn.begin()?;
        let outcome = timeout(DEADLINE, exchange).await.unwrap_or(Err(OutboundError::Silent));
        match &outcome {
            // That was not the other side.
            Err(OutboundError::NoTrust(_) | OutboundError::Refused(_)) => {}
            outcome => turn.end(is_alive(outcome)),
        }
        outcome
    }

    fn client(&self) -> Result<&reqwest::Client, OutboundError> {
        let built = self.0.client.get_or_init(|| {
            let screened = Screened::new(self.0.rules.clone(), self.0.resolver.clone());
            build(self.0.authorities.clone(), screened).map_err(|error| error.to_string())
        });
        built.as_ref().map_err(|error| OutboundError::NoTrust(error.clone()))
    }
}

/// Whether the other side works, whatever it thinks of the request.
fn is_alive<T: Reply>(outcome: &Result<T, OutboundError>) -> bool {
    match outcome {
        Ok(reply) => reply.status() < 500,
        Err(OutboundError::Status(status)) => *status < 500,
        Err(error) => matches!(error, OutboundError::TooLong),
    }
}

/// What an answer comes to.
trait Reply {
    fn status(&self) -> u16;
}

impl Reply for Document {
    fn status(&self) -> u16 {
        200
    }
}

impl Reply for u16 {
    fn status(&self) -> u16 {
        *self
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the file that bounds the server's outgoing client")]
fn build(
    authorities: Vec<reqwest::Certificate>,
    screened: Screened,
) -> Result<reqwest::Client, reqwest::Error> {
    // An error says that the process has chosen a provider already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder()
        // A redirect would let whoever answers choose the next address.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .http1_only()
        // A connection that is kept would be one to an address that was looked up long ago.
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_DEADLINE)
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(screened));
    if authorities.is_empty() { client.build() } else { client.tls_certs_merge(authorities).build() }
}

fn authorities(file: &std::path::Path) -> Result<Vec<reqwest::Certificate>, String> {
    let pem = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())?;
    if found.is_empty() { Err("holds no certificate in PEM form".to_owned()) } else { Ok(found) }
}

/// Reads a body that is no longer than it may be.
async fn read(mut response: reqwest::Response, max_bytes: usize) -> Result<Bytes, OutboundError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| OutboundError::of(&error))? {
        if body.len() + chunk.len() > max_bytes {
            return Err(OutboundError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("rules", &self.0.rules).finish_non_exhaustive()
    }
}
