//! `portcullis sign-outs`: what applications were told of sign-outs.

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::backchannel::{LogoutNotice, NoticeState};
use crate::domain::clock::Timestamp;
use crate::services::paging::PageQuery;

/// Prints what applications were told of sign-outs in the last day, and what they are still to be told, newest first.
#[derive(Args, Debug)]
pub(crate) struct SignOuts {
    /// Only those that are `waiting`, `delivered` or `failed`: refused by the application, or given up.
    #[arg(long, value_name = "STATE")]
    state: Option<NoticeState>,
}

impl SignOuts {
    pub(crate) async fn run(&self, context: &Context) -> Result<(), Failure> {
        let app = context.existing_app().await?;
        let (mut found, mut query) = (Vec::new(), PageQuery::default());
        loop {
            let page = app.sign_outs().list(self.state, &query).await?;
            found.extend(page.items);
            if page.next.is_none() {
                break;
            }
            query = PageQuery::new(page.next, None);
        }
        let shown: Vec<_> = found.iter().map(document).collect();
        output::print(context.format, &shown, &Table::new(COLUMNS, found.iter().map(row)))
    }
}

/// What is printed of a notice for programs: the members of the admin API.
fn document(notice: &LogoutNotice) -> serde_json::Value {
    let due = due(notice).map(Timestamp::rfc3339);
    json!({ "id": notice.id.as_str(), "session": notice.session.as_str(), "client": notice.client.as_str(),
        "subject": notice.subject.to_string(), "created_at": notice.created_at.rfc3339(),
        "attempts": notice.attempts, "state": notice.state.as_str(), "due_at": due,
        "settled_at": notice.settled_at.map(Timestamp::rfc3339), "last_error": notice.last_error })
}

/// What is printed of a notice for reading.
const COLUMNS: [&str; 6] = ["SIGNED OUT", "CLIENT", "STATE", "TRIES", "NEXT", "LAST ERROR"];

fn row(notice: &LogoutNotice) -> [String; 6] {
    [
        notice.created_at.rfc3339(),
        notice.client.to_string(),
        notice.state.to_string(),
        notice.attempts.to_string(),
        due(notice).map(Timestamp::rfc3339).unwrap_or_default(),
        notice.last_error.clone().unwrap_or_default(),
    ]
}

/// When it is tried next.
fn due(notice: &LogoutNotice) -> Option<Timestamp> {
    (notice.state == NoticeState::Waiting).then_some(notice.due_at)
}
