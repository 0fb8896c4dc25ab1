//! Which addresses are on the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that anybody on the internet could call as well: neither of this machine, nor of its networks, nor of
/// none, by the registries of special addresses (RFC 6890 and what was added since).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !is_special_v4(address),
        // A mapped IPv4 address, NAT64, unique local, link-local and multicast ones all lie outside.
        IpAddr::V6(address) => is_within(address, [0x2000, 0], 3) && !is_special_v6(address),
    }
}

/// First address and length of each block of IPv4 that is not public.
const SPECIAL_V4: [([u8; 4], u32); 16] = [
    // "This network", where 0.0.0.0 is this machine.
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    // Shared by the customers of a provider (RFC 6598).
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Link-local; cloud providers answer there with credentials.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    // Relays of 6to4 (RFC 7526).
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast.
    ([224, 0, 0, 0], 4),
    // Reserved; the last one is broadcast.
    ([240, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
];

fn is_special_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    SPECIAL_V4.iter().any(|(first, length)| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        bits & mask == u32::from(Ipv4Addr::from(*first)) & mask
    })
}

/// The first two groups, and the length, of each block of global IPv6 that is not public.
const SPECIAL_V6: [([u16; 2], u32); 4] = [
    // Protocol assignments: Teredo, benchmarks, ORCHID.
    ([0x2001, 0x0000], 23),
    // Examples.
    ([0x2001, 0x0db8], 32),
    // 6to4 carries an IPv4 address, which may be any.
    ([0x2002, 0x0000], 16),
    // Examples (RFC 9637).
    ([0x3fff, 0x0000], 20),
];

fn is_special_v6(address: Ipv6Addr) -> bool {
    SPECIAL_V6.iter().any(|(first, length)| is_within(address, *first, *length))
}

/// Whether the first `length` bits, at most 32, are those of `first`.
fn is_within(address: Ipv6Addr, first: [u16; 2], length: u32) -> bool {
    let [one, two, ..] = address.segments();
    let head = |[one, two]: [u16; 2]| (u32::from(one) << 16) | u32::from(two);
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    head([one, two]) & mask == head(first) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn addresses_that_anybody_can_call_are_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
        ] {
            assert!(public(address), "{address}");
        }
    }

    #[test]
    fn addresses_of_this_machine_and_its_networks_and_of_nobody_are_not() {
        for address in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    #[test]
    fn ipv6_that_hides_another_network_is_not_public() {
        for address in [
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff:ffff::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }
}
