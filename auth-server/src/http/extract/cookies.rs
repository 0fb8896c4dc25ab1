//! The cookies of the pages. Each name begins with `__Host-`: browsers then insist on `Secure`, on the path `/` and on
//! this very host (RFC 6265bis §4.1.3.2), so no neighbour on another sub-domain can plant one.

use cookie::{Cookie, SameSite};
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

/// Binds interactions and form tokens to the browser.
pub(crate) const BROWSER: &str = "__Host-portcullis-browser";
/// Proves that an account signed in here before.
pub(crate) const DEVICE: &str = "__Host-portcullis-device";
/// A signed-in session.
pub(crate) const SESSION: &str = "__Host-portcullis-session";

/// The longest that browsers keep a cookie (RFC 6265bis §5.5).
const LONGEST_DAYS: i64 = 400;

/// How long a browser keeps a cookie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keep {
    /// As long as browsers may.
    Longest,
    /// Not at all: it is deleted.
    Never,
    /// Until it is closed. The server ends what the cookie stands for on its own terms.
    UntilClosed,
}

/// The value of a cookie. A name that was sent twice counts as absent: nobody honest sends that.
pub(crate) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Adds a cookie to an answer.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str, keep: Keep) {
    let mut cookie =
        Cookie::build((name, value)).path("/").secure(true).http_only(true).same_site(SameSite::Lax);
    match keep {
        Keep::Longest => cookie = cookie.max_age(time::Duration::days(LONGEST_DAYS)),
        Keep::Never => cookie = cookie.max_age(time::Duration::ZERO),
        Keep::UntilClosed => {}
    }
    // The values are made here, from an alphabet that every header accepts.
    if let Ok(value) = HeaderValue::try_from(cookie.build().to_string()) {
        headers.append(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&'static str]) -> HeaderMap {
        cookies.iter().map(|value| (COOKIE, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others_and_in_any_header() {
        let sent = headers(&["a=1; __Host-portcullis-session=abc", "b=2"]);
        assert_eq!(read(&sent, SESSION), Some("abc"));
        assert_eq!(read(&sent, "b"), Some("2"));
        assert_eq!(read(&sent, BROWSER), None);
    }

    #[test]
    fn a_cookie_that_was_sent_twice_counts_as_absent() {
        assert_eq!(read(&headers(&["b=1; b=2"]), "b"), None);
        assert_eq!(read(&headers(&["b=1", "b=1"]), "b"), None);
    }

    #[test]
    fn every_cookie_is_bound_to_this_host_hidden_from_scripts_and_not_sent_along_by_other_sites() {
        for (keep, end) in
            [(Keep::UntilClosed, ""), (Keep::Longest, "; Max-Age=34560000"), (Keep::Never, "; Max-Age=0")]
        {
            let mut answer = HeaderMap::new();
            set(&mut answer, SESSION, "v", keep);
            let mut parts: Vec<&str> = answer[SET_COOKIE].to_str().unwrap().split("; ").collect();
            parts.sort_unstable();
            let mut expected: Vec<&str> =
                ["__Host-portcullis-session=v", "HttpOnly", "SameSite=Lax", "Secure", "Path=/"].to_vec();
            expected.extend(end.strip_prefix("; "));
            expected.sort_unstable();
            assert_eq!(parts, expected);
        }
    }
}
