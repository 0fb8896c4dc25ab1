//! Issuers whose access tokens are not those of RFC 9068.

use axum::Router;
use axum::routing::get;
use portcullis_guard::{
    BuildError, Guard, GuardExt, GuardedRouter, Issuer, IssuerError, Principal, TokenForm, authenticated,
};
use serde_json::{Value, json};

use crate::service::{Dial, builder, fetch};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, claims, jwks};

const OTHER: &str = "https://other-id.test";

fn app(guard: &Guard) -> Router {
    let who = async |who: Principal| format!("{} {}", who.client_id(), who.token_id());
    GuardedRouter::new().route("/who", get(who).guard(authenticated())).guarded_by(guard)
}

/// A service that trusts an issuer which writes its tokens in this form, and another one that writes those of RFC 9068.
async fn service(signer: &Signer, form: TokenForm) -> Router {
    let guard = builder(&Dial::new())
        .issuer(Issuer::static_jwks(ISSUER, jwks([signer])).token_form(form))
        .issuer(Issuer::static_jwks(OTHER, jwks([signer])));
    app(&guard.build().await.unwrap())
}

/// A token as many issuers write it, with changes: of type `JWT`, with `azp` and without a `jti`.
fn generic(signer: &Signer, changes: &Value) -> String {
    typed(signer, &json!("JWT"), changes)
}

fn typed(signer: &Signer, typ: &Value, changes: &Value) -> String {
    let mut all = json!({ "client_id": null, "jti": null, "azp": "app" });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let mut header = signer.header();
    match typ {
        Value::Null => header.as_object_mut().unwrap().remove("typ"),
        typ => header.as_object_mut().unwrap().insert("typ".to_owned(), typ.clone()),
    };
    signer.sign(&header, &claims(&all))
}

#[tokio::test]
async fn a_token_of_a_listed_type_is_taken_with_azp_and_without_jti() {
    let signer = Signer::es256("a");
    let service = service(&signer, TokenForm::danger_generic(["JWT"])).await;
    let answer = fetch(&service, "/who", &generic(&signer, &json!({}))).await;
    let (client, name) = answer.body.split_once(' ').unwrap();
    assert_eq!((answer.status.as_u16(), client, name.len()), (200, "app", 43));
    // The same content has the same name, whatever the signature over it looks like, and other content another one.
    let again = fetch(&service, "/who", &generic(&signer, &json!({}))).await;
    let other = fetch(&service, "/who", &generic(&signer, &json!({ "sub": "bob" }))).await;
    assert_eq!(again.body, answer.body);
    assert_ne!(other.body, answer.body);
    for (changes, who) in [
        (json!({ "jti": "j", "client_id": "c", "azp": null }), "c j"),
        (json!({ "jti": "j", "client_id": "c", "azp": "app" }), "c j"),
        (json!({ "jti": "j", "typ": "Bearer", "token_use": "access" }), "app j"),
        (
            json!({ "jti": "j", "aud": [AUDIENCE, "https://third.test"], "auth_time": NOW, "email": "a@a.test" }),
            "app j",
        ),
    ] {
        assert_eq!(fetch(&service, "/who", &generic(&signer, &changes)).await.body, who, "{changes}");
    }
    let own = signer.token(&json!({}));
    assert_eq!(fetch(&service, "/who", &own).await.body, "web token-1", "those of RFC 9068 are taken beside");
}

#[tokio::test]
async fn only_listed_types_are_taken_and_only_of_the_issuer_that_they_are_listed_for() {
    let signer = Signer::es256("a");
    for (form, taken) in [
        (TokenForm::rfc9068(), [false, false, false]),
        (TokenForm::danger_generic(["JWT"]), [true, false, false]),
        (TokenForm::danger_generic(["access"]).untyped(), [false, true, true]),
    ] {
        let service = service(&signer, form.clone()).await;
        for (typ, is_taken) in [json!("JWT"), json!(null), json!("Access")].iter().zip(taken) {
            let status = fetch(&service, "/who", &typed(&signer, typ, &json!({}))).await.status;
            assert_eq!(status.as_u16(), if is_taken { 200 } else { 401 }, "{form:?} {typ}");
            let elsewhere = typed(&signer, typ, &json!({ "iss": OTHER, "client_id": "c", "jti": "j" }));
            assert_eq!(fetch(&service, "/who", &elsewhere).await.status, 401, "{form:?} {typ}");
        }
        for typ in ["id+jwt", "logout+jwt", "dpop+jwt", "", "JWT ", "token-introspection+jwt"] {
            let token = typed(&signer, &json!(typ), &json!({ "client_id": "c", "jti": "j" }));
            assert_eq!(fetch(&service, "/who", &token).await.status, 401, "{form:?} {typ}");
        }
        let lax = signer.token(&json!({ "iss": OTHER, "jti": null }));
        assert_eq!(fetch(&service, "/who", &lax).await.status, 401, "the other issuer is held to RFC 9068");
    }
}

// RFC 8725 §3.11, §3.12
#[tokio::test]
async fn what_its_claims_say_is_no_access_token_is_refused() {
    let signer = Signer::es256("a");
    let service = service(&signer, TokenForm::danger_generic(["JWT", "at+jwt"]).untyped()).await;
    for changes in [
        // ID tokens
        json!({ "nonce": "n" }),
        json!({ "at_hash": "h" }),
        json!({ "c_hash": "h" }),
        json!({ "s_hash": "h" }),
        json!({ "aud": AUDIENCE, "azp": AUDIENCE }),
        json!({ "aud": [AUDIENCE, "app"] }),
        json!({ "aud": [AUDIENCE, "c"], "client_id": "c" }),
        json!({ "aud": ["app"] }),
        json!({ "typ": "ID" }),
        json!({ "token_use": "id" }),
        json!({ "azp": null }),
        // others
        json!({ "typ": "Refresh" }),
        json!({ "typ": "Offline" }),
        json!({ "typ": "Logout" }),
        json!({ "typ": "" }),
        json!({ "token_use": "refresh" }),
        json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
        // what is asked of every token
        json!({ "aud": null }),
        json!({ "aud": "https://other.test" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "exp": null }),
        json!({ "iat": null }),
        json!({ "exp": NOW - 31, "iat": NOW - 60 }),
        json!({ "exp": NOW + 90_000 }),
        json!({ "nbf": NOW + 60 }),
        json!({ "azp": "" }),
        json!({ "azp": 1 }),
        json!({ "azp": ["app"] }),
        json!({ "jti": "" }),
        json!({ "jti": 1 }),
        json!({ "typ": 1 }),
        json!({ "cnf": { "jkt": "x" } }),
    ] {
        for typ in [json!("JWT"), json!(null), json!("at+jwt")] {
            let token = typed(&signer, &typ, &changes);
            assert_eq!(fetch(&service, "/who", &token).await.status, 401, "{typ} {changes}");
        }
    }
    let mut present = json!({ "client_id": null, "jti": null, "azp": "app" });
    for name in ["nonce", "at_hash", "events", "azp"] {
        present[name] = json!("x");
        let mut claims = claims(&present);
        claims[name] = Value::Null;
        let token = signer.sign(&json!({ "alg": "ES256", "kid": "a", "typ": "JWT" }), &claims);
        assert_eq!(fetch(&service, "/who", &token).await.status, 401, "{name} is null");
        present.as_object_mut().unwrap().remove(name);
        present["azp"] = json!("app");
    }
}

#[tokio::test]
async fn a_type_of_other_tokens_cannot_be_listed() {
    let signer = Signer::es256("a");
    for typ in ["logout+jwt", "application/dpop+jwt", "ID+jwt", "", "a b"] {
        let issuer =
            Issuer::static_jwks(ISSUER, jwks([&signer])).token_form(TokenForm::danger_generic(["JWT", typ]));
        let built = builder(&Dial::new()).issuer(issuer).build().await;
        assert!(
            matches!(&built, Err(BuildError::Issuer(IssuerError::TokenType(own))) if own == typ),
            "{typ}: {:?}",
            built.err()
        );
    }
}
