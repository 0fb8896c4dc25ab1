//! The pages of the revisions of an API: what was in force, what it changed, and the way back to it.

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{text_of, unescape};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Visitor, the_form};
use rstest::rstest;
use serde_json::json;

use crate::rules_page::{administrator, path};

const READ: &str = "# orders\np, viewer, *, orders, read, allow\n";
const WRITE: &str = "# orders\np, viewer, *, orders, write, allow\n";

fn history(api: &RegisteredApi) -> String {
    format!("{}/history", path(api))
}

fn revision(api: &RegisteredApi, number: u64) -> String {
    format!("{}/{number}", history(api))
}

/// Sends the form that brings a revision back.
async fn restore(visitor: &mut Visitor, page: &Answer, message: &str) -> Answer {
    let answer = visitor.submit(&the_form(page, "restore").with("message", message)).await;
    visitor.follow(answer).await
}

async fn active(server: &TestServer, api: &RegisteredApi) -> serde_json::Value {
    server.admin.get(&format!("/apis/{}/policy", api.id)).await.json()
}

#[rstest]
#[tokio::test]
async fn what_was_in_force_is_listed_compared_and_brought_back(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    server.admin.activate(&api, READ).await;
    server.admin.activate(&api, WRITE).await;
    let mut owner = administrator(&server, "owner").await;
    assert!(owner.get(&path(&api)).await.text().contains(&history(&api)), "the editor leads there");
    let list = owner.get(&history(&api)).await;
    assert_eq!(list.status, 200);
    let shown = unescape(&list.text());
    for number in 1..=3 {
        assert!(shown.contains(&format!("href=\"{}\"", revision(&api, number))), "{shown}");
    }
    assert_eq!(shown.matches("class=\"badge\"").count(), 1, "one is active");
    assert!(shown.contains("a test") && shown.contains("the client "), "why and by whom: {shown}");

    let page = owner.get(&revision(&api, 2)).await;
    let shown = unescape(&page.text());
    assert!(text_of(&shown, "difference-title").unwrap().contains("revision 3"), "{shown}");
    for line in ["- p, viewer, *, orders, write, allow", "+ p, viewer, *, orders, read, allow"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(shown.contains("<strong>Allowed now</strong>") && shown.contains("may “read”"), "{shown}");
    assert!(shown.contains("<strong>No longer allowed</strong>") && shown.contains("may “write”"), "{shown}");
    assert!(!shown.contains("except what a rule names"), "{shown}");
    let came = owner.get(&format!("{}?against=before", revision(&api, 2))).await;
    assert!(text_of(&came.text(), "difference-title").unwrap().contains("before"), "{}", came.text());

    let silent = restore(&mut owner, &page, "  ").await;
    assert_eq!(silent.status, 422);
    assert!(silent.text().contains("id=\"message-problem\""), "{}", silent.text());
    let restored = restore(&mut owner, &silent, "Writing broke").await;
    assert_eq!(restored.status, 200, "{}", restored.text());
    assert!(text_of(&restored.text(), "notice").unwrap().contains("Revision 4 is active now"));
    let now = active(&server, &api).await;
    assert_eq!(
        (&now["number"], &now["rules"], &now["message"]),
        (&json!(4), &json!(READ), &json!("Writing broke"))
    );
    // The same text again would change nothing, and what is active cannot come back.
    for number in [2, 4] {
        let page = owner.get(&revision(&api, number)).await.text();
        assert!(page.contains("id=\"no-restore\"") && !page.contains("id=\"restore\""), "{number}: {page}");
    }
}

#[rstest]
#[tokio::test]
async fn a_rule_that_is_narrowed_is_told_with_what_it_still_gives(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    server.admin.activate(&api, "p, viewer, *, *, read\n").await;
    server.admin.activate(&api, "p, viewer, *, orders, read\n").await;
    server.admin.activate(&api, "# nothing\n").await;
    let mut owner = administrator(&server, "owner").await;
    let shown = unescape(&owner.get(&format!("{}?against=before", revision(&api, 3))).await.text());
    let line = "role “viewer” · may “read” · with everything · in every organisation · except what a rule names more closely<";
    assert!(shown.contains(line), "{shown}");
    assert!(shown.contains("names more closely may stay as it was"), "{shown}");
    let shown = unescape(&owner.get(&format!("{}?against=before", revision(&api, 4))).await.text());
    assert!(shown.contains("with “orders” · in every organisation<"), "{shown}");
    assert!(!shown.contains("more closely"), "{shown}");
}

#[rstest]
#[tokio::test]
async fn a_revision_comes_back_over_the_one_that_was_looked_at_only(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    server.admin.activate(&api, READ).await;
    let mut owner = administrator(&server, "owner").await;
    let page = owner.get(&revision(&api, 1)).await;
    server.admin.activate(&api, WRITE).await;
    let late = restore(&mut owner, &page, "Back").await;
    assert_eq!(late.status, 409);
    assert!(text_of(&late.text(), "error-summary").is_some(), "{}", late.text());
    assert!(unescape(&late.text()).contains("Back"), "what was typed is still there");
    let unseen = owner.submit(&the_form(&page, "restore").with("over", "").with("message", "Back")).await;
    assert_eq!(unseen.status, 409, "looking at nothing is no way around it");
    let odd = owner.submit(&the_form(&page, "restore").with("over", "x").with("message", "Back")).await;
    assert_eq!(odd.status, 400);
    assert_eq!(active(&server, &api).await["number"], 3);
    assert_eq!(restore(&mut owner, &late, "Back").await.status, 200, "now it was looked at");
    assert_eq!(active(&server, &api).await["number"], 4);
}

#[rstest]
#[tokio::test]
async fn only_an_owner_brings_rules_of_the_admin_api_back(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.admin_api().await;
    let mut approver = administrator(&server, "policy-approver").await;
    administrator(&server, "owner").await;
    server.admin.activate(&api, "p, owner, *, *, *\np, policy-approver, *, policies, *\n").await;
    let page = approver.get(&revision(&api, 1)).await;
    let refused = restore(&mut approver, &page, "Mine").await;
    assert_eq!(refused.status, 403);
    assert!(text_of(&refused.text(), "error-summary").is_some(), "{}", refused.text());
    assert_eq!(active(&server, &api).await["number"], 2);
}

#[rstest]
#[tokio::test]
async fn whoever_may_not_bring_back_sees_and_does_not(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    server.admin.activate(&api, READ).await;
    let mut nobody = server.visitor();
    let sent_away = nobody.get(&revision(&api, 1)).await.location().expect("first one signs in");
    assert_eq!(sent_away.query(), Some(format!("next={}.history", api.id).as_str()));
    let mut editor = administrator(&server, "policy-editor").await;
    let page = editor.get(&revision(&api, 1)).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("id=\"no-restore\""), "{}", page.text());
    let mut owner = administrator(&server, "owner").await;
    let page = owner.get(&revision(&api, 1)).await;
    let form = the_form(&page, "restore").with("message", "Back");
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    assert_eq!(owner.submit_from(&form, &foreign).await.status, 403);
    assert_eq!(owner.submit(&form.clone().without("csrf_token")).await.status, 403);
    let token = the_form(&editor.get(&path(&api)).await, "policies").value("csrf_token").unwrap().to_owned();
    assert_eq!(editor.submit(&form.with("csrf_token", &token)).await.status, 403);
    assert_eq!(active(&server, &api).await["number"], 2);
    for (path, status) in [
        (revision(&api, 9), 404),
        (format!("{}/x", history(&api)), 404),
        (format!("{}?after=x", history(&api)), 400),
        ("/admin/policies/api_x/history".to_owned(), 404),
    ] {
        let answer = owner.get(&path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
}

#[rstest]
#[tokio::test]
async fn a_long_history_goes_on_on_another_page(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    for number in 0..21 {
        server.admin.activate(&api, &format!("p, viewer, *, orders-{number}, read\n")).await;
    }
    let mut owner = administrator(&server, "owner").await;
    let first = owner.get(&history(&api)).await.text();
    assert!(first.contains("id=\"revision-22\"") && !first.contains("id=\"revision-2\""), "{first}");
    let (_, rest) = first.split_once("id=\"more\" href=\"").expect("there are older ones");
    let next = unescape(rest.split_once('"').unwrap().0);
    let second = owner.get(&next).await.text();
    assert!(second.contains("id=\"revision-2\"") && second.contains("id=\"revision-1\""), "{second}");
    assert!(!second.contains("id=\"more\""), "{second}");
}
