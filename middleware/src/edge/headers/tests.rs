use super::*;
use crate::entropy::Entropy;
use http::{Extensions, HeaderMap};

fn written(rules: &SecurityHeaders, own: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers: HeaderMap = own
        .iter()
        .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    rules.rules().unwrap().write(&mut headers, None);
    headers
}

#[test]
fn an_answer_of_an_api_may_do_nothing_in_a_browser() {
    let headers = written(&SecurityHeaders::api(), &[]);
    for (name, value) in [
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(headers[name], value);
    }
    assert_eq!(headers.len(), 6, "and no promise of TLS: {headers:?}");
}

#[test]
fn a_handler_can_narrow_and_cannot_widen() {
    let api =
        SecurityHeaders::api().resource(ResourcePolicy::SameSite).referrer(ReferrerPolicy::StrictOrigin);
    let table = [
        ("x-content-type-options", "none", "nosniff"),
        ("x-frame-options", "ALLOWALL", "DENY"),
        ("cross-origin-resource-policy", "same-origin", "same-origin"),
        ("cross-origin-resource-policy", "cross-origin", "same-site"),
        ("cross-origin-resource-policy", "nonsense", "same-site"),
        ("referrer-policy", "no-referrer", "no-referrer"),
        ("referrer-policy", "unsafe-url", "strict-origin"),
        ("referrer-policy", "no-referrer, unsafe-url", "strict-origin"),
        ("cache-control", "public, max-age=60", "public, max-age=60"),
    ];
    for (name, own, result) in table {
        let headers = written(&api, &[(name, own)]);
        assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [result], "{name}: {own}");
    }
    let two = [("referrer-policy", "no-referrer"), ("referrer-policy", "unsafe-url")];
    assert_eq!(written(&api, &two)["referrer-policy"], "strict-origin", "a browser takes the last one");
    let headers = written(&api, &[("content-security-policy", "default-src *")]);
    let policies: Vec<_> = headers.get_all("content-security-policy").iter().collect();
    assert_eq!(policies, ["default-src *", "default-src 'none'; frame-ancestors 'none'"], "both hold");
    let told = [("server", "nginx/1.2"), ("x-powered-by", "PHP")];
    let headers = written(&api, &told);
    assert!(!headers.contains_key("server") && !headers.contains_key("x-powered-by"));
}

#[test]
fn a_page_without_a_nonce_may_be_stored_and_one_with_it_never() {
    let rules = SecurityHeaders::html().rules().unwrap();
    let source = rules.nonce(&Entropy::system()).unwrap();
    let cached =
        HeaderMap::from_iter([(http::header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"))]);
    let mut headers = cached.clone();
    rules.write(&mut headers, Some(&source));
    assert_eq!(headers["cache-control"], "max-age=60");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'none'") && !policy.contains("nonce"), "{policy}");

    let mut extensions = Extensions::new();
    extensions.insert(source.clone());
    let nonce = CspNonce::of(&extensions).unwrap();
    let mut headers = cached;
    rules.write(&mut headers, Some(&source));
    assert_eq!(headers["cache-control"], "no-store");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains(&format!("script-src 'nonce-{nonce}' 'strict-dynamic'")), "{policy}");
    assert!(SecurityHeaders::api().rules().unwrap().nonce(&Entropy::system()).is_none());
}

#[test]
fn a_page_shares_nothing_unless_it_is_declared() {
    let strict = written(&SecurityHeaders::html(), &[]);
    assert_eq!(strict["cross-origin-opener-policy"], "same-origin");
    assert_eq!(strict["referrer-policy"], "same-origin");
    assert!(!strict.contains_key("cross-origin-embedder-policy"));
    let features = strict["permissions-policy"].to_str().unwrap();
    assert!(features.contains("camera=()") && features.contains("microphone=()"), "{features}");
    let open = SecurityHeaders::html()
        .opener(OpenerPolicy::SameOriginAllowPopups)
        .embedder(EmbedderPolicy::RequireCorp)
        .allow_feature("camera")
        .directive("frame-ancestors", ["'self'"])
        .trusted_types(["default", "markdown"])
        .hsts_with_subdomains(Duration::from_hours(24));
    let open = written(&open, &[]);
    assert_eq!(open["cross-origin-opener-policy"], "same-origin-allow-popups");
    assert_eq!(open["cross-origin-embedder-policy"], "require-corp");
    assert_eq!(open["x-frame-options"], "SAMEORIGIN");
    assert_eq!(open["strict-transport-security"], "max-age=86400; includeSubDomains");
    assert!(open["permissions-policy"].to_str().unwrap().contains("camera=(self), "));
    let policy = open["content-security-policy"].to_str().unwrap();
    assert!(policy.ends_with(
        "; frame-ancestors 'self'; require-trusted-types-for 'script'; trusted-types default markdown"
    ));
    let framed = SecurityHeaders::html().directive("frame-ancestors", ["https://a.example"]);
    assert!(!written(&framed, &[]).contains_key("x-frame-options"), "it could not say so");
}

#[test]
fn headers_that_would_not_protect_are_an_error() {
    let faults = [
        SecurityHeaders::html().directive("script-src", ["'unsafe-inline'"]),
        SecurityHeaders::html().directive("scripts", ["'self'"]).directive("img-src", ["'self'"]),
        SecurityHeaders::html().danger_directive("style-src", ["a; script-src *"]),
        SecurityHeaders::html().trusted_types(["a b"]),
        SecurityHeaders::html().allow_feature("telepathy"),
        SecurityHeaders::api().allow_feature("camera"),
    ];
    for headers in faults {
        assert!(headers.build().is_err(), "{headers:?}");
    }
    SecurityHeaders::html().danger_directive("style-src", ["'unsafe-inline'"]).build().unwrap();
    let error = SecurityHeaders::html().directive("script-src", ["*"]).build().unwrap_err();
    assert_eq!(error.to_string(), "in the content security policy, `*` is wider than this directive may be");
    let none = SecurityHeaders::html().trusted_types([] as [&str; 0]);
    assert!(
        written(&none, &[])["content-security-policy"].to_str().unwrap().ends_with("trusted-types 'none'")
    );
}
