//! Groups PW and HT, where they are about letters: what gets into one, how many are sent, and to whom the server speaks.

use std::time::Duration;

use portcullis_server::config::{MailTls, SecretText};
use portcullis_tests::certificates::Certificate;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::letters;
use portcullis_tests::post_office::{Manner, PostOffice};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_hours(1);
const PASSWORD: &str = "umbrella walnut fortnight";
/// What this server says to the mail server.
const MAIL_PASSWORD: &str = "hunter2-of-the-mail-server";

/// An administrator sets the password of an account.
async fn set_password(server: &TestServer, user: &str) {
    let path = format!("/users/{user}/password");
    let answer = server.admin.send(Method::PUT, &path, &json!({ "password": PASSWORD })).await;
    assert!(answer.status.is_success(), "{} {}", answer.status, answer.text());
}

async fn send(server: &TestServer) {
    server.app().send_letters().await.unwrap();
}

/// PW-18: what somebody is called, or gives as an address, adds no recipient, no header and no markup.
#[rstest]
#[tokio::test]
async fn pw_18_a_letter_goes_to_one_address_whatever_is_in_the_name(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    let account = |number: usize, name: &str, email: &str| json!({ "username": format!("user{number}"), "name": name, "email": email });
    for (number, (name, email)) in [
        ("Ada\r\nBcc: eve@evil.test", "ada@example.org"),
        ("Ada\nSubject: x", "ada@example.org"),
        ("Ada\0", "ada@example.org"),
        ("Ada \u{202e}", "ada@example.org"),
        ("Ada", "ada@example.org\r\nBcc: eve@evil.test"),
        ("Ada", "ada@example.org>\r\nRCPT TO:<eve@evil.test"),
        ("Ada", "ada@example.org,eve@evil.test"),
        ("Ada", "ada@example.org\0"),
        ("Ada", "ada@example.org> SIZE=1"),
        ("Ada", "\"ada\"@example.org"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = server.admin.send(Method::POST, "/users", &account(number, name, email)).await;
        assert_eq!(answer.status, 422, "{name:?} {email:?}: {}", answer.text());
    }
    // What is a name somewhere, and would be something else in a header, in a template or in a page.
    for (number, name) in [
        "<script>alert(1)</script>",
        "\"Ada\" <eve@evil.test>, x",
        "=?utf-8?q?Ada=0D=0ABcc:_eve=40evil.test?=",
        "{{ place.host }}{% include 'layout.txt' %}",
        "\u{410}\u{434}\u{430} <b>bold</b>",
    ]
    .into_iter()
    .enumerate()
    {
        let before = office.received().len();
        let document = account(100 + number, name, "ada@example.org");
        let made = server.admin.post("/users", &document).await;
        set_password(&server, made["id"].as_str().unwrap()).await;
        send(&server).await;
        server.wait(HOUR);
        let received = office.received();
        assert_eq!(received.len(), before + 1, "{name:?}");
        let letter = &received[before];
        assert_eq!(letter.to, ["ada@example.org"], "{name:?}");
        assert_eq!(letter.header("Bcc"), None);
        assert_eq!(letter.header("Subject").as_deref(), Some("Your password was changed"));
        let (_, page) = letter.message.split_once("Content-Type: text/html").unwrap();
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(letter.message.matches("Message-ID: ").count() == 1, "{}", letter.message);
    }
    for line in office.transcript() {
        assert!(!line.starts_with("RCPT") || line == "RCPT TO:<ada@example.org>", "{line}");
        assert!(!line.contains("evil.test"), "{line}");
    }
}

/// PW-22: three letters of a kind in an hour to one address, in whatever case it is written, and the same answer each time.
#[rstest]
#[tokio::test]
async fn pw_22_an_address_is_not_flooded(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    let ada = server.admin.user("ada").await;
    let twin = json!({ "username": "twin", "email": "ADA@example.ORG" });
    let twin = server.admin.post("/users", &twin).await["id"].as_str().unwrap().to_owned();
    let bob = server.admin.user("bob").await;
    set_password(&server, &bob.id).await;
    for _ in 0..50 {
        set_password(&server, &ada.id).await;
    }
    for _ in 0..50 {
        set_password(&server, &twin).await;
    }
    send(&server).await;
    assert_eq!(office.received().len(), 4);
    set_password(&server, &bob.id).await;
    send(&server).await;
    assert_eq!(office.received().len(), 5, "nobody else waits for it");
    server.wait(HOUR);
    for _ in 0..5 {
        set_password(&server, &ada.id).await;
    }
    send(&server).await;
    assert_eq!(office.received().len(), 8, "the next hour has three of its own");
    let listed = server.admin.get("/audit?limit=50").await.json();
    let undelivered = |event: &Value| event["action"] == "mail.undelivered";
    assert!(!listed["items"].as_array().unwrap().iter().any(undelivered));
    // Each comes after one like it, so that what is kept in memory is the same.
    set_password(&server, &bob.id).await;
    // What the server looks at by itself every second may fall between two of them, so that one alone tells nothing.
    let (mut sent, mut void) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        server.wait(HOUR);
        for number in 0..6 {
            let before = server.statements();
            set_password(&server, &ada.id).await;
            let costs = if number < 3 { &mut sent } else { &mut void };
            costs.push(server.statements() - before);
        }
    }
    assert_eq!(
        sent.iter().min(),
        void.iter().min(),
        "what is not sent costs the same: {sent:?} and {void:?}"
    );
}

/// A server whose letters go to this office, which it trusts by this authority alone.
async fn over_tls(
    database: Database,
    office: &PostOffice,
    authority: &Certificate,
    change: impl FnOnce(&mut portcullis_server::Config),
) -> TestServer {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.certificate_pem()).unwrap();
    // The file is read when the server starts.
    TestServer::start_with(database, |config| {
        office.serve(config);
        config.reach.mail.smtp.ca_file = Some(ca_file);
        change(config);
    })
    .await
}

async fn tried(server: &TestServer) {
    let ada = server.admin.user("ada").await;
    set_password(server, &ada.id).await;
    send(server).await;
}

/// HT-20: over TLS letters go to the mail server that was named, or nowhere.
#[rstest]
#[tokio::test]
async fn ht_20_a_mail_server_with_the_right_certificate_gets_the_letters(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(MailTls::Required, MailTls::Starttls)] tls: MailTls,
) {
    let authority = Certificate::authority("Mail authority");
    let office = PostOffice::with_tls(&authority.server("localhost"), tls).await;
    tried(&over_tls(database, &office, &authority, |_| {}).await).await;
    let received = office.received();
    assert_eq!(received.len(), 1);
    assert!(received[0].is_sealed);
}

#[rstest]
#[tokio::test]
async fn ht_20_a_mail_server_with_another_certificate_is_told_nothing(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(MailTls::Required, MailTls::Starttls)] tls: MailTls,
    #[values("another name", "expired", "another authority", "its own")] fault: &str,
) {
    let authority = Certificate::authority("Mail authority");
    let certificate = match fault {
        "another name" => authority.server("mail.evil.test"),
        "expired" => authority.expired_server("localhost"),
        "another authority" => Certificate::authority("Mail authority").server("localhost"),
        _ => Certificate::authority("localhost"),
    };
    let office = PostOffice::with_tls(&certificate, tls).await;
    let server = over_tls(database, &office, &authority, |_| {}).await;
    tried(&server).await;
    assert_eq!(office.received(), [], "{fault}");
    let said = office.transcript();
    assert!(
        said.iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS" || line == "QUIT"),
        "{said:?}"
    );
    let log = server.log.lines_with("a letter was not sent");
    assert!(log.iter().any(|line| line.contains("no TLS with the mail server")), "{log:?}");
}

/// Somebody in between who takes `STARTTLS` out of the answer gets neither letter nor password.
#[rstest]
#[tokio::test]
async fn ht_20_without_tls_nothing_is_said_where_tls_is_asked_for(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let authority = Certificate::authority("Mail authority");
    for tls in [MailTls::Starttls, MailTls::Required] {
        let server = over_tls(database, &office, &authority, |config| {
            config.reach.mail.smtp.tls = tls;
            config.reach.mail.smtp.timeout_secs = 1;
            config.reach.mail.smtp.username = Some("portcullis".to_owned());
            config.reach.mail.smtp.password = Some(SecretText::new(MAIL_PASSWORD));
        })
        .await;
        tried(&server).await;
    }
    assert_eq!(office.received(), []);
    let said = office.transcript().concat();
    for word in ["AUTH", "MAIL", "RCPT", "DATA"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
}

#[rstest]
#[tokio::test]
async fn ht_20_the_password_is_said_over_tls_and_a_wrong_one_keeps_the_letter_waiting(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let authority = Certificate::authority("Mail authority");
    let login = ("portcullis", MAIL_PASSWORD);
    let office = PostOffice::with_login(&authority.server("localhost"), login).await;
    let server = over_tls(database, &office, &authority, |_| {}).await;
    tried(&server).await;
    assert_eq!(office.received().len(), 1);
    let wrong = over_tls(database, &office, &authority, |config| {
        config.reach.mail.smtp.password = Some(SecretText::new("not the password of it"));
    })
    .await;
    tried(&wrong).await;
    assert_eq!(office.received().len(), 1);
    let log = wrong.log.lines_with("a letter was not sent");
    assert!(
        log.iter().any(|line| line.contains("check mail.username and mail.password (535 5.7.8)")),
        "{log:?}"
    );
    let trail = wrong.admin.get("/audit?limit=50").await;
    assert!(!trail.text().contains("mail.undelivered"), "it waits: an operator mends it");
}

/// What a letter says and whom it goes to is sealed while it waits, and gone when it is settled. What the mail server says of an address
/// is kept nowhere, and neither is the password for it.
#[rstest]
#[tokio::test]
async fn da_03_a_letter_is_in_no_table_in_the_clear(#[values(Sqlite, Postgres)] database: Database) {
    let authority = Certificate::authority("Mail authority");
    let office = PostOffice::with_login(&authority.server("localhost"), ("portcullis", MAIL_PASSWORD)).await;
    let folder = tempfile::tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let stored = SecretText::new(url.clone());
    let server = over_tls(database, &office, &authority, |config| config.database.url = Some(stored)).await;
    office.behave(Manner::Refuse(451));
    let ada = server.admin.user("ada").await;
    set_password(&server, &ada.id).await;
    send(&server).await;
    let told = ["ada@", "ada of", "example.org", "administrator", MAIL_PASSWORD];
    let waiting = letters(&url).await;
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].contains("waiting") && waiting[0].contains("451"), "{waiting:?}");
    for said in told {
        assert!(!waiting[0].contains(said), "{said}: {waiting:?}");
    }
    office.behave(Manner::Refuse(550));
    set_password(&server, &ada.id).await;
    send(&server).await;
    office.behave(Manner::Accept);
    server.wait(HOUR);
    send(&server).await;
    let settled = letters(&url).await;
    assert_eq!(settled.len(), 2);
    for row in settled {
        assert!(row.ends_with("sealed: none"), "{row}");
        for said in told {
            assert!(!row.contains(said), "{said}: {row}");
        }
    }
    assert_eq!(office.received().len(), 1, "the letter that was told to come again");
    let trail = server.admin.get("/audit?limit=50").await;
    assert!(trail.text().contains("mail.undelivered"));
    for (what, secret) in [("e-mail address", "ada@example.org"), ("mail password", MAIL_PASSWORD)] {
        assert!(!trail.text().contains(secret), "the {what} is in the audit trail");
        let found = server.log.lines_with(secret);
        assert!(found.is_empty(), "the {what} is in the log: {}", found.join("\n"));
    }
}

/// PW-14: a letter leads to the server by the name that it was given, whatever a request calls it.
#[rstest]
#[tokio::test]
async fn pw_14_what_a_request_calls_the_server_is_in_no_letter(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let login = visitor.open("/login").await;
    let elsewhere = [
        ("sec-fetch-site", "same-origin"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-server", "evil.test"),
        ("forwarded", "for=evil.test;host=evil.test;proto=http"),
        ("referer", "https://evil.test/"),
    ];
    let form = login_form(&login, &ada.username, &ada.password);
    assert_eq!(visitor.submit_from(&form, &elsewhere).await.status, 303);
    let page = visitor.open("/account/security/password").await;
    let form = the_form(&page, "change-password-form").with("password", &ada.password);
    let changed = visitor.submit_from(&form.with("new-password", PASSWORD), &elsewhere).await;
    assert_eq!(changed.status, 303, "{}", changed.text());
    send(&server).await;
    let received = office.received();
    assert_eq!(received.len(), 2, "of the sign-in and of the password");
    for letter in received {
        assert!(!letter.message.contains("evil"), "{}", letter.message);
        assert!(letter.body().contains(&format!("{}/account", server.issuer)), "{}", letter.body());
    }
}
