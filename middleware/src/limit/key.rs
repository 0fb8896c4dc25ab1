//! By what a limit counts: who is asking, from where and for what.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

use aws_lc_rs::hmac;
use foldhash::quality::RandomState;

use crate::token::Principal;

/// What a limit counts by: every caller that differs in it has a count of its own.
///
/// ```
/// use portcullis_guard::Key;
///
/// // Each user of each client, at each route.
/// let key = Key::subject().and(Key::client()).and(Key::route());
/// ```
///
/// A limit that counts by the address alone, or by the address and the route, is spent before anything is spent on the token.
/// Every other is spent after the token was verified; of these, the ones that count by a caller leave callers without a token
/// alone.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Key(u8);

const ADDRESS: u8 = 1;
const CLIENT: u8 = 1 << 1;
const NETWORK: u8 = 1 << 2;
const ORGANISATION: u8 = 1 << 3;
const ROUTE: u8 = 1 << 4;
const SUBJECT: u8 = 1 << 5;

impl Key {
    /// By the address of the client; for IPv6 by its /64 network, which is the least that anybody has.
    pub const fn address() -> Self {
        Self(ADDRESS)
    }

    /// By the client that the token was issued to.
    pub const fn client() -> Self {
        Self(CLIENT)
    }

    /// By the organisation that the token speaks for. A caller without one is counted as if it were one of its own.
    pub const fn organisation() -> Self {
        Self(ORGANISATION)
    }

    /// By the route: the template of its path, such as `/orders/{id}`, whatever the method. Where a requirement was given
    /// without a path, as to [`Guard::require`](crate::Guard::require), by the text of the requirement.
    ///
    /// A limit by the route alone is shared by all callers, so what is left of it is not shown to them.
    pub const fn route() -> Self {
        Self(ROUTE)
    }

    /// By the user, or by the client itself where no user is involved.
    pub const fn subject() -> Self {
        Self(SUBJECT)
    }

    /// By both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// By the /48 network of an IPv6 address, which a single customer often has. IPv4 is not counted.
    pub(super) const fn network() -> Self {
        Self(NETWORK)
    }

    pub(super) const fn counts_callers(self) -> bool {
        self.0 & (CLIENT | ORGANISATION | SUBJECT) != 0
    }

    pub(super) const fn counts_addresses(self) -> bool {
        self.0 & (ADDRESS | NETWORK) != 0
    }

    /// Whether strangers share a count: then what is left of it says what they do, and is shown to nobody.
    pub(super) const fn is_among_strangers(self) -> bool {
        self.has(NETWORK) || !(self.counts_addresses() || self.counts_callers())
    }

    /// When it is known.
    pub(super) const fn stage(self) -> Stage {
        if self.counts_addresses() && !self.counts_callers() { Stage::Early } else { Stage::Late }
    }

    const fn has(self, part: u8) -> bool {
        self.0 & part != 0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["address", "client", "network", "organisation", "route", "subject"];
        let parts = names.iter().enumerate().filter(|(bit, _)| self.has(1 << bit)).map(|(_, name)| name);
        out.write_str("Key ")?;
        out.debug_set().entries(parts).finish()
    }
}

/// When a limit is spent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Before the token is looked at.
    Early,
    /// After the token was verified, or found not to be needed.
    Late,
}

/// Who and what is to be counted.
#[derive(Clone, Copy)]
pub(crate) struct Counted<'a> {
    pub(crate) address: Option<IpAddr>,
    pub(crate) caller: Option<&'a Principal>,
    pub(crate) route: &'a str,
}

/// Makes numbers of what is counted.
pub(super) enum Numbering {
    /// By a fast hash that differs between processes.
    Fast([RandomState; 2]),
    /// By a secret: the same in every process that has it, and nothing that anybody could compute.
    Keyed(Box<hmac::Key>),
}

impl Numbering {
    pub(super) fn fast() -> Self {
        Self::Fast([RandomState::default(), RandomState::default()])
    }

    pub(super) fn keyed(secret: hmac::Key) -> Self {
        Self::Keyed(Box::new(secret))
    }

    /// The number that a limit counts under; `None` if it does not concern this request.
    pub(super) fn number(&self, key: Key, who: Counted<'_>) -> Option<u128> {
        let parts = Parts::of(key, who)?;
        match self {
            // An address is a number already.
            Self::Fast(_) if key.0 & !(ADDRESS | NETWORK) == 0 => Some(parts.address.unwrap_or_default()),
            Self::Fast(hashers) => {
                let [high, low] = hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(&parts)));
                Some(high << 64 | low)
            }
            Self::Keyed(secret) => {
                let mut keyed = KeyedHasher(hmac::Context::with_key(secret));
                parts.hash(&mut keyed);
                keyed.0.sign().as_ref().first_chunk().copied().map(u128::from_be_bytes)
            }
        }
    }
}

/// What a key counts by, of one request.
struct Parts<'a> {
    key: Key,
    address: Option<u128>,
    who: Counted<'a>,
}

impl<'a> Parts<'a> {
    fn of(key: Key, who: Counted<'a>) -> Option<Self> {
        let address = match who.address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) if key.has(NETWORK) => Some(address.to_bits() >> 80 << 80),
            _ if key.has(NETWORK) => return None,
            Some(IpAddr::V4(address)) if key.has(ADDRESS) => Some(address.to_ipv6_mapped().to_bits()),
            Some(IpAddr::V6(address)) if key.has(ADDRESS) => Some(address.to_bits() >> 64 << 64),
            None if key.has(ADDRESS) => return None,
            Some(_) | None => None,
        };
        if key.counts_callers() && who.caller.is_none() {
            return None;
        }
        Some(Self { key, address, who })
    }
}

/// Bytes in a fixed order, so that they are the same on every machine. Names end with a byte that is in no text.
impl Hash for Parts<'_> {
    fn hash<H: Hasher>(&self, out: &mut H) {
        let mut name = |text: &str| {
            out.write(text.as_bytes());
            out.write(&[0xff]);
        };
        if let Some(caller) = self.who.caller.filter(|_| self.key.counts_callers()) {
            name(caller.issuer());
            if self.key.has(SUBJECT) {
                name(caller.subject());
            }
            if self.key.has(CLIENT) {
                name(caller.client_id());
            }
            if self.key.has(ORGANISATION) {
                // An empty name is no organisation's, so what follows cannot be taken for one.
                name(caller.organisation().unwrap_or_default());
                if caller.organisation().is_none_or(str::is_empty) {
                    name(caller.subject());
                }
            }
        }
        if self.key.has(ROUTE) {
            name(self.who.route);
        }
        out.write(&[self.key.0]);
        if let Some(address) = self.address {
            out.write(&address.to_be_bytes());
        }
    }
}

struct KeyedHasher(hmac::Context);

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Asked by nobody: the number is taken from the whole.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tests::principal;

    fn secret(byte: u8) -> Numbering {
        Numbering::keyed(hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32]))
    }

    fn of<'a>(address: &str, caller: Option<&'a Principal>, route: &'a str) -> Counted<'a> {
        Counted { address: address.parse().ok(), caller, route }
    }

    #[test]
    fn callers_that_differ_in_what_is_counted_have_different_numbers() {
        let callers = [
            principal(&[]),
            principal(&[("sub", "v")]),
            principal(&[("client_id", "d")]),
            principal(&[("org", "o")]),
            principal(&[("iss", "https://other.test")]),
            principal(&[("sub", "uc"), ("client_id", "")]),
        ];
        for numbering in [Numbering::fast(), secret(1)] {
            let distinct = |key: Key| {
                let numbers = callers.iter().map(|caller| numbering.number(key, of("", Some(caller), "/")));
                numbers.collect::<std::collections::HashSet<_>>().len()
            };
            assert_eq!(distinct(Key::subject()), 4);
            assert_eq!(distinct(Key::client()), 4);
            assert_eq!(distinct(Key::organisation()), 5, "the subject stands in for an organisation");
            assert_eq!(distinct(Key::subject().and(Key::client())), 5);
            assert_eq!(distinct(Key::route()), 1);
        }
    }

    #[test]
    fn an_organisation_named_like_a_subject_is_not_that_subject() {
        let (plain, posing) = (principal(&[]), principal(&[("org", "u")]));
        let number = |caller| secret(1).number(Key::organisation(), of("", Some(caller), "/"));
        assert_ne!(number(&plain), number(&posing));
    }

    #[test]
    fn ipv6_is_counted_by_network_and_a_mapped_address_is_ipv4() {
        for numbering in [Numbering::fast(), secret(1)] {
            let by = |key, address| numbering.number(key, of(address, None, "/"));
            let (address, network) = (Key::address(), Key::network());
            assert_eq!(by(address, "2001:db8::1"), by(address, "2001:db8::ffff:2"));
            assert_ne!(by(address, "2001:db8::1"), by(address, "2001:db8:0:1::1"));
            assert_eq!(by(network, "2001:db8::1"), by(network, "2001:db8:0:1::1"));
            assert_ne!(by(network, "2001:db8::1"), by(network, "2001:db8:1::1"));
            assert_eq!(by(address, "192.0.2.1"), by(address, "::ffff:192.0.2.1"));
            assert_ne!(by(address, "192.0.2.1"), by(address, "192.0.2.2"));
            assert_eq!(by(network, "192.0.2.1"), None);
            assert_eq!(by(address, ""), None);
        }
    }

    #[test]
    fn callers_without_a_token_are_counted_by_what_they_have() {
        let numbering = Numbering::fast();
        for key in [Key::subject(), Key::client().and(Key::route()), Key::organisation()] {
            assert_eq!(numbering.number(key, of("192.0.2.1", None, "/")), None, "{key:?}");
        }
        assert!(numbering.number(Key::route(), of("", None, "/")).is_some());
        assert_ne!(
            numbering.number(Key::route(), of("", None, "/a")),
            numbering.number(Key::route(), of("", None, "/b"))
        );
    }

    #[test]
    fn a_secret_makes_the_same_numbers_everywhere_and_another_makes_others() {
        let caller = principal(&[]);
        let number = |byte| secret(byte).number(Key::subject(), of("", Some(&caller), "/"));
        assert_eq!(number(1), number(1));
        assert_ne!(number(1), number(2));
    }

    #[test]
    fn only_addresses_are_known_before_the_token() {
        for key in [Key::address(), Key::network(), Key::address().and(Key::route())] {
            assert_eq!(key.stage(), Stage::Early, "{key:?}");
        }
        for key in [Key::route(), Key::subject(), Key::address().and(Key::subject())] {
            assert_eq!(key.stage(), Stage::Late, "{key:?}");
        }
        assert_eq!(format!("{:?}", Key::subject().and(Key::route())), r#"Key {"route", "subject"}"#);
    }
}
