//! HTML of strangers, as a browser takes it once it is cleaned.

use axum::Router;
use axum::response::Html as Page;
use axum::routing::get;
use portcullis_guard::{Html, HtmlCleaner};
use portcullis_tests::browser::Browser;
use serde_json::{Value, json};

use crate::evasions::EVASIONS;
use crate::vectors;

/// Puts texts into the page one after the other, and waits for what they would load.
const INSERT: &str = "
    const hits = window.hits = [];
    for (const name of ['alert', 'confirm', 'prompt', 'open', 'eval']) window[name] = () => hits.push(name);
    document.body.replaceChildren();
    for (const text of TEXTS) {
        const place = document.createElement('div');
        place.innerHTML = text;
        document.body.append(place);
    }
    setTimeout(() => {
        const done = document.createElement('p');
        done.id = 'done';
        document.body.append(done);
    }, 500);";

/// What ran; and of each place what should not be there, and what a browser would make of it if it wrote it down and read it again.
const FOUND: &str = "
    const odd = [];
    for (const place of document.querySelectorAll('body > div')) {
        for (const element of place.querySelectorAll('*')) {
            const runs = [...element.attributes].some(({ name, value }) =>
                name.startsWith('on') || name === 'style' || ['action', 'cite', 'formaction', 'href', 'src'].includes(name)
                    && /^[\\u0000-\\u0020]*(javascript|data|vbscript):/i.test(value));
            const isOdd = element.namespaceURI !== 'http://www.w3.org/1999/xhtml' ||
                element.matches('script, style, iframe, object, embed, form, input, link, meta, base, template, noscript');
            if (runs || isOdd) odd.push(element.outerHTML);
        }
        const again = document.createElement('div');
        again.innerHTML = place.innerHTML;
        if (!again.isEqualNode(place)) odd.push(place.innerHTML);
    }
    return { hits: window.hits, odd };";

/// In a page of their own each time: what those before load late is none of theirs.
async fn came_of((browser, url): (&Browser, &str), texts: &[String]) -> Value {
    browser.open(url).await;
    browser.script(&INSERT.replace("TEXTS", &json!(texts).to_string().replace('/', "\\/"))).await;
    browser.wait_for("done").await;
    browser.script(FOUND).await
}

/// Ways around filters, and the texts that another sanitizer is tried with. Those are with the data of others: where they have to be and
/// are not, nothing comes this far.
fn payloads() -> Vec<String> {
    let others = vectors::document("dompurify/expect.json").unwrap_or_default();
    let others = others.as_array().into_iter().flatten().filter_map(|case| case["payload"].as_str());
    EVASIONS.into_iter().chain(others).map(str::to_owned).collect()
}

fn cleaners() -> [HtmlCleaner; 3] {
    let every = ["align", "alt", "cite", "class", "dir", "height", "href", "lang", "src", "title", "width"];
    let custom = Html::custom().element("a", every).element("img", every).element("table", every);
    [Html::inline(), Html::rich(), custom].map(|profile| profile.cleaner().expect("a profile"))
}

// XS-05
#[tokio::test]
async fn what_is_cleaned_runs_nothing_in_a_browser() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("a bound address"));
    let app = Router::new().route("/", get(async || Page("<!doctype html><title>blank</title><body>")));
    let served = tokio::spawn(async move { axum::serve(listener, app).await });
    let browser = Browser::start().await;

    let hostile = vec!["<img src=x onerror=alert(1)><svg onload=alert(2)>".to_owned()];
    let found = came_of((&browser, &url), &hostile).await;
    assert_eq!(found["odd"].as_array().map(Vec::len), Some(2), "nothing would be found otherwise: {found}");
    assert!(found["hits"].as_array().is_some_and(|hits| !hits.is_empty()), "{found}");

    let payloads = payloads();
    let cleaners = cleaners();
    let clean = |text: &String| cleaners.iter().map(|cleaner| cleaner.clean(text)).collect::<Vec<_>>();
    // What is refused for its length comes to no browser.
    let texts: Vec<String> =
        payloads.iter().flat_map(clean).flatten().map(portcullis_guard::SafeHtml::into_string).collect();
    assert!(texts.len() > 200, "{}", texts.len());
    for some in texts.chunks(100) {
        assert_eq!(came_of((&browser, &url), some).await, json!({ "hits": [], "odd": [] }));
    }
    served.abort();
}
