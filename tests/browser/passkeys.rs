//! Passkeys, as people see them.

use std::time::Duration;

use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::server::TestServer;
use tokio::time::timeout;

use crate::looks::inspect;
use crate::sign_in;
use crate::walks::Scripts::Off;
use crate::walks::browser;

/// How long scripts and devices may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something is as it should be: scripts and devices take a moment.
async fn until(browser: &Browser, script: &str) {
    let script = format!("return Boolean({script})");
    let seen = timeout(PATIENCE, async { while browser.script(&script).await != true {} }).await;
    assert!(seen.is_ok(), "{script}: never, at {}:\n{}", browser.url().await, browser.source().await);
}

/// Waits until a device keeps nothing any more.
async fn until_forgotten(browser: &Browser, device: &str) {
    let gone = timeout(PATIENCE, async { while browser.passkeys_of(device).await > 0 {} }).await;
    assert!(gone.is_ok(), "the device keeps a passkey that counts for nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_adds_a_passkey_signs_in_with_it_and_removes_it() {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let browser = Browser::start().await;
    let device = browser.add_authenticator().await;
    let login = format!("{}/login", server.issuer);
    browser.open(&login).await;
    until(&browser, "!document.getElementById('passkey').hidden").await;
    assert_eq!(browser.attribute("username", "autocomplete").await, "username webauthn");
    inspect(&browser, "passkeys-login").await;
    sign_in(&browser, &ada).await;
    browser.click("to-passkeys").await;
    browser.wait_for("no-passkeys").await;
    until(&browser, "!document.getElementById('passkey').hidden").await;
    assert_eq!(browser.script("return document.getElementById('passkey-unable').hidden").await, true);
    inspect(&browser, "passkeys-none").await;
    browser.click("add-passkey").await;
    browser.wait_for("notice").await;
    assert!(browser.text("notice").await.contains("The passkey is added."));
    inspect(&browser, "passkeys-added").await;
    assert_eq!(browser.passkeys_of(&device).await, 1);

    // Another one for the same account is refused by the device.
    browser.click("add-passkey").await;
    until(&browser, "document.getElementById('passkey-said').textContent").await;
    inspect(&browser, "passkeys-add-failed").await;

    // Where somebody types their name, the browser offers it, and this device takes it at once.
    browser.click("to-overview").await;
    browser.click("sign-out").await;
    browser.wait_for("signed-out").await;
    browser.open(&login).await;
    until(&browser, "location.pathname === '/account'").await;
    assert!(browser.text("signed-in-as").await.contains("ada"));

    // By the button, while the browser waits for a name.
    browser.click("sign-out").await;
    browser.wait_for("signed-out").await;
    browser.attend(&device, false).await;
    browser.open(&login).await;
    until(&browser, "!document.getElementById('passkey').hidden").await;
    // The device looks whether somebody is there when it is asked. What waits for a name may see it first, and leave the page.
    browser.attend(&device, true).await;
    browser.script("document.getElementById('use-passkey')?.click()").await;
    until(&browser, "location.pathname === '/account'").await;

    browser.click("to-passkeys").await;
    until(&browser, "document.querySelector('#passkeys summary')").await;
    browser.script("document.querySelector('#passkeys details').open = true").await;
    inspect(&browser, "passkeys-change").await;
    browser
        .script("document.querySelector('form[id$=-rename-form] input[name=name]').value = 'Key ring'")
        .await;
    browser.script("document.querySelector('button[id$=-rename]').click()").await;
    until(&browser, "document.querySelector('#passkeys strong').textContent === 'Key ring'").await;
    browser.script("document.querySelector('button[id$=-remove]').click()").await;
    browser.wait_for("no-passkeys").await;
    assert!(browser.text("notice").await.contains("The passkey is removed."));
    // Whoever kept it heard of that.
    until_forgotten(&browser, &device).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_that_counts_for_nothing_is_said_and_forgotten() {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let browser = Browser::start().await;
    let device = browser.add_authenticator().await;
    let login = format!("{}/login", server.issuer);
    browser.open(&login).await;
    sign_in(&browser, &ada).await;
    browser.click("to-passkeys").await;
    until(&browser, "!document.getElementById('passkey').hidden").await;
    browser.click("add-passkey").await;
    browser.wait_for("notice").await;
    let path = format!("/users/{}/second-step", ada.id);
    let gone = server.admin.send(reqwest::Method::DELETE, &path, &serde_json::json!({})).await;
    assert_eq!(gone.status, 204);
    browser.open(&login).await;
    until_forgotten(&browser, &device).await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "passkeys-refused").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_scripts_nothing_asks_for_a_passkey() {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let browser = browser(Off).await;
    browser.open(&format!("{}/login", server.issuer)).await;
    assert!(browser.source().await.contains("data-kind=\"get\""));
    assert_eq!(browser.attribute("passkey", "hidden").await, "true");
    sign_in(&browser, &ada).await;
    browser.click("to-passkeys").await;
    assert!(browser.text("passkey-unable").await.contains("scripts switched on"));
    assert_eq!(browser.attribute("passkey", "hidden").await, "true");
    browser.close().await;
}
