//! What clients were told of sign-outs, and what they did not take.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::backchannel::{LogoutNotice, NoticeState};
use crate::domain::clock::Timestamp;
use crate::http::admin::answer::Answer;
use crate::http::admin::body::Parameters;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::AdminError;
use crate::services::fields::FieldErrors;
use crate::services::paging::PageQuery;
use crate::services::sign_outs::SignOutService;

/// That a session ended, for one client that took part in it.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignOutDocument {
    id: String,
    session: String,
    client: String,
    /// The `sub` of who signed out.
    subject: String,
    created_at: String,
    /// How often it was tried.
    attempts: u32,
    /// `waiting`, `delivered` or `failed`: refused by the client, or given up after a number of tries.
    #[schema(example = "waiting")]
    state: &'static str,
    /// When it is tried next; null when it is settled.
    due_at: Option<String>,
    settled_at: Option<String>,
    /// Why it was not delivered the last time.
    last_error: Option<String>,
}

impl From<LogoutNotice> for SignOutDocument {
    fn from(notice: LogoutNotice) -> Self {
        let waits = notice.state == NoticeState::Waiting;
        Self {
            id: notice.id.to_string(),
            session: notice.session.to_string(),
            client: notice.client.to_string(),
            subject: notice.subject.to_string(),
            created_at: notice.created_at.rfc3339(),
            attempts: notice.attempts,
            state: notice.state.as_str(),
            due_at: waits.then(|| notice.due_at.rfc3339()),
            settled_at: notice.settled_at.map(Timestamp::rfc3339),
            last_error: notice.last_error,
        }
    }
}

/// A page of them.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignOutList {
    items: Vec<SignOutDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which ones to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SignOutFilter {
    /// Only those that are `waiting`, `delivered` or `failed`.
    state: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
}

/// Lists what clients were told of sign-outs in the last day, and what they are still to be told, newest first.
#[utoipa::path(get, path = "/sign-outs", tag = "clients", operation_id = "listSignOuts", params(SignOutFilter),
    responses((status = 200, body = SignOutList)))]
pub(crate) async fn list(
    State(sign_outs): State<SignOutService>,
    Parameters(filter): Parameters<SignOutFilter>,
) -> Result<Answer<SignOutList>, Problem> {
    let state = filter.state.as_deref().map(str::parse::<NoticeState>).transpose();
    let state =
        state.map_err(|error| AdminError::from(FieldErrors::of("/state", "invalid", error.to_string())))?;
    let page = sign_outs.list(state, &PageQuery::new(filter.after, filter.limit)).await?;
    let items = page.items.into_iter().map(SignOutDocument::from).collect();
    Ok(Answer::ok(SignOutList { items, next: page.next }))
}
