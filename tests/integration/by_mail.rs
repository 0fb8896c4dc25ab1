//! Signing in by a code that comes by mail.

mod bounds;
mod leaving;

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authenticator::{ADD, code_form};
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::by_mail::{ByMail, SUBJECT, letter_form, other_than};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::markup::link_of;
use portcullis_tests::passkey::PASSKEYS;
use portcullis_tests::visitor::{Visitor, login_form, the_form};
use rstest::rstest;
use serde_json::{Value, json};

const ONE_FACTOR: &str = "urn:portcullis:acr:1fa";
const TWO_FACTORS: &str = "urn:portcullis:acr:2fa";

pub(crate) async fn is_in(browser: &mut Visitor) -> bool {
    browser.open("/account").await.url.path() == "/account"
}

pub(crate) async fn events(scene: &ByMail, action: &str) -> Vec<Value> {
    let listed = scene.server.admin.get("/audit?limit=200").await.json();
    let items = listed["items"].as_array().unwrap();
    items.iter().filter(|event| event["action"] == action).cloned().collect()
}

#[rstest]
#[tokio::test]
async fn who_reads_the_letter_signs_in_with_its_code(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = ByMail::start(database).await;
    let ada = scene.person("ada").await;
    let mut browser = scene.server.visitor();
    let login = browser.open("/login").await;
    assert_eq!(link_of(&login.text(), "by-letter").as_deref(), Some("/login/letter"));
    let page = browser.open("/login/letter").await;
    let empty = browser.submit(&the_form(&page, "letter").with("username", " ")).await;
    assert_eq!(empty.status, 422);
    assert!(empty.text().contains("aria-invalid=\"true\""), "{}", empty.text());
    let page = browser.ask_by_mail("/login/letter", " ADA@Example.org ").await;
    assert_eq!((page.status.as_u16(), page.header("referrer-policy")), (200, "no-referrer"));
    assert!(page.text().contains("autocomplete=\"one-time-code\""), "{}", page.text());
    let letter = scene.letters(SUBJECT).await.pop().unwrap();
    let (body, code) = (letter.body(), letter.code().unwrap());
    assert_eq!((letter.to.as_slice(), code.len()), (&["ada@example.org".to_owned()][..], 9));
    let asked = page.url.query().unwrap();
    let link = format!("{}/login/letter/code?{asked}#k={code}", scene.server.issuer);
    for said in [&*link, "your account ada at", "127.0.0.1", "Give it to nobody"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    assert!(!letter.header("Subject").unwrap().contains(&code), "notices show subjects to whoever is near");
    // Whoever opens the link, here or elsewhere, changes nothing.
    for _ in 0..6 {
        assert_eq!(browser.open(&format!("/login/letter/code?{asked}")).await.status, 200);
        assert_eq!(scene.server.visitor().open(&format!("/login/letter/code?{asked}")).await.status, 403);
    }
    let wrong = browser.submit(&letter_form(&page, &other_than(&code))).await;
    assert_eq!((wrong.status.as_u16(), browser.session()), (422, None));
    assert!(wrong.text().contains("aria-invalid=\"true\"") && wrong.text().contains("<title>Error: "));
    assert!(!is_in(&mut browser).await);
    let done = browser.submit(&letter_form(&wrong, &code.to_uppercase().replace('-', " "))).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/account"), "{}", done.text());
    assert!(is_in(&mut browser).await);
    // The back button, and a second click.
    let again = browser.submit(&letter_form(&page, &code)).await;
    assert_eq!(again.status, 410, "{}", again.text());
    assert_eq!(link_of(&again.text(), "to-login").as_deref(), Some("/login"));
    assert!(is_in(&mut browser).await, "that takes nothing away");
    let log = browser.open("/account/log").await.text();
    assert!(log.contains("Signed in with a code by mail") && log.contains("A code to sign in was asked for"));
    let signed_in = events(&scene, "sign_in").await;
    let ours = |event: &&Value| event["actor"] == ada.id.as_str() && event["detail"]["by"] == "letter";
    assert_eq!(signed_in.iter().filter(ours).count(), 1, "{signed_in:?}");
    let requested = events(&scene, "sign_in.code_requested").await;
    assert_eq!((requested.len(), &requested[0]["target"]), (1, &json!(ada.id)));
    let told = scene.letters("New sign-in to your account").await.pop().unwrap().body();
    assert!(
        told.contains("a code that was sent to this address") && told.contains("reads your mail"),
        "{told}"
    );
}

/// What an application is told, and where the sign-in leads.
#[rstest]
#[tokio::test]
async fn the_request_of_an_application_goes_on_and_tokens_say_that_it_was_a_code(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = ByMail::start(database).await;
    scene.person("ada").await;
    let shop = scene.server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let mut browser = scene.server.visitor();
    let login = browser.open(&request.path()).await;
    let way = link_of(&login.text(), "by-letter").unwrap();
    assert!(way.starts_with("/login/letter?interaction=itx_"), "{way}");
    let page = browser.ask_by_mail(&way, "ada").await;
    let sent = browser.submit(&letter_form(&page, &scene.code().await)).await;
    let page = browser.follow(sent).await;
    let callback = browser.allow(&page).await;
    let tokens = scene.server.machine.redeem(&shop, &request, &callback).await;
    let said = claims(&tokens.member("id_token"));
    assert_eq!((&said["acr"], &said["amr"]), (&json!(ONE_FACTOR), &json!(["otp"])));
    // A step up asks again, and takes a new letter for a new proof.
    let before = said["auth_time"].as_i64().unwrap();
    scene.server.wait(Duration::from_mins(2));
    let request = AuthorizeRequest::of(&shop).with("max_age", "60");
    let login = browser.open(&request.path()).await;
    let page = browser.ask_by_mail(&link_of(&login.text(), "by-letter").unwrap(), "ada").await;
    let sent = browser.submit(&letter_form(&page, &scene.code().await)).await;
    let answer = browser.follow(sent).await;
    let callback = Callback::of(&answer.location().unwrap());
    let tokens = scene.server.machine.redeem(&shop, &request, &callback).await;
    let said = claims(&tokens.member("id_token"));
    assert_eq!(said["auth_time"].as_i64().unwrap(), before + 120);
    // Who insists on two factors is offered no letter, and gets none.
    let insists = json!({ "id_token": { "acr": { "essential": true, "value": TWO_FACTORS } } }).to_string();
    let login = browser.open(&AuthorizeRequest::of(&shop).with("claims", &insists).path()).await;
    assert_eq!(link_of(&login.text(), "by-letter"), None);
    let interaction = the_form(&login, "login").value("interaction").unwrap().to_owned();
    let page = browser.ask_by_mail(&format!("/login/letter?interaction={interaction}"), "ada").await;
    let sent = browser.submit(&letter_form(&page, &scene.code().await)).await;
    let answer = browser.follow(sent).await;
    let refused = Callback::of(&answer.location().unwrap());
    assert_eq!(refused.error(), "unmet_authentication_requirements");
}

/// Mail is no factor beside which a code of an app would be the second.
#[rstest]
#[tokio::test]
async fn an_account_with_a_second_step_takes_it_after_the_letter_and_has_proven_one_factor(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = ByMail::start(database).await;
    let ada = scene.person("ada").await;
    let app = scene.app_of(&ada).await;
    let shop = scene.server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let mut browser = scene.server.visitor();
    let login = browser.open(&request.path()).await;
    let page = browser.ask_by_mail(&link_of(&login.text(), "by-letter").unwrap(), "ada").await;
    let code = scene.code().await;
    let sent = browser.submit(&letter_form(&page, &code)).await;
    let step = browser.follow(sent).await;
    assert_eq!((step.url.path(), browser.session()), ("/login/code", None));
    assert!(!is_in(&mut browser).await, "the letter alone gets nobody in");
    assert_eq!(browser.submit(&letter_form(&page, &code)).await.status, 410, "it is used up");
    let sent = browser.submit(&code_form(&step, &app.code(scene.server.clock.now()))).await;
    let page = browser.follow(sent).await;
    let callback = browser.allow(&page).await;
    let tokens = scene.server.machine.redeem(&shop, &request, &callback).await;
    let said = claims(&tokens.member("id_token"));
    assert_eq!((&said["acr"], &said["amr"]), (&json!(ONE_FACTOR), &json!(["otp"])));
    // Whoever reads the mail and holds the app takes neither off.
    let security = browser.open("/account/security").await;
    let removed = browser.submit(&the_form(&security, "remove-form")).await;
    assert!(removed.header("location").starts_with("/login?next="), "{}", removed.text());
}

/// ADR 0023: a letter neither adds nor removes what proves more.
#[rstest]
#[tokio::test]
async fn who_signed_in_by_letter_adds_nothing_that_proves_more(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = ByMail::start(database).await;
    let ada = scene.person("ada").await;
    let mut browser = scene.server.visitor();
    assert_eq!(scene.sign_in(&mut browser, "ada").await.url.path(), "/account");
    let led = browser.get(ADD).await;
    assert!(led.header("location").starts_with("/login?next=second-step"), "{}", led.text());
    let login = browser.follow(led).await;
    assert_eq!(link_of(&login.text(), "by-letter"), None, "a letter would not do");
    let page = browser.open(PASSKEYS).await;
    assert!(page.text().contains("sign in with your password"), "{}", page.text());
    let mut form = the_form(&login, "login");
    "/account/security/passkeys/options".clone_into(&mut form.action);
    let refused = browser.submit(&form).await;
    assert!(!refused.status.is_success(), "{}", refused.text());
    // With the password it goes on.
    browser.submit(&login_form(&login, &ada.username, &ada.password)).await;
    assert_eq!(browser.get(ADD).await.status, 200);
}

/// Each tab has its own code, and leads where it began.
#[rstest]
#[tokio::test]
async fn two_tabs_have_a_code_each(#[values(Sqlite, Postgres)] database: Database) {
    let scene = ByMail::start(database).await;
    scene.person("ada").await;
    let mut browser = scene.server.visitor();
    let (first, one) = scene.code_for(&mut browser, "ada").await;
    let second = browser.ask_by_mail("/login/letter?next=log", "ada").await;
    let two = scene.code().await;
    assert_eq!(browser.submit(&letter_form(&first, &two)).await.status, 422);
    assert_eq!(browser.submit(&letter_form(&second, &one)).await.status, 422);
    let done = browser.submit(&letter_form(&second, &two)).await;
    assert_eq!(done.header("location"), "/account/log");
    assert_eq!(browser.submit(&letter_form(&first, &one)).await.header("location"), "/account");
}

/// Of any number of posts at once, at whichever replica, one signs in.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_posts_at_once_one_signs_in(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let scene = ByMail::start(database).await;
    scene.person("ada").await;
    for _ in 0..3 {
        let mut here = scene.server.visitor();
        let (page, code) = scene.code_for(&mut here, "ada").await;
        let (mut second, mut third) = (here.clone(), here.clone());
        let form = letter_form(&page, &code);
        let (one, two, three) = tokio::join!(here.submit(&form), second.submit(&form), third.submit(&form));
        let mut statuses = [&one, &two, &three].map(|answer: &Answer| answer.status.as_u16());
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 410, 410]);
        scene.server.wait(Duration::from_hours(1));
    }
}
