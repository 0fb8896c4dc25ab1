//! The page that asks whether an application may use the account.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::claim::{Claim, ClaimSet};
use crate::domain::claims::PERSONAL;
use crate::domain::ids::InteractionId;
use crate::domain::registration::About;
use crate::domain::scope::ScopeSet;
use crate::domain::user::User;
use crate::http::extract::form::OwnForm;
use crate::http::extract::link::LinkQuery;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::oauth::authorize::respond;
use crate::http::pages::person::Person;
use crate::http::pages::{Desk, failure};
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::http::render::{Forms, Page};
use crate::services::authorize::interaction::{
    Asked, ConsentDecision, ConsentView, InteractionError, InteractionView, PlaceView, Stranger,
};
use crate::services::details::DetailView;

/// The consent page.
#[derive(Serialize)]
struct ConsentPage {
    problem: Option<&'static str>,
    client: String,
    redirect_host: String,
    /// What is known of an application that nobody here vouches for.
    stranger: Option<StrangerPart>,
    user: Person,
    groups: Vec<Group>,
    /// Whether this user allowed this application something before.
    has_earlier: bool,
    interaction: String,
    csrf_token: String,
}

impl Page for ConsentPage {
    const FORMS: Forms = Forms::LeadAway;
    const TEMPLATE: &'static str = "consent.html";
}

/// What is known of an application that nobody here vouches for.
#[derive(Serialize)]
struct StrangerPart {
    /// The host whose document describes it; empty when it registered.
    document_host: String,
    /// Whether the answer goes to whichever program listens on the person's own machine.
    runs_here: bool,
    /// What its logo is served as; empty without one.
    logo: String,
    /// Its own pages: which, and where.
    links: Vec<(&'static str, String)>,
}

impl StrangerPart {
    fn of(stranger: Stranger) -> Self {
        let About { client_uri, policy_uri, tos_uri, .. } = stranger.about;
        let links = [("home", client_uri), ("policy", policy_uri), ("terms", tos_uri)];
        Self {
            document_host: stranger.document_host.unwrap_or_default(),
            logo: stranger.logo.unwrap_or_default(),
            runs_here: stranger.runs_here,
            links: links.into_iter().filter_map(|(kind, link)| Some((kind, link?))).collect(),
        }
    }
}

/// What the application asks for at one place.
#[derive(Serialize)]
struct Group {
    /// What the list is called in the page.
    id: String,
    /// Where the application would act for the user; empty for nowhere but here.
    api: String,
    scopes: Vec<Scope>,
    details: Vec<Detail>,
}

/// One thing that the application asks for in detail.
#[derive(Serialize)]
pub(super) struct Detail {
    title: String,
    /// What each is called, and what it is.
    members: Vec<(String, Vec<String>)>,
    is_new: bool,
}

/// One thing that the application asks for.
#[derive(Serialize)]
pub(super) struct Scope {
    /// Which sentence describes it.
    kind: &'static str,
    name: String,
    api: String,
    is_new: bool,
    /// What would be handed over, as it is.
    shares: Vec<String>,
}

impl ConsentPage {
    fn of(view: ConsentView, interaction: &InteractionId, csrf_token: String) -> Self {
        let has_earlier = view.places.iter().any(|place| !place.allowed_before.scopes.is_empty());
        Self {
            problem: None,
            groups: groups(&view),
            client: view.client,
            redirect_host: view.redirect_host,
            stranger: view.stranger.map(StrangerPart::of),
            user: Person::of(&view.user),
            has_earlier,
            interaction: interaction.to_string(),
            csrf_token,
        }
    }
}

/// What is asked for, place by place. Of several places, what concerns the sign-in stands before them, once.
fn groups(view: &ConsentView) -> Vec<Group> {
    let sign_in = |scope: &str| PERSONAL.contains(&scope);
    let several = view.places.len() > 1;
    let first = several.then(|| {
        let mut scopes = asked(&view.asked.scopes.only(sign_in), view, (&view.places, ""));
        scopes.extend(claims(view, &view.places));
        Group {
            id: "consent-sign-in".to_owned(),
            api: String::new(),
            scopes: sorted(scopes),
            details: Vec::new(),
        }
    });
    let places = view.places.iter().enumerate().map(|(position, place)| {
        let (api, alone) = (place.api.clone().unwrap_or_default(), std::slice::from_ref(place));
        let own = if several { place.scopes.only(|scope| !sign_in(scope)) } else { place.scopes.clone() };
        let mut scopes = asked(&own, view, (alone, &api));
        if !several {
            scopes.extend(claims(view, alone));
        }
        let details = place.details.iter().cloned().map(Detail::from).collect();
        let id =
            if position == 0 { "consent-api".to_owned() } else { format!("consent-api-{}", position + 1) };
        Group { id, api, scopes: sorted(scopes), details }
    });
    first.into_iter().filter(|group| !group.scopes.is_empty()).chain(places).collect()
}

/// Scopes as sentences; new is what was not allowed at each of the places that it concerns.
fn asked(asked: &ScopeSet, view: &ConsentView, (places, api): (&[PlaceView], &str)) -> Vec<Scope> {
    let is_new = |name: &str| places.iter().any(|place| !place.allowed_before.scopes.contains(name));
    scopes(asked, &view.user, api)
        .into_iter()
        .map(|scope| Scope { is_new: is_new(&scope.name), ..scope })
        .collect()
}

fn claims(view: &ConsentView, places: &[PlaceView]) -> Vec<Scope> {
    let is_allowed =
        |before: &Asked, claim: Claim| before.claims.contains(claim) || before.scopes.contains(claim.scope());
    let is_new = |claim: Claim| places.iter().any(|place| !is_allowed(&place.allowed_before, claim));
    let shown = |claim: Claim| Scope { is_new: is_new(claim), ..single(claim, &view.user) };
    view.asked.claims.iter().map(shown).collect()
}

/// A claim by itself, as a sentence.
fn single(claim: Claim, user: &User) -> Scope {
    Scope {
        kind: match claim {
            Claim::EmailVerified | Claim::PhoneNumberVerified => "proven",
            _ => "claim",
        },
        name: claim.as_str().to_owned(),
        api: String::new(),
        is_new: true,
        shares: value(claim, user),
    }
}

/// Who somebody is comes before what is done in their name.
fn sorted(mut scopes: Vec<Scope>) -> Vec<Scope> {
    scopes.sort_by_key(|scope| ORDER.iter().position(|kind| *kind == scope.kind));
    scopes
}

impl From<DetailView> for Detail {
    fn from(view: DetailView) -> Self {
        let DetailView { title, members, is_new } = view;
        Self { title, members, is_new }
    }
}

/// What is asked for, as sentences: who somebody is comes before what is done in their name.
pub(super) fn scopes(asked: &ScopeSet, user: &User, api: &str) -> Vec<Scope> {
    let shown = |name: &str| Scope {
        kind: kind(name, api),
        name: name.to_owned(),
        api: api.to_owned(),
        is_new: true,
        shares: shares(name, user),
    };
    sorted(asked.iter().map(shown).collect())
}

/// What was allowed at one place, in the same sentences.
pub(super) fn allowed(scopes: &ScopeSet, claims: &ClaimSet, user: &User, api: &str) -> Vec<Scope> {
    let mut all = self::scopes(scopes, user, api);
    all.extend(claims.iter().map(|claim| single(claim, user)));
    sorted(all)
}

/// The order in which kinds of scopes are shown.
const ORDER: [&str; 10] =
    ["openid", "profile", "email", "address", "phone", "claim", "proven", "api", "other", "offline_access"];

fn kind(scope: &str, api: &str) -> &'static str {
    match scope {
        "address" => "address",
        "email" => "email",
        "offline_access" => "offline_access",
        "openid" => "openid",
        "phone" => "phone",
        "profile" => "profile",
        _ if api.is_empty() => "other",
        _ => "api",
    }
}

/// Everything that a scope would hand over. That an address or a number was proven is not worth a line.
fn shares(scope: &str, user: &User) -> Vec<String> {
    let revealed = Claim::ALL.into_iter().filter(|claim| claim.scope() == scope);
    let told = revealed.filter(|claim| {
        !matches!(claim, Claim::EmailVerified | Claim::PhoneNumberVerified | Claim::UpdatedAt)
    });
    told.flat_map(|claim| value(claim, user)).collect()
}

/// What a claim would hand over, as people read it.
fn value(claim: Claim, user: &User) -> Vec<String> {
    let read = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match claim.of(user) {
        // That something was proven or not is said by the sentence alone.
        None | Some(Value::Bool(_)) => Vec::new(),
        Some(Value::Object(members)) => members.values().map(read).collect(),
        // A number of seconds tells people nothing.
        Some(Value::Number(_)) => vec![user.profile.updated_at().unwrap_or(user.created_at).rfc3339()],
        Some(value) => vec![read(&value)],
    }
}

/// The query of the consent page.
#[derive(Deserialize)]
pub(super) struct ConsentQuery {
    #[serde(default)]
    interaction: String,
}

/// `GET /consent`.
pub(super) async fn show(
    State(desk): State<Desk>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<ConsentQuery>,
) -> Response {
    let view = match InteractionId::parse(&query.interaction) {
        Ok(interaction) => {
            desk.authorize.view(&interaction, &visitor.visit).await.map(|view| (interaction, view))
        }
        Err(_) => Err(InteractionError::Unknown),
    };
    match view {
        Ok((interaction, InteractionView::Consent(view))) => {
            let page = ConsentPage::of(view, &interaction, desk.guard.token(&visitor.visit.browser));
            visitor.answer(desk.pages.show(StatusCode::OK, &page))
        }
        Ok((interaction, InteractionView::Login(_))) => {
            visitor.answer(desk.pages.go(&format!("/login?interaction={interaction}")))
        }
        Err(error) => failure::interaction(&desk.pages, id, &error),
    }
}

/// `POST /consent`. What is allowed is what the server kept, not what the form says.
pub(super) async fn decide(State(desk): State<Desk>, id: RequestId, form: OwnForm) -> Response {
    let OwnForm { visitor, fields } = form;
    let decision = match fields.get("decision") {
        Some("allow") => ConsentDecision::Allow,
        Some("deny") => ConsentDecision::Deny,
        _ => return desk.pages.error(&ErrorPage::new(ErrorKind::BadRequest).reference(id.as_str())),
    };
    let outcome = match InteractionId::parse(fields.text("interaction")) {
        Ok(interaction) => desk.authorize.consent(&interaction, &visitor.visit, decision).await,
        Err(_) => Err(InteractionError::Unknown),
    };
    match outcome {
        Ok(outcome) => visitor.answer(respond(&desk.pages, outcome)),
        Err(error) => failure::interaction(&desk.pages, id, &error),
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let scopes = |scopes: &str| ScopeSet::parse(scopes).unwrap();
    let place = |api: Option<&str>, own: &str, before: &str| PlaceView {
        api: api.map(str::to_owned),
        scopes: scopes(own),
        details: Vec::new(),
        allowed_before: Asked { scopes: scopes(before), ..Asked::default() },
    };
    let view = |asked: Asked, places: Vec<PlaceView>, stranger: Option<Stranger>| ConsentView {
        stranger,
        client: "<b>Orders</b>".to_owned(),
        login_name: "orders.example.com".to_owned(),
        redirect_host: "orders.example.com".to_owned(),
        user: crate::http::pages::person::sample(),
        asked,
        places,
    };
    let asked = |all: &str| Asked { scopes: scopes(all), ..Asked::default() };
    let whole = "openid profile email address phone offline_access orders:read";
    let single = Asked { scopes: scopes("openid orders:read"), claims: Claim::ALL.into_iter().collect() };
    let payment = DetailView {
        title: "Make a <i>payment".to_owned(),
        members: vec![
            ("Amount".to_owned(), vec!["12.50".to_owned()]),
            ("actions".to_owned(), vec!["initiate".to_owned(), "<b>cancel".to_owned()]),
        ],
        is_new: true,
    };
    let bank = PlaceView { details: vec![payment], ..place(Some("Bank"), "openid pay", "") };
    let interaction = InteractionId::parse("itx_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c").unwrap();
    let page = |path: &str| Some(format!("https://orders.example.com/{path}?a=1&b=\"2\""));
    let described = Stranger {
        document_host: Some("orders.example.com".to_owned()),
        runs_here: true,
        about: About {
            client_uri: page(""),
            policy_uri: page("policy"),
            tos_uri: page("terms"),
            ..About::default()
        },
        logo: Some("0a1b".to_owned()),
    };
    let registered = Stranger { document_host: None, runs_here: false, about: About::default(), logo: None };
    [
        view(asked(whole), vec![place(Some("Orders API"), whole, "openid profile")], None),
        view(single, vec![place(None, "openid orders:read", "")], Some(described)),
        view(
            asked("openid orders:read pay"),
            vec![place(Some("Orders API"), "openid orders:read", "openid"), bank],
            Some(registered),
        ),
    ]
    .into_iter()
    .map(|view| ConsentPage::of(view, &interaction, "token".to_owned()))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_shown_with_the_values_that_would_be_shared() {
        let user = crate::http::pages::person::sample();
        assert_eq!(shares("email", &user), ["alice@example.com"]);
        assert_eq!(shares("profile", &user), ["Alice <i>Example", "alice"]);
        assert!(shares("email", &User { email: None, ..user }).is_empty());
        assert_eq!((kind("orders:read", "Orders API"), kind("orders:read", "")), ("api", "other"));
    }

    #[test]
    fn only_what_was_not_allowed_before_is_new() {
        let page = serde_json::to_value(samples().into_iter().next().unwrap()).unwrap();
        let fresh: Vec<_> = page["groups"][0]["scopes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|scope| scope["is_new"] == true)
            .map(|scope| scope["name"].as_str().unwrap())
            .collect();
        assert_eq!(fresh, ["email", "address", "phone", "orders:read", "offline_access"]);
    }

    #[test]
    fn of_several_places_each_shows_its_own_and_the_sign_in_stands_first() {
        let page = serde_json::to_value(samples().into_iter().nth(2).unwrap()).unwrap();
        let groups: Vec<(&str, Vec<&str>, usize)> = page["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| {
                let scopes = group["scopes"].as_array().unwrap();
                let names = scopes.iter().map(|scope| scope["name"].as_str().unwrap()).collect();
                (group["api"].as_str().unwrap(), names, group["details"].as_array().unwrap().len())
            })
            .collect();
        let expected =
            [("", vec!["openid"], 0), ("Orders API", vec!["orders:read"], 0), ("Bank", vec!["pay"], 1)];
        assert_eq!(groups, expected);
        assert_eq!(page["groups"][0]["scopes"][0]["is_new"], true, "it was not allowed at each of them");
    }
}
