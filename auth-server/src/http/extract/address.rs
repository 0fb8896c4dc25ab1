//! Where a request comes from: the connection, or what a trusted proxy says.

pub(crate) use portcullis_guard::ClientAddress;
use portcullis_guard::{ForwardedHeader, Proxies};

use crate::config::{ProxyHeader, ProxyNetwork, Server};

/// The proxies in these networks. Networks that could not be read would trust nobody.
pub(crate) fn trusted(networks: &[ProxyNetwork]) -> Proxies {
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    Proxies::trust(networks.iter().map(String::as_str)).unwrap_or_default()
}

/// Whose word about the caller is believed.
pub(crate) fn proxies(server: &Server) -> Proxies {
    let header = match server.proxy_header {
        ProxyHeader::Forwarded => ForwardedHeader::Forwarded,
        ProxyHeader::XForwardedFor => ForwardedHeader::XForwardedFor,
    };
    trusted(&server.trusted_proxies).header(header)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::config::Config;

    fn address(toml: &str, peer: &str) -> String {
        let server = Config::from_toml(toml).unwrap().server;
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "1.2.3.4".parse().unwrap());
        headers.insert("forwarded", "for=5.6.7.8".parse().unwrap());
        proxies(&server).follow(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn nobody_is_believed_unless_configured() {
        assert_eq!(address("", "127.0.0.1"), "127.0.0.1");
    }

    #[test]
    fn a_configured_proxy_is_believed_in_the_one_header_that_is_configured() {
        let trusted = "[server]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n";
        assert_eq!(address(trusted, "127.0.0.1"), "1.2.3.4");
        assert_eq!(address(trusted, "9.9.9.9"), "9.9.9.9");
        assert_eq!(address(&format!("{trusted}proxy_header = \"forwarded\""), "10.1.1.1"), "5.6.7.8");
    }
}
