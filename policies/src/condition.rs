//! What a rule may ask of whomever it allows: how the user signed in, and what the token is bound to.

use std::fmt;

use serde::Serialize;

/// What follows the effect of a rule that allows: all of it has to be met, or the rule does not allow.
///
/// ```
/// use portcullis_policy::{Assurance, PolicySource, Request, Roles, Snapshot};
///
/// let rules = "p, clerk, *, payments, create, allow, acr=phrh|phr, max_age=300";
/// let snapshot = Snapshot::compile(&PolicySource::with_default_model(rules), 1)?;
/// let roles = Roles::from(&["clerk"]);
/// let request = Request { subject: "ada", roles, domain: "", object: "payments", action: "create" };
/// let shown = Assurance { acr: Some("phr"), age: Some(12), ..Assurance::NOTHING };
/// assert!(snapshot.decide_with(&request, &shown).allowed);
///
/// let decision = snapshot.decide_with(&request, &Assurance { age: Some(301), ..shown });
/// let wanting = snapshot.wanting(decision).map(ToString::to_string);
/// assert!(!decision.allowed);
/// assert_eq!(wanting.as_deref(), Some("the user signed in by phrh or phr within 300 s"));
/// # Ok::<(), portcullis_policy::Report>(())
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct Condition {
    /// The user signed in by one of these classes, the best first (`acr`). Any, if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acr: Vec<String>,
    /// The user signed in at most so many seconds ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// The token is bound to a key, and the caller has proven to have it (RFC 9449).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dpop: bool,
    /// The token is bound to a certificate, and the caller has shown it (RFC 8705).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mtls: bool,
}

/// What the token of a request says of the sign-in behind it, and what it is bound to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Assurance<'a> {
    /// The class by which the user signed in.
    pub acr: Option<&'a str>,
    /// How many seconds ago that was.
    pub age: Option<u64>,
    /// Whether the caller has proven to have the key that the token is bound to.
    pub dpop: bool,
    /// Whether the caller has shown the certificate that the token is bound to.
    pub mtls: bool,
}

/// Under what a request is allowed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Terms<'a> {
    /// Whatever is shown.
    Always,
    /// If one of these is met. None of them is met by whatever meets another.
    If(Vec<&'a Condition>),
    /// Whatever is shown, not.
    Never,
}

impl Assurance<'_> {
    /// Nothing is known of the token: no condition is met.
    pub const NOTHING: Self = Self { acr: None, age: None, dpop: false, mtls: false };
}

impl Condition {
    /// Whether a request that shows this meets it.
    pub fn is_met_by(&self, shown: &Assurance<'_>) -> bool {
        self.has_class(shown) && self.is_recent(shown) && self.is_bound(shown)
    }

    /// Whether the user signed in as it says, whatever the token is bound to.
    pub fn has_sign_in(&self, shown: &Assurance<'_>) -> bool {
        self.has_class(shown) && self.is_recent(shown)
    }

    fn has_class(&self, shown: &Assurance<'_>) -> bool {
        self.acr.is_empty() || shown.acr.is_some_and(|acr| self.acr.iter().any(|own| own == acr))
    }

    fn is_recent(&self, shown: &Assurance<'_>) -> bool {
        self.max_age.is_none_or(|most| shown.age.is_some_and(|age| age <= most))
    }

    const fn is_bound(&self, shown: &Assurance<'_>) -> bool {
        (!self.dpop || shown.dpop) && (!self.mtls || shown.mtls)
    }

    /// Whether whatever meets this meets the other.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        let classes = other.acr.is_empty()
            || (!self.acr.is_empty() && self.acr.iter().all(|class| other.acr.contains(class)));
        let age = other.max_age.is_none_or(|most| self.max_age.is_some_and(|age| age <= most));
        classes && age && (self.dpop || !other.dpop) && (self.mtls || !other.mtls)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut and = "";
        if !self.acr.is_empty() || self.max_age.is_some() {
            out.write_str("the user signed in")?;
            and = " and ";
        }
        if !self.acr.is_empty() {
            write!(out, " by {}", self.acr.join(" or "))?;
        }
        if let Some(secs) = self.max_age {
            write!(out, " within {secs} s")?;
        }
        for (is_asked, to) in [(self.dpop, "key"), (self.mtls, "certificate")] {
            if is_asked {
                write!(out, "{and}the token is bound to a {to}")?;
                and = " and ";
            }
        }
        Ok(())
    }
}

impl fmt::Display for Terms<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::If(conditions) = self else {
            return out.write_str(if *self == Self::Always { "always" } else { "never" });
        };
        for (position, condition) in conditions.iter().enumerate() {
            let or = if position > 0 { ", or " } else { "" };
            write!(out, "{or}{condition}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(acr: &[&str], max_age: Option<u64>, dpop: bool, mtls: bool) -> Condition {
        Condition { acr: acr.iter().map(|class| (*class).to_owned()).collect(), max_age, dpop, mtls }
    }

    const GOOD: Assurance<'static> = Assurance { acr: Some("phr"), age: Some(300), dpop: true, mtls: true };

    #[test]
    fn every_part_has_to_be_met() {
        let all = condition(&["phrh", "phr"], Some(300), true, true);
        assert!(all.is_met_by(&GOOD) && all.is_met_by(&Assurance { age: Some(0), ..GOOD }));
        for bad in [
            Assurance { acr: Some("ph"), ..GOOD },
            Assurance { acr: None, ..GOOD },
            Assurance { age: Some(301), ..GOOD },
            Assurance { age: None, ..GOOD },
            Assurance { dpop: false, ..GOOD },
            Assurance { mtls: false, ..GOOD },
        ] {
            assert!(!all.is_met_by(&bad), "{bad:?}");
        }
        assert!(!condition(&[], Some(u64::MAX), false, false).is_met_by(&Assurance::NOTHING));
    }

    #[test]
    fn it_is_said_in_words() {
        for (said, condition) in [
            (
                "the user signed in by phrh or phr within 300 s",
                condition(&["phrh", "phr"], Some(300), false, false),
            ),
            (
                "the user signed in within 0 s and the token is bound to a key",
                condition(&[], Some(0), true, false),
            ),
            (
                "the token is bound to a key and the token is bound to a certificate",
                condition(&[], None, true, true),
            ),
            (
                "the user signed in by a and the token is bound to a certificate",
                condition(&["a"], None, false, true),
            ),
        ] {
            assert_eq!(condition.to_string(), said);
        }
    }
}
