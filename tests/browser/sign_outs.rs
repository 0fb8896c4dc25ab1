//! Signing out, with applications that are told of it.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::landing::Landing;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::told::Told;
use portcullis_tests::visitor::Person;
use rstest::rstest;
use serde_json::json;

use crate::looks::inspect;
use crate::sign_in;
use crate::walks::Scripts::{self, Off, On};
use crate::walks::browser;

/// A server, somebody, and where the browser ends.
struct Scene {
    server: TestServer,
    ada: Person,
    landing: Landing,
}

impl Scene {
    async fn start() -> Self {
        let server = TestServer::start_with(Sqlite, |config| {
            config.reach.outbound.allow = vec!["127.0.0.1".parse().expect("an address")];
        })
        .await;
        let ada = server.admin.user("ada").await;
        Self { server, ada, landing: Landing::start().await }
    }

    async fn application(&self, name: &str, told: &Told) -> Registered {
        let document = json!({
            "name": name, "preset": "web", "redirect_uris": [self.landing.redirect_uri],
            "post_logout_redirect_uris": [self.landing.redirect_uri],
            "options": { "first_party": true, "protocol": { "backchannel_logout_uri": told.uri } },
        });
        self.server.admin.client(document).await
    }

    /// Signs in at an application with the browser; the ID token that it gets.
    async fn sign_in(&self, browser: &Browser, client: &Registered) -> String {
        let request = AuthorizeRequest::of(client);
        browser.open(&format!("{}{}", self.server.issuer, request.path())).await;
        if browser.has("login").await {
            sign_in(browser, &self.ada).await;
        }
        browser.wait_for("landed").await;
        let tokens = self.server.machine.redeem(client, &request, &self.landing.callback()).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        tokens.member("id_token")
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_is_asked_and_sees_which_applications_were_told(#[values(On, Off)] scripts: Scripts) {
    let scene = Scene::start().await;
    let browser = browser(scripts).await;
    let told = [Told::start().await, Told::start().await, Told::start().await];
    for (name, (told, status)) in ["Orders", "Knowledge base of the northern branches", "Forum"]
        .iter()
        .zip(told.iter().zip([200, 503, 400]))
    {
        told.answer(status);
        let client = scene.application(name, told).await;
        scene.sign_in(&browser, &client).await;
    }
    browser.open(&format!("{}/logout", scene.server.issuer)).await;
    browser.wait_for("logout").await;
    assert_eq!(browser.url().await.path(), "/logout/confirm");
    browser.click("logout-stay").await;
    browser.wait_for("sign-out").await;
    browser.open(&format!("{}/logout", scene.server.issuer)).await;
    browser.click("logout-confirm").await;
    browser.wait_for("told").await;
    let page = browser.text("told").await;
    for said in ["Signed out there, too.", "It did not answer yet.", "It could not be told."] {
        assert!(page.contains(said), "{page}");
    }
    if scripts == On {
        inspect(&browser, "signed-out-with-applications").await;
    }
    browser.click("look-again").await;
    assert!(browser.text("told").await.contains("It did not answer yet."));
    browser.click("sign-in-again").await;
    browser.wait_for("login").await;
    browser.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_signs_somebody_out_and_gets_the_person_back(#[values(On, Off)] scripts: Scripts) {
    let scene = Scene::start().await;
    let browser = browser(scripts).await;
    let mut told = Told::start().await;
    let client = scene.application("Orders", &told).await;
    let id_token = scene.sign_in(&browser, &client).await;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("id_token_hint", &id_token)
        .append_pair("post_logout_redirect_uri", &scene.landing.redirect_uri)
        .append_pair("state", "s1")
        .finish();
    browser.open(&format!("{}/logout?{query}", scene.server.issuer)).await;
    browser.wait_for("landed").await;
    assert_eq!(scene.landing.callback().get("state"), "s1");
    assert!(told.token_by_now().is_some(), "told before the person is back");
    browser.open(&format!("{}/account", scene.server.issuer)).await;
    browser.wait_for("login").await;
    browser.close().await;
}
