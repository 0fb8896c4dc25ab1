//! Signing in on a device: what a person sees and does.

use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::server::TestServer;
use rstest::rstest;

use crate::looks::inspect;
use crate::sign_in;

const ASKED: &[(&str, &str)] =
    &[("scope", "openid profile email offline_access orders:read"), ("resource", "https://orders.test")];
const MAY: &str = "openid profile email offline_access orders:read";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_types_the_code_of_a_device_and_it_goes_on(#[values(true, false)] scripts: bool) {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let television = server.admin.device_client(MAY, &[&orders]).await;
    let codes = server.machine.device_codes(&television, ASKED).await;
    let browser = Browser::start().await;
    if !scripts {
        browser.disable_scripts().await;
    }
    browser.open(&format!("{}/device", server.issuer)).await;
    browser.fill("user_code", "bcdf ghjk").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    if scripts {
        assert_eq!(browser.focused().await, "error-summary", "a screen reader hears what went wrong");
    }
    browser.fill("user_code", &codes.user.to_lowercase().replace('-', " ")).await;
    browser.click("submit").await;
    sign_in(&browser, &ada).await;
    assert_eq!(browser.text("device-code").await, codes.user);
    assert_eq!(browser.text("signed-in-as").await, "ada of the tests");
    browser.click("device-allow").await;
    assert!(browser.text("device-outcome").await.contains("Go back to your device"));
    let tokens = server.machine.poll(&television, &codes).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let unexpected = browser.complaints().await.into_iter().filter(|line| !line.contains("status of 422"));
    assert_eq!(unexpected.collect::<Vec<_>>(), Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_leads_to_the_code_and_the_keyboard_to_a_denial() {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let television = server.admin.device_client(MAY, &[&orders]).await;
    let codes = server.machine.device_codes(&television, ASKED).await;
    let browser = Browser::start().await;
    browser.open(&codes.complete).await;
    assert_eq!(browser.value("user_code").await, codes.user);
    // `\u{e007}` is the enter key, by which a form is sent without a pointer.
    browser.wait_for("user_code").await.send_keys("\u{e007}").await.unwrap();
    sign_in(&browser, &ada).await;
    browser.wait_for("device-deny").await.send_keys("\u{e007}").await.unwrap();
    assert!(browser.text("device-outcome").await.contains("It gets nothing"));
    assert_eq!(server.machine.poll(&television, &codes).await.error(), "access_denied");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_of_a_device_fits_every_screen() {
    let server =
        TestServer::start_with(Sqlite, |config| config.limits.login_per_account_per_minute = 1).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let television = server.admin.device_client(MAY, &[&orders]).await;
    let codes = server.machine.device_codes(&television, ASKED).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/device", server.issuer)).await;
    inspect(&browser, "device").await;
    browser.open(&codes.complete).await;
    inspect(&browser, "device-link").await;
    browser.fill("user_code", "BCDF-GHJ").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "device-unknown").await;
    browser.fill("user_code", &codes.user).await;
    browser.click("submit").await;
    browser.wait_for("login").await;
    inspect(&browser, "device-sign-in").await;
    sign_in(&browser, &ada).await;
    browser.wait_for("device-confirm").await;
    inspect(&browser, "device-confirm").await;
    // Neither answer is the easy one (equal weight), and the code stands on one line.
    let side = |id: &str, side: &str| {
        format!("return document.getElementById('{id}').getBoundingClientRect().{side}")
    };
    let (deny, allow) = (
        browser.script(&side("device-deny", "width")).await,
        browser.script(&side("device-allow", "width")).await,
    );
    assert_eq!(deny.as_f64().map(f64::round), allow.as_f64().map(f64::round));
    let height = browser.script(&side("device-code", "height")).await;
    assert!(height.as_f64().is_some_and(|height| height < 80.0), "{height}");
    browser.click("device-allow").await;
    browser.wait_for("device-outcome").await;
    inspect(&browser, "device-done").await;
    browser.open(&format!("{}/device/denied", server.issuer)).await;
    inspect(&browser, "device-denied").await;
    browser.open(&format!("{}/device", server.issuer)).await;
    browser.fill("user_code", "BCDF-GHJK").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "device-throttled").await;
    browser.close().await;
}
