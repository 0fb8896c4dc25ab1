//! The policy of an API: one draft that changes, revisions that do not.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use portcullis_policy::{Finding, PolicyFile, PolicySource, Severity};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::ids::ApiId;
use crate::domain::policy::{PolicyDraft, PolicyRevision};
use crate::http::admin::answer::Answer;
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::cases::CasesDocument;
use crate::http::admin::path::named;
use crate::http::admin::precondition::IfMatch;
use crate::http::admin::problem::Problem;
use crate::http::admin::schedules::{ScheduleDocument, accepted};
use crate::services::admin_error::{AdminError, Thing};
use crate::services::paging::PageQuery;
use crate::services::policies::{Activation, Checked, PolicyService, Proposal};
use crate::services::version::Versioned;

/// The text of a policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyInput {
    /// The model, in Casbin's PERM language. Without it: the default model.
    model: Option<String>,
    /// The rules, one a line: `p, role, domain, object, action, allow`.
    #[schema(example = "p, viewer, *, orders, read, allow")]
    rules: String,
    /// The decisions that the rules must keep, one a line: `allow | deny, role[+role][+user:ID], domain, object, action`.
    /// Without it: those that the draft has. An empty text takes them away.
    #[schema(example = "deny, viewer, *, orders, delete")]
    cases: Option<String>,
}

impl From<PolicyInput> for Proposal {
    fn from(PolicyInput { model, rules, cases }: PolicyInput) -> Self {
        let source = match model {
            Some(model) => PolicySource { model, rules },
            None => PolicySource::with_default_model(rules),
        };
        Self { source, cases }
    }
}

/// The next version of a policy, while it is being written.
#[derive(Serialize, ToSchema)]
pub(crate) struct DraftDocument {
    model: String,
    rules: String,
    /// The decisions that the rules must keep.
    cases: String,
    /// Counts the times it was saved; 0 while it still is the active revision.
    version: u64,
    /// Who saved it last.
    updated_by: String,
    updated_at: String,
}

impl From<PolicyDraft> for DraftDocument {
    fn from(draft: PolicyDraft) -> Self {
        Self {
            model: draft.text.model,
            rules: draft.text.rules,
            cases: draft.text.cases,
            version: draft.version,
            updated_by: draft.updated_by,
            updated_at: draft.updated_at.rfc3339(),
        }
    }
}

/// An immutable version of a policy.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevisionDocument {
    /// Counts up from 1 within the API.
    number: u64,
    model: String,
    rules: String,
    /// The decisions that the rules must keep.
    cases: String,
    /// Names the content, in lower-case hexadecimal.
    sha256: String,
    /// Who activated it.
    author: String,
    /// Why.
    message: String,
    created_at: String,
}

impl From<PolicyRevision> for RevisionDocument {
    fn from(revision: PolicyRevision) -> Self {
        Self {
            number: revision.number,
            model: revision.text.model,
            rules: revision.text.rules,
            cases: revision.text.cases,
            sha256: revision.sha256.hex(),
            author: revision.author,
            message: revision.message,
            created_at: revision.created_at.rfc3339(),
        }
    }
}

/// A page of revisions.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevisionList {
    items: Vec<RevisionDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which revisions to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevisionFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// What a check of a policy found.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportDocument {
    /// Whether it could be activated as it is.
    usable: bool,
    findings: Vec<FindingDocument>,
    /// What came of the cases; null when there are none, or mistakes stand before them.
    cases: Option<CasesDocument>,
}

/// One thing that is wrong with a policy.
#[derive(Serialize, ToSchema)]
pub(crate) struct FindingDocument {
    /// `cases`, `model` or `rules`.
    #[schema(value_type = String)]
    file: PolicyFile,
    /// From 1.
    line: u32,
    /// In characters, from 1.
    column: u32,
    /// `error` or `warning`.
    #[schema(value_type = String)]
    severity: Severity,
    /// A stable name for the kind of finding.
    code: &'static str,
    message: String,
    /// What to write instead, where that is known.
    fix: Option<String>,
}

impl From<&Finding> for FindingDocument {
    fn from(finding: &Finding) -> Self {
        Self {
            file: finding.file,
            line: finding.line,
            column: finding.column,
            severity: finding.severity,
            code: finding.code,
            message: finding.message.clone(),
            fix: finding.fix.clone(),
        }
    }
}

impl From<Checked> for ReportDocument {
    fn from(checked: Checked) -> Self {
        Self {
            usable: checked.is_usable(),
            findings: checked.report.findings.iter().map(FindingDocument::from).collect(),
            cases: checked.outcome.as_ref().map(CasesDocument::from),
        }
    }
}

/// Why a policy is rolled back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageInput {
    /// Said in the history: 1 to 500 characters.
    #[schema(example = "Refunds need a second pair of eyes")]
    message: String,
}

/// Why a draft is activated, and when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivationInput {
    /// Said in the history: 1 to 500 characters.
    #[schema(example = "Refunds need a second pair of eyes")]
    message: String,
    /// When, as RFC 3339 writes it: in the future, at most 365 days ahead. Without it: at once.
    #[schema(example = "2030-01-31T09:00:00Z")]
    activate_at: Option<String>,
}

/// What came of an activation.
pub(crate) enum Activated {
    Later(Answer<ScheduleDocument>),
    Now(Answer<RevisionDocument>),
}

impl IntoResponse for Activated {
    fn into_response(self) -> Response {
        match self {
            Self::Later(answer) => answer.into_response(),
            Self::Now(answer) => answer.into_response(),
        }
    }
}

/// Shows the active revision: what the guards of the API enforce.
#[utoipa::path(get, path = "/apis/{api}/policy", tag = "policies", operation_id = "showPolicy",
    params(("api" = String, Path)), responses((status = 200, body = RevisionDocument)))]
pub(crate) async fn active(
    State(policies): State<PolicyService>,
    Path(api): Path<String>,
) -> Result<Answer<RevisionDocument>, Problem> {
    let found = policies.active(&named::<ApiId>(&api, Thing::Api)?).await?;
    Ok(Answer::ok(found.into()))
}

/// Shows the draft. Until somebody saves one it is the active revision.
#[utoipa::path(get, path = "/apis/{api}/policy/draft", tag = "policies", operation_id = "showDraft",
    params(("api" = String, Path)), responses((status = 200, body = DraftDocument)))]
pub(crate) async fn draft(
    State(policies): State<PolicyService>,
    Path(api): Path<String>,
) -> Result<Answer<DraftDocument>, Problem> {
    Ok(shown(policies.draft(&named::<ApiId>(&api, Thing::Api)?).await?))
}

/// Saves the draft. Its rules may hold mistakes: they stop the activation, not the work. Its cases may not.
#[utoipa::path(put, path = "/apis/{api}/policy/draft", tag = "policies", operation_id = "saveDraft",
    params(("api" = String, Path), ("If-Match" = String, Header)), request_body = PolicyInput,
    responses((status = 200, body = DraftDocument)))]
pub(crate) async fn save_draft(
    State(policies): State<PolicyService>,
    Path(api): Path<String>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
    JsonBody(input): JsonBody<PolicyInput>,
) -> Result<Answer<DraftDocument>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    match policies.save_draft(&api, input, &precondition, &caller).await {
        Ok(saved) => Ok(shown(saved)),
        Err(AdminError::Stale) => Err(stale(&policies, &api).await),
        Err(error) => Err(error.into()),
    }
}

/// Checks a policy, and holds it to its cases, without saving it.
#[utoipa::path(post, path = "/apis/{api}/policy/validate", tag = "policies", operation_id = "validatePolicy",
    params(("api" = String, Path)), request_body = PolicyInput, responses((status = 200, body = ReportDocument)))]
pub(crate) async fn validate(
    State(policies): State<PolicyService>,
    Path(api): Path<String>,
    JsonBody(input): JsonBody<PolicyInput>,
) -> Result<Answer<ReportDocument>, Problem> {
    let checked = policies.validate(&named::<ApiId>(&api, Thing::Api)?, input).await?;
    Ok(Answer::ok(checked.into()))
}

/// Makes the draft the next revision and the active one, at once and for every guard, if its rules decide its cases as they
/// say. With a time it is done then, with the draft as it is now, if nothing stands against it then either.
#[utoipa::path(post, path = "/apis/{api}/policy/activate", tag = "policies", operation_id = "activatePolicy",
    params(("api" = String, Path), ("If-Match" = String, Header)), request_body = ActivationInput,
    responses((status = 200, body = RevisionDocument), (status = 202, body = ScheduleDocument)))]
pub(crate) async fn activate(
    State(policies): State<PolicyService>,
    Path(api): Path<String>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
    JsonBody(input): JsonBody<ActivationInput>,
) -> Result<Activated, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let activation = Activation { precondition, message: input.message };
    let done = match input.activate_at {
        None => {
            policies.activate(&api, activation, &caller).await.map(|it| Activated::Now(Answer::ok(it.into())))
        }
        Some(at) => {
            policies.schedule(&api, activation, &at, &caller).await.map(|it| Activated::Later(accepted(it)))
        }
    };
    match done {
        Ok(activated) => Ok(activated),
        Err(AdminError::Stale) => Err(stale(&policies, &api).await),
        Err(error) => Err(error.into()),
    }
}

/// Lists revisions, newest first.
#[utoipa::path(get, path = "/apis/{api}/policy/revisions", tag = "policies", operation_id = "listRevisions",
    params(("api" = String, Path), RevisionFilter), responses((status = 200, body = RevisionList)))]
pub(crate) async fn history(
    State(policies): State<PolicyService>,
    Path(api): Path<String>,
    Parameters(filter): Parameters<RevisionFilter>,
) -> Result<Answer<RevisionList>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let page = policies.history(&api, &PageQuery::new(filter.after, filter.limit)).await?;
    let items = page.items.into_iter().map(RevisionDocument::from).collect();
    Ok(Answer::ok(RevisionList { items, next: page.next }))
}

/// Shows a revision.
#[utoipa::path(get, path = "/apis/{api}/policy/revisions/{number}", tag = "policies", operation_id = "showRevision",
    params(("api" = String, Path), ("number" = u64, Path)), responses((status = 200, body = RevisionDocument)))]
pub(crate) async fn revision(
    State(policies): State<PolicyService>,
    Path((api, number)): Path<(String, String)>,
) -> Result<Answer<RevisionDocument>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let found = policies.revision(&api, named(&number, Thing::Revision)?).await?;
    Ok(Answer::ok(found.into()))
}

/// Activates the content of an older revision, as a new one.
#[utoipa::path(post, path = "/apis/{api}/policy/revisions/{number}/rollback", tag = "policies",
    operation_id = "rollbackPolicy", params(("api" = String, Path), ("number" = u64, Path)),
    request_body = MessageInput, responses((status = 200, body = RevisionDocument)))]
pub(crate) async fn rollback(
    State(policies): State<PolicyService>,
    Path((api, number)): Path<(String, String)>,
    By(caller): By,
    JsonBody(input): JsonBody<MessageInput>,
) -> Result<Answer<RevisionDocument>, Problem> {
    let api = named::<ApiId>(&api, Thing::Api)?;
    let number = named(&number, Thing::Revision)?;
    let revision = policies.rollback(&api, number, &input.message, &caller).await?;
    Ok(Answer::ok(revision.into()))
}

fn shown(draft: Versioned<PolicyDraft>) -> Answer<DraftDocument> {
    Answer::ok(draft.value.into()).at(&draft.version)
}

/// Says what the draft is now to somebody who expected an older one.
async fn stale(policies: &PolicyService, api: &ApiId) -> Problem {
    match policies.draft(api).await {
        Ok(current) => Problem::stale(&DraftDocument::from(current.value), &current.version),
        Err(error) => error.into(),
    }
}
