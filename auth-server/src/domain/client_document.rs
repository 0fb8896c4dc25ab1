//! Addresses of documents in which clients describe themselves
//! ([OAuth Client ID Metadata Document](https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/)).

use std::fmt;

use crate::domain::client_url::{ClientUrl, ClientUrlError};

/// The longest address that names a client. It stands in tokens, in the database and in the log.
const LONGEST: usize = 512;

/// An address that names a client, and leads to the document that describes it (§3).
///
/// Holding one proves that it is https with a path, without fragment, user or password, and written as the URL parser writes it: no dot
/// segments, no capitals in the host, no port that goes without saying. So what is compared is what is fetched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DocumentUrl(ClientUrl);

/// Why a text is no such address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DocumentUrlError {
    /// It leads nowhere that could be asked.
    #[error(transparent)]
    Address(#[from] ClientUrlError),
    /// It is written otherwise than it is fetched.
    #[error("has to be written in its plain form: no dot segments, a lower-case host, no default port")]
    NotPlain,
    /// It uses plain `http`.
    #[error("has to be https")]
    NotSecure,
    /// It has no path.
    #[error("has to have a path")]
    Pathless,
    /// Longer than 512 characters.
    #[error("has at most 512 characters")]
    TooLong,
}

impl DocumentUrl {
    /// Accepts an address as the name of a client.
    pub fn parse(raw: &str) -> Result<Self, DocumentUrlError> {
        // Most names of clients are no addresses at all.
        if !raw.starts_with("https://") {
            return Err(DocumentUrlError::NotSecure);
        }
        if raw.len() > LONGEST {
            return Err(DocumentUrlError::TooLong);
        }
        let address = ClientUrl::parse(raw)?;
        if address.url().path().len() < 2 {
            return Err(DocumentUrlError::Pathless);
        }
        if address.url().as_str() != raw {
            return Err(DocumentUrlError::NotPlain);
        }
        Ok(Self(address))
    }

    /// Where the document is.
    pub const fn address(&self) -> &ClientUrl {
        &self.0
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Who answers for the client: a name can be chosen, a host cannot.
    pub fn host(&self) -> &str {
        self.0.url().host_str().unwrap_or_default()
    }

    /// Whether another address is of the same origin.
    pub fn is_beside(&self, other: &url::Url) -> bool {
        self.0.url().origin() == other.origin()
    }

    /// Whether a private scheme is the host turned around, or something below it (RFC 8252 §7.1).
    pub fn owns_scheme(&self, scheme: &str) -> bool {
        let own = self.host().rsplit('.').collect::<Vec<_>>().join(".");
        let below = scheme.strip_prefix(own.as_str());
        own.contains('.') && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl fmt::Display for DocumentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_names_a_client_is_https_with_a_path_in_its_plain_form() {
        for good in [
            "https://app.example/client.json",
            "https://app.example/a/b?v=1",
            "https://app.example:8443/client",
            "https://127.0.0.1:4433/client",
        ] {
            assert_eq!(DocumentUrl::parse(good).map(|url| url.to_string()), Ok(good.to_owned()));
        }
        for (bad, error) in [
            ("http://app.example/client", DocumentUrlError::NotSecure),
            ("http://127.0.0.1/client", DocumentUrlError::NotSecure),
            ("HTTPS://app.example/client", DocumentUrlError::NotSecure),
            ("cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c", DocumentUrlError::NotSecure),
            ("https://app.example", DocumentUrlError::Pathless),
            ("https://app.example/", DocumentUrlError::Pathless),
            ("https://app.example/?a=b", DocumentUrlError::Pathless),
            ("https://app.example/a/../client", DocumentUrlError::NotPlain),
            ("https://app.example/./client", DocumentUrlError::NotPlain),
            ("https://app.example/%2e%2E/client", DocumentUrlError::NotPlain),
            ("https://app.example/a/..%2fclient/%2e", DocumentUrlError::NotPlain),
            ("https://APP.example/client", DocumentUrlError::NotPlain),
            ("https://app.example:443/client", DocumentUrlError::NotPlain),
            ("https://0x7f.1/client", DocumentUrlError::NotPlain),
            ("https://app.example/client#x", ClientUrlError::HasFragment.into()),
            ("https://me@app.example/client", ClientUrlError::HasUserInfo.into()),
            ("https://app.example/clïent", ClientUrlError::ForbiddenCharacter.into()),
        ] {
            assert_eq!(DocumentUrl::parse(bad), Err(error), "{bad}");
        }
        let long = format!("https://app.example/{}", "a".repeat(LONGEST));
        assert_eq!(DocumentUrl::parse(&long), Err(DocumentUrlError::TooLong));
    }

    #[test]
    fn a_private_scheme_belongs_to_the_host_that_it_turns_around() {
        let url = DocumentUrl::parse("https://app.example/client").unwrap();
        assert!(url.owns_scheme("example.app") && url.owns_scheme("example.app.beta"));
        for foreign in ["example", "example.apple", "com.example.app", "app.example", ""] {
            assert!(!url.owns_scheme(foreign), "{foreign}");
        }
    }
}
