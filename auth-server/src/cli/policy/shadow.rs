//! `portcullis policy shadow`: has services try the draft beside the rules in force.

use clap::Subcommand;
use serde_json::json;

use super::simulate::changes;
use crate::cli::api::ApiOption;
use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::domain::policy::PolicyShadow;
use crate::domain::rbac::Api;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::names::Names;
use crate::services::policies::questions::QuestionService;
use crate::services::policies::shadow::Shadowed;
use crate::services::version::Precondition;

/// Has services try the draft: they answer by the rules in force, and tell what the draft would decide otherwise.
#[derive(Debug, Subcommand)]
pub(crate) enum Shadow {
    /// Prints what the rules on trial would decide otherwise, and for whom.
    Show {
        #[command(flatten)]
        api: ApiOption,
    },
    /// Has services try the draft as it is now, instead of what they tried before.
    Start {
        #[command(flatten)]
        api: ApiOption,
    },
    /// Has services try nothing any more. What was told is forgotten.
    Stop {
        #[command(flatten)]
        api: ApiOption,
    },
}

pub(crate) async fn run(context: &Context, command: &Shadow) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    match command {
        Shadow::Show { api } => {
            let api = api.find(&app).await?;
            let found = QuestionService::new(app.store().clone()).shadowed(&api.id).await;
            print(context.format, &found.map_err(|error| missing(&api, error))?)
        }
        Shadow::Start { api } => {
            let api = api.find(&app).await?;
            let shadow = app.policies().start_shadow(&api.id, &Precondition::Any, &operator()).await?;
            let value = json!({ "audience": api.audience.as_str(), "sha256": shadow.sha256.hex() });
            let said = format!(
                "the draft of {} is on trial: `policy shadow show` prints what it would change",
                api.audience
            );
            output::done(context.format, &value, &said)
        }
        Shadow::Stop { api } => {
            let api = api.find(&app).await?;
            let stopped = app.policies().stop_shadow(&api.id, None, &operator()).await;
            stopped.map_err(|error| missing(&api, error))?;
            let value = json!({ "audience": api.audience.as_str(), "stopped": true });
            output::done(context.format, &value, &format!("nothing is on trial at {} any more", api.audience))
        }
    }
}

/// Where nothing is on trial, what puts it there and what ended it.
fn missing(api: &Api, error: AdminError) -> Failure {
    match error {
        AdminError::NotFound(Thing::Shadow) => Failure::failed(format!(
            "nothing is on trial at {}: `policy shadow start` puts the draft on trial; an activation of the same rules ends it",
            api.audience
        )),
        other => other.into(),
    }
}

fn print(format: Format, Shadowed { shadow, replayed }: &Shadowed) -> Result<(), Failure> {
    let (since, by) = (shadow.started_at.rfc3339(), &shadow.started_by);
    if format == Format::Json {
        return output::json(&json!({
            "sha256": shadow.sha256.hex(), "started_at": since, "started_by": by, "requests": shadow.requests,
            "decisions": shadow.decisions, "lost": shadow.lost, "untried": shadow.untried, "changes": replayed.changes, "complete": replayed.complete,
        }));
    }
    changes(replayed, &Names::default())?;
    let lost = match shadow.lost {
        0 => String::new(),
        1 => "1 decision more would be otherwise, and is not among these\n".to_owned(),
        lost => format!("{lost} decisions more would be otherwise, and are not among these\n"),
    };
    let untried = match shadow.untried {
        0 => String::new(),
        untried => {
            let untried = output::counted(untried, "decision", "decisions");
            format!(
                "not tried on {untried}: there were too many different ones, or these rules take too long\n"
            )
        }
    };
    let PolicyShadow { decisions, requests, .. } = shadow;
    let decisions = output::counted(*decisions, "decision", "decisions");
    let requests = output::counted(*requests, "request", "requests");
    output::text(&format!(
        "since {since}, {decisions} of {requests} would be otherwise; on trial by {by}\n{lost}{untried}"
    ))
}
