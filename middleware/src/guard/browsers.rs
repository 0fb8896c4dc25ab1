//! What browsers send by themselves, and where they are led.

use http::HeaderMap;
use http::request::Parts;

use super::{Guard, Terms};
use crate::csrf::CsrfRules;
#[cfg(feature = "login")]
use crate::login::{Sessions, Way};
use crate::token::{Sharing, TokenCookie};
#[cfg(not(feature = "login"))]
use crate::unlogged::{Sessions, Way};

/// What comes from browsers by itself.
pub(crate) struct Browsers {
    pub(crate) cookie: Option<TokenCookie>,
    pub(crate) csrf: Option<CsrfRules>,
    pub(crate) sessions: Option<Sessions>,
}

impl Guard {
    /// What caches are told of the answer to a request.
    pub(crate) fn sharing(&self, headers: &HeaderMap, terms: &Terms) -> Sharing {
        if terms.without_cookies || terms.requirement.ignores_tokens() {
            return Sharing::Anybody;
        }
        let Browsers { cookie, sessions, .. } = &self.core.credentials.browsers;
        let by_token = cookie.as_ref().map(|cookie| cookie.sharing(headers));
        let by_session = sessions.as_ref().map(|sessions| sessions.sharing(headers));
        by_token.into_iter().chain(by_session).fold(Sharing::Anybody, Sharing::narrowed)
    }

    /// The way to sign in for who is refused on a page. Boxed, since most requests have none and all carry its place along.
    pub(crate) fn way(&self, parts: &Parts, terms: &Terms) -> Option<Box<Way>> {
        let sessions = self.sessions().filter(|_| !terms.without_cookies)?;
        sessions.way(parts).map(Box::new)
    }

    pub(crate) fn sessions(&self) -> Option<&Sessions> {
        self.core.credentials.browsers.sessions.as_ref()
    }
}
