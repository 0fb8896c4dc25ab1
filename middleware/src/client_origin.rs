//! Where a client reached the service, when something in front of it knows.

use url::Url;

/// The origin by which a client reached the service, such as `https://api.example.com`: an extension of requests, put there by who
/// hands them to the guard and learned it from a proxy that is trusted.
///
/// A guard that has it wants [DPoP proofs](crate::Dpop) made for this origin, and not for another one of those that the service
/// has. It opens nothing: the origin must still be one of those that the guard was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientOrigin(String);

/// A scheme and a host that make no origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the scheme and the host are not those of a service on the web")]
pub struct NotAClientOrigin;

impl ClientOrigin {
    /// From a scheme (`https` or `http`) and a host with or without a port, as a request names it.
    pub fn new(scheme: &str, host: &str) -> Result<Self, NotAClientOrigin> {
        // A parser of URLs would pass over what is not of a host.
        let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if !matches!(scheme, "http" | "https") || host.is_empty() || !host.bytes().all(is_of_host) {
            return Err(NotAClientOrigin);
        }
        let url = Url::parse(&format!("{scheme}://{host}/")).map_err(|_| NotAClientOrigin)?;
        Ok(Self(url.origin().ascii_serialization()))
    }

    /// As browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_scheme_and_the_case_of_the_host_do_not_matter() {
        for host in ["api.example", "API.example", "api.example:443"] {
            assert_eq!(ClientOrigin::new("https", host).unwrap().as_str(), "https://api.example");
        }
        assert_eq!(ClientOrigin::new("http", "[::1]:8080").unwrap().as_str(), "http://[::1]:8080");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for (scheme, host) in [
            ("ws", "a.example"),
            ("HTTPS", "a.example"),
            ("https,http", "a.example"),
            ("https", ""),
            ("https", "a.example, b.example"),
            ("https", "a.example/x"),
            ("https", "a.example?x"),
            ("https", "a.example#x"),
            ("https", "u@a.example"),
            ("https", "a.example\\b"),
            ("https", "a.example:99999"),
            ("https", "[::1"),
            ("https", "\u{e4}.example"),
        ] {
            assert_eq!(ClientOrigin::new(scheme, host), Err(NotAClientOrigin), "{scheme} {host}");
        }
    }
}
