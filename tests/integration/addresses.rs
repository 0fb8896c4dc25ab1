//! Addresses of mail: confirmed by a letter, changed by two, and put back by whoever had the one before.

mod keys;
mod leaving;
mod steps;

use std::time::Duration;

use portcullis_server::config::Config;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{forms, text_of};
use portcullis_tests::post_office::{PostOffice, Received};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const PAGE: &str = "/account/profile";
const CONFIRM: &str = "Confirm your e-mail address";
const CHANGED: &str = "Your e-mail address was changed";
const STEP_REMOVED: &str = "Your sign-in has no second step any more";
const NEW: &str = "umbrella walnut fortnight";

/// A server, its mail, and somebody who is signed in.
struct Scene {
    office: PostOffice,
    server: TestServer,
    ada: Person,
    visitor: Visitor,
}

impl Scene {
    async fn start(database: Database) -> Self {
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
        let mut visitor = server.visitor();
        visitor.sign_in(&ada).await;
        Self { office, server, ada, visitor }
    }

    /// The letters with this subject, oldest first.
    async fn letters(&self, subject: &str) -> Vec<Received> {
        self.server.app().send_letters().await.unwrap();
        let received = self.office.received().into_iter();
        received.filter(|letter| letter.header("Subject").unwrap() == subject).collect()
    }

    /// Asks for another address.
    async fn ask(&mut self, address: &str, password: &str) -> Answer {
        let page = self.visitor.open("/account/profile/email").await;
        let form = the_form(&page, "email-form").with("email", address).with("password", password);
        self.visitor.submit(&form).await
    }

    /// Asks for another address, and gives the code of the letter that goes there.
    async fn code_for(&mut self, address: &str) -> String {
        let password = self.ada.password.clone();
        let asked = self.ask(address, &password).await;
        assert_eq!(asked.header("location"), "/account/profile?notice=address_sent", "{}", asked.text());
        let letter = self.letters(CONFIRM).await.pop().unwrap();
        assert_eq!(letter.to, [address]);
        letter.code().unwrap()
    }

    async fn account(&self) -> Value {
        self.server.admin.get(&format!("/users/{}", self.ada.id)).await.json()
    }

    async fn events(&self, action: &str) -> Vec<Value> {
        let listed = self.server.admin.get("/audit?limit=100").await.json();
        let items = listed["items"].as_array().unwrap();
        items.iter().filter(|event| event["action"] == action).cloned().collect()
    }
}

/// The page that says what a code confirms.
async fn show(server: &TestServer, code: &str) -> Answer {
    let mut visitor = server.visitor();
    let page = visitor.open("/verify").await;
    visitor.submit(&the_form(&page, "code-form").with("code", code)).await
}

/// Confirms with a code.
async fn confirm(server: &TestServer, code: &str) -> Answer {
    let mut visitor = server.visitor();
    let page = visitor.open("/verify").await;
    visitor.submit(&the_form(&page, "code-form").with("code", code).with("confirm", "yes")).await
}

/// Puts an address back with a code.
async fn put_back(server: &TestServer, code: &str) -> (Visitor, Answer) {
    let mut visitor = server.visitor();
    let page = visitor.open("/recover/address").await;
    let answer = visitor.submit(&the_form(&page, "put-back-form").with("code", code)).await;
    (visitor, answer)
}

#[rstest]
#[tokio::test]
async fn somebody_confirms_the_address_that_the_account_has(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::start(database).await;
    let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "scopes": "openid email" });
    let shop = scene.server.admin.client(shop).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid email");
    let callback = scene.visitor.authorize(&request, &scene.ada).await;
    let tokens = scene.server.machine.redeem(&shop, &request, &callback).await;
    let claims = async || {
        let bearer = scene.server.machine.request(Method::GET, "/userinfo");
        let told = Answer::to(bearer.bearer_auth(tokens.member("access_token"))).await.json();
        (told["email"].clone(), told["email_verified"].clone())
    };
    assert_eq!(claims().await, (json!("ada@example.org"), json!(false)));
    let page = scene.visitor.open(PAGE).await;
    assert_eq!(text_of(&page.text(), "address-state").as_deref(), Some("Not confirmed"));
    let sent = scene.visitor.submit(&the_form(&page, "send-again-form")).await;
    let page = scene.visitor.follow(sent).await;
    assert!(page.text().contains("is on its way"), "{}", page.text());
    let letter = scene.letters(CONFIRM).await.pop().unwrap();
    assert_eq!(letter.to, ["ada@example.org"]);
    let (body, code) = (letter.body(), letter.code().unwrap());
    for said in [&*format!("{}/verify#k={code}", scene.server.issuer), "user name ada", "127.0.0.1"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    assert!(!body.contains("ada of the tests"), "what an account calls itself is no greeting: {body}");
    // Whoever opens the link, or looks at what it is, changes nothing.
    let shown = show(&scene.server, &code).await;
    let said = text_of(&shown.text(), "claimed").unwrap();
    assert_eq!((shown.status.as_u16(), &*said), (200, "Does ada@example.org belong to the account ada?"));
    assert_eq!(claims().await.1, false);
    let done = confirm(&scene.server, &code).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/verify/done"));
    assert_eq!(claims().await, (json!("ada@example.org"), json!(true)));
    let page = scene.visitor.open(PAGE).await;
    assert_eq!(text_of(&page.text(), "address-state").as_deref(), Some("Confirmed"));
    assert!(forms(&page.text()).iter().all(|form| form.id != "send-again-form"));
    assert_eq!(confirm(&scene.server, &code).await.status, 422, "once");
    assert_eq!(scene.letters(CHANGED).await, [], "nothing changed");
    assert_eq!(scene.events("address.confirmed").await[0]["detail"], json!({ "changes": false }));
}

#[rstest]
#[tokio::test]
async fn another_address_counts_once_it_is_confirmed_and_the_one_before_is_told(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::start(database).await;
    let password = scene.ada.password.clone();
    for (address, given, said) in [
        ("ada", &*password, "no e-mail address"),
        ("ada@example.org", &password, "has"),
        ("ada@new.test", "not the password", "not your current password"),
    ] {
        let refused = scene.ask(address, given).await;
        assert_eq!(refused.status, 422, "{address}");
        assert!(refused.text().contains(said) && refused.text().contains("aria-invalid"), "{said}");
        assert_eq!(the_form(&refused, "email-form").value("email"), Some(address), "typed once");
    }
    assert_eq!(scene.letters(CONFIRM).await, []);
    assert_eq!(scene.events("address.proof_requested").await[0]["outcome"], "refused");
    let code = scene.code_for("ada@new.test").await;
    assert_eq!(scene.account().await["email"], "ada@example.org", "not yet");
    assert_eq!(confirm(&scene.server, &code).await.status, 303);
    let account = scene.account().await;
    assert_eq!(account["email"], "ada@new.test");
    assert!(account["email_verified_at"].is_string(), "{account}");
    let told = scene.letters(CHANGED).await;
    assert_eq!(told.iter().map(|letter| letter.to.clone()).collect::<Vec<_>>(), [["ada@example.org"]]);
    assert!(!told[0].message.contains("new.test"), "the one before is not told which");
    assert_eq!(scene.visitor.open("/account").await.url.path(), "/account", "nobody is signed out");
}

#[rstest]
#[tokio::test]
async fn whoever_had_the_address_puts_it_back_and_everybody_is_signed_out(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::start(database).await;
    let code = scene.code_for("thief@evil.test").await;
    confirm(&scene.server, &code).await;
    let first = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
    // Whoever did it does it again, so that the last word is theirs.
    let again = scene.code_for("thief@worse.test").await;
    confirm(&scene.server, &again).await;
    let last = scene.letters(CHANGED).await.pop().unwrap();
    assert_eq!(last.to, ["thief@evil.test"]);
    let waiting = scene.code_for("thief@third.test").await;
    let (mut owner, page) = put_back(&scene.server, &first).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(scene.account().await["email"], "ada@example.org");
    assert_eq!(scene.visitor.open("/account").await.url.path(), "/login", "the session ended");
    for (dead, what) in [(&first, "used"), (&last.code().unwrap(), "of whoever did it")] {
        assert_eq!(put_back(&scene.server, dead).await.1.status, 422, "{what}");
    }
    assert_eq!(confirm(&scene.server, &waiting).await.status, 422, "what waited is void");
    // The password is known to whoever did it: it is worth nothing from this moment, and the next page sets another.
    assert_eq!(scene.server.visitor().sign_in(&scene.ada).await.url.path(), "/login");
    let form = the_form(&page, "new-password-form");
    assert_eq!(form.value("username"), Some("ada"));
    let set = owner.submit(&form.with("new-password", "umbrella walnut fortnight")).await;
    assert_eq!(set.header("location"), "/login?renewed", "{}", set.text());
    assert_eq!(scene.server.visitor().sign_in(&scene.ada).await.url.path(), "/login");
    let renewed = Person { password: "umbrella walnut fortnight".to_owned(), ..scene.ada.clone() };
    assert_eq!(scene.server.visitor().sign_in(&renewed).await.url.path(), "/account");
    let event = &scene.events("address.returned").await[0];
    assert_eq!((&event["actor"], &event["target"]), (&json!("anonymous"), &json!(scene.ada.id)));
}

/// Whoever changes the address twice has a link of their own to put it back: it does not outlive that of the owner.
/// Whoever was switched off does not come back to their address by another account.
#[rstest]
#[tokio::test]
async fn the_address_of_an_account_that_is_switched_off_is_nobody_s_to_change_to(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::start(database).await;
    let bea = scene.server.admin.user("bea").await;
    let code = scene.code_for("bea@example.org").await;
    let switch = async |scene: &Scene, to: &str| {
        let path = format!("/users/{}/{to}", bea.id);
        assert_eq!(scene.server.admin.send(Method::POST, &path, &json!({})).await.status, 200);
    };
    switch(&scene, "disable").await;
    assert_eq!(confirm(&scene.server, &code).await.status, 422);
    assert_eq!(scene.account().await["email"], "ada@example.org");
    let code = scene.code_for("bea@example.org").await;
    switch(&scene, "enable").await;
    assert_eq!(confirm(&scene.server, &code).await.status, 303);
    assert_eq!(scene.account().await["email"], "bea@example.org");
}

#[rstest]
#[tokio::test]
async fn whoever_had_the_address_first_has_the_last_word(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::start(database).await;
    let code = scene.code_for("thief@evil.test").await;
    confirm(&scene.server, &code).await;
    let of_owner = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
    let code = scene.code_for("thief@worse.test").await;
    confirm(&scene.server, &code).await;
    let of_thief = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
    assert_eq!(put_back(&scene.server, &of_thief).await.1.status, 200);
    assert_eq!(scene.account().await["email"], "thief@evil.test");
    assert_eq!(put_back(&scene.server, &of_owner).await.1.status, 200);
    assert_eq!(scene.account().await["email"], "ada@example.org");
}

/// Whoever loses the password to its owner again has no link in hand that brings the account back.
#[rstest]
#[tokio::test]
async fn a_link_to_another_address_dies_with_the_password_by_which_it_was_asked_for(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::start(database).await;
    let code = scene.code_for("thief@evil.test").await;
    assert_eq!(show(&scene.server, &code).await.status, 200);
    let path = format!("/users/{}/password", scene.ada.id);
    let new = json!({ "password": "umbrella walnut fortnight" });
    assert_eq!(scene.server.admin.send(Method::PUT, &path, &new).await.status, 204);
    assert_eq!(show(&scene.server, &code).await.status, 422);
    assert_eq!(confirm(&scene.server, &code).await.status, 422);
    assert_eq!(scene.account().await["email"], "ada@example.org");
}

#[rstest]
#[tokio::test]
async fn a_code_for_an_address_dies_with_its_time_and_with_what_it_is_about(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::start(database).await;
    let day = Duration::from_hours(24);
    let late = scene.code_for("ada@late.test").await;
    let other = scene.code_for("ada@other.test").await;
    let first = scene.code_for("ada@first.test").await;
    assert_eq!(confirm(&scene.server, &first).await.status, 303);
    assert_eq!(confirm(&scene.server, &other).await.status, 422, "the account has another address since");
    assert_eq!(confirm(&scene.server, &late).await.status, 422);
    scene.server.wait(Duration::from_hours(2));
    let late = scene.code_for("ada@second.test").await;
    assert_eq!(show(&scene.server, &late).await.status, 200);
    scene.server.wait(day);
    assert_eq!(show(&scene.server, &late).await.status, 422, "too old");
    let back = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
    scene.server.wait(day * 2);
    assert_eq!(put_back(&scene.server, &back).await.1.status, 422, "too old");
    scene.visitor = scene.server.visitor();
    scene.visitor.sign_in(&scene.ada).await;
    let code = scene.code_for("ada@last.test").await;
    // None of them is good for anything else.
    let (_, page) = put_back(&scene.server, &code).await;
    assert_eq!(page.status, 422);
    let mut visitor = scene.server.visitor();
    let page = visitor.open("/recover/new").await;
    assert_eq!(visitor.submit(&the_form(&page, "code-form").with("code", &code)).await.status, 422);
    scene.server.admin.post(&format!("/users/{}/disable", scene.ada.id), &json!({})).await;
    assert_eq!(confirm(&scene.server, &code).await.status, 422, "the account is switched off");
    for code in ["", "nothing", &"x".repeat(5_000)] {
        assert_eq!(show(&scene.server, code).await.status, 422);
        assert_eq!(put_back(&scene.server, code).await.1.status, 422);
    }
}

/// Two who have a letter at once, at two replicas: the address is confirmed once, and the one before is told once.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_confirm_at_once_one_does(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::start(database).await;
    let replica = scene.server.replica().await;
    for number in 1..=3 {
        let code = scene.code_for(&format!("ada@place{number}.test")).await;
        let (one, other) = tokio::join!(confirm(&scene.server, &code), confirm(&replica, &code));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 422], "{number}");
        assert_eq!(scene.letters(CHANGED).await.len(), number);
        let back = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
        if number == 3 {
            let ((_, one), (_, other)) =
                tokio::join!(put_back(&scene.server, &back), put_back(&replica, &back));
            let mut statuses = [one.status.as_u16(), other.status.as_u16()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 422]);
        }
    }
}

#[rstest]
#[tokio::test]
async fn an_account_without_an_address_gets_one_and_without_letters_nobody_does(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::start(database).await;
    let made = json!({ "username": "eve", "password": "a first and long one" });
    let made = scene.server.admin.post("/users", &made).await;
    let eve = Person {
        id: made["id"].as_str().unwrap().to_owned(),
        sub: String::new(),
        username: "eve".to_owned(),
        password: "a first and long one".to_owned(),
    };
    scene.visitor = scene.server.visitor();
    scene.visitor.sign_in(&eve).await;
    scene.ada = eve;
    let page = scene.visitor.open(PAGE).await;
    assert!(page.text().contains("has no e-mail address"), "{}", page.text());
    let code = scene.code_for("eve@example.org").await;
    assert_eq!(confirm(&scene.server, &code).await.status, 303);
    assert_eq!(scene.account().await["email"], "eve@example.org");
    assert_eq!(scene.letters(CHANGED).await, [], "there was none before");

    let silent = TestServer::start_on(database).await;
    let bob = silent.admin.user("bob").await;
    let mut visitor = silent.visitor();
    visitor.sign_in(&bob).await;
    let page = visitor.open(PAGE).await;
    assert!(page.text().contains("This server sends no letters"), "{}", page.text());
    assert!(visitor.open("/account/profile/email").await.text().contains("id=\"nobody-writes\""));
    assert_eq!(silent.visitor().open("/account/profile/email").await.url.path(), "/login");
}
