//! Tokens in a cookie, and pages of others that would like to use them.

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{HeaderMap, Request, StatusCode};
use portcullis_guard::{
    BuildError, CookieTokens, Csrf, Dpop, GuardBuilder, GuardExt, GuardedRouter, OptionalPrincipal,
    Principal, SecurityHeaders, authenticated, optional, public, rbac,
};
use serde_json::json;

use crate::bound::{bound_token, proof};
use crate::service::{Answer, guard_of, send};
use crate::signer::Signer;

const OWN: &str = "https://shop.example.com";
const EVIL: &str = "https://evil.example";

fn with_cookies(guard: GuardBuilder) -> GuardBuilder {
    guard.cookie_tokens(CookieTokens::named("__Host-shop")).csrf(Csrf::origins([OWN]))
}

async fn app(guard: GuardBuilder) -> Router {
    let guard = guard.build().await.unwrap();
    let name = async |OptionalPrincipal(who): OptionalPrincipal| {
        who.map_or_else(|| "nobody".to_owned(), |who| who.subject().to_owned())
    };
    let cached = async |_: Principal| ([("cache-control", "public, max-age=60")], "cached");
    let seen = async |headers: HeaderMap| headers.contains_key("cookie").to_string();
    GuardedRouter::new()
        .route("/me", get(name).post(name).delete(name).guard(authenticated()))
        .route("/maybe", get(name).post(name).guard(optional()))
        .route("/open", get(name).post(name).guard(public()))
        .route("/orders", get(name).guard(rbac("orders", "read")))
        .route("/cached", get(cached).guard(authenticated()))
        .route("/hook", post(name).guard(authenticated()).without_cookies())
        .route("/paid", post(seen).guard(public()).without_cookies())
        .guarded_by(&guard)
}

async fn ask(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(app, request.body(Body::empty()).unwrap()).await
}

fn cookie(token: &str) -> String {
    format!("theme=dark; __Host-shop={token}; x=1")
}

#[tokio::test]
async fn a_page_of_the_service_acts_for_its_user() {
    let signer = Signer::es256("a");
    let app = app(with_cookies(guard_of(&signer))).await;
    let cookie = cookie(&signer.token(&json!({})));
    let cookie = ("cookie", cookie.as_str());
    for (method, headers) in [
        ("GET", &[cookie][..]),
        ("GET", &[cookie, ("sec-fetch-site", "cross-site")]),
        ("POST", &[cookie, ("sec-fetch-site", "same-origin"), ("origin", OWN)]),
        ("DELETE", &[cookie, ("sec-fetch-site", "same-origin")]),
        ("POST", &[cookie, ("origin", OWN)]),
        ("GET", &[cookie, ("upgrade", "websocket"), ("origin", OWN)]),
    ] {
        let answer = ask(&app, method, "/me", headers).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "alice"), "{method} {headers:?}");
    }
}

// AD-09
#[tokio::test]
async fn a_page_of_somebody_else_does_not() {
    let signer = Signer::es256("a");
    let app = app(with_cookies(guard_of(&signer)).headers(SecurityHeaders::api())).await;
    let cookie = cookie(&signer.token(&json!({})));
    let cookie = ("cookie", cookie.as_str());
    for headers in [
        &[cookie, ("sec-fetch-site", "cross-site"), ("origin", EVIL)][..],
        &[cookie, ("sec-fetch-site", "same-site"), ("origin", "https://blog.example.com")],
        &[cookie, ("sec-fetch-site", "none")],
        &[cookie, ("sec-fetch-site", "same-origin"), ("origin", EVIL)],
        &[cookie, ("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[cookie, ("origin", EVIL)],
        &[cookie, ("origin", "null")],
        &[cookie],
        // No cookie of ours, and still a page of somebody else.
        &[("sec-fetch-site", "cross-site"), ("origin", EVIL)],
        // What a browser sends of its own accord is no token.
        &[cookie, ("authorization", "Basic YTpi"), ("origin", EVIL)],
    ] {
        for path in ["/me", "/maybe", "/open"] {
            let answer = ask(&app, "POST", path, headers).await;
            let told = (answer.status, answer.code());
            assert_eq!(told, (StatusCode::FORBIDDEN, "cross_site".to_owned()), "{path} {headers:?}");
            assert_eq!(answer.header("cache-control").rsplit(", ").next(), Some("no-store"));
            assert_eq!(answer.header("x-frame-options"), "DENY");
        }
    }
    for headers in
        [&[cookie, ("upgrade", "websocket"), ("origin", EVIL)][..], &[cookie, ("upgrade", "websocket")]]
    {
        assert_eq!(ask(&app, "GET", "/me", headers).await.code(), "cross_site", "{headers:?}");
    }
}

#[tokio::test]
async fn who_has_a_token_in_the_header_is_not_asked_where_they_come_from() {
    let signer = Signer::es256("a");
    let app = app(with_cookies(guard_of(&signer))).await;
    let bearer = format!("Bearer {}", signer.token(&json!({})));
    for origin in [EVIL, "null"] {
        let headers =
            [("authorization", bearer.as_str()), ("origin", origin), ("sec-fetch-site", "cross-site")];
        assert_eq!(ask(&app, "POST", "/me", &headers).await.body, "alice");
    }
    let unread = |more: &[(&'static str, &'static str)]| {
        [&[("authorization", "Bearer x"), ("origin", EVIL), ("sec-fetch-site", "cross-site")], more].concat()
    };
    assert_eq!(ask(&app, "POST", "/open", &unread(&[])).await.body, "nobody");
    assert_eq!(ask(&app, "POST", "/open", &unread(&[("cookie", "own=1")])).await.code(), "cross_site");
    // No proofs are declared, so nobody looks at such a token.
    let unknown = [("authorization", "DPoP x"), ("origin", EVIL), ("cookie", "own=1")];
    assert_eq!(ask(&app, "POST", "/maybe", &unknown).await.code(), "cross_site");
    assert_eq!(ask(&app, "POST", "/open", &[]).await.body, "nobody", "a machine without a cookie");
    assert_eq!(ask(&app, "POST", "/me", &[]).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_request_has_one_token_and_one_cookie_of_it() {
    let signer = Signer::es256("a");
    let app = app(with_cookies(guard_of(&signer))).await;
    let (alice, bob) = (signer.token(&json!({})), signer.token(&json!({ "sub": "bob" })));
    let (bearer, cookie) = (format!("Bearer {alice}"), cookie(&alice));
    let twice = format!("__Host-shop={alice}; __Host-shop={bob}");
    let other = format!("__Host-shop={bob}");
    for headers in [
        &[("authorization", bearer.as_str()), ("cookie", cookie.as_str())][..],
        &[("cookie", twice.as_str())],
        &[("cookie", cookie.as_str()), ("cookie", other.as_str())],
    ] {
        let answer = ask(&app, "GET", "/me", headers).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "invalid_request"));
        assert!(answer.header("www-authenticate").contains("invalid_request"));
    }
    for value in ["__Host-shop=", "__Host-shop=\"a.b.c\"", "__Host-shop=a.b.c"] {
        for path in ["/me", "/maybe"] {
            let answer = ask(&app, "GET", path, &[("cookie", value)]).await;
            assert_eq!(answer.code(), "invalid_token", "{path} {value}");
        }
    }
    let renamed = format!("__host-shop={alice}; shop={alice}; __Secure-shop={alice}");
    assert_eq!(ask(&app, "GET", "/me", &[("cookie", &renamed)]).await.code(), "unauthenticated");
    assert_eq!(ask(&app, "GET", "/maybe", &[("cookie", &renamed)]).await.body, "nobody");
    // Without a policy, the token is good and the rule is not.
    assert_eq!(ask(&app, "GET", "/orders", &[("cookie", &cookie)]).await.code(), "forbidden");
}

#[tokio::test]
async fn a_route_without_cookies_is_opened_by_a_header_only() {
    let signer = Signer::es256("a");
    let app = app(with_cookies(guard_of(&signer))).await;
    let token = signer.token(&json!({}));
    let (bearer, cookie) = (format!("Bearer {token}"), cookie(&token));
    let cross = [("sec-fetch-site", "cross-site"), ("origin", EVIL)];
    let with = |extra: &[(&'static str, &str)]| -> Vec<(String, String)> {
        cross.iter().chain(extra).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    for (path, headers, status) in [
        ("/hook", with(&[("cookie", &cookie)]), 401),
        ("/hook", with(&[("authorization", &bearer)]), 200),
        ("/hook", with(&[("authorization", &bearer), ("cookie", &cookie)]), 200),
        ("/paid", with(&[("cookie", &cookie)]), 200),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = ask(&app, "POST", path, &headers).await;
        assert_eq!(answer.status, status, "{path} {headers:?}");
        assert!(!answer.headers.contains_key("vary"), "nothing depends on a cookie");
        assert_eq!(answer.body == "false", path == "/paid", "the handler sees none: {answer:?}");
    }
}

#[tokio::test]
async fn caches_are_told_that_an_answer_is_one_users_own() {
    let signer = Signer::es256("a");
    let app = app(with_cookies(guard_of(&signer))).await;
    let token = signer.token(&json!({}));
    let (cookie, bearer) = (cookie(&token), format!("Bearer {token}"));
    for (path, headers, vary, cache) in [
        ("/cached", ("cookie", &cookie), "cookie", "private, max-age=60"),
        ("/cached", ("authorization", &bearer), "cookie", "public, max-age=60"),
        ("/maybe", ("cookie", &cookie), "cookie", "no-store"),
        ("/maybe", ("x", &bearer), "cookie", ""),
        ("/open", ("cookie", &cookie), "", ""),
    ] {
        let answer = ask(&app, "GET", path, &[(headers.0, headers.1)]).await;
        assert_eq!(
            (answer.header("vary"), answer.header("cache-control")),
            (vary, cache),
            "{path} {headers:?}"
        );
    }
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_needs_its_proof_in_a_cookie_too() {
    let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
    let app = app(with_cookies(guard_of(&issuer)).dpop(Dpop::new())).await;
    let token = bound_token(&issuer, &key);
    let cookie = cookie(&token);
    let proof = proof(&key, &token, &json!({}), &json!({}));
    let other = crate::bound::proof(&Signer::es256("o"), &token, &json!({ "jti": "o" }), &json!({}));
    let me = async |headers: &[(&str, &str)]| ask(&app, "GET", "/me", headers).await;
    assert_eq!(me(&[("cookie", &cookie)]).await.code(), "invalid_token");
    assert_eq!(me(&[("cookie", &cookie), ("dpop", &other)]).await.code(), "invalid_token");
    assert_eq!(me(&[("cookie", &cookie), ("dpop", &proof)]).await.status, StatusCode::OK);
    assert_eq!(me(&[("cookie", &cookie), ("dpop", &proof)]).await.code(), "invalid_dpop_proof", "a replay");
    let plain = format!("__Host-shop={}", issuer.token(&json!({})));
    assert_eq!(me(&[("cookie", &plain)]).await.status, StatusCode::OK);
    assert_eq!(me(&[("cookie", &plain), ("dpop", &proof)]).await.code(), "invalid_token", "bound to nothing");
}

#[tokio::test]
async fn proofs_that_are_required_are_required_of_cookies() {
    let issuer = Signer::es256("a");
    let app = app(with_cookies(guard_of(&issuer)).dpop(Dpop::new().required())).await;
    let plain = format!("__Host-shop={}", issuer.token(&json!({})));
    assert_eq!(ask(&app, "GET", "/me", &[("cookie", &plain)]).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_a_word_about_pages_there_are_no_cookies() {
    let signer = Signer::es256("a");
    let cookie = || CookieTokens::named("__Host-shop");
    let error = guard_of(&signer).cookie_tokens(cookie()).build().await.unwrap_err();
    assert!(matches!(error, BuildError::CookieWithoutCsrf), "{error}");
    let named = guard_of(&signer).cookie_tokens(CookieTokens::named("shop")).csrf(Csrf::origins([OWN]));
    assert!(matches!(named.build().await.unwrap_err(), BuildError::Cookie(_)));
    let nobody = guard_of(&signer).cookie_tokens(cookie()).csrf(Csrf::origins(["https://shop.example.com/"]));
    assert!(matches!(nobody.build().await.unwrap_err(), BuildError::Csrf(_)));
    // What is not declared is not looked at, and pages alone can be.
    let token = signer.token(&json!({}));
    let app = app(guard_of(&signer).csrf(Csrf::origins([OWN]))).await;
    let cookies = format!("__Host-shop={token}");
    assert_eq!(ask(&app, "GET", "/me", &[("cookie", &cookies)]).await.code(), "unauthenticated");
    assert_eq!(ask(&app, "POST", "/open", &[("origin", EVIL)]).await.code(), "cross_site");
}
