//! `portcullis policy simulate`: tries rules on what services were really asked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use portcullis_policy::{AskedBy, DecisionChange, Replayed, RulesUsed, Turn};
use serde_json::{Value, json};

use super::source;
use crate::cli::api::ApiOption;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table, counted};
use crate::domain::clock::Clock;
use crate::domain::policy::PolicyText;
use crate::services::names::Names;
use crate::services::policies::questions::{Edition, QuestionService};
use crate::services::policies::replay::{Simulated, Successor};

/// How many roles and users are named that would be refused something.
const SHOWN_NAMES: usize = 10;

/// How many lines of rules are named that decided nothing.
const SHOWN_LINES: usize = 20;

/// Which rules, and on what.
#[derive(Args, Debug)]
pub(crate) struct Simulate {
    #[command(flatten)]
    api: ApiOption,
    /// The rules. Without it: the draft.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The model of the rules. Without it: the default model.
    #[arg(long, value_name = "FILE", requires = "file")]
    model: Option<PathBuf>,
    /// How many days of decisions, today among them.
    #[arg(long, value_name = "COUNT", default_value_t = 7)]
    days: u32,
    /// Ends with exit code 0 even if somebody would be refused what the rules in force allow.
    #[arg(long)]
    allow_losses: bool,
}

pub(crate) async fn run(context: &Context, command: &Simulate) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let api = command.api.find(&app).await?;
    let successor = match &command.file {
        Some(file) => {
            let source = source(file, command.model.as_deref())?;
            Successor::Text(PolicyText { model: source.model, rules: source.rules, cases: String::new() })
        }
        None => Successor::Edition(Edition::Draft),
    };
    let questions = QuestionService::new(app.store().clone());
    let texts = (Edition::Active, successor);
    let found = questions.replay(&api.id, texts, command.days, Clock::system().now()).await?;
    match context.format {
        Format::Json => output::json(&document(&found))?,
        Format::Table => print(&found, command.days)?,
    }
    let denied = found.replayed.denied;
    if denied.requests == 0 || command.allow_losses {
        return Ok(());
    }
    let grantees = found.replayed.changes.iter().filter(|change| change.turn == Turn::Denied).filter_map(who);
    let mut who: Vec<String> = grantees.collect();
    who.sort_unstable();
    who.dedup();
    Err(Failure::failed(format!(
        "{} would be refused, to {}",
        counted(
            denied.decisions,
            "decision that the rules in force allow",
            "decisions that the rules in force allow"
        ),
        some_of(&who)
    )))
}

/// The first names, and how many more there are.
fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn who(change: &DecisionChange) -> Option<String> {
    change.grantee.as_ref().map(ToString::to_string)
}

fn document(found: &Simulated) -> Value {
    let recorded = found.recorded;
    let known = json!({
        "days": recorded.days, "lost": recorded.lost, "pseudonymous": recorded.pseudonymous, "partial": recorded.partial,
    });
    let examples = found.replayed.changes.iter().flat_map(|change| &change.examples);
    let askers = examples.filter_map(|example| example.asker.as_deref());
    let named: BTreeMap<&str, &str> = askers.map(|asker| (asker, found.names.of_client(asker))).collect();
    let mut document = serde_json::to_value(&found.replayed).unwrap_or_default();
    if let Some(members) = document.as_object_mut() {
        members.insert("recorded".to_owned(), known);
        members.insert("askers".to_owned(), json!(named));
    }
    document
}

fn print(found: &Simulated, days: u32) -> Result<(), Failure> {
    let Simulated { replayed, recorded, .. } = found;
    let Replayed { all, denied, allowed, .. } = replayed;
    if all.requests == 0 {
        let days = counted(days.into(), "day", "days");
        return output::text(&format!("nothing was recorded in {days}: nothing can be said\n"));
    }
    changes(replayed, &found.names)?;
    let mut lines = vec![format!(
        "of {} on {}, {} that the rules in force allow would be refused, and {} that they refuse allowed\n",
        counted(all.decisions, "decision", "decisions"),
        counted(recorded.days as u64, "day", "days"),
        denied.decisions,
        allowed.decisions
    )];
    lines.extend(replayed.rules.as_ref().filter(|rules| !rules.unused.is_empty()).map(unused));
    for (count, what) in [
        (recorded.lost, "not recorded: there were too many different ones"),
        (recorded.pseudonymous, "by callers under pseudonyms: rules for users were not tried on them"),
    ] {
        let decisions = || counted(count, "decision was", "decisions were");
        lines.extend((count > 0).then(|| format!("{} {what}\n", decisions())));
    }
    lines.extend(recorded.partial.then(|| "there are older records than were looked at\n".to_owned()));
    lines.extend((!replayed.complete).then(|| "there are more changes than these\n".to_owned()));
    output::text(&lines.concat())
}

/// Says which rules decided nothing.
fn unused(rules: &RulesUsed) -> String {
    let lines: Vec<String> = rules.unused.iter().take(SHOWN_LINES).map(ToString::to_string).collect();
    let (idle, total) = (rules.total - rules.used, rules.total);
    let more = if idle > lines.len() { ", .." } else { "" };
    let rules = counted(total as u64, "rule", "rules");
    let place = if idle == 1 { "line" } else { "lines" };
    format!("{idle} of {rules} decided nothing: {place} {}{more}\n", lines.join(", "))
}

/// Prints what changes, and an empty line; nothing when nothing does.
pub(super) fn changes(replayed: &Replayed, names: &Names) -> Result<(), Failure> {
    if replayed.changes.is_empty() {
        return Ok(());
    }
    let heading = ["CHANGE", "WHO", "OBJECT", "ACTION", "DECISIONS", "CALLERS", "FOR EXAMPLE"];
    output::print(
        Format::Table,
        &(),
        &Table::new(heading, replayed.changes.iter().map(|change| row(change, names))),
    )?;
    output::text("\n")
}

fn row(change: &DecisionChange, names: &Names) -> [String; 7] {
    let turn = if change.turn == Turn::Denied { "loses" } else { "gains" };
    [
        turn.to_owned(),
        who(change).unwrap_or_default(),
        change.object.clone(),
        change.action.clone(),
        change.decisions.to_string(),
        change.callers.to_string(),
        change.examples.iter().take(2).map(|asked| example(asked, names)).collect::<Vec<_>>().join("; "),
    ]
}

fn example(asked: &AskedBy, names: &Names) -> String {
    let client = asked.asker.as_ref().map(|client| format!(", asked by {}", names.of_client(client)));
    let client = client.unwrap_or_default();
    let place = if asked.domain.is_empty() { String::new() } else { format!(" in {}", asked.domain) };
    format!("{} ({}){place}{client}", asked.subject, asked.roles.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_names_are_told_and_the_rest_is_counted() {
        let names: Vec<String> = ('a'..='l').map(String::from).collect();
        assert_eq!(some_of(&names[..1]), "a");
        assert_eq!(some_of(&names[..10]), "a, b, c, d, e, f, g, h, i, j");
        assert_eq!(some_of(&names), "a, b, c, d, e, f, g, h, i, j and 2 more");
    }
}
