//! Request targets: what passes is read the same by whoever decodes and normalises it.

use axum::body::Body;
use http::uri::Uri;
use http::{Request, StatusCode};
use percent_encoding::percent_decode_str;
use url::Url;

use super::service::ask;

/// Request targets, one a line.
pub(crate) fn path(text: &[u8]) {
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(target) = Uri::try_from(line) else { continue };
        if target.path().starts_with('/') {
            check(target.path());
        }
    }
}

/// A path alone: a query can be refused for its own sake.
fn check(path: &str) {
    let (status, answer) = ask(Request::get(path).body(Body::empty()).expect("a request"));
    if status == StatusCode::BAD_REQUEST {
        assert!(!is_harmless(path), "{path}");
        return;
    }
    let own = matches!(path, "/" | "/token" | "/json" | "/declared");
    assert!(own || (status == StatusCode::OK && answer == path), "{path}: {status}");

    let segments: Vec<String> = path.split('/').map(decoded).collect();
    let last = segments.len() - 1;
    for (place, segment) in segments.iter().enumerate() {
        assert!(!matches!(&**segment, "." | ".."), "{path}");
        assert!(!segment.is_empty() || place == 0 || place == last, "{path}");
        assert!(!segment.contains(['/', '\\', ';']) && !segment.contains(char::is_control), "{path}");
        assert_eq!(&decoded(segment), segment, "{path} is encoded twice");
    }
    // As browsers and many a proxy read it.
    let address = Url::parse(&format!("http://service.test{path}")).expect("a path of an address");
    let normalised: Vec<String> = address.path().split('/').map(decoded).collect();
    assert_eq!(normalised, segments, "{path}");
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8().expect("what passes is UTF-8").into_owned()
}

/// Whether there is nothing in a path that anybody could read in two ways.
fn is_harmless(path: &str) -> bool {
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_~:@!$&'()*+,=".contains(&byte))
    };
    path.split('/').skip(1).all(plain)
}
