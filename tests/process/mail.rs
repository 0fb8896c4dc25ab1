//! Letters and the program: a command that sends one at once, and letters that a killed server had left.

use std::process::Output;

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::post_office::{Manner, PostOffice};
use portcullis_tests::process::{Place, ServerProcess};
use rstest::rstest;
use serde_json::Value;

use crate::commands::{PASSWORD, place_on, said};

/// What has letters sent to this office.
fn settings(office: &PostOffice) -> Vec<String> {
    let port = format!("mail.port={}", office.port);
    let values = [
        "mail.transport=smtp",
        "mail.host=127.0.0.1",
        "mail.tls=none",
        "mail.from=Example <id@mail.test>",
        "mail.timeout_secs=5",
        &port,
    ];
    values.into_iter().flat_map(|value| ["--set".to_owned(), value.to_owned()]).collect()
}

/// Runs a command beside others: what it speaks with is on this thread.
async fn run(place: &Place, arguments: Vec<String>) -> Output {
    let place = place.clone();
    let running = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        place.run(&arguments)
    });
    running.await.unwrap()
}

async fn send_test(place: &Place, settings: &[String], address: &str) -> Output {
    let command = ["mail", "send-test", address].map(str::to_owned);
    run(place, [&command, settings].concat()).await
}

#[tokio::test]
async fn an_operator_sees_whether_letters_arrive() {
    let (_folder, place) = place_on(Sqlite).await;
    let office = PostOffice::start().await;
    let settings = settings(&office);
    let sent = send_test(&place, &settings, "Ada <ada@example.org>").await;
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    assert!(said(&sent).contains("was taken: 250 2.0.0 taken"), "{}", said(&sent));
    let letter = office.received().remove(0);
    assert_eq!(letter.header("To").as_deref(), Some("Ada <ada@example.org>"));
    assert!(letter.header("Subject").unwrap().starts_with("A test letter from "));
    let as_json = [&settings[..], &["--format".to_owned(), "json".to_owned()]].concat();
    let printed = send_test(&place, &as_json, "a@b.test").await.stdout;
    let json: Value = serde_json::from_slice(&printed).unwrap();
    assert_eq!(json["answer"], "250 2.0.0 taken");
    assert!(!place.data_dir.join("portcullis.db").exists(), "it needs no database, and makes none");
}

#[tokio::test]
async fn an_operator_is_told_why_letters_do_not_arrive() {
    let (_folder, place) = place_on(Sqlite).await;
    let office = PostOffice::start().await;
    let working = settings(&office);
    let with = |value: &str| [&working[..], &["--set".to_owned(), value.to_owned()]].concat();
    office.behave(Manner::Refuse(550));
    let refused = send_test(&place, &working, "ada@example.org").await;
    assert_eq!(refused.status.code(), Some(1));
    let told = said(&refused);
    assert!(told.contains("refused it (550 5.1.1)"), "{told}");
    assert!(told.contains("it answered: 550 5.1.1 <ada@example.org> is not served"), "{told}");
    office.behave(Manner::Refuse(451));
    assert!(
        said(&send_test(&place, &working, "ada@example.org").await)
            .contains("does not take it now (451 4.1.1)")
    );
    office.behave(Manner::HangUp);
    let hung_up = send_test(&place, &working, "ada@example.org").await;
    assert_eq!(hung_up.status.code(), Some(1), "{}", said(&hung_up));
    let free = Place::new(&place.data_dir).port;
    for (settings, code, part) in [
        (with(&format!("mail.port={free}")), 1, "refused (os error"),
        (with("mail.tls=required"), 1, "no TLS with the mail server"),
        (with("mail.tls=starttls"), 1, "STARTTLS is not supported"),
        (with("mail.transport=off"), 3, "mail.host: names a mail server that is not used"),
        (vec![], 3, "mail is off"),
        (with("mail.ca_file=/does/not/exist"), 3, "mail.ca_file"),
    ] {
        let output = send_test(&place, &settings, "ada@example.org").await;
        assert_eq!(output.status.code(), Some(code), "{part}: {}", said(&output));
        assert!(said(&output).contains(part), "{part}: {}", said(&output));
    }
    let nobody = send_test(&place, &working, "nobody").await;
    assert_eq!(nobody.status.code(), Some(2), "{}", said(&nobody));
}

#[tokio::test]
async fn without_a_mail_server_letters_are_files() {
    let (_folder, place) = place_on(Sqlite).await;
    let settings = ["--set", "mail.transport=folder"].map(str::to_owned);
    let sent = send_test(&place, &settings, "ada@example.org").await;
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    let files: Vec<_> = std::fs::read_dir(place.data_dir.join("mail")).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    let path = files[0].path();
    assert!(said(&sent).contains(&path.display().to_string()), "{}", said(&sent));
    assert!(std::fs::read_to_string(path).unwrap().contains("\r\nTo: ada@example.org\r\n"));
}

/// A letter that a command wrote, and that a server could not send before it was killed, is sent by the next.
#[rstest]
#[tokio::test]
async fn a_killed_server_loses_no_letter(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let office = PostOffice::start().await;
    office.behave(Manner::Refuse(451));
    let settings = settings(&office);
    let password = place.data_dir.join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let with = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        [&arguments, &settings[..]].concat()
    };
    let file = ["--password-file", password.to_str().unwrap()];
    let create = [&["user", "create", "ada", "--email", "ada@example.org"][..], &file].concat();
    let made = run(&place, with(&create)).await;
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let set = [&["user", "password", "ada"][..], &file].concat();
    let done = run(&place, with(&set)).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert_eq!(office.transcript(), Vec::<String>::new(), "a command leaves it to the server");
    let arguments = with(&["serve"]);
    let start = async || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut server = ServerProcess::of(place.command(&arguments), &place);
        server.ready().await;
        server
    };
    let server = start().await;
    office.wait_to_hear("RCPT").await;
    server.kill();
    assert_eq!(office.received(), []);
    office.behave(Manner::Accept);
    let server = start().await;
    let letters = office.wait_for(1).await;
    assert_eq!(letters[0].to, ["ada@example.org"]);
    assert_eq!(letters[0].header("Subject").as_deref(), Some("Your password was changed"));
    assert!(!server.log().contains("example.org"));
    server.kill();
}
