//! Access tokens as known issuers write them unless told otherwise, by the forms that `docs/other-issuers.md` has for them.

mod known;

use axum::Router;
use axum::routing::get;
use portcullis_guard::{
    BuildError, Guard, GuardExt, GuardedRouter, Issuer, IssuerError, Policy, Principal, SharedPolicy,
    TokenForm, authenticated, rbac, scope,
};
use serde_json::json;

use self::known::{Known, all};
use crate::service::{Dial, builder, fetch, policy};
use crate::signer::{ISSUER, NOW, Signer, b64, jwks};

async fn service_of(known: &Known, signer: &Signer, form: TokenForm) -> Router {
    let guard = builder(&Dial::new())
        .audience(known.audience)
        .issuer(Issuer::static_jwks(known.issuer(), jwks([signer])).token_form(form))
        .policy(Policy::shared(SharedPolicy::new(policy("p, clerk, *, orders, read", 1))));
    app(&guard.build().await.unwrap())
}

fn app(guard: &Guard) -> Router {
    GuardedRouter::new()
        .route("/who", get(async |who: Principal| who.client_id().to_owned()).guard(authenticated()))
        .route("/scope", get(async || "ok").guard(scope("orders")))
        .route("/role", get(async || "ok").guard(rbac("orders", "read")))
        .guarded_by(guard)
}

#[tokio::test]
async fn tokens_of_known_issuers_are_taken_by_the_form_that_the_page_has_for_them_and_by_no_less() {
    let signer = Signer::es256("a");
    for known in all() {
        let name = known.name;
        let token = known.token(&signer, &json!({}));
        let service = service_of(&known, &signer, known.form.clone()).await;
        let who = fetch(&service, "/who", &token).await;
        assert_eq!((who.status.as_u16(), who.body.as_str()), (200, known.client), "{name}");
        for path in ["/scope", "/role"] {
            assert_eq!(fetch(&service, path, &token).await.status, 200, "{name} {path}");
        }
        let strict = service_of(&known, &signer, TokenForm::rfc9068()).await;
        assert_eq!(fetch(&strict, "/who", &token).await.status, 401, "{name}, by RFC 9068");
    }
}

#[tokio::test]
async fn scopes_and_roles_are_read_where_the_form_says_and_nowhere_else() {
    let signer = Signer::es256("a");
    for known in all() {
        let service = service_of(&known, &signer, known.form.clone()).await;
        let token = known.token(&signer, &known.less);
        for (path, status) in [("/who", 200), ("/scope", 403), ("/role", 403)] {
            let answer = fetch(&service, path, &token).await;
            assert_eq!(answer.status, status, "{} {path}: {}", known.name, answer.body);
        }
    }
}

#[tokio::test]
async fn what_lacks_something_or_is_another_kind_of_token_is_refused() {
    let signer = Signer::es256("a");
    // What is asked of every token, whatever its form.
    let of_every = [
        json!({ "sub": null }),
        json!({ "exp": null }),
        json!({ "iat": null }),
        json!({ "iat": NOW - 600, "exp": NOW - 60 }),
        json!({ "exp": NOW + 90_000 }),
        json!({ "nbf": NOW + 60 }),
        json!({ "iss": "https://other.example" }),
        json!({ "aud": "https://other.example" }),
        json!({ "cnf": { "jkt": "x" } }),
    ];
    for known in all() {
        let service = service_of(&known, &signer, known.form.clone()).await;
        for changes in known.refused.iter().chain(&of_every) {
            let answer = fetch(&service, "/who", &known.token(&signer, changes)).await;
            assert_eq!(answer.status, 401, "{} {changes}", known.name);
        }
        let stranger = known.token(&Signer::es256("a"), &json!({}));
        assert_eq!(fetch(&service, "/who", &stranger).await.status, 401, "{}", known.name);
    }
}

/// Each call of the form is needed, and none does another's work.
#[tokio::test]
async fn tokens_of_one_issuer_are_not_taken_by_the_form_of_another() {
    let signer = Signer::es256("a");
    let (known, forms) = (all(), all());
    for own in &known {
        for other in &forms {
            let service = service_of(own, &signer, other.form.clone()).await;
            let token = own.token(&signer, &json!({}));
            let opens = |answers: [u16; 3]| answers.iter().all(|status| *status == 200);
            let mut answers = [0; 3];
            for (answer, path) in answers.iter_mut().zip(["/who", "/scope", "/role"]) {
                *answer = fetch(&service, path, &token).await.status.as_u16();
            }
            assert_eq!(opens(answers), own.name == other.name, "{} by {}: {answers:?}", own.name, other.name);
        }
    }
}

#[tokio::test]
async fn a_claim_that_stands_twice_is_refused_wherever_it_stands() {
    let key = Signer::es256("a");
    for known in all() {
        let service = service_of(&known, &key, known.form.clone()).await;
        let header = b64(known.header(&key).to_string());
        let token_of = |payload: &str| {
            let message = format!("{header}.{}", b64(payload));
            format!("{message}.{}", b64(key.signature(message.as_bytes())))
        };
        let text = known.claims.to_string();
        assert_eq!(fetch(&service, "/who", &token_of(&text)).await.status, 200, "{}", known.name);
        for (name, value) in known.claims.as_object().unwrap() {
            let twice = text.replacen('{', &format!("{{{}:{value},", json!(name)), 1);
            let answer = fetch(&service, "/who", &token_of(&twice)).await;
            assert_eq!(answer.status, 401, "{} {name}", known.name);
        }
    }
}

#[tokio::test]
async fn what_is_no_claim_is_not_built_with() {
    let signer = Signer::es256("a");
    for (form, wrong) in [
        (TokenForm::rfc9068().client_claim("sub"), "sub"),
        (TokenForm::danger_generic(["JWT"]).scope_claim(""), ""),
        (TokenForm::rfc9068().roles_claim("realm_access.roles"), "realm_access.roles"),
        (TokenForm::rfc9068().roles_claim("/aud/0"), "/aud/0"),
        (TokenForm::rfc9068().must_have("tid", ""), "tid"),
        (TokenForm::rfc9068().must_have("tid", "a").must_have("tid", "b"), "tid"),
    ] {
        let issuer = Issuer::static_jwks(ISSUER, jwks([&signer])).token_form(form);
        let built = builder(&Dial::new()).issuer(issuer).build().await;
        assert!(
            matches!(&built, Err(BuildError::Issuer(IssuerError::TokenClaim(own))) if own == wrong),
            "{wrong}: {:?}",
            built.err()
        );
    }
}

/// What somebody copies from the page is what is tried here.
#[test]
fn the_page_has_the_forms_that_are_tried() {
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    let page = include_str!("../../docs/other-issuers.md");
    let source = dense(include_str!("other_issuers/known.rs"));
    let blocks = page.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut forms = 0;
    for block in blocks {
        let form = dense(block.split_once("TokenForm::").unwrap().1.split_once(';').unwrap().0);
        assert!(source.contains(&format!("form:TokenForm::{form},")), "{block}");
        forms += 1;
    }
    assert_eq!(forms, all().len());
    for known in all() {
        assert!(page.contains(&format!("## {}\n", known.name)), "{}", known.name);
    }
}
