//! The passkeys of an account.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::ids::PasskeyId;
use crate::domain::issuer::Issuer;
use crate::http::extract::cookies::{self, Keep};
use crate::http::extract::form::{FormGuard, OwnForm};
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::failure;
use crate::http::pages::next::Next;
use crate::http::pages::question::{CHALLENGE, CREDENTIAL, question};
use crate::http::pages::when::TimeShown;
use crate::http::render::{Page, Pages, Scripts};
use crate::http::state::AppState;
use crate::services::passkeys::own::{Answer, OwnPasskey, OwnPasskeys, PasskeyError, PasskeyService};
use crate::services::passkeys::party::{BadAnswer, display_name};
use crate::services::passkeys::{KeyName, makers};
use crate::services::visit::LiveSession;

/// What the handlers of passkeys work with.
#[derive(Clone)]
pub(in crate::http::pages) struct PasskeyDesk {
    pages: Pages,
    guard: FormGuard,
    passkeys: PasskeyService,
}

impl FromRef<AppState> for PasskeyDesk {
    fn from_ref(state: &AppState) -> Self {
        Self {
            pages: Pages::from_ref(state),
            guard: FormGuard::from_ref(state),
            passkeys: PasskeyService::from_ref(state),
        }
    }
}

/// The page.
#[derive(Serialize)]
struct PasskeysPage {
    problem: Option<&'static str>,
    /// The field that the problem is about.
    target: Option<String>,
    notice: Option<&'static str>,
    found: Vec<PasskeyShown>,
    /// Whether anybody can have one here.
    is_on: bool,
    /// Whether this session may change them.
    is_strong: bool,
    known: Known,
    csrf_token: String,
}

impl Page for PasskeysPage {
    const SCRIPTS: Scripts = Scripts::AskHere;
    const TEMPLATE: &'static str = "passkeys.html";
}

/// A passkey, for its owner.
#[derive(Serialize)]
struct PasskeyShown {
    id: String,
    name: String,
    added: TimeShown,
    used: Option<TimeShown>,
    backed_up: bool,
}

impl PasskeyShown {
    fn of(passkey: OwnPasskey) -> Self {
        Self {
            id: passkey.id.to_string(),
            name: passkey.name,
            added: TimeShown::of(passkey.created_at),
            used: passkey.last_used_at.map(TimeShown::of),
            backed_up: passkey.is_backed_up,
        }
    }
}

/// What whoever keeps passkeys is told of those that count.
#[derive(Serialize)]
struct Known {
    domain: String,
    user: String,
    name: String,
    display_name: String,
    ids: String,
}

/// What the page says that something led to.
const NOTICES: [&str; 3] = ["added", "removed", "renamed"];

/// The query of the page.
#[derive(Deserialize)]
pub(in crate::http::pages) struct PasskeysQuery {
    notice: Option<String>,
}

/// `GET /account/security/passkeys`.
pub(in crate::http::pages) async fn show(
    State(desk): State<PasskeyDesk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<PasskeysQuery>,
) -> Response {
    let notice = NOTICES.into_iter().find(|known| query.notice.as_deref() == Some(known));
    desk.page(&visitor, (notice, None), id).await
}

/// `POST /account/security/passkeys/options`.
pub(in crate::http::pages) async fn offer(
    State(desk): State<PasskeyDesk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let visitor = form.visitor;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Passkeys.login()));
    };
    match desk.passkeys.offer(live, visitor.visit.now).await {
        Ok(offered) => visitor.answer(question(&offered)),
        Err(error) => desk.unchanged(&visitor, &error, id).await,
    }
}

/// `POST /account/security/passkeys`.
pub(in crate::http::pages) async fn add(
    State(desk): State<PasskeyDesk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Passkeys.login()));
    };
    let credential = fields.text(CREDENTIAL);
    let name = makers::first_name(said_of_itself(credential).as_deref(), visitor.traits().user_agent);
    let answer = Answer { challenge: fields.text(CHALLENGE), credential, name };
    match desk.passkeys.add(answer, live, &visitor.visit).await {
        Ok(token) => {
            let mut response = visitor.answer(desk.pages.go(&noticed("added")));
            cookies::set(response.headers_mut(), cookies::SESSION, token.expose(), Keep::UntilClosed);
            response
        }
        Err(error) => desk.unchanged(&visitor, &error, id).await,
    }
}

/// `POST /account/security/passkeys/rename`.
pub(in crate::http::pages) async fn rename(
    State(desk): State<PasskeyDesk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Passkeys.login()));
    };
    let Ok(passkey) = PasskeyId::parse(fields.text("passkey")) else {
        return failure::not_found(&desk.pages, id);
    };
    let Some(name) = KeyName::parse(fields.text("name")) else {
        return desk.page(&visitor, (None, Some(("name", Some(passkey)))), id).await;
    };
    match desk.passkeys.rename(passkey, name, live, &visitor.visit).await {
        Ok(()) => visitor.answer(desk.pages.go(&noticed("renamed"))),
        Err(error) => desk.unchanged(&visitor, &error, id).await,
    }
}

/// `POST /account/security/passkeys/remove`.
pub(in crate::http::pages) async fn remove(
    State(desk): State<PasskeyDesk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Passkeys.login()));
    };
    let Ok(passkey) = PasskeyId::parse(fields.text("passkey")) else {
        return failure::not_found(&desk.pages, id);
    };
    match desk.passkeys.remove(passkey, live, &visitor.visit).await {
        Ok(()) => visitor.answer(desk.pages.go(&noticed("removed"))),
        Err(error) => desk.unchanged(&visitor, &error, id).await,
    }
}

/// `GET /.well-known/passkey-endpoints`: where whoever keeps passkeys leads people to add and to look after them
/// ([W3C, Passkey Endpoints](https://www.w3.org/TR/passkey-endpoints/)).
pub(in crate::http::pages) async fn endpoints(
    State(desk): State<PasskeyDesk>,
    State(issuer): State<Issuer>,
    id: RequestId,
) -> Response {
    if !desk.passkeys.party().is_on() {
        return failure::not_found(&desk.pages, id);
    }
    let place = issuer.endpoint(&Next::Passkeys.path());
    let headers = [(CACHE_CONTROL, "public, max-age=300"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, Json(json!({ "enroll": place, "manage": place }))).into_response()
}

/// What is wrong with what was sent, and with which passkey.
type Problem = (&'static str, Option<PasskeyId>);

impl PasskeyDesk {
    async fn page(
        &self,
        visitor: &Visitor,
        (notice, problem): (Option<&'static str>, Option<Problem>),
        id: RequestId,
    ) -> Response {
        let Some(live) = &visitor.visit.session else {
            return visitor.answer(self.pages.go(&Next::Passkeys.login()));
        };
        let own = match self.passkeys.list(live).await {
            Ok(own) => own,
            Err(error) => return failure::fault(&self.pages, id, &error),
        };
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let (problem, which) = problem.unzip();
        let which = which.flatten().filter(|which| own.found.iter().any(|one| one.id == *which));
        let page = PasskeysPage {
            problem,
            target: which.map(|which| which.to_string()),
            notice,
            known: self.known(&own, live),
            found: own.found.into_iter().map(PasskeyShown::of).collect(),
            is_on: self.passkeys.party().is_on(),
            is_strong: own.is_strong,
            csrf_token: self.guard.token(&visitor.visit.browser),
        };
        visitor.answer(self.pages.show(status, &page))
    }

    fn known(&self, own: &OwnPasskeys, live: &LiveSession) -> Known {
        let ids: Vec<String> = own.found.iter().map(|one| URL_SAFE_NO_PAD.encode(&one.known_as)).collect();
        let party = self.passkeys.party();
        Known {
            domain: party.name().to_owned(),
            user: URL_SAFE_NO_PAD.encode(party.handle(&live.user.id).as_bytes()),
            name: live.user.username.to_string(),
            display_name: display_name(&live.user).to_owned(),
            ids: ids.join(" "),
        }
    }

    /// Where somebody goes on for whom nothing was changed.
    async fn unchanged(&self, visitor: &Visitor, error: &PasskeyError, id: RequestId) -> Response {
        let problem = match error {
            PasskeyError::Answer(BadAnswer::Malformed) => return failure::bad_request(&self.pages, id),
            PasskeyError::Answer(BadAnswer::Copied | BadAnswer::Refused(_)) => "refused",
            PasskeyError::Full => "full",
            PasskeyError::Gone => "late",
            PasskeyError::Missing => return visitor.answer(self.pages.go(&Next::Passkeys.path())),
            PasskeyError::NotFresh | PasskeyError::Overtaken => {
                return visitor.answer(self.pages.go(&Next::Passkeys.login_again()));
            }
            PasskeyError::Off => return failure::not_found(&self.pages, id),
            PasskeyError::Answer(BadAnswer::Kept(cause)) | PasskeyError::Store(cause) => {
                return failure::fault(&self.pages, id, cause);
            }
            PasskeyError::Taken => "taken",
        };
        self.page(visitor, (None, Some((problem, None))), id).await
    }
}

fn noticed(what: &str) -> String {
    format!("{}?notice={what}", Next::Passkeys.path())
}

/// What the authenticator of an answer says of itself, as far as the browser hands that on.
fn said_of_itself(credential: &str) -> Option<Vec<u8>> {
    let answer: Value = serde_json::from_str(credential).ok()?;
    let said = answer.get("response")?.get("authenticatorData")?.as_str()?;
    URL_SAFE_NO_PAD.decode(said).ok()
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    let at = || TimeShown::of(crate::domain::clock::Timestamp::from_secs(1_795_352_700));
    let one = |id: &str, used: bool| PasskeyShown {
        id: id.to_owned(),
        name: "<b>Telephone".to_owned(),
        added: at(),
        used: used.then(at),
        backed_up: used,
    };
    let page = |problem, notice| PasskeysPage {
        problem,
        target: None,
        notice,
        found: vec![one("pky_1", true), one("pky_2", false)],
        is_on: true,
        is_strong: true,
        known: Known {
            domain: "id.example.com".to_owned(),
            user: "AAAA".to_owned(),
            name: "<b>alice".to_owned(),
            display_name: "<b>Alice".to_owned(),
            ids: "BBBB CCCC".to_owned(),
        },
        csrf_token: "token".to_owned(),
    };
    let mut samples = vec![
        page(None, None),
        PasskeysPage { target: Some("pky_2".to_owned()), ..page(Some("name"), None) },
        PasskeysPage { is_strong: false, ..page(None, None) },
        PasskeysPage { found: Vec::new(), ..page(None, None) },
        PasskeysPage { found: Vec::new(), is_on: false, ..page(None, None) },
    ];
    samples.extend(NOTICES.map(|notice| page(None, Some(notice))));
    samples.extend(["full", "late", "refused", "taken"].map(|problem| page(Some(problem), None)));
    samples
}
