//! What is asked, and what is answered.

use std::fmt;

use serde::Serialize;

/// The question whether someone may do something.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The subject of the token (`sub`), as it is there.
    pub subject: &'a str,
    /// The roles in the token.
    pub roles: Roles<'a>,
    /// The organisation that the token speaks for. If it speaks for none, this is empty, and only
    /// rules for every organisation count.
    pub domain: &'a str,
    /// The object: a name, a path, or the template of the route.
    pub object: &'a str,
    /// What is to be done with it.
    pub action: &'a str,
}

/// The roles of a request, borrowed from wherever they are.
///
/// ```
/// use portcullis_policy::Roles;
///
/// let in_a_token: Vec<String> = vec!["viewer".to_owned()];
/// let roles = Roles::from(&in_a_token);
/// let literal = Roles::from(&["viewer", "editor"]);
/// assert_eq!((roles.len(), literal.len(), Roles::NONE.len()), (1, 2, 0));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Roles<'a> {
    /// Roles that are borrowed one by one.
    Borrowed(&'a [&'a str]),
    /// Roles as a parsed token holds them.
    Owned(&'a [String]),
}

impl<'a> Roles<'a> {
    /// No role at all.
    pub const NONE: Self = Self::Borrowed(&[]);

    /// How many there are.
    pub const fn len(self) -> usize {
        match self {
            Self::Borrowed(roles) => roles.len(),
            Self::Owned(roles) => roles.len(),
        }
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Each role.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let (borrowed, owned): (&[&str], &[String]) = match self {
            Self::Borrowed(roles) => (roles, &[]),
            Self::Owned(roles) => (&[], roles),
        };
        borrowed.iter().copied().chain(owned.iter().map(String::as_str))
    }
}

impl<'a> From<&'a [&'a str]> for Roles<'a> {
    fn from(roles: &'a [&'a str]) -> Self {
        Self::Borrowed(roles)
    }
}

impl<'a, const N: usize> From<&'a [&'a str; N]> for Roles<'a> {
    fn from(roles: &'a [&'a str; N]) -> Self {
        Self::Borrowed(roles)
    }
}

impl<'a> From<&'a [String]> for Roles<'a> {
    fn from(roles: &'a [String]) -> Self {
        Self::Owned(roles)
    }
}

impl<'a> From<&'a Vec<String>> for Roles<'a> {
    fn from(roles: &'a Vec<String>) -> Self {
        Self::Owned(roles)
    }
}

/// The answer. What is not allowed is denied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the request may go on.
    pub allowed: bool,
    /// The first rule that decided. `None` when no rule speaks for the request. Of a request that is refused only because
    /// conditions are not met, the first rule that has one: [`Snapshot::wanting`](crate::Snapshot::wanting) tells it.
    pub rule: Option<RuleRef>,
    /// The revision that decided.
    pub revision: u64,
}

/// A rule, by its place in the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RuleRef {
    /// The line in the rules, from 1.
    pub line: u32,
}

/// A part of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Part {
    /// What is to be done.
    Action,
    /// The organisation.
    Domain,
    /// What it is to be done with.
    Object,
    /// Who asks.
    Subject,
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Action => "action",
            Self::Domain => "domain",
            Self::Object => "object",
            Self::Subject => "subject",
        })
    }
}
/// Why a request could not be compared with rules at all. It is denied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EnforceError {
    /// A value has a control character, which no rule has.
    ControlCharacter,
    /// The model defines another number of values.
    FieldCount {
        /// How many the model defines.
        expected: usize,
        /// How many were given.
        given: usize,
    },
    /// Casbin's interpreter gave up.
    Interpreter,
    /// A value that is compared with networks is no IP address.
    NotAnAddress,
    /// A value is longer than 4096 bytes.
    TooLong,
}

impl fmt::Display for EnforceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlCharacter => out.write_str("a value has a control character"),
            Self::FieldCount { expected, given } => {
                write!(out, "the model defines {expected} values, and {given} were given")
            }
            Self::Interpreter => out.write_str("Casbin's interpreter gave up"),
            Self::NotAnAddress => out.write_str("a value that is compared with networks is no IP address"),
            Self::TooLong => out.write_str("a value is too long"),
        }
    }
}

impl std::error::Error for EnforceError {}
