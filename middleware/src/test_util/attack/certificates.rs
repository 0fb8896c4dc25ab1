//! Certificates that nobody showed.

use std::net::{IpAddr, Ipv4Addr};

use super::target::{Attempt, Target};

/// Of a network for documents (RFC 5737): nobody's proxy.
pub(super) const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

pub(super) fn attacks(target: &Target) -> Vec<(String, Attempt)> {
    let Some((name, value)) = &target.certificate else { return Vec::new() };
    let good = || target.good();
    let mut twice = good();
    twice.headers.extend(http::HeaderValue::try_from(value).ok().map(|value| (name.clone(), value)));
    // Still an encoding of bytes, but of others.
    let middle = value.len() / 2;
    let (front, back) = value.split_at_checked(middle).unwrap_or((value, ""));
    let turned: String = back
        .char_indices()
        .map(|(at, letter)| match (at, letter) {
            (0..4, 'A') => 'B',
            (0..4, letter) if letter.is_ascii_alphanumeric() => 'A',
            (_, letter) => letter,
        })
        .collect();
    let other = format!("{front}{turned}");
    [
        ("no certificate", good().only(name, None)),
        ("an empty certificate", good().only(name, Some(""))),
        ("another certificate", good().only(name, Some(&other))),
        ("two certificates", twice),
        ("the certificate, said by no proxy", Attempt { peer: STRANGER, ..good() }),
    ]
    .map(|(name, attempt)| (name.to_owned(), attempt))
    .into()
}
