//! Group PW, where it is about accounts that people make themselves: who learns what, and what a letter is good for.

use std::time::Duration;

use portcullis_server::config::{Config, SecretText, SignUp};
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::database::dump;
use portcullis_tests::post_office::{PostOffice, Received};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{BROWSER, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const PASSWORD: &str = "umbrella walnut fortnight";

fn open(config: &mut Config, office: &PostOffice) {
    office.serve(config);
    config.reach.accounts.sign_up = SignUp::Open;
}

async fn start(database: Database, office: &PostOffice) -> TestServer {
    TestServer::start_with(database, |config| open(config, office)).await
}

/// Asks for an account, with a browser that was never here, and gives the answer and the page behind it.
async fn ask(server: &TestServer, address: &str) -> [Answer; 2] {
    let mut visitor = server.visitor();
    let page = visitor.open("/sign-up").await;
    let answer = visitor.submit(&the_form(&page, "sign-up").with("email", address)).await;
    let behind = visitor.follow(answer.clone()).await;
    [answer, behind]
}

async fn letters(server: &TestServer, office: &PostOffice) -> Vec<Received> {
    server.app().send_letters().await.unwrap();
    office.received()
}

/// The code of the newest letter that has one.
async fn newest_code(server: &TestServer, office: &PostOffice) -> String {
    letters(server, office).await.iter().rev().find_map(Received::code).unwrap()
}

async fn make(server: &TestServer, code: &str, username: &str) -> Answer {
    let mut visitor = server.visitor();
    let page = visitor.open("/sign-up/new").await;
    let form = the_form(&page, "code-form").with("code", code).with("username", username);
    visitor.submit(&form.with("new-password", PASSWORD)).await
}

/// An answer without what differs in any two: the request id and the date.
fn masked(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let id = answer.header("x-request-id").to_owned();
    let mask = |text: &str| text.replace(&id, "ID");
    let headers = answer.headers.iter().filter(|(name, _)| name.as_str() != "date");
    let headers = headers.map(|(name, value)| (name.to_string(), mask(value.to_str().unwrap())));
    (answer.status.as_u16(), mask(&answer.text()), headers.collect())
}

/// Accounts of every kind, and addresses of the same length: each of them with one, and one of nobody.
async fn crowd(server: &TestServer) -> [&'static str; 5] {
    let known = server.admin.user("known").await;
    let path = format!("/users/{}", known.id);
    assert_eq!(server.admin.get(&path).await.json()["email"], "known@example.org");
    let disabled = server.admin.user("disab").await;
    server.admin.post(&format!("/users/{}/disable", disabled.id), &json!({})).await;
    server.admin.post("/users", &json!({ "username": "nopwd", "email": "nopwd@example.org" })).await;
    ["known@example.org", "KNOWN@example.org", "disab@example.org", "nopwd@example.org", "other@example.org"]
}

/// PW-01: whoever asks for an account gets the same answer, byte for byte, whoever has the address.
#[rstest]
#[tokio::test]
async fn pw_01_who_asks_for_an_account_does_not_learn_who_has_one(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let crowd = crowd(&server).await;
    let mut answers = Vec::new();
    for address in crowd {
        answers.push((address, ask(&server, address).await.map(|answer| masked(&answer))));
    }
    let (_, first) = answers[0].clone();
    assert_eq!((first[0].0, first[1].0), (303, 200));
    for (address, answer) in answers {
        assert_eq!(answer, first, "{address}");
    }
    // Each address hears of it, and nobody else: one letter each, of one kind or the other.
    let mut told: Vec<_> = letters(&server, &office)
        .await
        .into_iter()
        .map(|letter| (letter.to.concat(), letter.code().is_some()))
        .collect();
    told.sort();
    let told: Vec<_> = told.iter().map(|(to, has_code)| (to.as_str(), *has_code)).collect();
    let expected = [
        ("disab@example.org", false),
        ("known@example.org", false),
        ("known@example.org", false),
        ("nopwd@example.org", false),
        ("other@example.org", true),
    ];
    assert_eq!(told, expected);
    let listed = server.admin.get("/audit?limit=100").await.json();
    let asked = |event: &&Value| event["action"] == "sign_up.requested";
    assert_eq!(listed["items"].as_array().unwrap().iter().filter(asked).count(), 5);
    assert!(!listed.to_string().contains('@'), "no address is written down");
    let log = server.log.lines_with("@example.org");
    assert!(log.is_empty(), "an address is in the log: {}", log.join("\n"));
}

/// PW-02: the same is done for each: what could be told apart is the statements, and they are the same.
#[rstest]
#[tokio::test]
async fn pw_02_an_address_with_an_account_costs_what_any_costs(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    let crowd = crowd(&server).await;
    let mut visitor = server.visitor();
    let page = visitor.open("/sign-up").await;
    let mut costs = Vec::new();
    for address in crowd {
        let mut each = Vec::new();
        for _ in 0..5 {
            let before = server.statements();
            visitor.submit(&the_form(&page, "sign-up").with("email", address)).await;
            each.push(server.statements() - before);
        }
        // What the server looks at by itself every second may fall between two of them.
        costs.push((address, each.into_iter().min().unwrap()));
    }
    assert!(costs.iter().all(|(_, cost)| *cost == costs[0].1), "{costs:?}");
}

/// PW-14: the link leads to the server by the name that it was given, whatever the request calls it.
#[rstest]
#[tokio::test]
async fn pw_14_a_link_that_makes_an_account_leads_to_this_server(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    server.admin.user("known").await;
    let mut visitor = server.visitor();
    let page = visitor.open("/sign-up").await;
    let elsewhere = [
        ("sec-fetch-site", "same-origin"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=evil.test;host=evil.test;proto=http"),
        ("referer", "https://evil.test/"),
        ("user-agent", "evil.test/1.0 (call evil.test)"),
    ];
    for (address, path) in [("ada@example.org", "/sign-up/new#k=pcm_"), ("known@example.org", "/login")] {
        let form = the_form(&page, "sign-up").with("email", address);
        assert_eq!(visitor.submit_from(&form, &elsewhere).await.status, 303);
        let received = letters(&server, &office).await;
        let letter = received.last().unwrap();
        assert!(!letter.message.contains("evil"), "{}", letter.message);
        assert!(letter.body().contains(&format!("{}{path}", server.issuer)), "{}", letter.body());
    }
    let form = the_form(&page, "sign-up").with("email", "bea@example.org");
    let host = visitor.submit_from(&form, &[("sec-fetch-site", "same-origin"), ("host", "evil.test")]).await;
    let received = letters(&server, &office).await;
    assert_eq!(received.len(), if host.status == 303 { 3 } else { 2 }, "{}", host.status);
    assert!(received.iter().all(|letter| !letter.message.contains("evil")));
}

/// PW-16: a code makes one account with one address, once; it is 256 bits, and in no table and no log.
#[rstest]
#[tokio::test]
async fn pw_16_a_code_makes_one_account_with_one_address_and_is_in_no_table(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let office = PostOffice::start().await;
    let folder = tempfile::tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let stored = SecretText::new(url.clone());
    let server = TestServer::start_with(database, |config| {
        open(config, &office);
        config.database.url = Some(stored);
    })
    .await;
    ask(&server, "ada@example.org").await;
    server.admin.post("/invitations", &json!({ "email": "bea@example.org" })).await;
    let received = letters(&server, &office).await;
    assert_eq!(received.len(), 2);
    if database != Sqlite {
        let kept = dump(&url).await;
        for code in received.iter().map(|letter| letter.code().unwrap()) {
            assert_eq!(code.len(), 47, "256 bits behind a prefix");
            assert!(!kept.contains(&code[4..]), "a code is in a table");
        }
    }
    let hers = received.iter().find(|letter| letter.to == ["ada@example.org"]).unwrap();
    let code = hers.code().unwrap();
    // It says itself for which address it is, and what comes with it: a form cannot.
    let mut visitor = server.visitor();
    let page = visitor.open("/sign-up/new").await;
    let mut form = the_form(&page, "code-form").with("code", &code).with("username", "ada");
    for (name, value) in [
        ("email", "eve@evil.test"),
        ("address", "eve@evil.test"),
        ("email_verified_at", "2030-01-01T00:00:00Z"),
        ("organisation", "org_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c"),
        ("role", "owner"),
        ("invitation", "inv_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c"),
        ("new-password", PASSWORD),
    ] {
        form = form.with(name, value);
    }
    assert_eq!(visitor.submit(&form).await.header("location"), "/account");
    let users = server.admin.get("/users").await.json();
    let made = &users["items"][0];
    assert_eq!((users["items"].as_array().unwrap().len(), &made["email"]), (1, &json!("ada@example.org")));
    let held = server.admin.get(&format!("/apis/{}/assignments", server.admin.admin_api().await.id)).await;
    assert!(!held.text().contains(made["id"].as_str().unwrap()), "nobody makes an administrator of himself");
    assert_eq!(make(&server, &code, "again").await.status, 422, "again");
    // What is in an address gets into no form, and a browser that was never here has no way in.
    let elsewhere = server.visitor().open(&format!("/sign-up/new?code={code}&k={code}")).await;
    assert!(!elsewhere.text().contains(&code));
    let log = server.log.lines_with("pcm_");
    assert!(log.is_empty(), "a code is in the log: {}", log.join("\n"));
}

/// PW-22: nobody floods an address by asking for accounts, and nobody learns when it has enough.
#[rstest]
#[tokio::test]
async fn pw_22_who_asks_for_accounts_floods_no_address(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    server.admin.user("known").await;
    let mut answers = Vec::new();
    let addresses = ["other@example.org", "known@example.org", "OTHER@example.org", "Known@Example.org"];
    for address in addresses.into_iter().cycle().take(40) {
        answers.push(ask(&server, address).await.map(|answer| masked(&answer)));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the same answer each time");
    assert_eq!(letters(&server, &office).await.len(), 6, "three to each");
    server.wait(Duration::from_hours(1));
    ask(&server, "other@example.org").await;
    assert_eq!(letters(&server, &office).await.len(), 7);
}

/// One network asks for so many letters a minute, those for passwords among them, and makes as few accounts.
#[rstest]
#[tokio::test]
async fn pw_22_one_network_asks_for_few_accounts(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| {
        open(config, &office);
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
    let code = newest_code(&server, &office).await;
    assert_eq!(make(&server, &code, "ada").await.status, 429);
    server.wait(Duration::from_secs(6));
    assert_eq!(make(&server, &code, "ada").await.status, 303);
}

/// PW-01: whoever has a letter learns of a few user names whether they are taken, and then waits.
#[rstest]
#[tokio::test]
async fn pw_01_one_letter_tries_few_user_names(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    server.admin.user("known").await;
    ask(&server, "eve@example.org").await;
    let code = newest_code(&server, &office).await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(make(&server, &code, "known").await.status.as_u16());
    }
    assert_eq!(statuses, [[422; 10].as_slice(), &[429; 2]].concat());
    // A password that is refused tells nothing of the name, and so counts for nothing.
    server.wait(Duration::from_hours(1));
    assert_eq!(make(&server, &code, "eve").await.status, 303);
}

/// SE-02: a form that another site sends, or another browser made, makes no account and signs nobody in.
#[rstest]
#[tokio::test]
async fn se_02_a_form_of_another_site_or_browser_makes_no_account(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office).await;
    ask(&server, "ada@example.org").await;
    let code = newest_code(&server, &office).await;
    let mut hers = server.visitor();
    let page = hers.open("/sign-up/new").await;
    let form = the_form(&page, "code-form").with("code", &code).with("username", "ada");
    let form = form.with("new-password", PASSWORD);
    let mut other = server.visitor();
    other.open("/sign-up/new").await;
    assert_eq!(other.submit(&form).await.status, 403, "the token of another browser");
    assert_eq!(hers.submit(&form.clone().with("csrf_token", "wrong")).await.status, 403);
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    assert_eq!(hers.submit_from(&form, &foreign).await.status, 403);
    let page = hers.open("/sign-up").await;
    let asks = the_form(&page, "sign-up").with("email", "eve@example.org");
    assert_eq!(hers.submit_from(&asks, &foreign).await.status, 403);
    assert_eq!(hers.submit(&asks.with("csrf_token", "")).await.status, 403);
    assert_eq!(server.admin.get("/users").await.json()["items"], json!([]));
    assert_eq!(letters(&server, &office).await.len(), 1);
    assert!(hers.cookie(BROWSER).is_some());
    assert_eq!(hers.submit(&form).await.status, 303);
    // An address in a link asks for nothing, either.
    let by_link = hers.request(Method::GET, "/sign-up?email=eve@example.org");
    assert_eq!(hers.send(by_link).await.status, 200);
    assert_eq!(letters(&server, &office).await.len(), 1);
}
