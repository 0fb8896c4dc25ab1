//! `portcullis policy pull, push, activate, rollback, history`: the rules of an API of this server, and files.
//!
//! What is pulled is what was pushed, byte for byte, so that a repository can be the source.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use portcullis_policy::lint;
use serde_json::{Value, json};

use super::RulesFile;
use super::schedule::refusal;
use crate::app::App;
use crate::cli::api::ApiOption;
use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::file::{read, read_once};
use crate::cli::output::{self, Table};
use crate::domain::policy::{PolicyDraft, PolicyRevision, PolicyText};
use crate::domain::rbac::Api;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::names::NameService;
use crate::services::paging::PageQuery;
use crate::services::policies::{Activation, Checked, Proposal};
use crate::services::version::{Precondition, Versioned};

/// What holds although the rest of a push failed.
const STORED: &str = "the draft was stored all the same";

/// The rules of an API of this server.
#[derive(Debug, Subcommand)]
pub(crate) enum Rulebook {
    /// Makes the draft the next revision and puts it in force.
    Activate {
        #[command(flatten)]
        api: ApiOption,
        /// What changed, and why.
        #[arg(long, short, value_name = "TEXT")]
        message: String,
    },
    /// Prints the revisions, newest first.
    History {
        #[command(flatten)]
        api: ApiOption,
    },
    /// Writes the rules that are in force, and their cases, byte for byte.
    Pull {
        #[command(flatten)]
        api: ApiOption,
        /// The draft instead.
        #[arg(long, conflicts_with = "revision")]
        draft: bool,
        /// An older revision instead.
        #[arg(long, value_name = "NUMBER")]
        revision: Option<u64>,
        /// Where to write. Without it: standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Where to write the cases. Without it they are left out.
        #[arg(long, value_name = "FILE")]
        cases: Option<PathBuf>,
    },
    /// Saves rules as the draft, if they have no errors.
    Push {
        #[command(flatten)]
        api: ApiOption,
        #[command(flatten)]
        rules: RulesFile,
        /// The decisions that the rules must keep. Without it: those that the draft has.
        #[arg(long, value_name = "FILE")]
        cases: Option<PathBuf>,
        /// Puts them in force as well, for this reason.
        #[arg(long, value_name = "MESSAGE")]
        activate: Option<String>,
    },
    /// Puts the rules of an older revision in force again, as a new revision.
    Rollback {
        #[command(flatten)]
        api: ApiOption,
        /// Which revision.
        #[arg(long, value_name = "NUMBER")]
        to: u64,
        /// Why.
        #[arg(long, short, value_name = "TEXT")]
        message: String,
    },
}

pub(crate) async fn run(context: &Context, command: &Rulebook) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    match command {
        Rulebook::Activate { api, message } => {
            let api = api.find(&app).await?;
            activate(context.format, &app, &api, message).await
        }
        Rulebook::History { api } => history(context.format, &app, &*api.find(&app).await?).await,
        Rulebook::Pull { api, draft, revision, output, cases } => {
            let api = api.find(&app).await?;
            let text = pulled(&app, &api, *draft, *revision).await?;
            if let Some(file) = cases {
                write(file, &text.cases)?;
            }
            match output {
                Some(file) => write(file, &text.rules),
                None => output::text(&text.rules),
            }
        }
        Rulebook::Push { api, rules, cases, activate: reason } => {
            let api = api.find(&app).await?;
            let files: Vec<&Path> = rules.files().chain(cases.as_deref()).collect();
            read_once(&files)?;
            let proposal =
                Proposal { source: rules.source()?, cases: cases.as_deref().map(read).transpose()? };
            let stored = push(&app, &api, proposal).await?;
            let Some(message) = reason else {
                stored.print(context.format, &api)?;
                stored.warn();
                return Ok(());
            };
            // A program reads one document: what is in force then.
            if context.format == Format::Table {
                stored.print(context.format, &api)?;
            }
            let activation = Activation { precondition: Precondition::Any, message: message.clone() };
            match app.policies().activate(&api.id, activation, &operator()).await {
                Ok(revision) => print(context.format, &app, &[revision]).await,
                // Whoever pushes what a repository holds wants it in force, and it is.
                Err(AdminError::NothingChanged) => {
                    eprintln!("portcullis: these rules are in force already, with the same cases");
                    print(context.format, &app, &[app.policies().active(&api.id).await?]).await
                }
                Err(error) => Err(refusal(&app, &api, error).await.note(STORED)),
            }
        }
        Rulebook::Rollback { api, to, message } => {
            let api = api.find(&app).await?;
            let revision = app.policies().rollback(&api.id, *to, message, &operator()).await;
            let revision = revision.map_err(|error| no_revision(&api, *to, error))?;
            print(context.format, &app, &[revision]).await
        }
    }
}

async fn pulled(app: &App, api: &Api, draft: bool, revision: Option<u64>) -> Result<PolicyText, Failure> {
    let policies = app.policies();
    Ok(match revision {
        Some(number) => {
            let found = policies.revision(&api.id, number).await;
            found.map_err(|error| no_revision(api, number, error))?.text
        }
        None if draft => policies.draft(&api.id).await?.value.text,
        None => policies.active(&api.id).await?.text,
    })
}

/// Revisions count up from 1, and none goes.
fn no_revision(api: &Api, number: u64, error: AdminError) -> Failure {
    let there_are = match (&error, api.active_revision) {
        (AdminError::NotFound(Thing::Revision), Some(1)) => "there is only revision 1".to_owned(),
        (AdminError::NotFound(Thing::Revision), Some(last)) => format!("there are 1 to {last}"),
        _ => return error.into(),
    };
    Failure::failed(format!(
        "{} has no revision {number}: {there_are}, which `policy history` prints",
        api.audience
    ))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| Failure::failed(format!("{}: {error}", file.display())))
}

/// A draft that was saved, and what came of its cases.
struct Stored {
    draft: Versioned<PolicyDraft>,
    checked: Checked,
}

async fn push(app: &App, api: &Api, proposal: Proposal) -> Result<Stored, Failure> {
    let report = lint(&proposal.source);
    if report.has_errors() {
        return Err(Failure::failed(format!("the rules have errors, nothing was saved:\n{report}")));
    }
    let draft = app.policies().save_draft(&api.id, proposal, &Precondition::Any, &operator()).await?;
    let checked = app.policies().validate(&api.id, draft.value.text.clone()).await;
    let checked = checked.map_err(|error| Failure::from(error).note(STORED))?;
    Ok(Stored { draft, checked })
}

impl Stored {
    fn print(&self, format: Format, api: &Api) -> Result<(), Failure> {
        let draft = &self.draft.value;
        let value = json!({
            "audience": api.audience.as_str(),
            "version": draft.version,
            "sha256": draft.text.sha256().hex(),
            "usable": self.checked.is_usable(),
            "failing_cases": self.checked.outcome.as_ref().map_or(0, |outcome| outcome.failed_total),
        });
        output::done(
            format,
            &value,
            &format!("the draft of {} is stored, version {}", api.audience, draft.version),
        )
    }

    /// It may wait like this, and what an activation would refuse is better known now.
    fn warn(&self) {
        let refusal = match &self.checked.outcome {
            _ if self.checked.is_usable() => return,
            Some(outcome) if outcome.failed_total > 0 => AdminError::Cases(Box::new(outcome.clone())),
            Some(_) | None => AdminError::Policy(self.checked.report.clone()),
        };
        eprintln!("portcullis: warning: the draft is stored, and could not be activated as it is: {refusal}");
    }
}

async fn activate(format: Format, app: &App, api: &Api, message: &str) -> Result<(), Failure> {
    let activation = Activation { precondition: Precondition::Any, message: message.to_owned() };
    match app.policies().activate(&api.id, activation, &operator()).await {
        Ok(revision) => print(format, app, &[revision]).await,
        Err(error) => Err(refusal(app, api, error).await),
    }
}

async fn history(format: Format, app: &App, api: &Api) -> Result<(), Failure> {
    let (mut all, mut query) = (Vec::new(), PageQuery::default());
    loop {
        let page = app.policies().history(&api.id, &query).await?;
        all.extend(page.items);
        if page.next.is_none() {
            return print(format, app, &all).await;
        }
        query = PageQuery::new(page.next, None);
    }
}

async fn print(format: Format, app: &App, revisions: &[PolicyRevision]) -> Result<(), Failure> {
    let authors: Vec<&str> = revisions.iter().map(|revision| revision.author.as_str()).collect();
    let names = NameService::new(app.store().clone()).find(&authors).await?;
    let shown: Vec<Value> = revisions
        .iter()
        .map(|revision| {
            json!({
                "number": revision.number,
                "created_at": revision.created_at.rfc3339(),
                "author": revision.author,
                "author_name": names.of(&revision.author).label(),
                "message": revision.message,
                "sha256": revision.sha256.hex(),
            })
        })
        .collect();
    let rows = revisions.iter().map(|revision| {
        let number = revision.number.to_string();
        let author = names.label(&revision.author);
        [number, revision.created_at.rfc3339(), author, revision.message.clone()]
    });
    output::print(format, &shown, &Table::new(["REVISION", "SINCE", "BY", "MESSAGE"], rows))
}
