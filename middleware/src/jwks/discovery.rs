//! Finding an issuer's keys (OpenID Connect Discovery 1.0 §4).

use bytes::Bytes;
use http::HeaderValue;
use url::Url;

use super::set::{JwkSet, JwksError};
use crate::fetch::{FetchError, Fetched, Fetcher, Get};
use crate::input::{Bounds, read_json};

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// No metadata and no key set is this long.
const MAX_BYTES: usize = 256 * 1024;

const BOUNDS: Bounds = Bounds { depth: 16, members: 4_096 };

/// An issuer that cannot be discovered.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an issuer: an https URL without query or fragment (http only for this machine)")]
pub struct NotAnIssuer(String);

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the keys cannot be used: {0}")]
    Keys(#[from] JwksError),
    #[error("the metadata is not that of an issuer, or names keys at an insecure URL")]
    Metadata,
    /// OpenID Connect Discovery §4.3: one issuer must not speak for another.
    #[error("the metadata is that of another issuer")]
    OtherIssuer,
}

/// Where the keys of an issuer are, as far as it is known.
pub(crate) struct Discovery {
    issuer: String,
    metadata: Url,
    plain_http: bool,
    keys: Option<Endpoint>,
}

struct Endpoint {
    url: Url,
    etag: Option<HeaderValue>,
}

#[derive(serde::Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Discovery {
    pub(crate) fn new(issuer: &str, plain_http: bool) -> Result<Self, NotAnIssuer> {
        let refused = || NotAnIssuer(issuer.to_owned());
        let url = Url::parse(issuer).map_err(|_| refused())?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !plain || url.password().is_some() || !super::is_allowed(&url, plain_http) {
            return Err(refused());
        }
        // §4.1: a slash at the end of the issuer goes before the path is added.
        let metadata = format!("{}{WELL_KNOWN}", issuer.trim_end_matches('/'));
        let metadata = Url::parse(&metadata).map_err(|_| refused())?;
        Ok(Self { issuer: issuer.to_owned(), metadata, plain_http, keys: None })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys, or `None` if they have not changed since they were fetched last.
    pub(crate) async fn fetch(&mut self, fetcher: &Fetcher) -> Result<Option<JwkSet>, KeysFault> {
        let outcome = self.fetch_keys(fetcher).await;
        if outcome.is_err() {
            // They may have moved: ask for the metadata again next time.
            self.keys = None;
        }
        outcome
    }

    async fn fetch_keys(&mut self, fetcher: &Fetcher) -> Result<Option<JwkSet>, KeysFault> {
        let mut endpoint = match self.keys.take() {
            Some(known) => known,
            None => Endpoint { url: self.fetch_metadata(fetcher).await?, etag: None },
        };
        let Endpoint { url, etag } = &endpoint;
        let get = Get { url, etag: etag.as_ref(), authorization: None, max_bytes: MAX_BYTES };
        let set = match fetcher.get(get).await? {
            Fetched::Document { body, etag } => {
                let set = JwkSet::parse(body)?;
                endpoint.etag = etag;
                Some(set)
            }
            Fetched::NotModified => None,
        };
        self.keys = Some(endpoint);
        Ok(set)
    }

    async fn fetch_metadata(&self, fetcher: &Fetcher) -> Result<Url, KeysFault> {
        let get = Get { url: &self.metadata, etag: None, authorization: None, max_bytes: MAX_BYTES };
        match fetcher.get(get).await? {
            Fetched::Document { body, .. } => self.jwks_uri(&body),
            Fetched::NotModified => Err(KeysFault::Metadata),
        }
    }

    fn jwks_uri(&self, body: &Bytes) -> Result<Url, KeysFault> {
        read_json(body, BOUNDS, |_, _| ()).map_err(|_| KeysFault::Metadata)?;
        let Metadata { issuer, jwks_uri } = serde_json::from_slice(body).map_err(|_| KeysFault::Metadata)?;
        if issuer != self.issuer {
            return Err(KeysFault::OtherIssuer);
        }
        let jwks_uri = Url::parse(&jwks_uri).map_err(|_| KeysFault::Metadata)?;
        super::is_allowed(&jwks_uri, self.plain_http).then_some(jwks_uri).ok_or(KeysFault::Metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwks_uri(metadata: &str) -> Result<String, String> {
        let discovery = Discovery::new("https://id.test", false).unwrap();
        let found = discovery.jwks_uri(&Bytes::copy_from_slice(metadata.as_bytes()));
        found.map(String::from).map_err(|fault| fault.to_string())
    }

    #[test]
    fn metadata_is_looked_for_below_the_issuer() {
        for (issuer, metadata) in [
            ("https://id.test", "https://id.test/.well-known/openid-configuration"),
            ("https://id.test/", "https://id.test/.well-known/openid-configuration"),
            ("https://id.test/realm", "https://id.test/realm/.well-known/openid-configuration"),
        ] {
            assert_eq!(Discovery::new(issuer, false).unwrap().metadata.as_str(), metadata);
        }
        for issuer in
            ["", "id.test", "http://id.test", "https://id.test?x", "https://id.test#x", "https://u:p@id.test"]
        {
            assert_eq!(Discovery::new(issuer, false).err().map(|refused| refused.0).as_deref(), Some(issuer));
        }
        assert_eq!(
            Discovery::new("http://id.test", true).unwrap().metadata.as_str(),
            "http://id.test/.well-known/openid-configuration"
        );
    }

    #[test]
    fn metadata_of_another_issuer_or_with_insecure_keys_is_refused() {
        assert_eq!(
            jwks_uri(r#"{"issuer":"https://id.test","jwks_uri":"https://id.test/jwks"}"#).as_deref(),
            Ok("https://id.test/jwks")
        );
        for other in [
            r#"{"issuer":"https://id.test/","jwks_uri":"https://id.test/jwks"}"#,
            r#"{"issuer":"https://evil.test","jwks_uri":"https://id.test/jwks"}"#,
        ] {
            assert_eq!(jwks_uri(other), Err(KeysFault::OtherIssuer.to_string()), "{other}");
        }
        for bad in [
            r#"{"issuer":"https://id.test","jwks_uri":"http://id.test/jwks"}"#,
            r#"{"issuer":"https://id.test","jwks_uri":"file:///etc/passwd"}"#,
            r#"{"issuer":"https://id.test","issuer":"https://id.test","jwks_uri":"https://id.test/jwks"}"#,
            r#"{"issuer":"https://id.test"}"#,
            "<html>",
        ] {
            assert_eq!(jwks_uri(bad), Err(KeysFault::Metadata.to_string()), "{bad}");
        }
    }
}
