//! The one outgoing HTTP client, and its bounds.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use url::{Host, Url};

use crate::cache_control::fresh_for;

/// The longest a request may take, from connecting to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// After so long a listener begins anew, so that replicas that were added get their share.
const LISTENING: Duration = Duration::from_hours(1);

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The answer was not 200, nor 304 where that is one, and gave no reason that is told.
    #[error("the server answered {0}")]
    Status(StatusCode),
    /// The server did not want to, and said why.
    #[error("the server answered {status}: {said:?}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// The beginning of its reason.
        said: String,
    },
    /// The server says nothing.
    #[error("the server says nothing")]
    Silent,
    /// The answer was longer than such a document is.
    #[error("the answer is too long")]
    TooLong,
    /// There was no answer.
    #[error("no answer: {}", root(&**.0))]
    Transport(#[source] Box<dyn Error + Send + Sync>),
}

impl FetchError {
    /// What it is that failed is nobody's to name.
    fn transport(error: reqwest::Error) -> Self {
        Self::Transport(error.into())
    }
}

/// The innermost cause: what is around it only says that a request was sent.
fn root<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    error.source().map_or(error, root)
}

/// A URL that nothing is fetched from, and nothing sent to.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an https URL (http only for this machine)")]
pub struct UrlRefused(pub(crate) String);

/// What is asked for.
pub(crate) struct Get<'a> {
    pub(crate) url: &'a Url,
    /// What is known already.
    pub(crate) etag: Option<&'a HeaderValue>,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) max_bytes: usize,
}

/// What came back, and for how long it holds by the word of who sent it.
pub(crate) enum Fetched {
    Document { body: Bytes, etag: Option<HeaderValue>, fresh_for: Duration },
    NotModified { fresh_for: Duration },
}

/// What came of telling something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Posted {
    pub(crate) status: StatusCode,
    /// After how long to try again, if the server says it in seconds (RFC 9110 §10.2.3).
    pub(crate) retry_after: Option<Duration>,
}

/// A form that is sent, with what may come back.
pub(crate) struct Form<'a> {
    pub(crate) url: &'a Url,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) accept: HeaderValue,
    pub(crate) body: String,
    pub(crate) max_bytes: usize,
}

/// A document that came back.
pub(crate) struct Reply {
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

/// An HTTP client that follows no redirect and no proxy settings, waits and reads for so long only.
#[derive(Clone)]
pub(crate) struct Fetcher(reqwest::Client);

impl Fetcher {
    #[expect(clippy::disallowed_methods, reason = "this is the file that bounds the outgoing client")]
    pub(crate) fn new() -> Result<Self, FetchError> {
        // An error says that the process has chosen a provider already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            // A redirect would let whoever answers choose where our credentials and trust go.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(DEADLINE)
            .user_agent(concat!("portcullis-guard/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(FetchError::transport)?;
        Ok(Self(client))
    }

    pub(crate) async fn get(&self, get: Get<'_>) -> Result<Fetched, FetchError> {
        self.get_with(get, HeaderMap::new()).await
    }

    /// The same with more to say.
    pub(crate) async fn get_with(&self, get: Get<'_>, mut headers: HeaderMap) -> Result<Fetched, FetchError> {
        headers.extend(get.etag.map(|etag| (header::IF_NONE_MATCH, etag.clone())));
        headers.extend(get.authorization.map(|value| (header::AUTHORIZATION, value.clone())));
        let response =
            self.0.get(get.url.clone()).headers(headers).send().await.map_err(FetchError::transport)?;
        let fresh_for = fresh_for(response.headers());
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if get.etag.is_some() => return Ok(Fetched::NotModified { fresh_for }),
            _ => return Err(refusal(response).await),
        }
        let etag = response.headers().get(header::ETAG).cloned();
        Ok(Fetched::Document { body: read(response, get.max_bytes).await?, etag, fresh_for })
    }

    /// Sends a form, and gives the document that is the answer.
    pub(crate) async fn post_form(&self, form: Form<'_>) -> Result<Reply, FetchError> {
        let max_bytes = form.max_bytes;
        let response = self.send_form(form).await?;
        if response.status() != StatusCode::OK {
            // Its reason is not told: it may repeat the token that was asked about.
            return Err(FetchError::Status(response.status()));
        }
        let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
        Ok(Reply { content_type, body: read(response, max_bytes).await? })
    }

    /// The same where a refusal is a document, too.
    #[cfg(feature = "login")]
    pub(crate) async fn post_form_for_any(&self, form: Form<'_>) -> Result<(StatusCode, Bytes), FetchError> {
        let max_bytes = form.max_bytes;
        let response = self.send_form(form).await?;
        Ok((response.status(), read(response, max_bytes).await?))
    }

    async fn send_form(&self, form: Form<'_>) -> Result<reqwest::Response, FetchError> {
        let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, urlencoded), (header::ACCEPT, form.accept)]);
        headers.extend(form.authorization.map(|value| (header::AUTHORIZATION, value.clone())));
        let sent = self.0.post(form.url.clone()).headers(headers).body(form.body).send().await;
        sent.map_err(FetchError::transport)
    }

    /// Sends a document. What the answer says beside its status is not read.
    pub(crate) async fn post_json(
        &self,
        url: &Url,
        authorization: Option<&HeaderValue>,
        body: Vec<u8>,
    ) -> Result<Posted, FetchError> {
        let mut headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        headers.extend(authorization.map(|value| (header::AUTHORIZATION, value.clone())));
        let response = self
            .0
            .post(url.clone())
            .headers(headers)
            .body(body)
            .send()
            .await
            .map_err(FetchError::transport)?;
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let secs = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(Posted { status: response.status(), retry_after: secs.map(Duration::from_secs) })
    }

    /// Puts a JSON document at a URL, and gives the status of the answer.
    pub(crate) async fn put(
        &self,
        url: &Url,
        authorization: Option<&HeaderValue>,
        document: Bytes,
    ) -> Result<StatusCode, FetchError> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
        headers.extend(authorization.map(|value| (header::AUTHORIZATION, value.clone())));
        Ok(self
            .0
            .put(url.clone())
            .headers(headers)
            .body(document)
            .send()
            .await
            .map_err(FetchError::transport)?
            .status())
    }

    /// Begins to read an answer that does not end by itself. How long each piece of it may take is for the reader to say.
    pub(crate) async fn open(&self, url: &Url, headers: HeaderMap) -> Result<reqwest::Response, FetchError> {
        let begun = self.0.get(url.clone()).headers(headers).timeout(LISTENING).send();
        let response = tokio::time::timeout(DEADLINE, begun)
            .await
            .map_err(|_| FetchError::Silent)?
            .map_err(FetchError::transport)?;
        match response.status() {
            StatusCode::OK => Ok(response),
            other => Err(FetchError::Status(other)),
        }
    }
}

/// Reads a body that is no longer than it may be.
async fn read(mut response: reqwest::Response, max_bytes: usize) -> Result<Bytes, FetchError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(FetchError::transport)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// What can be told of an answer that is none of those hoped for: where a client is refused, servers say why (RFC 9457 §3.1, RFC 6749
/// §5.2).
async fn refusal(response: reqwest::Response) -> FetchError {
    let status = response.status();
    if !matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return FetchError::Status(status);
    }
    let said =
        read(response, MAX_REASON).await.ok().and_then(|body| serde_json::from_slice::<Reason>(&body).ok());
    match said.and_then(Reason::text) {
        Some(said) => FetchError::Refused { status, said },
        None => FetchError::Status(status),
    }
}

/// The longest document that is read for its reason, in bytes.
const MAX_REASON: usize = 16 * 1024;
/// How much of a reason is told, in characters.
const LONGEST_REASON: usize = 200;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    detail: Option<String>,
    error_description: Option<String>,
    title: Option<String>,
}

impl Reason {
    fn text(self) -> Option<String> {
        let told = [self.detail, self.error_description, self.title];
        let said = told.into_iter().flatten().find(|said| !said.trim().is_empty())?;
        Some(said.chars().take(LONGEST_REASON).collect())
    }
}

/// Whether a URL is secure, or plain `http` is allowed for it.
pub(crate) fn is_allowed(url: &Url, plain_http: bool) -> bool {
    is_secure(url) || (plain_http && url.scheme() == "http")
}

/// Reads a URL that has to be secure, unless plain `http` is allowed for it.
pub(crate) fn allowed_url(text: &str, plain_http: bool) -> Result<Url, UrlRefused> {
    let url = Url::parse(text).ok().filter(|url| is_allowed(url, plain_http));
    url.ok_or_else(|| UrlRefused(text.to_owned()))
}

/// Whether what comes from a URL can be trusted to come from there: `https`, or this machine.
pub(crate) fn is_secure(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_machine_are_secure() {
        for (url, secure) in [
            ("https://id.example.com", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]/", true),
            ("http://localhost:1", true),
            ("http://id.example.com", false),
            ("http://10.0.0.1", false),
            ("http://localhost.evil.test", false),
            ("http://127.0.0.1@evil.test", false),
            ("ftp://127.0.0.1", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_secure(&Url::parse(url).unwrap()), secure, "{url}");
        }
    }

    #[test]
    fn of_a_refusal_its_reason_is_told_as_far_as_it_is_short() {
        for (body, expected) in [
            (r#"{"title":"Forbidden","detail":"not the guard of an API"}"#, Some("not the guard of an API")),
            (r#"{"error":"invalid_client","error_description":"unknown"}"#, Some("unknown")),
            (r#"{"title":"Forbidden"}"#, Some("Forbidden")),
            (r#"{"detail":null}"#, None),
            (r#"{"detail":" ","title":"Forbidden"}"#, Some("Forbidden")),
            ("{}", None),
        ] {
            let reason: Reason = serde_json::from_str(body).unwrap();
            assert_eq!(reason.text().as_deref(), expected, "{body}");
        }
        let long = Reason { title: Some("ü".repeat(1_000)), ..Reason::default() };
        assert_eq!(long.text().unwrap().chars().count(), LONGEST_REASON);
    }
}
