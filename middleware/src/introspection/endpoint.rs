//! The endpoint that is asked about tokens (RFC 7662 §2.1).

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tokio::sync::Mutex;
use url::Url;

use crate::fetch::{FetchError, Fetcher, Form, Reply, UrlRefused, allowed_url};
use crate::jwks::{Metadata, MetadataFault, MetadataPlace};

/// The longest a question may take, a look at the metadata and the wait for that included.
const DEADLINE: Duration = Duration::from_secs(5);

/// The longest that a question waits for another look at the metadata, where the endpoint is known from before.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// The longest answer that is read: a token of 8 KiB says less.
const MAX_ANSWER: usize = 64 * 1024;

/// Why an endpoint could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the endpoint is not known: {0}")]
    Metadata(#[from] MetadataFault),
}

impl AskFault {
    /// Whether the next question would probably fare no better. An endpoint that stumbles over one token may well answer about
    /// others, and whoever made up that token must not be the end of it for everybody.
    pub(super) const fn is_lasting(&self) -> bool {
        let Self::Fetch(fault) = self else { return true };
        match fault {
            FetchError::Silent | FetchError::Transport(_) => true,
            FetchError::Refused { status, .. } | FetchError::Status(status) => !is_a_stumble(*status),
            FetchError::TooLong => false,
        }
    }
}

/// Whether an answer may be due to the token alone: what an issuer says to a form that it cannot read, or a proxy before it to a
/// body that it does not like.
const fn is_a_stumble(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            | StatusCode::INTERNAL_SERVER_ERROR
    )
}

/// Where the endpoint is.
pub(super) struct Location {
    metadata: Option<MetadataPlace>,
    /// Holding this makes a look at the metadata the only one.
    known: Mutex<Finding>,
}

/// Where it was found last.
#[derive(Default)]
struct Finding {
    url: Option<Url>,
    /// Whether it may have moved since.
    is_doubted: bool,
}

impl Location {
    pub(super) fn given(url: &str, plain_http: bool) -> Result<Self, UrlRefused> {
        let url = allowed_url(url, plain_http)?;
        Ok(Self { metadata: None, known: Mutex::new(Finding { url: Some(url), is_doubted: false }) })
    }

    pub(super) fn discovered(metadata: MetadataPlace) -> Self {
        Self { metadata: Some(metadata), known: Mutex::default() }
    }

    async fn find(&self, fetcher: &Fetcher) -> Result<Url, MetadataFault> {
        let mut known = self.known.lock().await;
        let Finding { url, is_doubted } = &mut *known;
        let looks_again = std::mem::take(is_doubted);
        let metadata = match (&*url, &self.metadata) {
            (Some(url), None) => return Ok(url.clone()),
            (Some(url), Some(_)) if !looks_again => return Ok(url.clone()),
            (_, metadata) => metadata.as_ref().ok_or(MetadataFault::Malformed)?,
        };
        let look = async { metadata.fetch(fetcher).await.and_then(Metadata::introspection_endpoint) };
        let Some(url) = url else { return Ok(url.insert(look.await?).clone()) };
        // Where nothing else is to be found, it is still where it was, more often than not.
        if let Ok(Ok(found)) = tokio::time::timeout(SECOND_LOOK, look).await {
            *url = found;
        }
        Ok(url.clone())
    }

    /// It may have moved: has the next question look at the metadata again.
    async fn doubt(&self) {
        self.known.lock().await.is_doubted = true;
    }
}

/// The endpoint, and who asks.
pub(super) struct Endpoint {
    place: Location,
    authorization: Option<HeaderValue>,
    accept: HeaderValue,
    fetcher: Fetcher,
}

impl Endpoint {
    pub(super) const fn new(
        place: Location,
        authorization: Option<HeaderValue>,
        accept: HeaderValue,
        fetcher: Fetcher,
    ) -> Self {
        Self { place, authorization, accept, fetcher }
    }

    /// Finds out where the endpoint is.
    pub(super) async fn find(&self) -> Result<(), AskFault> {
        self.place.find(&self.fetcher).await?;
        Ok(())
    }

    /// What the issuer says of a token.
    pub(super) async fn ask(&self, token: &str) -> Result<Reply, AskFault> {
        let sent = tokio::time::timeout(DEADLINE, self.send(token)).await;
        let outcome = sent.unwrap_or(Err(AskFault::Fetch(FetchError::Silent)));
        if outcome.as_ref().is_err_and(AskFault::is_lasting) {
            self.place.doubt().await;
        }
        outcome
    }

    async fn send(&self, token: &str) -> Result<Reply, AskFault> {
        let url = self.place.find(&self.fetcher).await?;
        let form = Form {
            url: &url,
            authorization: self.authorization.as_ref(),
            accept: self.accept.clone(),
            body: question(token),
            max_bytes: MAX_ANSWER,
        };
        Ok(self.fetcher.post_form(form).await?)
    }
}

fn question(token: &str) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("token", token).append_pair("token_type_hint", "access_token").finish()
}
