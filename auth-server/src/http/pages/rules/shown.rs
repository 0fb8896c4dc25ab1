//! Who did something, and what changes from one text to another, as the pages of rules show it.

use portcullis_policy::{GrantChange, Grantee, Standing};
use serde::Serialize;

use crate::services::names::{Named, Names};
use crate::services::policies::compare::Comparison;
use crate::services::policies::lines::{Change, Hunk, LineChanges};
use crate::services::policies::questions::Seen;

/// How many changes of grants are told.
const MAX_GRANTS: usize = 100;

/// Somebody whom a record names.
#[derive(Serialize)]
pub(super) struct WhoShown {
    kind: &'static str,
    name: String,
}

impl WhoShown {
    pub(super) fn of(names: &Names, actor: &str) -> Self {
        let kind = match names.of(actor) {
            Named::Client(_) => "client",
            Named::Operator => "operator",
            Named::Person { .. } => "person",
            Named::System => "system",
            Named::Unknown => "unknown",
        };
        Self { kind, name: names.label(actor) }
    }

    /// Only if they are known.
    pub(super) fn known(names: &Names, actor: &str) -> Option<Self> {
        (*names.of(actor) != Named::Unknown).then(|| Self::of(names, actor))
    }
}

/// What changes from one text to another.
#[derive(Default, Serialize)]
pub(super) struct DifferenceShown {
    /// The revision that it is compared with.
    from: Option<u64>,
    /// Why it cannot be said in grants, if so: `no_grants`, because one of the two does not compile, or `other_model`.
    only_lines: Option<&'static str>,
    grants: Vec<GrantShown>,
    /// Whether one of these has exceptions.
    exceptions: bool,
    /// How many changes more there are.
    more: usize,
    /// Whether that is all.
    complete: bool,
    texts: Vec<LinesShown>,
}

/// A grant that is decided otherwise.
#[derive(Serialize)]
struct GrantShown {
    kind: &'static str,
    of_user: bool,
    who: String,
    action: String,
    object: String,
    domain: String,
    /// Whether something within that does not change like this.
    exceptions: bool,
    /// What has to be met by the new rules, and by the old ones.
    condition: Option<String>,
    condition_before: Option<String>,
}

/// What changes in one of the texts of a policy.
#[derive(Serialize)]
struct LinesShown {
    /// Which: `cases`, `model` or `rules`.
    name: &'static str,
    hunks: Vec<HunkShown>,
    cut: usize,
    only_ends: bool,
}

#[derive(Serialize)]
struct HunkShown {
    skipped: usize,
    lines: Vec<LineShown>,
}

#[derive(Serialize)]
struct LineShown {
    change: &'static str,
    number: usize,
    text: String,
}

impl DifferenceShown {
    pub(super) fn of(comparison: Comparison) -> Self {
        let Comparison { from, grants, other_model, rules, cases, model } = comparison;
        let why = if other_model { "other_model" } else { "no_grants" };
        let only_lines = grants.is_none().then_some(why);
        let texts = [("rules", rules), ("cases", cases), ("model", model)];
        let texts = texts.into_iter().filter(|(_, changes)| *changes != LineChanges::default());
        let from = if let Seen::Revision(number) = from { Some(number) } else { None };
        let mut shown = Self {
            from,
            only_lines,
            texts: texts.map(|(name, changes)| LinesShown::of(name, changes)).collect(),
            ..Self::default()
        };
        if let Some(grants) = grants {
            shown.grants = grants.changes.iter().take(MAX_GRANTS).map(GrantShown::of).collect();
            shown.exceptions = shown.grants.iter().any(|grant| grant.exceptions);
            shown.more = grants.changes.len() - shown.grants.len();
            shown.complete = grants.complete;
        }
        shown
    }
}

impl GrantShown {
    fn of(change: &GrantChange) -> Self {
        let kind = match (&change.before, &change.after) {
            (_, Standing::Allowed { .. }) => "gained",
            (Standing::Allowed { .. }, Standing::Conditional { .. }) => "conditional",
            (Standing::Conditional { .. }, Standing::Conditional { .. }) => "condition_changed",
            (_, Standing::Conditional { .. }) => "condition_gained",
            (_, Standing::Denied { .. }) => "denied",
            (Standing::Allowed { .. } | Standing::Conditional { .. }, _) => "lost",
            _ => "freed",
        };
        let (of_user, who) = match &change.grantee {
            Grantee::Role(role) => (false, role.clone()),
            Grantee::User(user) => (true, user.clone()),
            other => (false, other.to_string()),
        };
        let [action, object, domain] = [&change.action, &change.object, &change.domain].map(Clone::clone);
        let condition = |standing: &Standing| match standing {
            Standing::Conditional { condition, .. } => Some(condition.clone()),
            _ => None,
        };
        let [condition_before, condition] = [&change.before, &change.after].map(condition);
        let exceptions = change.exceptions;
        Self { kind, of_user, who, action, object, domain, exceptions, condition, condition_before }
    }
}

impl LinesShown {
    fn of(name: &'static str, changes: LineChanges) -> Self {
        let hunks = changes.hunks.into_iter().map(HunkShown::of).collect();
        Self { name, hunks, cut: changes.cut, only_ends: changes.only_ends }
    }
}

impl HunkShown {
    fn of(hunk: Hunk) -> Self {
        let lines = hunk.lines.into_iter().map(|line| {
            let change = match line.change {
                Change::Added => "added",
                Change::Kept => "kept",
                Change::Removed => "removed",
            };
            LineShown { change, number: line.number, text: line.text }
        });
        Self { skipped: hunk.skipped, lines: lines.collect() }
    }
}

#[cfg(test)]
pub(super) fn sample_who(kind: &'static str) -> WhoShown {
    WhoShown { kind, name: "<b>Ada</b>".to_owned() }
}

/// A difference of every kind.
#[cfg(test)]
pub(super) fn sample_difference() -> DifferenceShown {
    let grant = |(kind, of_user, named): (&'static str, bool, &str)| GrantShown {
        kind,
        of_user,
        who: "<b>viewer</b>".to_owned(),
        action: named.to_owned(),
        object: named.to_owned(),
        domain: named.to_owned(),
        exceptions: of_user,
        condition: kind.starts_with("condition").then(|| "<b>condition</b>".to_owned()),
        condition_before: ["condition_changed", "lost"].contains(&kind).then(|| "<b>before</b>".to_owned()),
    };
    let grants = [
        ("gained", false, "*"),
        ("conditional", false, "y"),
        ("condition_changed", false, "y"),
        ("condition_gained", true, "y"),
        ("lost", true, "<b>"),
        ("denied", false, "*"),
        ("freed", true, "x"),
    ];
    let lines = LineChanges::between("# <b>\na\nb\nc\nd\nold\n", "# <b>\na\nb\nc\nd\n<i>new\n");
    let ends = LineChanges::between("a\n", "a\r\n");
    DifferenceShown {
        from: Some(7),
        only_lines: None,
        grants: grants.map(grant).into_iter().collect(),
        exceptions: true,
        more: 4,
        complete: false,
        texts: vec![
            LinesShown { cut: 5, ..LinesShown::of("rules", lines) },
            LinesShown::of("cases", ends),
            LinesShown::of("model", LineChanges::between("", "<b>\n")),
        ],
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{Analysis, PolicySource};

    use super::*;

    /// The kind of the one change, with what had to be met before and has to be met now.
    fn shown(old: &str, new: &str) -> (&'static str, Option<String>, Option<String>) {
        let analysis = |rules: &str| Analysis::of(PolicySource::with_default_model(rules)).unwrap();
        let changes = analysis(old).diff(&analysis(new)).changes;
        assert_eq!(changes.len(), 1, "{changes:?}");
        let GrantShown { kind, condition_before, condition, .. } = GrantShown::of(&changes[0]);
        (kind, condition_before, condition)
    }

    #[test]
    fn a_change_of_a_condition_tells_the_old_one_too() {
        let plain = "p, clerk, *, payments, create";
        let [strict, loose] = ["max_age=60", "max_age=600"].map(|asks| format!("{plain}, allow, {asks}"));
        let [minute, longer] = [60, 600].map(|secs| Some(format!("the user signed in within {secs} s")));
        assert_eq!(shown(&strict, &loose), ("condition_changed", minute.clone(), longer.clone()));
        assert_eq!(shown(&loose, &strict), ("condition_changed", longer, minute.clone()));
        assert_eq!(shown("", &strict), ("condition_gained", None, minute.clone()));
        assert_eq!(shown(&format!("{plain}, deny"), &strict), ("condition_gained", None, minute.clone()));
        assert_eq!(shown(plain, &strict), ("conditional", None, minute.clone()));
        assert_eq!(shown(&strict, plain), ("gained", minute.clone(), None));
        assert_eq!(shown(&strict, ""), ("lost", minute, None));
    }
}
