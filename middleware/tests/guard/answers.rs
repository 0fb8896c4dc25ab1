//! What the issuer says of a token, and whether it is enough.

use http::StatusCode;
use portcullis_guard::Introspection;
use serde_json::{Value, json};

use crate::introspection::Setup;
use crate::issuer::Answer;
use crate::signer::NOW;

#[tokio::test]
async fn a_token_that_is_not_active_or_not_for_this_service_is_401() {
    let setup = Setup::new().await;
    setup.assert_refused("opaque-unknown", "nobody knows it").await;
    for (number, wrong) in [
        json!({ "active": false }),
        json!({ "aud": "https://other.test" }),
        json!({ "aud": [] }),
        json!({ "aud": 1 }),
        json!({ "aud": null }),
        json!({ "iss": "https://evil.test" }),
        json!({ "iss": 1 }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "client_id": null }),
        json!({ "exp": null }),
        json!({ "exp": "tomorrow" }),
        json!({ "exp": NOW + 90_000 }),
        json!({ "iat": null }),
        json!({ "iat": NOW + 31 }),
        json!({ "nbf": NOW + 31 }),
        json!({ "scope": ["orders:read"] }),
        json!({ "roles": "admin" }),
        json!({ "jti": "" }),
        json!({ "jti": 7 }),
        json!({ "cnf": "x" }),
        json!({ "cnf": {} }),
    ]
    .iter()
    .enumerate()
    {
        let token = setup.token(&format!("opaque-{number}"), wrong);
        setup.assert_refused(&token, &wrong.to_string()).await;
    }
    let expired = setup.token("old", &json!({ "iat": NOW - 300, "exp": NOW - 31 }));
    let answer = setup.get("/me", &expired).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.body.contains("has expired"), "{answer:?}");
}

// RFC 7009 and RFC 7662 speak of refresh tokens as well: being active is not being an access token.
#[tokio::test]
async fn what_is_active_and_no_access_token_is_401() {
    let setup = Setup::new().await;
    for (number, wrong) in [
        json!({ "token_type": null }),
        json!({ "token_type": "refresh_token" }),
        json!({ "token_type": "N_A" }),
        json!({ "token_type": 1 }),
        json!({ "typ": "Refresh" }),
        json!({ "typ": "Offline" }),
        json!({ "typ": "ID" }),
        json!({ "typ": "JWT" }),
        json!({ "token_use": "refresh_token" }),
        json!({ "token_use": "id" }),
    ]
    .iter()
    .enumerate()
    {
        let token = setup.token(&format!("opaque-{number}"), wrong);
        setup.assert_refused(&token, &wrong.to_string()).await;
    }
    for (number, fine) in [
        json!({ "token_type": "bearer" }),
        json!({ "typ": "Bearer" }),
        json!({ "typ": "at+jwt", "token_use": "access_token" }),
        json!({ "token_use": "access" }),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(setup.status(&setup.token(&format!("fine-{number}"), fine)).await, 200, "{fine}");
    }
}

// RFC 9449 §6.2: the key is in the answer. Without it nobody could be asked for a proof.
#[tokio::test]
async fn what_is_called_bound_to_a_key_and_names_none_is_401() {
    let setup = Setup::with(Introspection::danger_accept_untyped, |guard| guard).await;
    for (number, wrong) in [
        json!({ "token_type": "DPoP" }),
        json!({ "token_type": "dpop", "cnf": { "x5t#S256": "AAAA" } }),
        json!({ "token_type": "Bearer", "typ": "DPoP" }),
        json!({ "token_type": "DPoP", "typ": "Bearer" }),
        json!({ "token_type": null, "typ": "dpop" }),
        json!({ "token_type": null, "typ": "DPoP", "token_use": "access" }),
    ]
    .iter()
    .enumerate()
    {
        let token = setup.token(&format!("opaque-{number}"), wrong);
        setup.assert_refused(&token, &wrong.to_string()).await;
    }
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_503_and_never_401() {
    let setup = Setup::new().await;
    let good = setup.active(&json!({})).to_string();
    let json = "application/json";
    for (number, (media, body)) in [
        (json, setup.active(&json!({ "active": null })).to_string()),
        (json, good.replace("\"active\":true", "\"active\":\"true\"")),
        (json, good.replace("\"active\":true", "\"active\":1")),
        (json, good.replace("\"active\":true", "\"active\":null")),
        (json, good.replacen('{', "{\"active\":false,", 1)),
        (json, good.replacen('{', "{\"sub\":\"root\",", 1)),
        (json, format!("[{good}]")),
        (json, format!("{good} {good}")),
        (json, String::new()),
        (json, "true".to_owned()),
        (json, format!("{good}{}", " ".repeat(70_000))),
        ("text/html", good.clone()),
        ("text/json", good.clone()),
        ("", good.clone()),
        ("application/token-introspection+jwt", good.clone()),
        ("application/jwt", setup.signer.token(&json!({}))),
    ]
    .into_iter()
    .enumerate()
    {
        let token = format!("opaque-{number}");
        let shown: String = format!("{media} {body}").chars().take(80).collect();
        setup.issuer.asked().answers.insert(token.clone(), (media, body));
        setup.assert_unavailable(&token, &shown).await;
    }
    setup.issuer.asked().answers.insert("charset".to_owned(), ("Application/JSON; charset=utf-8", good));
    assert_eq!(setup.status("charset").await, 200, "and others are served on");
}

#[tokio::test]
async fn an_issuer_that_refuses_to_say_is_503() {
    for instead in [
        Answer::Status(StatusCode::BAD_REQUEST),
        Answer::Status(StatusCode::UNAUTHORIZED),
        Answer::Status(StatusCode::FORBIDDEN),
        Answer::Status(StatusCode::NOT_FOUND),
        Answer::Status(StatusCode::TOO_MANY_REQUESTS),
        Answer::Status(StatusCode::INTERNAL_SERVER_ERROR),
        Answer::Status(StatusCode::CREATED),
        Answer::Redirect("/introspect".to_owned()),
    ] {
        let setup = Setup::new().await;
        let token = setup.token("opaque-1", &json!({}));
        setup.issuer.asked().instead = Some(instead.clone());
        setup.assert_unavailable(&token, &format!("{instead:?}")).await;
        assert_eq!(setup.issuer.questions(), 1, "{instead:?} is not followed");
        setup.issuer.asked().instead = None;
        assert_eq!(setup.status(&token).await, 200, "nothing of it is remembered");
    }
}

#[tokio::test]
async fn a_missing_audience_is_accepted_where_that_is_declared_and_another_one_never() {
    let setup = Setup::with(Introspection::danger_accept_missing_audience, |guard| guard).await;
    assert_eq!(setup.status(&setup.token("opaque-1", &json!({ "aud": null }))).await, 200);
    assert_eq!(setup.status(&setup.token("opaque-2", &json!({}))).await, 200);
    setup.assert_refused(&setup.token("opaque-3", &json!({ "aud": "https://other.test" })), "other").await;
    setup.issuer.say_of("opaque-4", &{
        let mut answer = setup.active(&json!({}));
        answer["aud"] = Value::Null;
        answer
    });
    setup.assert_refused("opaque-4", "null is not missing").await;
    setup.assert_refused(&setup.token("opaque-5", &json!({ "token_type": null })), "untyped still").await;
}

#[tokio::test]
async fn a_missing_type_is_accepted_where_that_is_declared_and_another_one_never() {
    let setup = Setup::with(Introspection::danger_accept_untyped, |guard| guard).await;
    assert_eq!(setup.status(&setup.token("opaque-1", &json!({ "token_type": null }))).await, 200);
    for (number, wrong) in
        [json!({ "token_type": "refresh_token" }), json!({ "token_type": null, "typ": "Refresh" })]
            .iter()
            .enumerate()
    {
        setup.assert_refused(&setup.token(&format!("wrong-{number}"), wrong), &wrong.to_string()).await;
    }
    setup.assert_refused(&setup.token("opaque-2", &json!({ "aud": null })), "unaddressed still").await;
}
