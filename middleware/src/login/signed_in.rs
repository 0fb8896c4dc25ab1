//! Who is signed in, for handlers.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Extensions;
use serde::de::DeserializeOwned;

use super::entry::Entered;
use super::id_token::Who;
use super::session::Visit;

/// The session of a request: who signed in, as the ID token says.
///
/// As an argument of a handler it is there on routes that look at tokens, where the request came with a session; otherwise it is
/// answered 401. `Option<SignedIn>` is `None` then.
#[derive(Clone)]
pub struct SignedIn(Arc<Visit>);

impl SignedIn {
    /// That of a request, by its extensions, for services that are not of axum.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Entered>()?.visit.clone().map(Self)
    }

    /// Who it is (`sub`), by a name that the issuer gives to nobody else.
    pub fn subject(&self) -> &str {
        &self.who().sub
    }

    /// When they signed in at the issuer, in seconds since the Unix epoch.
    pub fn auth_time(&self) -> Option<u64> {
        self.who().auth_time
    }

    /// How they signed in (`acr`).
    pub fn authentication_class(&self) -> Option<&str> {
        self.who().acr.as_deref()
    }

    /// When the session ends even if it is used, in seconds since the Unix epoch.
    pub fn ends_at(&self) -> u64 {
        self.0.session.ends_at
    }

    /// The claims of the ID token as `T` reads them; `None` when they are not those.
    pub fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        // It was verified before it was kept.
        let payload = self.0.session.tokens.id.split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// The access token, to call other services in the name of the person. It is a secret of this service: no page may have it.
    pub fn access_token(&self) -> &str {
        self.0.token()
    }

    fn who(&self) -> &Who {
        &self.0.session.who
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SignedIn").field("subject", &self.subject()).finish_non_exhaustive()
    }
}
