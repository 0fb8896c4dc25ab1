//! The audit trail: who did what, when, from where.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::audit::AuditRecord;
use crate::http::admin::answer::Answer;
use crate::http::admin::body::Parameters;
use crate::http::admin::problem::Problem;
use crate::services::audit::AuditService;
use crate::services::paging::PageQuery;

/// One event, as it was recorded.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditDocument {
    /// Its place in the chain, from 1, without gaps.
    seq: u64,
    at: String,
    /// Who did it: an id, or `operator`, `system`, `anonymous`.
    actor: String,
    /// What was done.
    #[schema(example = "policy.activated")]
    action: &'static str,
    /// To what.
    target: Option<String>,
    /// `success` or `refused`.
    outcome: &'static str,
    address: Option<String>,
    #[schema(value_type = Object)]
    detail: serde_json::Value,
    /// The hash of this link of the chain, in lower-case hexadecimal.
    hash: String,
}

impl From<AuditRecord> for AuditDocument {
    fn from(record: AuditRecord) -> Self {
        Self {
            seq: record.seq,
            at: record.at.rfc3339(),
            actor: record.event.actor.to_string(),
            action: record.event.action.as_str(),
            target: record.event.target,
            outcome: record.event.outcome.as_str(),
            address: record.event.address.map(|address| address.to_string()),
            detail: record.event.detail,
            hash: record.hash.hex(),
        }
    }
}

/// A page of the trail.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditList {
    items: Vec<AuditDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which events to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// Lists what happened, newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", operation_id = "listAudit", params(AuditFilter),
    responses((status = 200, body = AuditList)))]
pub(crate) async fn list(
    State(audit): State<AuditService>,
    Parameters(filter): Parameters<AuditFilter>,
) -> Result<Answer<AuditList>, Problem> {
    let page = audit.list(&PageQuery::new(filter.after, filter.limit)).await?;
    let items = page.items.into_iter().map(AuditDocument::from).collect();
    Ok(Answer::ok(AuditList { items, next: page.next }))
}
