//! The page of the applications that whoever is signed in let in.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::ids::ClientId;
use crate::domain::user::User;
use crate::http::extract::form::OwnForm;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::consent::{Detail, Scope, allowed};
use crate::http::pages::next::Next;
use crate::http::pages::when::TimeShown;
use crate::http::pages::{Desk, failure};
use crate::http::render::Page;
use crate::services::account::apps::{AppPlace, OwnApp};

/// The page.
#[derive(Serialize)]
struct AppsPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    apps: Vec<Shown>,
    /// Whether there are more than are shown.
    more: bool,
    csrf_token: String,
}

impl Page for AppsPage {
    const TEMPLATE: &'static str = "apps.html";
}

/// One application.
#[derive(Serialize)]
struct Shown {
    client: String,
    title: String,
    logo: Option<String>,
    since: TimeShown,
    places: Vec<PlaceShown>,
}

/// What it may do at one place.
#[derive(Serialize)]
struct PlaceShown {
    /// Empty for nowhere but here.
    api: String,
    scopes: Vec<Scope>,
    details: Vec<Detail>,
}

impl Shown {
    fn of(app: OwnApp, user: &User) -> Self {
        let place = |place: AppPlace| {
            let api = place.api.unwrap_or_default();
            let scopes = allowed(&place.scopes, &place.claims, user, &api);
            PlaceShown { scopes, api, details: place.details.into_iter().map(Detail::from).collect() }
        };
        Self {
            client: app.client.to_string(),
            title: app.title,
            logo: app.logo,
            since: TimeShown::of(app.since),
            places: app.places.into_iter().map(place).collect(),
        }
    }
}

/// The query of the page.
#[derive(Deserialize)]
pub(in crate::http::pages) struct AppsQuery {
    notice: Option<String>,
}

/// `GET /account/apps`.
pub(in crate::http::pages) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<AppsQuery>,
) -> Response {
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Apps.login()));
    };
    let apps = match desk.account.apps(live, visitor.visit.now).await {
        Ok(apps) => apps,
        Err(error) => return failure::fault(&desk.pages, id, &error),
    };
    let page = AppsPage {
        problem: None,
        notice: (query.notice.as_deref() == Some("withdrawn")).then_some("withdrawn"),
        apps: apps.found.into_iter().map(|app| Shown::of(app, &live.user)).collect(),
        more: apps.more,
        csrf_token: desk.guard.token(&visitor.visit.browser),
    };
    visitor.answer(desk.pages.show(StatusCode::OK, &page))
}

/// `POST /account/apps/withdraw`.
pub(in crate::http::pages) async fn withdraw(
    State(desk): State<Desk>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(live) = &visitor.visit.session else {
        return visitor.answer(desk.pages.go(&Next::Apps.login()));
    };
    let had = match ClientId::parse(fields.text("client")) {
        Ok(client) => desk.account.withdraw(client, live, &visitor.visit).await,
        Err(_) => Ok(false),
    };
    match had {
        Ok(true) => visitor.answer(desk.pages.go("/account/apps?notice=withdrawn")),
        Ok(false) => failure::not_found(&desk.pages, id),
        Err(error) => failure::fault(&desk.pages, id, &error),
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    use crate::domain::claim::{Claim, ClaimSet};
    use crate::domain::clock::Timestamp;
    use crate::domain::scope::ScopeSet;
    use crate::services::details::DetailView;

    let user = crate::http::pages::person::sample();
    let place = |api: Option<&str>, scopes: &str, claims: ClaimSet| AppPlace {
        api: api.map(str::to_owned),
        scopes: ScopeSet::parse(scopes).unwrap(),
        claims,
        details: Vec::new(),
    };
    let payment = DetailView {
        title: "Make a <i>payment".to_owned(),
        members: vec![("<b>Amount".to_owned(), vec!["12.50".to_owned()])],
        is_new: false,
    };
    let bank = AppPlace { details: vec![payment], ..place(Some("<b>Bank"), "pay", ClaimSet::default()) };
    let app = |title: &str, logo: Option<&str>, places| OwnApp {
        client: ClientId::parse("cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c").unwrap(),
        title: title.to_owned(),
        logo: logo.map(str::to_owned),
        since: Timestamp::from_secs(1_795_352_700),
        places,
    };
    let every: ClaimSet = Claim::ALL.into_iter().collect();
    let plain =
        place(Some("Orders <i>API"), "openid profile offline_access orders:read", ClaimSet::default());
    let both = vec![
        app("<b>Shop</b>", Some("0a1b"), vec![plain, bank]),
        app("Own", None, vec![place(None, "openid", every)]),
    ];
    let page = |notice, apps: Vec<OwnApp>, more| AppsPage {
        problem: None,
        notice,
        apps: apps.into_iter().map(|app| Shown::of(app, &user)).collect(),
        more,
        csrf_token: "token".to_owned(),
    };
    vec![page(None, both, true), page(Some("withdrawn"), Vec::new(), false)]
}
