//! A new password by a letter, for whoever forgot theirs.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::link_of;
use portcullis_tests::post_office::{Manner, PostOffice, Received};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::offline;

const NEW: &str = "a new and longer one";
const LETTER: &str = "Set a new password";

async fn start(database: Database, office: &PostOffice) -> TestServer {
    TestServer::start_with(database, |config| office.serve(config)).await
}

/// Somebody says that they forgot the password of an account.
async fn ask(server: &TestServer, who: &str) -> Answer {
    let mut visitor = server.visitor();
    let page = visitor.open("/recover").await;
    visitor.submit(&the_form(&page, "recover").with("username", who)).await
}

/// Sends what is due, and gives the letters that set passwords.
async fn letters(server: &TestServer, office: &PostOffice) -> Vec<Received> {
    server.app().send_letters().await.unwrap();
    office.received().into_iter().filter(|letter| letter.header("Subject").unwrap() == LETTER).collect()
}

/// Asks for a letter, and gives the code in it.
async fn code_for(server: &TestServer, office: &PostOffice, who: &str) -> String {
    let before = letters(server, office).await.len();
    assert_eq!(ask(server, who).await.status, 303);
    let letters = letters(server, office).await;
    assert_eq!(letters.len(), before + 1, "{letters:?}");
    letters[before].code().unwrap()
}

/// The page that asks for a password after the code was sent.
async fn enter(visitor: &mut Visitor, code: &str) -> Answer {
    let page = visitor.open("/recover/new").await;
    visitor.submit(&the_form(&page, "code-form").with("code", code)).await
}

/// Sets a password with a code.
async fn set(server: &TestServer, code: &str, password: &str) -> Answer {
    let mut visitor = server.visitor();
    let page = visitor.open("/recover/new").await;
    let form = the_form(&page, "code-form").with("code", code).with("new-password", password);
    visitor.submit(&form).await
}

async fn signs_in(server: &TestServer, person: &Person, password: &str) -> bool {
    let person = Person { password: password.to_owned(), ..person.clone() };
    server.visitor().sign_in(&person).await.url.path() == "/account"
}

async fn events(server: &TestServer, action: &str) -> Vec<Value> {
    let listed = server.admin.get("/audit?limit=100").await.json();
    let items = listed["items"].as_array().unwrap();
    items.iter().filter(|event| event["action"] == action).cloned().collect()
}

#[rstest]
#[tokio::test]
async fn who_forgot_the_password_sets_another_with_the_letter(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let (shop, refresh) = offline(&server).await;
    let ada = Person { id: String::new(), ..server.admin.user("bea").await };
    let mut elsewhere = server.visitor();
    elsewhere.sign_in(&ada).await;
    let mut visitor = server.visitor();
    let login = visitor.open("/login").await;
    assert_eq!(link_of(&login.text(), "forgot").as_deref(), Some("/recover"));
    let page = visitor.open("/recover").await;
    let empty = visitor.submit(&the_form(&page, "recover").with("username", " ")).await;
    assert_eq!(empty.status, 422);
    for who in ["bea", " BEA ", "BEA@Example.ORG"] {
        let sent = ask(&server, who).await;
        assert_eq!((sent.status.as_u16(), sent.header("location")), (303, "/recover/sent"), "{who}");
    }
    let letters = letters(&server, &office).await;
    assert_eq!(letters.len(), 3, "{letters:?}");
    let letter = letters.last().unwrap();
    assert_eq!(letter.to, ["bea@example.org"], "as it is written in the account");
    let code = letter.code().unwrap();
    let body = letter.body();
    let link = format!("{}/recover/new#k={code}", server.issuer);
    for said in [link.as_str(), "127.0.0.1", "bea of the tests", "Your user name there is bea"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    // Whoever opens the link for somebody changes nothing.
    for _ in 0..3 {
        assert_eq!(server.visitor().open("/recover/new").await.status, 200);
    }
    let asked = enter(&mut visitor, &link).await;
    assert_eq!((asked.status.as_u16(), asked.header("referrer-policy")), (200, "no-referrer"));
    assert!(!asked.url.as_str().contains("pcm_"), "the code is in no address: {}", asked.url);
    let form = the_form(&asked, "new-password-form");
    assert_eq!(form.value("username"), Some("bea"));
    for (password, said) in [
        ("too short", "at least 15"),
        (&*"x".repeat(300), "at most 256"),
        ("passwordpassword", "common passwords"),
    ] {
        let refused = visitor.submit(&form.clone().with("new-password", password)).await;
        assert_eq!(refused.status, 422, "{password}");
        assert!(refused.text().contains(said) && refused.text().contains("aria-invalid"), "{password}");
    }
    assert!(elsewhere.open("/account").await.url.path() == "/account", "nothing changed so far");
    let done = visitor.submit(&form.with("new-password", NEW)).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/login?renewed"));
    let login = visitor.follow(done).await;
    assert!(login.text().contains("Your password is changed"), "{}", login.text());
    assert_eq!(visitor.session(), None, "nobody is signed in by a letter");
    assert_eq!(elsewhere.open("/account").await.url.path(), "/login", "everybody is signed out");
    assert!(!signs_in(&server, &ada, &ada.password).await);
    assert!(signs_in(&server, &ada, NEW).await);
    let others = server.machine.refresh(&shop, &refresh).await;
    assert_eq!(others.status, 200, "{}", others.text());
    server.app().send_letters().await.unwrap();
    let told = |letter: &Received| letter.header("Subject").unwrap() == "Your password was changed";
    assert_eq!(office.received().iter().filter(|letter| told(letter)).count(), 1);
    let changed = events(&server, "password.changed").await;
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0]["detail"]["by"], "letter");
    assert_eq!(events(&server, "password.reset_requested").await.len(), 3);
}

/// What an application holds ends as it does when the password is changed by hand.
#[rstest]
#[tokio::test]
async fn what_applications_hold_ends_with_the_forgotten_password(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let (shop, refresh) = offline(&server).await;
    let code = code_for(&server, &office, "ada").await;
    assert_eq!(set(&server, &code, NEW).await.status, 303);
    assert_eq!(server.machine.refresh(&shop, &refresh).await.error(), "invalid_grant");
}

/// A code works once, for a quarter of an hour, and for the account as it was.
#[rstest]
#[tokio::test]
async fn a_code_dies_with_its_use_its_time_and_what_it_is_about(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let hour = Duration::from_hours(1);
    let dead = async |code: &str, why: &str| {
        let refused = set(&server, code, "yet another password").await;
        assert_eq!(refused.status, 422, "{why}");
        assert!(refused.text().contains("That code does not work"), "{why}: {}", refused.text());
        assert_eq!(enter(&mut server.visitor(), code).await.status, 422, "{why}");
    };
    let ada = server.admin.user("ada").await;
    let (first, second) =
        (code_for(&server, &office, "ada").await, code_for(&server, &office, "ada@example.org").await);
    assert_eq!(set(&server, &first, NEW).await.status, 303);
    dead(&first, "used").await;
    dead(&second, "another changed the password").await;
    let account = server.admin.get(&format!("/users/{}", ada.id)).await.json();
    assert!(account["email_verified_at"].is_string(), "who has the letter reads what goes to the address");
    server.wait(hour);
    let late = code_for(&server, &office, "ada").await;
    server.wait(Duration::from_mins(15));
    dead(&late, "too old").await;
    let bob = server.admin.user("bob").await;
    let path = format!("/users/{}", bob.id);
    let code = code_for(&server, &office, "bob").await;
    assert!(
        server
            .admin
            .send(Method::PUT, &format!("{path}/password"), &json!({ "password": NEW }))
            .await
            .status
            .is_success()
    );
    dead(&code, "an administrator set a password").await;
    let code = code_for(&server, &office, "bob").await;
    let moved = json!({ "username": "bob", "email": "bob@new.test" });
    let change = server.admin.request(Method::PUT, &path).await.header("if-match", "*").json(&moved);
    assert_eq!(Answer::to(change).await.status, 200);
    dead(&code, "the account has another address").await;
    server.wait(hour);
    let code = code_for(&server, &office, "bob").await;
    server.admin.post(&format!("{path}/disable"), &json!({})).await;
    dead(&code, "the account is switched off").await;
    server.admin.post(&format!("{path}/enable"), &json!({})).await;
    assert_eq!(set(&server, &code, "one more new password").await.status, 303);
    server.wait(hour);
    let code = code_for(&server, &office, "bob").await;
    assert_eq!(server.admin.send(Method::DELETE, &path, &json!(null)).await.status, 204);
    dead(&code, "the account is gone").await;
    for code in ["", "pcm_", "nothing", &"x".repeat(5_000)] {
        dead(code, "it never was one").await;
    }
}

/// Two who have the letter at once, at two replicas: one sets a password.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_use_a_code_at_once_one_does(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let replica = server.replica().await;
    for name in ["ada", "bea", "cleo", "dora"] {
        let person = server.admin.user(name).await;
        let code = code_for(&server, &office, name).await;
        let passwords = ["the first of two passwords", "the second of two passwords"];
        let (one, other) =
            tokio::join!(set(&server, &code, passwords[0]), set(&replica, &code, passwords[1]));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 422], "{name}");
        let winner = usize::from(one.status != 303);
        assert!(signs_in(&server, &person, passwords[winner]).await, "{name}");
        assert!(!signs_in(&replica, &person, passwords[1 - winner]).await, "{name}");
    }
}

/// A text can be the user name of one and the address of another: each is written to.
#[rstest]
#[tokio::test]
async fn a_user_name_that_is_the_address_of_another_keeps_nobody_from_a_letter(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    server.admin.user("ada").await;
    let thief = json!({ "username": "ada@example.org", "email": "thief@example.org" });
    server.admin.post("/users", &thief).await;
    // An account without a password gets its first one.
    let both = json!({ "username": "eve@example.org", "email": "EVE@example.org" });
    server.admin.post("/users", &both).await;
    ask(&server, "ada@example.org").await;
    ask(&server, "eve@example.org").await;
    let letters = letters(&server, &office).await;
    let mut to: Vec<_> = letters.iter().flat_map(|letter| letter.to.clone()).collect();
    to.sort();
    assert_eq!(to, ["EVE@example.org", "ada@example.org", "thief@example.org"]);
    let hers = letters.iter().find(|letter| letter.to == ["ada@example.org"]).unwrap();
    assert!(hers.body().contains("Your user name there is ada."), "{}", hers.body());
    let first = letters.iter().find(|letter| letter.to == ["EVE@example.org"]).unwrap();
    assert_eq!(set(&server, &first.code().unwrap(), NEW).await.status, 303);
}

/// F24: the answer does not wait for the mail server, and a link does not live longer because the letter was late.
/// An account that says it has somebody's address keeps no letter from the one whose owner confirmed it.
#[rstest]
#[tokio::test]
async fn of_two_accounts_with_an_address_a_letter_is_for_the_one_that_is_confirmed(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    for username in ["squatter", "ada"] {
        let made = json!({ "username": username, "email": "ada@example.org" });
        assert_eq!(server.admin.send(Method::POST, "/users", &made).await.status, 201);
        server.wait(Duration::from_secs(1));
    }
    let asked = async |who: &str| {
        let before = letters(&server, &office).await.len();
        ask(&server, who).await;
        letters(&server, &office).await.remove(before)
    };
    // Who administers said that it is theirs, and nobody said more.
    assert!(asked("ADA@example.org").await.body().contains("Your user name there is squatter"));
    let code = asked("ada").await.code().unwrap();
    assert_eq!(set(&server, &code, NEW).await.status, 303);
    assert!(asked("ADA@example.org").await.body().contains("Your user name there is ada"));
}

/// What somebody types counts once it is confirmed: until then no letter that sets a password goes there.
#[rstest]
#[tokio::test]
async fn an_address_that_was_typed_and_never_confirmed_gets_no_letter(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let page = visitor.open("/account/profile/email").await;
    let form =
        the_form(&page, "email-form").with("email", "typo@example.org").with("password", &ada.password);
    assert_eq!(visitor.submit(&form).await.status, 303);
    for who in ["typo@example.org", "ada", "ada@example.org"] {
        assert_eq!(ask(&server, who).await.status, 303);
    }
    let to: Vec<_> = letters(&server, &office).await.into_iter().map(|letter| letter.to).collect();
    assert_eq!(to, [["ada@example.org"], ["ada@example.org"]]);
}

#[rstest]
#[tokio::test]
async fn a_mail_server_that_is_away_changes_no_answer_and_no_time(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    office.behave(Manner::Refuse(451));
    let server = start(database, &office).await;
    server.admin.user("ada").await;
    assert_eq!(ask(&server, "ada").await.header("location"), "/recover/sent");
    assert_eq!(letters(&server, &office).await.len(), 0);
    office.behave(Manner::Accept);
    server.wait(Duration::from_mins(14));
    let code = letters(&server, &office).await[0].code().unwrap();
    server.wait(Duration::from_secs(59));
    assert_eq!(enter(&mut server.visitor(), &code).await.status, 200);
    server.wait(Duration::from_secs(1));
    assert_eq!(enter(&mut server.visitor(), &code).await.status, 422);
    office.behave(Manner::Refuse(451));
    server.wait(Duration::from_hours(1));
    ask(&server, "ada").await;
    server.app().send_letters().await.unwrap();
    office.behave(Manner::Accept);
    server.wait(Duration::from_mins(16));
    assert_eq!(letters(&server, &office).await.len(), 1, "a letter whose link is dead is not sent");
}

/// Without letters, the pages say whom to ask.
#[rstest]
#[tokio::test]
async fn where_no_letters_are_sent_the_page_says_whom_to_ask(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let login = visitor.open("/login").await;
    assert_eq!(link_of(&login.text(), "forgot"), None);
    assert!(login.text().contains("Ask your administrator"));
    let page = visitor.open("/recover").await;
    assert!(page.text().contains("id=\"nobody-writes\"") && !page.text().contains("id=\"recover\""));
    let token = the_form(&login, "login").value("csrf_token").unwrap().to_owned();
    let form = portcullis_tests::markup::Form {
        id: String::new(),
        action: "/recover".to_owned(),
        fields: vec![("csrf_token".to_owned(), token), ("username".to_owned(), "ada".to_owned())],
    };
    let answer = visitor.submit(&form).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("id=\"nobody-writes\""));
    assert_eq!(events(&server, "password.reset_requested").await, Vec::<Value>::new());
}
