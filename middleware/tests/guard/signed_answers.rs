//! Answers about tokens that the issuer signed (RFC 9701).

use http::header;
use portcullis_guard::Introspection;
use serde_json::{Value, json};

use crate::introspection::Setup;
use crate::issuer::Answer;
use crate::signer::{NOW, Signer, jwks};

const MEDIA: &str = "application/token-introspection+jwt";

/// A signed answer to the service, with changes to its header and its claims; `null` takes a member out.
fn signed(setup: &Setup, signer: &Signer, (header, claims): (&Value, &Value)) -> String {
    let mut head = json!({ "alg": signer.alg, "typ": "token-introspection+jwt", "kid": signer.kid });
    let mut all = json!({
        "iss": setup.issuer.url, "aud": "orders", "iat": NOW,
        "token_introspection": setup.active(&json!({})),
    });
    for (to, changes) in [(&mut head, header), (&mut all, claims)] {
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                to.as_object_mut().unwrap().remove(name);
            } else {
                to[name] = value.clone();
            }
        }
    }
    signer.sign(&head, &all)
}

fn say(setup: &Setup, token: &str, answer: String) {
    setup.issuer.asked().answers.insert(token.to_owned(), (MEDIA, answer));
}

#[tokio::test]
async fn an_answer_that_the_issuer_signed_for_this_client_just_now_is_believed() {
    for demand in [true, false] {
        let ask = |it: Introspection| if demand { it.signed_only() } else { it };
        let setup = Setup::with(ask, |guard| guard).await;
        let none = json!({});
        for (number, claims) in [
            json!({}),
            json!({ "aud": ["other", "orders"] }),
            json!({ "iat": NOW - 30 }),
            json!({ "iat": NOW + 30 }),
            json!({ "exp": NOW + 60, "jti": "answer" }),
        ]
        .iter()
        .enumerate()
        {
            let token = format!("opaque-{number}");
            say(&setup, &token, signed(&setup, &setup.signer, (&none, claims)));
            assert_eq!(setup.status(&token).await, 200, "{claims}");
        }
        say(&setup, "media", signed(&setup, &setup.signer, (&json!({ "typ": MEDIA }), &none)));
        assert_eq!(setup.status("media").await, 200, "typ may be written out");
        let inactive = json!({ "token_introspection": { "active": false } });
        say(&setup, "inactive", signed(&setup, &setup.signer, (&none, &inactive)));
        assert_eq!(setup.status("inactive").await, 401);
        let other = json!({ "token_introspection": setup.active(&json!({ "aud": "https://other.test" })) });
        say(&setup, "other", signed(&setup, &setup.signer, (&none, &other)));
        assert_eq!(setup.status("other").await, 401);
    }
}

#[tokio::test]
async fn rfc_9701_section_5_and_8_1_and_8_2_and_fapi2_section_5_5_2_a_forged_foreign_or_old_answer_is_503() {
    let setup = Setup::new().await;
    let none = json!({});
    let claims = |claims: Value| signed(&setup, &setup.signer, (&none, &claims));
    let header = |header: Value| signed(&setup, &setup.signer, (&header, &none));
    let good = claims(json!({}));
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let active = setup.active(&json!({}));
    let mut outside = active.clone();
    outside["token_introspection"] = json!({});
    for (number, wrong) in [
        claims(json!({ "aud": "another-client" })),
        claims(json!({ "aud": [] })),
        claims(json!({ "aud": null })),
        claims(json!({ "iss": "https://evil.test" })),
        claims(json!({ "iss": null })),
        claims(json!({ "iat": NOW - 31 })),
        claims(json!({ "iat": NOW + 31 })),
        claims(json!({ "iat": null })),
        claims(json!({ "exp": NOW - 60 })),
        claims(json!({ "token_introspection": null })),
        claims(json!({ "token_introspection": {} })),
        claims(json!({ "token_introspection": [active] })),
        claims(json!({ "token_introspection": active.to_string() })),
        claims(json!({ "token_introspection": { "active": "true" } })),
        claims(outside),
        header(json!({ "typ": "JWT" })),
        header(json!({ "typ": "at+jwt" })),
        header(json!({ "typ": null })),
        header(json!({ "alg": "none" })),
        header(json!({ "alg": "ES384" })),
        header(json!({ "crit": ["exp"] })),
        header(json!({ "jku": "https://evil.test" })),
        signed(&setup, &Signer::es256("a"), (&none, &none)),
        signed(&setup, &Signer::es256("stranger"), (&none, &none)),
        setup.signer.token(&json!({ "iss": setup.issuer.url })),
        format!("{unsigned}."),
        unsigned.to_owned(),
        String::new(),
    ]
    .into_iter()
    .enumerate()
    {
        let token = format!("opaque-{number}");
        say(&setup, &token, wrong.clone());
        setup.assert_unavailable(&token, &wrong).await;
    }
    say(&setup, "good", good);
    assert_eq!(setup.status("good").await, 200);
}

#[tokio::test]
async fn a_plain_answer_is_503_where_a_signed_one_is_demanded() {
    let setup = Setup::with(Introspection::signed_only, |guard| guard).await;
    let plain = setup.token("opaque-1", &json!({}));
    setup.assert_unavailable(&plain, "plain").await;
    setup.assert_unavailable("unknown", "plain, and not active").await;
    let in_json = signed(&setup, &setup.signer, (&json!({}), &json!({})));
    setup.issuer.asked().answers.insert("opaque-2".to_owned(), ("application/json", in_json));
    setup.assert_unavailable("opaque-2", "signed, and called plain").await;
    assert_eq!(setup.issuer.asked().questions[0].headers[header::ACCEPT], MEDIA);
}

#[tokio::test]
async fn a_new_key_is_fetched_when_an_answer_is_signed_by_it() {
    let setup = Setup::new().await;
    let new = Signer::eddsa("new");
    setup.issuer.publish(Answer::Document(jwks([&setup.signer, &new])));
    say(&setup, "opaque-1", signed(&setup, &new, (&json!({}), &json!({}))));
    assert_eq!(setup.status("opaque-1").await, 200);
    assert_eq!((setup.issuer.questions(), setup.issuer.fetches()), (1, 2));
}

#[tokio::test]
async fn an_answer_ends_with_the_key_that_signed_it() {
    let setup = Setup::new().await;
    say(&setup, "opaque-1", signed(&setup, &setup.signer, (&json!({}), &json!({}))));
    assert_eq!(setup.status("opaque-1").await, 200);
    setup.issuer.publish(Answer::Document(jwks([&Signer::es256("new")])));
    setup.guard.refresh().await;
    setup.assert_unavailable("opaque-1", "its key was withdrawn").await;
    assert_eq!(setup.issuer.questions(), 2);
}

#[tokio::test]
async fn an_answer_by_an_algorithm_that_is_not_listed_is_503() {
    use portcullis_guard::{Algorithm, TokenPolicy};
    let tokens = TokenPolicy::rfc9068().algorithms([Algorithm::EdDsa]);
    let setup = Setup::with(|it| it, |guard| guard.tokens(tokens)).await;
    say(&setup, "opaque-1", signed(&setup, &setup.signer, (&json!({}), &json!({}))));
    setup.assert_unavailable("opaque-1", "ES256").await;
}
