//! The second page of a sign-in: a code, for accounts that have a second step.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::ids::StepId;
use crate::http::extract::form::OwnForm;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::login::Purpose;
use crate::http::pages::{Desk, failure};
use crate::http::render::{Forms, Page};
use crate::services::login::{CodeKind, LoginError, StepAnswer};

/// The page.
#[derive(Serialize)]
struct CodePage {
    problem: Option<&'static str>,
    /// Whether a recovery code is asked for.
    recovery: bool,
    step: String,
    csrf_token: String,
}

impl Page for CodePage {
    const FORMS: Forms = Forms::LeadAway;
    const TEMPLATE: &'static str = "code.html";
}

/// The query of the page.
#[derive(Deserialize)]
pub(super) struct CodeQuery {
    step: Option<String>,
    /// Present when somebody has no app at hand.
    recovery: Option<String>,
}

/// `GET /login/code`.
pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<CodeQuery>,
) -> Response {
    let found = match step_of(query.step.as_deref()) {
        Ok(step) => desk.login.errand(&step, &visitor.visit).await.map(|_| step),
        Err(error) => Err(error),
    };
    match found {
        Ok(step) => desk.code_page(&visitor, &step, kind_of(query.recovery.is_some()), None),
        Err(error) => failure::step(&desk.pages, id, &error),
    }
}

/// `POST /login/code`.
pub(super) async fn answer(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let step = match step_of(fields.get("step")) {
        Ok(step) => step,
        Err(error) => return failure::step(&desk.pages, id, &error),
    };
    let kind = kind_of(fields.get(RECOVERY).is_some());
    let code = fields.text(if kind == CodeKind::Recovery { RECOVERY } else { "totp" });
    let answer = StepAnswer { id: &step, code, kind, browser: visitor.traits(), visit: &visitor.visit };
    match desk.login.answer(answer).await {
        Ok((signed_in, errand)) => desk.go_on(Purpose::of(errand), &visitor, &signed_in, id).await,
        Err(LoginError::Wrong) => desk.code_page(&visitor, &step, kind, Some(problem(kind))),
        Err(error) => failure::step(&desk.pages, id, &error),
    }
}

/// The field of a recovery code.
const RECOVERY: &str = "recovery-code";

fn step_of(raw: Option<&str>) -> Result<StepId, LoginError> {
    StepId::parse(raw.unwrap_or_default()).map_err(|_| LoginError::StepGone)
}

const fn kind_of(recovery: bool) -> CodeKind {
    if recovery { CodeKind::Recovery } else { CodeKind::App }
}

const fn problem(kind: CodeKind) -> &'static str {
    match kind {
        CodeKind::App => "wrong",
        CodeKind::Recovery => "wrong_recovery",
    }
}

impl Desk {
    fn code_page(
        &self,
        visitor: &Visitor,
        step: &StepId,
        kind: CodeKind,
        problem: Option<&'static str>,
    ) -> Response {
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let page = CodePage {
            problem,
            recovery: kind == CodeKind::Recovery,
            step: step.to_string(),
            csrf_token: self.guard.token(&visitor.visit.browser),
        };
        visitor.answer(self.pages.show(status, &page))
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let page = |kind, problem| CodePage {
        problem,
        recovery: kind == CodeKind::Recovery,
        step: "stp_1".to_owned(),
        csrf_token: "token".to_owned(),
    };
    [CodeKind::App, CodeKind::Recovery]
        .into_iter()
        .flat_map(|kind| [page(kind, None), page(kind, Some(problem(kind)))])
        .collect()
}
