//! The pages of an account: what a person sees and does.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, login_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::looks::{inspect, look_at};
use crate::sign_in;
use crate::walks::Scripts::{self, Off, On};
use crate::walks::browser;

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                     Version/26.0 Mobile/15E148 Safari/604.1";

/// A server, somebody who has a telephone as well, and an application that was let in with it.
struct Scene {
    server: TestServer,
    ada: Person,
    phone: Visitor,
}

impl Scene {
    async fn start() -> Self {
        let server = TestServer::start_on(Sqlite).await;
        let ada = server.admin.user("ada").await;
        let orders = server.admin.api("https://orders.test").await;
        let shop = server.admin.web_client(&[&orders]).await;
        let mut phone = server.visitor();
        let page = phone.open("/login").await;
        let form = login_form(&page, &ada.username, &ada.password);
        let request =
            phone.request(Method::POST, &form.action).form(&form.fields).header("user-agent", PHONE);
        let sent = request.header("sec-fetch-site", "same-origin").header("origin", "null");
        assert_eq!(phone.send(sent).await.status, 303);
        let asked = AuthorizeRequest::of(&shop).with("resource", &orders.audience);
        let asked = asked.with("scope", "openid profile email offline_access");
        let callback = phone.authorize(&asked, &ada).await;
        assert_eq!(server.machine.redeem(&shop, &asked, &callback).await.status, 200);
        Self { server, ada, phone }
    }

    async fn signed_in(&self, scripts: Scripts) -> Browser {
        let browser = browser(scripts).await;
        browser.open(&format!("{}/login", self.server.issuer)).await;
        sign_in(&browser, &self.ada).await;
        browser.wait_for("sign-out").await;
        browser
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_looks_after_the_account(#[values(On, Off)] scripts: Scripts) {
    let mut scene = Scene::start().await;
    let browser = scene.signed_in(scripts).await;

    browser.click("to-sessions").await;
    browser.wait_for("sessions").await;
    assert!(browser.text("sessions").await.contains("Safari on iPhone"));
    assert!(browser.text("sessions").await.contains("Chrome on Linux"));
    browser.click("end-others").await;
    assert!(browser.text("notice").await.contains("All other sessions have ended."));
    assert!(browser.has("alone").await);
    assert_eq!(scene.phone.open("/account").await.url.path(), "/login");

    browser.click("to-apps").await;
    assert_eq!(browser.text("app-1-title").await, "Test shop");
    browser.click("app-1-withdraw").await;
    assert!(browser.text("notice").await.contains("Access is withdrawn"));
    assert!(browser.has("no-apps").await);

    browser.click("to-profile").await;
    browser.fill("birthdate", "yesterday").await;
    browser.fill("nickname", "Ada").await;
    browser.click("save").await;
    browser.wait_for("error-summary").await;
    assert_eq!(browser.attribute("birthdate", "aria-invalid").await, "true");
    assert_eq!(
        (browser.value("birthdate").await, browser.value("nickname").await),
        ("yesterday".into(), "Ada".into())
    );
    if scripts == On {
        assert_eq!(browser.focused().await, "error-summary", "a screen reader hears what went wrong");
    }
    browser.fill("birthdate", "1815-12-10").await;
    browser.fill("street_address", "St James's Square 12").await;
    browser.click("save").await;
    assert!(browser.text("notice").await.contains("Your profile is saved."));
    assert_eq!(browser.value("street_address").await, "St James's Square 12");

    browser.click("to-log").await;
    let log = browser.text("log").await;
    for said in [
        "Your account was changed",
        "The access of Test shop was withdrawn",
        "A session of yours ended",
        "Signed in",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    browser.click("to-overview").await;
    browser.wait_for("change-password").await;
    let loud = browser.complaints().await.into_iter().filter(|line| !line.contains("status of 4"));
    assert_eq!(loud.collect::<Vec<_>>(), Vec::<String>::new());
    browser.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_has_the_account_deleted_and_keeps_it(#[values(On, Off)] scripts: Scripts) {
    let scene = Scene::start().await;
    let browser = scene.signed_in(scripts).await;
    let looks = async |page: &str| {
        if scripts == On {
            inspect(&browser, page).await;
        }
    };
    browser.click("to-data").await;
    browser.wait_for("download").await;
    looks("account-data").await;
    browser.click("to-deletion").await;
    browser.wait_for("deletion-form").await;
    looks("account-deletion").await;
    browser.fill("confirmation", "somebody").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    looks("account-deletion-refused").await;
    browser.fill("confirmation", "ada").await;
    browser.click("submit").await;
    browser.wait_for("until").await;
    looks("account-leaving").await;
    browser.click("sign-in-again").await;
    sign_in(&browser, &scene.ada).await;
    browser.wait_for("keep").await;
    looks("sign-in-leaving").await;
    browser.click("keep").await;
    assert!(browser.text("reason").await.contains("Your account is kept."));
    sign_in(&browser, &scene.ada).await;
    browser.wait_for("sign-out").await;
    browser.close().await;
}

/// The keys that lead on, and that press a button or follow a link.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_leads_through_the_pages_and_shows_where_it_is() {
    let scene = Scene::start().await;
    let browser = scene.signed_in(On).await;
    for (page, path) in [
        ("profile", "/account/profile"),
        ("password", "/account/security/password"),
        ("passkeys", "/account/security/passkeys"),
        ("security", "/account/security"),
        ("sessions", "/account/sessions"),
        ("apps", "/account/apps"),
        ("log", "/account/log"),
        ("data", "/account/data"),
        ("overview", "/account"),
    ] {
        let link = browser.wait_for(&format!("to-{page}")).await;
        link.send_keys(ENTER).await.unwrap();
        let current = "return document.querySelector('nav a[aria-current=page]').id";
        browser.wait_for(&format!("to-{page}")).await;
        assert_eq!(
            (browser.url().await.path(), browser.script(current).await),
            (path, json!(format!("to-{page}")))
        );
        let marked = "return document.querySelectorAll('nav [aria-current]').length";
        assert_eq!(browser.script(marked).await, 1, "{page}");
    }
    // From link to link in the order of the page, each with a ring around it.
    browser.wait_for("to-overview").await.send_keys(TAB).await.unwrap();
    for page in ["profile", "password", "passkeys", "security", "sessions", "apps", "log", "data"] {
        assert_eq!(browser.focused().await, format!("to-{page}"));
        let ring = "return getComputedStyle(document.activeElement).outlineStyle";
        assert_eq!(browser.script(ring).await, "solid", "{page}");
        browser.wait_for(&format!("to-{page}")).await.send_keys(TAB).await.unwrap();
    }
    browser.click("to-sessions").await;
    let end = "return document.querySelector('#sessions form:not(#sign-out-form) button').id";
    let end = browser.script(end).await.as_str().unwrap().to_owned();
    browser.wait_for(&end).await.send_keys(ENTER).await.unwrap();
    assert!(browser.text("notice").await.contains("The session has ended."));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_of_the_pages_of_an_account_fits_every_screen() {
    let scene = Scene::start().await;
    let browser = scene.signed_in(On).await;
    let open = async |page: &str| browser.open(&format!("{}/account/{page}", scene.server.issuer)).await;
    open("sessions").await;
    inspect(&browser, "account-sessions").await;
    open("apps").await;
    inspect(&browser, "account-apps").await;
    look_at(&browser, "account-apps-withdraw", "app-1-form").await;
    open("profile").await;
    inspect(&browser, "account-profile").await;
    look_at(&browser, "account-profile-end", "save").await;
    for (field, text) in
        [("zoneinfo", "Mars"), ("website", "ada.example"), ("street_address", &"x".repeat(501))]
    {
        browser.fill(field, text).await;
    }
    browser.click("save").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "account-profile-refused").await;
    look_at(&browser, "account-profile-wrong", "website").await;
    open("log").await;
    inspect(&browser, "account-log").await;
    for number in 0..50 {
        let change = scene.server.admin.request(Method::PUT, &format!("/users/{}", scene.ada.id)).await;
        let changed = json!({ "username": "ada", "name": format!("Ada {number}") });
        assert_eq!(Answer::to(change.header("if-match", "*").json(&changed)).await.status, 200);
    }
    open("log").await;
    look_at(&browser, "account-log-end", "older").await;
    browser.click("older").await;
    browser.wait_for("newest").await;
    inspect(&browser, "account-log-older").await;
    open("log?before=1").await;
    inspect(&browser, "account-log-none").await;
    open("sessions").await;
    browser.click("end-others").await;
    browser.wait_for("alone").await;
    inspect(&browser, "account-sessions-alone").await;
    open("apps").await;
    browser.click("app-1-withdraw").await;
    browser.wait_for("no-apps").await;
    inspect(&browser, "account-apps-none").await;
    browser.close().await;
}
