//! Passkeys: adding them, signing in with them, and what becomes of them.

mod looked_after;

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authenticator::{ADD, Authenticator};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::markup::{Form, attribute, forms, tags, text_of};
use portcullis_tests::passkey::{Manner, PASSKEYS, Passkey};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, SESSION, Visitor, login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const TWO_FACTORS: &str = "urn:portcullis:acr:2fa";

/// Somebody whose account has a passkey, and the browser in which it was added.
struct Scene {
    server: TestServer,
    ada: Person,
    passkey: Passkey,
    here: Visitor,
}

impl Scene {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let ada = server.admin.user("ada").await;
        let mut here = server.visitor();
        here.sign_in(&ada).await;
        let passkey = Passkey::add(&mut here, &server.issuer).await;
        Self { server, ada, passkey, here }
    }

    /// Shows the passkey in a browser that was never here.
    async fn show(&self, manner: &Manner) -> (Visitor, Answer) {
        let mut browser = self.server.visitor();
        let answer = browser.show_passkey(&self.passkey, &self.server.issuer, manner).await;
        (browser, answer)
    }

    async fn events(&self) -> Vec<Value> {
        let events = self.server.admin.get("/audit?limit=200").await.json()["items"].clone();
        let ours = |event: &&Value| event["target"] == self.ada.id.as_str();
        events.as_array().unwrap().iter().filter(ours).cloned().collect()
    }
}

async fn is_in(browser: &mut Visitor) -> bool {
    browser.open("/account").await.url.path() == "/account"
}

/// What the page tells whoever keeps passkeys.
fn told(page: &Answer, name: &str) -> String {
    let text = page.text();
    let tag = tags(&text, "<section").into_iter().find(|tag| tag.contains("id=\"passkeys\"")).unwrap();
    attribute(tag, name).unwrap()
}

/// The form of the first passkey that ends so.
fn form_of(page: &Answer, end: &str) -> Form {
    let all = forms(&page.text());
    all.into_iter().find(|form| form.id.ends_with(end)).unwrap_or_else(|| panic!("{}", page.text()))
}

#[rstest]
#[tokio::test]
async fn somebody_signs_in_with_a_passkey_and_that_is_two_factors(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = Scene::on(database).await;
    let shop = scene.server.admin.web_client(&[]).await;
    let insists = json!({ "id_token": { "acr": { "essential": true, "value": TWO_FACTORS } } }).to_string();
    let request = AuthorizeRequest::of(&shop).with("claims", &insists);
    let mut browser = scene.server.visitor();
    let page = browser.open(&request.path()).await;
    let question = browser.passkey_question(&page).await;
    let answer = scene.passkey.sign(&question, &scene.server.issuer, &Manner::default());
    let sent = browser.give_passkey(&page, &question, &answer).await;
    let page = browser.follow(sent).await;
    let callback = browser.allow(&page).await;
    let tokens = scene.server.machine.redeem(&shop, &request, &callback).await;
    let said = claims(&tokens.member("id_token"));
    assert_eq!((&said["acr"], &said["amr"]), (&json!(TWO_FACTORS), &json!(["pop", "user", "mfa"])));
    assert_eq!(said["sub"], scene.ada.sub);
    // The page says when it was used.
    let page = browser.open(PASSKEYS).await;
    assert!(page.text().contains("last used"), "{}", page.text());
    // Where it was added, both were proven.
    let answer = scene.here.clone().open(&request.path()).await;
    assert!(answer.location().is_some(), "the session is strong enough: {}", answer.text());
}

#[rstest]
#[tokio::test]
async fn a_passkey_stands_for_password_and_code(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    Authenticator::add(&mut scene.here, &scene.server).await;
    let (mut browser, answer) = scene.show(&Manner::default()).await;
    assert_eq!(answer.header("location"), "/account", "no code is asked for: {}", answer.text());
    assert!(is_in(&mut browser).await);
    // It keeps signing in whoever has no password.
    let path = format!("/users/{}/password", scene.ada.id);
    let new = json!({ "password": "another long phrase" });
    assert_eq!(scene.server.admin.send(Method::PUT, &path, &new).await.status, 204);
    assert!(!is_in(&mut browser).await, "another password ends every session");
    assert_eq!(scene.show(&Manner::default()).await.1.status, 303);
}

#[rstest]
#[tokio::test]
async fn what_is_asked_is_the_same_for_everybody_and_counts_in_one_browser_once(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = Scene::on(database).await;
    let mut browser = scene.server.visitor();
    let page = browser.open("/login").await;
    let question = browser.passkey_question(&page).await;
    let options = &question["options"];
    assert_eq!(options["rpId"], "localhost");
    assert_eq!(options["userVerification"], "required");
    assert_eq!(options["allowCredentials"], json!([]));
    let members: BTreeSet<_> = options.as_object().unwrap().keys().map(String::as_str).collect();
    let members: Vec<_> = members.into_iter().collect();
    assert_eq!(members, ["allowCredentials", "challenge", "rpId", "timeout", "userVerification"]);
    let answer = scene.passkey.sign(&question, &scene.server.issuer, &Manner::default());
    let mut thief = scene.server.visitor();
    let stolen = thief.open("/login").await;
    let taken = thief.give_passkey(&stolen, &question, &answer).await;
    assert_eq!((taken.status.as_u16(), thief.session()), (422, None), "asked in another browser");
    // That used it up, and so does every answer.
    let late = browser.give_passkey(&page, &question, &answer).await;
    assert_eq!((late.status.as_u16(), browser.session()), (422, None));
    assert!(late.text().contains("took too long"), "{}", late.text());
    let question = browser.passkey_question(&late).await;
    let answer = scene.passkey.sign(&question, &scene.server.issuer, &Manner::default());
    assert_eq!(browser.give_passkey(&late, &question, &answer).await.status, 303);
    let mut again = browser.clone();
    again.plant_cookie(SESSION, "");
    let replayed = again.give_passkey(&late, &question, &answer).await;
    assert_eq!((replayed.status.as_u16(), again.cookie(SESSION)), (422, Some("")));
    // Minutes later it is too late.
    let page = thief.open("/login").await;
    let question = thief.passkey_question(&page).await;
    let answer = scene.passkey.sign(&question, &scene.server.issuer, &Manner::default());
    scene.server.wait(Duration::from_mins(10));
    assert_eq!(thief.give_passkey(&page, &question, &answer).await.status, 422);
}

#[rstest]
#[tokio::test]
async fn whoever_is_refused_is_told_the_same_whatever_is_wrong(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    scene.passkey.signatures = 5;
    assert_eq!(scene.show(&Manner::default()).await.1.status, 303);
    let masked = |answer: &Answer| {
        let text = answer.text();
        let text: Vec<&str> = text.split("name=\"csrf_token\" value=\"").collect();
        let text = text.iter().enumerate().map(|(at, part)| match at {
            0 => (*part).to_owned(),
            _ => part.split_once('"').unwrap().1.to_owned(),
        });
        text.collect::<String>().replace(" data-forget=\"localhost\"", "")
    };
    // A passkey that nobody knows.
    let mut stranger = scene.server.visitor();
    let page = scene.here.open(PASSKEYS).await;
    let offer = scene.here.passkey_question(&page).await;
    let (unknown, _) = Passkey::make(&offer, &scene.server.issuer, &Manner::default());
    let refused = stranger.show_passkey(&unknown, &scene.server.issuer, &Manner::default()).await;
    assert_eq!((refused.status.as_u16(), stranger.session()), (422, None));
    let said = masked(&refused);
    assert!(refused.text().contains("data-forget=\"localhost\""), "whoever keeps it may forget it");
    scene.passkey.signatures = 9;
    let other = scene.server.admin.user("bea").await;
    let mut bea = scene.server.visitor();
    bea.sign_in(&other).await;
    let foreign = Passkey::add(&mut bea, &scene.server.issuer).await;
    for manner in [
        Manner { is_verified: false, ..Manner::default() },
        Manner { handle: Some(foreign.handle().to_vec()), ..Manner::default() },
        Manner { handle: Some(Vec::new()), ..Manner::default() },
        Manner { is_framed: true, ..Manner::default() },
        Manner { domain: Some("127.0.0.1".to_owned()), ..Manner::default() },
        Manner {
            challenge: Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
            ..Manner::default()
        },
    ] {
        let (browser, answer) = scene.show(&manner).await;
        assert_eq!((answer.status.as_u16(), browser.session()), (422, None), "{manner:?}");
        assert_eq!(masked(&answer), said, "{manner:?}");
        assert!(!answer.text().contains("data-forget"), "nobody forgets a passkey that is known: {manner:?}");
    }
    // One of another server at the same host is none of ours to have forgotten.
    for handle in [vec![7; 16], vec![7; 15], Vec::new()] {
        let manner = Manner { handle: Some(handle), ..Manner::default() };
        let refused = stranger.show_passkey(&unknown, &scene.server.issuer, &manner).await;
        assert_eq!(masked(&refused), said);
        assert!(!refused.text().contains("data-forget"));
    }
    // Two of a key that counts: the one that is behind.
    for behind in [5, 0] {
        scene.passkey.signatures = behind;
        let (browser, answer) = scene.show(&Manner::default()).await;
        assert_eq!((answer.status.as_u16(), browser.session()), (422, None), "{behind}");
        assert_eq!(masked(&answer), said);
        assert!(!answer.text().contains("data-forget"), "nobody forgets a passkey that is known");
    }
    let copied = scene.events().await;
    assert!(copied.iter().any(|event| event["outcome"] == "refused" && event["detail"]["wrong"] == "copied"));
    // An account that is switched off.
    scene.passkey.signatures = 10;
    let path = format!("/users/{}/disable", scene.ada.id);
    assert_eq!(scene.server.admin.send(Method::POST, &path, &json!({})).await.status, 200);
    let (browser, answer) = scene.show(&Manner::default()).await;
    assert_eq!((answer.status.as_u16(), browser.session()), (422, None));
    assert_eq!(masked(&answer), said);
    assert!(!answer.text().contains("data-forget"));
}

#[rstest]
#[tokio::test]
async fn adding_one_takes_a_sign_in_of_minutes_ago_and_signs_others_out(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (mut here, mut there) = (server.visitor(), server.visitor());
    for browser in [&mut here, &mut there] {
        browser.sign_in(&ada).await;
    }
    let page = here.open(PASSKEYS).await;
    assert!(text_of(&page.text(), "no-passkeys").is_some(), "{}", page.text());
    server.wait(Duration::from_mins(6));
    let asked = here.ask_for_passkey(&page).await;
    assert_eq!(asked.header("location"), "/login?next=passkeys&switch", "{}", asked.text());
    let page = here.open("/login?next=passkeys&switch").await;
    let form = login_form(&page, &ada.username, &ada.password);
    assert_eq!(here.submit(&form).await.header("location"), PASSKEYS);
    let before = here.session().unwrap().to_owned();
    let page = here.open(PASSKEYS).await;
    let question = here.passkey_question(&page).await;
    let options = &question["options"];
    assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(options["authenticatorSelection"]["requireResidentKey"], true);
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert_eq!((&options["attestation"], &options["rp"]["id"]), (&json!("none"), &json!("localhost")));
    assert_eq!(options["user"]["name"], "ada");
    assert_eq!(options["user"]["id"].as_str().unwrap().len(), 22, "sixteen bytes that tell nothing");
    let (passkey, answer) = Passkey::make(&question, &server.issuer, &Manner::default());
    assert!(is_in(&mut there).await);
    let done = here.give_passkey(&page, &question, &answer).await;
    assert_eq!(done.header("location"), "/account/security/passkeys?notice=added", "{}", done.text());
    assert!(!is_in(&mut there).await && is_in(&mut here).await);
    let mut thief = server.visitor();
    thief.plant_cookie(SESSION, &before);
    assert!(!is_in(&mut thief).await, "whoever had the token of before has nothing");
    let page = here.open(PASSKEYS).await;
    assert_eq!(told(&page, "data-ids"), passkey.known_as());
    // Its authenticator is asked for no second one.
    let question = here.passkey_question(&page).await;
    assert_eq!(question["options"]["excludeCredentials"][0]["id"], passkey.known_as());
}

#[rstest]
#[tokio::test]
async fn a_password_alone_changes_nothing_where_there_is_a_passkey(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let mut thief = scene.server.visitor();
    thief.sign_in(&scene.ada).await;
    let page = thief.open(PASSKEYS).await;
    assert!(text_of(&page.text(), "passkeys-weak").is_some(), "{}", page.text());
    // Nor does it by what a stronger page would send.
    let strong = scene.here.clone().open(PASSKEYS).await;
    let token = the_form(&thief.open("/account").await, "sign-out-form");
    let token = token.value("csrf_token").unwrap();
    for form in
        [the_form(&strong, "passkey"), form_of(&strong, "-rename-form"), form_of(&strong, "-remove-form")]
    {
        let action = if form.id == "passkey" { format!("{PASSKEYS}/options") } else { form.action.clone() };
        let form = Form { action, ..form };
        let led = thief.submit(&form.with("csrf_token", token)).await;
        assert_eq!(led.header("location"), "/login?next=passkeys&switch", "{}", led.text());
    }
    let led = thief.get(ADD).await;
    assert_eq!(led.header("location"), "/login?next=second-step&switch", "{}", led.text());
    assert_eq!(scene.show(&Manner::default()).await.1.status, 303);
}

#[rstest]
#[tokio::test]
async fn they_are_named_and_removed_by_their_owner_alone(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let mut bea = scene.server.visitor();
    bea.sign_in(&scene.server.admin.user("bea").await).await;
    Passkey::add(&mut bea, &scene.server.issuer).await;
    let page = scene.here.open(PASSKEYS).await;
    let (rename, remove) = (form_of(&page, "-rename-form"), form_of(&page, "-remove-form"));
    let theirs = bea.open(PASSKEYS).await;
    let id = rename.value("passkey").unwrap();
    for form in [form_of(&theirs, "-rename-form").with("name", "Mine"), form_of(&theirs, "-remove-form")] {
        assert_eq!(bea.submit(&form.with("passkey", id)).await.header("location"), PASSKEYS);
    }
    let done = scene.here.submit(&rename.clone().with("name", " Key ring <b> ")).await;
    assert_eq!(done.header("location"), "/account/security/passkeys?notice=renamed");
    let page = scene.here.open(PASSKEYS).await;
    assert!(page.text().contains("<strong>Key ring &lt;b&gt;</strong>"), "{}", page.text());
    for bad in ["", "  ", &"x".repeat(65)] {
        let refused = scene.here.submit(&rename.clone().with("name", bad)).await;
        assert_eq!(refused.status, 422);
        assert!(refused.text().contains("aria-invalid=\"true\""), "{}", refused.text());
    }
    let (mut there, _) = scene.show(&Manner::default()).await;
    let gone = scene.here.submit(&remove).await;
    assert_eq!(gone.header("location"), "/account/security/passkeys?notice=removed");
    assert!(!is_in(&mut there).await && is_in(&mut scene.here).await);
    let page = scene.here.open(PASSKEYS).await;
    assert_eq!(told(&page, "data-ids"), "", "whoever keeps it is told that none counts");
    let (browser, refused) = scene.show(&Manner::default()).await;
    assert_eq!((refused.status.as_u16(), browser.session()), (422, None));
    assert!(refused.text().contains("data-forget=\"localhost\""));
    let actions: Vec<_> = scene.events().await.iter().map(|event| event["action"].clone()).collect();
    for expected in ["passkey.added", "passkey.removed", "passkey.renamed"] {
        assert_eq!(actions.iter().filter(|action| **action == expected).count(), 1, "{actions:?}");
    }
}

#[rstest]
#[tokio::test]
async fn no_answer_adds_a_passkey_that_is_not_what_was_asked(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let issuer = scene.server.issuer.clone();
    let page = scene.here.open(PASSKEYS).await;
    for manner in [
        Manner { is_verified: false, ..Manner::default() },
        Manner { origin: Some("https://evil.example".to_owned()), ..Manner::default() },
        Manner { domain: Some("evil.example".to_owned()), ..Manner::default() },
        Manner { is_framed: true, ..Manner::default() },
        Manner {
            challenge: Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
            ..Manner::default()
        },
    ] {
        let question = scene.here.passkey_question(&page).await;
        let (_, answer) = Passkey::make(&question, &issuer, &manner);
        let refused = scene.here.give_passkey(&page, &question, &answer).await;
        assert_eq!(refused.status, 422, "{manner:?}");
        assert!(refused.text().contains("cannot be added"), "{}", refused.text());
    }
    // The same passkey once more, with another account.
    let mut bea = scene.server.visitor();
    bea.sign_in(&scene.server.admin.user("bea").await).await;
    let theirs = bea.open(PASSKEYS).await;
    let question = bea.passkey_question(&theirs).await;
    let answer = scene.passkey.created(&question["options"], &issuer, &Manner::default());
    let taken = bea.give_passkey(&theirs, &question, &answer).await;
    assert!(taken.status == 422 && taken.text().contains("in use already"), "{}", taken.text());
    // What another session was asked, and what was answered already.
    let question = scene.here.passkey_question(&page).await;
    let (_, answer) = Passkey::make(&question, &issuer, &Manner::default());
    let foreign = bea.give_passkey(&theirs, &question, &answer).await;
    assert!(foreign.status == 422 && foreign.text().contains("took too long"), "{}", foreign.text());
    let late = scene.here.give_passkey(&page, &question, &answer).await;
    assert!(late.status == 422 && late.text().contains("took too long"), "{}", late.text());
    let page = scene.here.open(PASSKEYS).await;
    assert_eq!(told(&page, "data-ids"), scene.passkey.known_as(), "nothing was added");
}
