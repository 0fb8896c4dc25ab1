//! The sign-in page.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::ids::InteractionId;
use crate::http::extract::form::OwnForm;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::oauth::authorize::respond;
use crate::http::pages::account::remember;
use crate::http::pages::next::{Next, code_path};
use crate::http::pages::{Desk, failure};
use crate::http::render::{Forms, Page, Scripts};
use crate::services::authorize::decide::LoginReason;
use crate::services::authorize::interaction::{InteractionError, InteractionView};
use crate::services::login::{Errand, LoginAttempt, Proven, SignedIn};
use crate::services::visit::Visit;

/// The sign-in page.
#[derive(Default, Serialize)]
struct LoginPage {
    problem: Option<&'static str>,
    /// The application that asks, by name.
    client: Option<String>,
    /// Why somebody who is signed in is asked again.
    reason: Option<&'static str>,
    interaction: Option<String>,
    next: Option<String>,
    ways: Ways,
    /// What asks for a passkey, where anybody can have one.
    passkeys: Option<PasskeysAsked>,
    csrf_token: String,
    username: String,
}

/// What else leads on.
#[derive(Default, Serialize)]
struct Ways {
    /// Whether who forgot the password can have a letter.
    recovers: bool,
    /// Whether everybody can make an account.
    signs_up: bool,
    /// Whether a code by mail would do.
    by_letter: bool,
}

/// What asks for a passkey.
#[derive(Serialize)]
struct PasskeysAsked {
    /// For which name browsers keep them.
    domain: String,
    /// Whether whoever keeps the one that was shown is told that it counts for nothing.
    forgets: bool,
}

/// Why the form is shown again.
pub(super) struct Again<'a> {
    pub(super) problem: &'static str,
    pub(super) username: &'a str,
    pub(super) forgets: bool,
}

impl Page for LoginPage {
    const FORMS: Forms = Forms::LeadAway;
    const SCRIPTS: Scripts = Scripts::AskHere;
    const TEMPLATE: &'static str = "login.html";
}

/// The query of the sign-in page.
#[derive(Deserialize)]
pub(super) struct LoginQuery {
    interaction: Option<String>,
    next: Option<String>,
    /// Present when somebody who is signed in wants to use another account.
    switch: Option<String>,
    /// Present when somebody just made the first administrator.
    ready: Option<String>,
    /// Present when somebody just set another password.
    renewed: Option<String>,
    /// Present when somebody just kept an account that was to be deleted.
    kept: Option<String>,
}

/// What the sign-in is for.
pub(super) enum Purpose {
    /// An application asked.
    Interaction(InteractionId),
    /// Nobody asked.
    Own(Next),
}

impl Purpose {
    /// Where a sign-in leads that waited for its second step.
    pub(super) fn of(errand: Errand) -> Self {
        match errand.interaction {
            Some(interaction) => Self::Interaction(interaction),
            None => Self::Own(Next::named(&errand.next.unwrap_or_default())),
        }
    }

    pub(super) fn errand(&self) -> Errand {
        match self {
            Self::Interaction(interaction) => Errand { interaction: Some(interaction.clone()), next: None },
            Self::Own(next) => Errand { interaction: None, next: next.name() },
        }
    }

    pub(super) fn read(interaction: Option<&str>, next: Option<&str>) -> Result<Self, InteractionError> {
        match interaction.filter(|raw| !raw.is_empty()) {
            Some(raw) => {
                InteractionId::parse(raw).map(Self::Interaction).map_err(|_| InteractionError::Unknown)
            }
            None => Ok(Self::Own(Next::named(next.unwrap_or_default()))),
        }
    }
}

/// `GET /login`.
pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<LoginQuery>,
) -> Response {
    let visit = &visitor.visit;
    let switching = query.switch.is_some();
    let shown = match Purpose::read(query.interaction.as_deref(), query.next.as_deref()) {
        Ok(Purpose::Own(next)) if visit.session.is_some() && !switching => {
            return visitor.answer(desk.pages.go(&next.path()));
        }
        Ok(purpose) => desk.login_page(purpose, visit, switching).await,
        Err(error) => Err(error),
    };
    match shown {
        Ok(Shown::Page(mut page)) => {
            let done =
                [query.ready.map(|_| "ready"), query.renewed.map(|_| "renewed"), query.kept.map(|_| "kept")];
            page.reason = page.reason.or_else(|| done.into_iter().flatten().next());
            visitor.answer(desk.pages.show(StatusCode::OK, &page))
        }
        Ok(Shown::Elsewhere(path)) => visitor.answer(desk.pages.go(&path)),
        Err(error) => failure::interaction(&desk.pages, id, &error),
    }
}

/// `POST /login`.
pub(super) async fn sign_in(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let visit = &visitor.visit;
    let purpose = match Purpose::read(fields.get("interaction"), fields.get("next")) {
        Ok(purpose) => purpose,
        Err(error) => return failure::interaction(&desk.pages, id, &error),
    };
    let attempt = LoginAttempt {
        username: fields.text("username"),
        password: fields.text("password"),
        browser: visitor.traits(),
        visit,
        errand: purpose.errand(),
    };
    let signed_in = match desk.login.sign_in(attempt).await {
        Ok(Proven::SignedIn(signed_in)) => signed_in,
        Ok(Proven::CodeNeeded(step)) => return visitor.answer(desk.pages.go(&code_path(&step))),
        Err(error) => {
            if let Some(response) = failure::login(&desk.pages, id, &error) {
                return response;
            }
            let again = Again { problem: "wrong", username: fields.text("username"), forgets: false };
            return desk.refuse(purpose, &visitor, again, id).await;
        }
    };
    desk.go_on(purpose, &visitor, &signed_in, id).await
}

enum Shown {
    Elsewhere(String),
    Page(LoginPage),
}

impl Desk {
    /// Goes where a sign-in leads.
    pub(super) async fn go_on(
        &self,
        purpose: Purpose,
        visitor: &Visitor,
        signed_in: &SignedIn,
        id: RequestId,
    ) -> Response {
        let mut response = match purpose {
            Purpose::Own(next) => self.pages.go(&next.path()),
            Purpose::Interaction(interaction) => {
                let visit = Visit { session: Some(signed_in.live.clone()), ..visitor.visit.clone() };
                match self.authorize.resume(&interaction, &visit).await {
                    Ok(outcome) => respond(&self.pages, outcome),
                    Err(error) => failure::interaction(&self.pages, id, &error),
                }
            }
        };
        remember(&mut response, signed_in);
        visitor.answer(response)
    }

    async fn login_page(
        &self,
        purpose: Purpose,
        visit: &Visit,
        switching: bool,
    ) -> Result<Shown, InteractionError> {
        let mut page = LoginPage {
            ways: Ways {
                recovers: self.by_letter.recovery.is_on(),
                signs_up: self.by_letter.sign_up.is_open(),
                by_letter: self.login.takes_letters(),
            },
            passkeys: self
                .login
                .takes_passkeys()
                .then(|| PasskeysAsked { domain: self.login.passkey_domain().to_owned(), forgets: false }),
            csrf_token: self.guard.token(&visit.browser),
            ..LoginPage::default()
        };
        match purpose {
            Purpose::Own(next) => {
                page.reason = own_reason(&next, visit.session.is_some());
                // What is changed there takes more than a letter.
                page.ways.by_letter &= page.reason != Some("again");
                if let Some(live) = visit.session.as_ref().filter(|_| page.reason == Some("again")) {
                    page.username = live.user.username.to_string();
                }
                page.next = next.name();
            }
            Purpose::Interaction(interaction) => {
                page.interaction = Some(interaction.to_string());
                match self.authorize.view(&interaction, visit).await? {
                    InteractionView::Login(login) => {
                        page.client = Some(login.client);
                        page.username = login.login_hint.unwrap_or_default();
                        page.reason = reason(login.reason);
                        page.ways.by_letter &= login.one_factor_will_do;
                    }
                    InteractionView::Consent(consent) if switching => {
                        page.client = Some(consent.login_name);
                    }
                    InteractionView::Consent(_) => {
                        return Ok(Shown::Elsewhere(format!("/consent?interaction={interaction}")));
                    }
                }
            }
        }
        Ok(Shown::Page(page))
    }

    /// The form again, in the same words whatever was wrong.
    pub(super) async fn refuse(
        &self,
        purpose: Purpose,
        visitor: &Visitor,
        again: Again<'_>,
        id: RequestId,
    ) -> Response {
        match self.login_page(purpose, &visitor.visit, true).await {
            Ok(Shown::Page(page)) => {
                let Again { problem, username, forgets } = again;
                let passkeys = page.passkeys.map(|asked| PasskeysAsked { forgets, ..asked });
                let (problem, username) = (Some(problem), username.to_owned());
                let page = LoginPage { problem, reason: None, username, passkeys, ..page };
                visitor.answer(self.pages.show(StatusCode::UNPROCESSABLE_ENTITY, &page))
            }
            Ok(Shown::Elsewhere(path)) => visitor.answer(self.pages.go(&path)),
            Err(error) => failure::interaction(&self.pages, id, &error),
        }
    }
}

/// Why somebody is asked who opened a page of ours.
const fn own_reason(next: &Next, is_signed_in: bool) -> Option<&'static str> {
    match next {
        Next::Approvals => Some("approvals"),
        Next::Device(_) => Some("device"),
        Next::Data | Next::Deletion | Next::Passkeys | Next::SecondStep | Next::Security if is_signed_in => {
            Some("again")
        }
        Next::Account
        | Next::Apps
        | Next::Data
        | Next::Deletion
        | Next::Log
        | Next::Passkeys
        | Next::Password
        | Next::Profile
        | Next::Rulebooks
        | Next::Rules(..)
        | Next::SecondStep
        | Next::Security
        | Next::Sessions => None,
    }
}

const fn reason(reason: LoginReason) -> Option<&'static str> {
    match reason {
        LoginReason::ChooseAccount => Some("choose_account"),
        LoginReason::NewAccount | LoginReason::NotSignedIn => None,
        LoginReason::Requested | LoginReason::TooOld | LoginReason::TooWeak => Some("again"),
        LoginReason::WrongPerson => Some("wrong_person"),
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let passkeys = |forgets| Some(PasskeysAsked { domain: "id.example.com".to_owned(), forgets });
    let plain =
        LoginPage { csrf_token: "token".to_owned(), passkeys: passkeys(false), ..LoginPage::default() };
    let asked = || LoginPage {
        client: Some("<b>Orders</b>".to_owned()),
        interaction: Some("itx_1".to_owned()),
        csrf_token: "token".to_owned(),
        ..LoginPage::default()
    };
    let mut samples = vec![
        plain,
        LoginPage { problem: Some("wrong"), username: "<b>alice".to_owned(), ..asked() },
        LoginPage { next: Some("password".to_owned()), client: None, interaction: None, ..asked() },
    ];
    for why in
        [LoginReason::ChooseAccount, LoginReason::Requested, LoginReason::TooOld, LoginReason::WrongPerson]
    {
        samples.push(LoginPage { reason: reason(why), ..asked() });
    }
    let ways = |is_open| Ways { recovers: is_open, signs_up: is_open, by_letter: true };
    samples.push(LoginPage { ways: ways(true), ..asked() });
    let next = Some("log".to_owned());
    samples.push(LoginPage { ways: ways(false), next, interaction: None, client: None, ..asked() });
    samples.extend(["passkey", "passkey_late"].map(|problem| LoginPage {
        problem: Some(problem),
        passkeys: passkeys(true),
        ..asked()
    }));
    samples.extend(
        ["approvals", "device", "kept", "ready", "renewed"]
            .map(|why| LoginPage { reason: Some(why), ..asked() }),
    );
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interaction_that_is_none_is_unknown_and_not_ignored() {
        assert!(matches!(Purpose::read(Some("itx_1"), None), Err(InteractionError::Unknown)));
        assert!(matches!(Purpose::read(Some(""), None), Ok(Purpose::Own(Next::Account))));
    }
}
