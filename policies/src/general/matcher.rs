//! A matcher in the form in which it is evaluated.

use super::parse::{MAX_FIELDS, Model};
use super::pattern::{Function, Pattern};
use super::roles::Links;
use super::syntax::{Call, Expr, Named, Term};
use super::table::{Table, Value};
use crate::intern::{Map, UNNAMED};
use crate::report::{Finding, quoted};

/// A condition on a request and a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Bool(bool),
    Equal(Operand, Operand),
    In(Operand, Vec<u32>),
    Link(Link),
    Match(Match),
    Not(Box<Test>),
}

/// `who` stands for `held` in the domain, by the rows of a role definition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Link {
    pub(super) definition: usize,
    pub(super) who: Operand,
    pub(super) held: Operand,
    pub(super) domain: Option<Operand>,
}

/// A text fits a pattern that the policy has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Match {
    pub(super) function: Function,
    text: Operand,
    pub(super) pattern: Operand,
    /// Where the function is called.
    pub(super) at: usize,
}

/// What a condition looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operand {
    /// A field of the request, by position.
    Asked(usize),
    Constant(u32),
    /// A field of the rule, by position.
    Row(usize),
}

/// A request, looked up once.
pub(super) struct Asked<'a> {
    values: [Value<'a>; MAX_FIELDS],
}

/// What a condition is evaluated against.
pub(super) struct Facts<'a> {
    pub(super) table: &'a Table,
    pub(super) links: &'a [Links],
    pub(super) patterns: &'a Map<(Function, u32), Pattern>,
}

/// An `ipMatch` was asked about a text that is no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NotAnAddress;

impl<'a> Asked<'a> {
    pub(super) fn new(values: &[&'a str], table: &Table) -> Self {
        let mut asked = [Value { number: UNNAMED, text: "" }; MAX_FIELDS];
        for (slot, text) in asked.iter_mut().zip(values) {
            *slot = table.value(text);
        }
        Self { values: asked }
    }

    pub(super) fn value(&self, field: usize) -> Value<'a> {
        self.values.get(field).copied().unwrap_or(Value { number: UNNAMED, text: "" })
    }

    pub(super) fn set(&mut self, field: usize, value: Value<'a>) {
        if let Some(slot) = self.values.get_mut(field) {
            *slot = value;
        }
    }
}

impl Facts<'_> {
    fn get<'v>(&'v self, operand: Operand, asked: &Asked<'v>, row: &[u32]) -> Value<'v> {
        match operand {
            Operand::Asked(field) => asked.value(field),
            Operand::Constant(number) => self.table.stored(number),
            Operand::Row(field) => self.table.stored(row.get(field).copied().unwrap_or(UNNAMED)),
        }
    }
}

impl Test {
    /// Whether the condition holds for this request and this row.
    pub(super) fn holds(
        &self,
        facts: &Facts<'_>,
        asked: &Asked<'_>,
        row: &[u32],
    ) -> Result<bool, NotAnAddress> {
        let get = |operand: &Operand| facts.get(*operand, asked, row);
        Ok(match self {
            Self::All(parts) => {
                for part in parts {
                    if !part.holds(facts, asked, row)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Any(parts) => {
                for part in parts {
                    if part.holds(facts, asked, row)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Bool(known) => *known,
            Self::Equal(a, b) => get(a) == get(b),
            Self::In(operand, list) => list.contains(&get(operand).number),
            Self::Link(link) => {
                let links = facts.links.get(link.definition);
                let domain = link.domain.as_ref().map(get);
                links.is_some_and(|links| links.connect(get(&link.who), get(&link.held), domain))
            }
            Self::Match(of) => {
                let pattern = facts.patterns.get(&(of.function, get(&of.pattern).number));
                let Some(pattern) = pattern else { return Ok(false) };
                of.function.matches(get(&of.text).text, pattern).map_err(|_| NotAnAddress)?
            }
            Self::Not(inner) => !inner.holds(facts, asked, row)?,
        })
    }

    /// Whether the condition holds whatever a rule might say. `None` when that depends on the rule.
    pub(super) fn holds_without_row(&self, facts: &Facts<'_>, asked: &Asked<'_>) -> Option<bool> {
        match self {
            Self::All(parts) => {
                let known: Vec<_> = parts.iter().map(|part| part.holds_without_row(facts, asked)).collect();
                if known.contains(&Some(false)) {
                    Some(false)
                } else {
                    known.into_iter().collect::<Option<Vec<_>>>().map(|_| true)
                }
            }
            Self::Any(parts) => {
                let known: Vec<_> = parts.iter().map(|part| part.holds_without_row(facts, asked)).collect();
                if known.contains(&Some(true)) {
                    Some(true)
                } else {
                    known.into_iter().collect::<Option<Vec<_>>>().map(|_| false)
                }
            }
            Self::Not(inner) => inner.holds_without_row(facts, asked).map(|known| !known),
            test if test.reads_row() => None,
            test => test.holds(facts, asked, &[]).ok(),
        }
    }

    /// Whether the condition looks at the rule at all.
    pub(super) fn reads_row(&self) -> bool {
        let is_row = |operand: &Operand| matches!(operand, Operand::Row(_));
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::reads_row),
            Self::Bool(_) => false,
            Self::Equal(a, b) => is_row(a) || is_row(b),
            Self::In(operand, _) => is_row(operand),
            Self::Link(link) => {
                is_row(&link.who) || is_row(&link.held) || link.domain.as_ref().is_some_and(is_row)
            }
            Self::Match(of) => is_row(&of.text) || is_row(&of.pattern),
            Self::Not(inner) => inner.reads_row(),
        }
    }

    /// Calls `found` with every pattern match in the condition.
    pub(super) fn matches(&self, found: &mut impl FnMut(&Match)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.matches(found)),
            Self::Match(of) => found(of),
            Self::Not(inner) => inner.matches(found),
            Self::Bool(_) | Self::Equal(..) | Self::In(..) | Self::Link(_) => {}
        }
    }
}

/// Gives the names in a matcher their places in the definitions of the model.
pub(super) struct Resolver<'a> {
    pub(super) model: &'a Model,
    pub(super) table: &'a mut Table,
}

impl Resolver<'_> {
    pub(super) fn test(&mut self, expr: &Expr) -> Result<Test, Finding> {
        Ok(match expr {
            Expr::All(parts) => {
                Test::All(parts.iter().map(|part| self.test(part)).collect::<Result<_, _>>()?)
            }
            Expr::Any(parts) => {
                Test::Any(parts.iter().map(|part| self.test(part)).collect::<Result<_, _>>()?)
            }
            Expr::Bool(known) => Test::Bool(*known),
            Expr::Call(call) => self.call(call)?,
            Expr::Equal(a, b) => Test::Equal(self.operand(a)?, self.operand(b)?),
            Expr::In(operand, list) => {
                let numbers = list.iter().map(|term| match &term.what {
                    Named::Text(text) => self.table.intern(text),
                    Named::Request(_) | Named::Row(_) => UNNAMED,
                });
                let numbers = numbers.collect();
                Test::In(self.operand(operand)?, numbers)
            }
            Expr::Not(inner) => Test::Not(Box::new(self.test(inner)?)),
        })
    }

    fn operand(&mut self, term: &Term) -> Result<Operand, Finding> {
        let find = |fields: &[String], name: &str, of: &str| {
            fields.iter().position(|field| field == name).ok_or_else(|| {
                let message = format!("`{of}` has no field {}", quoted(name));
                let fix = crate::report::closest(name, fields.iter().map(String::as_str));
                Finding::error(self.model.matcher.place(term.at), "model-field", message).with_fix(fix)
            })
        };
        match &term.what {
            Named::Request(name) => find(&self.model.request, name, "r").map(Operand::Asked),
            Named::Row(name) => find(&self.model.policy, name, "p").map(Operand::Row),
            Named::Text(text) => Ok(Operand::Constant(self.table.intern(text))),
        }
    }

    fn call(&mut self, call: &Call) -> Result<Test, Finding> {
        let operands = call.arguments.iter().map(|term| self.operand(term)).collect::<Result<Vec<_>, _>>()?;
        if let Some(definition) = self.model.roles.iter().position(|role| role.name == call.name) {
            let in_domains = self.model.roles.get(definition).is_some_and(|role| role.in_domains);
            return match operands.as_slice() {
                [who, held] if !in_domains => {
                    Ok(Test::Link(Link { definition, who: *who, held: *held, domain: None }))
                }
                [who, held, domain] if in_domains => {
                    Ok(Test::Link(Link { definition, who: *who, held: *held, domain: Some(*domain) }))
                }
                _ => Err(self.unsupported(call, "its definition has another number of places")),
            };
        }
        let Some(function) = Function::named(&call.name) else {
            return Err(self.unsupported(call, "this crate does not know the function"));
        };
        match operands.as_slice() {
            [_, Operand::Asked(_)] => {
                Err(self
                    .unsupported(call, "the pattern would come with the request, uncompiled and unchecked"))
            }
            [text, pattern] => {
                Ok(Test::Match(Match { function, text: *text, pattern: *pattern, at: call.at }))
            }
            _ => Err(self.unsupported(call, "it takes a text and a pattern")),
        }
    }

    fn unsupported(&self, call: &Call, why: &str) -> Finding {
        let message = format!("{} is not evaluated: {why}", quoted(&call.name));
        Finding::error(self.model.matcher.place(call.at), "model-unsupported", message)
    }
}
