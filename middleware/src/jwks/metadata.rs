//! What an issuer says about itself (OpenID Connect Discovery 1.0 §4, RFC 8414 §3).

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::StatusCode;
use url::Url;

use crate::fetch::{FetchError, Fetched, Fetcher, Get, allowed_url, is_allowed};
use crate::input::{Bounds, read_json};

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// No metadata is this long.
const MAX_BYTES: usize = 256 * 1024;

const BOUNDS: Bounds = Bounds { depth: 16, members: 4_096 };

/// An issuer that cannot be discovered.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an issuer: an https URL without query or fragment (http only for this machine)")]
pub struct NotAnIssuer(String);

/// Why metadata is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the {0} of the metadata is not at an https URL")]
    Insecure(&'static str),
    #[error("the metadata is not that of an issuer")]
    Malformed,
    #[error("the metadata names no {0}")]
    Missing(&'static str),
    #[error("there is no metadata, neither at {OPENID} nor at {OAUTH}")]
    Nowhere,
    /// OpenID Connect Discovery §4.3: one issuer must not speak for another.
    #[error(
        "the metadata is that of {named:?}, and not of {expected:?}: an issuer is named by the very same text everywhere"
    )]
    OtherIssuer { named: String, expected: String },
}

/// Where the metadata of an issuer is: one of two places.
pub(crate) struct MetadataPlace {
    issuer: String,
    /// That of an OpenID provider, below the issuer.
    openid: Url,
    /// That of an authorization server, which need know nothing of OpenID.
    oauth: Url,
    /// Which of them had it last, so that nobody has to ask both again.
    is_oauth: AtomicBool,
    plain_http: bool,
}

/// What an issuer says about itself. Each endpoint is looked at by whoever needs it: one that is of no use stands in nobody
/// else's way.
pub(crate) struct Metadata {
    document: Document,
    #[cfg(feature = "login")]
    body: Bytes,
    transport: Transport,
}

/// By what the endpoints of an issuer may be reached.
#[derive(Clone, Copy)]
enum Transport {
    /// An issuer that is somewhere else sends nobody to this machine without TLS.
    Https,
    /// The issuer is on this machine itself, or plain http is allowed everywhere.
    HttpToo { everywhere: bool },
}

/// Where people sign in and out.
#[cfg(feature = "login")]
pub(crate) struct SignInPlaces {
    pub(crate) authorization: Url,
    pub(crate) token: Url,
    pub(crate) end_session: Option<Url>,
    pub(crate) revocation: Option<Url>,
    /// Whether answers to authorization requests name the issuer (RFC 9207 §3).
    pub(crate) names_itself: bool,
}

/// What the metadata says of that. It is read apart, so that whoever needs the keys alone does not fail over it.
#[cfg(feature = "login")]
#[derive(serde::Deserialize)]
struct SignInDocument {
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(serde::Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<String>,
    introspection_endpoint: Option<String>,
}

impl MetadataPlace {
    fn transport(&self) -> Transport {
        if self.openid.scheme() == "https" && !self.plain_http {
            Transport::Https
        } else {
            Transport::HttpToo { everywhere: self.plain_http }
        }
    }

    pub(crate) fn new(issuer: &str, plain_http: bool) -> Result<Self, NotAnIssuer> {
        let refused = || NotAnIssuer(issuer.to_owned());
        let url = Url::parse(issuer).map_err(|_| refused())?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !plain || url.password().is_some() || !is_allowed(&url, plain_http) {
            return Err(refused());
        }
        // §4.1: a slash at the end of the issuer goes before the path is added.
        let openid = format!("{}{OPENID}", issuer.trim_end_matches('/'));
        let openid = Url::parse(&openid).map_err(|_| refused())?;
        // RFC 8414 §3.1: the same slash goes, and the path of the issuer comes last.
        let mut oauth = url.clone();
        oauth.set_path(&format!("{OAUTH}{}", url.path().trim_end_matches('/')));
        Ok(Self { issuer: issuer.to_owned(), openid, oauth, is_oauth: AtomicBool::new(false), plain_http })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The metadata, from where it was found last; from the other place if there is none, or none any more.
    ///
    /// Only an issuer that says that a place does not exist is asked at the other one. One that has trouble, says no or answers
    /// something else has said nothing about where its metadata is: what holds is what is known.
    pub(crate) async fn fetch(&self, fetcher: &Fetcher) -> Result<Metadata, MetadataFault> {
        let was_oauth = self.is_oauth.load(Ordering::Relaxed);
        match self.fetch_from(was_oauth, fetcher).await {
            Err(fault) if fault.is_absence() => {}
            outcome => return outcome,
        }
        let metadata = match self.fetch_from(!was_oauth, fetcher).await {
            Err(fault) if fault.is_absence() => return Err(MetadataFault::Nowhere),
            outcome => outcome?,
        };
        self.is_oauth.store(!was_oauth, Ordering::Relaxed);
        Ok(metadata)
    }

    async fn fetch_from(&self, oauth: bool, fetcher: &Fetcher) -> Result<Metadata, MetadataFault> {
        let url = if oauth { &self.oauth } else { &self.openid };
        let get = Get { url, etag: None, authorization: None, max_bytes: MAX_BYTES };
        match fetcher.get(get).await? {
            Fetched::Document { body, .. } => self.read(&body),
            Fetched::NotModified { .. } => Err(MetadataFault::Malformed),
        }
    }

    fn read(&self, body: &Bytes) -> Result<Metadata, MetadataFault> {
        read_json(body, BOUNDS, |_, _| ()).map_err(|_| MetadataFault::Malformed)?;
        let document: Document = serde_json::from_slice(body).map_err(|_| MetadataFault::Malformed)?;
        if document.issuer != self.issuer {
            let named = document.issuer.chars().take(200).collect();
            return Err(MetadataFault::OtherIssuer { named, expected: self.issuer.clone() });
        }
        Ok(Metadata {
            document,
            #[cfg(feature = "login")]
            body: body.clone(),
            transport: self.transport(),
        })
    }
}

impl MetadataFault {
    /// Whether the issuer says that there is nothing at the place that it was asked at (RFC 9110 §15.5.5, §15.5.11).
    const fn is_absence(&self) -> bool {
        matches!(self, Self::Fetch(FetchError::Status(StatusCode::NOT_FOUND | StatusCode::GONE)))
    }
}

impl Metadata {
    /// Where the keys are.
    pub(crate) fn jwks_uri(self) -> Result<Url, MetadataFault> {
        endpoint("jwks_uri", self.document.jwks_uri, self.transport)
    }

    /// Where the issuer is asked about tokens (RFC 8414 §2).
    pub(crate) fn introspection_endpoint(self) -> Result<Url, MetadataFault> {
        endpoint("introspection_endpoint", self.document.introspection_endpoint, self.transport)
    }

    /// Where people sign in and out. What they can do without is left out where it is of no use.
    #[cfg(feature = "login")]
    pub(crate) fn sign_in(&self) -> Result<SignInPlaces, MetadataFault> {
        let document: SignInDocument =
            serde_json::from_slice(&self.body).map_err(|_| MetadataFault::Malformed)?;
        let place = |name, text| endpoint(name, text, self.transport);
        Ok(SignInPlaces {
            authorization: place("authorization_endpoint", document.authorization_endpoint)?,
            token: place("token_endpoint", document.token_endpoint)?,
            end_session: place("end_session_endpoint", document.end_session_endpoint).ok(),
            revocation: place("revocation_endpoint", document.revocation_endpoint).ok(),
            names_itself: document.authorization_response_iss_parameter_supported,
        })
    }
}

fn endpoint(name: &'static str, text: Option<String>, transport: Transport) -> Result<Url, MetadataFault> {
    let text = text.ok_or(MetadataFault::Missing(name))?;
    let url = match transport {
        Transport::Https => allowed_url(&text, false).ok().filter(|url| url.scheme() == "https"),
        Transport::HttpToo { everywhere } => allowed_url(&text, everywhere).ok(),
    };
    url.ok_or(MetadataFault::Insecure(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metadata: &str) -> Result<Metadata, MetadataFault> {
        let place = MetadataPlace::new("https://id.test", false).unwrap();
        place.read(&Bytes::copy_from_slice(metadata.as_bytes()))
    }

    fn jwks_uri(metadata: &str) -> Result<String, String> {
        read(metadata).and_then(Metadata::jwks_uri).map(String::from).map_err(|fault| fault.to_string())
    }

    #[test]
    fn metadata_is_looked_for_below_the_issuer_and_with_its_path_inserted() {
        for (issuer, openid, oauth) in [
            (
                "https://id.test",
                "/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server",
            ),
            (
                "https://id.test/",
                "/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server",
            ),
            (
                "https://id.test/realm",
                "/realm/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/realm",
            ),
            (
                "https://id.test/a%20b/realm/",
                "/a%20b/realm/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/a%20b/realm",
            ),
        ] {
            let place = MetadataPlace::new(issuer, false).unwrap();
            assert_eq!(place.openid.as_str(), format!("https://id.test{openid}"));
            assert_eq!(place.oauth.as_str(), format!("https://id.test{oauth}"));
        }
        for issuer in
            ["", "id.test", "http://id.test", "https://id.test?x", "https://id.test#x", "https://u:p@id.test"]
        {
            assert_eq!(
                MetadataPlace::new(issuer, false).err().map(|refused| refused.0).as_deref(),
                Some(issuer)
            );
        }
        assert_eq!(
            MetadataPlace::new("http://id.test", true).unwrap().openid.as_str(),
            "http://id.test/.well-known/openid-configuration"
        );
    }

    #[test]
    fn metadata_of_another_issuer_or_with_insecure_endpoints_is_refused() {
        assert_eq!(
            jwks_uri(r#"{"issuer":"https://id.test","jwks_uri":"https://id.test/jwks"}"#).as_deref(),
            Ok("https://id.test/jwks")
        );
        for other in [
            r#"{"issuer":"https://id.test/","jwks_uri":"https://id.test/jwks"}"#,
            r#"{"issuer":"https://evil.test","jwks_uri":"https://id.test/jwks"}"#,
        ] {
            let refused = jwks_uri(other).unwrap_err();
            assert!(
                refused.starts_with("the metadata is that of \"https://")
                    && refused.contains(", and not of \"https://id.test\""),
                "{refused}"
            );
        }
        for insecure in [
            "http://id.test/jwks",
            "http://127.0.0.1:6379/",
            "http://localhost/jwks",
            "file:///etc/passwd",
            "jwks",
        ] {
            let metadata = format!(r#"{{"issuer":"https://id.test","jwks_uri":"{insecure}"}}"#);
            assert_eq!(
                jwks_uri(&metadata),
                Err(MetadataFault::Insecure("jwks_uri").to_string()),
                "{metadata}"
            );
        }
        for bad in [
            r#"{"issuer":"https://id.test","issuer":"https://id.test","jwks_uri":"https://id.test/jwks"}"#,
            r#"{"jwks_uri":"https://id.test/jwks"}"#,
            "<html>",
        ] {
            assert_eq!(jwks_uri(bad), Err(MetadataFault::Malformed.to_string()), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_that_is_of_no_use_stands_in_nobody_elses_way() {
        let metadata = r#"{"issuer":"https://id.test","jwks_uri":"https://id.test/jwks","introspection_endpoint":"http://id.test"}"#;
        assert_eq!(jwks_uri(metadata).as_deref(), Ok("https://id.test/jwks"));
        let fault = read(metadata).and_then(Metadata::introspection_endpoint).unwrap_err();
        assert_eq!(fault.to_string(), "the introspection_endpoint of the metadata is not at an https URL");
    }

    #[test]
    fn an_endpoint_that_is_not_there_is_called_by_its_name() {
        let bare = r#"{"issuer":"https://id.test"}"#;
        assert_eq!(jwks_uri(bare), Err("the metadata names no jwks_uri".to_owned()));
        let fault = read(bare).and_then(Metadata::introspection_endpoint).unwrap_err();
        assert_eq!(fault.to_string(), "the metadata names no introspection_endpoint");
    }
}
