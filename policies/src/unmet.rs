//! Conditions that no token meets.

use crate::report::{Finding, Findings, Place, quoted};
use crate::rules::Rules;
use crate::typos::KnownNames;

/// How many are told of.
const MAX_TOLD: usize = 100;

/// Adds a warning for each rule that asks for classes of sign-in of which the issuer gives none.
pub(crate) fn check(rules: &Rules<'_>, known: &KnownNames, findings: &mut Findings) {
    if known.classes.is_empty() {
        return;
    }
    let asking = rules.permissions.iter().filter_map(|rule| Some((rule.line, rule.condition.as_ref()?)));
    let is_unmet = |classes: &[String]| !classes.iter().any(|class| known.classes.contains(class));
    let unmet = asking.filter(|(_, condition)| !condition.acr.is_empty() && is_unmet(&condition.acr));
    for (line, condition) in unmet.take(MAX_TOLD) {
        let asked: Vec<String> = condition.acr.iter().map(|class| quoted(class)).collect();
        let given: Vec<String> = known.classes.iter().map(|class| quoted(class)).collect();
        let message = format!(
            "no token of the issuer meets this: it gives no {}, but {}",
            asked.join(" or "),
            given.join(", ")
        );
        findings.push(Finding::warning(Place::rules(line, 1), "class-not-given", message));
    }
}
