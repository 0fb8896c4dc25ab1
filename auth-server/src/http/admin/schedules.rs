//! Activations at a later time.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::ApiId;
use crate::domain::policy::PolicyText;
use crate::domain::schedule::{PolicySchedule, ScheduleEnd};
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::Parameters;
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;
use crate::services::paging::PageQuery;
use crate::services::policies::PolicyService;

/// An activation at a later time.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleDocument {
    #[schema(example = "sch_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    /// When it is to be put in force.
    activate_at: String,
    /// Why.
    message: String,
    /// The revision that has to be in force still.
    base_revision: Option<u64>,
    request: ScheduleRequestDocument,
    /// Who approved it, where that takes a second person.
    approved_by: Option<String>,
    /// Names what is to be put in force, in lower-case hexadecimal.
    sha256: String,
    /// What is to be put in force; null in a list, and once it has ended.
    text: Option<TextDocument>,
    /// How it ended; null while it waits.
    end: Option<ScheduleEndDocument>,
}

/// Who asked for an activation at a later time.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleRequestDocument {
    /// Who saved the draft last.
    written_by: String,
    /// Who asked.
    requested_by: String,
    /// When.
    requested_at: String,
}

/// What a policy says.
#[derive(Serialize, ToSchema)]
pub(crate) struct TextDocument {
    model: String,
    rules: String,
    cases: String,
}

/// The end of a scheduled activation.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleEndDocument {
    /// When.
    at: String,
    /// `activated`, `cancelled`, or why it was not carried out: `base-moved`, `failing-cases`, `lockout`, `not-approved`, `not-permitted` (whoever
    /// asked may not activate any more) or `unusable`.
    how: &'static str,
    /// The revision that it became.
    revision: Option<u64>,
}

impl From<PolicySchedule> for ScheduleDocument {
    fn from(schedule: PolicySchedule) -> Self {
        let PolicyText { model, rules, cases } = schedule.text;
        let is_known = schedule.end.is_none() && !model.is_empty();
        Self {
            id: schedule.id.to_string(),
            activate_at: schedule.activate_at.rfc3339(),
            message: schedule.message,
            base_revision: schedule.base_revision,
            request: ScheduleRequestDocument {
                written_by: schedule.request.written_by,
                requested_by: schedule.request.requested_by,
                requested_at: schedule.request.requested_at.rfc3339(),
            },
            approved_by: schedule.approved_by,
            sha256: schedule.sha256.hex(),
            text: is_known.then_some(TextDocument { model, rules, cases }),
            end: schedule.end.map(ScheduleEndDocument::from),
        }
    }
}

impl From<ScheduleEnd> for ScheduleEndDocument {
    fn from(end: ScheduleEnd) -> Self {
        Self { at: end.at.rfc3339(), how: end.how.as_str(), revision: end.revision }
    }
}

/// A page of scheduled activations.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleList {
    items: Vec<ScheduleDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which scheduled activations to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScheduleFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// What is answered when an activation is put off.
pub(super) fn accepted(schedule: PolicySchedule) -> Answer<ScheduleDocument> {
    let place = format!("/api/v1/apis/{}/policy/schedules/{}", schedule.api, schedule.id);
    Answer::accepted(schedule.into(), place)
}

/// Lists scheduled activations, newest first: the one that waits, and those that have ended.
#[utoipa::path(get, path = "/apis/{api}/policy/schedules", tag = "policies", operation_id = "listSchedules",
    params(("api" = String, Path), ScheduleFilter), responses((status = 200, body = ScheduleList)))]
pub(crate) async fn list(
    State(policies): State<PolicyService>,
    Path(api): Path<String>,
    Parameters(filter): Parameters<ScheduleFilter>,
) -> Result<Answer<ScheduleList>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let page = policies.schedules(&api, &PageQuery::new(filter.after, filter.limit)).await?;
    let items = page.items.into_iter().map(ScheduleDocument::from).collect();
    Ok(Answer::ok(ScheduleList { items, next: page.next }))
}

/// Shows a scheduled activation.
#[utoipa::path(get, path = "/apis/{api}/policy/schedules/{schedule}", tag = "policies", operation_id = "showSchedule",
    params(("api" = String, Path), ("schedule" = String, Path)), responses((status = 200, body = ScheduleDocument)))]
pub(crate) async fn show(
    State(policies): State<PolicyService>,
    Path((api, schedule)): Path<(String, String)>,
) -> Result<Answer<ScheduleDocument>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let found = policies.find_schedule(&api, &named(&schedule, Thing::Schedule)?).await?;
    Ok(Answer::ok(found.into()))
}

/// Takes an activation back that has not been carried out.
#[utoipa::path(delete, path = "/apis/{api}/policy/schedules/{schedule}", tag = "policies",
    operation_id = "cancelSchedule", params(("api" = String, Path), ("schedule" = String, Path)),
    responses((status = 204, description = "It will not be carried out.")))]
pub(crate) async fn cancel(
    State(policies): State<PolicyService>,
    Path((api, schedule)): Path<(String, String)>,
    By(caller): By,
) -> Result<Done, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    policies.cancel(&api, &named(&schedule, Thing::Schedule)?, &caller).await?;
    Ok(Done)
}

/// Approves an activation that waits: as a person who neither wrote nor asked for it.
#[utoipa::path(post, path = "/apis/{api}/policy/schedules/{schedule}/approve", tag = "policies",
    operation_id = "approveSchedule", params(("api" = String, Path), ("schedule" = String, Path)),
    responses((status = 200, body = ScheduleDocument)))]
pub(crate) async fn approve(
    State(policies): State<PolicyService>,
    Path((api, schedule)): Path<(String, String)>,
    By(caller): By,
) -> Result<Answer<ScheduleDocument>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let approved = policies.approve(&api, &named(&schedule, Thing::Schedule)?, &caller).await?;
    Ok(Answer::ok(approved.into()))
}
