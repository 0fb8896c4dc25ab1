//! Who is on the other end: the peer, or what a trusted proxy says.

use std::net::{IpAddr, SocketAddr};

#[cfg(feature = "axum")]
use axum::extract::ConnectInfo;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

/// The longest chain of proxies that is followed.
const MAX_HOPS: usize = 32;

/// The proxies whose word on the client's address is taken, and the header they say it in.
///
/// The default trusts nobody: the address of the connection is the client's. Of a header, entries are read
/// from right to left, because only the rightmost ones were written by proxies of yours, and reading stops
/// at the first address that is not one of them, or at the first entry that is not an address.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: Option<ForwardedHeader>,
}

/// A header in which proxies hand on the address of the client.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `Forwarded` of RFC 7239; its `for` parameters are read.
    Forwarded,
    /// A header with one address, or a comma-separated list of them.
    Named(HeaderName),
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// The address of the client, as the trusted proxies report it: an extension of guarded requests, where the
/// address of the connection is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientAddress(pub IpAddr);

/// The address at the other end of the connection: an extension that a server adds to each request. Under axum, the
/// `ConnectInfo<SocketAddr>` that `into_make_service_with_connect_info` adds serves as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerAddress(pub SocketAddr);

impl PeerAddress {
    /// The peer of a request, where its server says who it is.
    fn of(extensions: &Extensions) -> Option<IpAddr> {
        let told = extensions.get::<Self>().map(|Self(address)| address);
        #[cfg(feature = "axum")]
        let told =
            told.or_else(|| extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address));
        told.map(SocketAddr::ip)
    }
}

/// A network that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a network such as 10.0.0.0/8")]
pub struct NotANetwork(String);

impl Proxies {
    /// Trusts the peers in `networks` (CIDR, or single addresses) to set `X-Forwarded-For`.
    pub fn trust<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, NotANetwork> {
        let trusted = networks.into_iter().map(network).collect::<Result<_, _>>()?;
        Ok(Self { trusted, header: Some(ForwardedHeader::XForwardedFor) })
    }

    /// Reads `header` instead. Exactly one header is ever read: two would let a client choose.
    #[must_use]
    pub fn header(mut self, header: ForwardedHeader) -> Self {
        self.header = Some(header);
        self
    }

    /// Whether nobody is trusted.
    pub(crate) const fn are_none(&self) -> bool {
        self.trusted.is_empty()
    }

    /// Whether a peer with this address is one of those that are trusted.
    pub fn contain(&self, peer: IpAddr) -> bool {
        self.is_trusted(peer.to_canonical())
    }

    /// Whether a request comes from a proxy that is trusted.
    pub(crate) fn trust_peer_of(&self, extensions: &Extensions) -> bool {
        PeerAddress::of(extensions).is_some_and(|peer| self.contain(peer))
    }

    /// The address of the client of a request, or `None` when the connection's is not known.
    pub(crate) fn client(&self, parts: &Parts) -> Option<IpAddr> {
        PeerAddress::of(&parts.extensions).map(|peer| self.follow(peer.to_canonical(), &parts.headers))
    }

    /// The address of the client of a request that came over a connection from `peer`.
    pub fn follow(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let Some(header) = self.header.as_ref().filter(|_| self.is_trusted(peer)) else {
            return peer;
        };
        let mut client = peer;
        for hop in header.hops(headers).take(MAX_HOPS) {
            let Some(address) = hop else { break };
            client = address;
            if !self.is_trusted(address) {
                break;
            }
        }
        client
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

impl ForwardedHeader {
    /// The entries of the header, the last one first; `None` for one that is not an address.
    fn hops(&self, headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
        let (name, read): (HeaderName, fn(&str) -> Option<IpAddr>) = match self {
            Self::Forwarded => (http::header::FORWARDED, forwarded_for),
            Self::Named(name) => (name.clone(), address),
            Self::XForwardedFor => (HeaderName::from_static("x-forwarded-for"), address),
        };
        let values = headers.get_all(name).iter().rev();
        let entries = values.flat_map(|value| FromRight { rest: Some(value.as_bytes()), separator: b',' });
        // Each by itself: what a client wrote further left says nothing of what a proxy put behind it.
        entries.map(move |entry| std::str::from_utf8(entry).ok().and_then(read))
    }
}

/// The parts of a list, from the last to the first. What stands between quotation marks separates nothing (RFC 7239 §4).
///
/// Quotation marks are paired from the right as well: the last entries are those of proxies of ours, which close what they open, so
/// that one that a client left open ends before them.
struct FromRight<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for FromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let mut is_quoted = false;
        for (at, byte) in rest.iter().enumerate().rev() {
            let before = rest.get(..at).unwrap_or_default();
            if *byte == b'"' && !ends_in_escape(before) {
                is_quoted = !is_quoted;
            } else if *byte == self.separator && !is_quoted {
                self.rest = Some(before);
                return rest.get(at + 1..);
            }
        }
        Some(rest)
    }
}

/// Whether a text takes the meaning from the character behind it: `\"` is no quotation mark, `\\"` is one.
fn ends_in_escape(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

fn network(text: &str) -> Result<IpNet, NotANetwork> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    parsed.map_err(|_| NotANetwork(text.to_owned()))
}

/// The `for` parameter of one element of `Forwarded` (RFC 7239 §4), which has one at most.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = FromRight { rest: Some(element.as_bytes()), separator: b';' };
    let mut told = pairs.filter_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    });
    let value = told.next()?;
    if told.next().is_some() {
        return None;
    }
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    address(unquoted.unwrap_or(value))
}

/// An address, with or without a port; an IPv6 one may stand in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let parsed: Option<IpAddr> = text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    parsed.or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn client(proxies: &Proxies, peer: &str, headers: &HeaderMap) -> String {
        proxies.follow(peer.parse().unwrap(), headers).to_string()
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        let spoofed = headers("x-forwarded-for", &["1.2.3.4"]);
        assert_eq!(client(&Proxies::default(), "9.9.9.9", &spoofed), "9.9.9.9");
        let proxies = Proxies::trust(["10.0.0.0/8"]).unwrap();
        assert_eq!(client(&proxies, "9.9.9.9", &spoofed), "9.9.9.9");
    }

    #[test]
    fn the_chain_is_read_from_right_to_left_up_to_the_first_stranger() {
        let proxies = Proxies::trust(["10.0.0.0/8", "2001:db8::1"]).unwrap();
        let table = [
            (&["1.2.3.4"][..], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4, 10.1.1.1"], "1.2.3.4"),
            (&["6.6.6.6", "1.2.3.4", "10.1.1.1, [2001:db8::1]:443"], "1.2.3.4"),
            (&["10.1.1.1"], "10.1.1.1"),
            (&["1.2.3.4, nonsense, 10.1.1.1"], "10.1.1.1"),
            (&["1.2.3.4, "], "10.0.0.1"),
            (&[], "10.0.0.1"),
            (&["::ffff:1.2.3.4"], "1.2.3.4"),
            (&["1.2.3.4:5678"], "1.2.3.4"),
        ];
        for (values, expected) in table {
            assert_eq!(
                client(&proxies, "10.0.0.1", &headers("x-forwarded-for", values)),
                expected,
                "{values:?}"
            );
        }
    }

    #[test]
    fn only_the_configured_header_is_read() {
        let proxies = Proxies::trust(["10.0.0.1"]).unwrap().header(ForwardedHeader::Forwarded);
        assert_eq!(client(&proxies, "10.0.0.1", &headers("x-forwarded-for", &["1.2.3.4"])), "10.0.0.1");
        let element = headers("forwarded", &["for=6.6.6.6, proto=https;For=\"[2001:db8::7]:99\";by=x"]);
        assert_eq!(client(&proxies, "10.0.0.1", &element), "2001:db8::7");
        let hidden = headers("forwarded", &["for=_hidden"]);
        assert_eq!(client(&proxies, "10.0.0.1", &hidden), "10.0.0.1");
    }

    #[test]
    fn what_a_client_sends_along_is_no_element_and_no_parameter() {
        let proxies = Proxies::trust(["10.0.0.0/8"]).unwrap().header(ForwardedHeader::Forwarded);
        for (element, expected) in [
            (r#"for=192.0.2.1;host="a,for=198.51.100.7""#, "192.0.2.1"),
            (r#"proto=http;host="a;for=198.51.100.7";for=192.0.2.1"#, "192.0.2.1"),
            (r#"for=192.0.2.1;host="a\",for=198.51.100.7""#, "192.0.2.1"),
            (r#"for=192.0.2.1;host="a\\""#, "192.0.2.1"),
            (r#"for=192.0.2.1;host="\\\",for=198.51.100.7;""#, "192.0.2.1"),
            (r#"for="192.0.2.1""#, "192.0.2.1"),
            (r#"for="198.51.100.7, for=192.0.2.1"#, "192.0.2.1"),
            (r#"for="198.51.100.7;x="\, for=192.0.2.1;host="a""#, "192.0.2.1"),
            ("for=198.51.100.7;for=192.0.2.1", "10.0.0.1"),
            (r#"for="192.0.2.1"#, "10.0.0.1"),
            (r#"for=192.0.2.1""#, "10.0.0.1"),
            (r#"for=""192.0.2.1"""#, "10.0.0.1"),
        ] {
            assert_eq!(
                client(&proxies, "10.0.0.1", &headers("forwarded", &[element])),
                expected,
                "{element}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_spoil_their_own_entry_alone() {
        let sent = |name: &'static str, value: &[u8]| {
            HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())])
        };
        let proxies = Proxies::trust(["10.0.0.0/8"]).unwrap();
        let listed = sent("x-forwarded-for", b"\xe9, 192.0.2.1");
        assert_eq!(client(&proxies, "10.0.0.1", &listed), "192.0.2.1");
        let last = sent("x-forwarded-for", b"192.0.2.1, \xe9");
        assert_eq!(client(&proxies, "10.0.0.1", &last), "10.0.0.1");
        let proxies = proxies.header(ForwardedHeader::Forwarded);
        let elements = sent("forwarded", b"for=\xe9, for=192.0.2.1");
        assert_eq!(client(&proxies, "10.0.0.1", &elements), "192.0.2.1");
    }

    #[test]
    fn a_network_that_cannot_be_read_is_named() {
        let error = Proxies::trust(["10.0.0.0/8", "ten"]).unwrap_err();
        assert!(error.to_string().contains("`ten`"));
    }
}
