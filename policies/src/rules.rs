//! The rules as text, read line by line into rows that cannot be wrong on their own.

use crate::condition::Condition;
use crate::conditions::is_condition;
use crate::line::{self, Field, Line};
use crate::object::Object;
use crate::report::{Finding, Findings, Place, PolicyFile, closest, quoted};

const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;
const MAX_RULES: usize = 200_000;

/// What marks the subject of a rule as one user instead of a role.
pub(crate) const USER_PREFIX: &str = "user:";

/// All rules of a policy.
#[derive(Debug, Default)]
pub(crate) struct Rules<'a> {
    pub(crate) permissions: Vec<Permission<'a>>,
    pub(crate) inheritances: Vec<Inheritance<'a>>,
}

/// A `p` line: this subject may, or may not, do this to that.
#[derive(Debug)]
pub(crate) struct Permission<'a> {
    pub(crate) line: u32,
    pub(crate) subject: Subject<'a>,
    pub(crate) domain: Selector<'a>,
    pub(crate) object: Object<'a>,
    pub(crate) action: Selector<'a>,
    pub(crate) effect: Effect,
    /// What has to be met for it to allow.
    pub(crate) condition: Option<Box<Condition>>,
}

/// A `g` line: the child has every permission of the parent.
#[derive(Debug)]
pub(crate) struct Inheritance<'a> {
    pub(crate) line: u32,
    pub(crate) child: &'a str,
    pub(crate) parent: &'a str,
    pub(crate) parent_column: u32,
    pub(crate) domain: Selector<'a>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Subject<'a> {
    Role(&'a str),
    /// One user, by the subject of the token, without the prefix.
    User(&'a str),
}

/// A field that holds `*` or one name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Selector<'a> {
    Any,
    Named(&'a str),
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// Reads every line. A line with an error is reported and left out; of a text that is too large, all.
pub(crate) fn parse<'a>(text: &'a str, findings: &mut Findings) -> Rules<'a> {
    let mut rules = Rules::default();
    let complete = each_rule(text, findings, |line, fields| line.read_into(&fields, &mut rules));
    if complete { rules } else { Rules::default() }
}

/// Calls `read` with the fields of each line that is a rule, and reports what is wrong with the others.
///
/// False when the text is too large to be read to its end.
pub(crate) fn each_rule<'a>(
    text: &'a str,
    findings: &mut Findings,
    mut read: impl FnMut(Line<'a>, Vec<Field<'a>>) -> Result<(), Finding>,
) -> bool {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("the rules have {} bytes; the most is {MAX_TEXT_BYTES}", text.len());
        findings.push(Finding::error(Place::rules(1, 1), "too-large", message));
        return false;
    }
    let mut count = 0;
    for line in line::lines(PolicyFile::Rules, text) {
        if count >= MAX_RULES && !line.is_blank() {
            let message = format!("a policy has at most {MAX_RULES} rules");
            findings.push(Finding::error(line.place(0), "too-many-rules", message));
            return false;
        }
        let done = line.read().and_then(|fields| fields.map(|fields| read(line, fields)).transpose());
        match done {
            Ok(rule) => count += usize::from(rule.is_some()),
            Err(finding) => findings.push(finding),
        }
    }
    true
}

impl<'a> Line<'a> {
    fn read_into(self, fields: &[Field<'a>], rules: &mut Rules<'a>) -> Result<(), Finding> {
        match fields {
            [kind, rest @ ..] if kind.text == "p" => rules.permissions.push(self.permission(*kind, rest)?),
            [kind, rest @ ..] if kind.text == "g" => rules.inheritances.push(self.inheritance(*kind, rest)?),
            fields => return Err(self.unknown_kind(fields)),
        }
        Ok(())
    }

    fn unknown_kind(self, fields: &[Field<'_>]) -> Finding {
        let kind = fields.first().copied().unwrap_or(Field { text: "", offset: 0 });
        let message = format!("{} is no kind of rule: a line starts with `p` or `g`", quoted(kind.text));
        self.error(kind, "unknown-kind", message).with_fix(closest(kind.text, ["p", "g"]))
    }

    fn permission(self, kind: Field<'_>, fields: &[Field<'a>]) -> Result<Permission<'a>, Finding> {
        let [subject, domain, object, action, rest @ ..] = fields else {
            return Err(
                self.field_count(kind, "p, role, domain, object, action[, allow[, condition]* | deny]")
            );
        };
        let (effect, condition) = match rest {
            [] => (Effect::Allow, None),
            [effect, conditions @ ..] => {
                let effect = self.effect(*effect)?;
                if let (Effect::Deny, Some(first)) = (effect, conditions.first()) {
                    let message = "a rule that denies has no conditions: it denies whatever is shown";
                    return Err(self.error(*first, "condition-on-deny", message));
                }
                (effect, self.conditions(conditions)?)
            }
        };
        Ok(Permission {
            line: self.number,
            subject: self.subject(*subject)?,
            domain: self.selector(*domain)?,
            object: self.object(*object)?,
            action: self.selector(*action)?,
            effect,
            condition,
        })
    }

    fn inheritance(self, kind: Field<'_>, fields: &[Field<'a>]) -> Result<Inheritance<'a>, Finding> {
        let [child, parent, domain] = fields else {
            return Err(self.field_count(kind, "g, role, inherited role, domain"));
        };
        Ok(Inheritance {
            line: self.number,
            child: self.role(*child)?,
            parent: self.role(*parent)?,
            parent_column: self.place(parent.offset).column,
            domain: self.selector(*domain)?,
        })
    }

    fn field_count(self, kind: Field<'_>, form: &str) -> Finding {
        let found = self.text.split(',').count();
        let message = format!("the line has {found} fields; its form is `{form}`");
        self.error(kind, "field-count", message)
    }

    fn subject(self, field: Field<'a>) -> Result<Subject<'a>, Finding> {
        match field.text.strip_prefix(USER_PREFIX) {
            Some("") => {
                Err(self.error(field, "empty-field", "`user:` is followed by the subject of a token"))
            }
            Some(user) => Ok(Subject::User(user)),
            None => self.role(field).map(Subject::Role),
        }
    }

    /// A role never contains `:`, so no token can name a user, or another kind of subject, in its roles.
    fn role(self, field: Field<'a>) -> Result<&'a str, Finding> {
        if field.text.contains(':') {
            let message = format!("{} is no role: a role has no `:` in it", quoted(field.text));
            return Err(self.error(field, "role-name", message));
        }
        if field.text.contains('*') {
            let message = "a rule names one role; `*` does not stand for every role";
            return Err(self.error(field, "wildcard", message));
        }
        Ok(field.text)
    }

    fn selector(self, field: Field<'a>) -> Result<Selector<'a>, Finding> {
        if field.text == "*" {
            return Ok(Selector::Any);
        }
        if field.text.contains('*') {
            let message = "`*` stands alone, for every value; a part of a name cannot be left open";
            return Err(self.error(field, "wildcard", message).with_fix(Some("*")));
        }
        Ok(Selector::Named(field.text))
    }

    fn object(self, field: Field<'a>) -> Result<Object<'a>, Finding> {
        Object::parse(field.text).map_err(|error| {
            let place = self.place(field.offset + error.offset);
            Finding::error(place, error.code, error.message).with_fix(error.fix)
        })
    }

    fn effect(self, field: Field<'_>) -> Result<Effect, Finding> {
        const EFFECTS: [&str; 2] = ["allow", "deny"];
        match field.text {
            "allow" => Ok(Effect::Allow),
            "deny" => Ok(Effect::Deny),
            other if is_condition(other) => {
                let message = "a condition stands behind the effect of the rule";
                let fix = format!("allow, {other}");
                Err(self.error(field, "unknown-effect", message).with_fix(Some(fix)))
            }
            other => {
                let message = format!("{} is no effect: a rule says `allow` or `deny`", quoted(other));
                let same = EFFECTS.into_iter().find(|effect| effect.eq_ignore_ascii_case(other));
                let fix = same.or_else(|| closest(other, EFFECTS));
                Err(self.error(field, "unknown-effect", message).with_fix(fix))
            }
        }
    }
}
