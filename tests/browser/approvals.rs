//! Requests that clients started from behind: what a person sees and does.

use portcullis_tests::browser::Browser;
use portcullis_tests::ciba::bank;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use rstest::rstest;
use serde_json::json;

use crate::looks::{inspect, look_at};
use crate::sign_in;

const ASKED: &[Field<'_>] = &[
    ("scope", "openid profile offline_access orders:read"),
    ("resource", "https://orders.test"),
    ("login_hint", "ada"),
    ("binding_message", "W4SCT 12.50 EUR"),
];
const PLAIN: &[Field<'_>] = &[("scope", "openid"), ("login_hint", "ada"), ("max_age", "0")];

/// A client that may start sign-ins and ask for tokens for an API.
async fn client(server: &TestServer) -> Registered {
    let orders = server.admin.api("https://orders.test").await;
    let mut document = bank("poll", &json!({}));
    document["apis"] = json!([orders.id]);
    server.admin.client(document).await
}

/// The requests on the open page.
async fn waiting(browser: &Browser) -> Vec<String> {
    let found = browser
        .script("return [...document.querySelectorAll('section.request')].map(section => section.id)")
        .await;
    let found = found.as_array().cloned().unwrap_or_default();
    found.iter().filter_map(|id| id.as_str()).map(str::to_owned).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_approves_what_an_application_asks_for_elsewhere(#[values(true, false)] scripts: bool) {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let bank = client(&server).await;
    let browser = Browser::start().await;
    if !scripts {
        browser.disable_scripts().await;
    }
    browser.open(&format!("{}/approvals", server.issuer)).await;
    assert!(browser.text("reason").await.contains("waits for your approval"));
    sign_in(&browser, &ada).await;
    browser.wait_for("approvals-none").await;
    let id = server.machine.started(&bank, ASKED).await;
    browser.click("look-again").await;
    browser.wait_for("approvals-warning").await;
    let request = waiting(&browser).await.remove(0);
    assert_eq!(browser.text(&format!("{request}-message")).await, "W4SCT 12.50 EUR");
    assert_eq!(browser.text("signed-in-as").await, "ada of the tests");
    browser.click(&format!("{request}-allow")).await;
    assert!(browser.text("notice").await.contains("You allowed it."));
    let tokens = server.machine.ask(&bank, &id).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_leads_from_the_account_to_a_denial() {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let bank = client(&server).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &ada).await;
    browser.wait_for("approvals").await;
    let id = server.machine.started(&bank, ASKED).await;
    browser.open(&format!("{}/account", server.issuer)).await;
    assert!(browser.text("approvals").await.contains("One request waits for you."));
    // `\u{e007}` is the enter key, by which a form is sent without a pointer.
    browser.wait_for("approvals").await.send_keys("\u{e007}").await.unwrap();
    browser.wait_for("approvals-warning").await;
    let request = waiting(&browser).await.remove(0);
    browser.wait_for(&format!("{request}-deny")).await.send_keys("\u{e007}").await.unwrap();
    assert!(browser.text("notice").await.contains("You denied it."));
    assert_eq!(server.machine.ask(&bank, &id).await.error(), "access_denied");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_state_of_the_page_of_approvals_fits_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let bank = client(&server).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/approvals", server.issuer)).await;
    inspect(&browser, "approvals-sign-in").await;
    sign_in(&browser, &ada).await;
    browser.wait_for("approvals-none").await;
    inspect(&browser, "approvals-none").await;
    server.machine.started(&bank, ASKED).await;
    server.wait(std::time::Duration::from_secs(1));
    server.machine.started(&bank, PLAIN).await;
    browser.click("look-again").await;
    browser.wait_for("approvals-warning").await;
    inspect(&browser, "approvals").await;
    // Neither answer is the easy one (equal weight).
    let requests = waiting(&browser).await;
    assert_eq!(requests.len(), 2);
    for request in &requests {
        let side = |id: &str| {
            format!("return document.getElementById('{request}-{id}').getBoundingClientRect().width")
        };
        let (deny, allow) = (browser.script(&side("deny")).await, browser.script(&side("allow")).await);
        assert_eq!(deny.as_f64().map(f64::round), allow.as_f64().map(f64::round));
    }
    look_at(&browser, "approvals-allow", &format!("{}-form", requests[0])).await;
    look_at(&browser, "approvals-again", &format!("{}-form", requests[1])).await;
    // Every name on the page is there once, however many requests wait.
    let repeated = browser
        .script(
            "const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
             return ids.filter((id, index) => ids.indexOf(id) !== index)",
        )
        .await;
    assert_eq!(repeated, json!([]));
    browser.open(&format!("{}/account", server.issuer)).await;
    inspect(&browser, "account-approvals").await;
    browser.open(&format!("{}/approvals", server.issuer)).await;
    browser.click(&format!("{}-allow", requests[0])).await;
    browser.wait_for("notice").await;
    inspect(&browser, "approvals-allowed").await;
    server.wait(std::time::Duration::from_mins(5));
    browser.click(&format!("{}-deny", requests[1])).await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "approvals-gone").await;
    browser.close().await;
}
