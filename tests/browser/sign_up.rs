//! What makes an account: a letter to whoever wants one, and an invitation.

use portcullis_server::config::SignUp;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::landing::Landing;
use portcullis_tests::post_office::{PostOffice, Received};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;

use crate::looks::inspect;
use crate::walks::Scripts::{self, Off, On};
use crate::walks::browser;

const PASSWORD: &str = "umbrella walnut fortnight";

struct Scene {
    office: PostOffice,
    server: TestServer,
}

impl Scene {
    async fn start() -> Self {
        let office = PostOffice::start().await;
        let server = TestServer::start_with(Sqlite, |config| {
            office.serve(config);
            config.reach.accounts.sign_up = SignUp::Open;
        })
        .await;
        Self { office, server }
    }

    async fn open(&self, browser: &Browser, path: &str) {
        browser.open(&format!("{}{path}", self.server.issuer)).await;
    }

    /// Opens the link of the newest letter, and goes on with its code: with scripts it is in the form already, and no longer in the
    /// address.
    async fn follow(&self, browser: &Browser, scripts: Scripts) {
        self.server.app().send_letters().await.unwrap();
        let code = self.office.received().iter().rev().find_map(Received::code).unwrap();
        self.open(browser, &format!("/sign-up/new#k={code}")).await;
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
async fn who_has_no_account_makes_one_and_lands_at_the_application(#[values(On, Off)] scripts: Scripts) {
    let scene = Scene::start().await;
    scene.server.admin.user("bea").await;
    let landing = Landing::start().await;
    let document = json!({ "name": "Test app", "preset": "native", "redirect_uris": [landing.redirect_uri] });
    let app = scene.server.admin.client(document).await;
    let request = AuthorizeRequest::of(&app).with("scope", "openid email");
    let browser = browser(scripts).await;
    scene.open(&browser, &request.path()).await;
    browser.click("sign-up").await;
    browser.fill("email", "ada@example.org").await;
    browser.click("submit").await;
    assert!(browser.text("sent").await.contains("A letter is on its way"));
    scene.follow(&browser, scripts).await;
    assert!(browser.text("offered").await.contains("ada@example.org"));
    browser.fill("username", "bea").await;
    browser.fill("name", "Ada Lovelace").await;
    browser.fill("new-password", PASSWORD).await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    assert_eq!(browser.value("name").await, "Ada Lovelace", "what was typed is there again");
    if scripts == On {
        assert_eq!(browser.focused().await, "error-summary", "a screen reader hears what went wrong");
    }
    browser.fill("username", "ada").await;
    browser.fill("new-password", PASSWORD).await;
    browser.click("submit").await;
    assert_eq!(browser.text("redirect-host").await, "127.0.0.1");
    browser.click("consent-approve").await;
    browser.wait_for("landed").await;
    let callback: Callback = landing.callback();
    assert_eq!(callback.get("state"), request.get("state"));
    let tokens = scene.server.machine.redeem(&app, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let loud = browser.complaints().await.into_iter();
    let loud = loud.filter(|line| !line.contains("status of 4") && !line.contains("/favicon.ico"));
    assert_eq!(loud.collect::<Vec<_>>(), Vec::<String>::new());
    browser.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_invited_makes_the_account(#[values(On, Off)] scripts: Scripts) {
    let scene = Scene::start().await;
    scene.server.admin.post("/invitations", &json!({ "email": "ada@example.org" })).await;
    let browser = browser(scripts).await;
    scene.follow(&browser, scripts).await;
    browser.fill("username", "ada@example.org").await;
    browser.fill("new-password", PASSWORD).await;
    browser.click("submit").await;
    assert_eq!(browser.text("signed-in-as").await, "ada@example.org");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_that_makes_an_account_fits_every_screen() {
    let scene = Scene::start().await;
    scene.server.admin.user("bea").await;
    let app = scene.server.admin.web_client(&[]).await;
    let browser = browser(On).await;
    scene.open(&browser, "/login").await;
    inspect(&browser, "login-sign-up").await;
    let request = AuthorizeRequest::of(&app).with("prompt", "create");
    scene.open(&browser, &request.path()).await;
    browser.wait_for("sign-up").await;
    inspect(&browser, "sign-up-app").await;
    scene.open(&browser, "/sign-up").await;
    inspect(&browser, "sign-up").await;
    browser.script("document.getElementById('email').type = 'text'").await;
    browser.fill("email", "ada").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "sign-up-bad").await;
    browser.fill("email", "ada@example.org").await;
    browser.click("submit").await;
    browser.wait_for("sent").await;
    inspect(&browser, "sign-up-sent").await;
    scene.open(&browser, "/sign-up/new").await;
    inspect(&browser, "sign-up-code").await;
    scene.open(&browser, "/sign-up/new#k=nothing").await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "sign-up-code-bad").await;
    scene.follow(&browser, On).await;
    browser.wait_for("new-password").await;
    inspect(&browser, "sign-up-new").await;
    browser.fill("username", "bea").await;
    browser.fill("new-password", PASSWORD).await;
    browser.click("submit").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "sign-up-new-taken").await;
    // An administrator was faster.
    let ada = json!({ "username": "other", "email": "ada@example.org" });
    scene.server.admin.post("/users", &ada).await;
    browser.fill("username", "ada").await;
    browser.fill("new-password", PASSWORD).await;
    browser.click("submit").await;
    browser.wait_for("held").await;
    inspect(&browser, "sign-up-held").await;
    browser.close().await;
}
