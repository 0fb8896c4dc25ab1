//! A browser in front of a service that signs people in.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use portcullis_guard::{
    Csrf, Guard, GuardBuilder, GuardExt, GuardedRouter, Issuer, Login, OptionalPrincipal, Principal,
    SignedIn, authenticated, optional, public, rbac, scope,
};

use crate::login::provider::{CLIENT, Provider, SECRET};
use crate::service::{Answer, Dial, builder, send};

pub(crate) const OWN: &str = "https://shop.test";

/// A service, its issuer and the time.
pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) dial: Dial,
    pub(crate) guard: Guard,
    pub(crate) service: Router,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|login| login, |guard| guard).await
    }

    pub(crate) async fn with(
        login: impl FnOnce(Login) -> Login,
        configure: impl FnOnce(GuardBuilder) -> GuardBuilder,
    ) -> Self {
        let dial = Dial::new();
        let provider = Provider::start(&dial).await;
        let guard = guard_at(&provider, &dial, login, configure).await;
        let service = service(&guard);
        Self { provider, dial, guard, service }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser { service: self.service.clone(), cookies: BTreeMap::new() }
    }

    /// A browser in which somebody is signed in.
    pub(crate) async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in(&self.provider, "/auth/login?return_to=/me").await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/me"), "{answer:?}");
        browser
    }
}

/// A guard that signs people in at an issuer.
pub(crate) async fn guard_at(
    provider: &Provider,
    dial: &Dial,
    login: impl FnOnce(Login) -> Login,
    configure: impl FnOnce(GuardBuilder) -> GuardBuilder,
) -> Guard {
    let own = login(Login::new(&provider.url, CLIENT, OWN).secret(SECRET));
    let guard = builder(dial).issuer(Issuer::oidc(&provider.url)).csrf(Csrf::origins([OWN])).login(own);
    configure(guard).build().await.unwrap()
}

pub(crate) fn service(guard: &Guard) -> Router {
    let name = async |who: Principal| who.subject().to_owned();
    let token = async |who: Principal| who.token_id().to_owned();
    let maybe = async |OptionalPrincipal(who): OptionalPrincipal, session: Option<SignedIn>| {
        assert_eq!(who.is_some(), session.is_some());
        session.map_or_else(|| "nobody".to_owned(), |session| session.subject().to_owned())
    };
    GuardedRouter::new()
        .route("/me", get(name).post(name).guard(authenticated()))
        .route("/token", get(token).guard(authenticated()))
        .route("/maybe", get(maybe).guard(optional()))
        .route("/open", post(async || "open").guard(public()))
        .route("/orders", get(async || "orders").guard(scope("orders:read")))
        .route("/write", get(async || "write").guard(scope("orders:write")))
        .route("/rules", get(async || "rules").guard(rbac("orders", "read")))
        .route("/strong", get(async || "strong").guard(authenticated().acr("phr")))
        .route("/recent", get(async || "recent").guard(authenticated().max_age(Duration::from_mins(1))))
        .route("/hook", post(async || "hook").guard(authenticated()).without_cookies())
        .merge(guard.login_routes())
        .guarded_by(guard)
}

/// A browser: it keeps cookies and says how it asks.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) service: Router,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Opens a page.
    pub(crate) async fn open(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[("sec-fetch-mode", "navigate"), ("accept", "text/html")], "").await
    }

    /// Has a script ask.
    pub(crate) async fn fetch(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[("sec-fetch-mode", "cors"), ("accept", "application/json")], "").await
    }

    /// Sends a form of a page of the service.
    pub(crate) async fn submit(&mut self, path: &str) -> Answer {
        let headers = [
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "same-origin"),
            ("origin", OWN),
            ("accept", "text/html"),
        ];
        self.ask("POST", path, &headers, "").await
    }

    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        let answer = send(&self.service, request.body(Body::from(body.to_owned())).unwrap()).await;
        for line in answer.headers.get_all("set-cookie") {
            self.keep(line.to_str().unwrap());
        }
        answer
    }

    fn keep(&mut self, line: &str) {
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(line.split("; ").any(|own| own == attribute), "{line}");
        }
        let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
        assert!(name.starts_with("__Host-") && !line.contains("Domain"), "{line}");
        if line.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Begins to sign in: gives where the issuer is asked.
    pub(crate) async fn begin(&mut self, path: &str) -> String {
        let answer = self.open(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        answer.header("location").to_owned()
    }

    /// Comes back from the issuer.
    pub(crate) async fn come_back(&mut self, answer: &BTreeMap<String, String>) -> Answer {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
        self.open(&format!("/auth/callback?{query}")).await
    }

    /// Signs in.
    pub(crate) async fn sign_in(&mut self, provider: &Provider, path: &str) -> Answer {
        let location = self.begin(path).await;
        self.come_back(&provider.answer(&location)).await
    }

    pub(crate) fn session(&self) -> Option<&String> {
        self.cookies.get("__Host-session")
    }
}
