//! The pages of a sign-in by letter: one asks who wants a code, the other takes it, in the browser alone that asked.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::ids::LetterSignInId;
use crate::http::extract::form::OwnForm;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::login::Purpose;
use crate::http::pages::next::code_path;
use crate::http::pages::{Desk, failure};
use crate::http::render::{Forms, Page};
use crate::services::login::{Errand, LetterAnswer, LetterStand, LetterWish, LoginError, Proven};

/// The page that asks who wants a code.
#[derive(Serialize)]
struct AskPage {
    problem: Option<&'static str>,
    way: Way,
    csrf_token: String,
}

impl Page for AskPage {
    const TEMPLATE: &'static str = "letter.html";
}

/// Where a sign-in leads, as a page carries it along.
#[derive(Default, Serialize)]
struct Way {
    interaction: Option<String>,
    next: Option<String>,
}

impl Way {
    fn of(errand: &Errand) -> Self {
        Self { interaction: errand.interaction.as_ref().map(ToString::to_string), next: errand.next.clone() }
    }
}

/// The page that takes the code, or says why there is none to take.
#[derive(Serialize)]
struct CodePage {
    problem: Option<&'static str>,
    stand: &'static str,
    asked: String,
    /// Where another one would lead.
    way: Way,
    csrf_token: String,
}

impl Page for CodePage {
    const FORMS: Forms = Forms::LeadAway;
    const TEMPLATE: &'static str = "letter_code.html";
}

/// The query of the page that asks.
#[derive(Deserialize)]
pub(super) struct AskQuery {
    interaction: Option<String>,
    next: Option<String>,
}

/// The query of the page that takes the code.
#[derive(Deserialize)]
pub(super) struct CodeQuery {
    asked: Option<String>,
}

/// `GET /login/letter`.
pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<AskQuery>,
) -> Response {
    match Purpose::read(query.interaction.as_deref(), query.next.as_deref()) {
        Ok(purpose) if desk.login.takes_letters() => desk.letter_question(&visitor, &purpose, None),
        Ok(_) => failure::not_found(&desk.pages, id),
        Err(error) => failure::interaction(&desk.pages, id, &error),
    }
}

/// `POST /login/letter`: the same answer for everybody.
pub(super) async fn ask(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let purpose = match Purpose::read(fields.get("interaction"), fields.get("next")) {
        Ok(purpose) if desk.login.takes_letters() => purpose,
        Ok(_) => return failure::not_found(&desk.pages, id),
        Err(error) => return failure::interaction(&desk.pages, id, &error),
    };
    let who = fields.text("username");
    if who.trim().is_empty() {
        return desk.letter_question(&visitor, &purpose, Some("empty"));
    }
    let wish = LetterWish { who, errand: purpose.errand(), browser: visitor.traits(), visit: &visitor.visit };
    match desk.login.ask_for_letter(wish).await {
        Ok(asked) => visitor.answer(desk.pages.go(&format!("/login/letter/code?asked={asked}"))),
        Err(error) => failure::step(&desk.pages, id, &error),
    }
}

/// `GET /login/letter/code`. Whoever opens it for somebody, as programs that look through letters do, changes nothing: the code is
/// behind `#`, and counts in the browser alone that asked.
pub(super) async fn open(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<CodeQuery>,
) -> Response {
    if !desk.login.takes_letters() {
        return failure::not_found(&desk.pages, id);
    }
    desk.letter_code(&visitor, asked_of(query.asked.as_deref()).as_ref(), (None, id)).await
}

/// `POST /login/letter/code`.
pub(super) async fn answer(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    if !desk.login.takes_letters() {
        return failure::not_found(&desk.pages, id);
    }
    let Some(asked) = asked_of(fields.get("asked")) else {
        return desk.letter_code(&visitor, None, (None, id)).await;
    };
    let answer = LetterAnswer {
        id: &asked,
        code: fields.text("code"),
        browser: visitor.traits(),
        visit: &visitor.visit,
    };
    match Box::pin(desk.login.answer_letter(answer)).await {
        Ok((Proven::SignedIn(signed_in), errand)) => {
            desk.go_on(Purpose::of(errand), &visitor, &signed_in, id).await
        }
        Ok((Proven::CodeNeeded(step), _)) => visitor.answer(desk.pages.go(&code_path(&step))),
        Err(LoginError::Wrong) => desk.letter_code(&visitor, Some(&asked), (Some("wrong"), id)).await,
        Err(error) => failure::step(&desk.pages, id, &error),
    }
}

fn asked_of(raw: Option<&str>) -> Option<LetterSignInId> {
    LetterSignInId::parse(raw.unwrap_or_default()).ok()
}

impl Desk {
    fn letter_question(
        &self,
        visitor: &Visitor,
        purpose: &Purpose,
        problem: Option<&'static str>,
    ) -> Response {
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let csrf_token = self.guard.token(&visitor.visit.browser);
        let page = AskPage { problem, way: Way::of(&purpose.errand()), csrf_token };
        visitor.answer(self.pages.show(status, &page))
    }

    /// The page of a sign-in as it stands, after a code that was wrong or before one.
    async fn letter_code(
        &self,
        visitor: &Visitor,
        asked: Option<&LetterSignInId>,
        (problem, id): (Option<&'static str>, RequestId),
    ) -> Response {
        let stand = match asked {
            Some(asked) => self.login.letter_stand(asked, &visitor.visit).await,
            None => Ok(LetterStand::Ended(Errand::default())),
        };
        let (status, stand, way) = match stand {
            Ok(LetterStand::Open) if problem.is_some() => {
                (StatusCode::UNPROCESSABLE_ENTITY, "open", Way::default())
            }
            Ok(LetterStand::Open) => (StatusCode::OK, "open", Way::default()),
            Ok(LetterStand::Foreign) => (StatusCode::FORBIDDEN, "foreign", Way::default()),
            Ok(LetterStand::Ended(errand)) => (StatusCode::GONE, "ended", Way::of(&errand)),
            Err(error) => return failure::fault(&self.pages, id, &error),
        };
        let page = CodePage {
            problem: problem.filter(|_| stand == "open"),
            stand,
            asked: asked.map(ToString::to_string).unwrap_or_default(),
            way,
            csrf_token: self.guard.token(&visitor.visit.browser),
        };
        visitor.answer(self.pages.show(status, &page))
    }
}

#[cfg(test)]
pub(super) fn ask_samples() -> Vec<impl Page> {
    let way = |interaction: Option<&str>, next: Option<&str>| Way {
        interaction: interaction.map(str::to_owned),
        next: next.map(str::to_owned),
    };
    [(None, way(None, None)), (Some("empty"), way(Some("itx_1"), None)), (None, way(None, Some("log")))]
        .map(|(problem, way)| AskPage { problem, way, csrf_token: "token".to_owned() })
        .into()
}

#[cfg(test)]
pub(super) fn code_samples() -> Vec<impl Page> {
    let page = |problem, stand, next: Option<&str>| CodePage {
        problem,
        stand,
        asked: "lsi_1".to_owned(),
        way: Way { interaction: None, next: next.map(str::to_owned) },
        csrf_token: "token".to_owned(),
    };
    let open = [None, Some("wrong")].map(|problem| page(problem, "open", None));
    let over = [("foreign", None), ("ended", None), ("ended", Some("log"))];
    open.into_iter().chain(over.map(|(stand, next)| page(None, stand, next))).collect()
}
