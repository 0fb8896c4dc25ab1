//! What services were asked, and what they answered.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::secret::Digest32;

/// The longest names of one request together, in bytes: what guards keep of one, with room for a pseudonym.
const MAX_NAMES: usize = 2_048 + 64;
/// The longest subject in bytes: no token has a longer one (OpenID Connect Core §2), and it is stored twice.
const MAX_SUBJECT: usize = 255;
/// The most roles of one caller.
const MAX_ROLES: usize = 64;
const DAY: Duration = Duration::from_hours(24);

/// A request that a service decided, and how often it did so in a day.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecisionRecord {
    /// The subject of the token, or what stands for it.
    pub subject: String,
    /// Whether something stands for the subject.
    pub pseudonymous: bool,
    /// The roles in the token, each once, in order.
    pub roles: Vec<String>,
    /// The organisation of the token, empty for none.
    pub domain: String,
    /// What was asked for.
    pub object: String,
    /// What was to be done with it.
    pub action: String,
    /// The answer.
    pub allowed: bool,
    /// The client that asked this server to decide; `None` where a guard decided.
    pub asked_by: Option<ClientId>,
    /// The revision that answered last.
    pub revision: u64,
    /// How often it was asked.
    pub decisions: u64,
}

impl DecisionRecord {
    /// Puts the roles in order. `None` for what no rule could be about, or is longer than anybody's names are.
    pub fn in_order(mut self) -> Option<Self> {
        self.roles.sort_unstable();
        self.roles.dedup();
        let Self { subject, roles, domain, object, action, .. } = &self;
        let names = [subject, domain, object, action];
        let bytes: usize = names.into_iter().chain(roles).map(String::len).sum();
        let fits = bytes <= MAX_NAMES && subject.len() <= MAX_SUBJECT && roles.len() <= MAX_ROLES;
        let is_text = names.into_iter().chain(roles).all(|name| !name.contains(char::is_control));
        (fits && is_text && ![subject, object, action].iter().any(|name| name.is_empty())).then_some(self)
    }

    /// The same for the same request and answer.
    pub fn digest(&self) -> Digest32 {
        let flags = [u8::from(self.pseudonymous), u8::from(self.allowed)];
        let mut parts = vec![flags.to_vec()];
        let asked_by = self.asked_by.as_ref().map(ClientId::as_str);
        // What guards decided has the digest that it always had: a length of a text never begins with this byte.
        parts.extend(asked_by.map(|_| vec![0xff]));
        let texts = [&self.subject, &self.domain, &self.object, &self.action].into_iter().chain(&self.roles);
        for text in asked_by.into_iter().chain(texts.map(String::as_str)) {
            parts.push((text.len() as u64).to_be_bytes().to_vec());
            parts.push(text.as_bytes().to_vec());
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Digest32::of_parts(&parts)
    }
}

/// What a day has room for.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// So many different requests.
    pub requests: u64,
    /// So many bytes.
    pub bytes: u64,
}

/// A day of the calendar, in UTC.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Day(i64);

impl Day {
    /// The day on which this is.
    pub fn of(time: Timestamp) -> Self {
        Self(time.as_secs().div_euclid(i64::try_from(DAY.as_secs()).unwrap_or(i64::MAX)))
    }

    /// The day with this number, counted from 1970-01-01.
    pub const fn numbered(number: i64) -> Self {
        Self(number)
    }

    /// Days since 1970-01-01.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// So many days earlier.
    #[must_use]
    pub fn minus(self, days: u32) -> Self {
        Self(self.0.saturating_sub(i64::from(days)))
    }

    /// The next day.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> DecisionRecord {
        DecisionRecord {
            subject: "alice".to_owned(),
            pseudonymous: false,
            roles: vec!["viewer".to_owned(), "clerk".to_owned(), "viewer".to_owned()],
            domain: String::new(),
            object: "orders".to_owned(),
            action: "read".to_owned(),
            allowed: true,
            asked_by: None,
            revision: 3,
            decisions: 2,
        }
    }

    #[test]
    fn the_order_of_roles_and_how_often_something_was_asked_make_no_other_request() {
        let one = record().in_order().unwrap();
        assert_eq!(one.roles, ["clerk", "viewer"]);
        let mut other = record();
        other.roles.reverse();
        (other.revision, other.decisions) = (9, 9);
        assert_eq!(one.digest(), other.in_order().unwrap().digest());
    }

    #[test]
    fn every_part_of_a_request_makes_another_one() {
        let one = record().in_order().unwrap();
        let changes: [fn(&mut DecisionRecord); 9] = [
            |record| record.asked_by = ClientId::parse("cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c").ok(),
            |record| record.subject.push('x'),
            |record| record.pseudonymous = true,
            |record| record.roles.truncate(1),
            |record| record.domain.push('x'),
            |record| record.object.push('x'),
            |record| record.action.push('x'),
            |record| record.allowed = false,
            |record| {
                // The same letters, cut elsewhere.
                record.object = "orde".to_owned();
                record.action = "rsread".to_owned();
            },
        ];
        for (place, change) in changes.iter().enumerate() {
            let mut other = record();
            change(&mut other);
            assert_ne!(one.digest(), other.in_order().unwrap().digest(), "{place}");
        }
    }

    #[test]
    fn what_no_rule_could_be_about_is_no_record() {
        let changes: [fn(&mut DecisionRecord); 9] = [
            |record| record.subject = "x".repeat(MAX_SUBJECT + 1),
            |record| record.subject.clear(),
            |record| record.object.clear(),
            |record| record.action.clear(),
            |record| record.subject.push('\0'),
            |record| record.roles.push("a\nb".to_owned()),
            |record| record.object = "x".repeat(MAX_NAMES + 1),
            |record| {
                // Neither alone is too long.
                record.object = "x".repeat(MAX_NAMES / 2);
                record.domain = "x".repeat(MAX_NAMES / 2);
            },
            |record| record.roles = (0..=MAX_ROLES).map(|number| number.to_string()).collect(),
        ];
        for (place, change) in changes.iter().enumerate() {
            let mut other = record();
            change(&mut other);
            assert_eq!(other.in_order(), None, "{place}");
        }
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let day = |secs| Day::of(Timestamp::from_secs(secs)).number();
        assert_eq!([day(0), day(86_399), day(86_400), day(-1)], [0, 0, 1, -1]);
        assert_eq!(Day::numbered(5).minus(2).next(), Day::numbered(4));
    }
}
