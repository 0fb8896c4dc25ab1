//! Accounts whose owners have them deleted.

mod refused;

use std::time::Duration;

use portcullis_server::config::Config;
use portcullis_tests::agent::Answer;
use portcullis_tests::authenticator::Authenticator;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::post_office::{PostOffice, Received};
use portcullis_tests::process::eventually;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const PAGE: &str = "/account/data/deletion";
const ORDERS: &str = "https://orders.test";
const DAY: Duration = Duration::from_hours(24);

/// A server, somebody, and where their letters go.
struct Scene {
    server: TestServer,
    office: PostOffice,
    ada: Person,
}

impl Scene {
    async fn on(database: Database) -> Self {
        Self::with(database, |_| {}).await
    }

    async fn with(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let office = PostOffice::start().await;
        let server = TestServer::start_with(database, |config| {
            office.serve(config);
            change(config);
        })
        .await;
        let ada = server.admin.user("ada").await;
        Self { server, office, ada }
    }

    async fn browser(&self) -> Visitor {
        let mut browser = self.server.visitor();
        browser.sign_in(&self.ada).await;
        browser
    }

    /// Somebody who signed in asks for it.
    async fn asked(&self) -> Answer {
        ask(&mut self.browser().await, "ada").await
    }

    /// What is sent when the password is right.
    async fn password(&self, browser: &mut Visitor) -> Answer {
        let page = browser.open("/login").await;
        browser.submit(&login_form(&page, "ada", &self.ada.password)).await
    }

    /// The page that somebody comes to who signs in.
    async fn arrives(&self, browser: &mut Visitor) -> Answer {
        let sent = self.password(browser).await;
        let page = browser.follow(sent).await;
        assert_eq!(page.url.path(), "/login/leaving", "{}", page.text());
        page
    }

    async fn account(&self) -> Answer {
        self.server.admin.get(&format!("/users/{}", self.ada.id)).await
    }

    async fn is_gone(&self) -> bool {
        self.server.admin.send(Method::GET, &format!("/users/{}", self.ada.id), &Value::Null).await.status
            == 404
    }

    /// What was recorded of her account, the oldest first: what, and who did it.
    async fn events(&self, action: &str) -> Vec<Value> {
        let events = self.server.admin.get("/audit?limit=200").await.json()["items"].clone();
        let mut found: Vec<Value> =
            events.as_array().unwrap().iter().filter(|event| event["action"] == action).cloned().collect();
        found.reverse();
        found
    }

    /// What every letter says that somebody got.
    async fn subjects(&self) -> Vec<String> {
        self.server.app().send_letters().await.unwrap();
        let subject = |letter: &Received| letter.header("Subject").unwrap().clone();
        let mut subjects: Vec<String> = self.office.received().iter().map(subject).collect();
        subjects.sort();
        subjects
    }

    async fn letters(&self) -> Vec<Received> {
        self.server.app().send_letters().await.unwrap();
        let about = |letter: &Received| letter.header("Subject").unwrap().starts_with("Your account w");
        self.office.received().into_iter().filter(about).collect()
    }
}

async fn ask(browser: &mut Visitor, typed: &str) -> Answer {
    let page = browser.open(PAGE).await;
    browser.submit(&the_form(&page, "deletion-form").with("confirmation", typed)).await
}

#[rstest]
#[tokio::test]
async fn whoever_wants_to_go_is_signed_out_and_every_token_is_dead(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let Scene { server, ada, .. } = &scene;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let mut there = scene.browser().await;
    let callback = there.authorize(&request, ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let late = there.authorize(&request, ada).await;
    let for_orders = AuthorizeRequest::of(&shop).with("resource", ORDERS);
    let callback = there.authorize(&for_orders, ada).await;
    let at_orders = server.machine.redeem(&shop, &for_orders, &callback).await.member("access_token");
    assert!(server.machine.is_active(&guard, &at_orders).await);

    let mut here = scene.browser().await;
    assert_eq!(ask(&mut here, " ADA ").await.status, 200);
    assert!(!server.machine.is_active(&guard, &at_orders).await);
    assert_eq!(server.machine.userinfo(&tokens.member("access_token")).await.status, 401);
    assert_eq!(server.machine.refresh(&shop, &tokens.member("refresh_token")).await.error(), "invalid_grant");
    assert_eq!(server.machine.redeem(&shop, &request, &late).await.error(), "invalid_grant");
    for browser in [&mut here, &mut there] {
        assert_eq!(browser.get("/account").await.status, 303, "there is no session any more");
    }
}

#[rstest]
#[tokio::test]
async fn whoever_wants_to_go_is_told_and_administrators_see_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let Scene { server, ada, .. } = &scene;
    let mut here = scene.browser().await;
    let overview = here.open("/account/data").await;
    assert!(overview.text().contains("href=\"/account/data/deletion\""), "{}", overview.text());
    let page = here.open(PAGE).await;
    assert!(page.text().contains("deleted after 14 days"), "{}", page.text());
    let form = the_form(&page, "deletion-form").with("confirmation", " ADA ");
    let before = server.statements();
    let done = here.submit(&form).await;
    let statements = server.statements() - before;
    assert!(statements <= 25, "{statements}");
    assert_eq!(done.status, 200, "{}", done.text());
    let due = server.clock.now().plus(DAY * 14).rfc3339();
    assert!(done.text().contains(&format!("datetime=\"{due}\"")), "{}", done.text());
    assert!(done.text().contains("We sent you a letter"), "{}", done.text());
    let [letter] = scene.letters().await.try_into().unwrap();
    assert_eq!(letter.to, ["ada@example.org"]);
    assert!(letter.body().contains(&format!("{}/login", server.issuer)), "{}", letter.body());
    let account = scene.account().await.json();
    assert_eq!(account["deletion"]["due_at"], json!(due), "{account}");
    assert_eq!(account["deletion"]["owner_keeps"], json!(true));
    assert!(account["disabled_at"].is_string());
    let listed = server.admin.get("/users").await.json();
    let listed = listed["items"].as_array().unwrap().iter().find(|user| user["id"] == json!(ada.id)).unwrap();
    assert_eq!(*listed, account);
    let [event] = scene.events("user.deletion_requested").await.try_into().unwrap();
    assert_eq!((&event["actor"], &event["target"]), (&json!(ada.id), &json!(ada.id)));
}

#[rstest]
#[tokio::test]
async fn whoever_signs_in_again_gets_no_session_and_no_tokens_but_can_keep_the_account(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = Scene::on(database).await;
    let shop = scene.server.admin.web_client(&[]).await;
    let bea = scene.server.admin.user("bea").await;
    let mut hers = scene.server.visitor();
    hers.sign_in(&bea).await;
    assert_eq!(ask(&mut hers, "bea").await.status, 200);
    assert_eq!(scene.asked().await.status, 200);
    scene.server.wait(DAY);
    let mut browser = scene.server.visitor();
    // Also where an application asked.
    let page = browser.open(&AuthorizeRequest::of(&shop).path()).await;
    let sent = browser.submit(&login_form(&page, "ada", &scene.ada.password)).await;
    let page = browser.follow(sent).await;
    assert_eq!(page.url.path(), "/login/leaving");
    assert_eq!(browser.session(), None);
    let due = scene.server.clock.now().plus(DAY * 13).rfc3339();
    assert!(
        page.text().contains(&due) && page.text().contains("the account ada to be deleted"),
        "{}",
        page.text()
    );

    let form = the_form(&page, "keep-form");
    let done = browser.submit(&form).await;
    let page = browser.follow(done).await;
    assert!(page.url.path() == "/login" && page.text().contains("Your account is kept."), "{}", page.text());
    assert_eq!(browser.session(), None, "and signs in now");
    let again = browser.submit(&form).await;
    assert_eq!(again.status, 410, "it counted once: {}", again.text());
    let account = scene.account().await.json();
    assert_eq!((&account["deletion"], &account["disabled_at"]), (&Value::Null, &Value::Null));
    assert_eq!(
        scene.subjects().await,
        [
            "New sign-in to your account",
            "New sign-in to your account",
            "New sign-in to your account",
            "Your account is not deleted",
            "Your account will be deleted",
            "Your account will be deleted",
        ],
        "each for both, and what became of hers, and that somebody came to keep it"
    );
    browser.sign_in(&scene.ada).await;
    assert_eq!(browser.get("/account").await.status, 200);
    let log = browser.open("/account/log").await.text();
    assert!(log.contains("its deletion was taken back") && log.contains("was asked for"), "{log}");
    // What was due once is not carried out, where another account goes that was due at the same time.
    scene.server.wait(DAY * 14 + Duration::from_mins(11));
    let bea = format!("/users/{}", bea.id);
    let is_gone = async || scene.server.admin.send(Method::GET, &bea, &Value::Null).await.status == 404;
    eventually("the other account is gone", is_gone).await;
    let shop_is_asked = scene.server.visitor().authorize(&AuthorizeRequest::of(&shop), &scene.ada).await;
    assert!(!shop_is_asked.code().is_empty());
    assert_eq!(scene.events("user.deletion_withdrawn").await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn an_account_is_deleted_for_good_after_its_time_and_once(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = Scene::with(database, |config| config.reach.accounts.deletion_grace_days = 3).await;
    let bea = scene.server.admin.user("bea").await;
    assert_eq!(scene.asked().await.status, 200);
    assert_eq!(scene.letters().await.len(), 1);
    scene.server.wait(DAY * 2 + Duration::from_secs(24 * 60 * 60 - 1));
    assert!(scene.arrives(&mut scene.server.visitor()).await.text().contains("Keep my account"));
    scene.server.wait(Duration::from_mins(11));
    eventually("the account is gone", async || scene.is_gone().await).await;
    assert_eq!(scene.password(&mut scene.server.visitor()).await.status, 422);
    assert_eq!(scene.server.visitor().sign_in(&bea).await.url.path(), "/account");
    let [event] = scene.events("user.deleted").await.try_into().unwrap();
    assert_eq!((&event["actor"], &event["target"]), (&json!("system"), &json!(scene.ada.id)));
    let is_told = async || scene.letters().await.len() == 2;
    eventually("she is told that it was", is_told).await;
    let letters = scene.letters().await;
    assert!(letters[1].header("Subject").unwrap().contains("was deleted"), "{}", letters[1].message);
    assert!(!letters[1].body().contains("From the address"), "{}", letters[1].body());
    assert_eq!(event["detail"]["reason"], json!("own_wish"));
    let after = scene.server.admin.user("ada").await;
    assert_ne!(after.sub, scene.ada.sub);
}

#[rstest]
#[tokio::test]
async fn without_a_time_to_think_the_account_is_gone_at_once(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::with(database, |config| config.reach.accounts.deletion_grace_days = 0).await;
    let mut browser = scene.browser().await;
    assert!(browser.open(PAGE).await.text().contains("Nobody can bring it back."));
    let done = ask(&mut browser, "ada").await;
    assert!(done.text().contains("Your account is deleted"), "{}", done.text());
    assert!(scene.is_gone().await);
    let [letter] = scene.letters().await.try_into().unwrap();
    assert!(letter.header("Subject").unwrap().contains("was deleted"), "{}", letter.message);
    let [event] = scene.events("user.deleted").await.try_into().unwrap();
    assert_eq!(event["actor"], json!(scene.ada.id));
}

#[rstest]
#[tokio::test]
async fn keeping_an_account_takes_all_that_a_sign_in_takes(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::on(database).await;
    let mut here = scene.browser().await;
    let app = Authenticator::add(&mut here, &scene.server).await;
    assert_eq!(ask(&mut here, "ada").await.status, 200);
    let mut browser = scene.server.visitor();
    scene.server.wait(Duration::from_mins(1));
    let wrong = Person { password: "another password altogether".to_owned(), ..scene.ada.clone() };
    let refused = browser.sign_in(&wrong).await;
    assert_eq!(refused.status, 422);
    let page = browser.begin(&scene.ada).await;
    let refused = browser.give(&page, &app.wrong_code(scene.server.clock.now())).await;
    assert_eq!(refused.status, 422);
    let given = browser.give(&page, &app.code(scene.server.clock.now())).await;
    let page = browser.follow(given).await;
    assert_eq!(page.url.path(), "/login/leaving");

    // Nobody else keeps it by that page, and neither does its owner after a while.
    let form = the_form(&page, "keep-form");
    let mut stranger = scene.server.visitor();
    let login = stranger.open("/login").await;
    let stolen = the_form(&login, "login").value("csrf_token").unwrap().to_owned();
    let foreign = stranger.submit(&form.clone().with("csrf_token", &stolen)).await;
    assert_eq!(foreign.status, 410, "{}", foreign.text());
    assert_eq!(stranger.get(page.url.path()).await.status, 410, "no proof");
    scene.server.wait(Duration::from_mins(11));
    assert_eq!(browser.submit(&form).await.status, 410);
    assert!(scene.account().await.json()["deletion"].is_object(), "nobody kept it");
}

#[rstest]
#[tokio::test]
async fn another_password_is_found_and_used_as_before(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::on(database).await;
    assert_eq!(scene.asked().await.status, 200);
    let mut browser = scene.server.visitor();
    let old = scene.arrives(&mut browser).await;
    let page = browser.open("/recover").await;
    browser.submit(&the_form(&page, "recover").with("username", "ada@example.org")).await;
    scene.server.app().send_letters().await.unwrap();
    let code = scene.office.received().iter().find_map(Received::code).unwrap();
    let page = browser.open("/recover/new").await;
    let new = "a new and longer one";
    let form = the_form(&page, "code-form").with("code", &code).with("new-password", new);
    assert_eq!(browser.submit(&form).await.status, 303);
    assert_eq!(browser.submit(&the_form(&old, "keep-form")).await.status, 410, "a proof of the old one");
    let scene = Scene { ada: Person { password: new.to_owned(), ..scene.ada.clone() }, ..scene };
    let page = scene.arrives(&mut browser).await;
    assert_eq!(browser.submit(&the_form(&page, "keep-form")).await.status, 303);
    assert_eq!(scene.account().await.json()["disabled_at"], Value::Null);
}
