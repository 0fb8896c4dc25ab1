//! The pages on which people make accounts: they ask for an address, and make an account with what is in the letter.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::ids::InteractionId;
use crate::http::extract::form::{Fields, OwnForm};
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::login::Purpose;
use crate::http::pages::next::Next;
use crate::http::pages::setup::Problem;
use crate::http::pages::{Desk, failure};
use crate::http::render::{Forms, Page};
use crate::services::authorize::interaction::{InteractionError, InteractionView};
use crate::services::sign_up::{NewAccount, Newcomer, Offer, SignUpError};
use crate::services::visit::Visit;

/// The page that asks for an address.
#[derive(Default, Serialize)]
struct SignUpPage {
    problem: Option<&'static str>,
    /// The application that asks, by name.
    client: Option<String>,
    interaction: Option<InteractionId>,
    email: String,
    csrf_token: String,
}

impl Page for SignUpPage {
    const TEMPLATE: &'static str = "sign_up.html";
}

/// The page that says that a letter is on its way, whoever has the address.
#[derive(Serialize)]
struct SentPage {
    problem: Option<&'static str>,
    interaction: Option<InteractionId>,
}

impl Page for SentPage {
    const TEMPLATE: &'static str = "sign_up_sent.html";
}

/// The page that the letter leads to: it asks for the code, and then for what makes the account.
#[derive(Default, Serialize)]
struct NewPage {
    /// What is wrong, as a sentence of ours or in the words of the rule that was broken.
    problem: Option<&'static str>,
    detail: Option<String>,
    /// The field that the problem is about.
    problem_field: &'static str,
    code: String,
    /// With which address, once the code is known.
    address: Option<String>,
    /// Whether an account has that address by now.
    is_held: bool,
    /// Whether everybody can ask for a letter.
    is_open: bool,
    username: String,
    name: String,
    csrf_token: String,
}

impl Page for NewPage {
    const FORMS: Forms = Forms::LeadAway;
    const TEMPLATE: &'static str = "sign_up_new.html";
}

/// The query of the pages before the letter.
#[derive(Deserialize)]
pub(super) struct SignUpQuery {
    interaction: Option<String>,
}

/// `GET /sign-up`.
pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<SignUpQuery>,
) -> Response {
    if !desk.by_letter.sign_up.is_open() {
        return failure::not_found(&desk.pages, id);
    }
    match desk.sign_up_page(query.interaction.as_deref(), &visitor.visit).await {
        Ok(page) => visitor.answer(desk.pages.show(StatusCode::OK, &page)),
        Err(error) => failure::interaction(&desk.pages, id, &error),
    }
}

/// `POST /sign-up`.
pub(super) async fn ask(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    if !desk.by_letter.sign_up.is_open() {
        return failure::not_found(&desk.pages, id);
    }
    let page = match desk.sign_up_page(fields.get("interaction"), &visitor.visit).await {
        Ok(page) => page,
        Err(error) => return failure::interaction(&desk.pages, id, &error),
    };
    let newcomer = Newcomer {
        address: fields.text("email"),
        interaction: page.interaction.clone(),
        user_agent: visitor.traits().user_agent,
        visit: &visitor.visit,
    };
    match desk.by_letter.sign_up.ask(newcomer).await {
        Ok(()) => {
            let query = page.interaction.map(|id| format!("?interaction={id}")).unwrap_or_default();
            visitor.answer(desk.pages.go(&format!("/sign-up/sent{query}")))
        }
        Err(SignUpError::Address(_)) => {
            let email = fields.text("email").to_owned();
            let page = SignUpPage { problem: Some("bad_address"), email, ..page };
            visitor.answer(desk.pages.show(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => desk.no_account(id, &error),
    }
}

/// `GET /sign-up/sent`.
pub(super) async fn sent(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<SignUpQuery>,
) -> Response {
    if !desk.by_letter.sign_up.is_open() {
        return failure::not_found(&desk.pages, id);
    }
    let interaction = query.interaction.and_then(|raw| InteractionId::parse(&raw).ok());
    visitor.answer(desk.pages.show(StatusCode::OK, &SentPage { problem: None, interaction }))
}

/// `GET /sign-up/new`. Whoever opens it for somebody, as programs that look through letters do, changes nothing: the code is behind `#`.
pub(super) async fn open(State(desk): State<Desk>, visitor: Visitor, id: RequestId) -> Response {
    if !desk.by_letter.sign_up.is_on() {
        return failure::not_found(&desk.pages, id);
    }
    desk.new_account(&visitor, StatusCode::OK, NewPage::default())
}

/// `POST /sign-up/new`: with the code alone it is said what it makes; with a password the account is made.
pub(super) async fn create(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let sign_up = &desk.by_letter.sign_up;
    if !sign_up.is_on() {
        return failure::not_found(&desk.pages, id);
    }
    let code = fields.text("code");
    let offer = match sign_up.offered(code, &visitor.visit).await {
        Ok(Some(offer)) => offer,
        Ok(None) => return desk.bad_code(&visitor, code),
        Err(error) => return failure::fault(&desk.pages, id, &error),
    };
    let page = NewPage::of(&offer, &fields);
    let Some(password) = fields.get("new-password") else {
        return desk.new_account(&visitor, StatusCode::OK, page);
    };
    let new = NewAccount {
        code,
        username: fields.text("username"),
        name: fields.text("name"),
        password,
        browser: visitor.traits(),
        visit: &visitor.visit,
    };
    match Box::pin(sign_up.create(new)).await {
        Ok((signed_in, interaction)) => {
            let purpose = desk.purpose(interaction, &visitor.visit).await;
            desk.go_on(purpose, &visitor, &signed_in, id).await
        }
        Err(SignUpError::Invalid(errors)) => {
            let Problem { field, name, detail } = Problem::of(&errors);
            let page = NewPage { problem: Some(name), detail, problem_field: field, ..page };
            desk.new_account(&visitor, StatusCode::UNPROCESSABLE_ENTITY, page)
        }
        Err(SignUpError::Held) => {
            desk.new_account(&visitor, StatusCode::CONFLICT, NewPage { is_held: true, ..page })
        }
        // Somebody else was faster.
        Err(SignUpError::Code) => desk.bad_code(&visitor, code),
        Err(error) => desk.no_account(id, &error),
    }
}

impl NewPage {
    fn of(offer: &Offer, fields: &Fields) -> Self {
        Self {
            code: fields.text("code").to_owned(),
            address: Some(offer.address.as_str().to_owned()),
            username: fields.text("username").to_owned(),
            name: fields.text("name").to_owned(),
            ..Self::default()
        }
    }
}

impl Desk {
    async fn sign_up_page(
        &self,
        interaction: Option<&str>,
        visit: &Visit,
    ) -> Result<SignUpPage, InteractionError> {
        let csrf_token = self.guard.token(&visit.browser);
        let page = SignUpPage { csrf_token, ..SignUpPage::default() };
        let Some(raw) = interaction.filter(|raw| !raw.is_empty()) else { return Ok(page) };
        let id = InteractionId::parse(raw).map_err(|_| InteractionError::Unknown)?;
        let (client, hint) = match self.authorize.view(&id, visit).await? {
            InteractionView::Login(login) => (login.client, login.login_hint),
            InteractionView::Consent(consent) => (consent.login_name, None),
        };
        Ok(SignUpPage {
            client: Some(client),
            interaction: Some(id),
            email: hint.unwrap_or_default(),
            ..page
        })
    }

    fn new_account(&self, visitor: &Visitor, status: StatusCode, page: NewPage) -> Response {
        let csrf_token = self.guard.token(&visitor.visit.browser);
        let is_open = self.by_letter.sign_up.is_open();
        visitor.answer(self.pages.show(status, &NewPage { is_open, csrf_token, ..page }))
    }

    fn bad_code(&self, visitor: &Visitor, code: &str) -> Response {
        let page = NewPage {
            problem: Some("bad_code"),
            problem_field: "code",
            code: code.to_owned(),
            ..NewPage::default()
        };
        self.new_account(visitor, StatusCode::UNPROCESSABLE_ENTITY, page)
    }

    /// The flow that somebody came from, where it goes on in this browser; else their account.
    async fn purpose(&self, interaction: Option<InteractionId>, visit: &Visit) -> Purpose {
        match interaction {
            Some(id) if self.authorize.view(&id, visit).await.is_ok() => Purpose::Interaction(id),
            Some(_) | None => Purpose::Own(Next::Account),
        }
    }

    fn no_account(&self, id: RequestId, error: &SignUpError) -> Response {
        match error {
            SignUpError::Failed(cause) => failure::fault(&self.pages, id, cause),
            SignUpError::Login(cause) => failure::step(&self.pages, id, cause),
            SignUpError::Address(_) | SignUpError::Code | SignUpError::Held | SignUpError::Invalid(_) => {
                failure::not_found(&self.pages, id)
            }
        }
    }
}

#[cfg(test)]
pub(super) fn question_samples() -> Vec<impl Page> {
    let page = || SignUpPage { csrf_token: "token".to_owned(), ..SignUpPage::default() };
    vec![
        page(),
        SignUpPage { client: Some("<b>Orders".to_owned()), interaction: Some(interaction()), ..page() },
        SignUpPage { problem: Some("bad_address"), email: "\"><b>".to_owned(), ..page() },
    ]
}

#[cfg(test)]
pub(super) fn sent_samples() -> Vec<impl Page> {
    [None, Some(interaction())].map(|interaction| SentPage { problem: None, interaction }).into()
}

#[cfg(test)]
fn interaction() -> InteractionId {
    InteractionId::parse("itx_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c").unwrap()
}

#[cfg(test)]
pub(super) fn new_samples() -> Vec<impl Page> {
    let page = || NewPage { csrf_token: "token".to_owned(), code: "\"><b>".to_owned(), ..NewPage::default() };
    let known = || NewPage {
        address: Some("<b>@example.org".to_owned()),
        username: "<b>".to_owned(),
        name: "<i>".to_owned(),
        ..page()
    };
    let mut samples = vec![page(), known(), NewPage { is_held: true, ..known() }];
    samples.extend([true, false].map(|is_open| NewPage {
        problem: Some("bad_code"),
        problem_field: "code",
        is_open,
        ..page()
    }));
    for (problem, problem_field) in [
        ("taken", "username"),
        ("bad_username", "username"),
        ("foreign_address", "username"),
        ("bad_name", "name"),
    ] {
        samples.push(NewPage { problem: Some(problem), problem_field, ..known() });
    }
    let detail = Some("A password has at least 15 characters.".to_owned());
    samples.push(NewPage { problem: Some("password"), problem_field: "new-password", detail, ..known() });
    samples
}
