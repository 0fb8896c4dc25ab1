//! The issuer: the public name of this server, and the root of its addresses.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::domain::rbac::Audience;

/// The issuer identifier ([RFC 8414 §2]): `https`, or plain `http` on a loopback host.
///
/// [RFC 8414 §2]: https://www.rfc-editor.org/rfc/rfc8414#section-2
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Issuer {
    text: String,
    origin: String,
    path: String,
    loopback: bool,
}

/// Why a text cannot be the issuer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IssuerError {
    /// It has a query or a fragment.
    #[error("the issuer must not have a query or a fragment")]
    HasQueryOrFragment,
    /// It carries a user name or password.
    #[error("the issuer must not carry a user name or password")]
    HasUserInfo,
    /// It is not an absolute http or https URL.
    #[error("the issuer must be an absolute URL such as https://login.example.org")]
    NotAbsolute,
    /// It is not written the way everybody compares it.
    #[error(
        "the issuer must be written in its normal form: lower-case host, no default port, no trailing slash, no dot segments"
    )]
    NotNormal,
    /// Plain `http` on a public host.
    #[error(
        "the issuer must use https: over plain http everybody on the way reads tokens and passwords (http is accepted for localhost, 127.0.0.1 and [::1])"
    )]
    PlainHttp,
}

impl Issuer {
    /// Accepts an issuer.
    pub fn parse(raw: &str) -> Result<Self, IssuerError> {
        let url = Url::parse(raw).map_err(|_| IssuerError::NotAbsolute)?;
        let loopback = is_loopback(&url).ok_or(IssuerError::NotAbsolute)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(IssuerError::HasQueryOrFragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(IssuerError::HasUserInfo);
        }
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(IssuerError::PlainHttp),
            _ => return Err(IssuerError::NotAbsolute),
        }
        let text = url.as_str().trim_end_matches('/');
        if raw != text {
            return Err(IssuerError::NotNormal);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let origin = url.origin().ascii_serialization();
        Ok(Self { text: text.to_owned(), origin, path, loopback })
    }

    /// The address of `path` (which starts with a slash) below the issuer.
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// The issuer as text: the `iss` of tokens.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether somebody means it who writes scheme and host as they like (RFC 3986 §6.2.2.1).
    pub fn is_meant_by(&self, raw: &str) -> bool {
        raw == self.text || Audience::plain(raw).is_some_and(|plain| plain == self.text)
    }

    /// Scheme, host and port, as an `Origin` header has them.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The name or address of the machine, without a port.
    pub fn host(&self) -> &str {
        let authority = self.origin.split_once("://").map_or(self.origin.as_str(), |(_, rest)| rest);
        match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            Some(_) | None => authority,
        }
    }

    /// The path below which the server is reached: empty, or with a leading and without a trailing slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether only this machine can reach it.
    pub const fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether it is reached over TLS.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }
}

fn is_loopback(url: &Url) -> Option<bool> {
    Some(match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    })
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Issuer {
    type Error = IssuerError;

    fn try_from(raw: String) -> Result<Self, IssuerError> {
        Self::parse(&raw)
    }
}

impl From<Issuer> for String {
    fn from(issuer: Issuer) -> Self {
        issuer.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_lie_below_the_issuer() {
        let issuer = Issuer::parse("https://login.example.org/auth").unwrap();
        assert_eq!(issuer.endpoint("/token"), "https://login.example.org/auth/token");
        assert_eq!((issuer.origin(), issuer.path()), ("https://login.example.org", "/auth"));
        assert_eq!(Issuer::parse("http://127.0.0.1:8080").unwrap().path(), "");
    }

    #[test]
    fn a_host_has_no_port() {
        for (issuer, host) in [
            ("https://id.example.com", "id.example.com"),
            ("https://id.example.com:8443/idp", "id.example.com"),
            ("http://[::1]:8080", "[::1]"),
            ("http://[::1]", "[::1]"),
        ] {
            assert_eq!(Issuer::parse(issuer).unwrap().host(), host);
        }
    }

    #[test]
    fn it_is_meant_in_any_case_of_scheme_and_host() {
        let issuer = Issuer::parse("https://login.example.org/Auth").unwrap();
        for meant in ["https://login.example.org/Auth", "HTTPS://Login.example.ORG/Auth"] {
            assert!(issuer.is_meant_by(meant), "{meant}");
        }
        for other in [
            "https://login.example.org/auth",
            "https://login.example.org/Auth/",
            "https://x@Login.example.org/Auth",
        ] {
            assert!(!issuer.is_meant_by(other), "{other}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in ["http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:8080"] {
            assert!(Issuer::parse(good).unwrap().is_loopback(), "{good}");
        }
        for bad in ["http://login.example.org", "http://192.168.0.1", "http://localhost.evil.example"] {
            assert_eq!(Issuer::parse(bad), Err(IssuerError::PlainHttp), "{bad}");
        }
    }

    #[test]
    fn an_issuer_has_exactly_one_spelling() {
        use IssuerError::{HasQueryOrFragment, HasUserInfo, NotAbsolute, NotNormal};
        for (raw, reason) in [
            ("login.example.org", NotAbsolute),
            ("ftp://login.example.org", NotAbsolute),
            ("urn:example:x", NotAbsolute),
            ("https://login.example.org/", NotNormal),
            ("https://Login.example.org", NotNormal),
            ("https://login.example.org:443", NotNormal),
            ("https://login.example.org/a/../b", NotNormal),
            ("https://login.example.org?x", HasQueryOrFragment),
            ("https://login.example.org#", HasQueryOrFragment),
            ("https://me@login.example.org", HasUserInfo),
        ] {
            assert_eq!(Issuer::parse(raw), Err(reason), "{raw}");
        }
    }
}
