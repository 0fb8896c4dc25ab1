//! Whom the server may call.

use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Url};

use crate::config::AllowedTarget;
use crate::outbound::address::is_public;

/// The name of this machine; it leads nowhere else, whatever a resolver says (RFC 6761 §6.3).
const LOCALHOST: &str = "localhost";

/// An address that the server does not call.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum AddressRefused {
    #[error("its address is not on the public internet, and outbound.allow does not name it")]
    Internal,
    #[error("its name has no address")]
    Nowhere,
}

/// Whom the server may call: the public internet, and what the operator names beside it.
#[derive(Clone, Debug)]
pub(crate) struct Rules(Arc<[AllowedTarget]>);

impl Rules {
    pub(crate) fn new(allow: &[AllowedTarget]) -> Self {
        Self(allow.into())
    }

    /// What can be said of an address before its name is looked up.
    pub(crate) fn check(&self, url: &Url) -> Result<(), AddressRefused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name)) if is_local(name) && !self.may_be_local(name) => {
                return Err(AddressRefused::Internal);
            }
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(AddressRefused::Nowhere),
        };
        if self.permits(None, address) { Ok(()) } else { Err(AddressRefused::Internal) }
    }

    /// Those of the addresses of a host that may be called.
    pub(super) fn screen(&self, host: &str, found: &[IpAddr]) -> Result<Vec<IpAddr>, AddressRefused> {
        if found.is_empty() {
            return Err(AddressRefused::Nowhere);
        }
        let may_be_called = |address: &IpAddr| {
            self.permits(Some(host), *address) && (!is_local(host) || address.is_loopback())
        };
        let permitted: Vec<IpAddr> = found.iter().copied().filter(may_be_called).collect();
        if permitted.is_empty() { Err(AddressRefused::Internal) } else { Ok(permitted) }
    }

    fn permits(&self, host: Option<&str>, address: IpAddr) -> bool {
        is_public(address)
            || self.0.iter().any(|allowed| match allowed {
                AllowedTarget::Host(name) => host.is_some_and(|host| host.eq_ignore_ascii_case(name)),
                AllowedTarget::Network(network) => network.contains(&address),
            })
    }

    /// Whether an entry of the list could permit a name of this machine.
    fn may_be_local(&self, name: &str) -> bool {
        self.0.iter().any(|allowed| match allowed {
            AllowedTarget::Host(host) => host.eq_ignore_ascii_case(name),
            AllowedTarget::Network(network) => network.network().is_loopback(),
        })
    }
}

fn is_local(host: &str) -> bool {
    // One dot at the end says that nothing is to be put behind the name.
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case(LOCALHOST)
        || host.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case(LOCALHOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str]) -> Rules {
        Rules::new(&allow.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
    }

    fn checked(rules: &Rules, url: &str) -> Result<(), AddressRefused> {
        rules.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_literal_address_is_judged_before_anything_is_sent() {
        let none = rules(&[]);
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://10.0.0.1/",
            "https://0.0.0.0/",
            "https://localhost/",
            "https://LOCALHOST/",
            "https://a.localhost/",
            "https://localhost./",
            "http://localhost:8080/",
        ] {
            assert_eq!(checked(&none, url), Err(AddressRefused::Internal), "{url}");
        }
        for url in ["https://rp.example/", "https://1.1.1.1/", "https://[2606:4700::1]/"] {
            assert_eq!(checked(&none, url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_the_operator_names_may_be_called_and_nothing_beside_it() {
        let some = rules(&["10.1.0.0/16", "127.0.0.1", "rp.internal", "fd00::/8"]);
        for url in ["https://10.1.2.3/", "http://127.0.0.1/", "https://[fd00::1]/"] {
            assert_eq!(checked(&some, url), Ok(()), "{url}");
        }
        for url in ["https://10.2.0.1/", "http://127.0.0.2/", "https://[fe80::1]/"] {
            assert_eq!(checked(&some, url), Err(AddressRefused::Internal), "{url}");
        }
        let screened = |host: &str, found: &[&str]| {
            let found: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
            some.screen(host, &found).map(|kept| kept.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let internal = Err(AddressRefused::Internal);
        assert_eq!(screened("RP.internal", &["192.168.0.1"]), Ok(vec!["192.168.0.1".to_owned()]));
        assert_eq!(screened("other.internal", &["192.168.0.1"]), internal);
        assert_eq!(screened("a.rp.internal", &["192.168.0.1"]), internal);
        assert_eq!(
            screened("rp.example", &["169.254.169.254", "1.1.1.1", "10.1.0.1"]),
            Ok(vec!["1.1.1.1".to_owned(), "10.1.0.1".to_owned()])
        );
        assert_eq!(screened("rp.example", &[]), Err(AddressRefused::Nowhere));
        assert_eq!(screened("localhost", &["1.1.1.1"]), internal, "a lying resolver");
        assert_eq!(screened("localhost", &["127.0.0.1"]), Ok(vec!["127.0.0.1".to_owned()]));
    }
}
