//! The page of what happened to the account of whoever is signed in.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Next;
use crate::http::pages::when::TimeShown;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::account::log::LogEntry;

/// The page.
#[derive(Serialize)]
struct LogPage {
    problem: Option<&'static str>,
    entries: Vec<Shown>,
    /// Whether this is the newest page.
    is_first: bool,
    older: Option<u64>,
}

impl Page for LogPage {
    const TEMPLATE: &'static str = "log.html";
}

/// One entry.
#[derive(Serialize)]
struct Shown {
    what: &'static str,
    by: &'static str,
    client: Option<String>,
    /// What was changed, of what texts have words for.
    fields: Vec<&'static str>,
    at: TimeShown,
    address: Option<String>,
}

/// What may have been changed.
const FIELDS: [&str; 5] = ["username", "name", "email", "organisation", "profile"];

impl From<LogEntry> for Shown {
    fn from(entry: LogEntry) -> Self {
        Self {
            what: entry.what,
            by: entry.by.name(),
            client: entry.client,
            fields: FIELDS
                .into_iter()
                .filter(|known| entry.fields.iter().any(|field| field == known))
                .collect(),
            at: TimeShown::of(entry.at),
            address: entry.address.map(|address| address.to_string()),
        }
    }
}

/// The query of the page.
#[derive(Deserialize)]
pub(in crate::http::pages) struct LogQuery {
    before: Option<u64>,
}

/// `GET /account/log`.
pub(in crate::http::pages) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<LogQuery>,
) -> Response {
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Log.login()));
    };
    match desk.account.log(live, query.before).await {
        Ok(log) => {
            let entries = log.entries.into_iter().map(Shown::from).collect();
            let page = LogPage { problem: None, entries, is_first: query.before.is_none(), older: log.older };
            visitor.answer(desk.pages.show(StatusCode::OK, &page))
        }
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    use crate::domain::clock::Timestamp;
    use crate::services::account::log::{By, every_name};

    let entry = |what, by, client: Option<&str>| LogEntry {
        what,
        by,
        client: client.map(str::to_owned),
        fields: FIELDS.map(str::to_owned).to_vec(),
        at: Timestamp::from_secs(1_795_352_700),
        address: client.and_then(|_| "192.0.2.1".parse().ok()),
    };
    let every = [By::Administrator, By::Operator, By::Own, By::Program, By::Server, By::Visitor];
    let known = every_name().map(|what| entry(what, By::Own, Some("<b>Shop</b>")));
    let gone = every_name().map(|what| entry(what, By::Visitor, None));
    let by = every.map(|by| entry("updated", by, None));
    let page = |entries: Vec<LogEntry>, is_first, older| LogPage {
        problem: None,
        entries: entries.into_iter().map(Shown::from).collect(),
        is_first,
        older,
    };
    vec![page(known.chain(gone).chain(by).collect(), true, Some(7)), page(Vec::new(), false, None)]
}
