//! The page on which activations are put off, approved by a second person, and taken back.

use std::time::Duration;

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{text_of, unescape};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::rules_page::{administrator, path};

const RULES: &str = "p, viewer, *, orders, write, allow\n";

pub(crate) fn activation(api: &RegisteredApi) -> String {
    format!("{}/activation", path(api))
}

/// An hour from now, as a browser sends it: to the minute and without a zone.
fn in_an_hour(server: &TestServer) -> String {
    server.clock.now().plus(Duration::from_hours(1)).rfc3339()[..16].to_owned()
}

pub(crate) async fn save(visitor: &mut Visitor, api: &RegisteredApi, rules: &str) {
    let page = visitor.get(&path(api)).await;
    let form = the_form(&page, "policies").with("rules", rules).with("step", "save");
    let answer = visitor.submit(&form).await;
    assert_eq!(visitor.follow(answer).await.status, 200);
}

async fn schedule(visitor: &mut Visitor, page: &Answer, at: &str, message: &str) -> Answer {
    let form = the_form(page, "schedule").with("at", at).with("message", message).with("step", "schedule");
    let answer = visitor.submit(&form).await;
    visitor.follow(answer).await
}

async fn decide(visitor: &mut Visitor, page: &Answer, step: &str) -> Answer {
    let answer = visitor.submit(&the_form(page, "decide").with("step", step)).await;
    visitor.follow(answer).await
}

async fn turn(visitor: &mut Visitor, page: &Answer, step: &str) -> Answer {
    let answer = visitor.submit(&the_form(page, "four-eyes-form").with("step", step)).await;
    visitor.follow(answer).await
}

async fn schedules(server: &TestServer, api: &RegisteredApi) -> Value {
    server.admin.get(&format!("/apis/{}/policy/schedules", api.id)).await.json()["items"].clone()
}

pub(crate) fn notice(page: &Answer) -> String {
    text_of(&page.text(), "notice").unwrap_or_else(|| panic!("{} {}", page.status, page.text()))
}

#[track_caller]
pub(crate) fn refused(page: &Answer, status: u16, part: &str) {
    let said = text_of(&unescape(&page.text()), "error-summary").unwrap_or_default();
    assert_eq!(page.status, status, "{said}");
    assert!(page.text().contains("<title>Error: ") && said.contains(part), "{part}: {}", page.text());
}

#[rstest]
#[tokio::test]
async fn a_draft_is_put_off_shown_and_taken_back(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    let empty = owner.get(&activation(&api)).await;
    assert_eq!(empty.status, 200);
    for id in ["nothing-waits", "no-schedule", "nothing-ended"] {
        assert!(text_of(&empty.text(), id).is_some(), "{id}: {}", empty.text());
    }
    save(&mut owner, &api, RULES).await;
    let page = owner.get(&activation(&api)).await;
    assert!(unescape(&page.text()).contains("+ p, viewer, *, orders, write, allow"), "{}", page.text());
    let at = in_an_hour(&server);
    let asked = schedule(&mut owner, &page, &at, "At night").await;
    assert_eq!(notice(&asked), "The activation is put off.");
    let shown = unescape(&asked.text());
    assert!(
        shown.contains(&format!("{} UTC", at.replace('T', " "))) && shown.contains("At night"),
        "{shown}"
    );
    assert!(shown.contains("owner-person"), "who asked: {shown}");
    let listed = schedules(&server, &api).await;
    assert_eq!(listed[0]["activate_at"], format!("{at}:00Z"), "the time is UTC");
    assert!(owner.get(&path(&api)).await.text().contains("id=\"waits\""), "the editor says so");

    let taken = decide(&mut owner, &asked, "cancel").await;
    assert_eq!(notice(&taken), "It is taken back and will not be carried out.");
    assert!(taken.text().contains("<strong>Taken back</strong>"), "{}", taken.text());
    let again = owner.submit(&the_form(&asked, "decide").with("step", "cancel")).await;
    refused(&again, 409, "Somebody was faster");
    assert_eq!(schedules(&server, &api).await[0]["end"]["how"], "cancelled");
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_put_off_is_said_beside_what_was_typed(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    save(&mut owner, &api, RULES).await;
    let page = owner.get(&activation(&api)).await;
    let hour_ago = server.clock.now().minus(Duration::from_hours(1)).rfc3339();
    let too_far = server.clock.now().plus(Duration::from_hours(366 * 24)).rfc3339();
    for (at, message, part) in [
        (hour_ago.as_str(), "x", "That time is over"),
        (&too_far, "x", "more than 365 days ahead"),
        ("", "x", "Enter a date and a time"),
        ("tomorrow", "x", "Enter a date and a time"),
        (&in_an_hour(&server), " ", "what changes, and why"),
        (&in_an_hour(&server), &"x".repeat(501), "what changes, and why"),
    ] {
        let answer = schedule(&mut owner, &page, at, message).await;
        refused(&answer, 422, part);
        assert_eq!(the_form(&answer, "schedule").value("at"), Some(at), "{part}");
    }
    // Somebody saved another draft, or put another revision in force, since the page was read.
    save(&mut owner, &api, "p, viewer, *, orders, delete\n").await;
    refused(&schedule(&mut owner, &page, &in_an_hour(&server), "x").await, 409, "while you looked");
    let page = owner.get(&activation(&api)).await;
    server.admin.activate(&api, "p, viewer, *, orders, read\n").await;
    save(&mut owner, &api, RULES).await;
    refused(&schedule(&mut owner, &page, &in_an_hour(&server), "x").await, 409, "while you looked");
    // A draft with mistakes, or against its cases.
    let at = in_an_hour(&server);
    for (rules, cases, status, part) in [
        ("p, viewer\n", "", 422, "have errors"),
        (RULES, "deny, viewer, acme, orders, write\n", 409, "some cases"),
    ] {
        let draft = server.admin.request(Method::PUT, &format!("/apis/{}/policy/draft", api.id)).await;
        let document = json!({ "rules": rules, "cases": cases });
        assert_eq!(Answer::to(draft.header("if-match", "*").json(&document)).await.status, 200);
        let page = owner.get(&activation(&api)).await;
        refused(&schedule(&mut owner, &page, &at, "x").await, status, part);
    }
    assert_eq!(schedules(&server, &api).await, json!([]));
    // What is active already, and a second one beside the first.
    save(&mut owner, &api, RULES).await;
    let draft = server.admin.request(Method::PUT, &format!("/apis/{}/policy/draft", api.id)).await;
    let document = json!({ "rules": RULES, "cases": "" });
    assert_eq!(Answer::to(draft.header("if-match", "*").json(&document)).await.status, 200);
    let page = owner.get(&activation(&api)).await;
    assert_eq!(schedule(&mut owner, &page, &at, "x").await.status, 200);
    refused(&schedule(&mut owner, &page, &at, "x").await, 409, "already");
    let waiting = owner.get(&activation(&api)).await;
    assert_eq!(decide(&mut owner, &waiting, "cancel").await.status, 200);
    server.admin.activate(&api, RULES).await;
    let draft = server.admin.get(&format!("/apis/{}/policy/draft", api.id)).await.json();
    let form = the_form(&page, "schedule").with("active", "3").with("version", &draft["version"].to_string());
    let same = owner.submit(&form.with("at", &at).with("message", "x").with("step", "schedule")).await;
    refused(&same, 409, "nothing to put off");
}

#[rstest]
#[tokio::test]
async fn rules_of_the_admin_api_are_put_off_by_an_owner_who_can_still_edit_them_then(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.admin_api().await;
    let mut owner = administrator(&server, "owner").await;
    let mut approver = administrator(&server, "policy-approver").await;
    save(&mut owner, &api, "# nothing\n").await;
    let page = owner.get(&activation(&api)).await;
    refused(&schedule(&mut owner, &page, &in_an_hour(&server), "x").await, 409, "nobody could edit");
    let page = approver.get(&activation(&api)).await;
    refused(&schedule(&mut approver, &page, &in_an_hour(&server), "x").await, 403, "Only an owner");
    assert_eq!(schedules(&server, &api).await, json!([]));
}

#[rstest]
#[tokio::test]
async fn one_asks_and_another_approves_or_declines(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    let mut approver = administrator(&server, "policy-approver").await;
    let page = owner.get(&activation(&api)).await;
    let on = turn(&mut owner, &page, "four_eyes_on").await;
    assert!(notice(&on).starts_with("It takes two people"));
    save(&mut owner, &api, RULES).await;
    let page = owner.get(&activation(&api)).await;
    let asked = schedule(&mut owner, &page, &in_an_hour(&server), "Two look").await;
    assert!(text_of(&asked.text(), "needs-another").is_some(), "{}", asked.text());
    assert!(!asked.text().contains("value=\"approve\""), "not by oneself: {}", asked.text());
    refused(&decide(&mut owner, &asked, "approve").await, 403, "another person");

    let seen = approver.get(&activation(&api)).await;
    assert!(seen.text().contains(">Decline</button>"), "{}", seen.text());
    let declined = decide(&mut approver, &seen, "cancel").await;
    assert_eq!(notice(&declined), "It is declined and will not be carried out.");
    refused(&decide(&mut approver, &seen, "approve").await, 409, "Somebody was faster");

    let page = owner.get(&activation(&api)).await;
    assert_eq!(schedule(&mut owner, &page, &in_an_hour(&server), "Again").await.status, 200);
    let seen = approver.get(&activation(&api)).await;
    let approved = decide(&mut approver, &seen, "approve").await;
    assert!(notice(&approved).starts_with("It is approved"));
    let approval = text_of(&unescape(&approved.text()), "approval").unwrap();
    assert!(approval.contains("policy-approver-person"), "{approval}");
    refused(&decide(&mut approver, &seen, "approve").await, 409, "Somebody was faster");
    let listed = schedules(&server, &api).await;
    let again = listed.as_array().unwrap().iter().find(|schedule| schedule["message"] == "Again").unwrap();
    assert!(again["approved_by"].is_string(), "{listed}");
}

#[rstest]
#[tokio::test]
async fn what_another_revision_overtook_is_shown_as_such(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    save(&mut owner, &api, RULES).await;
    let page = owner.get(&activation(&api)).await;
    let asked = schedule(&mut owner, &page, &in_an_hour(&server), "At night").await;
    assert!(!asked.text().contains("id=\"overtaken\""));
    server.admin.activate(&api, "p, viewer, *, orders, read\n").await;
    assert!(owner.get(&activation(&api)).await.text().contains("id=\"overtaken\""));
}

#[rstest]
#[tokio::test]
async fn an_owner_turns_four_eyes_off_and_others_do_not(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    let mut clerk = administrator(&server, "client-admin").await;
    let mut editor = administrator(&server, "policy-editor").await;
    assert_eq!(clerk.get(&activation(&api)).await.status, 403, "rules are not their business");
    let before = owner.get(&activation(&api)).await;
    let form = the_form(&before, "four-eyes-form").with("step", "four_eyes_on");
    assert!(!editor.get(&activation(&api)).await.text().contains("four-eyes-form"));
    let token = the_form(&editor.get(&path(&api)).await, "policies").value("csrf_token").unwrap().to_owned();
    assert_eq!(editor.submit(&form.clone().with("csrf_token", &token)).await.status, 403);
    let on = owner.submit(&form).await;
    assert!(notice(&owner.follow(on).await).starts_with("It takes two people"));
    refused(&owner.submit(&form).await, 409, "while you looked");

    // Somebody who may change APIs and owns nothing.
    let rules = "p, owner, *, *, *\np, client-admin, *, apis, update\np, client-admin, *, policies, *\n";
    server.admin.activate(&server.admin.admin_api().await, rules).await;
    let page = clerk.get(&activation(&api)).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(!page.text().contains("four-eyes-form"), "{}", page.text());
    let token = the_form(&clerk.get(&path(&api)).await, "policies").value("csrf_token").unwrap().to_owned();
    let now = owner.get(&activation(&api)).await;
    let off = the_form(&now, "four-eyes-form").with("step", "four_eyes_off");
    refused(&clerk.submit(&off.clone().with("csrf_token", &token)).await, 403, "Only an owner");
    let off = owner.submit(&off).await;
    assert_eq!(notice(&owner.follow(off).await), "One person is enough from now on.");
}

#[rstest]
#[tokio::test]
async fn a_form_that_is_none_of_ours_puts_nothing_off(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut nobody = server.visitor();
    let sent_away = nobody.get(&activation(&api)).await.location().expect("first one signs in");
    assert_eq!(sent_away.query(), Some(format!("next={}.activation", api.id).as_str()));
    let mut owner = administrator(&server, "owner").await;
    save(&mut owner, &api, RULES).await;
    let page = owner.get(&activation(&api)).await;
    let form = the_form(&page, "schedule").with("at", &in_an_hour(&server)).with("message", "x");
    let form = form.with("step", "schedule");
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    assert_eq!(owner.submit_from(&form, &foreign).await.status, 403);
    assert_eq!(owner.submit(&form.clone().without("csrf_token")).await.status, 403);
    assert_eq!(owner.submit(&form.clone().with("step", "other")).await.status, 400);
    assert_eq!(owner.submit(&form.clone().with("step", "cancel").with("schedule", "x")).await.status, 400);
    let unknown =
        form.clone().with("step", "cancel").with("schedule", "sch_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c");
    refused(&owner.submit(&unknown).await, 409, "Somebody was faster");
    let mut editor = administrator(&server, "policy-editor").await;
    let page = editor.get(&activation(&api)).await;
    assert!(!page.text().contains("id=\"schedule\""), "{}", page.text());
    let token = the_form(&editor.get(&path(&api)).await, "policies").value("csrf_token").unwrap().to_owned();
    assert_eq!(editor.submit(&form.with("csrf_token", &token)).await.status, 403, "an editor writes");
    assert_eq!(schedules(&server, &api).await, json!([]));
}
