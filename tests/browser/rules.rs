//! Every page of rules in light, in dark and on the narrowest screen.

use std::time::Duration;

use portcullis_tests::browser::{Browser, Look};
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::decisions::{batch, send};
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use reqwest::Method;
use serde_json::{Value, json};

use crate::looks::{inspect, look_at};
use crate::sign_in;

/// Cells of a report that reach beyond the screen.
const OUT_OF_SIGHT: &str = "
    return [...document.querySelectorAll('#report td')]
        .filter(cell => cell.getBoundingClientRect().right > document.documentElement.clientWidth).length;";

/// Cells of a list of changes that reach beyond the screen.
const CUT_CELLS: &str = "
    return [...document.querySelectorAll('.turns td')]
        .filter(cell => cell.getBoundingClientRect().right > document.documentElement.clientWidth).length;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_of_apis_fit_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    let owner = server.admin.administrator("owner").await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &owner).await;
    browser.wait_for("rules").await;
    inspect(&browser, "account-of-administrator").await;
    browser.click("rules").await;
    browser.wait_for("rulebooks").await;
    inspect(&browser, "rulebooks").await;
    browser.click_link(&orders.audience).await;
    browser.wait_for("policies").await;
    inspect(&browser, "rules").await;
    browser.script("document.getElementById('rules').value += '\\np, nobody'").await;
    browser.click("policy-check").await;
    browser.wait_for("report").await;
    inspect(&browser, "rules-report").await;
    look_at(&browser, "rules-findings", "report").await;
    browser.look(Look::Narrow).await;
    let hidden = browser.script(OUT_OF_SIGHT).await;
    assert_eq!(hidden, 0, "what is wrong with a rule is read without scrolling sideways");
    look_at(&browser, "rules-activation", "policy-activate").await;
    let cases = "deny, viewer, acme, orders, read\\nallow, viewer, acme, orders, write";
    let script = format!(
        "document.getElementById('rules').value = 'p, viewer, *, orders, read';
         document.getElementById('cases').value = '{cases}'"
    );
    browser.script(&script).await;
    browser.click("policy-check").await;
    browser.wait_for("failed-cases").await;
    inspect(&browser, "rules-failed-cases").await;
    look_at(&browser, "rules-failures", "failed-cases").await;
    // Somebody else was faster.
    server
        .admin
        .activate(&orders, "p, viewer, *, /v1/customers/{customer}/orders/{order}/lines/{line}, read\n")
        .await;
    browser.click("policy-save").await;
    browser.wait_for("theirs").await;
    inspect(&browser, "rules-conflict").await;
    look_at(&browser, "rules-of-others", "theirs").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_rules_from_coming_into_force_fits_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    let admin_api = server.admin.admin_api().await;
    let owner = server.admin.administrator("owner").await;
    let editor = server.admin.administrator("policy-editor").await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &owner).await;
    browser.wait_for("rules").await;
    browser.open(&format!("{}/admin/policies/{}", server.issuer, orders.id)).await;
    browser.fill("rules", "p, viewer, *, /v1/orders, read\n").await;
    browser.fill("cases", "deny, viewer, *, /v1/orders, write\nallow, viewer, *, /v1/orders, write\n").await;
    browser.click("policy-save").await;
    browser.wait_for("policy-discard").await;
    inspect(&browser, "rules-draft").await;
    browser.fill("message", "Viewers read orders").await;
    browser.click("policy-activate").await;
    browser.wait_for("failed-cases").await;
    inspect(&browser, "rules-failing-cases").await;
    look_at(&browser, "rules-failed-cases", "failed-cases").await;
    browser.open(&format!("{}/admin/policies/{}", server.issuer, admin_api.id)).await;
    browser.fill("rules", "# nobody may anything\n").await;
    browser.fill("message", "Lock the door").await;
    browser.click("policy-activate").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "rules-lockout").await;
    browser.close().await;
    // Who may write rules may not write these.
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &editor).await;
    browser.wait_for("rules").await;
    browser.open(&format!("{}/admin/policies/{}", server.issuer, admin_api.id)).await;
    browser.fill("rules", "p, policy-editor, *, *, *\n").await;
    browser.click("policy-save").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "rules-owners-only").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_of_rules_fits_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    let owner = server.admin.administrator("owner").await;
    let before = "# who may do what with orders\n\np, viewer, *, /v1/orders/{order}, read\np, clerk, *, /v1/orders, create\n";
    server.admin.activate(&orders, before).await;
    let after = "# who may do what with orders\n\np, viewer, *, /v1/customers/{customer}/orders/{order}/lines/{line}, read\n\
                 g, clerk, viewer, *\np, clerk, acme, /v1/orders, create\np, user:17, *, /v1/orders, create, deny\n";
    server.admin.activate(&orders, after).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &owner).await;
    browser.wait_for("rules").await;
    browser.open(&format!("{}/admin/policies/{}", server.issuer, orders.id)).await;
    browser.click("to-history").await;
    browser.wait_for("revisions").await;
    inspect(&browser, "history").await;
    browser.click("revision-2").await;
    browser.wait_for("restore").await;
    inspect(&browser, "revision").await;
    look_at(&browser, "revision-difference", "difference").await;
    look_at(&browser, "revision-restore", "revision-restore").await;
    // Somebody else was faster.
    server.admin.activate(&orders, "p, viewer, *, /v1/orders, read\n").await;
    browser.fill("message", "The long way is not served yet").await;
    browser.click("revision-restore").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "revision-overtaken").await;
    browser.click("revision-restore").await;
    browser.wait_for("notice").await;
    inspect(&browser, "history-restored").await;
    browser.click("revision-5").await;
    browser.wait_for("no-restore").await;
    inspect(&browser, "revision-active").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_come_into_force_fits_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    let owner = server.admin.administrator("owner").await;
    let approver = server.admin.administrator("policy-approver").await;
    let rules = format!("{}/admin/policies/{}", server.issuer, orders.id);
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &owner).await;
    browser.wait_for("rules").await;
    browser.open(&rules).await;
    browser.click("to-activation").await;
    browser.wait_for("nothing-waits").await;
    inspect(&browser, "activation-empty").await;
    browser.click("turn-four-eyes").await;
    browser.wait_for("notice").await;
    browser.open(&rules).await;
    browser.fill("rules", "p, viewer, *, /v1/orders, read\np, clerk, *, /v1/orders, create\n").await;
    browser.click("policy-save").await;
    browser.wait_for("policy-discard").await;
    look_at(&browser, "rules-four-eyes", "policy-activate").await;
    browser.click("to-activation").await;
    browser.wait_for("schedule").await;
    inspect(&browser, "activation-draft").await;
    let put_off = async |at: &str| {
        browser.script(&format!("document.getElementById('at').value = '{at}'")).await;
        browser.fill("message", "Clerks take orders themselves").await;
        browser.click("put-off").await;
    };
    put_off("2020-01-31T09:00").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "activation-past").await;
    look_at(&browser, "activation-past-field", "at").await;
    let tomorrow = server.clock.now().plus(Duration::from_hours(24)).rfc3339();
    put_off(&tomorrow[..16]).await;
    browser.wait_for("waits").await;
    inspect(&browser, "activation-asked").await;
    // The other person.
    let other = Browser::start().await;
    other.open(&format!("{rules}/activation")).await;
    sign_in(&other, &approver).await;
    other.wait_for("approve").await;
    inspect(&other, "activation-to-approve").await;
    look_at(&other, "activation-decision", "approve").await;
    other.click("approve").await;
    other.wait_for("notice").await;
    inspect(&other, "activation-approved").await;
    browser.click("cancel").await;
    browser.wait_for("ended").await;
    inspect(&browser, "activation-taken-back").await;
    other.click("cancel").await;
    other.wait_for("error-summary").await;
    inspect(&other, "activation-too-late").await;
    other.close().await;
    browser.close().await;
}

/// Somebody who may do everything, signed in.
async fn owner_of(server: &TestServer) -> Browser {
    let owner = server.admin.administrator("owner").await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &owner).await;
    browser.wait_for("rules").await;
    browser
}

/// Saves a draft that takes from some and gives to others, and opens the page on which it is tried.
async fn save_and_try(browser: &Browser, rules: &str) {
    browser.open(rules).await;
    let draft = "p, clerk, *, /v1/orders/{order}, read\n\
                 p, clerk, *, /v1/customers/{customer}/orders/{order}/lines/{line}, read\n";
    browser.fill("rules", draft).await;
    browser.click("policy-save").await;
    browser.wait_for("policy-discard").await;
    browser.click("to-try").await;
    browser.wait_for("begin-trial").await;
}

/// Rules that such a draft is compared with.
const TRIED_OVER: &str =
    "p, viewer, *, /v1/customers/{customer}/orders/{order}, read\np, clerk, *, /v1/orders, create\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_draft_is_not_tried_on_fits_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    server.admin.activate(&orders, TRIED_OVER).await;
    let editor = server.admin.administrator("policy-editor").await;
    let rules = format!("{}/admin/policies/{}", server.issuer, orders.id);
    let browser = owner_of(&server).await;
    browser.open(&rules).await;
    browser.click("to-try").await;
    browser.wait_for("no-draft").await;
    inspect(&browser, "try-no-draft").await;
    save_and_try(&browser, &rules).await;
    browser.wait_for("nothing-recorded").await;
    inspect(&browser, "try-nothing-recorded").await;
    browser.close().await;
    // Who may not activate is told why there is no button.
    let browser = Browser::start().await;
    browser.open(&format!("{rules}/try")).await;
    sign_in(&browser, &editor).await;
    browser.wait_for("no-trial").await;
    assert!(!browser.has("begin-trial").await);
    inspect(&browser, "try-forbidden").await;
    look_at(&browser, "try-no-trial", "no-trial").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draft_that_is_tried_fits_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    let guard = server.admin.guard_client(&orders).await;
    let ada = server.admin.user("ada").await;
    server.admin.activate(&orders, TRIED_OVER).await;
    let rules = format!("{}/admin/policies/{}", server.issuer, orders.id);
    let browser = owner_of(&server).await;
    save_and_try(&browser, &rules).await;
    let path = "/v1/customers/cus_0190c8b0a4e27f3a/orders/2026-0017";
    let asked = |subject: &str, role: &str, object: &str, action: &str, allowed: bool| {
        json!({ "subject": subject, "roles": [role], "domain": "acme", "object": object, "action": action,
                "allowed": allowed, "revision": 2, "count": 1_234 })
    };
    let decisions = json!([
        asked(&ada.sub, "viewer", path, "read", true),
        asked("~5b1f0c9a7d3e4f6081", "viewer", path, "read", true),
        asked(&ada.sub, "clerk", "/v1/orders", "create", true),
        asked(&guard.id, "clerk", "/v1/orders/2026-0017", "read", false),
    ]);
    let mut told = batch("g-1", &decisions);
    told["lost"] = json!(12);
    assert_eq!(send(&server, &guard, &told).await.status, 204);
    browser.open(&format!("{rules}/try")).await;
    browser.wait_for("sum").await;
    inspect(&browser, "try-recorded").await;
    browser.look(Look::Narrow).await;
    assert_eq!(browser.script(CUT_CELLS).await, 0, "what is lost is read without scrolling sideways");
    look_at(&browser, "try-losses", "recorded-denied").await;
    browser.click("begin-trial").await;
    browser.wait_for("trial").await;
    inspect(&browser, "try-begun").await;
    let shadow = server.admin.get(&format!("/apis/{}/policy/shadow", orders.id)).await.json();
    let mut told = batch("g-2", &decisions);
    told["shadow"] = shadow["shadow"]["sha256"].clone();
    assert_eq!(send(&server, &guard, &told).await.status, 204);
    browser.open(&format!("{rules}/try?days=30")).await;
    browser.wait_for("trial-denied").await;
    look_at(&browser, "try-on-trial", "end-trial").await;
    inspect(&browser, "try-full").await;
    // A rule that decided nothing leads to its line.
    browser.script("document.querySelector('#unused a').click()").await;
    browser.wait_for("policies").await;
    let at = "const text = document.getElementById('rules');
              return document.activeElement === text && text.value.slice(text.selectionStart, text.selectionEnd)";
    let selected = browser.script(at).await;
    assert!(selected.as_str().is_some_and(|line| line.contains("/lines/{line}")), "{selected}");
    browser.click("to-activation").await;
    browser.wait_for("glance").await;
    look_at(&browser, "activation-glance", "glance").await;
    // Somebody else was faster.
    browser.open(&format!("{rules}/try")).await;
    browser.wait_for("end-trial").await;
    let stop = format!("/apis/{}/policy/shadow", orders.id);
    assert_eq!(server.admin.send(Method::DELETE, &stop, &Value::Null).await.status, 204);
    browser.click("end-trial").await;
    browser.wait_for("error-summary").await;
    inspect(&browser, "try-too-late").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_routes_of_a_service_fit_every_screen() {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    let guard = server.admin.guard_client(&orders).await;
    let owner = server.admin.administrator("owner").await;
    let rules = "p, viewer, *, orders, read\n\
                 p, viewer, *, /v1/customers/{customer}/orders/{order}/lines/{line}, read\n";
    server.admin.activate(&orders, rules).await;
    let page = format!("{}/admin/policies/{}/routes", server.issuer, orders.id);
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &owner).await;
    browser.wait_for("rules").await;
    browser.open(&format!("{}/admin/policies/{}", server.issuer, orders.id)).await;
    browser.click("to-routes").await;
    browser.wait_for("empty").await;
    inspect(&browser, "routes-empty").await;
    look_at(&browser, "routes-how", "empty").await;
    for version in ["2026.11.1", "2026.11.2"] {
        let start = GuardedService::start_with(&server.issuer, &orders.audience, &guard, |guard| {
            guard.service_version(version)
        });
        start.await.refresh_policy().await;
    }
    browser.open(&page).await;
    browser.wait_for("pending-2").await;
    browser.script("document.querySelector('#pending-1 details').open = true").await;
    inspect(&browser, "routes-pending").await;
    look_at(&browser, "routes-pending-list", "pending-1-approve").await;
    browser.click("pending-1-approve").await;
    browser.wait_for("sum").await;
    inspect(&browser, "routes-report").await;
    look_at(&browser, "routes-unruled", "unruled").await;
    look_at(&browser, "routes-unrouted", "unrouted").await;
    browser.look(Look::Narrow).await;
    assert_eq!(browser.script(CUT_CELLS).await, 0, "what does not fit is read without scrolling sideways");
    look_at(&browser, "routes-known", "known-1").await;
    browser.close().await;
}
