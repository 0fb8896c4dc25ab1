//! Finding the token of a request in a cookie.

use http::header::{CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, VARY};

use super::bearer::BearerFault;

/// What makes a browser keep a cookie to one host, and to TLS.
const PREFIX: &str = "__Host-";

/// Takes the access token of a request from a cookie, where no header has one: given to
/// [`GuardBuilder::cookie_tokens`](crate::GuardBuilder::cookie_tokens), and only beside [`Csrf`](crate::Csrf).
///
/// The name has to begin with `__Host-`: such a cookie is set over TLS, by this host and by no other of its domain. Who sets it
/// (with `Secure; HttpOnly; Path=/; SameSite=Lax` or `Strict`) is the service or something in front of it, not the guard.
///
/// ```no_run
/// # async fn run() -> Result<(), portcullis_guard::BuildError> {
/// use portcullis_guard::{CookieTokens, Csrf, Guard, Issuer};
///
/// let guard = Guard::builder()
///     .issuer(Issuer::oidc("https://id.example.com"))
///     .audience("https://shop.example.com")
///     .cookie_tokens(CookieTokens::named("__Host-shop"))
///     .csrf(Csrf::origins(["https://shop.example.com"]))
///     .build()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// - A request with a token in the header and in the cookie is answered 400, as is one with two cookies of the name: which one
///   counts would depend on who reads (RFC 6750 §2).
/// - A token that is [bound](crate::Dpop) to a key needs its proof in the `DPoP` header here as well, and one that is bound to a
///   certificate needs the certificate.
/// - Answers of routes that look at the cookie say `Vary: Cookie`. Where the cookie was sent, shared caches may not keep them,
///   whatever the handler says: unlike for the `Authorization` header, caches do not know that by themselves.
/// - Routes may [take no cookies](crate::GuardedRoute::without_cookies).
#[derive(Clone, Debug)]
#[must_use = "it takes nothing before it is given to a builder"]
pub struct CookieTokens {
    name: String,
}

/// A name that a cookie with a token may not have.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the name of a cookie that begins with __Host-")]
pub struct NotAHostCookie(String);

impl CookieTokens {
    /// The cookie of this name, such as `__Host-shop`.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    pub(crate) fn build(self) -> Result<TokenCookie, NotAHostCookie> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let rest = self.name.strip_prefix(PREFIX).unwrap_or_default();
        if rest.is_empty() || !rest.bytes().all(is_token) {
            return Err(NotAHostCookie(self.name));
        }
        Ok(TokenCookie { name: self.name })
    }
}

/// The cookie that tokens are taken from.
pub(crate) struct TokenCookie {
    name: String,
}

impl TokenCookie {
    /// The token, if the cookie is there.
    pub(crate) fn token<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, BearerFault> {
        let mut values = self.values(headers);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(BearerFault::Several);
        }
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        let token = std::str::from_utf8(value).ok().filter(|token| !token.is_empty());
        token.filter(|token| token.as_bytes().iter().all(is_plain)).map(Some).ok_or(BearerFault::Cookie)
    }

    /// What it is called.
    #[cfg(feature = "login")]
    pub(crate) fn into_name(self) -> String {
        self.name
    }

    fn values<'h>(&self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h [u8]> {
        let name = self.name.as_bytes();
        let pairs =
            headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
        pairs.filter_map(move |pair| {
            let (own, value) = split(pair.trim_ascii())?;
            (own == name).then_some(value)
        })
    }

    /// What caches are told of the answer to a request.
    pub(crate) fn sharing(&self, headers: &HeaderMap) -> Sharing {
        if self.values(headers).next().is_some() { Sharing::Nobody } else { Sharing::WithoutCookie }
    }
}

/// A name and a value; spaces around the `=` belong to neither, as browsers have it.
fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = pair.iter().position(|&byte| byte == b'=')?;
    let (name, value) = pair.split_at_checked(at)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

/// To whom a cache may show an answer again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Sharing {
    /// To whoever has the right to ask: nothing depends on a cookie.
    #[default]
    Anybody,
    /// To nobody else.
    Nobody,
    /// To who has no cookie either.
    WithoutCookie,
}

impl Sharing {
    /// The narrower of two.
    pub(crate) fn narrowed(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, _) | (_, Self::Nobody) => Self::Nobody,
            (Self::WithoutCookie, _) | (_, Self::WithoutCookie) => Self::WithoutCookie,
            (Self::Anybody, Self::Anybody) => Self::Anybody,
        }
    }

    pub(crate) fn write(self, headers: &mut HeaderMap) {
        if self == Self::Anybody {
            return;
        }
        headers.append(VARY, HeaderValue::from_name(COOKIE));
        if self == Self::Nobody {
            let own = joined(headers, &CACHE_CONTROL);
            headers.insert(CACHE_CONTROL, private(&own));
        }
    }
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    lines.join(", ")
}

/// The same for one user only. What says nothing is not stored at all.
fn private(own: &str) -> HeaderValue {
    if own.trim().is_empty() {
        return HeaderValue::from_static("no-store");
    }
    let is_own = |part: &&str| {
        let name = part.split('=').next().unwrap_or_default().trim();
        !["", "private", "public", "s-maxage"].iter().any(|shared| name.eq_ignore_ascii_case(shared))
    };
    let parts = std::iter::once("private").chain(own.split(',').map(str::trim).filter(is_own));
    HeaderValue::try_from(parts.collect::<Vec<_>>().join(", "))
        .unwrap_or_else(|_| HeaderValue::from_static("no-store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie() -> TokenCookie {
        CookieTokens::named("__Host-t").build().unwrap()
    }

    fn read(lines: &[&'static [u8]]) -> Result<Option<String>, BearerFault> {
        let line = |line: &&'static [u8]| (COOKIE, HeaderValue::from_bytes(line).unwrap());
        let headers: HeaderMap = lines.iter().map(line).collect();
        cookie().token(&headers).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn one_cookie_is_read_among_others() {
        for lines in [
            &[b"__Host-t=a.b.c".as_slice()][..],
            &[b"x=1; __Host-t=a.b.c; y=\xff"],
            &[b"x=1", b"__Host-t=a.b.c"],
            &[b"x; =y;__Host-t = a.b.c ;"],
        ] {
            assert_eq!(read(lines), Ok(Some("a.b.c".to_owned())));
        }
        for lines in [
            &[][..],
            &[b"__host-t=a".as_slice()],
            &[b"__HOST-T=a"],
            &[b"t=a"],
            &[b"__Host-t2=a"],
            &[b"__Host-t"],
        ] {
            assert_eq!(read(lines), Ok(None), "{lines:?}");
        }
    }

    #[test]
    fn two_cookies_and_what_is_no_token_are_refused() {
        for lines in [
            &[b"__Host-t=a; __Host-t=a".as_slice()][..],
            &[b"__Host-t=a", b"__Host-t=b"],
            &[b"__Host-t=; __Host-t=b"],
        ] {
            assert_eq!(read(lines), Err(BearerFault::Several), "{lines:?}");
        }
        let bad: [&[u8]; 6] = [
            b"__Host-t=",
            b"__Host-t=\"a\"",
            b"__Host-t=a b",
            b"__Host-t=a,b",
            b"__Host-t=\xff",
            b"__Host-t=a%20",
        ];
        for line in bad {
            assert_eq!(read(&[line]), Err(BearerFault::Cookie), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn only_a_cookie_of_this_host_may_hold_a_token() {
        for name in [
            "token",
            "__Secure-t",
            "__host-t",
            "__Host-",
            "__Host-a b",
            "__Host-a=b",
            "__Host-a;b",
            "__Host-\u{e9}",
            "",
        ] {
            assert!(CookieTokens::named(name).build().is_err(), "{name}");
        }
    }

    #[test]
    fn no_shared_cache_keeps_what_a_cookie_opened() {
        for (own, told) in [
            ("", "no-store"),
            ("public", "private"),
            ("public, max-age=60", "private, max-age=60"),
            ("max-age=60, S-MaxAge=600", "private, max-age=60"),
            ("private", "private"),
            ("private, max-age=5", "private, max-age=5"),
            ("no-store", "private, no-store"),
        ] {
            let mut headers = HeaderMap::new();
            if !own.is_empty() {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(own));
            }
            Sharing::Nobody.write(&mut headers);
            assert_eq!(
                (&headers[CACHE_CONTROL], &headers[VARY]),
                (&HeaderValue::from_static(told), &HeaderValue::from_static("cookie"))
            );
        }
        let mut headers = HeaderMap::new();
        Sharing::WithoutCookie.write(&mut headers);
        assert!(headers.contains_key(VARY) && !headers.contains_key(CACHE_CONTROL));
        Sharing::Anybody.write(&mut HeaderMap::new());
    }
}
