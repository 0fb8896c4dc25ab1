//! `portcullis policy what-can, who-can`: who may do what by a file of rules.

use portcullis_policy::{Access, Allowed, Roles, RuleEffect, Vocabulary};

use super::{Caller, PageOptions, RulesFile};
use crate::cli::context::Format;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};

pub(super) fn what_can(
    format: Format,
    rules: &RulesFile,
    caller: &Caller,
    page: PageOptions,
) -> Result<(), Failure> {
    if caller.role.is_empty() && caller.user.is_none() {
        return Err(Failure::usage("say who: give --role or --user"));
    }
    let analysis = rules.analysis()?;
    caller.note_unknown_roles(|role| analysis.snapshot().roles().all(|known| known != role));
    let held = Roles::from(&caller.role);
    let found = analysis.what_can(caller.user.as_deref(), held, &caller.domain, page.page());
    let rows = found.permissions.iter().map(|permission| {
        let effect = match permission.effect {
            RuleEffect::Allow => "allow",
            RuleEffect::Conditional => "conditional",
            _ => "deny",
        };
        let denied_by: Vec<String> = permission.denied_by.iter().map(ToString::to_string).collect();
        let [domain, object, action] =
            [&permission.domain, &permission.object, &permission.action].map(Clone::clone);
        [effect.to_owned(), domain, object, action, permission.rule.to_string(), denied_by.join(" ")]
    });
    let heading = ["EFFECT", "DOMAIN", "OBJECT", "ACTION", "RULE", "DENIED BY LINE"];
    output::print(format, &found, &Table::new(heading, rows))?;
    page.note_rest(format, found.total)
}

pub(super) fn who_can(
    format: Format,
    rules: &RulesFile,
    (object, action, domain): (&str, &str, &str),
    page: PageOptions,
) -> Result<(), Failure> {
    let source = rules.source()?;
    let names = Vocabulary::of(&source);
    let found = rules.analysed(source)?.who_can(object, action, domain, page.page());
    note_unknown_names(names.as_ref(), &found, (object, action));
    let rows = found.allowed.iter().map(|access| {
        access_row(if access.rule.condition.is_some() { "conditional" } else { "allowed" }, access)
    });
    let denied = found.denied.iter().map(|access| access_row("denied", access));
    let table = Table::new(["DECISION", "WHO", "RULE"], rows.chain(denied));
    output::print(format, &found, &table)?;
    page.note_rest(format, found.allowed_total.max(found.denied_total))
}

/// Nobody may do what no rule speaks of: the answer is right, and seldom what was meant.
fn note_unknown_names(names: Option<&Vocabulary>, found: &Allowed, (object, action): (&str, &str)) {
    let Some(names) = names.filter(|_| found.allowed_total == 0 && found.denied_total == 0) else { return };
    if !names.names_object(object) {
        eprintln!("portcullis: no rule names the object {object:?}");
    }
    if !names.names_action(action) {
        eprintln!("portcullis: no rule names the action {action:?}");
    }
}

fn access_row(decision: &str, access: &Access) -> [String; 3] {
    [decision.to_owned(), access.grantee.to_string(), access.rule.to_string()]
}
