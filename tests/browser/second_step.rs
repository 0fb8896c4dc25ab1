//! The second step of a sign-in, as people see it.

use std::time::Duration;

use portcullis_tests::authenticator::Authenticator;
use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::server::TestServer;
use rstest::rstest;

use crate::looks::inspect;
use crate::sign_in;
use crate::walks::Scripts::{self, Off, On};
use crate::walks::browser;

/// Types a code on the page that is open.
async fn give(browser: &Browser, field: &str, code: &str) {
    browser.fill(field, code).await;
    browser.click("submit").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_adds_a_second_step_and_signs_in_with_it(#[values(On, Off)] scripts: Scripts) {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let now = || server.clock.now();
    let browser = browser(scripts).await;
    let looks = async |page: &str| {
        if scripts == On {
            inspect(&browser, page).await;
        }
    };
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &ada).await;
    browser.click("to-security").await;
    browser.wait_for("second-step-off").await;
    looks("second-step-off").await;
    browser.click("add-step").await;
    let app = Authenticator::shown(&browser.text("secret").await);
    looks("second-step-offer").await;
    give(&browser, "totp", &app.wrong_code(now())).await;
    browser.wait_for("error-summary").await;
    assert_eq!(browser.attribute("totp", "aria-invalid").await, "true");
    assert_eq!(browser.attribute("totp", "autocomplete").await, "one-time-code");
    looks("second-step-offer-wrong").await;
    give(&browser, "totp", &app.code(now())).await;
    let codes = browser.text("codes").await;
    let recovery = codes.split_whitespace().next().unwrap().to_owned();
    looks("second-step-recovery-codes").await;
    browser.click("done").await;
    assert!(browser.text("codes-left").await.contains("10"));
    looks("second-step-on").await;

    browser.click("to-overview").await;
    browser.click("sign-out").await;
    browser.wait_for("signed-out").await;
    server.wait(Duration::from_secs(30));
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &ada).await;
    browser.wait_for("second-step").await;
    looks("second-step-code").await;
    give(&browser, "totp", &app.wrong_code(now())).await;
    browser.wait_for("error-summary").await;
    if scripts == On {
        assert_eq!(browser.focused().await, "error-summary", "a screen reader hears what went wrong");
    }
    looks("second-step-code-wrong").await;
    browser.click("use-recovery").await;
    browser.wait_for("recovery-code").await;
    looks("second-step-recovery").await;
    give(&browser, "recovery-code", &recovery).await;
    browser.click("to-security").await;
    assert!(browser.text("codes-left").await.contains('9'));
    browser.click("remove-step").await;
    assert!(browser.text("notice").await.contains("The second step is removed."));
    browser.close().await;
}
