//! What was revoked, and whether it concerns a token.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foldhash::quality::RandomState;

use crate::schedule::{Confirmed, Moment};

/// How many bytes of a hash stand for a claim and its value.
const MARK_BYTES: usize = 16;

/// The first half of SHA-256 over a claim's name, a zero byte and its value: the server tells these, so that a service
/// learns of no token that it does not hold.
type Mark = [u8; MARK_BYTES];

/// One revocation.
#[derive(serde::Deserialize, serde::Serialize)]
pub(crate) struct Entry {
    id: String,
    /// Only tokens with an `iat` up to then are meant.
    nbf: Option<u64>,
    /// When the last of them has expired.
    exp: u64,
}

impl Entry {
    /// Tokens with this claim; only those that were issued by then, if that is said.
    #[cfg(feature = "test-util")]
    pub(crate) fn new((claim, value): (&str, &str), issued_by: Option<u64>, until: u64) -> Self {
        Self { id: URL_SAFE_NO_PAD.encode(mark(claim, value)), nbf: issued_by, exp: until }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// Which tokens with a mark are meant.
#[derive(Clone, Copy)]
struct Scope {
    not_before: Option<u64>,
    expires_at: u64,
}

impl Scope {
    /// All that either means.
    fn and(self, other: Self) -> Self {
        let not_before = self.not_before.zip(other.not_before).map(|(one, other)| one.max(other));
        Self { not_before, expires_at: self.expires_at.max(other.expires_at) }
    }
}

/// In place of an issuer: tokens of all of them are meant, so that none that was revoked is taken for good.
const ANY: usize = usize::MAX;

/// Everything that was revoked and has not expired.
pub(crate) struct Revoked {
    scopes: RwLock<HashMap<Mark, Scope, RandomState>>,
    /// Whose tokens are meant, of the issuers of the guard: marks say nothing of that. [`ANY`] while nobody knows whose server tells.
    issuer: AtomicUsize,
    /// Moves on with every change: a token that was looked at since then is good without looking again.
    version: AtomicU64,
    confirmed: Confirmed,
    max_stale: Option<Duration>,
    leeway_secs: u64,
}

/// By what a token can be revoked.
#[derive(Clone, Copy)]
pub(crate) struct TokenNames<'t> {
    /// Which issuer of the guard's.
    pub(crate) issuer: usize,
    /// `jti`
    pub(crate) token: &'t str,
    /// `sub`
    pub(crate) subject: &'t str,
    /// `client_id`
    pub(crate) client: &'t str,
    /// `gid`: the grant that bought it.
    pub(crate) grant: Option<&'t str>,
    /// `iat`
    pub(crate) issued_at: u64,
}

/// What is known of one token.
#[derive(Default)]
pub(crate) struct TokenStanding {
    /// The version under which it was found good.
    good_at: AtomicU64,
}

impl Revoked {
    /// `leeway`: how much longer than to its expiry a token is accepted.
    pub(crate) fn new(max_stale: Option<Duration>, leeway: Duration) -> Self {
        Self {
            leeway_secs: leeway.as_secs(),
            scopes: RwLock::default(),
            issuer: AtomicUsize::new(ANY),
            version: AtomicU64::new(1),
            confirmed: Confirmed::default(),
            max_stale,
        }
    }

    /// Takes note of the issuer whose server tells what was revoked: tokens of others may have the same names.
    pub(crate) fn is_told_by(&self, issuer: usize) {
        if self.issuer.swap(issuer, Ordering::AcqRel) != issuer {
            // Tokens that were good because they were not meant are looked at again.
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Which issuer that is, if it is known.
    pub(crate) fn teller(&self) -> Option<usize> {
        Some(self.issuer.load(Ordering::Acquire)).filter(|&issuer| issuer != ANY)
    }

    /// Whether it is not known for too long what was revoked.
    pub(crate) fn is_stale(&self, moment: Moment) -> bool {
        self.max_stale.is_some_and(|age| self.confirmed.is_older_than(age, moment))
    }

    /// Whether the token was revoked.
    pub(crate) fn concerns(&self, token: &TokenNames<'_>, standing: &TokenStanding) -> bool {
        let version = self.version.load(Ordering::Acquire);
        if standing.good_at.load(Ordering::Relaxed) == version {
            return false;
        }
        let issuer = self.issuer.load(Ordering::Acquire);
        if issuer != ANY && issuer != token.issuer {
            standing.good_at.store(version, Ordering::Relaxed);
            return false;
        }
        let scopes = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |scope: &Scope| scope.not_before.is_none_or(|until| token.issued_at <= until);
        let revoked = !scopes.is_empty() && token.marks().any(|mark| scopes.get(&mark).is_some_and(is_meant));
        if !revoked {
            standing.good_at.store(version, Ordering::Relaxed);
        }
        revoked
    }

    /// Takes over what the server said, and forgets what has expired. Gives whether it was news.
    pub(crate) fn take_over(&self, reset: bool, entries: Vec<Entry>, now: u64) -> bool {
        if entries.is_empty() && !reset {
            return false;
        }
        let mut scopes = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        if reset {
            scopes.clear();
        }
        // Before it would grow is often enough.
        if scopes.len() + entries.len() > scopes.capacity() {
            scopes.retain(|_, scope| self.lasts(scope, now));
        }
        for Entry { id, nbf, exp } in entries {
            let decoded = URL_SAFE_NO_PAD.decode(&id).ok().and_then(|bytes| Mark::try_from(bytes).ok());
            let Some(mark) = decoded else {
                tracing::warn!("the server revoked something in a way that is not known here");
                continue;
            };
            let told = Scope { not_before: nbf, expires_at: exp };
            // In whatever order two of them are told, both hold.
            let known = scopes.get(&mark).filter(|known| self.lasts(known, now));
            let told = known.map_or(told, |known| known.and(told));
            scopes.insert(mark, told);
        }
        drop(scopes);
        self.version.fetch_add(1, Ordering::Release);
        true
    }

    /// Whether there may be a token that is revoked by it and would be accepted.
    const fn lasts(&self, scope: &Scope, now: u64) -> bool {
        scope.expires_at.saturating_add(self.leeway_secs) > now
    }

    /// Everything that was revoked and has not expired.
    pub(crate) fn entries(&self, now: u64) -> Vec<Entry> {
        let scopes = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
        let alive = scopes.iter().filter(|(_, scope)| self.lasts(scope, now));
        alive
            .map(|(mark, scope)| Entry {
                id: URL_SAFE_NO_PAD.encode(mark),
                nbf: scope.not_before,
                exp: scope.expires_at,
            })
            .collect()
    }

    /// Takes over what was known when the server was heard last, so long ago.
    pub(crate) fn recall(&self, entries: Vec<Entry>, age: Duration, (unix_secs, now): (u64, Duration)) {
        self.take_over(true, entries, unix_secs);
        self.confirmed.recall(age, now);
    }

    /// How long ago the server said what was revoked, if ever.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        self.confirmed.age(now)
    }

    /// How long what is known is not too old, if there is a limit.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        self.confirmed.left(self.max_stale?, now)
    }

    /// Notes that what is known is all there is.
    pub(crate) fn confirm(&self, now: Duration) {
        self.confirmed.mark(now);
    }
}

impl TokenNames<'_> {
    fn marks(&self) -> impl Iterator<Item = Mark> {
        let always = [("jti", self.token), ("sub", self.subject), ("client_id", self.client)];
        let grant = self.grant.map(|grant| ("gid", grant));
        always.into_iter().chain(grant).map(|(claim, value)| mark(claim, value))
    }
}

fn mark(claim: &str, value: &str) -> Mark {
    let hash = digest(&SHA256, &[claim.as_bytes(), &[0], value.as_bytes()].concat());
    let mut mark = [0; MARK_BYTES];
    mark.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_999_999_800;

    fn entry(claim: &str, value: &str, nbf: Option<u64>) -> Entry {
        Entry { id: URL_SAFE_NO_PAD.encode(mark(claim, value)), nbf, exp: NOW + 3_600 }
    }

    const TOKEN: TokenNames<'_> = TokenNames {
        issuer: 0,
        token: "j",
        subject: "u",
        client: "c",
        grant: Some("g"),
        issued_at: NOW - 100,
    };

    /// A list, and one token that is looked up again and again.
    struct Desk(Revoked, TokenStanding);

    impl Desk {
        fn new() -> Self {
            Self(Revoked::new(None, Duration::ZERO), TokenStanding::default())
        }

        fn hear(&self, reset: bool, entries: Vec<Entry>) -> bool {
            self.0.take_over(reset, entries, NOW);
            let concerned = self.0.concerns(&TOKEN, &self.1);
            assert_eq!(self.0.concerns(&TOKEN, &self.1), concerned, "it stays so");
            concerned
        }
    }

    fn revokes(entry: Entry) -> bool {
        let desk = Desk::new();
        assert!(!desk.hear(false, Vec::new()));
        desk.hear(false, vec![entry])
    }

    #[test]
    fn a_token_is_revoked_by_its_id_its_grant_its_subject_or_its_client() {
        for (claim, value) in [("jti", "j"), ("gid", "g"), ("sub", "u"), ("client_id", "c")] {
            assert!(revokes(entry(claim, value, None)), "{claim}");
            assert!(!revokes(entry(claim, "other", None)), "{claim}");
            assert!(!revokes(entry("iss", value, None)), "{value} is not another claim's value");
        }
    }

    #[test]
    fn tokens_of_another_issuer_are_meant_only_while_nobody_knows_whose_server_tells() {
        let desk = Desk::new();
        assert!(desk.hear(false, vec![entry("sub", "u", None)]), "nobody knows");
        for (issuer, is_meant) in [(1, false), (0, true), (1, false)] {
            desk.0.is_told_by(issuer);
            assert_eq!(desk.hear(false, Vec::new()), is_meant, "it is of {issuer}");
        }
    }

    #[test]
    fn a_token_that_was_issued_later_is_not_meant() {
        assert!(revokes(entry("sub", "u", Some(NOW - 100))), "the same second is meant");
        assert!(!revokes(entry("sub", "u", Some(NOW - 101))));
    }

    #[test]
    fn what_the_server_forgets_is_forgotten_and_of_what_it_repeats_the_most_counts() {
        let desk = Desk::new();
        assert!(desk.hear(true, vec![entry("sub", "u", Some(NOW))]));
        assert!(!desk.hear(true, Vec::new()), "a reset");
        assert!(!desk.hear(false, vec![entry("sub", "u", Some(1))]));
        assert!(desk.hear(false, vec![entry("sub", "u", Some(NOW))]), "although it was good before");
        assert!(desk.hear(false, vec![entry("sub", "u", Some(1))]), "less of it takes nothing back");
        let over = Entry { exp: NOW, ..entry("client_id", "c", None) };
        assert!(
            !Desk::new().hear(false, vec![over, entry("client_id", "c", Some(1))]),
            "what is over is not prolonged"
        );
    }

    #[test]
    fn a_token_that_is_accepted_for_longer_than_to_its_expiry_stays_revoked_so_long() {
        let revoked = Revoked::new(None, Duration::from_secs(30));
        let told = |jti: &str, now: u64| {
            let entry = Entry { exp: NOW, ..entry("jti", jti, None) };
            revoked.take_over(false, vec![entry], now);
            revoked.entries(now).len()
        };
        assert_eq!(told("first", NOW), 1);
        // More than there is room for, so that what concerns nobody any more goes.
        for number in 0..1_000 {
            told(&number.to_string(), NOW + 29);
        }
        assert!(revoked.entries(NOW + 29).len() == 1_001 && revoked.entries(NOW + 30).is_empty());
        assert!(revoked.entries(NOW + 29).iter().all(|entry| entry.exp == NOW));
    }

    #[test]
    fn the_list_does_not_grow_with_what_has_expired() {
        let revoked = Revoked::new(None, Duration::ZERO);
        for second in 0..10_000 {
            let entry = Entry { exp: NOW + second + 10, ..entry("jti", &second.to_string(), None) };
            revoked.take_over(false, vec![entry], NOW + second);
        }
        let held = revoked.scopes.read().unwrap().capacity();
        assert!(held < 200, "{held}");
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_the_rest_counts() {
        let odd = |id: &str| Entry { id: id.to_owned(), nbf: None, exp: NOW };
        assert!(Desk::new().hear(false, vec![odd(""), odd("AA"), odd("%"), entry("jti", "j", None)]));
    }

    #[test]
    fn it_is_stale_when_nobody_spoke_for_too_long() {
        let secs = Duration::from_secs;
        let at = |now| Moment::strict(secs(now));
        let (revoked, never) =
            (Revoked::new(Some(secs(5)), Duration::ZERO), Revoked::new(None, Duration::ZERO));
        assert!(revoked.is_stale(at(1)), "nothing was heard yet");
        revoked.confirm(secs(100));
        assert!(!revoked.is_stale(at(105)) && revoked.is_stale(at(106)));
        assert!(!revoked.is_stale(Moment { now: secs(106), tolerance: secs(6) }));
        assert!(!never.is_stale(at(1_000_000)));
    }
}
