//! Reads requirements as they are printed: the inverse of `Display`, for those that come from a configuration.

use std::fmt;
use std::iter::Peekable;
use std::mem::replace;
use std::num::NonZeroU32;
use std::str::{CharIndices, FromStr};
use std::time::Duration;

use super::node::{Binding, Node};
use super::{Requirement, authenticated, details, issuer, optional, public, rbac, scope};
use crate::sign_in::SignIn;

/// How deep parentheses may be nested.
const MAX_DEPTH: usize = 16;

/// A text that is not a requirement.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what}, at character {}", .at + 1)]
pub struct RequirementError {
    what: String,
    /// Counted from zero.
    at: usize,
}

/// Reads what `Display` prints, but for limits, which have more to them than their name.
///
/// ```
/// use portcullis_guard::{Requirement, rbac, scope};
///
/// let both: Requirement = "scope(orders) and rbac(orders, read)".parse()?;
/// assert_eq!(both, scope("orders").and(rbac("orders", "read")));
/// assert!("public or scope(a) and scope(b)".parse::<Requirement>().is_err(), "nobody knows which is meant");
/// # Ok::<(), portcullis_guard::RequirementError>(())
/// ```
impl FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, RequirementError> {
        let mut parser = Parser { text, symbols: text.char_indices().peekable(), depth: 0 };
        let mut requirement = parser.joined()?;
        let mut conditions = Conditions::default();
        while parser.take(',') {
            parser.condition(&mut conditions)?;
        }
        if let Some(age) = conditions.stale {
            requirement = requirement.serve_stale(age);
        }
        if conditions.is_introspected {
            requirement = requirement.introspect_when_stale();
        }
        if let Some(cost) = conditions.cost {
            requirement = requirement.cost(cost.get());
        }
        parser.blanks();
        match parser.symbols.peek() {
            None => Ok(requirement),
            Some(&(_, symbol)) => Err(parser.fault(format!("`{symbol}` was not expected"))),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    symbols: Peekable<CharIndices<'t>>,
    depth: usize,
}

/// What follows commas behind the whole, each at most once.
#[derive(Default)]
struct Conditions {
    stale: Option<Duration>,
    is_introspected: bool,
    cost: Option<NonZeroU32>,
}

/// What joins two requirements.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Joint {
    And,
    Or,
}

impl Parser<'_> {
    /// Terms with one kind of word between them: which of two kinds binds more closely, nobody should have to know.
    fn joined(&mut self) -> Result<Requirement, RequirementError> {
        let mut whole = self.term()?;
        let mut before = None;
        while let Some(joint) = self.joint()? {
            if before.is_some_and(|before| before != joint) {
                return Err(self.fault("`and` beside `or` needs parentheses that say which is meant"));
            }
            before = Some(joint);
            let next = self.term()?;
            whole = match joint {
                Joint::And => whole.and(next),
                Joint::Or => whole.or(next),
            };
        }
        Ok(whole)
    }

    fn joint(&mut self) -> Result<Option<Joint>, RequirementError> {
        self.blanks();
        if !self.symbols.peek().is_some_and(|(_, symbol)| is_of_word(*symbol)) {
            return Ok(None);
        }
        match self.word()?.as_str() {
            "and" => Ok(Some(Joint::And)),
            "or" => Ok(Some(Joint::Or)),
            other => Err(self.fault(format!("`{other}` stands where `and` or `or` was expected"))),
        }
    }

    fn term(&mut self) -> Result<Requirement, RequirementError> {
        if !self.take('(') {
            return self.leaf();
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault("there are too many parentheses"));
        }
        let inner = self.joined()?;
        self.depth -= 1;
        self.expect(')')?;
        Ok(inner)
    }

    fn leaf(&mut self) -> Result<Requirement, RequirementError> {
        match self.word()?.as_str() {
            "authenticated" => Ok(authenticated()),
            "details" => match self.arguments()?.as_slice() {
                [one] if !one.contains(' ') => Ok(details(one.clone())),
                _ => Err(self.fault("`details` takes one type: details(payment)")),
            },
            "dpop" => Ok(Requirement::of(Node::Bound(Binding::Key))),
            "issuer" => match self.arguments()?.as_slice() {
                [one] if !one.contains(' ') => Ok(issuer(one.clone())),
                _ => Err(self.fault("`issuer` takes one issuer: issuer(https://id.example.com)")),
            },
            "mtls" => Ok(Requirement::of(Node::Bound(Binding::Certificate))),
            "optional" => Ok(optional()),
            "public" => Ok(public()),
            "rbac" => match self.arguments()?.as_slice() {
                [object, action] => Ok(rbac(object.clone(), action.clone())),
                _ => Err(self.fault("`rbac` takes an object and an action: rbac(orders, read)")),
            },
            "scope" => match self.arguments()?.as_slice() {
                [one] if !one.contains(' ') => Ok(scope(one.clone())),
                _ => Err(self.fault("`scope` takes one scope: scope(orders)")),
            },
            "sign-in" => self.sign_in(),
            other => Err(self.fault(format!(
                "`{other}` is no requirement: public, optional, authenticated, scope(..), details(..), rbac(.., ..), issuer(..), dpop, mtls and sign-in(..) are"
            ))),
        }
    }

    /// What stands in parentheses, by its commas. No part is empty.
    fn arguments(&mut self) -> Result<Vec<String>, RequirementError> {
        self.expect('(')?;
        let inside: String =
            std::iter::from_fn(|| self.symbols.next_if(|(_, symbol)| !matches!(symbol, '(' | ')')))
                .map(|(_, symbol)| symbol)
                .collect();
        self.expect(')')?;
        let parts: Vec<_> = inside.split(',').map(|part| part.trim().to_owned()).collect();
        if parts.iter().any(String::is_empty) {
            return Err(self.fault("something is missing in the parentheses"));
        }
        Ok(parts)
    }

    /// Classes, an age, or both. A comma adds a demand everywhere else, so no second one may read as "or" here, and of two ages
    /// nobody should have to know which holds.
    fn sign_in(&mut self) -> Result<Requirement, RequirementError> {
        let (mut sign_in, mut has_classes, mut has_age) = (SignIn::default(), false, false);
        for part in self.arguments()? {
            if let Some(age) = part.strip_prefix("within ") {
                self.once(replace(&mut has_age, true), "an age is there twice: sign-in(phr, within 300 s)")?;
                sign_in.within(self.seconds(age)?);
                continue;
            }
            self.once(replace(&mut has_classes, true), "classes are joined by `or`: sign-in(phrh or phr)")?;
            for class in part.split(" or ").map(str::trim) {
                if class.is_empty() || class.contains(' ') {
                    return Err(
                        self.fault("`sign-in` takes classes and an age: sign-in(phrh or phr, within 300 s)")
                    );
                }
                sign_in.accept(class.to_owned().into());
            }
        }
        Ok(Requirement::of(Node::SignIn(sign_in)))
    }

    /// What follows a comma behind the whole.
    fn condition(&mut self, conditions: &mut Conditions) -> Result<(), RequirementError> {
        self.blanks();
        let text: String = std::iter::from_fn(|| self.symbols.next_if(|(_, symbol)| *symbol != ','))
            .map(|(_, symbol)| symbol)
            .collect();
        let text = text.trim();
        if let Some(age) = text.strip_prefix("stale for ") {
            let before = conditions.stale.replace(self.seconds(age)?);
            return self.once(before.is_some(), "`stale for` is there twice");
        }
        if text == "introspected when stale" {
            let is_there = replace(&mut conditions.is_introspected, true);
            return self.once(is_there, "`introspected when stale` is there twice");
        }
        let Some(number) = text.strip_prefix("costs ") else {
            return Err(self
                .fault("a comma is followed by `stale for 300 s`, `introspected when stale` or `costs 5`"));
        };
        let cost = number.parse().map_err(|_| self.fault("`costs` takes a number: costs 5"))?;
        let before = conditions.cost.replace(cost);
        self.once(before.is_some(), "`costs` is there twice")
    }

    /// Refuses the second of what may be there once.
    fn once(&mut self, is_there: bool, fault: &str) -> Result<(), RequirementError> {
        if is_there { Err(self.fault(fault)) } else { Ok(()) }
    }

    fn seconds(&mut self, text: &str) -> Result<Duration, RequirementError> {
        let number = text.strip_suffix('s').map(|number| number.trim().parse());
        match number {
            Some(Ok(secs)) => Ok(Duration::from_secs(secs)),
            _ => Err(self.fault("an age is a number of seconds: 300 s")),
        }
    }

    fn word(&mut self) -> Result<String, RequirementError> {
        self.blanks();
        let word: String = std::iter::from_fn(|| self.symbols.next_if(|(_, symbol)| is_of_word(*symbol)))
            .map(|(_, symbol)| symbol)
            .collect();
        if word.is_empty() { Err(self.fault("a requirement is missing")) } else { Ok(word) }
    }

    fn take(&mut self, wanted: char) -> bool {
        self.blanks();
        self.symbols.next_if(|(_, symbol)| *symbol == wanted).is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), RequirementError> {
        if self.take(wanted) { Ok(()) } else { Err(self.fault(format!("`{wanted}` is missing"))) }
    }

    fn blanks(&mut self) {
        while self.symbols.next_if(|(_, symbol)| *symbol == ' ').is_some() {}
    }

    fn fault(&mut self, what: impl fmt::Display) -> RequirementError {
        let offset = self.symbols.peek().map_or(self.text.len(), |(offset, _)| *offset);
        let at = self.text.char_indices().take_while(|(own, _)| *own < offset).count();
        RequirementError { what: what.to_string(), at }
    }
}

const fn is_of_word(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric() || matches!(symbol, '-' | '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaf() -> impl Strategy<Value = Requirement> {
        let name = "[a-z:/._*{}-]{1,12}";
        prop_oneof![
            Just(authenticated()),
            Just(optional()),
            Just(public()),
            Just(authenticated().dpop()),
            Just(authenticated().mtls()),
            (name, name).prop_map(|(object, action)| rbac(object, action)),
            name.prop_map(scope),
            name.prop_map(issuer),
            name.prop_map(details),
            ("[a-z:]{1,8}", 0_u64..1_000_000).prop_map(|(class, secs)| {
                scope("a").acr(class).acr("phr").max_age(Duration::from_secs(secs))
            }),
        ]
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let tree = leaf().prop_recursive(4, 24, 2, |inner| {
            (inner.clone(), inner, any::<bool>())
                .prop_map(|(left, right, both)| if both { left.and(right) } else { left.or(right) })
        });
        (tree, 0_u64..100_000, any::<bool>(), 1_u32..100).prop_map(|(tree, stale, asks, cost)| {
            let tree = tree.serve_stale(Duration::from_secs(stale)).cost(cost);
            if asks { tree.introspect_when_stale() } else { tree }
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(requirement in requirement()) {
            prop_assert_eq!(requirement.to_string().parse(), Ok(requirement));
        }

        #[test]
        fn no_text_ends_in_a_panic_and_what_is_read_prints_as_what_reads_the_same(text in "[a-z(), ]{0,40}|.{0,20}") {
            if let Ok(read) = text.parse::<Requirement>() {
                prop_assert_eq!(read.to_string().parse(), Ok(read));
            }
        }
    }

    #[test]
    fn blanks_do_not_matter() {
        let read: Requirement = " ( scope(a)or rbac( orders ,read ) )  and dpop , costs 3".parse().unwrap();
        assert_eq!(read.to_string(), "((scope(a) or rbac(orders, read)) and dpop), costs 3");
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused_with_its_place() {
        for (text, fault) in [
            ("", "a requirement is missing, at character 1"),
            ("pubic", "`pubic` is no requirement"),
            ("scope(a) and scope(b) or scope(c)", "needs parentheses"),
            ("scope(a) xor scope(b)", "`xor` stands where"),
            ("scope(a b)", "`scope` takes one scope"),
            ("scope()", "something is missing in the parentheses"),
            ("issuer(a, b)", "`issuer` takes one issuer"),
            ("details(payment, checked)", "`details` takes one type"),
            ("rbac(orders)", "`rbac` takes an object and an action"),
            ("rbac(orders, read", "`)` is missing, at character 18"),
            ("rbac(orders, read))", "`)` was not expected, at character 19"),
            ("scope(a) and", "a requirement is missing"),
            ("scope(a), costs 0", "`costs` takes a number"),
            ("scope(a), stale for ever", "an age is a number of seconds"),
            ("scope(a), limit x", "a comma is followed by"),
            ("scope(a), costs 5, costs 1", "`costs` is there twice, at character 27"),
            ("scope(a), stale for 5 s, stale for 900 s", "`stale for` is there twice"),
            ("scope(a), stale for 0 s, costs 1, stale for 900 s", "`stale for` is there twice"),
            (
                "public, introspected when stale, costs 1, introspected when stale",
                "`introspected when stale` is there twice",
            ),
            ("sign-in(a b)", "`sign-in` takes classes"),
            ("sign-in(phrh, phr)", "classes are joined by `or`"),
            ("sign-in(phrh, within 5 s, phr)", "classes are joined by `or`"),
            ("sign-in(within 5 s, within 900 s)", "an age is there twice"),
            ("sign-in(phr, within 5 s, within 5 s)", "an age is there twice"),
            ("unlisted", "`unlisted` is no requirement"),
            ("unstated", "`unstated` is no requirement"),
        ] {
            let error = text.parse::<Requirement>().unwrap_err().to_string();
            assert!(error.contains(fault), "{text}: {error}");
        }
        let deep = format!("{}public{}", "(".repeat(17), ")".repeat(17));
        assert!(deep.parse::<Requirement>().unwrap_err().to_string().contains("too many parentheses"));
    }
}
