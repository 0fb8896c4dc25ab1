//! Rules that services try beside those in force.

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::ApiId;
use crate::domain::policy::PolicyShadow;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::precondition::IfMatch;
use crate::http::admin::problem::Problem;
use crate::http::admin::replay::ChangeDocument;
use crate::services::admin_error::Thing;
use crate::services::names::Names;
use crate::services::policies::PolicyService;
use crate::services::policies::questions::QuestionService;
use crate::services::policies::shadow::Shadowed;

/// Rules on trial.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShadowDocument {
    /// Names them, in lower-case hexadecimal.
    sha256: String,
    model: String,
    rules: String,
    started_by: String,
    started_at: String,
    /// How many different requests they would decide otherwise.
    requests: u64,
    /// How often these were asked.
    decisions: u64,
    /// How many decisions more there were.
    lost: u64,
    /// How many decisions they were not tried on: there were too many different ones, or these rules take too long.
    untried: u64,
}

/// What rules on trial would decide otherwise.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShadowReport {
    shadow: ShadowDocument,
    /// By who asks and for what: what would be denied first, then what is asked most. At most a thousand.
    changes: Vec<ChangeDocument>,
    /// Whether all changes are among these.
    complete: bool,
}

impl From<PolicyShadow> for ShadowDocument {
    fn from(shadow: PolicyShadow) -> Self {
        Self {
            sha256: shadow.sha256.hex(),
            model: shadow.text.model,
            rules: shadow.text.rules,
            started_by: shadow.started_by,
            started_at: shadow.started_at.rfc3339(),
            requests: shadow.requests,
            decisions: shadow.decisions,
            lost: shadow.lost,
            untried: shadow.untried,
        }
    }
}

impl From<Shadowed> for ShadowReport {
    fn from(Shadowed { shadow, replayed }: Shadowed) -> Self {
        // What guards decide, nobody asks for.
        let nobody = Names::default();
        Self {
            shadow: shadow.into(),
            changes: replayed.changes.into_iter().map(|change| ChangeDocument::of(change, &nobody)).collect(),
            complete: replayed.complete,
        }
    }
}

/// Shows what services try, and what it would decide otherwise than the rules in force.
#[utoipa::path(get, path = "/apis/{api}/policy/shadow", tag = "policies", operation_id = "showShadow",
    params(("api" = String, Path)), responses((status = 200, body = ShadowReport)))]
pub(crate) async fn show(
    State(questions): State<QuestionService>,
    Path(api): Path<String>,
) -> Result<Answer<ShadowReport>, Problem> {
    let found = questions.shadowed(&named::<ApiId>(&api, Thing::Api)?).await?;
    Ok(Answer::ok(found.into()))
}

/// Has services try the draft as it is: they answer by the rules in force, and tell what the draft would decide otherwise. What
/// they tried before is tried no longer. It is tried behind the requests and takes a twentieth of a processor at most; it takes
/// who may activate all the same.
#[utoipa::path(put, path = "/apis/{api}/policy/shadow", tag = "policies", operation_id = "startShadow",
    params(("api" = String, Path), ("If-Match" = String, Header)), responses((status = 200, body = ShadowDocument)))]
pub(crate) async fn start(
    State(policies): State<PolicyService>,
    Path(api): Path<String>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
) -> Result<Answer<ShadowDocument>, Problem> {
    let started = policies.start_shadow(&named::<ApiId>(&api, Thing::Api)?, &precondition, &caller).await?;
    Ok(Answer::ok(started.into()))
}

/// Has services try nothing any more. What was told is forgotten.
#[utoipa::path(delete, path = "/apis/{api}/policy/shadow", tag = "policies", operation_id = "stopShadow",
    params(("api" = String, Path)), responses((status = 204)))]
pub(crate) async fn stop(
    State(policies): State<PolicyService>,
    Path(api): Path<String>,
    By(caller): By,
) -> Result<Done, Problem> {
    policies.stop_shadow(&named::<ApiId>(&api, Thing::Api)?, None, &caller).await?;
    Ok(Done)
}
