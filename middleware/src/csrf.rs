//! Whether the browser of a user acts because the user does, or because a page of somebody else had it act.

use http::Method;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, ORIGIN, UPGRADE};

use crate::header::{Several, at_most_one};
use crate::origin::{NotAnOrigin, origin};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what pages of others have the browser of a user do (cross-site request forgery): given to
/// [`GuardBuilder::csrf`](crate::GuardBuilder::csrf), and needed before a guard takes tokens from [cookies](crate::CookieTokens).
///
/// Nothing has to be put into forms: every browser of today says where a request comes from. It is checked for methods other than
/// GET, HEAD and OPTIONS, which handlers must not change anything by, and whenever a connection is to be upgraded, as for a
/// WebSocket. A request with a token in its `Authorization` header is not checked, since no page of others can make one; but where
/// nobody looks at that token, and there are cookies and an `Origin` beside it, it is.
///
/// | `Sec-Fetch-Site` | `Origin` | |
/// |---|---|---|
/// | `same-origin` | one that is named; for a request that upgrades nothing also `null` or none | passes |
/// | `same-site`, `cross-site` | one that is named | passes |
/// | none, from an old browser | one that is named | passes |
/// | none | none, and there is no cookie at all | passes: this is no browser |
/// | `none`: typed by the user, who would send a GET | any | 403 `cross_site` |
/// | anything else, or either of them twice | anything else | 403 `cross_site` |
///
/// This is done before a token is looked at, and on routes that are [`public`](crate::public), too: pages of others shall sign
/// nobody in. What others post by design, such as a payment provider that sends the user back, goes to a route that
/// [takes no cookies](crate::GuardedRoute::without_cookies).
///
/// The page of the service has to be reached by an origin that is named here, whatever proxies make of it; the `Host` header
/// counts for nothing. A page with `Referrer-Policy: no-referrer` has its browser call its origin `null`, which is believed only
/// beside `Sec-Fetch-Site: same-origin`.
#[derive(Clone, Debug)]
#[must_use = "it refuses nothing before it is given to a builder"]
pub struct Csrf {
    origins: Vec<String>,
}

/// Origins that cannot be told from others.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsrfError {
    /// Nobody could do anything.
    #[error("no origin is named whose pages may act")]
    NoOrigin,
    /// An origin is none.
    #[error(transparent)]
    NotAnOrigin(#[from] NotAnOrigin),
}

/// Why a request was taken for one that somebody else's page sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CrossSite {
    #[error("The request does not say once and clearly where it comes from")]
    Ambiguous,
    #[error("The request comes from a page of an origin that may not act here")]
    Origin,
    #[error("The request was not sent by a page of this service")]
    Site,
}

impl Csrf {
    /// Pages of these origins may act: that of the service as its users see it, such as `https://shop.example.com`, and those of
    /// other front ends that use its cookies.
    pub fn origins<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        Self { origins: origins.into_iter().map(Into::into).collect() }
    }

    pub(crate) fn build(self) -> Result<CsrfRules, CsrfError> {
        let origins = self.origins.iter().map(|text| origin(text)).collect::<Result<Vec<_>, _>>()?;
        if origins.is_empty() { Err(CsrfError::NoOrigin) } else { Ok(CsrfRules { origins }) }
    }
}

/// The origins whose pages may act.
pub(crate) struct CsrfRules {
    origins: Vec<HeaderValue>,
}

impl CsrfRules {
    /// Whether pages of an origin may act.
    #[cfg(feature = "login")]
    pub(crate) fn names(&self, origin: &HeaderValue) -> bool {
        self.origins.contains(origin)
    }

    /// Whether a request could do anything.
    pub(crate) fn concerns(method: &Method, headers: &HeaderMap) -> bool {
        !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || headers.contains_key(UPGRADE)
    }

    /// Checks a request that could do something and whose credentials a browser may have added by itself.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), CrossSite> {
        let upgrades = headers.contains_key(UPGRADE);
        let site = at_most_one(headers, &FETCH_SITE).map_err(|Several| CrossSite::Ambiguous)?;
        let origin = at_most_one(headers, ORIGIN).map_err(|Several| CrossSite::Ambiguous)?;
        let is_named = origin.is_some_and(|origin| self.origins.contains(origin));
        let Some(site) = site else {
            return match origin {
                Some(_) if is_named => Ok(()),
                Some(_) => Err(CrossSite::Origin),
                None if headers.contains_key(COOKIE) => Err(CrossSite::Ambiguous),
                None => Ok(()),
            };
        };
        let says_nothing = origin.is_none_or(|origin| origin == "null");
        match site.as_bytes() {
            b"same-origin" if is_named || (says_nothing && !upgrades) => Ok(()),
            b"same-site" | b"cross-site" if is_named => Ok(()),
            b"same-origin" => Err(CrossSite::Origin),
            _ => Err(CrossSite::Site),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://shop.example.com";

    fn judged(method: &Method, headers: &[(&'static str, &'static str)]) -> Result<(), CrossSite> {
        let rules = Csrf::origins([OWN, "https://admin.example.com"]).build().unwrap();
        let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers = headers.iter().map(pair).collect();
        if CsrfRules::concerns(method, &headers) { rules.check(&headers) } else { Ok(()) }
    }

    #[test]
    fn a_page_of_the_service_may_act() {
        for headers in [
            &[("sec-fetch-site", "same-origin"), ("origin", OWN)][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://admin.example.com")],
            &[("sec-fetch-site", "cross-site"), ("origin", OWN)],
            &[("origin", OWN), ("cookie", "a=b")],
            &[],
        ] {
            assert_eq!(judged(&Method::POST, headers), Ok(()), "{headers:?}");
        }
    }

    #[test]
    fn nobody_else_may() {
        use CrossSite::{Ambiguous, Origin, Site};
        for (headers, fault) in [
            (&[("sec-fetch-site", "cross-site")][..], Site),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], Site),
            (&[("sec-fetch-site", "cross-site"), ("origin", "null")], Site),
            (&[("sec-fetch-site", "same-site")], Site),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://blog.example.com")], Site),
            (&[("sec-fetch-site", "none")], Site),
            (&[("sec-fetch-site", "none"), ("origin", OWN)], Site),
            (&[("sec-fetch-site", "Same-Origin")], Site),
            (&[("sec-fetch-site", "")], Site),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], Origin),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], Ambiguous),
            (
                &[("sec-fetch-site", "same-origin"), ("origin", OWN), ("origin", "https://evil.example")],
                Ambiguous,
            ),
            (&[("origin", "https://evil.example")], Origin),
            (&[("origin", "null")], Origin),
            (&[("origin", "http://shop.example.com")], Origin),
            (&[("origin", "https://shop.example.com.evil.example")], Origin),
            (&[("origin", "https://shop.example.com:8443")], Origin),
            (&[("origin", "")], Origin),
            (&[("cookie", "a=b")], Ambiguous),
        ] {
            for method in
                [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE, Method::CONNECT]
            {
                assert_eq!(judged(&method, headers), Err(fault), "{method} {headers:?}");
            }
            let unknown = Method::from_bytes(b"get").unwrap();
            assert_eq!(judged(&unknown, headers), Err(fault), "methods are compared as they are");
            assert_eq!(judged(&Method::GET, headers), Ok(()));
        }
    }

    #[test]
    fn who_upgrades_a_connection_says_by_which_page() {
        let with = |headers: &[(&'static str, &'static str)]| {
            judged(&Method::GET, &[&[("upgrade", "websocket")], headers].concat())
        };
        assert_eq!(with(&[("origin", OWN)]), Ok(()));
        assert_eq!(with(&[("origin", OWN), ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(with(&[("sec-fetch-site", "same-origin")]), Err(CrossSite::Origin));
        assert_eq!(with(&[("sec-fetch-site", "same-origin"), ("origin", "null")]), Err(CrossSite::Origin));
        assert_eq!(with(&[("origin", "https://evil.example"), ("cookie", "a=b")]), Err(CrossSite::Origin));
        assert_eq!(with(&[("cookie", "a=b")]), Err(CrossSite::Ambiguous));
    }

    #[test]
    fn origins_that_no_browser_sends_are_an_error() {
        assert!(matches!(Csrf::origins([] as [&str; 0]).build(), Err(CsrfError::NoOrigin)));
        for text in ["null", "*", "https://shop.example.com/", "shop.example.com"] {
            assert!(matches!(Csrf::origins([text]).build(), Err(CsrfError::NotAnOrigin(_))), "{text}");
        }
    }
}
