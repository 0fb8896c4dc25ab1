//! Tokens that are not those of RFC 9068: what their claims say that they are, where their type says nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;

use super::claims::{AccessClaims, Audience, Implied};
use super::fault::TokenFault;
use super::jws::{Jws, present};
use super::placed;
use crate::token_form::TokenForm;

/// What tells other tokens from access tokens, and what may stand for claims that are not there.
#[derive(serde::Deserialize)]
struct Kind {
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
    #[serde(default, deserialize_with = "present")]
    azp: Option<String>,
    #[serde(default, deserialize_with = "present")]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    token_use: Option<String>,
    // What only ID tokens have (OpenID Connect Core §2, §3.3.2.11; FAPI).
    #[serde(default, deserialize_with = "present")]
    nonce: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    at_hash: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    c_hash: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    s_hash: Option<IgnoredAny>,
    /// What only security events have, logout tokens among them (RFC 8417 §2.2).
    #[serde(default, deserialize_with = "present")]
    events: Option<IgnoredAny>,
}

/// What some issuers say in the claims `typ` and `token_use` of access tokens.
const TYPES: [&str; 4] = ["bearer", "dpop", "at+jwt", "application/at+jwt"];
const USES: [&str; 2] = ["access", "access_token"];

/// The claims of a token of another form, as RFC 9068 would have them, for this audience.
pub(super) fn claims(jws: &Jws<'_>, form: &TokenForm, audience: &str) -> Result<AccessClaims, TokenFault> {
    let (kind, name);
    let mut implied = Implied::default();
    if form.is_generic() {
        kind = serde_json::from_slice::<Kind>(&jws.payload).map_err(|_| TokenFault::Claims)?;
        kind.check()?;
        // The signature may have another form that verifies as well: it is no part of what the token is called.
        name = URL_SAFE_NO_PAD.encode(jws.digest());
        implied = Implied { jti: Some(&name), client_id: kind.azp.as_deref(), ..implied };
    }
    match form.places() {
        None => AccessClaims::parse_with(&jws.payload, implied),
        Some(places) => placed::claims(&jws.payload, implied, places, audience),
    }
}

impl Kind {
    fn check(&self) -> Result<(), TokenFault> {
        let marks = [&self.nonce, &self.at_hash, &self.c_hash, &self.s_hash, &self.events];
        let is_other = |said: &Option<String>, own: &[&str]| {
            said.as_ref().is_some_and(|said| !own.iter().any(|own| said.eq_ignore_ascii_case(own)))
        };
        // OpenID Connect Core §2: the client is in the audience of an ID token, and is no service that it calls.
        let is_for_client = |client: &Option<String>| {
            client.as_ref().is_some_and(|client| self.aud.as_ref().is_some_and(|aud| aud.includes(client)))
        };
        if marks.into_iter().any(Option::is_some)
            || is_other(&self.typ, &TYPES)
            || is_other(&self.token_use, &USES)
            || is_for_client(&self.azp)
            || is_for_client(&self.client_id)
        {
            return Err(TokenFault::Type);
        }
        Ok(())
    }
}
