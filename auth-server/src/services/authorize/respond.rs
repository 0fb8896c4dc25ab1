//! Answers at the redirect URI.
//!
//! Every one of them, good or bad, says who answers ([RFC 9207 §2](https://www.rfc-editor.org/rfc/rfc9207#section-2)), so
//! that a client of several servers cannot be made to take a code to the wrong one. A signed one
//! ([JARM](https://openid.net/specs/oauth-v2-jarm-final.html)) says it in the JWT.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::issuer::Issuer;
use crate::domain::secret::OpaqueToken;
use crate::keys::jwt::JwtType;
use crate::keys::ring::{KeyRing, SignError};
use crate::services::authorize::refusal::RequestError;
use crate::services::authorize::request::ReturnAddress;

/// How long a signed answer is good. JARM §2.1 recommends ten minutes at most.
const SIGNED_TTL: Duration = Duration::from_mins(10);

/// An answer on its way through the browser.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reply {
    /// A form that the browser sends.
    Form {
        /// Where to.
        uri: String,
        /// What with.
        fields: Vec<(&'static str, String)>,
    },
    /// An address that the browser opens.
    Link(String),
}

/// Writes answers.
#[derive(Clone)]
pub(crate) struct Responder {
    issuer: Issuer,
    keys: KeyRing,
}

/// Whom an answer is for, and when it is given.
#[derive(Clone, Copy)]
pub(crate) struct Recipient<'a> {
    pub(crate) client: &'a Client,
    pub(crate) address: &'a ReturnAddress,
    pub(crate) now: Timestamp,
}

impl Responder {
    pub(crate) const fn new(issuer: Issuer, keys: KeyRing) -> Self {
        Self { issuer, keys }
    }

    /// The answer that gives the client its code.
    pub(crate) fn code(&self, to: Recipient<'_>, code: &OpaqueToken) -> Result<Reply, SignError> {
        self.answer(to, vec![("code", code.expose().to_owned())])
    }

    /// The answer that tells the client why it gets none.
    pub(crate) fn error(&self, to: Recipient<'_>, error: RequestError) -> Result<Reply, SignError> {
        let code = error.code().as_str().to_owned();
        self.answer(to, vec![("error", code), ("error_description", error.to_string())])
    }

    fn answer(&self, to: Recipient<'_>, mut fields: Vec<(&'static str, String)>) -> Result<Reply, SignError> {
        let ReturnAddress { uri, state, mode, .. } = to.address;
        fields.extend(state.clone().map(|state| ("state", state)));
        fields.push(("iss", self.issuer.as_str().to_owned()));
        if mode.is_signed() {
            fields = vec![("response", self.signed(to, fields)?)];
        }
        Ok(if mode.is_form() {
            Reply::Form { uri: uri.clone(), fields }
        } else {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
            Reply::Link(append_query(uri, &query))
        })
    }

    /// JARM §2.1.
    fn signed(&self, to: Recipient<'_>, fields: Vec<(&'static str, String)>) -> Result<String, SignError> {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        let mut claims: Map<String, Value> = fields.collect();
        claims.insert("aud".to_owned(), Value::from(to.client.id.as_str()));
        claims.insert("exp".to_owned(), Value::from(to.now.plus(SIGNED_TTL).as_secs()));
        self.keys.sign(to.client.response_alg(), JwtType::AuthorizationResponse, &claims)
    }
}

/// Adds to the query of a registered URI without touching what is there (RFC 6749 §3.1.2).
pub(crate) fn append_query(uri: &str, query: &str) -> String {
    let joint = match uri.split_once('?') {
        None => "?",
        Some((_, present)) if present.is_empty() || present.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_the_registered_uri_is_kept() {
        for (uri, start) in [
            ("https://rp.test/cb?a=1", "https://rp.test/cb?a=1&x"),
            ("https://rp.test/cb?", "https://rp.test/cb?x"),
            ("https://rp.test/cb?a=1&", "https://rp.test/cb?a=1&x"),
            ("com.example.app:/cb", "com.example.app:/cb?x"),
        ] {
            assert_eq!(append_query(uri, "x"), start);
        }
    }
}
