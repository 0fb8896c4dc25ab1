//! Group MF: second factors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use portcullis_server::config::SecretText;
use portcullis_tests::authenticator::{ADD, Authenticator, code_form, recovery_codes};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::database::dump;
use portcullis_tests::markup::{link_of, text_of};
use portcullis_tests::post_office::{PostOffice, Received};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, SESSION, Visitor, the_form};
use rstest::rstest;
use serde_json::json;

const STEP: Duration = Duration::from_secs(30);

/// Somebody with a second step, whose password an attacker knows.
async fn victim(server: &TestServer) -> (Person, Authenticator) {
    let ada = server.admin.user("ada").await;
    let mut own = server.visitor();
    own.sign_in(&ada).await;
    let app = Authenticator::add(&mut own, server).await;
    (ada, app)
}

#[rstest]
#[tokio::test]
async fn mf_01_a_code_counts_once(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, app) = victim(&server).await;
    // The code that added the second step, in its step and in the next, where it still counts for others.
    let first = app.code(server.clock.now());
    for _ in 0..2 {
        let mut thief = server.visitor();
        let page = thief.begin(&ada).await;
        assert_eq!((thief.give(&page, &first).await.status.as_u16(), thief.session()), (422, None));
        server.wait(STEP);
    }
    // A code that somebody saw being typed: in the same sign-in, in another, and in many at once.
    let code = app.code(server.clock.now());
    let mut own = server.visitor();
    let page = own.begin(&ada).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut thief = server.visitor();
        let page = thief.begin(&ada).await;
        waiting.push((thief, page));
    }
    assert_eq!(own.give(&page, &code).await.status, 303);
    let mut again = own.clone();
    again.plant_cookie(SESSION, "");
    assert_eq!(again.give(&page, &code).await.status, 410, "what waited is over");
    for (mut thief, page) in waiting {
        assert_eq!((thief.give(&page, &code).await.status.as_u16(), thief.session()), (422, None));
    }
}

#[rstest]
#[tokio::test]
async fn mf_01_of_many_who_give_the_same_code_at_once_one_gets_in(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, app) = victim(&server).await;
    server.wait(STEP);
    let mut begun = Vec::new();
    for _ in 0..4 {
        let mut visitor = server.visitor();
        let page = visitor.begin(&ada).await;
        begun.push((visitor, page));
    }
    let code = app.code(server.clock.now());
    let tries = begun.into_iter().map(|(mut visitor, page)| {
        let code = code.clone();
        async move {
            visitor.give(&page, &code).await;
            visitor.session().is_some()
        }
    });
    assert_eq!(join_all(tries).await.into_iter().filter(|is_in| *is_in).count(), 1);
}

#[rstest]
#[tokio::test]
async fn mf_02_guesses_wait_the_longer_the_more_there_were(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        // What the account itself counts is tried here, not what an address may.
        config.limits.login_per_address_per_minute = 10_000;
        config.limits.login_per_account_per_minute = 10_000;
    })
    .await;
    let (ada, app) = victim(&server).await;
    server.wait(STEP);
    let mut statuses = Vec::new();
    // Each guess in a sign-in of its own: the count is that of the account.
    for _ in 0..6 {
        let mut thief = server.visitor();
        let page = thief.begin(&ada).await;
        let answer = thief.give(&page, &app.wrong_code(server.clock.now())).await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [422, 422, 422, 422, 422, 429]);
    // In one sign-in, too, whatever is typed; a right code is not even looked at.
    let mut thief = server.visitor();
    let page = thief.begin(&ada).await;
    assert_eq!(thief.give(&page, &app.code(server.clock.now())).await.status, 429);
    let mut waits = Vec::new();
    for _ in 0..9 {
        let mut wait = 0;
        loop {
            let page = thief.begin(&ada).await;
            let answer = thief.give(&page, &app.wrong_code(server.clock.now())).await;
            if answer.status == 422 {
                break;
            }
            let secs: u64 = answer.header("retry-after").parse().unwrap();
            wait += secs;
            server.wait(Duration::from_secs(secs));
        }
        waits.push(wait);
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900]);
    // Nobody is locked out for good: not whoever has a recovery code, nor whoever waits.
    let mut own = server.visitor();
    let page = own.begin(&ada).await;
    let page = own.open(&link_of(&page.text(), "use-recovery").unwrap().replace("&amp;", "&")).await;
    assert_eq!(own.give(&page, &app.recovery[0]).await.status, 303);
    server.wait(Duration::from_mins(15));
    let mut own = server.visitor();
    let page = own.begin(&ada).await;
    assert_eq!(own.give(&page, &app.code(server.clock.now())).await.status, 303);
    // Then it is counted anew.
    let page = thief.begin(&ada).await;
    assert_eq!(thief.give(&page, &app.wrong_code(server.clock.now())).await.status, 422);
    let page = thief.begin(&ada).await;
    assert_eq!(thief.give(&page, &app.wrong_code(server.clock.now())).await.status, 422);
}

/// Whoever knows the password signs in before there is a second step, with as many browsers as they like.
#[rstest]
#[tokio::test]
async fn mf_02_a_browser_that_is_known_by_its_password_alone_guesses_no_more_than_others(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut thief = server.visitor();
    thief.sign_in(&ada).await;
    let mut own = server.visitor();
    own.sign_in(&ada).await;
    let app = Authenticator::add(&mut own, &server).await;
    server.wait(STEP);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let page = thief.open("/login?switch").await;
        let page = thief.begin_at(&page, &ada).await;
        statuses.push(thief.give(&page, &app.wrong_code(server.clock.now())).await.status.as_u16());
    }
    assert_eq!(statuses, [422, 422, 422, 422, 422, 429]);
}

/// Whoever knows a password and guesses codes learns neither whether its owner is told, nor whether they can be.
#[rstest]
#[tokio::test]
async fn mf_02_a_wrong_code_is_answered_the_same_whether_or_not_somebody_is_told(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| {
        office.serve(config);
        config.limits.login_per_address_per_minute = 10_000;
        config.limits.login_per_account_per_minute = 10_000;
    })
    .await;
    // What the server looks at by itself every second may fall into one of them: of three accounts each, the least counts.
    let mut costs = BTreeMap::new();
    let mut pages = BTreeSet::new();
    for number in 0..6 {
        let name = format!("person-{number}");
        let person = if number % 2 == 0 {
            let password = "umbrella walnut fortnight".to_owned();
            server.admin.post("/users", &json!({ "username": name, "password": password })).await;
            Person { id: String::new(), sub: String::new(), username: name.clone(), password }
        } else {
            server.admin.user(&name).await
        };
        let mut own = server.visitor();
        own.sign_in(&person).await;
        let app = Authenticator::add(&mut own, &server).await;
        for guess in 1..=7 {
            server.wait(Duration::from_mins(1));
            let mut thief = server.visitor();
            let page = thief.begin(&person).await;
            let wrong = app.wrong_code(server.clock.now());
            let before = server.statements();
            let answer = thief.give(&page, &wrong).await;
            let cost = server.statements() - before;
            let least = costs.entry((number % 2, guess)).or_insert(cost);
            *least = cost.min(*least);
            let own = the_form(&answer, "second-step");
            let text = own.fields.iter().fold(answer.text(), |text, (_, value)| text.replace(value, ""));
            pages.insert((answer.status.as_u16(), text.replace(&name, "")));
        }
    }
    server.app().send_letters().await.unwrap();
    let told = |letter: &&Received| letter.header("Subject").unwrap() == "Somebody knows your password";
    assert_eq!(office.received().iter().filter(told).count(), 3);
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert_eq!(costs.values().collect::<BTreeSet<_>>().len(), 1, "{costs:?}");
}

#[rstest]
#[tokio::test]
async fn mf_02_strangers_do_not_keep_out_a_browser_that_was_used_before(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, app) = victim(&server).await;
    server.wait(STEP);
    let mut own = server.visitor();
    let page = own.begin(&ada).await;
    assert_eq!(own.give(&page, &app.code(server.clock.now())).await.status, 303);
    server.wait(Duration::from_mins(2));
    for _ in 0..5 {
        let mut thief = server.visitor();
        let page = thief.begin(&ada).await;
        assert_eq!(thief.give(&page, &app.wrong_code(server.clock.now())).await.status, 422);
        server.wait(STEP);
    }
    let page = own.open("/login?switch").await;
    let page = own.begin_at(&page, &ada).await;
    assert_eq!(own.give(&page, &app.code(server.clock.now())).await.status, 303);
}

#[rstest]
#[tokio::test]
async fn mf_05_a_recovery_code_counts_once(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, app) = victim(&server).await;
    let mut begun = Vec::new();
    for _ in 0..3 {
        begun.push(at_recovery(&server, &ada).await);
    }
    let code = &app.recovery[0];
    let tries = begun.iter().map(|(visitor, page)| {
        let mut visitor = visitor.clone();
        async move {
            visitor.submit(&code_form(page, code)).await;
            visitor.session().is_some()
        }
    });
    assert_eq!(join_all(tries).await.into_iter().filter(|is_in| *is_in).count(), 1);
    server.wait(Duration::from_mins(1));
    let (mut thief, page) = at_recovery(&server, &ada).await;
    assert_eq!((thief.give(&page, code).await.status.as_u16(), thief.session()), (422, None));
    // The code of somebody else is none.
    let bea = server.admin.user("bea").await;
    let mut hers = server.visitor();
    hers.sign_in(&bea).await;
    let other = Authenticator::add(&mut hers, &server).await;
    assert_eq!(thief.give(&page, &other.recovery[0]).await.status, 422);
}

#[rstest]
#[tokio::test]
async fn mf_05_neither_recovery_codes_nor_the_key_of_an_app_are_in_the_database(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let folder = tempfile::tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let kept_at = url.clone();
    let server =
        TestServer::start_with(database, |config| config.database.url = Some(SecretText::new(kept_at))).await;
    let ada = server.admin.user("ada").await;
    let mut own = server.visitor();
    own.sign_in(&ada).await;
    let page = own.open(ADD).await;
    let key = text_of(&page.text(), "secret").unwrap().replace(' ', "");
    let app = Authenticator::of(&page);
    let form = code_form(&page, &app.code(server.clock.now()));
    let codes = recovery_codes(&own.submit(&form).await);
    assert_eq!(codes.len(), 10);
    let kept = match database {
        Sqlite => {
            let files = std::fs::read_dir(folder.path()).unwrap().flatten();
            let bytes = files.flat_map(|file| std::fs::read(file.path()).unwrap()).collect::<Vec<_>>();
            assert!(bytes.windows(3).any(|found| found == b"ada"), "it is the right file");
            assert!(!bytes.windows(app.key().len()).any(|found| found == app.key()), "the key as bytes");
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Postgres | Replicas => dump(&url).await,
    };
    for secret in codes.iter().chain([&key]) {
        let plain = secret.replace('-', "");
        let hex = hex(plain.as_bytes());
        for form in [secret.as_str(), &plain, &hex] {
            assert!(!kept.contains(form), "{form}");
        }
    }
    assert!(!kept.contains(&hex(app.key())), "the key as bytes");
}

/// As PostgreSQL writes bytes.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

async fn at_recovery(server: &TestServer, person: &Person) -> (Visitor, portcullis_tests::agent::Answer) {
    let mut visitor = server.visitor();
    let page = visitor.begin(person).await;
    let link = link_of(&page.text(), "use-recovery").unwrap().replace("&amp;", "&");
    let page = visitor.open(&link).await;
    (visitor, page)
}
