//! The pages on which an administrator edits the rules of an API.

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{text_of, textarea, unescape};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

const RULES: &str = "p, viewer, *, orders, read, allow\n";

/// Everybody may do everything, whatever the rules say.
const OPEN_MODEL: &str = "[request_definition]\nr = sub, dom, obj, act\n\n[policy_definition]\np = sub, dom, obj, act, eft\n\n\
                          [policy_effect]\ne = some(where (p.eft == allow))\n\n[matchers]\nm = r.obj != \"\" || r.sub == p.sub\n";

/// Somebody with a role in the admin API, signed in.
pub(crate) async fn administrator(server: &TestServer, role: &str) -> Visitor {
    let person = server.admin.administrator(role).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&person).await;
    visitor
}

pub(crate) fn path(api: &RegisteredApi) -> String {
    format!("/admin/policies/{}", api.id)
}

/// Sends the form of the page with these rules, by the button `step`.
async fn send(visitor: &mut Visitor, page: &Answer, rules: &str, step: &str) -> Answer {
    let form = the_form(page, "policies").with("rules", rules).with("message", "a test").with("step", step);
    let answer = visitor.submit(&form).await;
    visitor.follow(answer).await
}

#[rstest]
#[tokio::test]
async fn an_owner_finds_edits_and_activates_the_rules_of_an_api(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    assert!(owner.get("/account").await.text().contains("href=\"/admin/policies\""));
    let list = unescape(&owner.get("/admin/policies").await.text());
    assert!(list.contains(&api.name) && list.contains(&path(&api)), "{list}");

    let page = owner.get(&path(&api)).await;
    assert_eq!(page.status, 200);
    let saved = send(&mut owner, &page, RULES, "save").await;
    assert_eq!(saved.status, 200);
    let broken = send(&mut owner, &saved, "# fine\np, viewer, *, *, read\np, viewer\n", "activate").await;
    assert_eq!(broken.status, 422);
    assert_eq!(text_of(&broken.text(), "report-title").as_deref(), Some("Report"), "{}", broken.text());
    let listed = broken.text();
    let (_, row) = listed.split_once("class=\"error\"><td role=\"cell\">").expect("a mistake is listed");
    let number = "<a href=\"#rules\" data-editor=\"rules\" data-line=\"3\" data-column=\"1\">3</a>";
    assert!(row.starts_with(number), "it is shown at its line: {row}");
    assert!(row.contains("<mark>p</mark>, viewer</code>"), "with the line itself: {row}");
    let activated = send(&mut owner, &broken, RULES, "activate").await;
    assert_eq!(activated.status, 200, "{}", activated.text());
    let active = server.admin.get(&format!("/apis/{}/policy", api.id)).await.json();
    assert_eq!(active["rules"], RULES, "{active}");
}

#[rstest]
#[tokio::test]
async fn cases_are_edited_beneath_the_rules_and_hold_them(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    let page = owner.get(&path(&api)).await;
    let send = async |owner: &mut Visitor, page: &Answer, rules: &str, cases: &str, step: &str| {
        let form = the_form(page, "policies").with("rules", rules).with("cases", cases);
        let answer = owner.submit(&form.with("message", "a test").with("step", step)).await;
        owner.follow(answer).await
    };
    let cases = "# staff\nallow, viewer, acme, orders, read\n";
    let unread = send(&mut owner, &page, RULES, "allow, viewer\n", "save").await;
    assert_eq!(unread.status, 422);
    assert!(text_of(&unread.text(), "case-report-title").is_some(), "{}", unread.text());
    assert_eq!(textarea(&unread.text(), "cases").as_deref().map(str::trim), Some("allow, viewer"));
    let draft = server.admin.get(&format!("/apis/{}/policy/draft", api.id)).await.json();
    assert_eq!(draft["version"], 0, "nothing was saved");

    let failing = send(&mut owner, &unread, "p, viewer, *, orders, write\n", cases, "activate").await;
    assert_eq!(failing.status, 409);
    let shown = failing.text();
    assert!(text_of(&shown, "failed-cases-title").is_some_and(|title| title.ends_with(": 1")), "{shown}");
    assert!(shown.contains("denied: no rule allows it"), "{shown}");
    let checked = send(&mut owner, &failing, "p, viewer, *, orders, write\n", cases, "check").await;
    assert_eq!(checked.status, 422);

    let activated = send(&mut owner, &checked, RULES, cases, "activate").await;
    assert_eq!(activated.status, 200, "{}", activated.text());
    let active = server.admin.get(&format!("/apis/{}/policy", api.id)).await.json();
    assert_eq!((&active["rules"], &active["cases"]), (&json!(RULES), &json!(cases)));
    assert_eq!(textarea(&activated.text(), "cases").as_deref().map(str::trim), Some(cases.trim()));
}

#[rstest]
#[tokio::test]
async fn what_was_found_is_told_by_the_button_that_was_pressed(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    for (rules, cases, step, said) in [
        ("p, viewer\n", "", "check", "The rules have errors. They are below."),
        ("p, viewer\n", "", "activate", "The rules have errors. Nothing was activated."),
        (RULES, "allow, viewer\n", "check", "The cases cannot be read. The places are below."),
        (RULES, "allow, viewer\n", "save", "The cases cannot be read. Nothing was saved."),
        (
            RULES,
            "deny, viewer, acme, orders, read\n",
            "check",
            "The rules decide some cases otherwise than the cases say. These are below.",
        ),
    ] {
        let page = owner.get(&path(&api)).await;
        let form = the_form(&page, "policies").with("rules", rules).with("cases", cases);
        let answer = owner.submit(&form.with("message", "a test").with("step", step)).await;
        assert_eq!(answer.status, 422, "{step}: {}", answer.text());
        assert!(unescape(&answer.text()).contains(&format!(">{said}</a>")), "{step}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn what_is_in_force_is_not_activated_again(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    let page = owner.get(&path(&api)).await;
    assert_eq!(send(&mut owner, &page, RULES, "activate").await.status, 200);
    let twice = send(&mut owner, &page, RULES, "activate").await;
    assert_eq!(twice.status, 409, "the form was sent twice: {}", twice.text());
    assert!(unescape(&twice.text()).contains("in force already, with the same cases"), "{}", twice.text());
    let active = server.admin.get(&format!("/apis/{}/policy", api.id)).await.json();
    assert_eq!(active["number"], 2);
    // One more case is a change.
    let form = the_form(&twice, "policies")
        .with("rules", RULES)
        .with("cases", "allow, viewer, acme, orders, read\n");
    let form = form.with("message", "a test").with("step", "activate");
    assert_eq!(owner.submit(&form).await.status, 303);
}

#[rstest]
#[tokio::test]
async fn where_it_takes_two_one_writes_and_another_activates(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let settings = json!({ "name": "Orders", "access_token_ttl_secs": 300, "four_eyes": true });
    let request = server.admin.request(Method::PUT, &format!("/apis/{}", api.id)).await;
    let changed = Answer::to(request.header("if-match", "*").json(&settings)).await;
    assert_eq!(changed.json()["four_eyes"], true, "{}", changed.text());
    let mut owner = administrator(&server, "owner").await;
    let page = owner.get(&path(&api)).await;
    let alone = send(&mut owner, &page, RULES, "activate").await;
    assert_eq!(alone.status, 403);
    assert!(alone.text().contains("error-summary"), "{}", alone.text());
    let again = send(&mut owner, &alone, RULES, "activate").await;
    assert_eq!(again.status, 403, "pressing it again is no second person");

    // A file that was pushed may end its lines as no editor does.
    let crlf = RULES.replace('\n', "\r\n") + "# end\r\n";
    let draft = server.admin.request(Method::PUT, &format!("/apis/{}/policy/draft", api.id)).await;
    let saved = Answer::to(draft.header("if-match", "*").json(&json!({ "rules": crlf }))).await;
    assert_eq!(saved.status, 200, "{}", saved.text());
    let mut approver = administrator(&server, "policy-approver").await;
    let page = approver.get(&path(&api)).await;
    assert_eq!(
        send(&mut approver, &page, "# mine\n", "activate").await.status,
        403,
        "who approves does not write"
    );
    let page = approver.get(&path(&api)).await;
    let shown = crlf.replace("\r\n", "\n");
    assert_eq!(textarea(&page.text(), "rules").as_deref().map(str::trim), Some(shown.trim()));
    let activated = send(&mut approver, &page, &shown, "activate").await;
    assert_eq!(activated.status, 200, "{}", activated.text());
    let active = server.admin.get(&format!("/apis/{}/policy", api.id)).await.json();
    assert_eq!((&active["rules"], &active["number"]), (&json!(crlf), &json!(2)));
}

#[rstest]
#[tokio::test]
async fn a_model_that_the_page_did_not_show_is_not_activated_by_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let settings = json!({ "name": "Orders", "access_token_ttl_secs": 300, "four_eyes": true });
    let request = server.admin.request(Method::PUT, &format!("/apis/{}", api.id)).await;
    assert_eq!(Answer::to(request.header("if-match", "*").json(&settings)).await.status, 200);
    let save = async |model: Option<&str>| {
        let draft = server.admin.request(Method::PUT, &format!("/apis/{}/policy/draft", api.id)).await;
        let document = json!({ "rules": RULES, "model": model });
        let document = if model.is_some() { document } else { json!({ "rules": RULES }) };
        let saved = Answer::to(draft.header("if-match", "*").json(&document)).await;
        assert_eq!(saved.status, 200, "{}", saved.text());
    };
    save(None).await;
    let mut approver = administrator(&server, "policy-approver").await;
    let page = approver.get(&path(&api)).await;
    assert!(!page.text().contains("id=\"model\""), "nothing is said of the model that is in force");

    // The same rules under a model by which everybody may do everything.
    save(Some(OPEN_MODEL)).await;
    let late = send(&mut approver, &page, RULES, "activate").await;
    assert_eq!(late.status, 409, "{}", late.text());
    let active = server.admin.get(&format!("/apis/{}/policy", api.id)).await.json();
    assert_eq!(active["number"], 1, "{active}");

    let page = approver.get(&path(&api)).await;
    assert_eq!(text_of(&page.text(), "model").as_deref().map(str::trim), Some(OPEN_MODEL.trim()));
    let activated = send(&mut approver, &page, RULES, "activate").await;
    assert_eq!(activated.status, 200, "whoever saw it may: {}", activated.text());
}

#[rstest]
#[tokio::test]
async fn of_two_who_edit_at_once_the_second_loses_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut one = administrator(&server, "owner").await;
    let mut other = administrator(&server, "policy-editor").await;
    let (seen, also_seen) = (one.get(&path(&api)).await, other.get(&path(&api)).await);
    assert_eq!(send(&mut one, &seen, RULES, "save").await.status, 200);
    let conflict = send(&mut other, &also_seen, "# mine\n", "save").await;
    assert_eq!(conflict.status, 409);
    let page = conflict.text();
    assert!(page.contains("# mine"), "their own text is still there");
    assert_eq!(text_of(&page, "theirs").as_deref(), Some(RULES.trim()));
    // With both in sight, saving again works.
    assert_eq!(send(&mut other, &conflict, "# both\n", "save").await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_form_that_is_sent_twice_is_no_conflict_and_a_draft_can_be_thrown_away(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    let page = owner.get(&path(&api)).await;
    assert!(!page.text().contains("policy-discard"), "there is no draft yet");
    let saved = send(&mut owner, &page, RULES, "save").await;
    assert_eq!(text_of(&saved.text(), "notice").as_deref(), Some("The draft is saved."));
    let again = send(&mut owner, &page, RULES, "save").await;
    assert_eq!(again.status, 200, "the same text from an old form: {}", again.text());
    assert!(again.text().contains("policy-discard"), "the draft is not active");
    let before = server.admin.get(&format!("/apis/{}/policy", api.id)).await.json();
    let discarded = send(&mut owner, &again, RULES, "discard").await;
    let shown = textarea(&discarded.text(), "rules").expect("the editor is there");
    assert_eq!(shown.trim(), before["rules"].as_str().unwrap().trim());
    assert!(!discarded.text().contains("policy-discard"));
    assert_eq!(server.admin.get(&format!("/apis/{}/policy", api.id)).await.json(), before);
}

#[rstest]
#[tokio::test]
async fn rules_that_would_lock_everybody_out_are_refused_in_the_editor(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.admin_api().await;
    let mut owner = administrator(&server, "owner").await;
    let page = owner.get(&path(&api)).await;
    let refused = send(&mut owner, &page, "# nothing\n", "activate").await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("# nothing"), "the text is still there");
    assert!(refused.text().contains("id=\"policy-discard\""), "saved as a draft, which can be discarded");
    let back = send(&mut owner, &refused, "", "discard").await;
    assert!(back.text().contains("p, owner, *, *, *"), "and so are the rules in force");
}

#[rstest]
#[tokio::test]
async fn whoever_may_not_is_refused_and_sees_no_way_there(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let eve = server.admin.user("eve").await;
    let mut visitor = server.visitor();
    for path in ["/admin/policies".to_owned(), path(&api)] {
        let sent_away = visitor.get(&path).await.location().expect("first one signs in");
        assert_eq!(sent_away.path(), "/login", "{path}");
    }
    visitor.sign_in(&eve).await;
    assert!(!visitor.get("/account").await.text().contains("/admin/policies"));
    for path in ["/admin/policies".to_owned(), path(&api)] {
        let refused = visitor.get(&path).await;
        assert_eq!(refused.status, 403, "{path}");
        let reference = text_of(&refused.text(), "reference").expect("what to ask the operator about");
        assert_eq!(reference, refused.header("x-request-id"), "{path}");
        let event = server.admin.get("/audit?limit=1").await.json()["items"][0].clone();
        assert_eq!((&event["action"], &event["actor"]), (&json!("access.refused"), &json!(eve.id)), "{path}");
    }
    // An editor writes and does not activate.
    let mut editor = administrator(&server, "policy-editor").await;
    let page = editor.get(&path(&api)).await;
    assert_eq!(send(&mut editor, &page, RULES, "activate").await.status, 403);
}

#[rstest]
#[tokio::test]
async fn a_form_of_another_site_changes_no_rules(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api("https://orders.test").await;
    let mut owner = administrator(&server, "owner").await;
    let page = owner.get(&path(&api)).await;
    let form =
        the_form(&page, "policies").with("rules", RULES).with("message", "a test").with("step", "activate");
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    assert_eq!(owner.submit_from(&form, &foreign).await.status, 403);
    assert_eq!(owner.submit(&form.without("csrf_token")).await.status, 403);
}

#[rstest]
#[tokio::test]
async fn an_address_that_cannot_be_read_gets_a_page(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let mut visitor = server.visitor();
    for (path, status) in [
        ("/login?interaction=a&interaction=b", 400),
        ("/consent?interaction=a&interaction=b", 400),
        ("/account?notice=a&notice=b", 400),
        ("/admin/policies/%ff", 404),
        ("/static/x/%ff", 404),
    ] {
        let answer = visitor.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
}
