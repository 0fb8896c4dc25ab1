//! `portcullis policy shadow`: has services try the draft beside the rules in force.

use clap::Subcommand;
use serde_json::json;

use super::rulebook::operator;
use super::simulate::changes;
use crate::cli::api::ApiOption;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::output;
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
            let found = QuestionService::new(app.store().clone()).shadowed(&api.id).await?;
            print(context.format, &found)
        }
        Shadow::Start { api } => {
            let api = api.find(&app).await?;
            let shadow = app.policies().start_shadow(&api.id, &Precondition::Any, &operator()).await?;
            match context.format {
                Format::Json => output::json(&json!({ "sha256": shadow.sha256.hex() })),
                Format::Table => {
                    output::text("the draft is on trial: `policy shadow show` prints what it would change\n")
                }
            }
        }
        Shadow::Stop { api } => {
            let api = api.find(&app).await?;
            Ok(app.policies().stop_shadow(&api.id, None, &operator()).await?)
        }
    }
}

fn print(format: Format, Shadowed { shadow, replayed }: &Shadowed) -> Result<(), Failure> {
    let (since, by) = (shadow.started_at.rfc3339(), &shadow.started_by);
    if format == Format::Json {
        return output::json(&json!({
            "sha256": shadow.sha256.hex(), "started_at": since, "started_by": by, "requests": shadow.requests,
            "decisions": shadow.decisions, "lost": shadow.lost, "changes": replayed.changes, "complete": replayed.complete,
        }));
    }
    changes(replayed)?;
    let mut text = format!(
        "since {since}, {} decisions of {} requests would be otherwise; on trial by {by}\n",
        shadow.decisions, shadow.requests
    );
    if shadow.lost > 0 {
        text += &format!("{} decisions more would be otherwise, and are not among these\n", shadow.lost);
    }
    output::text(&text)
}
