//! JSON Web Token Best Current Practices ([RFC 8725](https://www.rfc-editor.org/rfc/rfc8725)): what a service behind the guard refuses.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::header;
use rstest::rstest;
use serde_json::{Value, json};

use crate::resource::{ORDERS, Resource};

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[rstest]
#[tokio::test]
async fn section_3_1_and_3_2_a_token_does_not_choose_the_algorithm(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let good = resource.token(&json!({}));
    let mut bent = header(&good);
    bent["alg"] = json!("HS256");
    let signed = format!("{}.{}", encode(&bent), encode(&Resource::claims(&json!({}))));
    let jwks = resource.keys.public_jwks();
    for secret in [
        jwks.to_string(),
        jwks["keys"][0].to_string(),
        jwks["keys"][0]["x"].as_str().unwrap().to_owned(),
        String::new(),
    ] {
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
        resource
            .assert_refused(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac)), "a public key as a secret")
            .await;
    }
    bent["alg"] = json!("none");
    resource
        .assert_refused(&format!("{}.{}.", encode(&bent), encode(&Resource::claims(&json!({})))), "none")
        .await;
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_3_3_and_3_4_a_signature_of_another_shape_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let good = resource.token(&json!({}));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for bad in [
        vec![0; 64],
        vec![0xff; 64],
        signature[..63].to_vec(),
        signature.repeat(2),
        vec![0x30, 6, 2, 1, 0, 2, 1, 0],
        Vec::new(),
    ] {
        resource
            .assert_refused(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bad)), &format!("{bad:?}"))
            .await;
    }
    resource.assert_open().await;
}

/// How a text is written as bytes.
type Spelling = fn(&str) -> Vec<u8>;

fn latin(text: &str) -> Vec<u8> {
    text.replace("caf\u{e9}", "caf?").bytes().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect()
}

fn wide(text: &str) -> Vec<u8> {
    [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

fn marked(text: &str) -> Vec<u8> {
    [b"\xef\xbb\xbf", text.as_bytes()].concat()
}

#[rstest]
#[tokio::test]
async fn section_3_7_a_token_that_is_not_utf_8_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let resource = Resource::on(database).await;
    let (head, claims) =
        (header(&resource.token(&json!({}))), Resource::claims(&json!({ "name": "caf\u{e9}" })));
    let sign = |head: &[u8], claims: &[u8]| resource.keys.sign_bytes(head, claims);
    let (head, claims) = (head.to_string(), claims.to_string());
    for (spelling, spelt) in [("latin", latin as Spelling), ("wide", wide), ("marked", marked)] {
        resource.assert_refused(&sign(head.as_bytes(), &spelt(&claims)), &format!("{spelling} claims")).await;
        let named = head.replacen('{', "{\"x\":\"caf\u{e9}\",", 1);
        resource
            .assert_refused(&sign(&spelt(&named), claims.as_bytes()), &format!("a {spelling} header"))
            .await;
        let plain = resource.service.get("/orders", Some(&sign(named.as_bytes(), claims.as_bytes()))).await;
        assert_eq!(plain.status, 200, "in UTF-8 it is good: {}", plain.text());
    }
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_3_8_and_3_9_a_token_of_one_issuer_passes_for_none_of_another(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let as_server = resource.token(&json!({ "iss": resource.server.issuer }));
    resource.assert_refused(&as_server, "the name of one and the key of the other").await;
    resource
        .assert_refused(&resource.token(&json!({ "iss": "https://evil.test" })), "nobody trusts it")
        .await;
    resource.assert_refused(&resource.token(&json!({ "aud": "https://stock.test" })), "for another").await;
    resource.assert_open().await;
}

#[rstest]
#[tokio::test]
async fn section_3_10_a_key_that_a_token_brings_counts_for_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let stranger = SigningKeys::generate();
    let jwk = stranger.public_jwks()["keys"][0].clone();
    for (member, value) in [
        ("jwk", jwk),
        ("jku", json!(format!("{ORDERS}/keys"))),
        ("x5u", json!(ORDERS)),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut bent = header(&resource.token(&json!({})));
        bent[member] = value;
        resource.assert_refused(&stranger.sign_with(&bent, &Resource::claims(&json!({}))), member).await;
    }
    resource.assert_open().await;
}
