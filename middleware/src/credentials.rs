//! Who this service is to the server: a client with a secret.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// A client and its secret.
#[derive(Clone)]
pub(crate) struct ServiceCredentials {
    client_id: String,
    client_secret: String,
}

impl ServiceCredentials {
    pub(crate) fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), client_secret: client_secret.into() }
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    pub(crate) fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// HTTP Basic with both halves form-encoded first (RFC 6749 §2.3.1).
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = format!("{}:{}", encode(&self.client_id), encode(&self.client_secret));
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for ServiceCredentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ServiceCredentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_no_debug_text() {
        let credentials = ServiceCredentials::new("orders", "s3cret");
        assert!(!format!("{credentials:?}").contains("s3cret"));
        assert!(credentials.authorization().unwrap().is_sensitive());
    }

    #[test]
    fn both_halves_of_the_credentials_are_form_encoded() {
        let value = ServiceCredentials::new("a:b", "p %+é").authorization().unwrap();
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let credentials = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!(credentials, "a%3Ab:p+%25%2B%C3%A9");
    }
}
