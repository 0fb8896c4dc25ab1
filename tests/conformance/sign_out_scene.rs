//! Somebody who signed in at an application that is told of sign-outs.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database;
use portcullis_tests::jwt::claims;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::told::Told;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use serde_json::{Value, json};

/// Where people are led after a sign-out.
pub(crate) const BYE: &str = "https://rp.test/bye";

/// A server that may call this machine.
pub(crate) async fn start(database: Database) -> TestServer {
    TestServer::start_with(database, |config| {
        config.reach.outbound.allow = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await
}

/// A web application with these settings of the protocol.
pub(crate) fn application(name: &str, protocol: &Value) -> Value {
    json!({
        "name": name, "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "post_logout_redirect_uris": [BYE], "options": { "protocol": protocol },
    })
}

/// A web application that is told of sign-outs.
pub(crate) async fn told_client(server: &TestServer, name: &str, told: &Told) -> Registered {
    server.admin.client(application(name, &json!({ "backchannel_logout_uri": told.uri }))).await
}

/// Signs in at a client; the claims of the ID token.
pub(crate) async fn sign_in(
    server: &TestServer,
    browser: &mut Visitor,
    client: &Registered,
    person: &Person,
) -> Value {
    claims(&id_token(server, browser, client, person).await)
}

/// Signs in at a client; the ID token.
pub(crate) async fn id_token(
    server: &TestServer,
    browser: &mut Visitor,
    client: &Registered,
    person: &Person,
) -> String {
    let request = AuthorizeRequest::of(client);
    let callback = browser.authorize(&request, person).await;
    let tokens = server.machine.redeem(client, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    tokens.member("id_token")
}

/// Signs out at the account page; the page that follows.
pub(crate) async fn sign_out(browser: &mut Visitor) -> Answer {
    let account = browser.open("/account").await;
    let sent = browser.submit(&the_form(&account, "sign-out-form")).await;
    browser.follow(sent).await
}

/// What the administrator sees of one state.
pub(crate) async fn notices(server: &TestServer, state: &str) -> Vec<Value> {
    let listed = server.admin.get(&format!("/sign-outs?state={state}")).await;
    assert_eq!(listed.status, 200, "{}", listed.text());
    listed.json()["items"].as_array().unwrap().clone()
}

/// Somebody signed in at one application that is told of sign-outs.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    pub(crate) browser: Visitor,
    pub(crate) ada: Person,
    pub(crate) shop: Registered,
    pub(crate) told: Told,
    pub(crate) sid: String,
}

impl Scene {
    pub(crate) async fn on(database: Database) -> Self {
        let server = start(database).await;
        let told = Told::start().await;
        let ada = server.admin.user("ada").await;
        let shop = told_client(&server, "Shop", &told).await;
        let mut browser = server.visitor();
        let sid = sign_in(&server, &mut browser, &shop, &ada).await["sid"].as_str().unwrap().to_owned();
        Self { server, browser, ada, shop, told, sid }
    }

    pub(crate) async fn try_again_after(&self, wait: Duration) {
        self.server.wait(wait);
        self.server.app().tell_of_sign_outs().await.unwrap();
    }
}
