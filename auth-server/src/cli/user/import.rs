//! `portcullis user import`: accounts of another system.

mod csv;
mod keycloak;
mod scim;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::file;
use crate::cli::output::{self, Table, counted};
use crate::services::users::import::{BroughtAccount, ImportReport, LeftOut};

/// More than a million accounts have.
const MAX_LEN: u64 = 1 << 30;

/// Accounts of another system.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The file with the accounts; `-` is standard input.
    file: PathBuf,
    /// How the file is written.
    #[arg(long, value_enum)]
    from: Source,
    /// Where the accounts belong. Without it: the first organisation.
    #[arg(long, value_name = "ID")]
    organisation: Option<String>,
    /// Only says what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// How accounts are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Source {
    /// A line for each account, below the names of the columns.
    Csv,
    /// A realm that Keycloak exported with its users.
    Keycloak,
    /// Users of SCIM 2.0 (RFC 7643), or the answer that lists them.
    Scim,
}

/// What a file says.
#[derive(Debug, Default)]
struct Brought {
    accounts: Vec<BroughtAccount>,
    /// What cannot be read as an account.
    unreadable: Vec<LeftOut>,
    /// What is not taken over, for a person.
    notes: Vec<String>,
}

pub(crate) async fn run(context: &Context, import: &Import) -> Result<(), Failure> {
    let text = file::read_within(&import.file, MAX_LEN)?;
    let read = match import.from {
        Source::Csv => csv::read(&text),
        Source::Keycloak => keycloak::read(&text),
        Source::Scim => scim::read(&text),
    };
    let mut brought = read.map_err(|why| Failure::failed(format!("{}: {why}", file::shown(&import.file))))?;
    for account in &mut brought.accounts {
        account.form.organisation.clone_from(&import.organisation);
    }
    let app = context.app().await?;
    let failed = "what was written stays: the same command does the rest";
    let report = Box::pin(app.users().import(brought.accounts, import.dry_run, &operator())).await;
    let mut report = report.map_err(|error| Failure::from(error).hint(failed))?;
    report.refused.splice(0..0, brought.unreadable);
    print(context, import.dry_run, &report, &brought.notes)?;
    match report.refused.len() as u64 {
        0 => Ok(()),
        refused => {
            Err(Failure::failed(format!("{} refused", counted(refused, "account is", "accounts are"))))
        }
    }
}

fn print(context: &Context, dry_run: bool, report: &ImportReport, notes: &[String]) -> Result<(), Failure> {
    let left_out = |state: &'static str, left_out: &[LeftOut]| -> Vec<[String; 4]> {
        let row =
            |one: &LeftOut| [one.place.clone(), one.username.clone(), state.to_owned(), one.reason.clone()];
        left_out.iter().map(row).collect()
    };
    let rows = [left_out("refused", &report.refused), left_out("exists", &report.existing)].concat();
    let value = json!({
        "dry_run": dry_run,
        "created": report.created,
        "without_password": report.without_password,
        "existing": named(&report.existing),
        "refused": named(&report.refused),
        "notes": notes,
    });
    let table = Table::new(["PLACE", "USERNAME", "STATE", "WHY"], rows.clone());
    if context.format == Format::Json {
        return output::json(&value);
    }
    if !rows.is_empty() {
        output::print(context.format, &value, &table)?;
    }
    let would = if dry_run { "would be " } else { "" };
    let mut sentence = format!(
        "{} {would}taken over, {} without a password; {} there already, {} refused\n",
        counted(report.created as u64, "account", "accounts"),
        report.without_password,
        report.existing.len(),
        report.refused.len(),
    );
    for note in notes {
        sentence.extend(["note: ", note, "\n"]);
    }
    output::text(&sentence)
}

fn named(left_out: &[LeftOut]) -> Vec<Value> {
    let one = |one: &LeftOut| json!({ "place": one.place, "username": one.username, "reason": one.reason });
    left_out.iter().map(one).collect()
}

/// Why a text of JSON is none. What it says may be a secret, so only the place is told.
fn no_json(error: &serde_json::Error) -> String {
    format!("line {}, column {}: this is no JSON of such a file", error.line(), error.column())
}

/// An account that says nothing of it can be used.
const fn yes() -> bool {
    true
}

/// An account whose members are of other types than they have to be.
fn unreadable(place: String, username: Option<&Value>) -> LeftOut {
    let username = username.and_then(Value::as_str).unwrap_or_default().to_owned();
    LeftOut { place, username, reason: "a member has another type than it has to have".to_owned() }
}
