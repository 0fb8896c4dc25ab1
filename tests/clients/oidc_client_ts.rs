//! npm's `oidc-client-ts`, in a page of another origin in a real browser.

use std::fs;

use axum::response::{Html, Json};
use axum::routing::get;
use axum::{Router, http::header::CONTENT_TYPE};
use portcullis_tests::browser::Browser;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::features::{laid_out, note_version};
use crate::ground::Ground;

const PACKAGE: &str = "node_modules/oidc-client-ts";

/// A file that `tests/run` has laid out.
fn file(path: &str) -> String {
    fs::read_to_string(laid_out().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages of the application, and where they are served.
async fn application(ground: &Ground) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let document = json!({
        "name": "Foreign page", "preset": "spa", "redirect_uris": [format!("{address}/cb")],
        "post_logout_redirect_uris": [format!("{address}/bye")],
    });
    let client = ground.admin.client(document).await;
    let settings = json!({ "authority": ground.issuer(), "client_id": client.id });
    let page = get(async || Html(file("page/index.html")));
    let script = |path: String| get(async move || ([(CONTENT_TYPE, "text/javascript")], file(&path)));
    let app = Router::new()
        .route("/", page.clone())
        .route("/bye", page.clone())
        .route("/cb", page)
        .route("/oidc-client-ts.min.js", script(format!("{PACKAGE}/dist/browser/oidc-client-ts.min.js")))
        .route("/page.js", script("page/page.js".to_owned()))
        .route("/settings.json", get(async move || Json(settings)));
    // It ends with the runtime of the test.
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Waits for what the page shows, and fails with what it shows instead.
async fn shown(browser: &Browser, id: &str) -> String {
    browser.wait_for("loaded").await;
    let error = if browser.has("error").await { browser.text("error").await } else { String::new() };
    assert_eq!(error, "", "{:?}", browser.complaints().await);
    browser.text(id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_oidc_client_ts_signs_in_renews_and_signs_out() {
    let package: Value = serde_json::from_str(&file(&format!("{PACKAGE}/package.json"))).unwrap();
    note_version(&format!("oidc-client-ts {}", package["version"].as_str().unwrap()));
    let ground = Ground::new("https://orders.example").await;
    let application = application(&ground).await;
    let browser = Browser::start().await;
    browser.open(&application).await;
    browser.wait_for("loaded").await;
    browser.click("sign-in").await;
    browser.fill("username", &ground.person.username).await;
    browser.fill("password", &ground.person.password).await;
    browser.click("submit").await;
    browser.click("consent-approve").await;

    let person = &ground.person;
    let profile = format!("{} {} {}@example.org", person.sub, person.username, person.username);
    assert_eq!(shown(&browser, "signed-in-profile").await, profile);
    let first = shown(&browser, "signed-in-token").await;
    browser.click("renew").await;
    let renewed = browser.text("renewed-profile").await;
    assert_eq!(renewed, profile);
    let second = browser.text("renewed-token").await;
    assert_ne!(first, second);
    assert_eq!(ground.server.machine.userinfo(&second).await.member("sub"), person.sub);

    browser.click("sign-out").await;
    assert_eq!(shown(&browser, "signed-out").await, "nobody");
    assert_eq!(browser.url().await.path(), "/bye");
    // The browser tells of what it cleared when somebody signed out.
    let complaints =
        browser.complaints().await.into_iter().filter(|line| !line.contains("Clear-Site-Data header"));
    assert_eq!(complaints.collect::<Vec<_>>(), Vec::<String>::new());
    browser.click("sign-in").await;
    browser.wait_for("login").await;
    browser.close().await;
}
