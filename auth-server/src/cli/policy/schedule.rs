//! `portcullis policy schedule, approve`: activations at a later time.
//!
//! An operator may ask for one and take one back, as they may save a draft and discard it. They approve none, and activate
//! nothing at once where that takes two: whoever runs a command is nobody in particular, and may be the very person who
//! wrote it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::api::{ApiOption, SharedApiOption, approval_page};
use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ScheduleId;
use crate::domain::rbac::Api;
use crate::domain::schedule::{PolicySchedule, ScheduleEnd};
use crate::services::admin_error::AdminError;
use crate::services::names::{NameService, Names};
use crate::services::paging::PageQuery;
use crate::services::policies::Activation;
use crate::services::version::Precondition;

/// Activations at a later time.
#[derive(Debug, Subcommand)]
pub(crate) enum Later {
    /// Says where a second person approves the activation that waits. A command approves nothing: it is nobody in particular.
    Approve {
        #[command(flatten)]
        api: ApiOption,
    },
    /// Puts the draft in force at a later time, as it is now.
    Schedule(Schedule),
}

/// What is put off, or which one of them.
#[derive(Args, Debug)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct Schedule {
    #[command(flatten)]
    api: SharedApiOption,
    #[command(subcommand)]
    command: Option<Existing>,
    #[command(flatten)]
    order: Order,
}

/// What is put off.
#[derive(Args, Debug)]
pub(crate) struct Order {
    /// When, as RFC 3339 writes it: in the future, at most 365 days ahead.
    #[arg(long, value_name = "TIME", required = true)]
    at: Option<Timestamp>,
    /// What changed, and why.
    #[arg(long, short, value_name = "TEXT", required = true)]
    message: Option<String>,
}

/// Works on what was put off.
#[derive(Debug, Subcommand)]
pub(crate) enum Existing {
    /// Takes the activation back that waits.
    Cancel {
        /// Which one, as `policy schedule list` prints it. Without it: the one that waits.
        #[arg(value_name = "SCHEDULE")]
        schedule: Option<ScheduleId>,
    },
    /// Prints what waits and how those before ended, newest first.
    List,
}

pub(crate) async fn run(context: &Context, command: &Later) -> Result<(), Failure> {
    let api = match command {
        Later::Approve { api } => api.clone(),
        Later::Schedule(schedule) => schedule.whose()?,
    };
    let app = context.existing_app().await?;
    let (format, api) = (context.format, api.find(&app).await?);
    match command {
        Later::Approve { .. } => approve(format, &app, &api).await,
        Later::Schedule(Schedule { command: None, order, .. }) => order.place(format, &app, &api).await,
        Later::Schedule(Schedule { command: Some(Existing::List), .. }) => {
            print(format, (&app, &api), &all(&app, &api).await?).await
        }
        Later::Schedule(Schedule { command: Some(Existing::Cancel { schedule }), .. }) => {
            cancel(format, &app, &api, schedule.as_ref()).await
        }
    }
}

/// An error of an activation, with a way on where there is one.
pub(super) async fn refusal(app: &App, api: &Api, error: AdminError) -> Failure {
    let needs_another = matches!(error, AdminError::SelfApproval);
    let failure = Failure::from(error);
    if !needs_another {
        return failure;
    }
    match approval_page(app, api).await {
        Ok(page) => failure.hint(&format!(
            "who did not write it activates it at {page}; `policy schedule` puts it off until somebody approved it there"
        )),
        Err(error) => error,
    }
}

impl Schedule {
    /// Whose activations. An order beside the name of another command would be passed over in silence.
    fn whose(&self) -> Result<ApiOption, Failure> {
        if self.command.is_some() && (self.order.at.is_some() || self.order.message.is_some()) {
            return Err(Failure::usage(
                "--at and --message put an activation off: `list` and `cancel` take neither",
            ));
        }
        self.api.required()
    }
}

impl Order {
    async fn place(&self, format: Format, app: &App, api: &Api) -> Result<(), Failure> {
        let (Some(at), Some(message)) = (self.at, &self.message) else {
            return Err(Failure::usage("say when and why: give --at and --message"));
        };
        let activation = Activation { precondition: Precondition::Any, message: message.clone() };
        let asked = app.policies().schedule(&api.id, activation, &at.rfc3339(), &operator()).await;
        let schedule = match asked {
            Ok(schedule) => schedule,
            Err(error) => return Err(refusal(app, api, error).await),
        };
        if needs_approval(api, &schedule) {
            let page = approval_page(app, api).await?;
            eprintln!("portcullis: a second person has to approve it before then, at {page}");
        }
        print(format, (app, api), &[schedule]).await
    }
}

async fn cancel(format: Format, app: &App, api: &Api, named: Option<&ScheduleId>) -> Result<(), Failure> {
    let id = match named {
        Some(id) => id.clone(),
        None => waiting(app, api).await?.id,
    };
    app.policies().cancel(&api.id, &id, &operator()).await.map_err(|error| match error {
        AdminError::NotFound(_) | AdminError::Conflict(_) => {
            Failure::from(error).hint("`policy schedule list` prints what waits")
        }
        other => other.into(),
    })?;
    let value = json!({ "audience": api.audience.as_str(), "cancelled": id });
    output::done(
        format,
        &value,
        &format!("{id} is cancelled: no activation of {} waits any more", api.audience),
    )
}

/// The service decides who may approve; what is known here is what to say to an operator.
async fn approve(format: Format, app: &App, api: &Api) -> Result<(), Failure> {
    let schedule = waiting(app, api).await?;
    if let Some(by) = &schedule.approved_by {
        let names = NameService::new(app.store().clone()).find(&[by.as_str()]).await?;
        return Err(Failure::failed(format!("{} has approved it already", names.label(by))));
    }
    if !api.four_eyes {
        return Err(Failure::failed(
            "it needs no approval: `api four-eyes on` has what one person wrote take another",
        ));
    }
    match app.policies().approve(&api.id, &schedule.id, &operator()).await {
        Ok(approved) => print(format, (app, api), &[approved]).await,
        Err(error @ AdminError::SelfApproval) => {
            let page = approval_page(app, api).await?;
            Err(Failure::from(error).hint(&format!("sign in and approve it at {page}")))
        }
        Err(other) => Err(other.into()),
    }
}

async fn waiting(app: &App, api: &Api) -> Result<PolicySchedule, Failure> {
    app.policies().waiting(&api.id).await?.ok_or_else(|| {
        let audience = api.audience.as_str();
        Failure::failed(format!(
            "no activation of {audience} waits: `policy schedule list` prints how those before ended"
        ))
    })
}

async fn all(app: &App, api: &Api) -> Result<Vec<PolicySchedule>, Failure> {
    let (mut all, mut query) = (Vec::new(), PageQuery::default());
    loop {
        let page = app.policies().schedules(&api.id, &query).await?;
        all.extend(page.items);
        if page.next.is_none() {
            return Ok(all);
        }
        query = PageQuery::new(page.next, None);
    }
}

fn needs_approval(api: &Api, schedule: &PolicySchedule) -> bool {
    api.four_eyes && schedule.end.is_none() && schedule.approved_by.is_none()
}

async fn print(
    format: Format,
    (app, api): (&App, &Api),
    schedules: &[PolicySchedule],
) -> Result<(), Failure> {
    let people: Vec<&str> = schedules.iter().flat_map(people).collect();
    let names = NameService::new(app.store().clone()).find(&people).await?;
    let shown: Vec<Value> = schedules.iter().map(|schedule| document(api, schedule, &names)).collect();
    let rows = schedules.iter().map(|schedule| {
        let state = match schedule.end {
            Some(end) => end.how.as_str(),
            None if needs_approval(api, schedule) => "needs approval",
            None => "waits",
        };
        let [id, at] = [schedule.id.to_string(), schedule.activate_at.rfc3339()];
        let approved_by = schedule.approved_by.as_ref().map(|by| names.label(by)).unwrap_or_default();
        let by = names.label(&schedule.request.requested_by);
        [id, at, state.to_owned(), by, approved_by, schedule.message.clone()]
    });
    let heading = ["SCHEDULE", "AT", "STATE", "ASKED BY", "APPROVED BY", "MESSAGE"];
    output::print(format, &shown, &Table::new(heading, rows))
}

fn people(schedule: &PolicySchedule) -> impl Iterator<Item = &str> {
    let request = &schedule.request;
    let known = [request.written_by.as_str(), request.requested_by.as_str()];
    known.into_iter().chain(schedule.approved_by.as_deref())
}

fn document(api: &Api, schedule: &PolicySchedule, names: &Names) -> Value {
    let name = |actor: &str| names.of(actor).label();
    let end = |end: ScheduleEnd| json!({ "at": end.at.rfc3339(), "how": end.how.as_str(), "revision": end.revision });
    json!({
        "id": schedule.id,
        "activate_at": schedule.activate_at.rfc3339(),
        "message": schedule.message,
        "base_revision": schedule.base_revision,
        "written_by": schedule.request.written_by,
        "written_by_name": name(&schedule.request.written_by),
        "requested_by": schedule.request.requested_by,
        "requested_by_name": name(&schedule.request.requested_by),
        "requested_at": schedule.request.requested_at.rfc3339(),
        "needs_approval": needs_approval(api, schedule),
        "approved_by": schedule.approved_by,
        "approved_by_name": schedule.approved_by.as_deref().and_then(name),
        "sha256": schedule.sha256.hex(),
        "end": schedule.end.map(end),
    })
}
