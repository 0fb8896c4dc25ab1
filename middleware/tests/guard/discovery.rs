//! Where an issuer says what it is: as an OpenID provider, or as an authorization server that knows nothing of that (RFC 8414).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use portcullis_guard::{Guard, Introspection, Issuer};
use serde_json::json;

use crate::service::{Dial, builder, fetch, service};
use crate::signer::{Signer, jwks};

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// A host that says at each path what it was told to, and notes where it was asked.
#[derive(Clone)]
struct Host {
    url: String,
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
enum Page {
    Document(String),
    Redirect(String),
    Status(u16),
}

impl Host {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let host = Self { url, pages: Arc::default(), asked: Arc::default() };
        let app = Router::new().fallback(page).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        host
    }

    fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// Describes an issuer at a path, and publishes the key of a signer.
    fn describe(&self, at: &str, issuer: &str, signer: &Signer) {
        let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{}/keys", self.url) });
        self.put(at, Page::Document(metadata.to_string()));
        self.put("/keys", Page::Document(jwks([signer])));
    }

    /// Where it was asked since somebody looked.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn page(State(host): State<Host>, OriginalUri(uri): OriginalUri) -> Response {
    host.asked.lock().unwrap().push(uri.path().to_owned());
    match host.pages.lock().unwrap().get(uri.path()).cloned() {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Page::Document(text)) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Some(Page::Redirect(to)) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Some(Page::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
    }
}

async fn guard_of(issuer: &str) -> Guard {
    builder(&Dial::new()).issuer(Issuer::oidc(issuer)).build().await.unwrap()
}

#[tokio::test]
async fn an_authorization_server_without_openid_is_found_by_its_url_with_and_without_a_path() {
    for (path, place) in [
        ("", OAUTH.to_owned()),
        ("/", OAUTH.to_owned()),
        ("/realms/shop", format!("{OAUTH}/realms/shop")),
        ("/realms/shop/", format!("{OAUTH}/realms/shop")),
    ] {
        let (host, signer) = (Host::start().await, Signer::es256("a"));
        let issuer = format!("{}{path}", host.url);
        host.describe(&place, &issuer, &signer);
        let guard = guard_of(&issuer).await;
        let token = signer.token(&json!({ "iss": issuer }));
        assert_eq!(fetch(&service(&guard), "/me", &token).await.status, 200, "{issuer}");
        let openid = format!("{}{OPENID}", path.trim_end_matches('/'));
        assert_eq!(host.asked(), [openid, place, "/keys".to_owned()], "{issuer}");
    }
}

#[tokio::test]
async fn where_it_was_found_it_is_looked_for_again_and_at_the_other_place_once_it_is_gone_from_there() {
    let (host, signer) = (Host::start().await, Signer::es256("a"));
    host.describe(OAUTH, &host.url, &signer);
    let guard = guard_of(&host.url).await;
    assert_eq!(host.asked(), [OPENID, OAUTH, "/keys"]);
    guard.refresh().await;
    assert_eq!(host.asked(), ["/keys"], "where the keys are is known");
    host.put("/keys", Page::Status(500));
    guard.refresh().await;
    host.describe(OAUTH, &host.url, &signer);
    guard.refresh().await;
    assert_eq!(host.asked(), ["/keys", OAUTH, "/keys"], "and where that is said");
    host.put("/keys", Page::Status(500));
    guard.refresh().await;
    host.put(OAUTH, Page::Status(404));
    host.describe(OPENID, &host.url, &signer);
    guard.refresh().await;
    assert_eq!(host.asked(), ["/keys", OAUTH, OPENID, "/keys"], "it became an OpenID provider");
    host.put("/keys", Page::Status(500));
    guard.refresh().await;
    guard.refresh().await;
    assert_eq!(host.asked(), ["/keys", OPENID, "/keys"], "which is remembered, too");
}

#[tokio::test]
async fn only_what_is_not_there_leads_to_the_other_place() {
    let signer = Signer::es256("a");
    for (page, is_led_on) in [
        (Page::Status(404), true),
        (Page::Status(410), true),
        (Page::Status(204), false),
        (Page::Status(304), false),
        (Page::Status(400), false),
        (Page::Status(401), false),
        (Page::Status(403), false),
        (Page::Status(405), false),
        (Page::Status(429), false),
        (Page::Status(500), false),
        (Page::Status(503), false),
        (Page::Redirect(OAUTH.to_owned()), false),
        (Page::Document("<!doctype html>".to_owned()), false),
        (
            Page::Document(
                json!({ "issuer": "https://evil.test", "jwks_uri": "https://evil.test" }).to_string(),
            ),
            false,
        ),
    ] {
        let host = Host::start().await;
        host.describe(OAUTH, &host.url, &signer);
        host.put(OPENID, page);
        let guard = guard_of(&host.url).await;
        let asked = host.asked();
        assert_eq!(asked.contains(&OAUTH.to_owned()), is_led_on, "{asked:?}");
        assert_eq!(guard.is_ready(), is_led_on, "{asked:?}");
    }
}

#[tokio::test]
async fn the_other_place_is_held_to_what_the_first_one_is() {
    let signer = Signer::es256("a");
    let elsewhere = Host::start().await;
    elsewhere.describe(OAUTH, &elsewhere.url, &signer);
    let document = |host: &Host, issuer: &str, keys: &str| {
        host.put("/keys", Page::Document(jwks([&signer])));
        Page::Document(json!({ "issuer": issuer, "jwks_uri": keys }).to_string())
    };
    for name in [
        "another issuer",
        "a slash more",
        "plain http",
        "a redirect",
        "too long",
        "no JSON",
        "no keys",
        "trouble",
    ] {
        let host = Host::start().await;
        let keys = format!("{}/keys", host.url);
        let page = match name {
            "another issuer" => document(&host, &elsewhere.url, &keys),
            "a slash more" => document(&host, &format!("{}/", host.url), &keys),
            "plain http" => document(&host, &host.url, "http://keys.test/keys"),
            "a redirect" => Page::Redirect(format!("{}{OAUTH}", elsewhere.url)),
            "too long" => Page::Document(
                json!({ "issuer": host.url, "jwks_uri": keys, "pad": "x".repeat(256 * 1024) }).to_string(),
            ),
            "no JSON" => Page::Document("<!doctype html>".to_owned()),
            "no keys" => Page::Document(json!({ "issuer": host.url }).to_string()),
            _ => Page::Status(503),
        };
        host.put(OAUTH, page);
        let guard = guard_of(&host.url).await;
        assert_eq!(host.asked(), [OPENID, OAUTH], "{name}");
        assert!(!guard.is_ready(), "{name}");
        let token = signer.token(&json!({ "iss": host.url }));
        assert_eq!(fetch(&service(&guard), "/me", &token).await.status, 503, "{name}");
        // What was refused is no place to remember: the other one is asked first again. What only says nothing of use is.
        let next = if matches!(name, "plain http" | "no keys") { OAUTH } else { OPENID };
        host.describe(next, &host.url, &signer);
        guard.refresh().await;
        assert!(guard.is_ready(), "{name}");
        assert_eq!(host.asked().first().map(String::as_str), Some(next), "{name}");
    }
    assert!(elsewhere.asked().is_empty(), "redirects are not followed");
}

#[tokio::test]
async fn metadata_of_another_tenant_is_not_that_of_this_one() {
    let (host, signer) = (Host::start().await, Signer::es256("a"));
    host.describe(OAUTH, &host.url, &signer);
    host.describe(&format!("{OAUTH}/evil"), &format!("{}/evil", host.url), &signer);
    let guard = guard_of(&format!("{}/shop", host.url)).await;
    assert!(!guard.is_ready());
    assert_eq!(host.asked(), [format!("/shop{OPENID}"), format!("{OAUTH}/shop")]);
}

#[tokio::test]
async fn the_issuer_is_asked_about_opaque_tokens_where_it_says_so_by_rfc_8414() {
    let (host, signer) = (Host::start().await, Signer::es256("a"));
    host.put("/keys", Page::Document(jwks([&signer])));
    let (keys, asks) = (format!("{}/keys", host.url), format!("{}/ask", host.url));
    let metadata = json!({ "issuer": host.url, "jwks_uri": keys, "introspection_endpoint": asks });
    host.put(OAUTH, Page::Document(metadata.to_string()));
    host.put("/ask", Page::Document(json!({ "active": false }).to_string()));
    let guard = builder(&Dial::new())
        .issuer(Issuer::oidc(&host.url))
        .introspection(Introspection::discovered("orders", "secret"));
    let guard = guard.build().await.unwrap();
    assert_eq!(fetch(&service(&guard), "/me", "opaque-1").await.status, 401);
    assert!(host.asked().contains(&"/ask".to_owned()));
}
