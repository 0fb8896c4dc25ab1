//! Sign-ins that a bank starts from behind (CIBA): the profile holds for them as well.

use portcullis_tests::ciba::CIBA;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::rsa_keys::RsaKeys;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Bank, document, refused, told};

/// A bank that may start sign-ins, and signs its requests if `alg` says how.
async fn bank(database: Database, alg: Option<&str>) -> Bank {
    let protocol = json!({ "backchannel_token_delivery_mode": "poll", "backchannel_authentication_request_signing_alg": alg });
    Bank::with(database, |_| {}, |document| document["options"]["protocol"] = protocol).await
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_tokens_of_a_sign_in_from_behind_are_bound(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = bank(database, None).await;
    let started = bank.bare("/bc-authorize", &[("scope", "openid"), ("login_hint", "ada")]).await;
    assert_eq!(started.status, 200, "{}", started.text());
    bank.server.visitor().decide_request(&bank.ada, "allow").await;
    let id = started.member("auth_req_id");
    let asking = [("grant_type", CIBA), ("auth_req_id", id.as_str())];
    assert_eq!(told(&bank.bare("/token", &asking).await), refused(400, "invalid_dpop_proof"));
    let tokens = bank.post("/token", &asking).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(jwt::claims(&tokens.member("access_token"))["cnf"]["jkt"], bank.holder.jkt());
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_what_signs_requests_from_behind_is_of_the_profile(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = bank(database, Some("ES256")).await;
    let now = bank.server.clock.now().as_secs();
    let object = json!({ "iss": bank.client.id, "aud": bank.server.issuer, "iat": now, "nbf": now, "exp": now + 60,
        "jti": "r-1", "scope": "openid", "login_hint": "ada" });
    let good = bank.keys.sign(&object);
    assert_eq!(bank.bare("/bc-authorize", &[("request", &good)]).await.status, 200);
    let keys = RsaKeys::generate();
    let create = async |change: &dyn Fn(&mut Value)| {
        let mut document = document(&bank.keys);
        document["options"]["protocol"] = json!({ "backchannel_token_delivery_mode": "poll",
            "backchannel_authentication_request_signing_alg": "PS256" });
        change(&mut document);
        bank.server.admin.send(Method::POST, "/clients", &document).await
    };
    // It shows a certificate to say who it is, so that its keys sign nothing but these requests.
    let shows = |document: &mut Value, jwks: Value| {
        document["jwks"] = jwks;
        document["options"]["authentication"] = json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "bank.test" });
    };
    let refused = create(&|document| shows(document, keys.jwks("RS256"))).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(refused.json()["errors"][0]["pointer"], "/jwks", "{}", refused.text());
    let taken = create(&|document| shows(document, keys.jwks("PS256"))).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
}
