//! What browsers send by themselves, what caches are told of the answers, and where people are led.

use http::header::VARY;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

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

/// What caches are told of an answer.
#[derive(Default)]
pub(crate) struct Told {
    sharing: Sharing,
    /// The header of a proxy that may have chosen the answer by the certificate in it (RFC 9440 §2.4).
    certificate: Option<HeaderName>,
}

impl Told {
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        self.sharing.write(headers);
        if let Some(name) = &self.certificate {
            headers.append(VARY, HeaderValue::from_name(name.clone()));
        }
    }
}

impl Guard {
    /// What caches are told of the answer to a request.
    pub(crate) fn told(&self, headers: &HeaderMap, terms: &Terms) -> Told {
        if terms.requirement.ignores_tokens() {
            return Told::default();
        }
        let certificate = self.core.credentials.bindings.certificate_header();
        Told { sharing: self.sharing(headers, terms), certificate }
    }

    fn sharing(&self, headers: &HeaderMap, terms: &Terms) -> Sharing {
        if terms.without_cookies {
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
