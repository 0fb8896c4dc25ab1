//! Addresses of clients: a stranger's own word never counts.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis_guard::{ForwardedHeader, Proxies};

/// Who connects to the outermost proxy, or to the service itself.
const STRANGERS: [&str; 3] = ["198.51.100.7", "2001:db8::7", "11.0.0.1"];

/// The proxies, from the outermost to the one that connects to the service.
const CHAIN: [&str; 3] = ["10.1.1.1", "fd00::2", "10.3.3.3"];

/// Lines of a header that a stranger sends: the address that counts is the one that the outermost proxy saw.
pub(crate) fn forwarded(text: &[u8]) {
    let lines: Vec<HeaderValue> =
        text.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    for kind in [Kind::Forwarded, Kind::Named, Kind::XForwardedFor] {
        for stranger in STRANGERS {
            for proxies in 0..=CHAIN.len() {
                for joins in [false, true] {
                    kind.check(&lines, stranger, CHAIN.get(..proxies).expect("no longer"), joins);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Forwarded,
    Named,
    XForwardedFor,
}

impl Kind {
    fn check(self, lines: &[HeaderValue], stranger: &str, chain: &[&str], joins: bool) {
        let header = match self {
            Self::Forwarded => ForwardedHeader::Forwarded,
            Self::Named => ForwardedHeader::Named(self.name()),
            Self::XForwardedFor => ForwardedHeader::XForwardedFor,
        };
        let proxies = Proxies::trust(["10.0.0.0/8", "fd00::/8"]).expect("networks").header(header);
        let mut headers: HeaderMap = lines.iter().map(|line| (self.name(), line.clone())).collect();
        // Each proxy says who connected to it: the stranger to the first, that one to the second.
        let hops: Vec<&str> = std::iter::once(stranger).chain(chain.iter().copied()).collect();
        let (peer, said) = hops.split_last().expect("at least the stranger");
        for hop in said {
            self.append(&mut headers, hop, joins);
        }
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let client = proxies.follow(address(peer), &headers);
        assert_eq!(client, address(stranger), "{headers:?}");
        assert_eq!(Proxies::default().follow(address(stranger), &headers), address(stranger));
    }

    fn name(self) -> HeaderName {
        HeaderName::from_static(match self {
            Self::Forwarded => "forwarded",
            Self::Named => "x-client",
            Self::XForwardedFor => "x-forwarded-for",
        })
    }

    /// Proxies add a line, or go on with the last one.
    fn append(self, headers: &mut HeaderMap, hop: &str, joins: bool) {
        let entry = match self {
            Self::Forwarded if hop.contains(':') => format!("for=\"[{hop}]:4711\";proto=https"),
            Self::Forwarded => format!("for={hop};proto=https"),
            Self::Named | Self::XForwardedFor => hop.to_owned(),
        };
        let name = self.name();
        let mut lines: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        let line = match lines.last().filter(|_| joins) {
            Some(last) => [last.as_bytes(), b", ", entry.as_bytes()].concat(),
            None => entry.into_bytes(),
        };
        if joins {
            lines.pop();
        }
        lines.push(HeaderValue::from_bytes(&line).expect("two values make one"));
        headers.remove(&name);
        headers.extend(lines.into_iter().map(|line| (name.clone(), line)));
    }
}
