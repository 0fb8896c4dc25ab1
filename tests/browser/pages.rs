//! Every page but those of rules in light, in dark and on the narrowest screen.

use portcullis_server::config::Dynamic;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::{BareServer, TestServer};
use portcullis_tests::visitor::Person;
use serde_json::json;

use crate::looks::inspect;
use crate::sign_in;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_and_its_errors_fit_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let browser = Browser::start().await;
    let shop = server.admin.web_client(&[]).await;
    browser.open(&format!("{}{}", server.issuer, AuthorizeRequest::of(&shop).path())).await;
    inspect(&browser, "sign-in").await;
    sign_in(&browser, &Person { password: "wrong".to_owned(), ..ada }).await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "sign-in-refused").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consent_fits_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid profile email offline_access");
    let browser = Browser::start().await;
    browser.open(&format!("{}{}", server.issuer, request.path())).await;
    sign_in(&browser, &ada).await;
    browser.wait_for("consent").await;
    inspect(&browser, "consent").await;
    // Neither answer is the easy one (equal weight).
    let width = |id: &str| format!("return document.getElementById('{id}').getBoundingClientRect().width");
    let (deny, allow) =
        (browser.script(&width("consent-deny")).await, browser.script(&width("consent-approve")).await);
    assert_eq!(deny.as_f64().map(f64::round), allow.as_f64().map(f64::round));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_fit_every_screen_and_name_a_reference() {
    let server = TestServer::start_on(Sqlite).await;
    let browser = Browser::start().await;
    browser
        .open(&format!("{}/authorize?client_id=nobody&redirect_uri=https%3A%2F%2Fevil.test", server.issuer))
        .await;
    inspect(&browser, "error-client").await;
    assert_eq!(browser.text("parameter").await, "client_id");
    assert_ne!(browser.text("reference").await, "");
    browser.open(&format!("{}/nothing/here", server.issuer)).await;
    inspect(&browser, "error-not-found").await;
    browser.close().await;
}

/// Links and buttons of a page that says where an error would lead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_a_stranger_fits_every_screen() {
    let server =
        TestServer::start_with(Sqlite, |config| config.reach.registration.dynamic = Dynamic::Open).await;
    let own = OwnRegistration::of(&server.register(None, &web_metadata()).await);
    let browser = Browser::start().await;
    let wrong = AuthorizeRequest::of(&own.client).with("scope", "nothing");
    for (mode, name) in [("query", "told"), ("form_post", "told-form")] {
        let request = wrong.clone().with("response_mode", mode);
        browser.open(&format!("{}{}", server.issuer, request.path())).await;
        inspect(&browser, name).await;
        assert_eq!(browser.text("redirect-host").await, "partner.test");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn set_up_fits_every_screen() {
    let server = BareServer::start_on(Sqlite).await;
    server.setup_code().await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/setup", server.issuer)).await;
    browser.wait_for("setup").await;
    inspect(&browser, "set-up").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_set_up_fits_every_screen() {
    let server = BareServer::start_on(Sqlite).await;
    let code = server.setup_code().await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/setup#k={code}", server.issuer)).await;
    browser.wait_for("setup").await;
    browser.fill("username", "root").await;
    browser.fill("new-password", "a password for the first one").await;
    browser.click("submit").await;
    browser.wait_for("login").await;
    inspect(&browser, "sign-in-after-set-up").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_pages_fit_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &ada).await;
    browser.wait_for("sign-out").await;
    inspect(&browser, "account").await;
    browser.click("change-password").await;
    browser.wait_for("change-password-form").await;
    inspect(&browser, "change-password").await;
    browser.open(&format!("{}/logout", server.issuer)).await;
    browser.wait_for("logout").await;
    inspect(&browser, "sign-out").await;
    browser.click("logout-confirm").await;
    browser.open(&format!("{}/logged-out", server.issuer)).await;
    inspect(&browser, "signed-out").await;
    browser.close().await;
}

/// By how many pixels the page is wider than its room, and how much of the screen a scroll bar takes.
const ROOM: &str = "
    const root = document.documentElement;
    return [root.scrollWidth - root.clientWidth, innerWidth - root.clientWidth];";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_scrolls_sideways_beside_a_scroll_bar() {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    server.admin.activate(&orders, "p, viewer, *, /v1/orders/{order}, read\n").await;
    let owner = server.admin.administrator("owner").await;
    let browser = Browser::start_with_scroll_bars().await;
    let narrow = async |path: &str| {
        browser.open(&format!("{}{path}", server.issuer)).await;
        // However much a page shows, it is longer than this screen.
        browser.script("document.body.style.minBlockSize = '200vh'").await;
        assert_eq!(browser.script(ROOM).await, json!([0, 15]), "{path}");
    };
    for path in ["/login", "/authorize", "/nothing/here"] {
        narrow(path).await;
    }
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &owner).await;
    browser.wait_for("rules").await;
    let rules = format!("/admin/policies/{}", orders.id);
    for part in ["", "/try", "/activation", "/history", "/history/1", "/routes"] {
        narrow(&format!("{rules}{part}")).await;
    }
    for page in ["apps", "data", "data/deletion", "log", "profile", "sessions"] {
        narrow(&format!("/account/{page}")).await;
    }
    for path in ["/account", "/account/security/password", "/admin/policies", "/logout", "/logged-out"] {
        narrow(path).await;
    }
    browser.close().await;
}
