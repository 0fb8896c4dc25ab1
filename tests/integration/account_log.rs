//! The page of what happened to an account.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{link_of, unescape};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

const PAGE: &str = "/account/log";

/// The entries of a page: what happened, and when, from where and by whom.
fn entries(page: &Answer) -> Vec<(String, String)> {
    let text = page.text();
    let list =
        text.split("id=\"log\"").nth(1).and_then(|rest| rest.split("</ol>").next()).unwrap_or_default();
    list.split("<li ")
        .skip(1)
        .map(|entry| {
            let what = entry.split("<strong>").nth(1).and_then(|rest| rest.split("</strong>").next());
            let rest = entry.split("</strong>").nth(1).unwrap_or_default();
            (unescape(what.unwrap_or_default()), unescape(rest))
        })
        .collect()
}

fn what(page: &Answer) -> Vec<String> {
    entries(page).into_iter().map(|(what, _)| what).collect()
}

#[rstest]
#[tokio::test]
async fn people_see_what_happened_to_their_account_in_plain_words(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bea) = (server.admin.user("ada").await, server.admin.user("bea").await);
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let mistaken = Person { password: "not the password".to_owned(), ..ada.clone() };
    visitor.sign_in(&mistaken).await;
    server.visitor().sign_in(&bea).await;
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    let account = format!("/users/{}", ada.id);
    let change = server.admin.request(Method::PUT, &account).await.header("if-match", "*");
    let changed = json!({ "username": "ada", "name": "Ada", "email": "ada@example.net" });
    assert_eq!(Answer::to(change.json(&changed)).await.status, 200);
    let apps = visitor.open("/account/apps").await;
    assert_eq!(visitor.submit(&the_form(&apps, "app-1-form")).await.status, 303);
    visitor.open(PAGE).await;
    let before = server.statements();
    let page = visitor.open(PAGE).await;
    assert_eq!(server.statements() - before, 3, "the session, what was done, and what was done to it");
    assert_eq!(
        what(&page),
        [
            "The access of Test shop was withdrawn",
            "Your account was changed",
            "Test shop was allowed to use your account",
            "Signed in",
            "A sign-in with your user name failed",
            "Your account was created",
        ]
    );
    let told = entries(&page);
    assert!(told[1].1.contains("by a program of the administration"), "{told:?}");
    assert!(told[1].1.contains("name, e-mail address"), "{told:?}");
    let is_from_somewhere = |rest: &str| rest.contains("from 127.0.0.1") || rest.contains("from ::1");
    for own in [0, 2, 3, 4] {
        assert!(is_from_somewhere(&told[own].1), "{told:?}");
    }
    for others in [1, 5] {
        assert!(!is_from_somewhere(&told[others].1), "where administrators work is theirs: {told:?}");
    }
    assert_eq!(link_of(&page.text(), "older"), None);
}

/// An administrator reads of the own account, and not of everything that the administration did.
#[rstest]
#[tokio::test]
async fn an_administrator_sees_what_is_about_the_own_account(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api("https://orders.test").await;
    let owner = server.admin.administrator("owner").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&owner).await;
    let rules = format!("/admin/policies/{}", orders.id);
    let page = visitor.open(&rules).await;
    let form = the_form(&page, "policies").with("rules", "p, viewer, *, orders, read\n");
    assert_eq!(visitor.submit(&form.with("message", "a test").with("step", "activate")).await.status, 303);
    let event = server.admin.get("/audit?limit=1").await.json()["items"][0].clone();
    assert_eq!((&event["action"], &event["actor"]), (&json!("policy.activated"), &json!(owner.id)));
    let changed = what(&visitor.open(PAGE).await);
    assert_eq!(changed, ["Signed in", "Your account was created"]);
}

#[rstest]
#[tokio::test]
async fn a_long_log_is_read_page_by_page(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    for number in 0..105 {
        let change = server.admin.request(Method::PUT, &format!("/users/{}", ada.id)).await;
        let changed = json!({ "username": "ada", "name": format!("Ada {number}") });
        assert_eq!(Answer::to(change.header("if-match", "*").json(&changed)).await.status, 200);
        server.wait(Duration::from_secs(1));
    }
    let (mut path, mut pages) = (PAGE.to_owned(), Vec::new());
    loop {
        let page = visitor.open(&path).await;
        pages.push(entries(&page));
        let Some(older) = link_of(&page.text(), "older") else { break };
        path = older;
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 7]);
    let mut all = pages.concat();
    assert_eq!(all.last().unwrap().0, "Your account was created");
    all.dedup();
    assert_eq!(all.len(), 107, "each once: {all:?}");
    for nothing in ["?before=1", "?before=0"] {
        let page = visitor.open(&format!("{PAGE}{nothing}")).await;
        assert!(page.text().contains("There is nothing about your account in this part."), "{}", page.text());
    }
    for odd in ["?before=-1", "?before=x", "?before=99999999999999999999999"] {
        assert_eq!(visitor.open(&format!("{PAGE}{odd}")).await.status, 400, "{odd}");
    }
    let page = server.visitor().open(PAGE).await;
    assert_eq!((page.url.path(), page.url.query()), ("/login", Some("next=log")));
}
