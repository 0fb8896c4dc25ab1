//! The rules as text, read line by line into rows that cannot be wrong on their own.

use crate::object::Object;
use crate::report::{Finding, Findings, Place, closest, quoted};

const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;
const MAX_FIELD_BYTES: usize = 512;
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
    for (number, text) in (1..).zip(text.split('\n')) {
        let line = Line { number, text: text.strip_suffix('\r').unwrap_or(text) };
        if count >= MAX_RULES && !line.is_blank() {
            let message = format!("a policy has at most {MAX_RULES} rules");
            findings.push(Finding::error(line.place(0), "too-many-rules", message));
            return false;
        }
        let done = line.rule().and_then(|fields| fields.map(|fields| read(line, fields)).transpose());
        match done {
            Ok(rule) => count += usize::from(rule.is_some()),
            Err(finding) => findings.push(finding),
        }
    }
    true
}

/// One line of the rules.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) number: u32,
    text: &'a str,
}

/// A field without the spaces around it, and its byte offset in the line.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) text: &'a str,
    pub(crate) offset: usize,
}

impl<'a> Line<'a> {
    fn is_blank(self) -> bool {
        let text = self.text.trim();
        text.is_empty() || text.starts_with('#')
    }

    pub(crate) fn place(self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let column = u32::try_from(before.chars().count()).map_or(u32::MAX, |count| count.saturating_add(1));
        Place::rules(self.number, column)
    }

    pub(crate) fn error(self, at: Field<'_>, code: &'static str, message: impl Into<String>) -> Finding {
        Finding::error(self.place(at.offset), code, message)
    }

    /// The fields of this line, each sound on its own. `None` when it holds no rule.
    fn rule(self) -> Result<Option<Vec<Field<'a>>>, Finding> {
        self.refuse_line_breaks()?;
        if self.is_blank() {
            return Ok(None);
        }
        self.refuse_comment()?;
        let fields = self.fields();
        for field in &fields {
            self.check_field(*field)?;
        }
        Ok(Some(fields))
    }

    fn read_into(self, fields: &[Field<'a>], rules: &mut Rules<'a>) -> Result<(), Finding> {
        match fields {
            [kind, rest @ ..] if kind.text == "p" => rules.permissions.push(self.permission(*kind, rest)?),
            [kind, rest @ ..] if kind.text == "g" => rules.inheritances.push(self.inheritance(*kind, rest)?),
            fields => return Err(self.unknown_kind(fields)),
        }
        Ok(())
    }

    /// A character that some reader takes for the end of the line would start a rule there.
    fn refuse_line_breaks(self) -> Result<(), Finding> {
        let broken = |c: char| (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}');
        let Some((offset, c)) = self.text.char_indices().find(|(_, c)| broken(*c)) else { return Ok(()) };
        let message = format!("the control character U+{:04X} has no place in a rule", u32::from(c));
        Err(Finding::error(self.place(offset), "control-character", message))
    }

    /// Casbin takes `read # why` for the name of an action.
    fn refuse_comment(self) -> Result<(), Finding> {
        let Some(offset) = self.text.find('#') else { return Ok(()) };
        let rule = self.text.get(..offset).unwrap_or_default().trim();
        let message = "a comment stands on a line of its own; here it would become part of the rule";
        Err(Finding::error(self.place(offset), "inline-comment", message).with_fix(Some(rule)))
    }

    fn fields(self) -> Vec<Field<'a>> {
        let mut offset = 0;
        let mut fields = Vec::with_capacity(6);
        for raw in self.text.split(',') {
            let text = raw.trim();
            fields.push(Field { text, offset: offset + (raw.len() - raw.trim_start().len()) });
            offset += raw.len() + 1;
        }
        fields
    }

    fn check_field(self, field: Field<'_>) -> Result<(), Finding> {
        if field.text.is_empty() {
            return Err(self.error(field, "empty-field", "a field is empty; `*` stands for every value"));
        }
        if field.text.len() > MAX_FIELD_BYTES {
            let message = format!("a field has at most {MAX_FIELD_BYTES} bytes");
            return Err(self.error(field, "field-too-long", message));
        }
        if field.text.contains('"') {
            let fix = Some(field.text.replace('"', ""));
            return Err(self.error(field, "quote", "fields are written without quotes").with_fix(fix));
        }
        let Some(c) = field.text.chars().find(|c| is_invisible(*c)) else { return Ok(()) };
        let message = format!("the field contains U+{:04X}, which cannot be seen", u32::from(c));
        Err(self.error(field, "invisible-character", message))
    }

    fn unknown_kind(self, fields: &[Field<'_>]) -> Finding {
        let kind = fields.first().copied().unwrap_or(Field { text: "", offset: 0 });
        let message = format!("{} is no kind of rule: a line starts with `p` or `g`", quoted(kind.text));
        self.error(kind, "unknown-kind", message).with_fix(closest(kind.text, ["p", "g"]))
    }

    fn permission(self, kind: Field<'_>, fields: &[Field<'a>]) -> Result<Permission<'a>, Finding> {
        let (subject, domain, object, action, effect) = match fields {
            [subject, domain, object, action] => (subject, domain, object, action, Effect::Allow),
            [subject, domain, object, action, effect] => {
                (subject, domain, object, action, self.effect(*effect)?)
            }
            _ => return Err(self.field_count(kind, "p, role, domain, object, action[, allow | deny]")),
        };
        Ok(Permission {
            line: self.number,
            subject: self.subject(*subject)?,
            domain: self.selector(*domain)?,
            object: self.object(*object)?,
            action: self.selector(*action)?,
            effect,
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
            other => {
                let message = format!("{} is no effect: a rule says `allow` or `deny`", quoted(other));
                let same = EFFECTS.into_iter().find(|effect| effect.eq_ignore_ascii_case(other));
                let fix = same.or_else(|| closest(other, EFFECTS));
                Err(self.error(field, "unknown-effect", message).with_fix(fix))
            }
        }
    }
}

/// Whether a reader of the rule would not see this character, or see others in another order.
fn is_invisible(c: char) -> bool {
    (c.is_whitespace() && c != ' ')
        || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
