//! The pages on which somebody types the code of a device, and decides about it.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::domain::decoupled::Decision;
use crate::domain::device::UserCode;
use crate::domain::ids::InteractionId;
use crate::http::extract::form::{FormGuard, OwnForm};
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::consent::{self, Scope};
use crate::http::pages::failure;
use crate::http::pages::next::Next;
use crate::http::pages::person::Person;
use crate::http::pages::when::Asked;
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::http::render::{Page, Pages};
use crate::services::authorize::interaction::InteractionError;
use crate::services::device::DeviceService;
use crate::services::device::error::{Decided, EntryError};
use crate::services::device::person::{Confirmation, DeviceView};

/// What the handlers of these pages work with.
#[derive(Clone)]
pub(super) struct DeviceDesk {
    pub(super) pages: Pages,
    pub(super) guard: FormGuard,
    pub(super) devices: DeviceService,
}

/// The page for the code.
#[derive(Default, Serialize)]
struct CodePage {
    problem: Option<&'static str>,
    seconds: u64,
    /// What stands in the field.
    code: String,
    /// Whether a link put it there, so that it is still to be compared.
    from_link: bool,
    csrf_token: String,
}

impl Page for CodePage {
    const TEMPLATE: &'static str = "device.html";
}

/// The page that asks.
#[derive(Serialize)]
struct ConfirmPage {
    problem: Option<&'static str>,
    client: String,
    code: String,
    user: Person,
    api: String,
    scopes: Vec<Scope>,
    asked: Asked,
    interaction: String,
    /// What leads back here from the sign-in page.
    next: Option<String>,
    csrf_token: String,
}

impl Page for ConfirmPage {
    const TEMPLATE: &'static str = "device_confirm.html";
}

/// The page at the end.
#[derive(Serialize)]
struct EndPage {
    problem: Option<&'static str>,
    outcome: &'static str,
}

impl Page for EndPage {
    const TEMPLATE: &'static str = "device_end.html";
}

/// The query of the page for the code.
#[derive(Deserialize)]
pub(super) struct CodeQuery {
    /// RFC 8628 §3.3.1.
    #[serde(default)]
    user_code: String,
}

/// The query of the page that asks.
#[derive(Deserialize)]
pub(super) struct ConfirmQuery {
    #[serde(default)]
    interaction: String,
}

/// `GET /device`. A code from a link is only put into the field: a person sees it, and sends it.
pub(super) async fn show(
    State(desk): State<DeviceDesk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<CodeQuery>,
) -> Response {
    if !desk.devices.is_on() {
        return desk.not_found(id);
    }
    let code = UserCode::parse(&query.user_code).map(|code| code.shown()).ok();
    let page =
        CodePage { from_link: code.is_some(), code: code.unwrap_or_default(), ..desk.code_page(&visitor) };
    visitor.answer(desk.pages.show(StatusCode::OK, &page))
}

/// `POST /device`.
pub(super) async fn enter(State(desk): State<DeviceDesk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let typed = fields.text("user_code");
    match desk.devices.enter(typed, &visitor.visit).await {
        Ok(interaction) => visitor.answer(desk.pages.go(&Next::Device(interaction).path())),
        Err(EntryError::Fault(error)) => failure::fault(&desk.pages, id, &error),
        Err(EntryError::Off) => desk.not_found(id),
        Err(EntryError::Throttled { retry_after }) => desk.wait(&visitor, typed, retry_after),
        Err(EntryError::Unknown) => {
            let page = CodePage { problem: Some("unknown"), code: short(typed), ..desk.code_page(&visitor) };
            visitor.answer(desk.pages.show(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
    }
}

/// `GET /device/confirm`.
pub(super) async fn ask(
    State(desk): State<DeviceDesk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<ConfirmQuery>,
) -> Response {
    let view = match InteractionId::parse(&query.interaction) {
        Ok(interaction) => {
            desk.devices.view(&interaction, &visitor.visit).await.map(|view| (interaction, view))
        }
        Err(_) => Err(InteractionError::Unknown),
    };
    match view {
        Ok((interaction, DeviceView::SignIn)) => {
            visitor.answer(desk.pages.go(&Next::Device(interaction).login()))
        }
        Ok((interaction, DeviceView::Confirm(found))) => {
            let token = desk.guard.token(&visitor.visit.browser);
            let page = ConfirmPage::of(*found, interaction, token);
            visitor.answer(desk.pages.show(StatusCode::OK, &page))
        }
        Err(error) => failure::interaction(&desk.pages, id, &error),
    }
}

/// `POST /device/confirm`.
pub(super) async fn decide(State(desk): State<DeviceDesk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let decision = match fields.get("decision") {
        Some("allow") => Decision::Allow,
        Some("deny") => Decision::Deny,
        _ => return desk.pages.error(&ErrorPage::new(ErrorKind::BadRequest).reference(id.as_str())),
    };
    let outcome = match InteractionId::parse(fields.text("interaction")) {
        Ok(interaction) => {
            let decided = desk.devices.decide(&interaction, &visitor.visit, decision).await;
            decided.map(|decided| (interaction, decided))
        }
        Err(_) => Err(InteractionError::Unknown),
    };
    match (outcome, decision) {
        (Ok((interaction, Decided::AskAgain)), _) => {
            visitor.answer(desk.pages.go(&Next::Device(interaction).path()))
        }
        (Ok((_, Decided::Done)), Decision::Allow) => visitor.answer(desk.pages.go("/device/done")),
        (Ok((_, Decided::Done)), Decision::Deny) => visitor.answer(desk.pages.go("/device/denied")),
        (Err(error), _) => failure::interaction(&desk.pages, id, &error),
    }
}

/// `GET /device/done`.
pub(super) async fn done(State(desk): State<DeviceDesk>) -> Response {
    desk.pages.show(StatusCode::OK, &EndPage { problem: None, outcome: "done" })
}

/// `GET /device/denied`.
pub(super) async fn denied(State(desk): State<DeviceDesk>) -> Response {
    desk.pages.show(StatusCode::OK, &EndPage { problem: None, outcome: "denied" })
}

impl DeviceDesk {
    fn code_page(&self, visitor: &Visitor) -> CodePage {
        CodePage { csrf_token: self.guard.token(&visitor.visit.browser), ..CodePage::default() }
    }

    /// The form again: what was typed may be right, and was not looked at.
    fn wait(&self, visitor: &Visitor, typed: &str, wait: Duration) -> Response {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        let page =
            CodePage { problem: Some("throttled"), seconds, code: short(typed), ..self.code_page(visitor) };
        let mut response = visitor.answer(self.pages.show(StatusCode::TOO_MANY_REQUESTS, &page));
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        response
    }

    fn not_found(&self, id: RequestId) -> Response {
        self.pages.error(&ErrorPage::new(ErrorKind::NotFound).reference(id.as_str()))
    }
}

impl ConfirmPage {
    fn of(found: Confirmation, interaction: InteractionId, csrf_token: String) -> Self {
        let api = found.api.unwrap_or_default();
        Self {
            problem: None,
            client: found.client,
            code: found.code.shown(),
            scopes: consent::scopes(&found.scopes, &found.user, &api),
            user: Person::of(&found.user),
            api,
            asked: Asked::of(found.address, found.asked_at),
            interaction: interaction.to_string(),
            next: Next::Device(interaction).name(),
            csrf_token,
        }
    }
}

/// What was typed, as far as a code could go.
fn short(typed: &str) -> String {
    typed.chars().take(32).collect()
}

#[cfg(test)]
pub(super) fn code_samples() -> Vec<impl Page> {
    let plain = || CodePage { csrf_token: "token".to_owned(), ..CodePage::default() };
    vec![
        plain(),
        CodePage { code: "WDJB-MJHT".to_owned(), from_link: true, ..plain() },
        CodePage { problem: Some("unknown"), code: "<b>x".to_owned(), ..plain() },
        CodePage { problem: Some("throttled"), seconds: 6, code: "WDJBMJHT".to_owned(), ..plain() },
    ]
}

#[cfg(test)]
pub(super) fn confirm_samples() -> Vec<impl Page> {
    use crate::domain::clock::Timestamp;
    use crate::domain::scope::ScopeSet;

    let found = |api: Option<&str>, address: Option<&str>| Confirmation {
        client: "<b>Television</b>".to_owned(),
        code: UserCode::parse("WDJB-MJHT").unwrap(),
        user: crate::http::pages::person::sample(),
        scopes: ScopeSet::parse("openid profile email offline_access orders:read").unwrap(),
        api: api.map(str::to_owned),
        address: address.map(|address| address.parse().unwrap()),
        asked_at: Timestamp::from_secs(1_800_000_000),
    };
    let interaction = || InteractionId::parse("itx_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c").unwrap();
    [found(Some("Orders <i>API"), Some("2001:db8:85a3::8a2e:370:7334")), found(None, None)]
        .into_iter()
        .map(|found| ConfirmPage::of(found, interaction(), "token".to_owned()))
        .collect()
}

#[cfg(test)]
pub(super) fn end_samples() -> Vec<impl Page> {
    ["done", "denied"].map(|outcome| EndPage { problem: None, outcome }).into()
}
