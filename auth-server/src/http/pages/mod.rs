//! The pages that people see. All of them work without scripts.

mod account;
mod approvals;
mod code;
mod consent;
mod device;
mod failure;
mod leaving;
mod letter;
mod logged_out;
mod login;
mod logo;
mod logout;
mod next;
mod passkey;
mod password;
mod person;
mod qr;
mod question;
mod recover;
mod rulebooks;
mod rules;
mod setup;
mod sign_up;
mod verify;
mod when;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::Response;
use axum::routing::{get, post};

use crate::config::Config;
use crate::http::extract::form::FormGuard;
use crate::http::extract::visit::Visitor;
use crate::http::pages::account::data::DataDesk;
use crate::http::pages::approvals::ApprovalDesk;
use crate::http::pages::device::DeviceDesk;
use crate::http::pages::next::Next;
use crate::http::pages::recover::RecoverDesk;
use crate::http::pages::rules::RulesDesk;
use crate::http::pages::setup::SetupDesk;
use crate::http::render::Pages;
use crate::http::state::{AppState, ByLetter, Console};
use crate::services::account::AccountService;
use crate::services::addresses::AddressService;
use crate::services::authorize::AuthorizeService;
use crate::services::ciba::CibaService;
use crate::services::device::DeviceService;
use crate::services::leaving::LeavingService;
use crate::services::login::LoginService;
use crate::services::logout::LogoutService;
use crate::services::own_data::OwnDataService;
use crate::services::recovery::RecoveryService;
use crate::services::second_step::enrol::SecondStepService;

/// What the handlers of pages work with.
#[derive(Clone)]
struct Desk {
    pages: Pages,
    guard: FormGuard,
    login: LoginService,
    authorize: AuthorizeService,
    logout: LogoutService,
    ciba: CibaService,
    account: AccountService,
    steps: SecondStepService,
    by_letter: Arc<ByLetter>,
}

impl FromRef<AppState> for ApprovalDesk {
    fn from_ref(state: &AppState) -> Self {
        Self {
            pages: Pages::from_ref(state),
            guard: FormGuard::from_ref(state),
            ciba: CibaService::from_ref(state),
        }
    }
}

impl FromRef<AppState> for DataDesk {
    fn from_ref(state: &AppState) -> Self {
        Self {
            pages: Pages::from_ref(state),
            guard: FormGuard::from_ref(state),
            data: OwnDataService::from_ref(state),
            leaving: LeavingService::from_ref(state),
        }
    }
}

impl FromRef<AppState> for DeviceDesk {
    fn from_ref(state: &AppState) -> Self {
        Self {
            pages: Pages::from_ref(state),
            guard: FormGuard::from_ref(state),
            devices: DeviceService::from_ref(state),
        }
    }
}

impl FromRef<AppState> for RecoverDesk {
    fn from_ref(state: &AppState) -> Self {
        Self {
            pages: Pages::from_ref(state),
            guard: FormGuard::from_ref(state),
            recovery: RecoveryService::from_ref(state),
            addresses: AddressService::from_ref(state),
        }
    }
}

impl FromRef<AppState> for RulesDesk {
    fn from_ref(state: &AppState) -> Self {
        Self {
            pages: Pages::from_ref(state),
            guard: FormGuard::from_ref(state),
            console: Console::from_ref(state),
            second_step: <Arc<Config>>::from_ref(state).sessions.second_step,
        }
    }
}

impl FromRef<AppState> for SetupDesk {
    fn from_ref(state: &AppState) -> Self {
        Self {
            pages: Pages::from_ref(state),
            guard: FormGuard::from_ref(state),
            setup: Console::from_ref(state).setup,
        }
    }
}

impl FromRef<AppState> for Desk {
    fn from_ref(state: &AppState) -> Self {
        Self {
            pages: Pages::from_ref(state),
            guard: FormGuard::from_ref(state),
            login: LoginService::from_ref(state),
            authorize: AuthorizeService::from_ref(state),
            logout: LogoutService::from_ref(state),
            ciba: CibaService::from_ref(state),
            account: AccountService::from_ref(state),
            steps: SecondStepService::from_ref(state),
            by_letter: <Arc<ByLetter>>::from_ref(state),
        }
    }
}

pub(crate) fn router() -> Router<AppState> {
    account_pages()
        .route("/", get(front))
        .route("/.well-known/change-password", get(change_password))
        .route("/.well-known/passkey-endpoints", get(account::passkeys::endpoints))
        .route("/admin/policies", get(rulebooks::show))
        .route("/admin/policies/{api}", get(rules::show).post(rules::edit))
        .route("/admin/policies/{api}/activation", get(rules::activation::show).post(rules::activation::act))
        .route("/admin/policies/{api}/history", get(rules::history::list))
        .route(
            "/admin/policies/{api}/history/{number}",
            get(rules::history::show).post(rules::history::restore),
        )
        .route("/admin/policies/{api}/routes", get(rules::routes::show).post(rules::routes::act))
        .route("/admin/policies/{api}/try", get(rules::trial::show).post(rules::trial::act))
        .route("/approvals", get(approvals::show).post(approvals::decide))
        .route("/consent", get(consent::show).post(consent::decide))
        .route("/device", get(device::show).post(device::enter))
        .route("/device/confirm", get(device::ask).post(device::decide))
        .route("/device/denied", get(device::denied))
        .route("/device/done", get(device::done))
        .route("/logged-out", get(logged_out::show))
        .route("/login", get(login::show).post(login::sign_in))
        .route("/login/code", get(code::show).post(code::answer))
        .route("/login/leaving", get(leaving::show).post(leaving::keep))
        .route("/login/letter", get(letter::show).post(letter::ask))
        .route("/login/letter/code", get(letter::open).post(letter::answer))
        .route("/login/passkey", post(passkey::answer))
        .route("/login/passkey/options", post(passkey::ask))
        .route("/logos/{name}", get(logo::show))
        .route("/logout", get(logout::by_link).post(logout::by_form))
        .route("/logout/confirm", get(logout::ask).post(logout::confirm))
        .route("/recover", get(recover::show).post(recover::ask))
        .route("/recover/address", get(recover::ask_back).post(recover::put_back))
        .route("/recover/new", get(recover::open).post(recover::set))
        .route("/recover/sent", get(recover::sent))
        .route("/setup", get(setup::show).post(setup::create))
        .route("/sign-up", get(sign_up::show).post(sign_up::ask))
        .route("/sign-up/new", get(sign_up::open).post(sign_up::create))
        .route("/sign-up/sent", get(sign_up::sent))
        .route("/verify", get(verify::show).post(verify::confirm))
        .route("/verify/done", get(verify::done))
}

/// What people do with their own account.
fn account_pages() -> Router<AppState> {
    Router::new()
        .route("/account", get(account::show))
        .route("/account/apps", get(account::apps::show))
        .route("/account/apps/withdraw", post(account::apps::withdraw))
        .route("/account/data", get(account::data::show).post(account::data::download))
        .route("/account/data/deletion", get(account::deletion::show).post(account::deletion::ask))
        .route("/account/log", get(account::log::show))
        .route("/account/profile", get(account::profile::show).post(account::profile::save))
        .route("/account/security", get(account::security::show))
        .route("/account/security/passkeys", get(account::passkeys::show).post(account::passkeys::add))
        .route("/account/security/passkeys/options", post(account::passkeys::offer))
        .route("/account/security/passkeys/remove", post(account::passkeys::remove))
        .route("/account/security/passkeys/rename", post(account::passkeys::rename))
        .route("/account/security/recovery-codes", post(account::security::renew_codes))
        .route("/account/security/second-step", get(account::security::offer).post(account::security::add))
        .route("/account/security/second-step/remove", post(account::security::remove))
        .route("/account/profile/email", get(account::email::show).post(account::email::change))
        .route("/account/profile/email/confirm", post(account::email::send_again))
        .route("/account/security/password", get(password::show).post(password::change))
        .route("/account/sessions", get(account::sessions::show))
        .route("/account/sessions/end", post(account::sessions::end))
        .route("/account/sessions/end-others", post(account::sessions::end_others))
        .route("/account/sign-out", post(account::sign_out))
}

/// `GET /`: to the account of whoever is signed in, else to the sign-in page.
async fn front(State(pages): State<Pages>, visitor: Visitor) -> Response {
    let next = Next::Account;
    let path = if visitor.visit.session.is_some() { next.path() } else { next.login() };
    visitor.answer(pages.go(&path))
}

/// Where password managers look for the page that changes a password (W3C, A Well-Known URL for Changing Passwords).
async fn change_password(State(pages): State<Pages>) -> Response {
    pages.go(&Next::Password.path())
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::domain::issuer::Issuer;
    use crate::http::render::Page;

    async fn shown<P: Page>(found: Vec<P>, all: &mut Vec<(&'static str, String)>) {
        let pages = Pages::open(&Issuer::parse("http://localhost:8080").unwrap()).unwrap();
        for page in found {
            let response = pages.show(StatusCode::OK, &page);
            assert_eq!(response.status(), StatusCode::OK, "{}", P::TEMPLATE);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            all.push((P::TEMPLATE, String::from_utf8(body.to_vec()).unwrap()));
        }
    }

    async fn every_page() -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        shown(account::samples(), &mut all).await;
        shown(account::apps::samples(), &mut all).await;
        shown(account::data::samples(), &mut all).await;
        shown(account::deletion::samples(), &mut all).await;
        shown(account::email::samples(), &mut all).await;
        shown(account::log::samples(), &mut all).await;
        shown(account::passkeys::samples(), &mut all).await;
        shown(account::profile::samples(), &mut all).await;
        shown(account::security::samples(), &mut all).await;
        shown(account::security::offer_samples(), &mut all).await;
        shown(account::security::codes_samples(), &mut all).await;
        shown(account::sessions::samples(), &mut all).await;
        shown(code::samples(), &mut all).await;
        shown(consent::samples(), &mut all).await;
        shown(approvals::samples(), &mut all).await;
        shown(device::code_samples(), &mut all).await;
        shown(device::confirm_samples(), &mut all).await;
        shown(device::end_samples(), &mut all).await;
        shown(leaving::samples(), &mut all).await;
        shown(letter::ask_samples(), &mut all).await;
        shown(letter::code_samples(), &mut all).await;
        shown(login::samples(), &mut all).await;
        shown(logout::samples(), &mut all).await;
        shown(logged_out::samples(), &mut all).await;
        shown(password::samples(), &mut all).await;
        shown(recover::question_samples(), &mut all).await;
        shown(recover::sent_samples(), &mut all).await;
        shown(recover::put_back_samples(), &mut all).await;
        shown(recover::new_samples(), &mut all).await;
        shown(rulebooks::samples(), &mut all).await;
        shown(rules::samples(), &mut all).await;
        shown(rules::activation::samples(), &mut all).await;
        shown(rules::history::samples(), &mut all).await;
        shown(rules::history::revision_samples(), &mut all).await;
        shown(rules::routes::samples(), &mut all).await;
        shown(rules::trial::samples(), &mut all).await;
        shown(setup::samples(), &mut all).await;
        shown(sign_up::question_samples(), &mut all).await;
        shown(sign_up::sent_samples(), &mut all).await;
        shown(sign_up::new_samples(), &mut all).await;
        shown(verify::samples(), &mut all).await;
        all
    }

    /// The start tags of `html`.
    fn tags(html: &str) -> impl Iterator<Item = &str> {
        html.split('<').skip(1).filter_map(|rest| rest.split('>').next())
    }

    fn value<'a>(tag: &'a str, attribute: &str) -> Option<&'a str> {
        tag.split(&format!(" {attribute}=\"")).nth(1)?.split('"').next()
    }

    #[tokio::test]
    async fn every_page_is_whole_in_each_of_its_states() {
        for (name, html) in every_page().await {
            assert!(html.ends_with("</html>"), "{name}");
            assert_eq!(html.matches("<h1").count(), 1, "{name}");
            assert_eq!(html.matches("<main").count(), 1, "{name}");
            let reports_a_problem = html.contains("id=\"error-summary\"");
            assert_eq!(html.contains("<title>Error: "), reports_a_problem, "{name}: {html}");
        }
    }

    #[tokio::test]
    async fn every_form_is_posted_here_and_carries_its_token() {
        for (name, html) in every_page().await {
            for form in html.split("<form").skip(1) {
                let form = form.split("</form>").next().unwrap();
                assert!(form.starts_with(" method=\"post\" action=\"/"), "{name}: {form}");
                assert_eq!(form.matches("name=\"csrf_token\" value=\"token\"").count(), 1, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn every_input_has_a_label_and_every_reference_a_target() {
        for (name, html) in every_page().await {
            let ids: Vec<&str> = tags(&html).filter_map(|tag| value(tag, "id")).collect();
            let mut distinct = ids.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), ids.len(), "{name}: an id twice");
            for tag in tags(&html) {
                let is_input = tag.starts_with("input ") || tag.starts_with("textarea ");
                if is_input && value(tag, "type") != Some("hidden") && value(tag, "aria-hidden").is_none() {
                    let id = value(tag, "id").unwrap();
                    assert!(html.contains(&format!("<label for=\"{id}\"")), "{name}: {tag}");
                }
                for attribute in ["aria-describedby", "aria-labelledby", "for"] {
                    for target in value(tag, attribute).unwrap_or_default().split_whitespace() {
                        assert!(ids.contains(&target), "{name}: {attribute}={target}");
                    }
                }
                if let Some(target) = value(tag, "href").and_then(|href| href.strip_prefix('#')) {
                    assert!(ids.contains(&target), "{name}: #{target}");
                }
            }
        }
    }

    #[tokio::test]
    async fn names_that_people_and_applications_chose_are_text() {
        for (name, html) in every_page().await {
            for tag in ["<b>", "<i>", "</textarea><"] {
                assert!(!html.contains(tag), "{name}: {tag}");
            }
        }
    }

    #[tokio::test]
    async fn nobody_loses_only_where_no_condition_changes() {
        let mut all = Vec::new();
        shown(rules::activation::samples(), &mut all).await;
        let glances = all.iter().filter_map(|(_, html)| html.split_once("id=\"glance\">"));
        let glances: Vec<&str> = glances.filter_map(|(_, rest)| rest.split("</p>").next()).collect();
        let says = |glance: &&str| {
            ["who would lose something", "has another condition", "nobody would lose"]
                .map(|text| glance.contains(text))
        };
        let said: Vec<_> = glances.iter().map(says).collect();
        for expected in
            [[true, false, false], [true, true, false], [false, true, false], [false, false, true]]
        {
            assert!(said.contains(&expected), "{expected:?}: {glances:?}");
        }
        assert!(!said.iter().any(|[loses, asks, nobody]| *nobody && (*loses || *asks)), "{glances:?}");
    }

    #[tokio::test]
    async fn password_managers_find_what_they_look_for() {
        let pages = every_page().await;
        let field = |page: &str, id: &str| {
            let (_, html) = pages.iter().find(|(name, _)| *name == page).unwrap();
            let found = tags(html).find(|tag| value(tag, "id") == Some(id)).unwrap().to_owned();
            value(&found, "autocomplete").unwrap().to_owned()
        };
        assert_eq!(field("login.html", "username"), "username webauthn");
        assert_eq!(field("login.html", "password"), "current-password");
        assert_eq!(field("password.html", "password"), "current-password");
        assert_eq!(field("password.html", "new-password"), "new-password");
        assert_eq!(field("setup.html", "new-password"), "new-password");
        assert_eq!(field("sign_up.html", "email"), "email");
        assert_eq!(field("recover.html", "username"), "username");
        let (_, html) = pages.iter().rfind(|(name, _)| *name == "recover_new.html").unwrap();
        assert!(html.contains("name=\"username\" autocomplete=\"username\" value=\"alice\""));
        assert!(html.contains("autocomplete=\"new-password\""));
        let (_, html) = pages.iter().find(|(name, _)| *name == "password.html").unwrap();
        assert!(html.contains("name=\"username\" autocomplete=\"username\" value=\"alice\""));
    }
}
