//! What the service behind the proxy is told of who is calling.
//!
//! Each value is printable ASCII without blanks, commas and semicolons, whatever a token says: the rest is percent-encoded (UTF-8),
//! and so is the sign of percent itself. A comma stands between the items of a list and nowhere else. What there is none of has
//! no header, so the proxy has to take away what the client sent.

use axum::body::Body;
use axum::response::Response;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_guard::{Decision, Principal};

pub(super) const CLIENT: HeaderName = HeaderName::from_static("x-auth-client");
pub(super) const DECISION: HeaderName = HeaderName::from_static("x-auth-decision");
pub(super) const ORGANISATION: HeaderName = HeaderName::from_static("x-auth-organisation");
pub(super) const ROLES: HeaderName = HeaderName::from_static("x-auth-roles");
pub(super) const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");
pub(super) const SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
/// All of them.
pub(super) const NAMES: [HeaderName; 6] = [CLIENT, DECISION, ORGANISATION, ROLES, SCOPES, SUBJECT];

/// What a value is percent-encoded in.
const NOT_PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b'@')
    .remove(b'+')
    .remove(b'=');

/// The answer to a request that the guard let through.
pub(super) fn answer(found: &Extensions) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    if let Some(decision) = found.get::<Decision>() {
        put(headers, DECISION, &decision.id().to_string());
    }
    if let Some(caller) = found.get::<Principal>() {
        put(headers, SUBJECT, &encoded(caller.subject()));
        put(headers, CLIENT, &encoded(caller.client_id()));
        put(headers, ORGANISATION, &encoded(caller.organisation().unwrap_or_default()));
        put(headers, ROLES, &list(caller.roles().iter().map(String::as_str)));
        put(headers, SCOPES, &list(caller.scopes()));
    }
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Some(value) = HeaderValue::from_str(text).ok().filter(|value| !value.is_empty()) {
        headers.insert(name, value);
    }
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.filter(|item| !item.is_empty()).map(encoded).collect::<Vec<_>>().join(",")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NOT_PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_cannot_become_two() {
        for (text, expected) in [
            ("ada", "ada"),
            ("user:ada@acme.example/x", "user:ada@acme.example/x"),
            ("a,b", "a%2Cb"),
            ("a b", "a%20b"),
            ("a;b", "a%3Bb"),
            ("a%2Cb", "a%252Cb"),
            ("a\r\nX-Auth-Roles: owner", "a%0D%0AX-Auth-Roles:%20owner"),
            ("\u{e9}", "%C3%A9"),
            ("\"\\\0", "%22%5C%00"),
        ] {
            assert_eq!(encoded(text), expected);
        }
        assert_eq!(list(["viewer", "", "a,owner"].into_iter()), "viewer,a%2Cowner");
        assert_eq!(list(std::iter::empty()), "");
    }

    #[test]
    fn what_there_is_none_of_has_no_header() {
        assert!(answer(&Extensions::new()).headers().is_empty());
    }

    proptest! {
        #[test]
        fn items_are_told_apart_whatever_they_hold(items in prop::collection::vec(".{1,8}", 0..5)) {
            let text = list(items.iter().map(String::as_str));
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';'));
            prop_assert_eq!(text.split(',').filter(|item| !item.is_empty()).count(), items.len());
        }
    }
}
