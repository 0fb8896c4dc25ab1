//! Group PW, where it is about passwords that are forgotten: who learns what, and what a letter is good for.

use std::time::Duration;

use portcullis_server::config::SecretText;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::database::dump;
use portcullis_tests::post_office::{PostOffice, Received};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use rstest::rstest;
use serde_json::{Value, json};

const NEW: &str = "umbrella walnut fortnight";

/// Asks for a letter, with a browser that was never here, and gives the answer and the page behind it.
async fn ask(server: &TestServer, who: &str) -> [Answer; 2] {
    let mut visitor = server.visitor();
    let page = visitor.open("/recover").await;
    let answer = visitor.submit(&the_form(&page, "recover").with("username", who)).await;
    let behind = visitor.follow(answer.clone()).await;
    [answer, behind]
}

async fn letters(server: &TestServer, office: &PostOffice) -> Vec<Received> {
    server.app().send_letters().await.unwrap();
    office.received()
}

async fn set(server: &TestServer, code: &str, password: &str) -> Answer {
    let mut visitor = server.visitor();
    let page = visitor.open("/recover/new").await;
    visitor.submit(&the_form(&page, "code-form").with("code", code).with("new-password", password)).await
}

/// An answer without what differs in any two: the request id and the date.
fn masked(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let id = answer.header("x-request-id").to_owned();
    let mask = |text: &str| text.replace(&id, "ID");
    let headers = answer.headers.iter().filter(|(name, _)| name.as_str() != "date");
    let headers = headers.map(|(name, value)| (name.to_string(), mask(value.to_str().unwrap())));
    (answer.status.as_u16(), mask(&answer.text()), headers.collect())
}

/// PW-01: whoever asks for a letter gets the same answer, byte for byte, whoever there is.
#[rstest]
#[tokio::test]
async fn pw_01_who_asks_for_a_letter_does_not_learn_who_has_an_account(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    server.admin.user("known-user").await;
    let disabled = server.admin.user("disabled-u").await;
    server.admin.post(&format!("/users/{}/disable", disabled.id), &json!({})).await;
    server.admin.post("/users", &json!({ "username": "no-address" })).await;
    server.admin.post("/users", &json!({ "username": "unconfirmed", "email": "u@example.org" })).await;
    let names = ["known-user", "disabled-u", "no-address", "unconfirmed", "unknown-us"];
    let addresses =
        ["known-user@example.org", "disabled-u@example.org", "u@example.org", "unknown-us@example.org"];
    let mut answers = Vec::new();
    for who in names.into_iter().chain(addresses) {
        answers.push((who, ask(&server, who).await.map(|answer| masked(&answer))));
    }
    let (_, first) = answers[0].clone();
    assert_eq!((first[0].0, first[1].0), (303, 200));
    for (who, answer) in answers {
        assert_eq!(answer, first, "{who}");
    }
    let mut to: Vec<_> = letters(&server, &office).await.into_iter().flat_map(|letter| letter.to).collect();
    to.sort();
    assert_eq!(to, ["known-user@example.org", "known-user@example.org", "u@example.org", "u@example.org"]);
    // One event each, so that the trail is no longer for one than for the other.
    let listed = server.admin.get("/audit?limit=100").await.json();
    let asked = |event: &&Value| event["action"] == "password.reset_requested";
    assert_eq!(listed["items"].as_array().unwrap().iter().filter(asked).count(), 9);
    // Neither the name nor the address that was typed is kept: it may be a password.
    assert!(!listed.to_string().contains("unknown-us") && !listed.to_string().contains('@'));
}

/// PW-02: the same is done for each. No password is hashed for a letter, so statements are what could be told apart.
#[rstest]
#[tokio::test]
async fn pw_02_a_letter_to_nobody_costs_what_a_letter_costs(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    server.admin.user("known").await;
    let disabled = server.admin.user("disab").await;
    server.admin.post(&format!("/users/{}/disable", disabled.id), &json!({})).await;
    server.admin.post("/users", &json!({ "username": "empty" })).await;
    let mut visitor = server.visitor();
    let page = visitor.open("/recover").await;
    let mut cost = async |who: &str| {
        let mut costs = Vec::new();
        for _ in 0..5 {
            let before = server.statements();
            visitor.submit(&the_form(&page, "recover").with("username", who)).await;
            costs.push(server.statements() - before);
        }
        // What the server looks at by itself every second may fall between two of them.
        costs.into_iter().min().unwrap()
    };
    let known = cost("known").await;
    for other in ["disab", "empty", "other"] {
        assert_eq!(cost(other).await, known, "{other}");
    }
    let known = cost("known@example.org").await;
    for other in ["disab@example.org", "other@example.org"] {
        assert_eq!(cost(other).await, known, "{other}");
    }
}

/// PW-16: a code works once, for a quarter of an hour, for one account; it is 256 bits, and in no table.
#[rstest]
#[tokio::test]
async fn pw_16_a_code_is_for_one_account_once_and_in_no_table(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let office = PostOffice::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let stored = SecretText::new(url.clone());
    let server = TestServer::start_with(database, |config| {
        office.serve(config);
        config.database.url = Some(stored);
    })
    .await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    ask(&server, "ada").await;
    ask(&server, "bob").await;
    if database != Sqlite {
        let kept = dump(&url).await;
        let codes = letters(&server, &office).await.into_iter().map(|letter| letter.code().unwrap());
        for code in codes {
            assert_eq!(code.len(), 47, "256 bits behind a prefix");
            assert!(!kept.contains(&code[4..]), "a code is in a table");
        }
    }
    let code = letters(&server, &office)
        .await
        .into_iter()
        .find(|letter| letter.to == ["ada@example.org"])
        .and_then(|letter| letter.code())
        .unwrap();
    // It says itself whose it is: a form cannot.
    let mut visitor = server.visitor();
    let page = visitor.open("/recover/new").await;
    let form = the_form(&page, "code-form").with("code", &code).with("username", "bob");
    let form = form.with("user", &bob.id).with("new-password", NEW);
    assert_eq!(visitor.submit(&form).await.header("location"), "/login?renewed");
    assert_eq!(server.visitor().sign_in(&bob).await.url.path(), "/account");
    assert_eq!(server.visitor().sign_in(&ada).await.url.path(), "/login");
    assert_eq!(set(&server, &code, NEW).await.status, 422, "again");
    ask(&server, "ada").await;
    // Of the sign-ins there are letters as well.
    let late = letters(&server, &office).await.iter().rev().find_map(Received::code).unwrap();
    server.wait(Duration::from_mins(15));
    assert_eq!(set(&server, &late, NEW).await.status, 422, "late");
    // A code for something else is none here.
    let elsewhere = server.visitor().open(&format!("/recover/new?code={late}")).await;
    assert!(!elsewhere.text().contains(&late), "what is in an address gets into no form");
    let log = server.log.lines_with("pcm_");
    assert!(log.is_empty(), "a code is in the log: {}", log.join("\n"));
}

/// PW-14: the link leads to the server by the name that it was given, whatever the request calls it.
#[rstest]
#[tokio::test]
async fn pw_14_a_link_that_sets_a_password_leads_to_this_server(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let page = visitor.open("/recover").await;
    let elsewhere = [
        ("sec-fetch-site", "same-origin"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=evil.test;host=evil.test;proto=http"),
        ("referer", "https://evil.test/"),
        ("user-agent", "evil.test/1.0 (call evil.test)"),
    ];
    let form = the_form(&page, "recover").with("username", "ada");
    assert_eq!(visitor.submit_from(&form, &elsewhere).await.status, 303);
    let host = visitor.submit_from(&form, &[("sec-fetch-site", "same-origin"), ("host", "evil.test")]).await;
    let letters = letters(&server, &office).await;
    assert_eq!(letters.len(), if host.status == 303 { 2 } else { 1 }, "{}", host.status);
    for letter in letters {
        assert!(!letter.message.contains("evil"), "{}", letter.message);
        let link = format!("{}/recover/new#k=pcm_", server.issuer);
        assert!(letter.body().contains(&link), "{}", letter.body());
    }
}

/// PW-22: nobody floods an address by asking for letters, and nobody learns when it has enough. A warning still arrives.
#[rstest]
#[tokio::test]
async fn pw_22_who_is_not_signed_in_floods_no_address(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    let ada = server.admin.user("ada").await;
    server.admin.post("/users", &json!({ "username": "twin", "email": "ADA@example.ORG" })).await;
    let mut answers = Vec::new();
    for who in ["ada", "ada@example.org", "twin", "Ada@Example.org"].into_iter().cycle().take(100) {
        answers.push(ask(&server, who).await.map(|answer| masked(&answer)));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the same answer each time");
    assert_eq!(letters(&server, &office).await.len(), 3);
    server.visitor().sign_in(&ada).await;
    assert_eq!(letters(&server, &office).await.len(), 4, "of the sign-in");
    server.wait(Duration::from_hours(1));
    ask(&server, "ada").await;
    assert_eq!(letters(&server, &office).await.len(), 5);
}

/// One network asks for so many letters a minute, and no more, whomever they are for.
#[rstest]
#[tokio::test]
async fn pw_22_one_network_asks_for_few_letters(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| {
        office.serve(config);
        config.limits.login_per_address_per_minute = 60;
    })
    .await;
    let mut statuses = Vec::new();
    for number in 0..12 {
        let [answer, _] = ask(&server, &format!("user{number}@example.org")).await;
        statuses.push(answer.status.as_u16());
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), "6");
        }
    }
    assert_eq!(statuses, [[303; 10].as_slice(), &[429; 2]].concat());
    server.wait(Duration::from_secs(6));
    assert_eq!(ask(&server, "ada").await[0].status, 303);
}

/// PW-20: nobody changes an address without the password, confirms one that they cannot read, or keeps one that was put back.
#[rstest]
#[tokio::test]
async fn pw_20_an_address_is_changed_by_who_knows_the_password_and_reads_both(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    let (ada, eve) = (server.admin.user("ada").await, server.admin.user("mallory").await);
    let account = async |id: &str| server.admin.get(&format!("/users/{id}")).await.json();
    // A session that somebody left open is not enough.
    let mut left = server.visitor();
    left.sign_in(&ada).await;
    let form = the_form(&left.open("/account/profile/email").await, "email-form");
    for password in ["", "a guess at the password", eve.password.as_str()] {
        let form = form.clone().with("email", "eve@evil.test").with("password", password);
        assert_eq!(left.submit(&form).await.status, 422, "{password:?}");
    }
    let form = the_form(&left.open("/account/profile").await, "profile-form").with("email", "eve@evil.test");
    assert_eq!(left.submit(&form).await.status, 303);
    assert_eq!(letters(&server, &office).await.len(), 1, "of the sign-in");
    // An address that is somebody else's does not count, for tokens nor for letters, until its owner says so.
    let mut hers = server.visitor();
    hers.sign_in(&eve).await;
    let form = the_form(&hers.open("/account/profile/email").await, "email-form");
    let form = form.with("email", "ada@example.org").with("password", &eve.password);
    assert_eq!(hers.submit(&form.with("user", &ada.id)).await.status, 303);
    assert_eq!(account(&eve.id).await["email"], "mallory@example.org");
    assert!(account(&eve.id).await["email_verified_at"].is_null());
    ask(&server, "ada@example.org").await;
    let received = letters(&server, &office).await;
    let reset: Vec<_> = received.iter().filter(|letter| letter.body().contains("/recover/new#k=")).collect();
    assert_eq!(reset.len(), 1);
    assert!(reset[0].body().contains("Your user name there is ada."), "{}", reset[0].body());
    let proof = received.iter().find(|letter| letter.body().contains("/verify#k=")).unwrap();
    assert!(proof.body().contains("the user name mallory"), "who has it sees whose account it is");
    // A code says what it confirms: another address in the form changes nothing.
    let mut stranger = server.visitor();
    let page = stranger.open("/verify").await;
    let form = the_form(&page, "code-form").with("code", &proof.code().unwrap()).with("confirm", "yes");
    let form = form.with("address", "eve@evil.test").with("email", "eve@evil.test");
    assert_eq!(stranger.submit(&form).await.status, 303);
    assert_eq!(account(&eve.id).await["email"], "ada@example.org");
    assert_eq!(account(&ada.id).await["email"], "ada@example.org");
    let log = server.log.lines_with("pcm_");
    assert!(log.is_empty(), "a code is in the log: {}", log.join("\n"));
}
