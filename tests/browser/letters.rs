//! What letters lead to: another password, and an address that is confirmed, changed and put back.

use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::post_office::PostOffice;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::Person;
use rstest::rstest;

use crate::looks::{inspect, look_at};
use crate::sign_in;
use crate::walks::Scripts::{self, Off, On};
use crate::walks::browser;

const NEW: &str = "umbrella walnut fortnight";

struct Scene {
    office: PostOffice,
    server: TestServer,
    ada: Person,
}

impl Scene {
    async fn start() -> Self {
        let office = PostOffice::start().await;
        let server = TestServer::start_with(Sqlite, |config| office.serve(config)).await;
        let ada = server.admin.user("ada").await;
        Self { office, server, ada }
    }

    async fn open(&self, browser: &Browser, path: &str) {
        browser.open(&format!("{}{path}", self.server.issuer)).await;
    }

    /// The code of the newest letter that leads to this page.
    async fn code(&self, path: &str) -> String {
        self.server.app().send_letters().await.unwrap();
        let leads = format!("{path}#k=");
        let received = self.office.received();
        let letter = received.iter().rev().find(|letter| letter.body().contains(&leads)).unwrap();
        letter.code().unwrap()
    }

    /// Opens the link of the newest letter that leads to this page, and goes on with its code: with scripts it is in the form already,
    /// and no longer in the address.
    async fn follow(&self, browser: &Browser, scripts: Scripts, path: &str) {
        let code = self.code(path).await;
        self.open(browser, &format!("{path}#k={code}")).await;
        if scripts == On {
            assert_eq!(browser.value("code").await, code);
            assert_eq!(browser.url().await.fragment(), None, "the code is not left in the address");
        } else {
            browser.fill("code", &code).await;
        }
        browser.click("submit").await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_forgot_the_password_is_led_to_a_new_one(#[values(On, Off)] scripts: Scripts) {
    let scene = Scene::start().await;
    let browser = browser(scripts).await;
    scene.open(&browser, "/login").await;
    browser.click("forgot").await;
    browser.fill("username", "ada@example.org").await;
    browser.click("submit").await;
    assert!(browser.text("sent").await.contains("a letter is on its way"));
    scene.follow(&browser, scripts, "/recover/new").await;
    browser.fill("new-password", "passwordpassword").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    browser.fill("new-password", NEW).await;
    browser.click("submit").await;
    assert!(browser.text("reason").await.contains("Your password is changed"));
    sign_in(&browser, &Person { password: NEW.to_owned(), ..scene.ada.clone() }).await;
    assert_eq!(browser.text("signed-in-as").await, "ada of the tests");
    let loud = browser.complaints().await.into_iter().filter(|line| !line.contains("status of 4"));
    assert_eq!(loud.collect::<Vec<_>>(), Vec::<String>::new());
    browser.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_confirmed_changed_and_put_back(#[values(On, Off)] scripts: Scripts) {
    let scene = Scene::start().await;
    let browser = browser(scripts).await;
    scene.open(&browser, "/login").await;
    sign_in(&browser, &scene.ada).await;
    browser.click("to-profile").await;
    assert_eq!(browser.text("address-state").await, "Not confirmed");
    browser.click("send-again").await;
    assert!(browser.text("notice").await.contains("on its way"));
    scene.follow(&browser, scripts, "/verify").await;
    assert!(browser.text("claimed").await.contains("Does ada@example.org belong to the account ada?"));
    browser.click("submit").await;
    browser.wait_for("done").await;
    browser.click("to-profile").await;
    assert_eq!(browser.text("address-state").await, "Confirmed");
    browser.click("change-address").await;
    browser.fill("email", "ada@new.test").await;
    browser.fill("password", &scene.ada.password).await;
    browser.click("submit").await;
    assert!(browser.text("notice").await.contains("the new address"));
    scene.follow(&browser, scripts, "/verify").await;
    browser.wait_for("claimed").await;
    browser.click("submit").await;
    browser.wait_for("done").await;
    browser.click("to-profile").await;
    assert_eq!(browser.text("address").await, "ada@new.test");
    scene.follow(&browser, scripts, "/recover/address").await;
    assert!(browser.text("notice").await.contains("Your address is back"));
    browser.fill("new-password", NEW).await;
    browser.click("submit").await;
    browser.wait_for("reason").await;
    sign_in(&browser, &Person { password: NEW.to_owned(), ..scene.ada.clone() }).await;
    browser.click("to-profile").await;
    assert_eq!(browser.text("address").await, "ada@example.org");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_that_letters_lead_to_fits_every_screen() {
    let scene = Scene::start().await;
    let browser = browser(On).await;
    scene.open(&browser, "/login").await;
    inspect(&browser, "login-forgot").await;
    scene.open(&browser, "/recover").await;
    inspect(&browser, "recover").await;
    browser.fill("username", " ").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "recover-empty").await;
    browser.fill("username", "ada").await;
    browser.click("submit").await;
    browser.wait_for("sent").await;
    inspect(&browser, "recover-sent").await;
    scene.open(&browser, "/recover/new").await;
    inspect(&browser, "recover-code").await;
    scene.open(&browser, "/recover/new#k=nothing").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "recover-code-bad").await;
    scene.follow(&browser, On, "/recover/new").await;
    browser.wait_for("new-password").await;
    inspect(&browser, "recover-new").await;
    scene.open(&browser, "/login").await;
    sign_in(&browser, &scene.ada).await;
    browser.click("to-profile").await;
    browser.wait_for("send-again").await;
    look_at(&browser, "profile-address", "mail-title").await;
    inspect(&browser, "profile-with-address").await;
    browser.click("change-address").await;
    browser.wait_for("email").await;
    inspect(&browser, "email").await;
    browser.fill("email", "ada").await;
    browser.script("document.getElementById('email').type = 'text'").await;
    browser.fill("password", "x").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "email-bad").await;
    scene.open(&browser, "/account/profile").await;
    browser.click("send-again").await;
    browser.wait_for("notice").await;
    scene.follow(&browser, On, "/verify").await;
    browser.wait_for("claimed").await;
    inspect(&browser, "verify").await;
    browser.click("submit").await;
    browser.wait_for("done").await;
    inspect(&browser, "verify-done").await;
    scene.open(&browser, "/recover/address").await;
    inspect(&browser, "recover-address").await;
    browser.close().await;
}
