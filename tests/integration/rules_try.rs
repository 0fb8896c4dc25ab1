//! The page on which a draft is tried: on what services decided, and at the services.

use std::time::Duration;

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::decisions::{batch, decision, send};
use portcullis_tests::markup::{text_of, unescape};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::rules_activation::{activation, notice, refused, save};
use crate::rules_page::{administrator, path};

const ACTIVE: &str = "p, viewer, *, orders, read\np, editor, *, orders, create\n";
const DRAFT: &str = "p, editor, *, orders, create\np, viewer, *, orders, create\n";

fn trial(api: &RegisteredApi) -> String {
    format!("{}/try", path(api))
}

/// An API under `ACTIVE` with its guard, and somebody who may do everything.
async fn scene(database: Database) -> (TestServer, RegisteredApi, Registered, Visitor) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    server.admin.activate(&api, ACTIVE).await;
    let guard = server.admin.guard_client(&api).await;
    let owner = administrator(&server, "owner").await;
    (server, api, guard, owner)
}

/// Somebody who asked for something.
fn asked(subject: &str, action: &str, allowed: bool) -> Value {
    let mut asked = decision(subject);
    asked["action"] = json!(action);
    asked["allowed"] = json!(allowed);
    asked
}

async fn tell(server: &TestServer, guard: &Registered, name: &str, decisions: &Value) {
    assert_eq!(send(server, guard, &batch(name, decisions)).await.status, 204);
}

async fn press(visitor: &mut Visitor, page: &Answer, step: &str) -> Answer {
    let answer = visitor.submit(&the_form(page, step).with("step", step)).await;
    visitor.follow(answer).await
}

fn sum(page: &Answer) -> String {
    text_of(&page.text(), "sum").unwrap_or_else(|| panic!("{}", page.text()))
}

#[track_caller]
fn shows(page: &Answer, id: &str) {
    assert!(page.status == 200 && text_of(&page.text(), id).is_some(), "{id}: {}", page.text());
}

#[track_caller]
fn hides(page: &Answer, id: &str) {
    assert!(text_of(&page.text(), id).is_none(), "{id}: {}", page.text());
}

#[rstest]
#[tokio::test]
async fn a_draft_is_tried_on_what_was_asked_and_says_who_would_lose_what(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, api, guard, mut owner) = Box::pin(scene(database)).await;
    let ada = server.admin.user("ada").await;
    let decisions = json!([
        asked(&ada.sub, "read", true),
        asked("stranger", "read", true),
        asked("stranger", "create", false)
    ]);
    tell(&server, &guard, "g-1", &decisions).await;
    let mut more = batch("g-2", &json!([asked("~mask", "read", true)]));
    (more["pseudonymous"], more["lost"]) = (json!(true), json!(9));
    assert_eq!(send(&server, &guard, &more).await.status, 204);
    save(&mut owner, &api, DRAFT).await;

    let page = owner.get(&trial(&api)).await;
    let expected = "Decisions that were recorded in the last 7 days: 8. The draft denies 6 of them that the rules \
                    in force allow, and allows 2 that they deny. Callers who would lose something: 3.";
    assert_eq!(sum(&page), expected);
    let text = unescape(&page.text());
    for (id, parts) in [
        ("recorded-denied", vec!["role “viewer”", ">orders<", ">read<", ">6<", ">3<", "(ada)", "stranger"]),
        ("recorded-allowed", vec!["role “viewer”", ">create<", ">2<", ">1<"]),
        ("gaps", vec!["too many different ones: 9", "could not be tried: 2", "have records: 1"]),
        ("unused", vec!["?line=1#rules\">Line 1</a>", "p, editor, *, orders, create"]),
    ] {
        let (_, rest) = text.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id}: {text}"));
        let end = rest.find("</table>").or_else(|| rest.find("</ul>")).unwrap();
        let end = rest.find("</ul>").filter(|_| id == "gaps" || id == "unused").unwrap_or(end);
        for part in parts {
            assert!(rest[..end].contains(part), "{id}, {part}: {}", &rest[..end]);
        }
    }
    let lost = text.find("recorded-denied-title").unwrap();
    assert!(lost < text.find("recorded-allowed-title").unwrap(), "what is lost comes first");

    // Who may not read users sees no names.
    let mut editor = administrator(&server, "policy-editor").await;
    let seen = editor.get(&trial(&api)).await.text();
    assert!(seen.contains(&ada.sub) && !seen.contains("(ada)"), "{seen}");
}

#[rstest]
#[tokio::test]
async fn the_days_are_chosen_by_a_link(#[values(Sqlite, Postgres)] database: Database) {
    let (server, api, guard, mut owner) = Box::pin(scene(database)).await;
    save(&mut owner, &api, DRAFT).await;
    shows(&owner.get(&trial(&api)).await, "nothing-recorded");
    tell(&server, &guard, "g-1", &json!([asked("alice", "read", true)])).await;
    server.clock.advance(Duration::from_hours(2 * 24));
    owner = administrator(&server, "auditor").await;
    for (days, shown) in [("1", false), ("7", true), ("30", true), ("365", true), ("x", true)] {
        let page = owner.get(&format!("{}?days={days}", trial(&api))).await;
        shows(&page, if shown { "sum" } else { "nothing-recorded" });
    }
    let page = owner.get(&format!("{}?days=30", trial(&api))).await.text();
    assert!(page.contains("?days=30\" aria-current=\"page\""), "{page}");
}

#[rstest]
#[tokio::test]
async fn where_there_is_nothing_to_try_the_page_says_why(#[values(Sqlite, Postgres)] database: Database) {
    let (server, api, guard, mut owner) = Box::pin(scene(database)).await;
    tell(&server, &guard, "g-1", &json!([asked("alice", "read", true)])).await;
    let same = owner.get(&trial(&api)).await;
    assert!(text_of(&same.text(), "no-draft").unwrap().contains("nothing to try"), "{}", same.text());
    shows(&same, "not-on-trial");
    hides(&same, "begin-trial");
    // Cases are tried nowhere.
    let form = the_form(&owner.get(&path(&api)).await, "policies").with("rules", ACTIVE);
    let form = form.with("cases", "allow, viewer, *, orders, read\n").with("step", "save");
    assert_eq!(owner.submit(&form).await.status, 303);
    assert!(text_of(&owner.get(&trial(&api)).await.text(), "no-draft").is_some());
    save(&mut owner, &api, "p, viewer\n").await;
    let broken = owner.get(&trial(&api)).await;
    assert!(text_of(&broken.text(), "no-draft").unwrap().contains("has errors"), "{}", broken.text());
    hides(&broken, "begin-trial");
    save(&mut owner, &api, &format!("{ACTIVE}p, clerk, *, orders, read\n")).await;
    let calm = owner.get(&trial(&api)).await;
    assert!(sum(&calm).ends_with("answers none otherwise than the rules in force."), "{}", sum(&calm));
    shows(&calm, "begin-trial");
}

#[rstest]
#[tokio::test]
async fn a_draft_is_put_on_trial_watched_and_taken_off(#[values(Sqlite, Postgres)] database: Database) {
    let (server, api, guard, mut owner) = Box::pin(scene(database)).await;
    save(&mut owner, &api, DRAFT).await;
    let page = owner.get(&format!("{}?days=30", trial(&api))).await;
    let started = press(&mut owner, &page, "start").await;
    assert_eq!(notice(&started), "The draft is on trial. Services take it up within seconds.");
    assert_eq!(started.url.query(), Some("days=30&notice=started"));
    assert_eq!(text_of(&started.text(), "tried").as_deref(), Some("The draft as it is now"));
    assert!(text_of(&started.text(), "trial-sum").unwrap().contains("no request"), "{}", started.text());
    hides(&started, "begin-trial");

    let path = format!("/apis/{}/policy/shadow", api.id);
    let tried = server.admin.get(&path).await.json()["shadow"]["sha256"].clone();
    let mut told = batch("g-1", &json!([asked("alice", "read", true)]));
    told["shadow"] = tried;
    assert_eq!(send(&server, &guard, &told).await.status, 204);
    let watched = owner.get(&trial(&api)).await;
    let said = text_of(&watched.text(), "trial-sum").unwrap();
    assert_eq!(said, "Different requests that would be answered otherwise: 1. How often they were asked: 2.");
    let text = watched.text();
    assert!(text.contains("id=\"trial-denied\"") && !text.contains("id=\"trial-allowed\""), "{text}");

    save(&mut owner, &api, "p, viewer, *, orders, create\n").await;
    let other = owner.get(&trial(&api)).await;
    assert_eq!(text_of(&other.text(), "tried").as_deref(), Some("A draft that was changed since"));
    let instead = press(&mut owner, &other, "start").await;
    assert_eq!(text_of(&instead.text(), "tried").as_deref(), Some("The draft as it is now"));

    let stopped = press(&mut owner, &instead, "stop").await;
    assert_eq!(notice(&stopped), "The trial is over. Nothing is tried any more.");
    assert_eq!(server.admin.get(&path).await.status, 404);
}

#[rstest]
#[tokio::test]
async fn what_somebody_else_did_meanwhile_is_said(#[values(Sqlite, Postgres)] database: Database) {
    let (server, api, _, mut owner) = Box::pin(scene(database)).await;
    let mut other = administrator(&server, "policy-editor").await;
    let mut approver = administrator(&server, "policy-approver").await;
    save(&mut owner, &api, DRAFT).await;
    let page = owner.get(&trial(&api)).await;
    save(&mut other, &api, "p, viewer, *, orders, create\n").await;
    refused(&press(&mut owner, &page, "start").await, 409, "while you looked");
    // Another draft was put on trial than the one that would be taken off.
    let page = owner.get(&trial(&api)).await;
    let first = press(&mut owner, &page, "start").await;
    save(&mut other, &api, DRAFT).await;
    let page = approver.get(&trial(&api)).await;
    let second = press(&mut approver, &page, "start").await;
    refused(&press(&mut owner, &first, "stop").await, 409, "while you looked");
    assert_eq!(press(&mut approver, &second, "stop").await.status, 200);
    let tried = the_form(&second, "stop").value("tried").unwrap().to_owned();
    let again = the_form(&first, "stop").with("tried", &tried).with("step", "stop");
    refused(&owner.submit(&again).await, 409, "nothing is on trial");
    // The draft has errors by now, or is in force.
    let page = owner.get(&trial(&api)).await;
    save(&mut other, &api, "p, viewer\n").await;
    let now = the_form(&page, "start").with("version", &version(&server, &api).await).with("step", "start");
    refused(&owner.submit(&now).await, 422, "has errors");
    server.admin.activate(&api, DRAFT).await;
    let now = the_form(&page, "start").with("version", &version(&server, &api).await).with("step", "start");
    refused(&owner.submit(&now).await, 409, "those in force");
    assert_eq!(server.admin.get(&format!("/apis/{}/policy/shadow", api.id)).await.status, 404);
}

/// The version of the draft, as a form carries it.
async fn version(server: &TestServer, api: &RegisteredApi) -> String {
    server.admin.get(&format!("/apis/{}/policy/draft", api.id)).await.json()["version"].to_string()
}

#[rstest]
#[tokio::test]
async fn only_who_may_activate_rules_puts_them_on_trial(#[values(Sqlite, Postgres)] database: Database) {
    let (server, api, _, mut owner) = Box::pin(scene(database)).await;
    save(&mut owner, &api, DRAFT).await;
    let mut nobody = server.visitor();
    let sent_away = nobody.get(&trial(&api)).await.location().expect("first one signs in");
    assert_eq!(sent_away.query(), Some(format!("next={}.try", api.id).as_str()));
    let mut clerk = administrator(&server, "client-admin").await;
    assert_eq!(clerk.get(&trial(&api)).await.status, 403, "rules are not their business");
    let mut editor = administrator(&server, "policy-editor").await;
    let seen = editor.get(&trial(&api)).await;
    assert!(text_of(&seen.text(), "no-trial").unwrap().contains("who may activate rules"), "{}", seen.text());
    hides(&seen, "begin-trial");
    let owner_page = owner.get(&trial(&api)).await;
    let form = the_form(&owner_page, "start").with("step", "start");
    let token = the_form(&editor.get(&path(&api)).await, "policies").value("csrf_token").unwrap().to_owned();
    assert_eq!(editor.submit(&form.clone().with("csrf_token", &token)).await.status, 403);
    assert_eq!(server.admin.get(&format!("/apis/{}/policy/shadow", api.id)).await.status, 404);

    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    assert_eq!(owner.submit_from(&form, &foreign).await.status, 403);
    assert_eq!(owner.submit(&form.clone().without("csrf_token")).await.status, 403);
    assert_eq!(owner.submit(&form.clone().with("step", "other")).await.status, 400);
    assert_eq!(owner.submit(&form.clone().with("step", "stop").with("tried", "x")).await.status, 400);
    let none = form.clone().with("step", "stop").with("tried", &"00".repeat(32));
    refused(&owner.submit(&none).await, 409, "nothing is on trial");
    assert_eq!(server.admin.get(&format!("/apis/{}/policy/shadow", api.id)).await.status, 404);

    let admin_api = server.admin.admin_api().await;
    let draft = server.admin.request(Method::PUT, &format!("/apis/{}/policy/draft", admin_api.id)).await;
    let document = json!({ "rules": "p, owner, *, *, *\n" });
    assert_eq!(Answer::to(draft.header("if-match", "*").json(&document)).await.status, 200);
    let mut approver = administrator(&server, "policy-approver").await;
    let page = approver.get(&trial(&admin_api)).await;
    refused(&press(&mut approver, &page, "start").await, 403, "Only an owner");

    // Who wrote the draft ends no trial of it either.
    let begun = press(&mut owner, &owner_page, "start").await;
    let seen = editor.get(&trial(&api)).await;
    shows(&seen, "no-trial");
    hides(&seen, "end-trial");
    let stop = the_form(&begun, "stop").with("csrf_token", &token).with("step", "stop");
    assert_eq!(editor.submit(&stop).await.status, 403);
    let seen = approver.get(&trial(&api)).await;
    let ended = press(&mut approver, &seen, "stop").await;
    assert_eq!(notice(&ended), "The trial is over. Nothing is tried any more.");
}

#[rstest]
#[tokio::test]
async fn whoever_activates_is_told_how_many_would_lose_something(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, api, guard, mut owner) = Box::pin(scene(database)).await;
    save(&mut owner, &api, DRAFT).await;
    let glance = async |owner: &mut Visitor| {
        let page = owner.get(&activation(&api)).await;
        let line = page.text().split_once("id=\"glance\">").expect("a line").1.to_owned();
        assert!(line.contains(&format!("{}\"", trial(&api))), "it leads there: {line}");
        unescape(line.split_once("</p>").unwrap().0)
    };
    assert!(!glance(&mut owner).await.contains("7 days"), "nothing is known");
    tell(&server, &guard, "g-1", &json!([asked("alice", "create", false)])).await;
    assert!(glance(&mut owner).await.contains("nobody would lose anything"));
    tell(&server, &guard, "g-2", &json!([asked("alice", "read", true), asked("bob", "read", true)])).await;
    assert!(glance(&mut owner).await.contains("callers who would lose something: 2."));
}
