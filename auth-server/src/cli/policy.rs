//! `portcullis policy`: works on files of rules, without a server and without a database (`access`, `explain` and what is here); `rulebook`, `schedule`,
//! `shadow` and `simulate` work on those of the server, `routes` on what services say.

mod access;
mod callers;
mod explain;
mod routes;
mod rulebook;
mod schedule;
mod shadow;
mod simulate;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use portcullis_policy::{
    Analysis, Cases, Difference, Examiner, Finding, GrantChange, Outcome, Page, PolicySource, Report,
    Severity, Standing, lint,
};
use serde_json::json;

use self::explain::Explain;
use self::routes::Routes;
use self::rulebook::Rulebook;
use self::schedule::Later;
use self::shadow::Shadow;
use self::simulate::Simulate;
use crate::cli::api::ApiOption;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::file::{read, read_once, shown};
use crate::cli::output::{self, Table};

/// Which commands need what: half of them need nothing but the files.
const NEEDS: &str = "\
Work on files alone, without a server and its database:
  check (without --api), diff, explain, test, what-can, who-can

Work on the database of a server, which need not run (--data-dir or --config says which), for the API that --api names:
  activate, approve, history, pull, push, rollback, routes, schedule, shadow, simulate";

/// Works on files of rules, and on those of this server. `-` reads standard input.
#[derive(Debug, Subcommand)]
#[command(after_help = NEEDS)]
pub(crate) enum Policy {
    /// Prints what is wrong with the rules. The exit code is 1 if they cannot be used.
    Check {
        #[command(flatten)]
        rules: RulesFile,
        /// Also looks for names that were meant to be those of this API of the server: what its approved routes ask for, and
        /// its roles.
        #[arg(long, value_name = "AUDIENCE")]
        api: Option<String>,
    },
    /// Prints the grants that are gained and lost from one file to another.
    Diff {
        /// The rules as they are.
        old: PathBuf,
        /// The rules as they are to be.
        new: PathBuf,
        /// The model of both. Without it: the default model. Grants are compared under the default model only, so that
        /// another is refused and not passed over.
        #[arg(long, value_name = "FILE")]
        model: Option<PathBuf>,
    },
    Explain(Explain),
    Routes(Routes),
    #[command(flatten)]
    Rulebook(Rulebook),
    #[command(flatten)]
    Later(Later),
    #[command(subcommand)]
    Shadow(Shadow),
    /// Decides again what services were asked in the last days, and prints who would be answered otherwise than by the rules in
    /// force. The exit code is 1 if somebody would be refused what these allow.
    ///
    /// Guards (`portcullis-guard`) record each different request that they decided by the policy of the API, with how often, who asked
    /// and with which roles, and tell this server every ten seconds, unless the service or `records.keep_days = 0` turned it off.
    /// Every service that serves the API counts, in whatever language, if it tells (`/policies/decisions`). This server records what it
    /// decides itself when services ask it by `AuthZEN`, every five seconds and when it stops, and names the client that asked.
    ///
    /// Both the rules in force now and those given decide each recorded request. What was answered at the time does not matter.
    Simulate(Simulate),
    /// Decides cases, and explains those that are decided otherwise than expected. The exit code is 1 if there are any.
    Test {
        #[command(flatten)]
        rules: RulesFile,
        /// The cases, one a line: `allow | deny, role[+role][+user:ID], domain, object, action`, and then what the token shows, as
        /// in `acr=phrh, age=60, dpop`.
        #[arg(long, value_name = "FILE")]
        cases: PathBuf,
    },
    /// Prints what a caller may do.
    WhatCan {
        #[command(flatten)]
        rules: RulesFile,
        #[command(flatten)]
        caller: Caller,
        #[command(flatten)]
        page: PageOptions,
    },
    /// Prints the roles and users that may do something.
    WhoCan {
        #[command(flatten)]
        rules: RulesFile,
        /// A name, a path or the template of a route.
        object: String,
        /// What is to be done with it.
        action: String,
        /// The organisation. Without it: one that no rule names.
        #[arg(long, value_name = "DOMAIN", default_value = "")]
        domain: String,
        #[command(flatten)]
        page: PageOptions,
    },
}

/// Which rules.
#[derive(Args, Debug)]
pub(crate) struct RulesFile {
    /// The rules.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The model of the rules. Without it: the default model.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// Who asks.
#[derive(Args, Debug)]
pub(crate) struct Caller {
    /// A role of the caller. May be repeated.
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// The subject of the caller. Without it: one that no rule names.
    #[arg(long, value_name = "SUBJECT")]
    user: Option<String>,
    /// The organisation. Without it: one that no rule names.
    #[arg(long, value_name = "DOMAIN", default_value = "")]
    domain: String,
}

/// Which part of a long answer.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct PageOptions {
    /// How many entries are passed over.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    offset: usize,
    /// How many entries are printed: 1,000 at most.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    limit: usize,
}

pub(crate) async fn run(context: &Context, command: &Policy) -> Result<(), Failure> {
    let format = context.format;
    match command {
        Policy::Routes(command) => routes::run(context, command).await,
        Policy::Rulebook(command) => Box::pin(rulebook::run(context, command)).await,
        Policy::Later(command) => Box::pin(schedule::run(context, command)).await,
        Policy::Check { rules, api } => {
            let api = api.clone().map(|api| ApiOption { api });
            check(format, rules, &lint_for(context, rules.source()?, api.as_ref()).await?)
        }
        Policy::Diff { old, new, model } => diff(format, [old, new], model.as_deref()),
        Policy::Explain(command) => explain::run(format, command),
        Policy::Shadow(command) => shadow::run(context, command).await,
        Policy::Simulate(command) => simulate::run(context, command).await,
        Policy::Test { rules, cases } => test(format, rules, cases),
        Policy::WhatCan { rules, caller, page } => access::what_can(format, rules, caller, *page),
        Policy::WhoCan { rules, object, action, domain, page } => {
            access::who_can(format, rules, (object, action, domain), *page)
        }
    }
}

async fn lint_for(
    context: &Context,
    source: PolicySource,
    api: Option<&ApiOption>,
) -> Result<Report, Failure> {
    let Some(api) = api else { return Ok(lint(&source)) };
    let app = context.existing_app().await?;
    Ok(app.policies().lint(&api.find(&app).await?.id, source).await?)
}

fn check(format: Format, rules: &RulesFile, report: &Report) -> Result<(), Failure> {
    let value = json!({ "usable": !report.has_errors(), "findings": report.findings });
    let table =
        Table::new(["PLACE", "SEVERITY", "CODE", "MESSAGE", "FIX"], report.findings.iter().map(finding_row));
    if report.is_clean() && format == Format::Table {
        output::text("nothing is wrong\n")?;
    } else {
        output::print(format, &value, &table)?;
    }
    let errors = report.errors().count();
    let places = output::counted(errors as u64, "place", "places");
    let refusal = || Failure::failed(format!("{}: errors in {places}", shown(&rules.file)));
    if errors > 0 { Err(refusal()) } else { Ok(()) }
}

fn finding_row(finding: &Finding) -> [String; 5] {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = format!("{}:{}", finding.line, finding.column);
    let fix = finding.fix.clone().unwrap_or_default();
    [place, severity.to_owned(), finding.code.to_owned(), finding.message.clone(), fix]
}

fn diff(format: Format, [old, new]: [&Path; 2], model: Option<&Path>) -> Result<(), Failure> {
    read_once(&[Some(old), Some(new), model].into_iter().flatten().collect::<Vec<_>>())?;
    let difference = analysis(old, model)?.diff(&analysis(new, model)?);
    let Difference { changes, complete, .. } = &difference;
    let heading = ["CHANGE", "WHO", "DOMAIN", "OBJECT", "ACTION", "BEFORE", "AFTER"];
    let table = Table::new(heading, changes.iter().map(change_row));
    if changes.is_empty() && *complete && format == Format::Table {
        return output::text("no grant changes\n");
    }
    output::print(format, &difference, &table)?;
    if format == Format::Table && changes.iter().any(|change| change.exceptions) {
        output::text(
            "\nin part: what a rule, old or new, names more closely may stay as it was, or has a line of its own\n",
        )?;
    }
    if !complete {
        eprintln!("portcullis: there are more changes than these");
    }
    Ok(())
}

fn change_row(change: &GrantChange) -> [String; 7] {
    let kind = match (change.is_gain(), change.is_loss()) {
        (true, _) => "gained",
        (_, true) => "lost",
        _ if matches!(change.after, Standing::Conditional { .. }) => "condition",
        _ => "denial",
    };
    let kind = if change.exceptions { format!("{kind} in part") } else { kind.to_owned() };
    let (before, after) = (change.before.to_string(), change.after.to_string());
    let GrantChange { grantee, domain, object, action, .. } = change;
    [kind, grantee.to_string(), domain.clone(), object.clone(), action.clone(), before, after]
}

fn test(format: Format, rules: &RulesFile, cases: &Path) -> Result<(), Failure> {
    read_once(&[&rules.file, cases])?;
    let examiner = rules.examiner()?;
    let parsed = Cases::parse(&read(cases)?).map_err(|report| unusable(cases, &report))?;
    let outcome = examiner.test(&parsed);
    for warning in outcome.warnings.warnings() {
        eprintln!("portcullis: {warning}");
    }
    match format {
        Format::Json => output::json(&outcome)?,
        Format::Table => output::text(&outcome_text(&outcome))?,
    }
    let failed = outcome.failed.len();
    let decided = output::counted(failed as u64, "case is", "cases are");
    let refusal = || Failure::failed(format!("{}: {decided} decided otherwise", shown(cases)));
    if failed > 0 { Err(refusal()) } else { Ok(()) }
}

fn outcome_text(outcome: &Outcome) -> String {
    let failed = outcome.failed.iter().map(|failed| {
        let expected = if failed.case.allowed { "allow" } else { "deny" };
        format!("line {}: expected {expected}, but {}\n", failed.case.line, failed.explanation)
    });
    let failed: String = failed.collect();
    format!("{failed}{} passed, {} failed\n", outcome.passed, outcome.failed.len())
}

impl RulesFile {
    pub(crate) fn source(&self) -> Result<PolicySource, Failure> {
        source(&self.file, self.model.as_deref())
    }

    /// What is read for them.
    fn files(&self) -> impl Iterator<Item = &Path> {
        [Some(self.file.as_path()), self.model.as_deref()].into_iter().flatten()
    }

    fn analysis(&self) -> Result<Analysis, Failure> {
        self.analysed(self.source()?)
    }

    fn examiner(&self) -> Result<Examiner, Failure> {
        Examiner::of(self.source()?).map_err(|report| unusable(&self.file, &report))
    }

    fn analysed(&self, source: PolicySource) -> Result<Analysis, Failure> {
        Analysis::of(source).map_err(|report| unusable(&self.file, &report))
    }
}

impl Caller {
    /// A role that does not exist has nothing: the answer is right, and seldom what was meant.
    fn note_unknown_roles(&self, is_unknown: impl Fn(&str) -> bool) {
        for role in self.role.iter().filter(|role| is_unknown(role)) {
            eprintln!("portcullis: no rule names the role {role:?}");
        }
    }
}

impl PageOptions {
    const fn page(self) -> Page {
        Page { offset: self.offset, limit: self.limit }
    }

    fn note_rest(self, format: Format, total: usize) -> Result<(), Failure> {
        let next = self.offset.saturating_add(self.limit.min(Page::FIRST.limit));
        if format == Format::Json || next >= total {
            return Ok(());
        }
        output::text(&format!("\nThere are {total}. For the next: --offset {next}\n"))
    }
}

fn analysis(rules: &Path, model: Option<&Path>) -> Result<Analysis, Failure> {
    Analysis::of(source(rules, model)?).map_err(|report| unusable(rules, &report))
}

fn source(rules: &Path, model: Option<&Path>) -> Result<PolicySource, Failure> {
    let Some(model) = model else { return Ok(PolicySource::with_default_model(read(rules)?)) };
    read_once(&[rules, model])?;
    Ok(PolicySource { model: read(model)?, rules: read(rules)? })
}

fn unusable(file: &Path, report: &Report) -> Failure {
    let errors: Vec<String> = report.errors().map(|finding| format!("\n  {finding}")).collect();
    Failure::failed(format!("{}: cannot be used{}", shown(file), errors.concat()))
}
