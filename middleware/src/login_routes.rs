//! The routes of a login.

use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::authorize::{optional, public};
use crate::body::Body;
use crate::client_address::ClientAddress;
use crate::guard::{Guard, Identity, Rigour};
use crate::input::{Duplicates, InputPolicy};
use crate::login::{AccessFault, Sessions, SignedIn};
use crate::router::{GuardExt, GuardedRouter};
use crate::token::Principal;

/// The longest form that is read: a logout token of 8 KiB with whatever its encoding adds.
const MAX_FORM: usize = 32 * 1024;

/// What the routes work with.
#[derive(Clone)]
struct Desk {
    guard: Guard,
    sessions: Sessions,
}

impl Guard {
    /// The routes of the [login](crate::Login), to be merged into those of the service; none unless the guard was built with one.
    pub fn login_routes<S: Clone + Send + Sync + 'static>(&self) -> GuardedRouter<S> {
        let Some(sessions) = self.sessions().cloned() else { return GuardedRouter::new() };
        // What is there twice is refused by who reads it, in words for people. Nothing is declared, so nothing is declared wrongly.
        let input = InputPolicy::strict().max_body(MAX_FORM).form_duplicates(Duplicates::Allow).build();
        let Ok(input) = input else { return GuardedRouter::new() };
        let desk = Desk { guard: self.clone(), sessions };
        let at = |name| desk.sessions.path(name);
        let desk = || desk.clone();
        GuardedRouter::new()
            .route(at("login"), get(login).with_state(desk()).guard(public()).input(&input))
            .route(at("callback"), get(callback).with_state(desk()).guard(public()).input(&input))
            .route(at("logout"), post(logout).with_state(desk()).guard(public()).input(&input))
            .route(
                at("backchannel-logout"),
                post(backchannel_logout).with_state(desk()).guard(public()).input(&input).without_cookies(),
            )
            .route(at("session"), get(session).guard(optional()).input(&input))
    }
}

async fn login(
    State(desk): State<Desk>,
    RawQuery(query): RawQuery,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
) -> Response<Body> {
    let address = address.map(|Extension(ClientAddress(address))| address);
    desk.sessions.depart(&query.unwrap_or_default(), &headers, address).await
}

async fn callback(State(desk): State<Desk>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response<Body> {
    match desk.sessions.redeem(&query.unwrap_or_default(), &headers).await {
        Ok(redeemed) => {
            let access = desk.verify(redeemed.access_token()).await;
            desk.sessions.admit(redeemed, access, &headers).await
        }
        Err(response) => response,
    }
}

async fn logout(State(desk): State<Desk>, headers: HeaderMap) -> Response<Body> {
    desk.sessions.sign_out(&headers).await
}

async fn backchannel_logout(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    desk.sessions.hear(&headers, &body).await
}

impl Desk {
    /// What the guard would make of an access token.
    async fn verify(&self, token: &str) -> Result<Principal, AccessFault> {
        match self
            .guard
            .core()
            .authority
            .find_out(token, Rigour { tolerance: Duration::ZERO, asks_anew: false })
            .await
        {
            Identity::Caller(caller) => Ok(caller),
            Identity::Refused(fault) => Err(AccessFault::Refused(fault)),
            Identity::Unavailable(_) | Identity::Wait(_) => Err(AccessFault::Unavailable),
        }
    }
}

/// What a script is told.
#[derive(Serialize)]
struct Shown {
    signed_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User>,
}

#[derive(Serialize)]
struct User {
    sub: String,
    #[serde(flatten)]
    profile: Profile,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<String>,
    /// When the session ends.
    ends_at: u64,
}

/// What an ID token may say of a person (OpenID Connect Core §5.1) that pages show.
#[derive(Default, Deserialize, Serialize)]
struct Profile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preferred_username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_TYPE, HeaderValue::from_static("application/json")),
];

async fn session(session: Option<SignedIn>) -> impl IntoResponse {
    let user = session.map(|session| User {
        sub: session.subject().to_owned(),
        profile: session.claims().unwrap_or_default(),
        auth_time: session.auth_time(),
        acr: session.authentication_class().map(str::to_owned),
        ends_at: session.ends_at(),
    });
    // Text and numbers: there is nothing that JSON could not say.
    let shown = serde_json::to_string(&Shown { signed_in: user.is_some(), user });
    (HEADERS, shown.unwrap_or_default())
}
