//! Accounts that people make themselves, by a letter.

mod at_once;

use std::time::Duration;

use portcullis_server::config::SignUp;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::link_of;
use portcullis_tests::post_office::{PostOffice, Received};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

pub(crate) const PASSWORD: &str = "umbrella walnut fortnight";

pub(crate) async fn start(database: Database, office: &PostOffice, how: SignUp) -> TestServer {
    TestServer::start_with(database, |config| {
        office.serve(config);
        config.reach.accounts.sign_up = how;
    })
    .await
}

/// Somebody wants an account with an address.
async fn ask(visitor: &mut Visitor, address: &str) -> Answer {
    let page = visitor.open("/sign-up").await;
    visitor.submit(&the_form(&page, "sign-up").with("email", address)).await
}

/// Sends what is due, and gives the letters with this subject to an address.
pub(crate) async fn letters(
    server: &TestServer,
    office: &PostOffice,
    (subject, address): (&str, &str),
) -> Vec<Received> {
    server.app().send_letters().await.unwrap();
    let is_meant =
        |letter: &Received| letter.header("Subject").as_deref() == Some(subject) && letter.to == [address];
    office.received().into_iter().filter(is_meant).collect()
}

/// The code of the newest letter that makes an account with an address.
async fn code(server: &TestServer, office: &PostOffice, address: &str) -> String {
    letters(server, office, ("Create your account", address)).await.last().unwrap().code().unwrap()
}

/// Asks for a letter, and gives the code in it.
async fn code_for(server: &TestServer, office: &PostOffice, address: &str) -> String {
    let sent = ask(&mut server.visitor(), address).await;
    assert_eq!((sent.status.as_u16(), sent.header("location")), (303, "/sign-up/sent"));
    code(server, office, address).await
}

/// The page that asks for user name and password after the code was sent.
pub(crate) async fn enter(visitor: &mut Visitor, code: &str) -> Answer {
    let page = visitor.open("/sign-up/new").await;
    visitor.submit(&the_form(&page, "code-form").with("code", code)).await
}

/// Makes an account with a code.
pub(crate) async fn make(visitor: &mut Visitor, code: &str, username: &str) -> Answer {
    let page = visitor.open("/sign-up/new").await;
    let form = the_form(&page, "code-form").with("code", code).with("username", username);
    visitor.submit(&form.with("new-password", PASSWORD)).await
}

pub(crate) fn person(username: &str) -> Person {
    Person {
        id: String::new(),
        sub: String::new(),
        username: username.to_owned(),
        password: PASSWORD.to_owned(),
    }
}

pub(crate) async fn accounts(server: &TestServer) -> Vec<Value> {
    server.admin.get("/users?limit=200").await.json()["items"].as_array().unwrap().clone()
}

pub(crate) async fn events(server: &TestServer, action: &str) -> Vec<Value> {
    let listed = server.admin.get("/audit?limit=100").await.json();
    let items = listed["items"].as_array().unwrap();
    items.iter().filter(|event| event["action"] == action).cloned().collect()
}

#[rstest]
#[tokio::test]
async fn who_wants_an_account_makes_one_with_the_letter(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let login = visitor.open("/login").await;
    assert_eq!(link_of(&login.text(), "sign-up").as_deref(), Some("/sign-up"));
    for bad in ["", " ", "ada", "a@b@c.org", "ada@example.org\r\nBcc: eve@example.org"] {
        let refused = ask(&mut visitor, bad).await;
        assert_eq!(refused.status, 422, "{bad:?}");
        assert!(refused.text().contains("aria-invalid") && refused.text().contains("error-summary"));
    }
    let sent = ask(&mut visitor, " Bea@Example.ORG ").await;
    assert_eq!((sent.status.as_u16(), sent.header("location")), (303, "/sign-up/sent"));
    assert!(visitor.follow(sent).await.text().contains("on its way to that address"));
    let received = letters(&server, &office, ("Create your account", "Bea@example.org")).await;
    let code = received[0].code().unwrap();
    let body = received[0].body();
    let link = format!("{}/sign-up/new#k={code}", server.issuer);
    assert!(body.contains(&link) && body.contains("127.0.0.1") && body.contains("Hello,"), "{body}");
    assert_eq!(accounts(&server).await.len(), 1, "nothing is made by asking");
    let asked = enter(&mut visitor, &link).await;
    assert_eq!((asked.status.as_u16(), asked.header("referrer-policy")), (200, "no-referrer"));
    assert!(asked.text().contains("Bea@example.org") && !asked.url.as_str().contains("pcm_"));
    let form = the_form(&asked, "new-account").with("username", "Bea").with("name", "Bea B.");
    for (name, value, said) in [
        ("new-password", "too short", "at least 15"),
        ("new-password", "passwordpassword", "common passwords"),
        ("username", "b e a", "without blanks"),
        ("username", "", "without blanks"),
        ("username", "ADA", "That user name is taken"),
        ("username", "ada@example.org", "has to be your own one"),
        ("name", &"x".repeat(300), "at most 200 characters"),
    ] {
        let form = form.clone().with("new-password", PASSWORD).with(name, value);
        let refused = visitor.submit(&form).await;
        assert_eq!(refused.status, 422, "{value}");
        assert!(refused.text().contains(said) && refused.text().contains("aria-invalid"), "{said}");
        assert!(!refused.text().contains(PASSWORD), "a password is not shown again");
    }
    let done = visitor.submit(&form.with("new-password", PASSWORD)).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/account"));
    let account = visitor.follow(done).await;
    assert!(visitor.session().is_some() && account.text().contains("Bea B."), "{}", account.text());
    let bea = accounts(&server).await.into_iter().find(|user| user["username"] == "bea").unwrap();
    assert_eq!((&bea["email"], &bea["name"]), (&json!("Bea@example.org"), &json!("Bea B.")));
    assert!(bea["email_verified_at"].is_string() && bea["organisation"].is_string());
    let log = visitor.open("/account/log").await.text();
    assert!(log.contains("You created this account") && log.contains("Signed in"), "{log}");
    let made = events(&server, "user.signed_up").await;
    assert_eq!((made.len(), &made[0]["actor"], &made[0]["target"]), (1, &bea["id"], &bea["id"]));
    assert_eq!(made[0]["detail"], json!({ "by": "letter" }));
    assert_eq!(events(&server, "sign_up.requested").await.len(), 1);
    // The browser is known, so nobody is warned of it; another one is not.
    server.app().send_letters().await.unwrap();
    assert_eq!(office.received().len(), 1);
    assert_eq!(server.visitor().sign_in(&person("bea")).await.url.path(), "/account");
    server.app().send_letters().await.unwrap();
    assert_eq!(office.received().len(), 2);
}

/// A user name may be the address that was proven, and no other.
#[rstest]
#[tokio::test]
async fn an_address_is_a_user_name_for_its_owner_alone(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let code = code_for(&server, &office, "Bea@example.org").await;
    for foreign in ["cleo@example.org", "bea\u{ff20}example.org", "bea\u{fe6b}example.org"] {
        assert_eq!(make(&mut server.visitor(), &code, foreign).await.status, 422, "{foreign}");
    }
    assert_eq!(make(&mut server.visitor(), &code, "bea@EXAMPLE.org").await.status, 303);
    assert_eq!(server.visitor().sign_in(&person("bea@example.org")).await.url.path(), "/account");
}

/// What an application asked for goes on in the browser that asked, and nowhere else.
#[rstest]
#[tokio::test]
async fn the_flow_of_an_application_goes_on_where_it_began(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let shop = server.admin.web_client(&[]).await;
    let begin = async |address: &str| {
        let request = AuthorizeRequest::of(&shop);
        let mut visitor = server.visitor();
        let login = visitor.open(&request.path()).await;
        let link = link_of(&login.text(), "sign-up").unwrap();
        assert!(link.starts_with("/sign-up?interaction=itx_"), "{link}");
        let page = visitor.open(&link).await;
        assert!(page.text().contains("to continue to"), "{}", page.text());
        let back = link_of(&page.text(), "to-login").unwrap();
        assert!(back.starts_with("/login?interaction=itx_"), "{back}");
        let sent = visitor.submit(&the_form(&page, "sign-up").with("email", address)).await;
        let page = visitor.follow(sent).await;
        assert_eq!(link_of(&page.text(), "to-login").as_deref(), Some(&*back));
        (visitor, request)
    };
    let (mut visitor, request) = begin("ada@example.org").await;
    let code_of_ada = code(&server, &office, "ada@example.org").await;
    let done = make(&mut visitor, &code_of_ada, "ada").await;
    let consent = visitor.follow(done).await;
    let allowed = visitor.submit(&the_form(&consent, "consent").with("decision", "allow")).await;
    let callback = Callback::of(&allowed.location().unwrap());
    assert_eq!(callback.get("state"), request.get("state"));
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    // Another browser, and one that took too long, have an account now, and nothing else.
    let (_, _) = begin("bea@example.org").await;
    let code_of_bea = code(&server, &office, "bea@example.org").await;
    let done = make(&mut server.visitor(), &code_of_bea, "bea").await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/account"));
    let (mut late, _) = begin("cleo@example.org").await;
    let code_of_cleo = code(&server, &office, "cleo@example.org").await;
    server.wait(Duration::from_mins(20));
    let done = make(&mut late, &code_of_cleo, "cleo").await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/account"));
    // A flow of somebody else leads nowhere.
    let (mut first, _) = begin("dora@example.org").await;
    let page = first.open("/sign-up").await;
    let form = the_form(&page, "sign-up").with("email", "eve@example.org");
    for interaction in ["itx_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c", "nothing"] {
        let refused = first.submit(&form.clone().with("interaction", interaction)).await;
        assert_eq!(refused.status, 410, "{interaction}");
        assert_eq!(first.get(&format!("/sign-up?interaction={interaction}")).await.status, 410);
    }
}

/// Where people do not make accounts, there is no such page, no such link, and no such value.
#[rstest]
#[tokio::test]
async fn where_accounts_are_not_for_everybody_there_is_no_such_page(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(SignUp::Closed, SignUp::Invitation)] how: SignUp,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, how).await;
    let mut visitor = server.visitor();
    let login = visitor.open("/login").await;
    assert_eq!(link_of(&login.text(), "sign-up"), None);
    for path in ["/sign-up", "/sign-up/sent"] {
        assert_eq!(visitor.get(path).await.status, 404, "{path}");
    }
    let token = the_form(&login, "login").value("csrf_token").unwrap().to_owned();
    let form = |action: &str| portcullis_tests::markup::Form {
        id: String::new(),
        action: action.to_owned(),
        fields: vec![
            ("csrf_token".to_owned(), token.clone()),
            ("email".to_owned(), "a@example.org".to_owned()),
        ],
    };
    assert_eq!(visitor.submit(&form("/sign-up")).await.status, 404);
    let by_link = if how == SignUp::Closed { 404 } else { 422 };
    assert_eq!(visitor.submit(&form("/sign-up/new").with("code", "pcm_")).await.status, by_link);
    assert_eq!(visitor.get("/sign-up/new").await.status, if how == SignUp::Closed { 404 } else { 200 });
    assert_eq!(events(&server, "sign_up.requested").await, Vec::<Value>::new());
    server.app().send_letters().await.unwrap();
    assert_eq!(office.received(), []);
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert!(!metadata["prompt_values_supported"].as_array().unwrap().contains(&json!("create")));
}

/// A code works once, for a day, for an address that nobody has.
#[rstest]
#[tokio::test]
async fn a_code_dies_with_its_use_and_its_time(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let dead = async |code: &str, why: &str| {
        let refused = make(&mut server.visitor(), code, "eve").await;
        assert_eq!(refused.status, 422, "{why}");
        assert!(refused.text().contains("That code does not work"), "{why}: {}", refused.text());
        assert_eq!(enter(&mut server.visitor(), code).await.status, 422, "{why}");
    };
    let used = code_for(&server, &office, "ada@example.org").await;
    let late = code_for(&server, &office, "bea@example.org").await;
    assert_eq!(make(&mut server.visitor(), &used, "ada").await.status, 303);
    dead(&used, "used").await;
    server.wait(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(enter(&mut server.visitor(), &late).await.status, 200);
    server.wait(Duration::from_secs(1));
    dead(&late, "too old").await;
    let mut visitor = server.visitor();
    let page = visitor.open("/recover").await;
    visitor.submit(&the_form(&page, "recover").with("username", "ada")).await;
    let reset = letters(&server, &office, ("Set a new password", "ada@example.org")).await;
    dead(&reset[0].code().unwrap(), "it sets a password").await;
    for code in ["", "pcm_", "nothing", &"x".repeat(5_000)] {
        dead(code, "it never was one").await;
    }
    assert_eq!(accounts(&server).await.len(), 1);
}

/// To whoever has an account already, the letter says so, and nobody else learns it.
#[rstest]
#[tokio::test]
async fn whoever_has_an_account_is_told_so_by_the_letter_alone(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let ada = server.admin.user("ada").await;
    assert_eq!(ask(&mut server.visitor(), "ADA@example.org").await.header("location"), "/sign-up/sent");
    let told = letters(&server, &office, ("You have an account already", "ada@example.org")).await;
    let body = told[0].body();
    for said in
        [&*format!("{}/login", server.issuer), &format!("{}/recover", server.issuer), "user name is ada"]
    {
        assert!(body.contains(said), "{said}: {body}");
    }
    assert!(body.contains("Hello,") && told[0].code().is_none(), "an address that nobody confirmed: {body}");
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let log = visitor.open("/account/log").await.text();
    assert!(log.contains("Somebody asked for an account with your e-mail address"), "{log}");
    assert_eq!(accounts(&server).await.len(), 1);
}

/// An address may get an account between letter and form: whoever reads there is told.
#[rstest]
#[tokio::test]
async fn an_address_that_got_an_account_in_the_meantime_gets_no_second_one(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let first = code_for(&server, &office, "ada@example.org").await;
    let second = code_for(&server, &office, "ada@example.org").await;
    assert_eq!(make(&mut server.visitor(), &first, "ada").await.status, 303);
    let mut visitor = server.visitor();
    assert_eq!(enter(&mut visitor, &second).await.status, 200);
    let refused = make(&mut visitor, &second, "ada-2").await;
    assert_eq!(refused.status, 409);
    let page = refused.text();
    assert!(page.contains("id=\"held\"") && page.contains("ada@example.org"), "{page}");
    assert_eq!(link_of(&page, "forgot").as_deref(), Some("/recover"));
    assert_eq!((visitor.session(), accounts(&server).await.len()), (None, 1));
}

/// Whoever was signed in as somebody else is that one no longer.
#[rstest]
#[tokio::test]
async fn a_new_account_takes_the_place_of_the_session_of_before(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let before = visitor.session().unwrap().to_owned();
    let code = code_for(&server, &office, "bea@example.org").await;
    let done = make(&mut visitor, &code, "bea").await;
    assert!(visitor.follow(done).await.text().contains("bea"));
    let mut thief = server.visitor();
    thief.plant_cookie(portcullis_tests::visitor::SESSION, &before);
    assert_eq!(thief.open("/account").await.url.path(), "/login", "the session of ada ended");
}

/// Whoever was shut out does not come back by the same address.
#[rstest]
#[tokio::test]
async fn an_account_that_is_switched_off_keeps_its_address(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let ada = server.admin.user("ada").await;
    server.admin.post(&format!("/users/{}/disable", ada.id), &json!({})).await;
    ask(&mut server.visitor(), "ada@example.org").await;
    assert_eq!(letters(&server, &office, ("Create your account", "ada@example.org")).await, []);
    let gone = server.admin.send(Method::DELETE, &format!("/users/{}", ada.id), &Value::Null).await;
    assert_eq!(gone.status, 204);
    let code = code_for(&server, &office, "ada@example.org").await;
    assert_eq!(make(&mut server.visitor(), &code, "ada").await.status, 303);
}
