//! Whole walks through the pages, with and without JavaScript.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::landing::Landing;
use portcullis_tests::server::{BareServer, TestServer};
use portcullis_tests::service::GuardedService;
use portcullis_tests::visitor::Person;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::sign_in;

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scripts {
    Off,
    On,
}
use Scripts::{Off, On};

pub(crate) async fn browser(scripts: Scripts) -> Browser {
    let browser = Browser::start().await;
    if scripts == Off {
        browser.disable_scripts().await;
    }
    browser
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_allows_and_lands_at_the_application(#[values(On, Off)] scripts: Scripts) {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let landing = Landing::start().await;
    let document = json!({ "name": "Test app", "preset": "native", "redirect_uris": [landing.redirect_uri] });
    let app = server.admin.client(document).await;
    let request = AuthorizeRequest::of(&app).with("scope", "openid email");
    let browser = browser(scripts).await;
    browser.open(&format!("{}{}", server.issuer, request.path())).await;
    sign_in(&browser, &ada).await;
    assert_eq!(browser.text("redirect-host").await, "127.0.0.1");
    browser.click("consent-approve").await;
    browser.wait_for("landed").await;
    let callback = landing.callback();
    assert_eq!(callback.get("state"), request.get("state"));
    let tokens = server.machine.redeem(&app, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    // The application where the flow ends is the test's own and has no icon.
    let complaints = browser.complaints().await.into_iter().filter(|line| !line.contains("/favicon.ico"));
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<String>::new());
    browser.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_the_right_one_opens(#[values(On, Off)] scripts: Scripts) {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let browser = browser(scripts).await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &Person { password: "not the password".to_owned(), ..ada.clone() }).await;
    browser.wait_for("error-summary").await;
    assert_eq!(browser.value("username").await, "ada");
    if scripts == On {
        assert_eq!(browser.focused().await, "error-summary", "a screen reader hears what went wrong");
    }
    sign_in(&browser, &ada).await;
    assert_eq!(browser.text("signed-in-as").await, "ada of the tests");
    browser.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_administrator_is_made_by_the_printed_link(#[values(On, Off)] scripts: Scripts) {
    let server = BareServer::start_on(Sqlite).await;
    let code = server.setup_code().await;
    let browser = browser(scripts).await;
    browser.open(&format!("{}/setup#k={}", server.issuer, code)).await;
    browser.wait_for("setup").await;
    if scripts == On {
        assert_eq!(browser.value("code").await, code, "the code moves from the link into the form");
        assert_eq!(browser.url().await.fragment(), None, "and out of the address");
    } else {
        browser.fill("code", &code).await;
    }
    browser.fill("username", "root").await;
    browser.fill("new-password", "a password for the first one").await;
    browser.click("submit").await;
    browser.wait_for("login").await;
    browser.fill("username", "root").await;
    browser.fill("password", "a password for the first one").await;
    browser.click("submit").await;
    assert_eq!(browser.text("signed-in-as").await, "root");
    browser.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_changes_the_password_and_signs_out(#[values(On, Off)] scripts: Scripts) {
    let server = TestServer::start_on(Sqlite).await;
    let ada = server.admin.user("ada").await;
    let browser = browser(scripts).await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &ada).await;
    browser.click("change-password").await;
    browser.wait_for("change-password-form").await;
    browser.fill("password", &ada.password).await;
    browser.fill("new-password", "umbrella walnut fortnight").await;
    browser.click("submit").await;
    browser.wait_for("notice").await;
    browser.click("sign-out").await;
    browser.wait_for("sign-in-again").await;
    browser.open(&format!("{}/account", server.issuer)).await;
    browser.wait_for("login").await;
    sign_in(&browser, &Person { password: "umbrella walnut fortnight".to_owned(), ..ada }).await;
    browser.wait_for("sign-out").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_is_shown_on_request_and_hidden_again() {
    let server = TestServer::start_on(Sqlite).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    browser.fill("password", "abc").await;
    assert_eq!(browser.attribute("password", "type").await, "password");
    browser.script("document.querySelector('button[aria-controls=password]').click()").await;
    assert_eq!(browser.attribute("password", "type").await, "text");
    let pressed =
        "return document.querySelector('button[aria-controls=password]').getAttribute('aria-pressed')";
    assert_eq!(browser.script(pressed).await, "true");
    browser.script("document.querySelector('button[aria-controls=password]').click()").await;
    assert_eq!(browser.attribute("password", "type").await, "password");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_managers_recognise_the_fields() {
    let server = TestServer::start_on(Sqlite).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/login", server.issuer)).await;
    assert!(browser.attribute("username", "autocomplete").await.contains("username"));
    assert_eq!(browser.attribute("password", "autocomplete").await, "current-password");
    let same_form =
        "return document.getElementById('username').form === document.getElementById('password').form";
    assert_eq!(browser.script(same_form).await, true);
    browser.close().await;
}

/// From the sign-in to another answer of a guarded service, as an administrator goes.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_takes_a_rule_away_and_the_service_refuses(#[values(On, Off)] scripts: Scripts) {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    let machine = server.admin.machine_client(&[&orders]).await;
    server.admin.assign(&orders, "viewer", &machine.id).await;
    let guard = server.admin.guard_client(&orders).await;
    let service = GuardedService::start(&server.issuer, &orders.audience, &guard).await;
    let token = server.machine.client_credentials(&machine, &orders.audience).await.member("access_token");
    assert_eq!(service.get("/orders", Some(&token)).await.status, 200);

    let owner = server.admin.administrator("owner").await;
    let browser = browser(scripts).await;
    browser.open(&server.issuer).await;
    sign_in(&browser, &owner).await;
    browser.click("rules").await;
    browser.wait_for("rulebooks").await;
    browser.click_link(&orders.audience).await;
    browser.wait_for("policies").await;
    let rules = browser.value("rules").await;
    let removed = "p, viewer, *, *, read\n";
    assert!(rules.contains(removed), "{rules}");
    browser.fill("rules", &rules.replace(removed, "")).await;
    browser.fill("message", "Nobody reads any more").await;
    browser.click("policy-activate").await;
    assert_eq!(browser.text("notice").await, "Revision 2 is active now.");
    assert!(!browser.value("rules").await.contains(removed));
    service.refresh_policy().await;
    assert_eq!(service.get("/orders", Some(&token)).await.status, 403, "the same token");
    browser.click("to-rulebooks").await;
    browser.click("to-account").await;
    browser.wait_for("sign-out").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

/// The numbers beside the text are the script's; the line itself is in the report without it.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_leads_to_the_line_that_it_is_about(#[values(On, Off)] scripts: Scripts) {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    let owner = server.admin.administrator("owner").await;
    let browser = browser(scripts).await;
    browser.open(&format!("{}/login", server.issuer)).await;
    sign_in(&browser, &owner).await;
    browser.wait_for("rules").await;
    browser.open(&format!("{}/admin/policies/{}", server.issuer, orders.id)).await;
    browser.fill("rules", "# orders\np, viewer, *, orders, read, alow\n").await;
    browser.click("policy-check").await;
    browser.wait_for("report").await;
    assert!(browser.text("report").await.contains("p, viewer, *, orders, read, alow"));
    browser.click_link("2").await;
    if scripts == On {
        assert_eq!(browser.focused().await, "rules");
        let chosen = "const text = document.getElementById('rules');
                      return text.value.slice(text.selectionStart, text.selectionEnd)";
        assert_eq!(browser.script(chosen).await, "alow");
        let numbers = "return document.querySelector('.ruler').textContent";
        assert_eq!(browser.script(numbers).await, "1\n2\n3");
    } else {
        assert_eq!(browser.url().await.fragment(), Some("rules"));
        assert!(!browser.source().await.contains("class=\"ruler\""));
    }
    let loud = browser.complaints().await.into_iter().filter(|line| !line.contains("status of 4"));
    assert_eq!(loud.collect::<Vec<_>>(), Vec::<String>::new());
    browser.close().await;
}

/// From the sign-in to the rules of yesterday, and to a decision about somebody else's.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approver_brings_a_revision_back_and_approves_another(#[values(On, Off)] scripts: Scripts) {
    let server = TestServer::start_on(Sqlite).await;
    let orders = server.admin.api("https://orders.test").await;
    server.admin.activate(&orders, "p, viewer, *, orders, read\n").await;
    let approver = server.admin.administrator("policy-approver").await;
    let browser = browser(scripts).await;
    browser.open(&format!("{}/admin/policies/{}/history", server.issuer, orders.id)).await;
    sign_in(&browser, &approver).await;
    browser.click("revision-1").await;
    browser.fill("message", "Viewers see less than they should").await;
    browser.click("revision-restore").await;
    assert!(browser.text("notice").await.contains("Revision 3 is active now."));

    let path = format!("/apis/{}", orders.id);
    let settings = json!({ "name": "Orders", "access_token_ttl_secs": 300, "four_eyes": true });
    let change = server.admin.request(Method::PUT, &path).await.header("if-match", "*");
    assert_eq!(Answer::to(change.json(&settings)).await.status, 200);
    let asked = server.admin.activation(&orders, "p, viewer, *, orders, write\n").await;
    let at = server.clock.now().plus(Duration::from_hours(1)).rfc3339();
    let asked = Answer::to(asked.json(&json!({ "message": "Viewers write", "activate_at": at }))).await;
    assert_eq!(asked.status, 202, "{}", asked.text());
    browser.click("to-activation").await;
    browser.click("approve").await;
    assert!(browser.text("notice").await.contains("It is approved"));
    assert!(browser.text("approval").await.contains("policy-approver-person"));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}
