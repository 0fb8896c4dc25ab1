//! The canonical-path gate: a path that two parsers could read in two ways is refused.
//!
//! Authorization bypasses by path all have one cause: a proxy, a router and a policy each normalise the
//! same bytes differently. The gate normalises nothing. It lets a path through only when there is nothing
//! left to normalise, so that all of them see the same one.

#[cfg(feature = "axum")]
use axum::extract::OriginalUri;
use http::request::Parts;
use http::uri::Uri;
use http::{HeaderMap, header};

use crate::header::{Several, at_most_one};

/// Why a request target was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PathFault {
    /// A `\`, in clear or percent-encoded.
    #[error("the path holds a backslash")]
    Backslash,
    /// A control character, NUL among them, percent-encoded.
    #[error("the path holds a control character")]
    Control,
    /// A `.` or `..` segment, in clear or percent-encoded.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// Two percent-encodings around each other, as in `%252f`.
    #[error("the path is percent-encoded twice")]
    DoubleEncoding,
    /// Two slashes in a row.
    #[error("the path holds an empty segment")]
    EmptySegment,
    /// A `/`, percent-encoded.
    #[error("the path holds an encoded slash")]
    EncodedSlash,
    /// A letter, a digit, `-`, `.` or `_`, percent-encoded without need (RFC 3986 §6.2.2.2).
    #[error("the path holds an encoded character that needs no encoding")]
    EncodedUnreserved,
    /// More than one `Host`, or one that contradicts the request target.
    #[error("the request names two hosts")]
    Host,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("the path holds an invalid percent-encoding")]
    InvalidEncoding,
    /// Bytes that are not UTF-8, or not ASCII where only ASCII may stand.
    #[error("the path is not valid UTF-8 in percent-encoded form")]
    NotUtf8,
    /// One route as it is written and another one decoded.
    #[error("the path is one route encoded and another one decoded")]
    TwoRoutes,
    /// A `;` parameter.
    #[error("the path holds a parameter")]
    Parameter,
}

/// Checks the path and the host of a request.
pub(crate) fn check(parts: &Parts) -> Result<(), PathFault> {
    let uri = target(parts);
    check_host(uri, &parts.headers)?;
    check_path(uri.path())?;
    // Somebody in between may have written another one, which is the one that a service sees.
    if parts.uri.path() == uri.path() { Ok(()) } else { check_path(parts.uri.path()) }
}

/// What was asked for. Inside a nested router `uri` is the rest of the path; the whole one is what proxies saw.
pub(crate) fn target(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(OriginalUri(original)) = parts.extensions.get() {
        return original;
    }
    &parts.uri
}

fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<(), PathFault> {
    let host = at_most_one(headers, header::HOST).map_err(|Several| PathFault::Host)?;
    // RFC 9112 §3.2.2: a server follows the target's authority and ignores Host; a proxy in front may not.
    match (uri.authority(), host) {
        (Some(target), Some(host)) if !target.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            Err(PathFault::Host)
        }
        _ => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), PathFault> {
    if is_plain(path) {
        return Ok(());
    }
    let decoded = decode(path.as_bytes())?;
    check_double_encoding(&decoded)?;
    let text = std::str::from_utf8(&decoded).map_err(|_| PathFault::NotUtf8)?;
    // Those of Latin-1 take two bytes.
    if text.contains(char::is_control) {
        return Err(PathFault::Control);
    }
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Err(PathFault::DotSegment),
            "" if segments.peek().is_some() => return Err(PathFault::EmptySegment),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a path is of the kind that nearly all are, for which no more needs to be checked.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let doubled = byte == b'/' && before == b'/';
        before = byte;
        !doubled && matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'/')
    })
}

/// Percent-decodes a path, refusing what no canonical path holds.
fn decode(path: &[u8]) -> Result<Vec<u8>, PathFault> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.iter().copied();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let high = bytes.next().and_then(hex).ok_or(PathFault::InvalidEncoding)?;
                let low = bytes.next().and_then(hex).ok_or(PathFault::InvalidEncoding)?;
                check_encoded(high << 4 | low)?
            }
            b'\\' => return Err(PathFault::Backslash),
            b';' => return Err(PathFault::Parameter),
            // The `http` crate lets raw UTF-8 pass; RFC 3986 does not.
            0x80.. => return Err(PathFault::NotUtf8),
            plain => plain,
        };
        decoded.push(byte);
    }
    Ok(decoded)
}

fn check_encoded(byte: u8) -> Result<u8, PathFault> {
    match byte {
        b'/' => Err(PathFault::EncodedSlash),
        b'\\' => Err(PathFault::Backslash),
        b';' => Err(PathFault::Parameter),
        b'.' => Err(PathFault::DotSegment),
        0..=0x1f | 0x7f => Err(PathFault::Control),
        // `~` is unreserved too, but old encoders write `%7E`, and no router gives it a meaning.
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => Err(PathFault::EncodedUnreserved),
        other => Ok(other),
    }
}

fn check_double_encoding(decoded: &[u8]) -> Result<(), PathFault> {
    let twice = decoded.windows(3).any(
        |window| matches!(window, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()),
    );
    if twice { Err(PathFault::DoubleEncoding) } else { Ok(()) }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Parts {
        http::Request::builder().uri(uri).body(()).unwrap().into_parts().0
    }

    #[test]
    fn spellings_that_two_parsers_read_differently_are_refused() {
        let table = [
            ("//admin", PathFault::EmptySegment),
            ("/x//y", PathFault::EmptySegment),
            ("/./admin", PathFault::DotSegment),
            ("/x/../admin", PathFault::DotSegment),
            ("/x/..", PathFault::DotSegment),
            ("/x/%2e%2e/admin", PathFault::DotSegment),
            ("/x/.%2E/admin", PathFault::DotSegment),
            ("/admin%2fusers", PathFault::EncodedSlash),
            ("/admin%2Fusers", PathFault::EncodedSlash),
            ("/%61dmin", PathFault::EncodedUnreserved),
            ("/admin;x=1", PathFault::Parameter),
            ("/admin%3bx=1", PathFault::Parameter),
            ("/admin%00", PathFault::Control),
            ("/admin%0a", PathFault::Control),
            ("/admin%C2%88", PathFault::Control),
            ("/admin%5c", PathFault::Backslash),
            ("/admin\\", PathFault::Backslash),
            ("/admin%", PathFault::InvalidEncoding),
            ("/admin%2", PathFault::InvalidEncoding),
            ("/admin%zz", PathFault::InvalidEncoding),
            ("/admin%252fusers", PathFault::DoubleEncoding),
            ("/%ff", PathFault::NotUtf8),
            ("/%c0%af", PathFault::NotUtf8),
            ("/\u{e9}x", PathFault::NotUtf8),
        ];
        for (path, fault) in table {
            assert_eq!(check_path(path), Err(fault), "{path}");
        }
    }

    #[test]
    fn canonical_paths_pass_and_are_left_to_the_router() {
        // `/ADMIN`, `/admin/` and `/admin.` are other paths than `/admin`, to every parser alike.
        for path in [
            "/",
            "*",
            "/admin",
            "/ADMIN",
            "/admin/",
            "/admin.",
            "/a.b/c-d_e~f",
            "/f%C3%B6o",
            "/a%20b",
            "/100%25",
            "/a:b@c",
            "/...",
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[cfg(feature = "axum")]
    #[test]
    fn the_whole_path_is_checked_inside_a_nested_router() {
        let mut parts = target("/orders");
        parts.extensions.insert(OriginalUri("/x/..%2forders".parse().unwrap()));
        assert_eq!(check(&parts), Err(PathFault::EncodedSlash));
    }

    #[test]
    fn two_hosts_are_refused() {
        let mut parts = target("http://a.test/");
        parts.headers.append(header::HOST, "A.test".parse().unwrap());
        assert_eq!(check(&parts), Ok(()));
        parts.headers.insert(header::HOST, "b.test".parse().unwrap());
        assert_eq!(check(&parts), Err(PathFault::Host));
        let mut parts = target("/");
        parts.headers.append(header::HOST, "a.test".parse().unwrap());
        parts.headers.append(header::HOST, "a.test".parse().unwrap());
        assert_eq!(check(&parts), Err(PathFault::Host));
    }
}
