//! JSON Web Token Profile for OAuth 2.0 Access Tokens ([RFC 9068](https://www.rfc-editor.org/rfc/rfc9068)): what a service behind the guard
//! refuses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_server::domain::clock::Clock;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{damaged, header};
use rstest::rstest;
use serde_json::{Value, json};

use crate::resource::{ORDERS, Resource};

#[rstest]
#[tokio::test]
async fn section_4_a_token_of_another_type_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let resource = Resource::on(database).await;
    for typ in
        ["JWT", "jwt", "logout+jwt", "dpop+jwt", "token-introspection+jwt", "secevent+jwt", "at+jwtx", ""]
    {
        let token = resource.keys.sign_as(typ, &Resource::claims(&json!({})));
        resource.assert_refused(&token, typ).await;
    }
    let mut untyped = header(&resource.token(&json!({})));
    untyped.as_object_mut().unwrap().remove("typ");
    resource
        .assert_refused(&resource.keys.sign_with(&untyped, &Resource::claims(&json!({}))), "no type")
        .await;
    let long = resource.keys.sign_as("application/at+jwt", &Resource::claims(&json!({})));
    assert_eq!(resource.service.get("/orders", Some(&long)).await.status, 200);
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_4_a_token_of_another_issuer_or_for_another_service_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    for (claim, value) in [
        ("iss", json!("https://issuer.test/")),
        ("iss", json!("https://ISSUER.test")),
        ("iss", json!(resource.server.issuer)),
        ("iss", json!(["https://issuer.test"])),
        ("iss", Value::Null),
        ("aud", json!("https://stock.test")),
        ("aud", json!(format!("{ORDERS}/"))),
        ("aud", json!(["https://stock.test"])),
        ("aud", json!([])),
        ("aud", Value::Null),
    ] {
        let token = resource.token(&json!({ claim: value }));
        resource.assert_refused(&token, &format!("{claim}: {value}")).await;
    }
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_4_and_fapi2_section_5_3_4_and_openid_core_section_16_3_a_forged_token_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let good = resource.token(&json!({}));
    let stranger = SigningKeys::generate();
    resource.assert_refused(&damaged(&good), "it was changed").await;
    let forged = stranger.sign_with(&header(&good), &Resource::claims(&json!({})));
    resource.assert_refused(&forged, "of another key by the same name").await;
    resource
        .assert_refused(&stranger.sign_as("at+jwt", &Resource::claims(&json!({}))), "of another key")
        .await;
    let [_, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    for alg in ["none", "None", "HS256", "ES384", "RS256", ""] {
        let mut bent = header(&good);
        bent["alg"] = json!(alg);
        let bent = URL_SAFE_NO_PAD.encode(bent.to_string());
        for signature in ["", signature] {
            resource.assert_refused(&format!("{bent}.{payload}.{signature}"), alg).await;
        }
    }
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_4_and_fapi2_section_5_3_4_a_token_that_has_expired_or_says_too_little_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let now = Clock::system().now().as_secs();
    for (claim, value) in [
        ("exp", json!(now - 60)),
        ("exp", json!("tomorrow")),
        ("exp", json!((now + 60).to_string())),
        ("exp", json!([now + 60])),
        ("exp", json!(1e300)),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", Value::Null),
        ("iat", Value::Null),
        ("sub", Value::Null),
        ("client_id", Value::Null),
        ("jti", Value::Null),
    ] {
        let token = resource.token(&json!({ claim: value }));
        resource.assert_refused(&token, &format!("{claim}: {value}")).await;
    }
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_4_a_token_that_is_encrypted_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let resource = Resource::on(database).await;
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = encode(r#"{"alg":"dir","enc":"A128GCM","typ":"at+jwt","cty":"JWT"}"#);
    let encrypted = format!(
        "{header}..{}.{}.{}",
        encode("initialvector"),
        encode("cipher text"),
        encode("0123456789abcdef")
    );
    resource.assert_refused(&encrypted, "encrypted").await;
    resource.assert_open().await;
}
