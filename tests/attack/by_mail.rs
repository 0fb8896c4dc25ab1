//! Groups PW, MF and SE, where somebody signs in by a code that comes by mail: who learns what, and what a code is good for.

use std::path::Path;
use std::time::Duration;

use portcullis_server::config::SecretText;
use portcullis_tests::agent::Answer;
use portcullis_tests::by_mail::{ByMail, SUBJECT, letter_form, other_than};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::database::dump;
use portcullis_tests::visitor::the_form;
use rstest::rstest;
use serde_json::{Value, json};

/// Everybody about whom nothing is to be learnt: the first of each shape gets a letter, whoever wants the account deleted and can still keep
/// it gets one, and nobody else.
const NAMES: [&str; 8] =
    ["known-u", "disable", "no-mail", "unproven", "admin-p", "unknown", "leaving", "barred-u"];
const ADDRESSES: [&str; 7] = [
    "known-u@example.org",
    "disable@example.org",
    "unproven@example.org",
    "admin-p@example.org",
    "unknown@example.org",
    "leaving@example.org",
    "barred-u@example.org",
];

async fn crowd(scene: &ByMail) {
    let admin = &scene.server.admin;
    scene.person("known-u").await;
    let disabled = scene.person("disable").await;
    admin.post(&format!("/users/{}/disable", disabled.id), &json!({})).await;
    admin.post("/users", &json!({ "username": "no-mail" })).await;
    admin.user("unproven").await;
    scene.leaver("leaving").await;
    let barred = scene.leaver("barred-u").await;
    admin.post(&format!("/users/{}/disable", barred.id), &json!({})).await;
    let boss = scene.person("admin-p").await;
    admin.assign(&admin.admin_api().await, "policy-editor", &boss.id).await;
    scene.server.wait(Duration::from_mins(1));
}

/// An answer without what differs in any two: the request id, the date, the token of the form, and what the sign-in is called.
fn masked(answer: &Answer, secrets: &[&str]) -> (u16, String, Vec<(String, String)>) {
    let id = answer.header("x-request-id").to_owned();
    let mask = |text: &str| {
        let text = text.replace(&id, "ID");
        secrets.iter().fold(text, |text, secret| text.replace(secret, "SECRET"))
    };
    let headers = answer.headers.iter().filter(|(name, _)| name.as_str() != "date");
    let headers = headers.map(|(name, value)| (name.to_string(), mask(value.to_str().unwrap())));
    (answer.status.as_u16(), mask(&answer.text()), headers.collect())
}

/// PW-01: asking, what comes of it, and a wrong code: byte for byte the same for everybody.
#[rstest]
#[tokio::test]
async fn pw_01_who_asks_for_a_code_does_not_learn_who_has_an_account(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = ByMail::start(database).await;
    crowd(&scene).await;
    let mut first = None;
    for who in NAMES.into_iter().chain(ADDRESSES) {
        let mut visitor = scene.server.visitor();
        let page = visitor.open("/login/letter").await;
        let sent = visitor.submit(&the_form(&page, "letter").with("username", who)).await;
        let behind = visitor.follow(sent.clone()).await;
        let form = letter_form(&behind, "0000-0000");
        let wrong = visitor.submit(&form).await;
        let token = the_form(&wrong, "letter-code").value("csrf_token").unwrap().to_owned();
        let (asked, other) = (form.value("asked").unwrap(), form.value("csrf_token").unwrap());
        let seen = [&sent, &behind, &wrong].map(|answer| masked(answer, &[asked, other, &token]));
        assert_eq!(seen.each_ref().map(|(status, ..)| *status), [303, 200, 422], "{who}");
        assert_eq!(first.get_or_insert_with(|| seen.clone()), &seen, "{who}");
        scene.server.wait(Duration::from_secs(30));
    }
    let mut to: Vec<_> = scene.letters(SUBJECT).await.into_iter().flat_map(|letter| letter.to).collect();
    to.sort_unstable();
    assert_eq!(to, ["known-u", "known-u", "leaving", "leaving"].map(|name| format!("{name}@example.org")));
    // One event each, so that the trail is no longer for one than for the other, and nothing of what was typed.
    let listed = scene.server.admin.get("/audit?limit=200").await.json();
    let asked = |event: &&Value| event["action"] == "sign_in.code_requested";
    assert_eq!(listed["items"].as_array().unwrap().iter().filter(asked).count(), 15);
    assert!(!listed.to_string().contains('@') && !listed.to_string().contains("0000-0000"));
}

/// PW-02: the same is done for each. No password is hashed, so statements are what could be told apart.
#[rstest]
#[tokio::test]
async fn pw_02_a_code_for_nobody_costs_what_a_code_costs(#[values(Sqlite, Postgres)] database: Database) {
    let scene = ByMail::start(database).await;
    crowd(&scene).await;
    let mut visitor = scene.server.visitor();
    let page = visitor.open("/login/letter").await;
    let mut cost = async |who: &str| {
        let mut costs = Vec::new();
        for _ in 0..5 {
            let before = scene.server.statements();
            let sent = visitor.submit(&the_form(&page, "letter").with("username", who)).await;
            let asking = scene.server.statements() - before;
            let behind = visitor.follow(sent).await;
            let before = scene.server.statements();
            visitor.submit(&letter_form(&behind, "0000-0000")).await;
            costs.push((asking, scene.server.statements() - before));
            scene.server.wait(Duration::from_secs(6));
        }
        // What the server looks at by itself every second may fall between two of them.
        let (asking, trying): (Vec<_>, Vec<_>) = costs.into_iter().unzip();
        (asking.into_iter().min().unwrap(), trying.into_iter().min().unwrap())
    };
    for group in [&NAMES[..], &ADDRESSES[..]] {
        let known = cost(group[0]).await;
        for other in group.iter().skip(1).copied() {
            assert_eq!(cost(other).await, known, "{other}");
        }
    }
}

/// PW-04, MF-02: a letter is worth five guesses, one after another or all at once, at whichever replica; then its code is worth
/// nothing, and nobody is kept from any other way.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mf_02_a_letter_is_worth_five_guesses(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let scene = ByMail::start(database).await;
    let ada = scene.person("ada").await;
    let mut thief = scene.server.visitor();
    let (page, code) = scene.code_for(&mut thief, "ada").await;
    // What is no code is no guess.
    for slip in ["", "0000", "00000000000000000000", "uuuu-uuuu", "' OR 1=1 --"] {
        assert_eq!(thief.submit(&letter_form(&page, slip)).await.status, 422, "{slip}");
    }
    let wrong = letter_form(&page, &other_than(&code));
    for _ in 0..4 {
        assert_eq!(thief.submit(&wrong).await.status, 422);
    }
    assert_eq!(thief.submit(&wrong).await.status, 410, "the fifth was the last");
    let refused = thief.submit(&letter_form(&page, &code)).await;
    assert_eq!((refused.status.as_u16(), thief.session()), (410, None));
    // All at once.
    let (page, code) = scene.code_for(&mut thief, "ada").await;
    let wrong = letter_form(&page, &other_than(&code));
    let mut guesses = tokio::task::JoinSet::new();
    for mut one in (0..8).map(|_| thief.clone()) {
        let form = wrong.clone();
        guesses.spawn(async move { one.submit(&form).await.status.as_u16() });
    }
    let statuses = guesses.join_all().await;
    assert!(statuses.iter().all(|status| [410, 422].contains(status)), "{statuses:?}");
    assert_eq!(thief.submit(&letter_form(&page, &code)).await.status, 410);
    let listed = scene.server.admin.get("/audit?limit=200").await.json();
    let failed = |event: &&Value| event["action"] == "sign_in" && event["detail"]["by"] == "letter";
    let failed = listed["items"].as_array().unwrap().iter().filter(failed).count();
    assert_eq!(failed, 10, "five guesses each");
    assert_eq!(scene.server.visitor().sign_in(&ada).await.url.path(), "/account");
}

/// SE-02: whoever has somebody else's browser send the code of their own account signs them in as nobody; and whoever learns a code
/// that was asked for elsewhere has nothing.
#[rstest]
#[tokio::test]
async fn se_02_a_code_counts_in_the_browser_alone_that_asked(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = ByMail::start(database).await;
    scene.person("ada").await;
    scene.person("eve").await;
    let (mut eve, mut ada) = (scene.server.visitor(), scene.server.visitor());
    let (theirs, code) = scene.code_for(&mut eve, "eve").await;
    let (own, other) = scene.code_for(&mut ada, "ada").await;
    // Eve's sign-in and code, in a form of Ada's browser.
    let asked = letter_form(&theirs, &code).value("asked").unwrap().to_owned();
    let planted = letter_form(&own, &code).with("asked", &asked);
    let refused = ada.submit(&planted).await;
    assert_eq!((refused.status.as_u16(), ada.session()), (403, None));
    assert!(refused.text().contains("Another browser asked for this code"), "{}", refused.text());
    let opened = ada.open(&format!("/login/letter/code?asked={asked}")).await;
    assert_eq!((opened.status.as_u16(), ada.session()), (403, None));
    assert!(opened.text().contains("give the code to nobody"), "{}", opened.text());
    // A form of another site, or with the token of another browser.
    let headers = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    assert_eq!(ada.submit_from(&letter_form(&own, &other), &headers).await.status, 403);
    let forged = letter_form(&theirs, &code);
    assert_eq!(ada.submit(&forged).await.status, 403);
    // Ada's code, in Eve's sign-in.
    assert_eq!(eve.submit(&letter_form(&theirs, &other)).await.status, 422);
    // None of that used anything up.
    assert_eq!(ada.submit(&letter_form(&own, &other)).await.status, 303);
    assert_eq!(eve.submit(&letter_form(&theirs, &code)).await.status, 303);
    // SE-11: a sign-in that waits is none of another application's.
    let again = eve.submit(&letter_form(&theirs, &code).with("interaction", "itx_1")).await;
    assert_eq!(again.status, 410);
}

/// PW-22: who is not signed in floods no address, and one network asks for few codes.
#[rstest]
#[tokio::test]
async fn pw_22_codes_flood_no_address(#[values(Sqlite, Postgres)] database: Database) {
    let scene = ByMail::start_with(database, |config| config.limits.login_per_address_per_minute = 60).await;
    scene.person("ada").await;
    scene.server.wait(Duration::from_mins(1));
    let mut statuses = Vec::new();
    for _ in 0..15 {
        let mut visitor = scene.server.visitor();
        let page = visitor.open("/login/letter").await;
        statuses
            .push(visitor.submit(&the_form(&page, "letter").with("username", "ada")).await.status.as_u16());
    }
    assert_eq!(statuses, [vec![303; 10], vec![429; 5]].concat());
    assert_eq!(scene.letters(SUBJECT).await.len(), 3);
}

/// DA-03: what is in the database signs nobody in, and neither log nor trail has a code or an address.
#[rstest]
#[tokio::test]
async fn da_03_no_code_of_a_letter_is_in_the_database_or_the_log(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let folder = tempfile::tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let stored = SecretText::new(url.clone());
    let scene = ByMail::start_with(database, |config| config.database.url = Some(stored)).await;
    scene.person("ada").await;
    let mut visitor = scene.server.visitor();
    let page = visitor.ask_by_mail("/login/letter", "ada@example.org").await;
    // Of SQLite it is read as the file is.
    let kept = async || if database == Sqlite { bytes_of(folder.path()) } else { dump(&url).await };
    let waiting = kept().await;
    let code = scene.code().await;
    let sent = kept().await;
    assert!(waiting.contains("ada") && sent.contains("ada"), "what is there is seen");
    for written in [&code, &code.replace('-', ""), &code.to_uppercase()] {
        assert!(!waiting.contains(written.as_str()) && !sent.contains(written.as_str()), "{written}");
        assert!(!scene.server.log.holds(written), "{written}");
    }
    assert_eq!(visitor.submit(&letter_form(&page, &code)).await.status, 303);
    assert!(!scene.server.log.holds("ada@example.org"));
}

/// Everything that the files of a folder hold.
fn bytes_of(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
    files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}
