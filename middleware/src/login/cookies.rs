//! The cookies of a sign-in and of a session.

use http::header::{COOKIE, HeaderMap, HeaderValue};

use super::seal::Handle;

/// How many sign-ins one browser may have begun: one for each tab, up to this.
pub(super) const SLOTS: u8 = 5;

/// Sent over TLS to this host alone, kept from scripts, and not sent by pages of others except where somebody follows a link.
const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Lax";

/// The name of the cookie of a session, from which those of sign-ins follow.
pub(super) struct CookieNames(String);

/// A sign-in that a browser has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) at_secs: u64,
    pub(super) handle: Handle,
}

impl CookieNames {
    pub(super) const fn new(session: String) -> Self {
        Self(session)
    }

    /// The session, if the cookie holds one.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Handle> {
        value(headers, &self.0).and_then(Handle::parse)
    }

    pub(super) fn set_session(&self, handle: &Handle) -> HeaderValue {
        written(&format!("{}={}{ATTRIBUTES}", self.0, handle.text()))
    }

    pub(super) fn clear_session(&self) -> HeaderValue {
        written(&format!("{}={ATTRIBUTES}; Max-Age=0", self.0))
    }

    /// The sign-in that was begun in a slot.
    pub(super) fn begun(&self, headers: &HeaderMap, slot: u8) -> Option<Begun> {
        let (secs, handle) = value(headers, &self.of_slot(slot))?.split_once('.')?;
        Some(Begun { at_secs: secs.parse().ok()?, handle: Handle::parse(handle)? })
    }

    /// The slot of the next sign-in: one that is free, or that of the oldest.
    pub(super) fn next_slot(&self, headers: &HeaderMap) -> u8 {
        let age = |slot: &u8| self.begun(headers, *slot).map_or(0, |begun| begun.at_secs);
        (0..SLOTS).min_by_key(age).unwrap_or_default()
    }

    pub(super) fn set_begun(&self, slot: u8, begun: &Begun, max_age_secs: u64) -> HeaderValue {
        let Begun { at_secs, handle } = begun;
        let name = self.of_slot(slot);
        written(&format!("{name}={at_secs}.{}{ATTRIBUTES}; Max-Age={max_age_secs}", handle.text()))
    }

    pub(super) fn clear_begun(&self, slot: u8) -> HeaderValue {
        written(&format!("{}={ATTRIBUTES}; Max-Age=0", self.of_slot(slot)))
    }

    fn of_slot(&self, slot: u8) -> String {
        format!("{}-login-{slot}", self.0)
    }
}

/// The value of a cookie that is there once. Of two, either could be somebody else's.
fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    // Cookies of others come on the same line, and may hold any bytes.
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        let (own, value) = pair.split_at_checked(at)?;
        (own.trim_ascii() == name.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    });
    let value = values.next()?;
    values.next().is_none().then(|| std::str::from_utf8(value).ok()).flatten()
}

/// Names were checked, and the rest is digits and base64url.
fn written(cookie: &str) -> HeaderValue {
    let mut value = HeaderValue::try_from(cookie).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> CookieNames {
        CookieNames::new("__Host-shop".to_owned())
    }

    fn sent(line: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(line).unwrap())])
    }

    fn pair(cookie: &HeaderValue) -> String {
        cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[test]
    fn what_is_written_is_read_and_nothing_that_is_there_twice() {
        let handle = Handle::parse(&"A".repeat(43)).unwrap();
        let set = names().set_session(&handle);
        assert_eq!(
            set.to_str().unwrap(),
            format!("__Host-shop={}; Path=/; Secure; HttpOnly; SameSite=Lax", "A".repeat(43))
        );
        let pair = pair(&set);
        assert_eq!(names().session(&sent(&format!("a=b; {pair}; c"))), Some(handle));
        assert_eq!(names().session(&sent(&format!("{pair}; {pair}"))), None);
        assert_eq!(names().session(&sent("__Host-shop=short")), None);
        let beside = [b"other=\xff; ", pair.as_bytes(), b"; last=\xfe"].concat();
        let beside = HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(&beside).unwrap())]);
        assert_eq!(names().session(&beside), Some(handle), "what others put there is theirs");
        assert!(names().clear_session().to_str().unwrap().ends_with("Max-Age=0"));
    }

    #[test]
    fn each_tab_has_a_cookie_and_the_oldest_gives_way() {
        let handle = Handle::parse(&"A".repeat(43)).unwrap();
        let line = |slots: &[(u8, u64)]| {
            let cookie = |(slot, at_secs): &(u8, u64)| {
                pair(&names().set_begun(*slot, &Begun { at_secs: *at_secs, handle }, 600))
            };
            sent(&slots.iter().map(cookie).collect::<Vec<_>>().join("; "))
        };
        assert_eq!(names().next_slot(&HeaderMap::new()), 0);
        assert_eq!(names().next_slot(&line(&[(0, 9), (2, 9)])), 1);
        assert_eq!(names().next_slot(&line(&[(0, 9), (1, 8), (2, 7), (3, 5), (4, 6)])), 3);
        assert_eq!(names().begun(&line(&[(1, 7)]), 1).unwrap().at_secs, 7);
        assert!(names().begun(&line(&[(1, 7)]), 0).is_none());
        assert!(names().begun(&sent("__Host-shop-login-0=x.y"), 0).is_none());
    }
}
