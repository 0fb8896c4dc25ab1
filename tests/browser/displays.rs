//! [OpenID Connect Core §3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest): what `display` names, the one view of
//! the pages fits.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::browser::Browser;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::landing::Landing;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;

use crate::sign_in;

/// What is to be pressed and is lower or narrower than so many pixels. Links within a text are no targets of their own.
fn smaller_than(pixels: u32) -> String {
    format!(
        "return [...document.querySelectorAll('button, input:not([type=hidden]):not([tabindex=\"-1\"]), a.button')]
            .filter(element => element.getClientRects().length > 0)
            .filter(element => {{ const box = element.getBoundingClientRect(); return box.width < {pixels} || box.height < {pixels}; }})
            .map(element => element.outerHTML);"
    )
}

/// Whether a person sees this without scrolling.
fn is_in_view(id: &str) -> String {
    format!(
        "const box = document.getElementById('{id}').getBoundingClientRect();
         return box.top >= 0 && box.bottom <= document.documentElement.clientHeight;"
    )
}

async fn fits(browser: &Browser, (target, in_view): (u32, Option<&str>), what: &str) {
    assert_eq!(browser.overflow().await, 0, "{what}: it is too wide");
    assert_eq!(browser.script(&smaller_than(target)).await, json!([]), "{what}: too small to hit");
    if let Some(id) = in_view {
        assert_eq!(browser.script(&is_in_view(id)).await, json!(true), "{what}: {id} is below the edge");
    }
}

/// A window that pops up shows all of the sign-in at once. Fingers need 44 pixels (WCAG 2.2, 2.5.5). A small telephone may run no scripts.
#[rstest]
#[case::page("page", (1280, 800), 24, Some("submit"))]
#[case::popup("popup", (500, 640), 24, Some("submit"))]
#[case::touch("touch", (390, 844), 44, Some("submit"))]
#[case::wap("wap", (240, 320), 24, None)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_and_consent_fit_what_display_names(
    #[case] display: &str,
    #[case] size: (u32, u32),
    #[case] target: u32,
    #[case] in_view: Option<&str>,
) {
    let server = TestServer::start_on(Sqlite).await;
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert!(metadata["display_values_supported"].as_array().unwrap().contains(&json!(display)));
    let (ada, landing) = (server.admin.user("ada").await, Landing::start().await);
    let shop = json!({ "name": "Test shop", "preset": "web", "redirect_uris": [landing.redirect_uri] });
    let shop = server.admin.client(shop).await;
    let browser = Browser::start().await;
    browser.resize(size).await;
    if display == "wap" {
        browser.disable_scripts().await;
    }
    let request = AuthorizeRequest::of(&shop).with("scope", "openid profile email").with("display", display);
    browser.open(&format!("{}{}", server.issuer, request.path())).await;
    browser.wait_for("login").await;
    fits(&browser, (target, in_view), "the sign-in").await;
    sign_in(&browser, &ada).await;
    browser.wait_for("consent").await;
    fits(&browser, (target, None), "the question").await;
    browser.click("consent-approve").await;
    browser.wait_for("landed").await;
    assert_ne!(landing.callback().code(), "");
    browser.close().await;
}
