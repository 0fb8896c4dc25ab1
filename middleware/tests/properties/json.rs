//! JSON bodies: what passes has one reading, and changes only where it was declared.

use axum::body::{Body, Bytes};
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};

use super::document::Document;
use super::service::ask;

/// A body: it passes if a second, slow reading takes it, byte for byte; and where fields are declared, every other byte does.
pub(crate) fn json(body: &[u8]) {
    let expected = body.is_empty() || Document::read(body).is_some();
    let passed = sent("/json", body);
    assert_eq!(passed.is_some(), expected, "{}", body.escape_ascii());
    if let Some(passed) = passed {
        assert_eq!(passed, body);
    }
    let Some(changed) = sent("/declared", body).filter(|_| !body.is_empty()) else { return };
    let after = Document::read(&changed).expect("what is changed is JSON as well");
    // Only a character that is taken out where it was declared can make the difference.
    if let Some(before) = Document::read(body) {
        compare(&before, &after);
    }
    assert_eq!(sent("/declared", &changed).as_ref(), Some(&changed), "what was cleaned is clean");
}

fn compare(before: &Document<'_>, after: &Document<'_>) {
    assert_eq!(before.gaps(), after.gaps());
    for (old, new) in before.leaves.iter().zip(&after.leaves) {
        assert_eq!(old.path, new.path);
        let [before, after] = [before.raw(old), after.raw(new)];
        let may_change = is_declared(&old.path) && [before, after].iter().all(|raw| raw.starts_with('"'));
        assert!(may_change || before == after, "{:?}: {before} {after}", old.path);
    }
}

fn is_declared(path: &[String]) -> bool {
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    matches!(path[..], ["html" | "line"] | ["list", _])
}

fn sent(route: &str, body: &[u8]) -> Option<Bytes> {
    let request = Request::post(route).header(CONTENT_TYPE, "application/json");
    let (status, answer) = ask(request.body(Body::from(body.to_vec())).expect("a request"));
    assert!(status == StatusCode::OK || status.is_client_error(), "{status}");
    (status == StatusCode::OK).then_some(answer)
}

/// Without a body that is changed, nothing would be shown by what stays the same.
#[cfg(test)]
#[test]
fn a_body_is_changed_where_it_was_declared() {
    let body = br#"{ "html":"<p onclick=x>a", "n": 0.10 , "line":" a "} "#;
    let changed = sent("/declared", body).expect("it passes");
    assert_eq!(changed, &br#"{ "html":"<p>a</p>", "n": 0.10 , "line":"a"} "#[..]);
}
