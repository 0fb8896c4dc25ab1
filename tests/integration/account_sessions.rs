//! The page of the sessions of whoever is signed in.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::markup::{forms, text_of};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::told::Told;
use portcullis_tests::visitor::{Person, Visitor, login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const PAGE: &str = "/account/sessions";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A server that may tell applications on this machine, and somebody.
struct Scene {
    server: TestServer,
    ada: Person,
}

impl Scene {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_with(database, |config| {
            config.reach.outbound.allow = vec!["127.0.0.1".parse().unwrap()];
        })
        .await;
        let ada = server.admin.user("ada").await;
        Self { server, ada }
    }

    async fn browser(&self) -> Visitor {
        let mut browser = self.server.visitor();
        browser.sign_in(&self.ada).await;
        browser
    }

    /// A browser that says this of itself.
    async fn called(&self, user_agent: &str) -> Visitor {
        let mut browser = self.server.visitor();
        let page = browser.open("/login").await;
        let form = login_form(&page, &self.ada.username, &self.ada.password);
        let request = browser.request(Method::POST, &form.action).form(&form.fields);
        let own = request.header("sec-fetch-site", "same-origin").header("origin", "null");
        assert_eq!(browser.send(own.header("user-agent", user_agent)).await.status, 303);
        browser
    }

    /// An application that wants to be told, and which this browser signs in to.
    async fn application(&self, browser: &mut Visitor, told: &Told) -> (Registered, Answer) {
        let document = json!({ "name": "Forum", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "options": { "protocol": { "backchannel_logout_uri": told.uri } } });
        let client = self.server.admin.client(document).await;
        let request = AuthorizeRequest::of(&client);
        let callback = browser.authorize(&request, &self.ada).await;
        (client.clone(), self.server.machine.redeem(&client, &request, &callback).await)
    }

    /// What was recorded of sessions that ended, the newest first.
    async fn ends(&self) -> Vec<Value> {
        let events = self.server.admin.get("/audit?limit=200").await.json()["items"].clone();
        let ended = events.as_array().unwrap().iter().filter(|event| event["action"] == "session.ended");
        ended.cloned().collect()
    }
}

/// The sessions that a page offers to end.
fn offered(page: &Answer) -> Vec<String> {
    forms(&page.text()).iter().filter_map(|form| form.value("session").map(str::to_owned)).collect()
}

async fn is_in(browser: &mut Visitor) -> bool {
    browser.open("/account").await.url.path() == "/account"
}

#[rstest]
#[tokio::test]
async fn somebody_sees_where_they_are_signed_in_and_nobody_else_does(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let mut here = scene.called(FIREFOX).await;
    scene.called("<script>alert(1)</script> x").await;
    let bea = scene.server.admin.user("bea").await;
    let mut hers = scene.server.visitor();
    hers.sign_in(&bea).await;
    let before = scene.server.statements();
    let page = here.open(PAGE).await;
    assert_eq!(scene.server.statements() - before, 2, "the session, and the others");
    let text = page.text();
    assert!(text.contains("Firefox on Linux") && text.contains("This browser"), "{text}");
    assert!(text.contains("&lt;script&gt;alert(1)&lt;") && !text.contains("<script>"), "{text}");
    assert!(text.contains("127.0.0.1") || text.contains("::1"), "{text}");
    assert_eq!(offered(&page).len(), 1, "hers is nobody else's business");
    let page = hers.open(PAGE).await;
    assert_eq!(offered(&page), Vec::<String>::new());
    assert!(page.text().contains("You are signed in nowhere else."));
}

#[rstest]
#[tokio::test]
async fn a_session_that_is_ended_ends_as_by_signing_out_there(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let (mut here, mut there) = (scene.browser().await, scene.browser().await);
    let mut told = Told::start().await;
    let (forum, tokens) = scene.application(&mut there, &told).await;
    let access = tokens.member("access_token");
    assert!(scene.server.machine.is_active(&forum, &access).await);
    let page = here.open(PAGE).await;
    let [session] = offered(&page).try_into().unwrap();
    let form = the_form(&page, &format!("{session}-form"));
    let done = here.submit(&form).await;
    let page = here.follow(done).await;
    assert_eq!((page.url.path(), page.url.query()), (PAGE, Some("notice=ended")));
    assert!(page.text().contains("The session has ended."));
    assert_eq!(offered(&page), Vec::<String>::new());
    assert!(!is_in(&mut there).await && is_in(&mut here).await);
    assert!(!scene.server.machine.is_active(&forum, &access).await, "its grants end with it");
    let logout = claims(&told.token().await);
    assert_eq!((&logout["sid"], &logout["aud"]), (&json!(session), &json!(forum.id)));
    // Sent again it changes nothing, and nothing is recorded again.
    assert_eq!(here.submit(&form).await.status, 303);
    let ends = scene.ends().await;
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert_eq!((&ends[0]["actor"], &ends[0]["target"]), (&json!(scene.ada.id), &json!(session)));
    assert!(ends[0]["address"].is_string(), "{ends:?}");
}

#[rstest]
#[tokio::test]
async fn all_others_are_ended_at_once(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::on(database).await;
    let mut here = scene.browser().await;
    let (mut there, mut elsewhere) = (scene.browser().await, scene.browser().await);
    let bea = scene.server.admin.user("bea").await;
    let mut hers = scene.server.visitor();
    hers.sign_in(&bea).await;
    let mut told = Told::start().await;
    let (forum, tokens) = scene.application(&mut there, &told).await;
    let page = here.open(PAGE).await;
    assert_eq!(offered(&page).len(), 2);
    let done = here.submit(&the_form(&page, "end-others-form")).await;
    let page = here.follow(done).await;
    assert!(page.text().contains("All other sessions have ended."), "{}", page.text());
    assert!(!is_in(&mut there).await && !is_in(&mut elsewhere).await);
    assert!(is_in(&mut here).await && is_in(&mut hers).await);
    assert!(!scene.server.machine.is_active(&forum, &tokens.member("access_token")).await);
    assert_eq!(claims(&told.token().await)["aud"], forum.id);
    assert_eq!(scene.ends().await.len(), 2);
    let again = here.submit(&the_form(&page, "sign-out-form")).await;
    assert_eq!(again.status, 303, "the one that is left ends by signing out");
    assert!(!is_in(&mut here).await);
}

/// More than one transaction ends, so that nobody waits long for it.
#[rstest]
#[tokio::test]
async fn however_many_there_are_all_others_end(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::on(database).await;
    let mut first = scene.browser().await;
    for _ in 0..103 {
        scene.browser().await;
        scene.server.wait(Duration::from_millis(1));
    }
    let mut here = scene.browser().await;
    let page = here.open(PAGE).await;
    assert_eq!(offered(&page).len(), 100, "the newest");
    assert!(page.text().contains("There are older ones"));
    assert!(is_in(&mut first).await);
    assert_eq!(here.submit(&the_form(&page, "end-others-form")).await.status, 303);
    assert!(!is_in(&mut first).await && is_in(&mut here).await);
    assert_eq!(offered(&here.open(PAGE).await), Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn what_is_not_ones_own_is_not_there(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::on(database).await;
    let bea = scene.server.admin.user("bea").await;
    let (mut here, mut other) = (scene.browser().await, scene.browser().await);
    let (mut hers, mut hers_too) = (scene.server.visitor(), scene.server.visitor());
    hers.sign_in(&bea).await;
    hers_too.sign_in(&bea).await;
    let [foreign] = offered(&hers.open(PAGE).await).try_into().unwrap();
    let page = here.open(PAGE).await;
    let [own] = offered(&page).try_into().unwrap();
    let [current] = offered(&other.open(PAGE).await).try_into().unwrap();
    let form = the_form(&page, &format!("{own}-form"));
    let mut answers = Vec::new();
    for id in [&foreign, &current, "ses_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c", "ses_x", "' OR 1=1 --", ""] {
        let answer = here.submit(&form.clone().with("session", id)).await;
        assert_eq!(answer.status, 404, "{id}: {}", answer.text());
        let reference = text_of(&answer.text(), "reference").expect("a page with a reference");
        answers.push(answer.text().replace(&reference, "x"));
    }
    assert!(answers[0].contains("There is nothing here"), "{}", answers[0]);
    answers.dedup();
    assert_eq!(answers.len(), 1, "whose it is is not told");
    assert!(is_in(&mut hers).await && is_in(&mut hers_too).await && is_in(&mut here).await);
    assert_eq!(scene.ends().await, Vec::<Value>::new());
    // Nor does a form of another site, or of somebody who is not signed in, do anything.
    for other_site in [&[("sec-fetch-site", "cross-site")][..], &[]] {
        assert_eq!(here.submit_from(&form, other_site).await.status, 403);
    }
    assert_eq!(here.submit(&form.clone().without("csrf_token")).await.status, 403);
    assert_eq!(hers.submit(&form).await.status, 403, "a token of another browser");
    let mut nobody = scene.server.visitor();
    let page = nobody.open(PAGE).await;
    assert_eq!((page.url.path(), page.url.query()), ("/login", Some("next=sessions")));
    let token = the_form(&page, "login").value("csrf_token").unwrap().to_owned();
    let answer = nobody.submit(&form.clone().with("csrf_token", &token)).await;
    assert_eq!(answer.location().unwrap().path(), "/login");
    assert!(is_in(&mut other).await);
}

#[rstest]
#[tokio::test]
async fn a_session_that_nobody_used_for_long_is_not_shown_and_ends_with_the_others(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let (mut here, _forgotten) = (scene.browser().await, scene.browser().await);
    scene.server.wait(Duration::from_hours(5));
    assert_eq!(offered(&here.open(PAGE).await).len(), 1);
    scene.server.wait(Duration::from_hours(4));
    assert_eq!(offered(&here.open(PAGE).await), Vec::<String>::new());
    let mut there = scene.browser().await;
    let page = here.open(PAGE).await;
    assert_eq!(here.submit(&the_form(&page, "end-others-form")).await.status, 303);
    assert!(!is_in(&mut there).await);
    assert_eq!(scene.ends().await.len(), 2);
}
