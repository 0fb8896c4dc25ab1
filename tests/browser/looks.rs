//! A page from every side: nothing overflows, nothing is blocked, pictures are kept.

use portcullis_tests::browser::{Browser, Look};

/// Looks at the open page from every side.
pub(crate) async fn inspect(browser: &Browser, page: &str) {
    for look in Look::ALL {
        browser.look(look).await;
        browser.shoot(page, look).await;
        assert_eq!(browser.overflow().await, 0, "{page} is too wide: {look:?}");
        let small = browser.script(SMALL_TARGETS).await;
        assert_eq!(small.as_array().map(Vec::len), Some(0), "{page}: too small to hit: {small}");
    }
    let unnamed = browser.script(UNNAMED).await;
    assert_eq!(unnamed.as_array().map(Vec::len), Some(0), "{page}: fields without a label: {unnamed}");
    assert_ne!(browser.script("return document.documentElement.lang").await, "", "{page} has a language");
    assert_ne!(browser.script("return document.title").await, "", "{page} has a title");
    assert_eq!(browser.script("return document.querySelectorAll('h1').length").await, 1, "{page}");
    let complaints: Vec<String> =
        browser.complaints().await.into_iter().filter(|line| !is_status(line)).collect();
    assert_eq!(complaints, Vec::<String>::new(), "{page}");
}

/// Takes pictures of a part of the open page.
pub(crate) async fn look_at(browser: &Browser, part: &str, id: &str) {
    for look in Look::ALL {
        browser.look(look).await;
        browser
            .script(&format!("document.getElementById('{id}').scrollIntoView({{ block: 'center' }})"))
            .await;
        browser.shoot(part, look).await;
    }
}

/// Chromium logs the status of the page itself when it is an error page, and what signing out cleared: both were asked for.
fn is_status(line: &str) -> bool {
    line.contains("Failed to load resource: the server responded with a status of 4")
        || line.contains("Clear-Site-Data header")
}

/// Buttons and fields below the 24 pixels of WCAG 2.2, 2.5.8.
const SMALL_TARGETS: &str = "
    return [...document.querySelectorAll('button, input:not([type=hidden]):not([tabindex=\"-1\"]), a.button')]
        .filter(element => { const box = element.getBoundingClientRect(); return box.width < 24 || box.height < 24; })
        .map(element => element.outerHTML);";

const UNNAMED: &str = "
    return [...document.querySelectorAll('input:not([type=hidden]):not([aria-hidden=true])')]
        .filter(input => input.labels.length === 0 && !input.hasAttribute('aria-label'))
        .map(input => input.outerHTML);";
