//! Signing in by a code that comes by mail, as people see it.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::browser::Browser;
use portcullis_tests::by_mail::{ByMail, SUBJECT, other_than};
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::landing::Landing;
use rstest::rstest;
use serde_json::json;

use crate::looks::inspect;
use crate::walks::Scripts::{self, Off, On};
use crate::walks::browser;

async fn open(scene: &ByMail, browser: &Browser, path: &str) {
    browser.open(&format!("{}{path}", scene.server.issuer)).await;
}

/// Asks for a code on the page that is open.
async fn ask(browser: &Browser, who: &str) {
    browser.fill("username", who).await;
    browser.click("submit").await;
    browser.wait_for("open").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_by_mail_and_lands_at_the_application(#[values(On, Off)] scripts: Scripts) {
    let scene = ByMail::start(Sqlite).await;
    scene.person("ada").await;
    let landing = Landing::start().await;
    let document = json!({ "name": "Test app", "preset": "native", "redirect_uris": [landing.redirect_uri] });
    let app = scene.server.admin.client(document).await;
    let request = AuthorizeRequest::of(&app).with("scope", "openid email");
    let browser = browser(scripts).await;
    open(&scene, &browser, &request.path()).await;
    browser.click("by-letter").await;
    ask(&browser, "ada@example.org").await;
    let code = scene.code().await;
    browser.fill("code", &other_than(&code)).await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    assert_eq!(browser.attribute("code", "aria-invalid").await, "true");
    assert_eq!(browser.attribute("code", "autocomplete").await, "one-time-code");
    if scripts == On {
        assert_eq!(browser.focused().await, "error-summary", "a screen reader hears what went wrong");
        // The link of the letter, in the same browser: one button is left to press.
        let body = scene.letters(SUBJECT).await.pop().unwrap().body();
        let link = body.split_whitespace().find(|word| word.contains("#k=")).unwrap().to_owned();
        browser.open(&link).await;
        assert_eq!(browser.value("code").await, code);
        let url = browser.url().await;
        assert_eq!(url.fragment(), None, "the code is not left in the address");
        assert!(url.query().is_some_and(|query| query.starts_with("asked=lsi_")), "{url}");
        assert_eq!(browser.focused().await, "submit");
    } else {
        browser.fill("code", &code).await;
    }
    browser.click("submit").await;
    assert_eq!(browser.text("redirect-host").await, "127.0.0.1");
    browser.click("consent-approve").await;
    browser.wait_for("landed").await;
    let tokens = scene.server.machine.redeem(&app, &request, &landing.callback()).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let loud = browser.complaints().await.into_iter();
    let loud = loud.filter(|line| !line.contains("status of 4") && !line.contains("/favicon.ico"));
    assert_eq!(loud.collect::<Vec<_>>(), Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_of_a_sign_in_by_mail_fits_every_screen() {
    let scene = ByMail::start(Sqlite).await;
    scene.person("ada").await;
    let browser = browser(On).await;
    open(&scene, &browser, "/login").await;
    browser.wait_for("by-letter").await;
    inspect(&browser, "login-by-mail").await;
    browser.click("by-letter").await;
    browser.wait_for("letter").await;
    inspect(&browser, "by-mail").await;
    browser.fill("username", " ").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "by-mail-empty").await;
    ask(&browser, "ada").await;
    inspect(&browser, "by-mail-code").await;
    let code = scene.code().await;
    browser.fill("code", &other_than(&code)).await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "by-mail-code-wrong").await;
    browser.fill("code", &code).await;
    browser.click("submit").await;
    browser.wait_for("signed-in-as").await;
    open(&scene, &browser, "/login/letter/code?asked=lsi_1").await;
    browser.wait_for("ended").await;
    inspect(&browser, "by-mail-ended").await;
    let mut other = scene.server.visitor();
    let (page, _) = scene.code_for(&mut other, "ada").await;
    open(&scene, &browser, &format!("/login/letter/code?{}", page.url.query().unwrap())).await;
    browser.wait_for("foreign").await;
    inspect(&browser, "by-mail-foreign").await;
    browser.close().await;
}
