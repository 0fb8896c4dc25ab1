//! Addresses that clients register for the server to call.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

const LONGEST: usize = 2048;

/// An address of a client that this server sends requests to.
///
/// Holding one proves that it is absolute, uses `https` (plain `http` on this machine only), and has neither a fragment nor a user
/// name. Whether its host may be reached is for `outbound` to say: that is a matter of configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientUrl {
    raw: String,
    url: Url,
}

/// Why a text is no such address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientUrlError {
    /// A character outside visible ASCII, or a backslash.
    #[error("a URL holds visible ASCII characters only, and no backslash")]
    ForbiddenCharacter,
    /// It has a fragment.
    #[error("the URL must not have a fragment")]
    HasFragment,
    /// It carries a user name or password.
    #[error("the URL must not carry a user name or password")]
    HasUserInfo,
    /// It is no absolute URL of this web.
    #[error("must be an absolute https URL")]
    NotAbsolute,
    /// Plain `http` to another machine.
    #[error("plain http is for this machine only: use https")]
    PlainHttp,
    /// Longer than 2048 characters.
    #[error("the URL has at most 2048 characters")]
    TooLong,
}

impl ClientUrl {
    /// Accepts an address for registration.
    pub fn parse(raw: &str) -> Result<Self, ClientUrlError> {
        if raw.len() > LONGEST {
            return Err(ClientUrlError::TooLong);
        }
        // The URL parser repairs what browsers repair: what is shown to an administrator has to be what is called.
        if !raw.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(ClientUrlError::ForbiddenCharacter);
        }
        let url = Url::parse(raw).map_err(|_| ClientUrlError::NotAbsolute)?;
        if url.fragment().is_some() {
            return Err(ClientUrlError::HasFragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ClientUrlError::HasUserInfo);
        }
        match (url.scheme(), url.host()) {
            ("https", Some(_)) => {}
            ("http", Some(host)) if is_this_machine(&host) => {}
            ("http", Some(_)) => return Err(ClientUrlError::PlainHttp),
            (_, _) => return Err(ClientUrlError::NotAbsolute),
        }
        Ok(Self { raw: raw.to_owned(), url })
    }

    /// The address as it was registered.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The address taken apart.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

impl fmt::Display for ClientUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl FromStr for ClientUrl {
    type Err = ClientUrlError;

    fn from_str(raw: &str) -> Result<Self, ClientUrlError> {
        Self::parse(raw)
    }
}

impl TryFrom<String> for ClientUrl {
    type Error = ClientUrlError;

    fn try_from(raw: String) -> Result<Self, ClientUrlError> {
        Self::parse(&raw)
    }
}

impl From<ClientUrl> for String {
    fn from(url: ClientUrl) -> Self {
        url.raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_leaves_this_machine() {
        for good in [
            "https://rp.example/backchannel?tenant=1",
            "https://rp.example:8443/keys",
            "https://192.0.2.1/x",
            "http://127.0.0.1:8087/auth/backchannel",
            "http://[::1]:1/",
            "http://localhost/x",
        ] {
            assert_eq!(ClientUrl::parse(good).map(String::from), Ok(good.to_owned()));
        }
        for (bad, error) in [
            ("http://rp.example/x", ClientUrlError::PlainHttp),
            ("http://10.0.0.1/x", ClientUrlError::PlainHttp),
            ("http://localhost.rp.example/x", ClientUrlError::PlainHttp),
            ("http://127.0.0.1@rp.example/x", ClientUrlError::HasUserInfo),
            ("https://a:b@rp.example/x", ClientUrlError::HasUserInfo),
            ("https://rp.example/x#y", ClientUrlError::HasFragment),
            ("https://rp.example/x#", ClientUrlError::HasFragment),
            ("https://rp.example\\@evil.example/", ClientUrlError::ForbiddenCharacter),
            ("https://rp.example/a b", ClientUrlError::ForbiddenCharacter),
            ("https://rp.exämple/", ClientUrlError::ForbiddenCharacter),
            ("/backchannel", ClientUrlError::NotAbsolute),
            ("https://", ClientUrlError::NotAbsolute),
            ("ftp://rp.example/", ClientUrlError::NotAbsolute),
            ("file:///etc/passwd", ClientUrlError::NotAbsolute),
            ("", ClientUrlError::NotAbsolute),
        ] {
            assert_eq!(ClientUrl::parse(bad), Err(error), "{bad}");
        }
        let long = format!("https://rp.example/{}", "a".repeat(LONGEST));
        assert_eq!(ClientUrl::parse(&long), Err(ClientUrlError::TooLong));
    }
}
