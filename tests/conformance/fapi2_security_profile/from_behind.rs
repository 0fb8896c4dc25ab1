//! Sign-ins that a bank starts from behind (CIBA): the profile holds for them as well.

use portcullis_tests::certificates::{Certificate, Wanted};
use portcullis_tests::ciba::CIBA;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::rsa_keys::RsaKeys;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use super::{Bank, document, refused, told};

/// A bank that may start sign-ins, and signs its requests if `alg` says how.
async fn bank(database: Database, alg: Option<&str>) -> Bank {
    let protocol = json!({ "backchannel_token_delivery_mode": "poll",
        "backchannel_authentication_request_signing_alg": alg });
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
    assert_eq!(told(&bank.bare("/token", &asking).await), refused(400, "invalid_request"));
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
    // It shows a certificate to say who it is, so that its keys sign nothing but these requests.
    let (keys, certificate) = (RsaKeys::generate(), Certificate::self_signed(Wanted::named("bank")));
    for (alg, status) in [("RS256", 422), ("PS256", 201)] {
        let mut document = document(&bank.keys);
        document["jwks"] = keys.jwks(alg);
        document["jwks"]["keys"][0]["x5t#S256"] = json!(certificate.thumbprint());
        document["options"]["authentication"] =
            json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth" });
        document["options"]["protocol"] = json!({ "backchannel_token_delivery_mode": "poll",
            "backchannel_authentication_request_signing_alg": "PS256" });
        let answer = bank.server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(answer.status, status, "{alg}: {}", answer.text());
        assert_eq!(answer.text().contains("\"/jwks\""), status == 422, "{alg}: {}", answer.text());
    }
}
