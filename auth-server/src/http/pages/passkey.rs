//! Signing in with a passkey: what the script of the sign-in page asks, and what it sends.

use axum::extract::State;
use axum::response::Response;

use crate::http::extract::form::OwnForm;
use crate::http::extract::request_id::RequestId;
use crate::http::pages::login::{Again, Purpose};
use crate::http::pages::question::{CHALLENGE, CREDENTIAL, question};
use crate::http::pages::{Desk, failure};
use crate::services::login::{LoginError, PasskeyAnswer, PasskeyRefusal};

/// `POST /login/passkey/options`: the same for everybody.
pub(super) async fn ask(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let purpose = match Purpose::read(fields.get("interaction"), fields.get("next")) {
        Ok(purpose) => purpose,
        Err(error) => return failure::interaction(&desk.pages, id, &error),
    };
    match desk.login.ask_for_passkey(purpose.errand(), &visitor.visit).await {
        Ok(asked) => visitor.answer(question(&asked)),
        Err(LoginError::StepGone) => failure::not_found(&desk.pages, id),
        Err(error) => failure::step(&desk.pages, id, &error),
    }
}

/// `POST /login/passkey`.
pub(super) async fn answer(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let purpose = match Purpose::read(fields.get("interaction"), fields.get("next")) {
        Ok(purpose) => purpose,
        Err(error) => return failure::interaction(&desk.pages, id, &error),
    };
    let answer = PasskeyAnswer {
        challenge: fields.text(CHALLENGE),
        credential: fields.text(CREDENTIAL),
        browser: visitor.traits(),
        visit: &visitor.visit,
    };
    let again = match desk.login.answer_with_passkey(answer).await {
        Ok((signed_in, errand)) => return desk.go_on(Purpose::of(errand), &visitor, &signed_in, id).await,
        Err(PasskeyRefusal::Malformed) => return failure::bad_request(&desk.pages, id),
        Err(PasskeyRefusal::Unknown) => Again { problem: "passkey", username: "", forgets: true },
        Err(PasskeyRefusal::Login(LoginError::StepGone)) => {
            Again { problem: "passkey_late", username: "", forgets: false }
        }
        Err(PasskeyRefusal::Login(error)) => match failure::login(&desk.pages, id, &error) {
            Some(response) => return response,
            None => Again { problem: "passkey", username: "", forgets: false },
        },
    };
    desk.refuse(purpose, &visitor, again, id).await
}
