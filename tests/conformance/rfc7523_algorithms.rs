//! JWT Profile for OAuth 2.0 ([RFC 7523 §5](https://www.rfc-editor.org/rfc/rfc7523#section-5)): the algorithm that every server knows.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::assertion::assertion_of;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn jwks(pair: &RsaKeyPair) -> Value {
    let key = pair.public_key();
    let n = encode(key.modulus().big_endian_without_leading_zero());
    let e = encode(key.exponent().big_endian_without_leading_zero());
    json!({ "keys": [{ "kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": n, "e": e }] })
}

fn sign(pair: &RsaKeyPair, claims: &Value) -> String {
    let header = json!({ "alg": "RS256", "kid": "rsa", "typ": "JWT" });
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", encode(signature))
}

#[rstest]
#[tokio::test]
async fn section_5_an_assertion_may_be_signed_by_rs256(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let [own, other] = [(); 2].map(|()| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
    let robot = json!({ "name": "Signer", "preset": "m2m", "jwks": jwks(&own) });
    let robot = server.admin.client(robot).await;
    for (pair, status) in [(&own, 200), (&other, 401)] {
        let assertion = sign(pair, &assertion_of(&robot.id, &server.issuer, server.clock.now()));
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.as_str()),
        ];
        let answer = server.machine.post("/token", &fields).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    }
}
