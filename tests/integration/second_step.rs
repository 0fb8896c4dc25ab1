//! The second step of a sign-in, and its pages.

mod letters;

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authenticator::{ADD, Authenticator, code_form, recovery_codes};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::device::Codes;
use portcullis_tests::jwt::claims;
use portcullis_tests::markup::{link_of, text_of};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, SESSION, Visitor, login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const PAGE: &str = "/account/security";
const STEP: Duration = Duration::from_secs(30);
const TWO_FACTORS: &str = "urn:portcullis:acr:2fa";

/// Somebody whose account has a second step, and the browser in which it was added.
struct Scene {
    server: TestServer,
    ada: Person,
    app: Authenticator,
    here: Visitor,
}

impl Scene {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let ada = server.admin.user("ada").await;
        let mut here = server.visitor();
        here.sign_in(&ada).await;
        let app = Authenticator::add(&mut here, &server).await;
        // The code that added it counts for nothing else.
        server.wait(STEP);
        Self { server, ada, app, here }
    }

    fn code(&self) -> String {
        self.app.code(self.server.clock.now())
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

#[rstest]
#[tokio::test]
async fn an_account_with_a_second_step_is_asked_for_a_code_before_anybody_is_signed_in(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = Scene::on(database).await;
    let mut browser = scene.server.visitor();
    let page = browser.begin(&scene.ada).await;
    assert_eq!(browser.session(), None);
    assert!(!is_in(&mut browser).await, "the password alone gets nobody in");
    let text = page.text();
    assert!(
        text.contains("autocomplete=\"one-time-code\"") && text.contains("inputmode=\"numeric\""),
        "{text}"
    );
    let wrong = browser.give(&page, &scene.app.wrong_code(scene.server.clock.now())).await;
    assert_eq!((wrong.status.as_u16(), browser.session()), (422, None));
    assert!(wrong.text().contains("aria-invalid=\"true\""));
    let done = browser.give(&wrong, &scene.code()).await;
    assert_eq!(done.location().unwrap().path(), "/account");
    assert!(is_in(&mut browser).await);
    // What waited is over with it.
    let again = browser.submit(&code_form(&page, "123456")).await;
    assert_eq!(again.status, 410, "{}", again.text());
}

#[rstest]
#[tokio::test]
async fn what_waits_for_a_code_waits_in_its_browser_and_for_minutes(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let mut browser = scene.server.visitor();
    let page = browser.begin(&scene.ada).await;
    let mut thief = scene.server.visitor();
    thief.open("/login").await;
    let stolen = thief.get(&format!("{}?{}", page.url.path(), page.url.query().unwrap())).await;
    assert_eq!(stolen.status, 410);
    // Another password takes it back.
    let path = format!("/users/{}/password", scene.ada.id);
    let new = json!({ "password": "another long phrase" });
    assert_eq!(scene.server.admin.send(Method::PUT, &path, &new).await.status, 204);
    assert_eq!(browser.give(&page, &scene.code()).await.status, 410);
    let ada = Person { password: "another long phrase".to_owned(), ..scene.ada.clone() };
    let page = browser.begin(&ada).await;
    scene.server.wait(Duration::from_mins(10));
    assert_eq!(browser.give(&page, &scene.code()).await.status, 410);
    assert_eq!(browser.session(), None);
}

#[rstest]
#[tokio::test]
async fn tokens_say_that_there_were_two_factors_and_applications_may_insist(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = Scene::on(database).await;
    let shop = scene.server.admin.web_client(&[]).await;
    let insists = json!({ "id_token": { "acr": { "essential": true, "value": TWO_FACTORS } } }).to_string();
    let request = AuthorizeRequest::of(&shop).with("claims", &insists);
    let mut browser = scene.server.visitor();
    let page = browser.open(&request.path()).await;
    let page = browser.begin_at(&page, &scene.ada).await;
    let sent = browser.give(&page, &scene.code()).await;
    let page = browser.follow(sent).await;
    let callback = browser.allow(&page).await;
    let tokens = scene.server.machine.redeem(&shop, &request, &callback).await;
    let said = claims(&tokens.member("id_token"));
    assert_eq!((&said["acr"], &said["amr"]), (&json!(TWO_FACTORS), &json!(["pwd", "otp", "mfa"])));
    // Where it was added, it counts from then on.
    let answer = scene.here.clone().open(&request.path()).await;
    assert!(answer.location().is_some(), "the session is strong enough: {}", answer.text());

    // Somebody without one: what is insisted on is refused, what is a wish is not.
    let bea = scene.server.admin.user("bea").await;
    let refused = scene.server.visitor().authorize(&request, &bea).await;
    assert_eq!(refused.error(), "unmet_authentication_requirements");
    let wish = AuthorizeRequest::of(&shop).with("acr_values", TWO_FACTORS);
    let tokens = scene.server.tokens(&shop, &wish, &bea).await;
    let said = claims(&tokens.member("id_token"));
    assert_eq!((&said["acr"], &said["amr"]), (&json!("urn:portcullis:acr:1fa"), &json!(["pwd"])));
}

#[rstest]
#[tokio::test]
async fn a_code_leads_on_to_the_device_that_asked(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::on(database).await;
    let television = scene.server.admin.device_client("openid", &[]).await;
    let codes: Codes = scene.server.machine.device_codes(&television, &[("scope", "openid")]).await;
    let mut browser = scene.server.visitor();
    let page = browser.type_code(&codes.user).await;
    let page = browser.begin_at(&page, &scene.ada).await;
    let sent = browser.give(&page, &scene.code()).await;
    let page = browser.follow(sent).await;
    assert_eq!(page.url.path(), "/device/confirm", "{}", page.text());
}

#[rstest]
#[tokio::test]
async fn a_second_step_is_added_with_a_code_and_others_are_signed_out(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (mut here, mut there) = (server.visitor(), server.visitor());
    for browser in [&mut here, &mut there] {
        browser.sign_in(&ada).await;
    }
    let page = here.open(PAGE).await;
    assert!(text_of(&page.text(), "second-step-off").is_some(), "{}", page.text());
    let page = here.open(ADD).await;
    assert!(
        page.text().contains("<svg")
            && link_of(&page.text(), "open-app").unwrap().starts_with("otpauth://totp/")
    );
    let app = Authenticator::of(&page);
    let wrong =
        here.submit(&the_form(&page, "second-step").with("totp", &app.wrong_code(server.clock.now()))).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(
        Authenticator::of(&wrong).code(server.clock.now()),
        app.code(server.clock.now()),
        "the same offer"
    );
    assert!(is_in(&mut there).await);
    let form = the_form(&wrong, "second-step").with("totp", &app.code(server.clock.now()));
    // An offer is for one session.
    let mut bea = server.visitor();
    bea.sign_in(&server.admin.user("bea").await).await;
    let offer = the_form(&bea.open(ADD).await, "second-step");
    let foreign = offer.with("offer", form.value("offer").unwrap()).with("totp", form.value("totp").unwrap());
    assert_eq!(bea.submit(&foreign).await.location().unwrap().path(), ADD);
    let done = here.submit(&form).await;
    assert_eq!(recovery_codes(&done).len(), 10);
    assert!(!is_in(&mut there).await && is_in(&mut here).await);
    let page = here.open(PAGE).await;
    assert!(text_of(&page.text(), "codes-left").unwrap().contains("10"), "{}", page.text());
    // Twice is once.
    assert_eq!(here.submit(&form).await.location().unwrap().path(), PAGE);
    let events = server.admin.get("/audit?limit=200").await.json()["items"].clone();
    let added = events.as_array().unwrap().iter().filter(|event| event["action"] == "second_step.added");
    assert_eq!(added.count(), 1);
}

#[rstest]
#[tokio::test]
async fn a_session_that_is_worth_more_has_another_token(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut here = server.visitor();
    here.sign_in(&ada).await;
    let before = here.cookie(SESSION).unwrap().to_owned();
    Authenticator::add(&mut here, &server).await;
    assert!(is_in(&mut here).await);
    let mut thief = server.visitor();
    thief.plant_cookie(SESSION, &before);
    assert!(!is_in(&mut thief).await, "whoever had the token of before has nothing");
}

#[rstest]
#[tokio::test]
async fn every_change_needs_a_sign_in_of_minutes_ago(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let page = scene.here.open(PAGE).await;
    let (renew, remove) = (the_form(&page, "recovery-codes-form"), the_form(&page, "remove-form"));
    scene.server.wait(Duration::from_mins(6));
    for form in [&renew, &remove] {
        let asked = scene.here.submit(form).await;
        let page = scene.here.follow(asked).await;
        assert_eq!(page.url.path(), "/login", "{}", page.text());
        assert!(page.text().contains("Sign in again"), "{}", page.text());
    }
    let page = scene.here.open("/login?next=security&switch").await;
    let session = scene.here.session().map(str::to_owned);
    let page = scene.here.begin_at(&page, &scene.ada).await;
    let code = scene.code();
    let done = scene.here.give(&page, &code).await;
    assert_eq!(done.location().unwrap().path(), PAGE);
    assert_ne!(scene.here.session().map(str::to_owned), session, "another token");
    let codes = recovery_codes(&scene.here.submit(&renew).await);
    assert!(codes.len() == 10 && codes.iter().all(|code| !scene.app.recovery.contains(code)));
    let gone = scene.here.submit(&remove).await;
    assert_eq!(
        (gone.location().unwrap().path(), gone.location().unwrap().query()),
        (PAGE, Some("notice=removed"))
    );
    let mut browser = scene.server.visitor();
    browser.sign_in(&scene.ada).await;
    assert!(is_in(&mut browser).await, "the password alone gets in again");
    let actions: Vec<_> = scene.events().await.iter().map(|event| event["action"].clone()).collect();
    for expected in ["second_step.added", "second_step.removed", "recovery_codes.made"] {
        assert!(actions.contains(&json!(expected)), "{expected}: {actions:?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_recovery_code_gets_somebody_in_who_lost_the_app(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::on(database).await;
    let mut browser = scene.server.visitor();
    let page = browser.begin(&scene.ada).await;
    let link = link_of(&page.text(), "use-recovery").unwrap();
    let page = browser.open(&link.replace("&amp;", "&")).await;
    let done = browser.give(&page, &scene.app.recovery[3].to_uppercase().replace('-', " ")).await;
    assert_eq!(done.location().unwrap().path(), "/account");
    let page = browser.open(PAGE).await;
    assert!(text_of(&page.text(), "codes-left").unwrap().contains('9'), "{}", page.text());
    let used: Vec<_> =
        scene.events().await.into_iter().filter(|event| event["action"] == "recovery_code.used").collect();
    assert_eq!(used.len(), 1);
    assert_eq!(used[0]["detail"]["left"], 9);
}

#[rstest]
#[tokio::test]
async fn an_administrator_takes_it_off_for_whoever_lost_everything(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let path = format!("/users/{}/second-step", scene.ada.id);
    for _ in 0..2 {
        assert_eq!(scene.server.admin.send(Method::DELETE, &path, &json!({})).await.status, 204);
    }
    assert!(!is_in(&mut scene.here).await);
    let mut browser = scene.server.visitor();
    browser.sign_in(&scene.ada).await;
    assert!(is_in(&mut browser).await);
    let removed =
        scene.events().await.iter().filter(|event| event["action"] == "second_step.removed").count();
    assert_eq!(removed, 1, "the second time there was none");
}

#[rstest]
#[tokio::test]
async fn administrators_are_led_to_add_one_before_they_see_pages_of_the_administration(
    #[values(Sqlite, Postgres)] database: Database,
) {
    const RULES: &str = "/admin/policies";
    let server = TestServer::start_with(database, |config| {
        config.sessions = portcullis_server::config::Sessions::default();
    })
    .await;
    let owner = server.admin.administrator("owner").await;
    let mut browser = server.visitor();
    browser.sign_in(&owner).await;
    let page = browser.open(RULES).await;
    assert_eq!((page.url.path(), page.url.query()), (PAGE, Some("notice=administration")));
    assert!(link_of(&page.text(), "add-step").is_some(), "{}", page.text());
    Authenticator::add(&mut browser, &server).await;
    assert_eq!(browser.open(RULES).await.url.path(), RULES);
    // Whoever may not see them is not led anywhere.
    let mut ada = server.visitor();
    ada.sign_in(&server.admin.user("ada").await).await;
    assert_eq!(ada.get(RULES).await.status, 403);
}

#[rstest]
#[tokio::test]
async fn who_proves_themselves_again_keeps_the_session_and_what_lives_by_it(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bea) = (server.admin.user("ada").await, server.admin.user("bea").await);
    let shop = server.admin.web_client(&[]).await;
    let mut browser = server.visitor();
    let request = AuthorizeRequest::of(&shop);
    let first = redeemed(&server, &mut browser, (&shop, &request), &ada).await;
    let token = browser.session().unwrap().to_owned();
    server.wait(Duration::from_mins(10));
    let again = AuthorizeRequest::of(&shop).with("prompt", "login");
    let second = redeemed(&server, &mut browser, (&shop, &again), &ada).await;
    let (before, after) = (claims(&first.member("id_token")), claims(&second.member("id_token")));
    assert_eq!(before["sid"], after["sid"]);
    assert_eq!(after["auth_time"], server.clock.now().as_secs());
    assert_ne!(browser.session(), Some(token.as_str()), "ASVS 7.2.4");
    let mut old = server.visitor();
    old.plant_cookie(SESSION, &token);
    assert!(!is_in(&mut old).await);
    let refreshed = server.machine.refresh(&shop, &first.member("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    assert_eq!(claims(&refreshed.member("id_token"))["auth_time"], before["auth_time"], "Core 12.2");
    // Somebody else ends it.
    let page = browser.open("/login?switch").await;
    let form = login_form(&page, &bea.username, &bea.password);
    assert_eq!(browser.submit(&form).await.status, 303);
    let refused = server.machine.refresh(&shop, &second.member("refresh_token")).await;
    assert_eq!(refused.error(), "invalid_grant");
}

async fn redeemed(
    server: &TestServer,
    browser: &mut Visitor,
    (shop, request): (&Registered, &AuthorizeRequest),
    person: &Person,
) -> Answer {
    let callback = browser.authorize(request, person).await;
    server.machine.redeem(shop, request, &callback).await
}
