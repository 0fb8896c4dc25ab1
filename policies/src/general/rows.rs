//! The rules of a general model, as texts and then as numbers.

use super::effect::{Effect, Says};
use super::parse::{Model, RoleDefinition};
use super::roles::{Link, Links};
use super::table::Table;
use crate::inherit::Edge;
use crate::intern::Set;
use crate::line::{Field, Line};
use crate::report::{Finding, Findings, Place, closest, quoted};
use crate::rules::each_rule;

/// The rules as they are written, one list per kind.
#[derive(Default)]
pub(super) struct Written<'a> {
    pub(super) policy: Vec<Row<'a>>,
    pub(super) roles: Vec<Vec<Row<'a>>>,
}

/// One line, without the name of its kind.
pub(super) struct Row<'a> {
    line: Line<'a>,
    fields: Vec<Field<'a>>,
    priority: i64,
}

impl<'a> Row<'a> {
    pub(super) fn number(&self) -> u32 {
        self.line.number
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &'a str> {
        self.fields.iter().map(|field| field.text)
    }

    pub(super) fn place(&self, field: usize) -> Place {
        self.line.place(self.fields.get(field).map_or(0, |field| field.offset))
    }

    /// A finding at this byte of this field.
    pub(super) fn error(&self, field: usize, offset: usize, code: &'static str, message: String) -> Finding {
        let start = self.fields.get(field).map_or(0, |field| field.offset);
        Finding::error(self.line.place(start + offset), code, message)
    }
}

/// Reads the rules of a model.
pub(super) fn read<'a>(text: &'a str, model: &Model, findings: &mut Findings) -> Written<'a> {
    let mut written = Written::default();
    written.roles.resize_with(model.roles.len(), Vec::new);
    let mut said: Set<Vec<&str>> = Set::default();
    let mut repeated = Vec::new();
    each_rule(text, findings, |line, fields| {
        if !said.insert(fields.iter().map(|field| field.text).collect()) {
            let message = "this is there already, further up; only the first counts";
            repeated.push(Finding::warning(line.place(0), "duplicate-rule", message));
            return Ok(());
        }
        written.add(line, fields, model)
    });
    for finding in repeated {
        findings.push(finding);
    }
    if model.effect == Effect::Priority {
        written.policy.sort_by_key(|row| row.priority);
    }
    // What could not be read may have been a rule.
    if written.policy.is_empty() && model.effect == Effect::DenyOverride && !findings.has_errors() {
        let message = "without any rule this model would allow everything";
        findings.push(Finding::error(Place::rules(1, 1), "no-rules", message));
    }
    written
}

impl<'a> Written<'a> {
    fn add(&mut self, line: Line<'a>, mut fields: Vec<Field<'a>>, model: &Model) -> Result<(), Finding> {
        let kind = fields.remove(0);
        let role = model.roles.iter().position(|role| role.name == kind.text);
        let form = match role.and_then(|role| model.roles.get(role)) {
            Some(RoleDefinition { in_domains: false, .. }) => "name, role".to_owned(),
            Some(RoleDefinition { in_domains: true, .. }) => "name, role, domain".to_owned(),
            None if kind.text == "p" => model.policy.join(", "),
            None => return Err(unknown_kind(line, kind, model)),
        };
        let expected = form.split(',').count();
        if fields.len() != expected {
            let message = format!(
                "the rule has {} fields after `{}`; its form is `{}, {form}`",
                fields.len(),
                kind.text,
                kind.text
            );
            return Err(line.error(kind, "field-count", message));
        }
        let mut row = Row { line, fields, priority: 0 };
        if let Some(rows) = role.and_then(|role| self.roles.get_mut(role)) {
            rows.push(row);
        } else {
            row.check(model)?;
            self.policy.push(row);
        }
        Ok(())
    }
}

fn unknown_kind(line: Line<'_>, kind: Field<'_>, model: &Model) -> Finding {
    let kinds: Vec<_> = ["p"].into_iter().chain(model.roles.iter().map(|role| role.name.as_str())).collect();
    let message =
        format!("{} is no kind of rule in this model: it has `{}`", quoted(kind.text), kinds.join("`, `"));
    line.error(kind, "unknown-kind", message).with_fix(closest(kind.text, kinds))
}

impl Row<'_> {
    fn check(&mut self, model: &Model) -> Result<(), Finding> {
        let find = |name: &str| {
            let at = model.policy.iter().position(|field| field == name)?;
            Some((at, self.fields.get(at)?.text))
        };
        if let Some((at, effect)) = find("eft") {
            const EFFECTS: [&str; 3] = ["allow", "deny", "indeterminate"];
            if !EFFECTS.contains(&effect) {
                let message = format!("{} is no effect: a rule says `allow` or `deny`", quoted(effect));
                let fix = EFFECTS.into_iter().find(|known| known.eq_ignore_ascii_case(effect));
                let fix = fix.or_else(|| closest(effect, EFFECTS));
                return Err(self.error(at, 0, "unknown-effect", message).with_fix(fix));
            }
        }
        if let Some((at, priority)) = find("priority").filter(|_| model.effect == Effect::Priority) {
            let parsed = priority.parse();
            let message = || format!("{} is no whole number, so it ranks nothing", quoted(priority));
            self.priority = parsed.map_err(|_| self.error(at, 0, "priority", message()))?;
        }
        Ok(())
    }
}

/// The rules as numbers: all rows in one table, in the order in which they count.
pub(super) struct Rows {
    /// `width` cells per row.
    pub(super) cells: Vec<u32>,
    pub(super) width: usize,
    pub(super) lines: Vec<u32>,
    pub(super) says: Vec<Says>,
}

impl Rows {
    pub(super) fn intern(written: &Written<'_>, model: &Model, table: &mut Table) -> Self {
        let width = model.policy.len();
        let effect = model.policy.iter().position(|field| field == "eft");
        let mut rows = Self { cells: Vec::new(), width, lines: Vec::new(), says: Vec::new() };
        for row in &written.policy {
            rows.cells.extend(row.texts().map(|text| table.intern(text)));
            rows.lines.push(row.number());
            let says = effect.and_then(|at| row.fields.get(at)).map_or("allow", |field| field.text);
            rows.says.push(match says {
                "allow" => Says::Allow,
                "deny" => Says::Deny,
                _ => Says::Nothing,
            });
        }
        rows
    }

    pub(super) fn row(&self, number: u32) -> &[u32] {
        let start = number as usize * self.width;
        self.cells.get(start..start + self.width).unwrap_or_default()
    }

    pub(super) fn says(&self, number: u32) -> Says {
        self.says.get(number as usize).copied().unwrap_or(Says::Nothing)
    }

    pub(super) fn line(&self, number: u32) -> Option<u32> {
        self.lines.get(number as usize).copied()
    }
}

/// The rows of all role definitions, closed.
///
/// The table is still empty: names in these rows get its first numbers.
pub(super) fn close_roles(
    written: &Written<'_>,
    model: &Model,
    table: &mut Table,
) -> Result<Vec<Links>, Finding> {
    let mut edges: Vec<Vec<(Edge, Option<&str>)>> = Vec::new();
    for rows in &written.roles {
        let mut of_definition = Vec::with_capacity(rows.len());
        for row in rows {
            let [child, parent, domain @ ..] = row.fields.as_slice() else { continue };
            let edge = Edge {
                child: table.intern(child.text),
                parent: table.intern(parent.text),
                line: row.number(),
                column: row.line.place(parent.offset).column,
            };
            of_definition.push((edge, domain.first().map(|domain| domain.text)));
        }
        edges.push(of_definition);
    }
    let names = table.len();
    let mut closed = Vec::with_capacity(model.roles.len());
    for of_definition in edges {
        let links: Vec<_> = of_definition
            .into_iter()
            .map(|(edge, domain)| Link { edge, domain: domain.map(|domain| table.intern(domain)) })
            .collect();
        closed.push(Links::close(&links, names, table)?);
    }
    Ok(closed)
}

/// What the rules name that a token may have as a role: in `g`, and as the subject of a rule.
pub(super) fn roles(written: &Written<'_>, model: &Model) -> Vec<Box<str>> {
    let mut named: Vec<&str> = Vec::new();
    let of_g = model.roles.iter().position(|role| role.name == "g");
    let rows = of_g.and_then(|role| written.roles.get(role)).into_iter().flatten();
    rows.for_each(|row| named.extend(row.texts().take(2)));
    if let Some(subject) = model.policy.iter().position(|field| field == "sub") {
        named.extend(written.policy.iter().filter_map(|row| row.texts().nth(subject)));
    }
    let mut seen: Set<&str> = Set::default();
    named.retain(|name| !name.contains(':') && seen.insert(name));
    named.into_iter().map(Into::into).collect()
}
