//! `portcullis policy simulate`: tries rules on what services were really asked.

use std::path::PathBuf;

use clap::Args;
use portcullis_policy::{AskedBy, DecisionChange, Replayed, RulesUsed, Turn};
use serde_json::{Value, json};

use super::source;
use crate::cli::api::ApiOption;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::clock::Clock;
use crate::domain::policy::PolicyText;
use crate::services::policies::questions::{Edition, QuestionService};
use crate::services::policies::replay::{Simulated, Successor};

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
    /// Ends with exit code 0 even if somebody would be refused what was allowed.
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
        who.join(", ")
    )))
}

fn who(change: &DecisionChange) -> Option<String> {
    change.grantee.as_ref().map(ToString::to_string)
}

fn document(found: &Simulated) -> Value {
    let recorded = found.recorded;
    let known = json!({
        "days": recorded.days, "lost": recorded.lost, "pseudonymous": recorded.pseudonymous, "partial": recorded.partial,
    });
    let mut document = serde_json::to_value(&found.replayed).unwrap_or_default();
    if let Some(members) = document.as_object_mut() {
        members.insert("recorded".to_owned(), known);
    }
    document
}

fn print(found: &Simulated, days: u32) -> Result<(), Failure> {
    let Simulated { replayed, recorded, .. } = found;
    let Replayed { all, denied, allowed, .. } = replayed;
    if all.requests == 0 {
        return output::text(&format!("nothing was recorded in {days} days: nothing can be said\n"));
    }
    changes(replayed)?;
    let mut lines = vec![format!(
        "of {} on {}, {} would be refused that the rules in force allow, and {} allowed that they refuse\n",
        counted(all.decisions, "decision", "decisions"),
        counted(recorded.days as u64, "day", "days"),
        denied.decisions,
        allowed.decisions
    )];
    lines.extend(replayed.rules.as_ref().filter(|rules| !rules.unused.is_empty()).map(unused));
    for (count, what) in [
        (recorded.lost, "decisions were not recorded: there were too many different ones"),
        (
            recorded.pseudonymous,
            "decisions were by callers under pseudonyms: rules for users were not tried on them",
        ),
    ] {
        lines.extend((count > 0).then(|| format!("{count} {what}\n")));
    }
    lines.extend(recorded.partial.then(|| "there are older records than were looked at\n".to_owned()));
    lines.extend((!replayed.complete).then(|| "there are more changes than these\n".to_owned()));
    output::text(&lines.concat())
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Says which rules decided nothing.
fn unused(rules: &RulesUsed) -> String {
    let lines: Vec<String> = rules.unused.iter().take(SHOWN_LINES).map(ToString::to_string).collect();
    let (idle, total) = (rules.total - rules.used, rules.total);
    let more = if idle > lines.len() { ", .." } else { "" };
    format!("{idle} of {total} rules decided nothing: lines {}{more}\n", lines.join(", "))
}

/// Prints what changes, and an empty line; nothing when nothing does.
pub(super) fn changes(replayed: &Replayed) -> Result<(), Failure> {
    if replayed.changes.is_empty() {
        return Ok(());
    }
    let heading = ["CHANGE", "WHO", "OBJECT", "ACTION", "DECISIONS", "CALLERS", "FOR EXAMPLE"];
    output::print(Format::Table, &(), &Table::new(heading, replayed.changes.iter().map(row)))?;
    output::text("\n")
}

fn row(change: &DecisionChange) -> [String; 7] {
    let turn = if change.turn == Turn::Denied { "loses" } else { "gains" };
    [
        turn.to_owned(),
        who(change).unwrap_or_default(),
        change.object.clone(),
        change.action.clone(),
        change.decisions.to_string(),
        change.callers.to_string(),
        change.examples.iter().take(2).map(example).collect::<Vec<_>>().join("; "),
    ]
}

fn example(asked: &AskedBy) -> String {
    let place = if asked.domain.is_empty() { String::new() } else { format!(" in {}", asked.domain) };
    format!("{} ({}){place}", asked.subject, asked.roles.join(", "))
}
