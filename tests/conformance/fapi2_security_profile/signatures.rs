//! What is signed, by which algorithm, for whom and when: §5.3.2.1 and §5.4.1.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::assertion_of;
use portcullis_tests::certificates::{Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::rsa_keys::RsaKeys;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Bank, Form, redemption, refused, signed_by, told};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A pushed request with exactly this assertion.
async fn push_with(bank: &Bank, assertion: String) -> Answer {
    let request = bank.request();
    let proof: Form = vec![("client_assertion_type", JWT_BEARER.to_owned()), ("client_assertion", assertion)];
    let form = signed_by(proof, &request.fields_without("client_id"));
    Answer::to(bank.server.machine.request(Method::POST, "/par").form(&form)).await
}

async fn push_saying(bank: &Bank, name: &str, value: Value) -> Answer {
    let mut claims = assertion_of(&bank.client.id, &bank.server.issuer, bank.server.clock.now());
    claims[name] = value;
    push_with(bank, bank.keys.sign(&claims)).await
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_an_assertion_is_for_the_issuer_as_one_string(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::on(database).await;
    let issuer = bank.server.issuer.clone();
    assert_eq!(push_saying(&bank, "aud", json!(issuer)).await.status, 201);
    for aud in [
        json!([issuer]),
        json!([issuer, "https://other.test"]),
        json!(format!("{issuer}/token")),
        json!(format!("{issuer}/par")),
        json!(format!("{issuer}/")),
        json!("https://other.test"),
        json!(null),
    ] {
        let answer = push_saying(&bank, "aud", aud.clone()).await;
        assert_eq!(told(&answer), refused(401, "invalid_client"), "{aud}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_clocks_may_be_ten_seconds_apart_and_no_minute(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::on(database).await;
    let now = bank.server.clock.now().as_secs();
    for name in ["iat", "nbf"] {
        assert_eq!(push_saying(&bank, name, json!(now + 10)).await.status, 201, "{name}");
        let answer = push_saying(&bank, name, json!(now + 61)).await;
        assert_eq!(told(&answer), refused(401, "invalid_client"), "{name}: {}", answer.text());
    }
    bank.holder.greet(&bank.server).await;
    for (ahead, status) in [(10, 201), (61, 400)] {
        let mut claims = bank.holder.claims(&bank.server, "POST", "/par");
        claims["iat"] = json!(now + ahead);
        let request = bank.request();
        let pushed = bank.to("/par", &request.fields_without("client_id"));
        let answer = Answer::to(pushed.header("dpop", bank.holder.proof(&claims))).await;
        assert_eq!(answer.status.as_u16(), status, "{ahead}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_assertions_by_none_or_a_secret_are_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::on(database).await;
    for alg in ["none", "HS256", "RS256", "ES384"] {
        let claims = assertion_of(&bank.client.id, &bank.server.issuer, bank.server.clock.now());
        let answer = push_with(&bank, bank.keys.sign_with(&json!({ "alg": alg }), &claims)).await;
        assert_eq!(told(&answer), refused(401, "invalid_client"), "{alg}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_an_rsa_key_signs_assertions_by_pss(#[values(Sqlite, Postgres)] database: Database) {
    let keys = RsaKeys::generate();
    let bank = Bank::with(database, |_| {}, |document| document["jwks"] = keys.jwks("PS256")).await;
    for (alg, status) in [("PS256", 201), ("RS256", 401)] {
        let claims = assertion_of(&bank.client.id, &bank.server.issuer, bank.server.clock.now());
        let answer = push_with(&bank, keys.sign(&json!({ "alg": alg }), &claims)).await;
        assert_eq!(answer.status.as_u16(), status, "{alg}: {}", answer.text());
    }
}

/// A client that shows a certificate may have a key that does not fit: what it signs is looked at when it is used.
#[rstest]
#[tokio::test]
async fn section_5_4_1_a_request_object_by_rs256_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let (keys, certificate) = (RsaKeys::generate(), Certificate::self_signed(Wanted::named("bank")));
    let mut jwks = keys.jwks("RS256");
    jwks["keys"][0]["x5t#S256"] = json!(certificate.thumbprint());
    let bank = Bank::with(
        database,
        |_| {},
        |document| {
            document["jwks"] = jwks;
            let named = json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth" });
            document["options"]["authentication"] = named;
        },
    )
    .await;
    let request = bank.request();
    let object = keys.sign(&json!({ "alg": "RS256" }), &request.object(&bank.server.issuer));
    let push = async |fields: Vec<(&str, &str)>| {
        let named = [("client_id", bank.client.id.as_str())];
        let form: Vec<_> = fields.into_iter().chain(named).collect();
        let sent = bank.server.machine.request(Method::POST, "/par").form(&form);
        Answer::to(sent.header("client-cert", certificate.header())).await
    };
    let signed = push(vec![("request", object.as_str())]).await;
    assert_eq!(told(&signed), refused(400, "invalid_request_object"), "{}", signed.text());
    assert!(signed.text().contains("algorithm"), "{}", signed.text());
    assert_eq!(push(request.fields_without("client_id")).await.status, 201, "without one it is taken");
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_proofs_by_rs256_are_refused(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let key = RsaKeys::generate();
    bank.holder.greet(&bank.server).await;
    let request = bank.request();
    let pushed = async |alg: &str| {
        let claims = bank.holder.claims(&bank.server, "POST", "/par");
        let sent = bank.to("/par", &request.fields_without("client_id"));
        Answer::to(sent.header("dpop", proof(&key, alg, &claims))).await
    };
    assert_eq!(told(&pushed("RS256").await), refused(400, "invalid_dpop_proof"));
    let answer = pushed("PS256").await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let address = bank.brought(&answer.member("request_uri"));
    let callback = bank.server.visitor().walk(&address, &bank.ada).await;
    let fields = redemption(&request, &callback);
    let redeemed = async |alg: &str| {
        let claims = bank.holder.claims(&bank.server, "POST", "/token");
        Answer::to(bank.to("/token", &fields).header("dpop", proof(&key, alg, &claims))).await
    };
    assert_eq!(told(&redeemed("RS256").await), refused(400, "invalid_dpop_proof"));
    let tokens = redeemed("PS256").await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    // The key is the same, so the token is bound to both.
    let token = tokens.member("access_token");
    let refusal = shown(&bank, (&key, "RS256"), ("/userinfo", &token)).await;
    assert_eq!(told(&refusal), refused(401, "invalid_dpop_proof"), "{}", refusal.text());
    assert_eq!(shown(&bank, (&key, "PS256"), ("/userinfo", &token)).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_proofs_by_rs256_are_refused_at_the_admin_api(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::on(database).await;
    let admin = &bank.server.admin;
    let api = admin.admin_api().await;
    let robot = json!({ "name": "Robot", "preset": "m2m", "jwks": bank.keys.public_jwks(), "apis": [api.id],
        "options": { "profile": "fapi2" } });
    let robot = admin.client(robot).await;
    admin.assign(&api, "owner", &robot.id).await;
    let bank = Bank { client: robot, ..bank };
    let key = RsaKeys::generate();
    bank.holder.greet(&bank.server).await;
    let claims = bank.holder.claims(&bank.server, "POST", "/token");
    let fields = [("grant_type", "client_credentials"), ("resource", &*api.audience)];
    let token = Answer::to(bank.to("/token", &fields).header("dpop", proof(&key, "PS256", &claims))).await;
    assert_eq!(token.status, 200, "{}", token.text());
    let token = token.member("access_token");
    let refusal = shown(&bank, (&key, "RS256"), ("/api/v1/users", &token)).await;
    assert_eq!(refusal.status, 401, "{}", refusal.text());
    assert!(refusal.header("www-authenticate").contains("error=\"invalid_dpop_proof\""));
    let taken = shown(&bank, (&key, "PS256"), ("/api/v1/users", &token)).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
}

/// A proof by this key and algorithm.
fn proof(key: &RsaKeys, alg: &str, claims: &Value) -> String {
    key.sign(&json!({ "typ": "dpop+jwt", "alg": alg, "jwk": key.jwk() }), claims)
}

/// What a path answers to a token with a proof by this key and algorithm beside it.
async fn shown(bank: &Bank, (key, alg): (&RsaKeys, &str), (path, token): (&str, &str)) -> Answer {
    let mut claims = bank.holder.claims(&bank.server, "GET", path);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    claims["ath"] = json!(base64_of(digest.as_ref()));
    let asked = bank.server.machine.request(Method::GET, path);
    let asked = asked.header("authorization", format!("DPoP {token}"));
    Answer::to(asked.header("dpop", proof(key, alg, &claims))).await
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_id_tokens_are_signed_by_what_the_profile_permits(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("ES256", "EdDSA", "PS256")] alg: &str,
) {
    let bank =
        Bank::with(database, |_| {}, |document| document["options"]["id_token_alg"] = json!(alg)).await;
    let tokens = bank.tokens("openid").await;
    let header = portcullis_tests::jwt::header(&tokens.member("id_token"));
    assert_eq!(header["alg"], alg);
}
