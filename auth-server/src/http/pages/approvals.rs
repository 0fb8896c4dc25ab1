//! The page on which somebody approves, or denies, what clients started from behind.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::ciba::BindingMessage;
use crate::domain::decoupled::Decision;
use crate::domain::ids::CibaRequestId;
use crate::domain::user::User;
use crate::http::extract::form::{FormGuard, OwnForm};
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::consent::{self, Scope};
use crate::http::pages::failure;
use crate::http::pages::next::Next;
use crate::http::pages::person::Person;
use crate::http::pages::when::{Asked, TimeShown};
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::http::render::{Page, Pages};
use crate::services::ciba::error::{Decided, Step};
use crate::services::ciba::person::ShownRequest;
use crate::services::ciba::{APPROVALS_PATH, CibaService};
use crate::services::visit::LiveSession;

/// What the handlers of this page work with.
#[derive(Clone)]
pub(super) struct ApprovalDesk {
    pub(super) pages: Pages,
    pub(super) guard: FormGuard,
    pub(super) ciba: CibaService,
}

/// The page.
#[derive(Serialize)]
struct ApprovalsPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    user: Person,
    requests: Vec<Shown>,
    csrf_token: String,
}

impl Page for ApprovalsPage {
    const TEMPLATE: &'static str = "approvals.html";
}

/// One request.
#[derive(Serialize)]
struct Shown {
    id: String,
    client: String,
    binding_message: Option<String>,
    api: String,
    scopes: Vec<Scope>,
    asked: Asked,
    ends: TimeShown,
    wants_sign_in: bool,
}

/// The query of the page.
#[derive(Deserialize)]
pub(super) struct ApprovalsQuery {
    notice: Option<String>,
}

/// `GET /approvals`. Opening it decides nothing.
pub(super) async fn show(
    State(desk): State<ApprovalDesk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<ApprovalsQuery>,
) -> Response {
    if !desk.ciba.is_on() {
        return desk.not_found(id);
    }
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Approvals.login()));
    };
    let known = ["allowed", "denied"];
    let notice = known.into_iter().find(|known| query.notice.as_deref() == Some(known));
    match desk.page(live, &visitor).await {
        Ok(page) => visitor.answer(desk.pages.show(StatusCode::OK, &ApprovalsPage { notice, ..page })),
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

/// `POST /approvals`.
pub(super) async fn decide(State(desk): State<ApprovalDesk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    if !desk.ciba.is_on() {
        return desk.not_found(id);
    }
    let decision = match fields.get("decision") {
        Some("allow") => Decision::Allow,
        Some("deny") => Decision::Deny,
        _ => return desk.pages.error(&ErrorPage::new(ErrorKind::BadRequest).reference(id.as_str())),
    };
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Approvals.login()));
    };
    let decided = match CibaRequestId::parse(fields.text("request")) {
        Ok(request) => desk.ciba.decide(&request, (live, &visitor.visit), decision).await,
        Err(_) => Ok(Decided::Gone),
    };
    match decided {
        Ok(Decided::Done) => {
            let done = if decision == Decision::Allow { "allowed" } else { "denied" };
            visitor.answer(desk.pages.go(&format!("{APPROVALS_PATH}?notice={done}")))
        }
        // Whoever just signed in is asked once more: nothing is allowed on the way.
        Ok(Decided::SignIn) => {
            visitor.answer(desk.pages.go(&format!("{}&switch=1", Next::Approvals.login())))
        }
        Ok(Decided::Gone) => match desk.page(live, &visitor).await {
            Ok(page) => {
                let page = ApprovalsPage { problem: Some("gone"), ..page };
                visitor.answer(desk.pages.show(StatusCode::GONE, &page))
            }
            Err(error) => failure::fault(&desk.pages, id, &error),
        },
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

impl ApprovalDesk {
    async fn page(&self, live: &LiveSession, visitor: &Visitor) -> Step<ApprovalsPage> {
        let waiting = self.ciba.waiting(live, visitor.visit.now).await?;
        Ok(ApprovalsPage {
            problem: None,
            notice: None,
            user: Person::of(&live.user),
            requests: waiting.into_iter().map(|found| Shown::of(found, &live.user)).collect(),
            csrf_token: self.guard.token(&visitor.visit.browser),
        })
    }

    fn not_found(&self, id: RequestId) -> Response {
        self.pages.error(&ErrorPage::new(ErrorKind::NotFound).reference(id.as_str()))
    }
}

impl Shown {
    fn of(found: ShownRequest, user: &User) -> Self {
        let ShownRequest { request, client, api, wants_sign_in } = found;
        let api = api.unwrap_or_default();
        Self {
            id: request.id.to_string(),
            client,
            binding_message: request.binding_message.as_ref().map(BindingMessage::as_str).map(str::to_owned),
            scopes: consent::scopes(&request.scopes, user, &api),
            api,
            asked: Asked::of(request.address, request.created_at),
            ends: TimeShown::of(request.expires_at),
            wants_sign_in,
        }
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    use crate::domain::ciba::{CibaRequest, CibaWishes};
    use crate::domain::clock::Timestamp;
    use crate::domain::ids::ClientId;
    use crate::domain::scope::ScopeSet;
    use crate::domain::secret::Entropy;

    let (now, entropy) = (Timestamp::from_secs(1_800_000_000), Entropy::seeded(1));
    let user = crate::http::pages::person::sample();
    let found = |message: Option<&str>, api: Option<&str>| ShownRequest {
        request: CibaRequest {
            id: CibaRequestId::generate(now, &entropy),
            client: ClientId::generate(now, &entropy),
            user: user.id.clone(),
            scopes: ScopeSet::parse("openid profile offline_access orders:read").unwrap(),
            resource: None,
            binding_message: message.map(|message| BindingMessage::parse(message).unwrap()),
            wishes: CibaWishes::default(),
            address: message.and_then(|_| "2001:db8:85a3::8a2e:370:7334".parse().ok()),
            created_at: now,
            expires_at: now.plus(std::time::Duration::from_mins(5)),
        },
        client: "<b>Bank</b>".to_owned(),
        api: api.map(str::to_owned),
        wants_sign_in: api.is_some(),
    };
    let page = |problem, notice, requests: Vec<ShownRequest>| ApprovalsPage {
        problem,
        notice,
        user: Person::of(&user),
        requests: requests.into_iter().map(|one| Shown::of(one, &user)).collect(),
        csrf_token: "token".to_owned(),
    };
    let two = || vec![found(Some("<i>Pay 12 EUR"), Some("Orders <i>API")), found(None, None)];
    vec![
        page(None, None, Vec::new()),
        page(None, Some("allowed"), two()),
        page(None, Some("denied"), Vec::new()),
        page(Some("gone"), None, two()),
    ]
}
