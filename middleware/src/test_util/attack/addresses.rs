//! Clients that say whose address they have.

use http::StatusCode;

use super::certificates::STRANGER;
use super::target::{Attempt, Target};

/// An address that nobody here has (RFC 5737).
const MADE_UP: &str = "198.51.100.66";

/// Each is answered or not: what is wrong is told by the answer. Those of a stranger, and those of one to whose words a proxy added
/// who it really was.
pub(super) fn attacks(target: &Target) -> Vec<(String, Attempt)> {
    let of_stranger = [
        ("x-forwarded-for", MADE_UP.to_owned()),
        ("forwarded", format!("for={MADE_UP}")),
        ("x-real-ip", MADE_UP.to_owned()),
        ("x-client-ip", MADE_UP.to_owned()),
        ("true-client-ip", MADE_UP.to_owned()),
        ("cf-connecting-ip", MADE_UP.to_owned()),
        ("x-forwarded-for", format!("{MADE_UP}, 127.0.0.1")),
    ];
    let of_stranger = of_stranger.into_iter().map(|(name, value)| {
        let attempt = Attempt { peer: STRANGER, ..target.good() };
        (format!("a stranger with {name}: {value}"), attempt.header(name, value))
    });
    let through_proxy = [
        ("x-forwarded-for", format!("{MADE_UP}, {STRANGER}")),
        ("x-forwarded-for", format!("{MADE_UP}, unknown")),
        ("forwarded", format!("for={MADE_UP}, for={STRANGER}")),
    ];
    let through_proxy = through_proxy.into_iter().map(|(name, value)| {
        (format!("a stranger through a proxy with {name}: {value}"), target.good().header(name, value))
    });
    of_stranger.chain(through_proxy).collect()
}

pub(super) fn complaint(status: StatusCode, body: &[u8]) -> Option<&'static str> {
    let is_shown = body.windows(MADE_UP.len()).any(|part| part == MADE_UP.as_bytes());
    (status.is_success() && is_shown).then_some("it believes the address that a client made up")
}
