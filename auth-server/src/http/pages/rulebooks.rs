//! The page that leads an administrator to the rules of each API.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Next;
use crate::http::pages::rules::{ApiShown, READ, RulesDesk};
use crate::http::render::Page;
use crate::services::paging::PageQuery;

/// APIs on one page.
const SHOWN: u64 = 50;

#[derive(Serialize)]
struct RulebooksPage {
    problem: Option<&'static str>,
    apis: Vec<ApiShown>,
    /// Where the next page starts.
    next: Option<String>,
}

impl Page for RulebooksPage {
    const TEMPLATE: &'static str = "rulebooks.html";
}

/// Where the page starts.
#[derive(Deserialize)]
pub(super) struct RulebooksQuery {
    after: Option<String>,
}

/// `GET /admin/policies`.
pub(super) async fn show(
    State(desk): State<RulesDesk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<RulebooksQuery>,
) -> Response {
    if let Err(refusal) = desk.administrator(&visitor, &[READ], id, Next::Rulebooks).await {
        return refusal;
    }
    match desk.console.apis.list(&PageQuery::new(query.after, Some(SHOWN))).await {
        Ok(found) => {
            let apis = found.items.iter().map(ApiShown::of).collect();
            let page = RulebooksPage { problem: None, apis, next: found.next };
            visitor.answer(desk.pages.show(StatusCode::OK, &page))
        }
        Err(error) => desk.failed(id, &error),
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let page = |count, next: Option<&str>| RulebooksPage {
        problem: None,
        apis: (0..count).map(|_| crate::http::pages::rules::sample_api()).collect(),
        next: next.map(str::to_owned),
    };
    vec![page(0, None), page(2, None), page(50, Some("api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c"))]
}
