//! Requests as they are: no redirect is followed, no cookie is kept, no proxy is asked.

use std::sync::Once;

use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode, redirect};
use serde_json::Value;
use url::Url;

/// Makes an HTTP client.
///
/// # Panics
///
/// When the client cannot be built, which only a broken build of it could cause.
pub fn agent() -> Client {
    agent_with(|client| client)
}

/// Makes an HTTP client that the test configures further.
///
/// # Panics
///
/// When the client cannot be built so.
#[expect(clippy::disallowed_methods, reason = "this is the one place that makes clients for tests")]
pub fn agent_with(configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Another test of the same process may have installed it through the server.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy();
    configure(client).build().expect("the client can be built")
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Where it came from.
    pub url: Url,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Sends a request and reads the answer.
    ///
    /// # Panics
    ///
    /// When no answer arrives: the server under test always gives one.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        Self::read(response).await.expect("the body arrives")
    }

    /// Sends a request to a server that may vanish: `None` when no whole answer arrives.
    pub async fn try_to(request: RequestBuilder) -> Option<Self> {
        Self::read(request.send().await.ok()?).await.ok()
    }

    async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let (status, headers, url) = (response.status(), response.headers().clone(), response.url().clone());
        let body = response.bytes().await?.to_vec();
        Ok(Self { status, headers, url, body })
    }

    /// The value of a header; empty when it is absent or not text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{} {}: no JSON ({error}): {}", self.url, self.status, self.text())
        })
    }

    /// The `error` member of an OAuth refusal; empty when there is none.
    pub fn error(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        value.get("error").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The kind of a problem document, as the end of its `type` names it, if its status is the one of the answer.
    ///
    /// # Panics
    ///
    /// When it is no problem document, or says another status.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let (document, whole) = (self.json(), self.member("type"));
        let status = document.get("status").and_then(Value::as_u64);
        assert_eq!(status, Some(u64::from(self.status.as_u16())), "{document}");
        whole.strip_prefix("urn:portcullis:problem:").unwrap_or_else(|| panic!("{document}")).to_owned()
    }

    /// A text member of a JSON body; empty when there is none.
    pub fn member(&self, name: &str) -> String {
        self.json().get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Where a redirect leads.
    pub fn location(&self) -> Option<Url> {
        let target = self.headers.get("location")?.to_str().ok()?;
        self.url.join(target).ok()
    }

    /// Every `Set-Cookie` line.
    pub fn cookies(&self) -> Vec<String> {
        let lines = self.headers.get_all(SET_COOKIE).iter();
        lines.filter_map(|line| line.to_str().ok()).map(str::to_owned).collect()
    }
}
