//! Finding the bearer token of a request (RFC 6750 §2.1).

use http::{HeaderMap, HeaderValue, header};

/// Why the credentials of a request could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BearerFault {
    /// What no token looks like, in the cookie of tokens.
    #[error("the cookie does not hold a token")]
    Cookie,
    /// Characters that no token has.
    #[error("the Authorization header does not hold a token")]
    Malformed,
    /// More than one credential: which one counts would depend on who reads.
    #[error("the request carries several credentials")]
    Several,
    /// More characters than are looked at.
    #[error("the Authorization header is too long")]
    TooLong,
}

/// What may stand before a token: the scheme, and spaces.
const MOST_BEFORE: usize = 16;

/// How a token was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    /// Whoever has it may use it (RFC 6750).
    Bearer,
    /// With a proof (RFC 9449 §7.1).
    Dpop,
}

/// A token as it was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Credential<'h> {
    pub(crate) scheme: Scheme,
    pub(crate) token: &'h str,
}

/// The token of the `Authorization` header, if there is one. One of more bytes than `longest` is not looked at.
///
/// Beside it, only a cookie may be read, where that is declared: RFC 9700 §4.3.2 forbids tokens in the query, and one in a
/// form body would make the guard read bodies before it knows who sends them.
pub(crate) fn credential(headers: &HeaderMap, longest: usize) -> Result<Option<Credential<'_>>, BearerFault> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(BearerFault::Several);
    }
    let Some(scheme) = scheme(value.as_bytes()) else { return Ok(None) };
    if value.len() > longest.saturating_add(MOST_BEFORE) {
        return Err(BearerFault::TooLong);
    }
    let value = visible(value).ok_or(BearerFault::Malformed)?;
    let token = value.split_once(' ').map_or("", |(_, rest)| rest.trim_start_matches(' '));
    if token.is_empty() {
        return Err(BearerFault::Malformed);
    }
    // `Bearer a, Bearer b` is what a proxy makes of two headers.
    if memchr::memchr3(b',', b' ', b'\t', token.as_bytes()).is_some() {
        return Err(BearerFault::Several);
    }
    Ok(Some(Credential { scheme, token }))
}

/// The scheme that a value begins with, if it is one of tokens.
fn scheme(value: &[u8]) -> Option<Scheme> {
    [("Bearer", Scheme::Bearer), ("DPoP", Scheme::Dpop)].into_iter().find_map(|(name, scheme)| {
        let (own, rest) = value.split_at_checked(name.len())?;
        let is_own =
            own.eq_ignore_ascii_case(name.as_bytes()) && rest.first().is_none_or(|next| *next == b' ');
        is_own.then_some(scheme)
    })
}

/// A value of visible ASCII as text. Every byte is looked at, whatever the others are: so many are looked at at once.
fn visible(value: &HeaderValue) -> Option<&str> {
    let bytes = value.as_bytes();
    let is_visible = bytes.iter().fold(true, |all, byte| all & matches!(byte, b'\t' | b' '..=b'~'));
    if is_visible { std::str::from_utf8(bytes).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: usize = 32;

    fn read(values: &[&[u8]]) -> Result<Option<String>, BearerFault> {
        let header = |value: &&[u8]| (header::AUTHORIZATION, http::HeaderValue::from_bytes(value).unwrap());
        let headers: HeaderMap = values.iter().map(header).collect();
        credential(&headers, LONGEST).map(|credential| credential.map(|it| it.token.to_owned()))
    }

    #[test]
    fn one_bearer_token_is_read_whatever_the_case_of_the_scheme() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c"] {
            assert_eq!(read(&[value.as_bytes()]), Ok(Some("a.b.c".to_owned())));
        }
    }

    #[test]
    fn a_token_with_a_proof_is_told_from_one_without() {
        for (value, scheme) in
            [("DPoP a", Scheme::Dpop), ("dpop a", Scheme::Dpop), ("Bearer a", Scheme::Bearer)]
        {
            let headers =
                HeaderMap::from_iter([(header::AUTHORIZATION, http::HeaderValue::from_static(value))]);
            assert_eq!(credential(&headers, LONGEST), Ok(Some(Credential { scheme, token: "a" })));
        }
    }

    #[test]
    fn another_scheme_is_no_token() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"Basic dTpw"]), Ok(None));
        assert_eq!(read(&[b"BearerX a"]), Ok(None));
    }

    #[test]
    fn several_credentials_are_refused() {
        assert_eq!(read(&[b"Bearer a", b"Bearer b"]), Err(BearerFault::Several));
        assert_eq!(read(&[b"Bearer a", b"Basic b"]), Err(BearerFault::Several));
        for value in [b"Bearer a, Bearer b".as_slice(), b"Bearer a,b", b"Bearer a b"] {
            assert_eq!(read(&[value]), Err(BearerFault::Several));
        }
    }

    #[test]
    fn what_is_longer_than_any_token_is_not_looked_at() {
        let longest = format!("Bearer {}", "a".repeat(LONGEST));
        assert_eq!(read(&[longest.as_bytes()]), Ok(Some("a".repeat(LONGEST))));
        for more in [[b'a'; 100], [b' '; 100], [0xff; 100]] {
            let long = [longest.as_bytes(), &more].concat();
            assert_eq!(read(&[&long]), Err(BearerFault::TooLong));
        }
        let other = [b"Basic ".as_slice(), &[b'a'; 100]].concat();
        assert_eq!(read(&[&other]), Ok(None));
    }

    #[test]
    fn what_is_not_a_token_is_refused() {
        for value in [b"Bearer".as_slice(), b"Bearer ", b"Bearer \xff\xfe"] {
            assert_eq!(read(&[value]), Err(BearerFault::Malformed));
        }
    }
}
