//! [OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html) §5.3: signed answers of the userinfo endpoint.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::relying_party::RelyingParty;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::oidc_core::held_to;

/// Verifies a token with the key of the set that it names, by the algorithm that it has to have.
pub(crate) fn verify(token: &str, algorithm: &str, jwks: &Value) {
    let named = header(token);
    assert_eq!(named["alg"], algorithm);
    let keys = jwks["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == named["kid"]).expect("the key is published");
    let member = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (message, signature) = (signed.as_bytes(), URL_SAFE_NO_PAD.decode(signature).unwrap());
    let rsa = || PublicKeyComponents { n: member("n"), e: member("e") };
    let verified = match algorithm {
        "ES256" => {
            let point = [vec![4], member("x"), member("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, &signature)
        }
        "EdDSA" => UnparsedPublicKey::new(&ED25519, member("x")).verify(message, &signature),
        "PS256" => rsa().verify(&RSA_PSS_2048_8192_SHA256, message, &signature),
        "RS256" => rsa().verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature),
        other => panic!("{other}"),
    };
    verified.expect("the signature is of that key");
}

#[rstest]
#[case::es256("ES256")]
#[case::eddsa("EdDSA")]
#[case::ps256("PS256")]
#[case::rs256("RS256")]
#[tokio::test]
async fn section_5_3_2_userinfo_is_signed_for_a_client_that_wants_it(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] algorithm: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = held_to(&server, json!({ "userinfo_signed_response_alg": algorithm })).await;
    let party = RelyingParty::discover(&server.issuer, &shop).await;
    let begun = party.begin(&["email"]);
    let callback = server.visitor().walk(begun.url.as_str(), &ada).await;
    let signed_in = party.finish(begun, &callback).await;
    // A library of others verifies signature, issuer, audience and subject, if it is RS256: it takes no other here.
    if algorithm == "RS256" {
        let info = party.signed_userinfo(&signed_in).await;
        assert_eq!(info.email().map(|email| email.as_str()), Some("ada@example.org"));
    }
    let jwks = server.machine.get("/jwks").await.json();
    let ways = [
        server.machine.request(Method::GET, "/userinfo").bearer_auth(&signed_in.access_token),
        server.machine.request(Method::POST, "/userinfo").bearer_auth(&signed_in.access_token),
        server.machine.request(Method::POST, "/userinfo").form(&[("access_token", &signed_in.access_token)]),
    ];
    for way in ways {
        let answer = Answer::to(way).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/jwt"));
        assert_eq!(answer.header("cache-control"), "no-store");
        verify(&answer.text(), algorithm, &jwks);
        let told = claims(&answer.text());
        assert_eq!(
            (&told["iss"], &told["aud"], &told["sub"]),
            (&json!(server.issuer), &json!(shop.id), &json!(ada.sub))
        );
        assert_eq!(told["email"], "ada@example.org");
        assert_eq!(told.get("exp"), None, "it is no ID token");
    }
    let refused = server.machine.userinfo("x").await;
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (401, "application/json"));
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_only_what_can_be_signed_is_registered_and_advertised(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert_eq!(
        metadata["userinfo_signing_alg_values_supported"],
        json!(["EdDSA", "ES256", "PS256", "RS256"])
    );
    for bad in ["none", "HS256", "es256", ""] {
        let document = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "options": { "protocol": { "userinfo_signed_response_alg": bad } } });
        let refused = server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{bad}: {}", refused.text());
        assert!(
            refused.text().contains("/options/protocol/userinfo_signed_response_alg"),
            "{}",
            refused.text()
        );
    }
    let ada = server.admin.user("ada").await;
    let plain = held_to(&server, json!({})).await;
    let tokens = server.tokens(&plain, &AuthorizeRequest::of(&plain), &ada).await;
    let answer = server.machine.userinfo(&tokens.member("access_token")).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json(), json!({ "sub": ada.sub }), "plain answers have no iss and no aud");
}
