//! `portcullis policy simulate`: tries rules on what services were really asked.

use std::path::PathBuf;

use clap::Args;
use portcullis_policy::{DecisionChange, Replayed, RulesUsed, Turn};
use serde_json::{Value, json};

use super::callers::Callers;
use super::source;
use crate::cli::api::ApiOption;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table, counted};
use crate::domain::clock::Clock;
use crate::domain::policy::PolicyText;
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
    /// Ends with exit code 0 even if somebody would be refused what the rules in force allow, or would have to meet another
    /// condition.
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
    let callers = Callers::of(&app, &found.replayed).await?;
    match context.format {
        Format::Json => output::json(&document(&found, &callers))?,
        Format::Table => print(&found, &callers, command.days)?,
    }
    match loss(&found.replayed, |change| callers.grantee(change)) {
        Some(loss) if !command.allow_losses => Err(Failure::failed(loss)),
        _ => Ok(()),
    }
}

/// What somebody would lose, or may: whether they meet a condition nobody knows.
fn loss(replayed: &Replayed, name: impl Fn(&DecisionChange) -> Option<String>) -> Option<String> {
    let (denied, conditional) = (replayed.denied, replayed.conditional);
    let (turn, what) = if denied.requests > 0 {
        let one = "decision that the rules in force allow";
        let refused = counted(denied.decisions, one, "decisions that the rules in force allow");
        (Turn::Denied, format!("{refused} would be refused"))
    } else if conditional.requests > 0 {
        let stand = counted(conditional.decisions, "decision would stand", "decisions would stand");
        (Turn::Conditional, format!("{stand} under another condition"))
    } else {
        return None;
    };
    let grantees = replayed.changes.iter().filter(|change| change.turn == turn).filter_map(name);
    let mut who: Vec<String> = grantees.collect();
    who.sort_unstable();
    who.dedup();
    // Under another model than the default, nobody is named.
    let whom = if who.is_empty() { String::new() } else { format!(", to {}", some_of(&who)) };
    Some(format!("{what}{whom}"))
}

/// The first names, and how many more there are.
fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn document(found: &Simulated, callers: &Callers) -> Value {
    let recorded = found.recorded;
    let known = json!({
        "days": recorded.days, "lost": recorded.lost, "pseudonymous": recorded.pseudonymous, "partial": recorded.partial,
    });
    let mut document = serde_json::to_value(&found.replayed).unwrap_or_default();
    if let Some(members) = document.as_object_mut() {
        members.insert("recorded".to_owned(), known);
        members.insert("names".to_owned(), json!(callers.names()));
    }
    document
}

fn print(found: &Simulated, callers: &Callers, days: u32) -> Result<(), Failure> {
    let Simulated { replayed, recorded, .. } = found;
    let Replayed { all, denied, allowed, conditional, .. } = replayed;
    if all.requests == 0 {
        let days = counted(days.into(), "day", "days");
        return output::text(&format!("nothing was recorded in {days}: nothing can be said\n"));
    }
    changes(replayed, callers)?;
    let mut lines = vec![format!(
        "of {} on {}, {} that the rules in force allow would be refused, and {} that they refuse allowed\n",
        counted(all.decisions, "decision", "decisions"),
        counted(recorded.days as u64, "day", "days"),
        denied.decisions,
        allowed.decisions
    )];
    lines.extend((conditional.decisions > 0).then(|| {
        let decisions = counted(conditional.decisions, "decision stands", "decisions stand");
        format!("{decisions} under another condition: whether the callers meet it is not recorded\n")
    }));
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
pub(super) fn changes(replayed: &Replayed, callers: &Callers) -> Result<(), Failure> {
    if replayed.changes.is_empty() {
        return Ok(());
    }
    let heading = ["CHANGE", "WHO", "OBJECT", "ACTION", "DECISIONS", "CALLERS", "FOR EXAMPLE"];
    let rows = replayed.changes.iter().map(|change| row(change, callers));
    output::print(Format::Table, &(), &Table::new(heading, rows))?;
    output::text("\n")
}

fn row(change: &DecisionChange, callers: &Callers) -> [String; 7] {
    let turn = match change.turn {
        Turn::Denied => "loses",
        Turn::Allowed => "gains",
        _ => "has another condition",
    };
    [
        turn.to_owned(),
        callers.grantee(change).unwrap_or_default(),
        change.object.clone(),
        change.action.clone(),
        change.decisions.to_string(),
        change.callers.to_string(),
        callers.examples(change),
    ]
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{Analysis, PolicySource, Replay, Request, Roles};

    use super::*;

    #[test]
    fn another_condition_ends_with_a_failure_as_a_loss_does() {
        let plain = "p, clerk, *, payments, create";
        let asking = format!("{plain}, allow, dpop");
        let said = |old: &str, new: &str| {
            let [old, new] =
                [old, new].map(|rules| Analysis::of(PolicySource::with_default_model(rules)).unwrap());
            let mut replay = Replay::new(&old, &new);
            let roles = Roles::from(&["clerk"]);
            let request = Request { subject: "ada", roles, domain: "", object: "payments", action: "create" };
            replay.add(&request, 3);
            loss(&replay.finish(), |change| change.grantee.as_ref().map(ToString::to_string))
        };
        let refused = "3 decisions that the rules in force allow would be refused, to clerk";
        assert_eq!(said(plain, "").as_deref(), Some(refused));
        assert_eq!(said(&asking, "").as_deref(), Some(refused));
        let other = "3 decisions would stand under another condition, to clerk";
        assert_eq!(said(plain, &asking).as_deref(), Some(other));
        assert_eq!(said(&asking, &format!("{asking}, mtls")).as_deref(), Some(other));
        assert_eq!((said(plain, plain), said("", plain), said(&asking, &asking)), (None, None, None));
    }

    #[test]
    fn ten_names_are_told_and_the_rest_is_counted() {
        let names: Vec<String> = ('a'..='l').map(String::from).collect();
        assert_eq!(some_of(&names[..1]), "a");
        assert_eq!(some_of(&names[..10]), "a, b, c, d, e, f, g, h, i, j");
        assert_eq!(some_of(&names), "a, b, c, d, e, f, g, h, i, j and 2 more");
    }
}
