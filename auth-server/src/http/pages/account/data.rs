//! The page of what is kept about whoever is signed in, and the document that they take with them.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Serialize;

use crate::http::extract::form::{FormGuard, OwnForm};
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::failure;
use crate::http::pages::next::Next;
use crate::http::render::{Page, Pages};
use crate::services::leaving::LeavingService;
use crate::services::own_data::{DataError, OwnDataService};

/// What the handlers of these pages work with.
#[derive(Clone)]
pub(in crate::http::pages) struct DataDesk {
    pub(in crate::http::pages) pages: Pages,
    pub(in crate::http::pages) guard: FormGuard,
    pub(in crate::http::pages) data: OwnDataService,
    pub(in crate::http::pages) leaving: LeavingService,
}

/// The page.
#[derive(Serialize)]
struct DataPage {
    problem: Option<&'static str>,
    /// Whether people have their own accounts deleted here.
    deletes: bool,
    csrf_token: String,
}

impl Page for DataPage {
    const TEMPLATE: &'static str = "data.html";
}

/// `GET /account/data`.
pub(in crate::http::pages) async fn show(State(desk): State<DataDesk>, visitor: Visitor) -> Response {
    if visitor.visit.session.is_none() {
        return visitor.answer(desk.pages.go(&Next::Data.login()));
    }
    let page = DataPage {
        problem: None,
        deletes: desk.leaving.is_open(),
        csrf_token: desk.guard.token(&visitor.visit.browser),
    };
    visitor.answer(desk.pages.show(StatusCode::OK, &page))
}

/// `POST /account/data`: the document. It is asked for by a form, because it is written down that somebody has it.
pub(in crate::http::pages) async fn download(
    State(desk): State<DataDesk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let visitor = form.visitor;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Data.login()));
    };
    let data = match desk.data.collect(live, &visitor.visit).await {
        Ok(data) => data,
        Err(DataError::NotFresh) => return visitor.answer(desk.pages.go(&Next::Data.login_again())),
        Err(DataError::Throttled { retry_after }) => return failure::throttled(&desk.pages, id, retry_after),
        Err(DataError::Store(error)) => return failure::fault(&desk.pages, id, &error),
    };
    match serde_json::to_vec_pretty(&data) {
        Ok(document) => {
            let headers = [
                (CACHE_CONTROL, "no-store"),
                (CONTENT_DISPOSITION, "attachment; filename=\"account-data.json\""),
                (CONTENT_TYPE, "application/json"),
            ];
            visitor.answer((headers, document).into_response())
        }
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    [true, false]
        .into_iter()
        .map(|deletes| DataPage { problem: None, deletes, csrf_token: "token".to_owned() })
        .collect()
}
