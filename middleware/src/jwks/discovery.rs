//! Finding an issuer's keys.

use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::metadata::{MetadataFault, MetadataPlace, NotAnIssuer};
use super::set::{JwkSet, JwksError};
use crate::fetch::{FetchError, Fetched, Fetcher, Get};

/// No key set is this long.
const MAX_BYTES: usize = 256 * 1024;

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the keys cannot be used: {0}")]
    Keys(#[from] JwksError),
    #[error(transparent)]
    Metadata(#[from] MetadataFault),
}

/// Where the keys of an issuer are, as far as it is known.
pub(crate) struct Discovery {
    metadata: MetadataPlace,
    keys: Option<Endpoint>,
}

/// What the issuer says of its keys.
pub(crate) struct Answered {
    /// The keys, or `None` if they have not changed since they were fetched last.
    pub(crate) set: Option<JwkSet>,
    /// For how long they hold, by its own word.
    pub(crate) fresh_for: Duration,
}

struct Endpoint {
    url: Url,
    etag: Option<HeaderValue>,
}

impl Discovery {
    pub(crate) fn new(issuer: &str, plain_http: bool) -> Result<Self, NotAnIssuer> {
        Ok(Self { metadata: MetadataPlace::new(issuer, plain_http)?, keys: None })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.metadata.issuer()
    }

    pub(crate) async fn fetch(&mut self, fetcher: &Fetcher) -> Result<Answered, KeysFault> {
        let outcome = self.fetch_keys(fetcher).await;
        if outcome.is_err() {
            // They may have moved: ask for the metadata again next time.
            self.keys = None;
        }
        outcome
    }

    async fn fetch_keys(&mut self, fetcher: &Fetcher) -> Result<Answered, KeysFault> {
        let mut endpoint = match self.keys.take() {
            Some(known) => known,
            None => Endpoint { url: self.find(fetcher).await?, etag: None },
        };
        let Endpoint { url, etag } = &endpoint;
        let get = Get { url, etag: etag.as_ref(), authorization: None, max_bytes: MAX_BYTES };
        let answered = match fetcher.get(get).await? {
            Fetched::Document { body, etag, fresh_for } => {
                let set = JwkSet::parse(body)?;
                endpoint.etag = etag;
                Answered { set: Some(set), fresh_for }
            }
            Fetched::NotModified { fresh_for } => Answered { set: None, fresh_for },
        };
        self.keys = Some(endpoint);
        Ok(answered)
    }

    async fn find(&self, fetcher: &Fetcher) -> Result<Url, MetadataFault> {
        self.metadata.fetch(fetcher).await?.jwks_uri()
    }
}
