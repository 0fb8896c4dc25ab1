//! Redirect URIs: where an answer may be sent.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::Url;

const LONGEST: usize = 2048;
/// The name of the person's own machine.
const LOCALHOST: &str = "localhost";

/// A redirect URI that a client registered.
///
/// Holding one proves that the URI is absolute and has no fragment ([RFC 6749 §3.1.2]), and that it uses `https`,
/// points at a loopback IP literal ([RFC 8252 §7.3]) or uses a private scheme with a dot in it ([RFC 8252 §7.1]).
///
/// [RFC 6749 §3.1.2]: https://www.rfc-editor.org/rfc/rfc6749#section-3.1.2
/// [RFC 8252 §7.1]: https://www.rfc-editor.org/rfc/rfc8252#section-7.1
/// [RFC 8252 §7.3]: https://www.rfc-editor.org/rfc/rfc8252#section-7.3
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RedirectUri {
    raw: String,
    host: String,
}

/// Why a text cannot be registered as a redirect URI.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RedirectUriError {
    /// A character outside visible ASCII, or a backslash.
    #[error("a redirect URI holds visible ASCII characters only, and no backslash")]
    ForbiddenCharacter,
    /// It has a `#` that is encoded.
    #[error("a redirect URI must not have an encoded # (%23): decoded once more it begins a fragment")]
    HasEncodedFragment,
    /// It has a fragment (RFC 6749 §3.1.2).
    #[error("a redirect URI must not have a fragment")]
    HasFragment,
    /// It carries a user name or password.
    #[error("a redirect URI must not carry a user name or password")]
    HasUserInfo,
    /// It has a wildcard in its host.
    #[error("a redirect URI is compared exactly: a wildcard would match nothing")]
    HasWildcard,
    /// It is not an absolute URI.
    #[error("a redirect URI must be absolute")]
    NotAbsolute,
    /// Plain `http` to a host that is not a loopback IP literal.
    #[error("plain http is for loopback addresses such as http://127.0.0.1/ only")]
    PlainHttp,
    /// A scheme that no application owns.
    #[error("a private scheme must contain a dot, as in com.example.app:/callback")]
    SchemeWithoutOwner,
    /// Longer than 2048 characters.
    #[error("a redirect URI has at most 2048 characters")]
    TooLong,
}

impl RedirectUri {
    /// Accepts a URI for registration.
    pub fn parse(raw: &str) -> Result<Self, RedirectUriError> {
        let uri = Self::parse_of_device(raw)?;
        if uri.is_localhost() { Err(RedirectUriError::PlainHttp) } else { Ok(uri) }
    }

    /// The same, and the name `localhost` counts as a loopback address.
    ///
    /// It is not recommended ([RFC 8252 §8.3]), and whoever registers a client here by hand is told so. Clients that describe themselves
    /// do it for every server alike.
    ///
    /// [RFC 8252 §8.3]: https://www.rfc-editor.org/rfc/rfc8252#section-8.3
    pub fn parse_of_device(raw: &str) -> Result<Self, RedirectUriError> {
        let uri = Self::read(raw)?;
        check_authority(raw)?;
        if raw.contains("%23") { Err(RedirectUriError::HasEncodedFragment) } else { Ok(uri) }
    }

    fn read(raw: &str) -> Result<Self, RedirectUriError> {
        if raw.len() > LONGEST {
            return Err(RedirectUriError::TooLong);
        }
        // The URL parser repairs what browsers repair: an exact comparison must not meet repaired text.
        if !raw.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(RedirectUriError::ForbiddenCharacter);
        }
        let url = Url::parse(raw).map_err(|_| RedirectUriError::NotAbsolute)?;
        if url.fragment().is_some() {
            return Err(RedirectUriError::HasFragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RedirectUriError::HasUserInfo);
        }
        check_scheme(&url, raw)?;
        let host = url.host_str().unwrap_or_else(|| url.scheme()).to_owned();
        if host.contains('*') {
            return Err(RedirectUriError::HasWildcard);
        }
        Ok(Self { raw: raw.to_owned(), host })
    }

    /// Whether an answer may be sent to `presented`.
    ///
    /// Bytes must be equal (RFC 9700 §4.1.3); only the port of a loopback IP literal is free (RFC 8252 §7.3).
    pub fn accepts(&self, presented: &str) -> bool {
        if self.raw == presented {
            return true;
        }
        match (split_loopback(&self.raw), split_loopback(presented)) {
            (Some(registered), Some(presented)) => registered == presented,
            _ => false,
        }
    }

    /// The host, for the person who decides; a private scheme stands for itself.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether answers go to whatever program listens on the person's own machine.
    pub fn is_loopback(&self) -> bool {
        split_loopback(&self.raw).is_some()
    }

    fn is_localhost(&self) -> bool {
        split_loopback(&self.raw).is_some_and(|(host, _)| host == LOCALHOST)
    }

    /// The URI as it was registered.
    pub fn as_str(&self) -> &str {
        &self.raw
    }
}

/// Refuses what a browser reads as something else than the parser here, which has no page to resolve it against: `https:a.test`
/// and `https:/a.test` are relative to a page at an `https` URL, and of `https:///a.test` the host is guessed.
fn check_authority(raw: &str) -> Result<(), RedirectUriError> {
    let Some((scheme, rest)) = raw.split_once(':') else { return Err(RedirectUriError::NotAbsolute) };
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Ok(());
    }
    let authority = rest.strip_prefix("//").ok_or(RedirectUriError::NotAbsolute)?;
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    match authority {
        "" => Err(RedirectUriError::NotAbsolute),
        named if named.contains('@') => Err(RedirectUriError::HasUserInfo),
        _ => Ok(()),
    }
}

fn check_scheme(url: &Url, raw: &str) -> Result<(), RedirectUriError> {
    match url.scheme() {
        "https" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(()),
        "https" => Err(RedirectUriError::NotAbsolute),
        "http" if split_loopback(raw).is_some() => Ok(()),
        "http" => Err(RedirectUriError::PlainHttp),
        scheme if scheme.contains('.') => Ok(()),
        _ => Err(RedirectUriError::SchemeWithoutOwner),
    }
}

/// Takes the port out of an `http` URI at a loopback IP literal or `localhost`: the host, and all that follows the port.
fn split_loopback(raw: &str) -> Option<(&str, &str)> {
    let rest = raw.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host_ends = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at_checked(host_ends)?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    let is_loopback = host == LOCALHOST || address.is_ok_and(|address: IpAddr| address.is_loopback());
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port_is_valid = port.is_empty()
        || port.strip_prefix(':').is_some_and(|number| digits(number) && number.parse::<u16>().is_ok());
    (is_loopback && port_is_valid).then_some((host, path))
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl TryFrom<String> for RedirectUri {
    type Error = RedirectUriError;

    /// What was accepted once, by whichever rule.
    fn try_from(raw: String) -> Result<Self, RedirectUriError> {
        Self::read(&raw)
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.raw
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn accepts(registered: &str, presented: &str) -> bool {
        RedirectUri::parse(registered).unwrap().accepts(presented)
    }

    #[test]
    fn what_cannot_be_registered_is_refused_with_its_reason() {
        use RedirectUriError as E;
        for (raw, reason) in [
            ("/callback", E::NotAbsolute),
            ("https:evil.test/cb", E::NotAbsolute),
            ("https:/evil.test/cb", E::NotAbsolute),
            ("https:///evil.test/cb", E::NotAbsolute),
            ("HTTPS:evil.test/cb", E::NotAbsolute),
            ("http:127.0.0.1/cb", E::PlainHttp),
            ("https://@evil.test/", E::HasUserInfo),
            ("https://:@evil.test/", E::HasUserInfo),
            ("", E::NotAbsolute),
            ("https://app.example/cb#x", E::HasFragment),
            ("https://app.example/cb#", E::HasFragment),
            ("https://app.example/cb%23x", E::HasEncodedFragment),
            ("https://app.example/cb?next=%23x", E::HasEncodedFragment),
            ("http://app.example/cb", E::PlainHttp),
            ("http://localhost/cb", E::PlainHttp),
            ("http://127.0.0.1.evil.example/cb", E::PlainHttp),
            ("http://0x7f000001/cb", E::PlainHttp),
            ("https://user@app.example/cb", E::HasUserInfo),
            ("https://*.example/cb", E::HasWildcard),
            ("javascript:alert(1)", E::SchemeWithoutOwner),
            ("data:text/html,x", E::SchemeWithoutOwner),
            (" https://app.example/cb", E::ForbiddenCharacter),
            ("https:\\\\app.example/cb", E::ForbiddenCharacter),
            ("https://app.example/c\tb", E::ForbiddenCharacter),
            ("https://äpp.example/cb", E::ForbiddenCharacter),
        ] {
            assert_eq!(RedirectUri::parse(raw), Err(reason), "{raw}");
        }
        assert_eq!(
            RedirectUri::parse(&format!("https://a.example/{}", "x".repeat(LONGEST))),
            Err(E::TooLong)
        );
    }

    #[test]
    fn equal_bytes_are_accepted_and_nothing_else() {
        let registered = "https://app.example/cb";
        assert!(accepts(registered, registered));
        for other in [
            "https://app.example/cb/",
            "https://app.example/cb?x=1",
            "https://app.example/CB",
            "https://APP.example/cb",
            "https://app.example:443/cb",
            "https://app.example/x/../cb",
            "https://app.example/%63b",
            "https://app.example.evil/cb",
            "https://app.example@evil.example/cb",
            "https://app.example/cb#",
        ] {
            assert!(!accepts(registered, other), "{other}");
        }
    }

    #[test]
    fn the_port_of_a_loopback_literal_is_free() {
        assert!(accepts("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"));
        assert!(accepts("http://127.0.0.1:1/cb", "http://127.0.0.1/cb"));
        assert!(accepts("http://[::1]/cb", "http://[::1]:8080/cb"));
    }

    #[test]
    fn only_the_port_of_a_loopback_literal_is_free() {
        for other in [
            "http://127.0.0.1:1/other",
            "http://127.0.0.2:1/cb",
            "http://[::1]:1/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1:+1/cb",
            "http://127.0.0.1:1@evil.example/cb",
            "http://127.0.0.1:1/cb?x",
            "http://127.0.0.1:1/cb#x",
            "https://127.0.0.1:1/cb",
        ] {
            assert!(!accepts("http://127.0.0.1/cb", other), "{other}");
        }
        assert!(!accepts("https://127.0.0.1/cb", "https://127.0.0.1:1/cb"));
    }

    #[test]
    fn localhost_counts_only_for_clients_that_describe_themselves() {
        let uri = RedirectUri::parse_of_device("http://localhost/cb").unwrap();
        assert!(uri.is_loopback() && uri.accepts("http://localhost:49152/cb"));
        for other in ["http://127.0.0.1/cb", "http://localhost.evil.example/cb", "http://localhost:1/other"] {
            assert!(!uri.accepts(other), "{other}");
        }
        assert_eq!(RedirectUri::parse("http://localhost:1/cb"), Err(RedirectUriError::PlainHttp));
        let kept: RedirectUri = serde_json::from_str("\"http://localhost/cb\"").unwrap();
        assert_eq!(kept, uri);
        let kept: RedirectUri = serde_json::from_str("\"https://app.example/cb%23x\"").unwrap();
        assert!(kept.accepts("https://app.example/cb%23x"), "what was registered before stays");
        for bad in
            ["http://localhost.evil.example/cb", "http://app.example/cb", "http://localhost@evil.example/"]
        {
            RedirectUri::parse_of_device(bad).unwrap_err();
        }
        assert!(!RedirectUri::parse("https://app.example/cb").unwrap().is_loopback());
    }

    #[test]
    fn a_private_scheme_with_a_dot_is_accepted_exactly() {
        assert!(accepts("com.example.app:/cb", "com.example.app:/cb"));
        assert!(!accepts("com.example.app:/cb", "com.example.app:/cb2"));
        assert_eq!(RedirectUri::parse("com.example.app:/cb").unwrap().host(), "com.example.app");
    }

    /// Pieces from which addresses are made, and with which comparisons were deceived.
    const PIECES: [&str; 40] = [
        "http://",
        "https://",
        "HTTP://",
        "http:",
        "//",
        "/",
        "\\",
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "app.example",
        "evil.example",
        "*",
        "@",
        ":",
        ":80",
        ":0",
        ":65536",
        ":+1",
        ":\u{661}",
        "/cb",
        "/CB",
        "/%63b",
        "/../",
        "..;",
        "?",
        "?x=1",
        "#",
        "%23",
        "%2f",
        "%00",
        " ",
        "\t",
        "com.example.app",
        "ä",
    ];

    fn pieces() -> impl Strategy<Value = String> {
        vec(select(&PIECES[..]), 0..10).prop_map(|pieces| pieces.concat())
    }

    /// A registered address with one piece put in somewhere, or taken in place of others.
    fn near() -> impl Strategy<Value = (String, String)> {
        let registered = select(vec![
            "http://127.0.0.1/cb",
            "http://[::1]:80/cb?x=1",
            "https://app.example/cb",
            "com.example.app:/cb",
        ]);
        (registered, any::<prop::sample::Index>(), 0..6_usize, select(&PIECES[..])).prop_map(
            |(registered, at, length, piece)| {
                let start = at.index(registered.len() + 1);
                let end = (start + length).min(registered.len());
                (registered.to_owned(), format!("{}{piece}{}", &registered[..start], &registered[end..]))
            },
        )
    }

    /// What a second reading, by the parser of browsers, says of two addresses of which one is accepted for the other.
    fn assert_same(registered: &str, presented: &str) {
        let Ok(uri) = RedirectUri::parse_of_device(registered) else { return };
        if !uri.accepts(presented) || registered == presented {
            return;
        }
        let [mut own, mut other] = [registered, presented].map(|uri| Url::parse(uri).expect(uri));
        let is_loopback = own.host_str() == Some("localhost")
            || matches!(own.host(), Some(url::Host::Ipv4(ip)) if ip.is_loopback())
            || matches!(own.host(), Some(url::Host::Ipv6(ip)) if ip.is_loopback());
        assert!(is_loopback && own.scheme() == "http", "{registered} {presented}");
        for url in [&mut own, &mut other] {
            url.set_port(None).expect("it has a host");
        }
        assert_eq!(own, other, "{registered} {presented}");
        assert!(!presented.contains('\\'), "{presented}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_accepted_for_another_differs_in_the_port_of_a_loopback_address_alone(
            registered in pieces(), presented in pieces(), (good, bent) in near(),
        ) {
            assert_same(&registered, &presented);
            assert_same(&good, &bent);
            assert_same(&bent, &good);
        }

        #[test]
        fn what_is_registered_is_an_address_without_a_fragment_and_a_name_of_nobody(raw in pieces()) {
            if let Ok(uri) = RedirectUri::parse_of_device(&raw) {
                let url = Url::parse(uri.as_str()).expect("it is an address");
                assert_eq!((url.fragment(), url.username(), url.password()), (None, "", None), "{raw}");
                assert!(!raw.contains(['#', '\\', ' ']), "{raw}");
                assert!(uri.accepts(&raw));
            }
        }
    }
}
