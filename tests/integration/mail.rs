//! Letters to people: written with what they tell of, and sent once, whatever the mail server does.

use std::time::Duration;

use portcullis_server::config::SecretText;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::letters;
use portcullis_tests::post_office::{Manner, PostOffice, Received};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, SESSION, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_hours(1);
const NEW: &str = "a new and longer one";
const CHANGED: &str = "Your password was changed";

async fn start(database: Database, office: &PostOffice) -> TestServer {
    TestServer::start_with(database, |config| office.serve(config)).await
}

/// An administrator sets the password.
async fn reset(server: &TestServer, person: &Person, password: &str) {
    let path = format!("/users/{}/password", person.id);
    let answer = server.admin.send(Method::PUT, &path, &json!({ "password": password })).await;
    assert!(answer.status.is_success(), "{} {}", answer.status, answer.text());
}

/// Sends what is due.
async fn send(server: &TestServer) {
    server.app().send_letters().await.unwrap();
}

/// The events of this kind, newest first.
async fn events(server: &TestServer, action: &str) -> Vec<Value> {
    let listed = server.admin.get("/audit?limit=50").await.json();
    let items = listed["items"].as_array().unwrap();
    items.iter().filter(|event| event["action"] == action).cloned().collect()
}

/// The letters that tell of a changed password.
fn changes(office: &PostOffice) -> Vec<Received> {
    office.received().into_iter().filter(|letter| subject(letter) == CHANGED).collect()
}

fn subject(letter: &Received) -> String {
    letter.header("Subject").unwrap()
}

fn only(letters: &[Received]) -> &Received {
    assert_eq!(letters.len(), 1, "{letters:?}");
    &letters[0]
}

#[rstest]
#[tokio::test]
async fn who_changes_the_password_is_told_of_it_by_mail(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let page = visitor.open("/account/security/password").await;
    let form = the_form(&page, "change-password-form");
    let wrong = form.clone().with("password", "not the password").with("new-password", NEW);
    assert_eq!(visitor.submit(&wrong).await.status, 422);
    send(&server).await;
    assert_eq!(changes(&office), [], "nothing changed");
    let right = form.with("password", &ada.password).with("new-password", NEW);
    assert_eq!(visitor.submit(&right).await.status, 303);
    send(&server).await;
    let letters = changes(&office);
    let letter = only(&letters);
    assert_eq!(
        (letter.from.as_str(), letter.to.as_slice()),
        ("id@mail.test", &["ada@example.org".to_owned()][..])
    );
    assert_eq!(letter.header("Subject").as_deref(), Some(CHANGED));
    assert_eq!(letter.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert_eq!(letter.header("From").as_deref(), Some("Example <id@mail.test>"));
    assert!(letter.header("Message-ID").unwrap().ends_with("@mail.test>"));
    let body = letter.body();
    assert!(body.contains("127.0.0.1") && body.contains("ada of the tests"), "{body}");
    assert!(body.contains(&format!("{}/account", server.issuer)), "{body}");
    assert!(!body.contains(NEW) && !body.contains(&ada.password));
}

#[rstest]
#[tokio::test]
async fn somebody_whose_password_an_administrator_sets_is_told_by_mail(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let ada = server.admin.user("ada").await;
    send(&server).await;
    assert_eq!(office.received(), [], "a new account was asked for by whoever made it");
    reset(&server, &ada, NEW).await;
    send(&server).await;
    let body = only(&office.received()).body();
    assert!(body.contains("an administrator set a new password") && !body.contains("127.0.0.1"), "{body}");
}

#[rstest]
#[tokio::test]
async fn nobody_is_written_to_without_an_address_or_while_mail_is_off(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let made =
        server.admin.post("/users", &json!({ "username": "eve", "password": "a first and long one" })).await;
    let path = format!("/users/{}/password", made["id"].as_str().unwrap());
    let answer = server.admin.send(Method::PUT, &path, &json!({ "password": NEW })).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    send(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let stored = SecretText::new(url.clone());
    let silent = TestServer::start_with(database, |config| config.database.url = Some(stored)).await;
    let ada = silent.admin.user("ada").await;
    reset(&silent, &ada, NEW).await;
    send(&silent).await;
    assert_eq!((office.received(), office.transcript()), (vec![], vec![]));
    assert_eq!(letters(&url).await, Vec::<String>::new(), "nothing waits there");
}

#[rstest]
#[case(Manner::Refuse(451))]
#[case(Manner::HangUp)]
#[tokio::test]
async fn a_letter_that_is_not_taken_now_is_sent_again_later(
    #[case] manner: Manner,
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    office.behave(manner);
    let server = start(database, &office).await;
    let ada = server.admin.user("ada").await;
    reset(&server, &ada, NEW).await;
    send(&server).await;
    let tries = || office.transcript().iter().filter(|line| line.starts_with("RCPT")).count();
    assert_eq!(tries(), 1);
    send(&server).await;
    assert_eq!(tries(), 1, "not before its time");
    office.behave(Manner::Accept);
    server.wait(Duration::from_secs(5));
    send(&server).await;
    let first = only(&office.received()).clone();
    for _ in 0..3 {
        server.wait(HOUR);
        send(&server).await;
    }
    only(&office.received());
    assert_eq!(subject(&first), CHANGED);
    assert_eq!(events(&server, "mail.undelivered").await, Vec::<Value>::new());
}

/// F24: an hour without a mail server loses no letter.
#[rstest]
#[tokio::test]
async fn an_hour_without_a_mail_server_loses_no_letter(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    office.behave(Manner::Refuse(421));
    let server = start(database, &office).await;
    let people =
        [server.admin.user("ada").await, server.admin.user("bob").await, server.admin.user("cleo").await];
    for person in &people {
        reset(&server, person, NEW).await;
    }
    for _ in 0..60 {
        send(&server).await;
        server.wait(Duration::from_mins(1));
    }
    assert_eq!(office.received(), []);
    office.behave(Manner::Accept);
    for _ in 0..3 {
        server.wait(HOUR);
        send(&server).await;
    }
    let mut to: Vec<String> = office.received().into_iter().flat_map(|letter| letter.to).collect();
    to.sort();
    assert_eq!(to, ["ada@example.org", "bob@example.org", "cleo@example.org"], "each once");
}

#[rstest]
#[tokio::test]
async fn a_letter_that_is_refused_for_good_is_given_up_and_told_of(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    office.behave(Manner::Refuse(550));
    let server = start(database, &office).await;
    let ada = server.admin.user("ada").await;
    reset(&server, &ada, NEW).await;
    send(&server).await;
    office.behave(Manner::Accept);
    server.wait(HOUR);
    send(&server).await;
    assert_eq!(office.received(), [], "it is not sent again");
    let told = events(&server, "mail.undelivered").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["outcome"], &told[0]["target"]), (&json!("refused"), &json!(ada.id)));
    let detail = &told[0]["detail"];
    assert_eq!(
        (&detail["kind"], &detail["state"], &detail["attempts"]),
        (&json!("password_changed"), &json!("failed"), &json!(1))
    );
    assert!(detail["reason"].as_str().unwrap().contains("550 5.1.1"), "{detail}");
    assert!(!told[0].to_string().contains("example.org"), "no address is in the trail: {}", told[0]);
}

#[rstest]
#[tokio::test]
async fn a_letter_whose_time_is_over_is_given_up_and_told_of(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    office.behave(Manner::Refuse(451));
    let server = start(database, &office).await;
    let ada = server.admin.user("ada").await;
    reset(&server, &ada, NEW).await;
    for _ in 0..72 {
        send(&server).await;
        assert_eq!(events(&server, "mail.undelivered").await, Vec::<Value>::new());
        server.wait(HOUR);
    }
    office.behave(Manner::Accept);
    send(&server).await;
    assert_eq!(office.received(), [], "it is too late");
    let told = events(&server, "mail.undelivered").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["detail"]["state"], "expired");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_send_a_letter_once(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let replica = server.replica().await;
    for name in ["ada", "bob", "cleo", "dora", "eve"] {
        let person = server.admin.user(name).await;
        reset(&server, &person, NEW).await;
    }
    tokio::join!(send(&server), send(&replica));
    tokio::join!(send(&server), send(&replica));
    let mut to: Vec<String> = office.received().into_iter().flat_map(|letter| letter.to).collect();
    to.sort();
    assert_eq!(to.len(), 5, "{to:?}");
    to.dedup();
    assert_eq!(to.len(), 5, "each once");
}

/// What one process left, another sends.
#[rstest]
#[tokio::test]
async fn a_server_that_stops_leaves_its_letters_to_the_next(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    office.behave(Manner::Refuse(451));
    let server = start(database, &office).await;
    let ada = server.admin.user("ada").await;
    reset(&server, &ada, NEW).await;
    send(&server).await;
    let next = server.replica().await;
    server.stop().await;
    office.behave(Manner::Accept);
    next.wait(HOUR);
    send(&next).await;
    assert_eq!(only(&office.received()).to, ["ada@example.org"]);
}

/// A browser is known by its cookie, and for each account.
#[rstest]
#[tokio::test]
async fn somebody_is_told_of_a_sign_in_with_a_browser_that_was_not_known(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    let wrong = Person { password: "not the password".to_owned(), ..ada.clone() };
    server.visitor().sign_in(&wrong).await;
    send(&server).await;
    assert_eq!(office.received(), [], "nobody signed in");
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    send(&server).await;
    let first = only(&office.received()).clone();
    assert_eq!(
        (subject(&first).as_str(), first.to[0].as_str()),
        ("New sign-in to your account", "ada@example.org")
    );
    let body = first.body();
    assert!(body.contains("127.0.0.1") && body.contains("/account/security/password"), "{body}");
    // Signed out, and still the same browser.
    visitor.plant_cookie(SESSION, "gone");
    visitor.sign_in(&ada).await;
    send(&server).await;
    assert_eq!(office.received().len(), 1, "it is known now");
    visitor.plant_cookie(SESSION, "gone");
    visitor.sign_in(&bob).await;
    server.visitor().sign_in(&ada).await;
    send(&server).await;
    let mut to: Vec<_> = office.received().into_iter().skip(1).flat_map(|letter| letter.to).collect();
    to.sort();
    assert_eq!(to, ["ada@example.org", "bob@example.org"]);
}

/// The answer does not wait for the mail server (F24).
#[rstest]
#[tokio::test]
async fn a_mail_server_that_says_nothing_holds_nobody_up(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    office.behave(Manner::Silent);
    let server = TestServer::start_with(database, |config| {
        office.serve(config);
        config.reach.mail.smtp.timeout_secs = 300;
    })
    .await;
    let ada = server.admin.user("ada").await;
    let answers = async {
        reset(&server, &ada, NEW).await;
        let renewed = Person { password: NEW.to_owned(), ..ada };
        assert_eq!(server.visitor().sign_in(&renewed).await.url.path(), "/account");
    };
    let in_time = tokio::time::timeout(Duration::from_mins(1), answers).await;
    assert!(in_time.is_ok(), "nobody waits five minutes for a mail server");
}

/// What it took it has: a letter is not sent again because nobody said goodbye.
#[rstest]
#[tokio::test]
async fn a_mail_server_that_says_no_goodbye_gets_a_letter_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    office.behave(Manner::NoFarewell);
    let server = TestServer::start_with(database, |config| {
        office.serve(config);
        config.reach.mail.smtp.timeout_secs = 5;
    })
    .await;
    let ada = server.admin.user("ada").await;
    reset(&server, &ada, NEW).await;
    for _ in 0..3 {
        send(&server).await;
        server.wait(HOUR);
    }
    assert_eq!(only(&changes(&office)).to, ["ada@example.org"]);
}

#[rstest]
#[tokio::test]
async fn letters_become_files_where_a_folder_takes_them(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_with(database, |config| {
        config.reach.mail.transport = portcullis_server::config::Transport::Folder;
    })
    .await;
    let ada = server.admin.user("ada").await;
    reset(&server, &ada, NEW).await;
    send(&server).await;
    let files: Vec<_> = std::fs::read_dir(server.data_dir().join("mail"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(files[0].extension().is_some_and(|kind| kind == "eml"));
    assert!(text.contains("\r\nSubject: Your password was changed\r\n"), "{text}");
    assert!(text.contains("\r\nFrom: Portcullis <portcullis@localhost>\r\n"), "{text}");
}

/// Nobody is left to whom it says something.
#[rstest]
#[tokio::test]
async fn a_letter_that_waits_goes_with_the_account(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    office.behave(Manner::Refuse(451));
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    let ada = server.admin.user("ada").await;
    reset(&server, &ada, NEW).await;
    send(&server).await;
    let path = format!("/users/{}", ada.id);
    assert_eq!(server.admin.send(Method::DELETE, &path, &json!(null)).await.status, 204);
    office.behave(Manner::Accept);
    server.wait(HOUR);
    send(&server).await;
    assert_eq!(changes(&office).len(), 0);
}
