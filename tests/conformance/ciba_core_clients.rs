//! OpenID Connect Client-Initiated Backchannel Authentication Flow - Core 1.0
//! (<https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html>), section 4: what is registered.

use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::ciba::{CIBA, bank};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const ENDPOINT: &str = "https://bank.test/ciba";

#[rstest]
#[tokio::test]
async fn section_4_a_mode_gives_a_client_the_grant(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let made = server.admin.post("/clients", &bank("poll", &json!({}))).await;
    assert_eq!(made["client"]["grants"], json!(["authorization_code", CIBA, "refresh_token"]));
    let endpoint = json!({ "backchannel_client_notification_endpoint": ENDPOINT });
    let made = server.admin.post("/clients", &bank("ping", &endpoint)).await;
    let shown = &made["client"]["settings"]["protocol"];
    assert_eq!(shown["backchannel_token_delivery_mode"], "ping");
    assert_eq!(shown["backchannel_client_notification_endpoint"], ENDPOINT);
    assert_eq!(shown["backchannel_authentication_request_signing_alg"], Value::Null);
    let plain = server.admin.web_client(&[]).await;
    let plain = server.admin.get(&format!("/clients/{}", plain.id)).await.json();
    assert_eq!(plain["grants"], json!(["authorization_code", "refresh_token"]));
}

#[rstest]
#[tokio::test]
async fn section_4_what_is_registered_is_checked_as_a_whole(#[values(Sqlite, Postgres)] database: Database) {
    const MODE: &str = "/options/protocol/backchannel_token_delivery_mode";
    const WHERE: &str = "/options/protocol/backchannel_client_notification_endpoint";
    const ALG: &str = "/options/protocol/backchannel_authentication_request_signing_alg";
    let server = TestServer::start_on(database).await;
    let at = |endpoint: &str| json!({ "backchannel_client_notification_endpoint": endpoint });
    let alg = |alg: &str| json!({ "backchannel_authentication_request_signing_alg": alg });
    let without_mode = |more: Value| {
        let mut document = bank("poll", &more);
        document["options"]["protocol"]["backchannel_token_delivery_mode"] = Value::Null;
        document
    };
    let of_preset = |preset: &str| {
        let mut document = bank("poll", &json!({}));
        document["preset"] = json!(preset);
        document
    };
    let mut without_openid = bank("poll", &json!({}));
    without_openid["scopes"] = json!("profile");
    for (document, pointer) in [
        (bank("push", &at(ENDPOINT)), MODE),
        (bank("pull", &json!({})), MODE),
        (bank("ping", &json!({})), WHERE),
        (bank("poll", &at(ENDPOINT)), WHERE),
        (bank("ping", &at("http://bank.test/ciba")), WHERE),
        (bank("ping", &at("https://bank.test/ciba#x")), WHERE),
        // Nobody said that this machine may be called.
        (bank("ping", &at("https://127.0.0.1/ciba")), WHERE),
        (without_mode(at(ENDPOINT)), WHERE),
        (without_mode(alg("ES256")), ALG),
        (bank("poll", &alg("HS256")), ALG),
        // It has no keys to sign with.
        (bank("poll", &alg("ES256")), ALG),
        (of_preset("native"), MODE),
        (of_preset("spa"), MODE),
        (of_preset("device"), MODE),
        (of_preset("m2m"), MODE),
        (without_openid, MODE),
    ] {
        let refused = server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{document}");
        assert!(refused.text().contains(&format!("\"{pointer}\"")), "{document}: {}", refused.text());
    }
    let mut signing = bank("poll", &alg("ES256"));
    signing["jwks"] = SigningKeys::generate().public_jwks();
    server.admin.post("/clients", &signing).await;
}
