//! JWT Profile for OAuth 2.0 Authorization Grants ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)).

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::random_text;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const BUILDS: &str = "https://builds.example";
const MAIN: &str = "repo:orders:ref:main";

/// A server that believes what an issuer says of a machine.
struct World {
    server: TestServer,
    orders: RegisteredApi,
    keys: SigningKeys,
    robot: Registered,
}

impl World {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let orders = server.admin.api("https://orders.test").await;
        let keys = SigningKeys::generate();
        let robot = server.admin.client(document(&orders, &keys)).await;
        server.admin.assign(&orders, "viewer", &robot.id).await;
        Self { server, orders, keys, robot }
    }

    /// What the issuer says of the machine now, bent by `change`.
    fn claims(&self, change: &Value) -> Value {
        let now = self.server.clock.now().as_secs();
        let mut claims = json!({ "iss": BUILDS, "sub": MAIN, "aud": self.server.issuer, "iat": now,
            "exp": now + 300, "jti": random_text() });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims
    }

    async fn show(&self, client: &Registered, assertion: &str, more: &[(&str, &str)]) -> Answer {
        let mut fields =
            vec![("grant_type", GRANT), ("assertion", assertion), ("resource", "https://orders.test")];
        fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        fields.extend(more);
        self.server.machine.token(client, &fields).await
    }

    async fn refused(&self, assertion: &str) -> (u16, String) {
        refusal(&self.show(&self.robot, assertion, &[]).await)
    }
}

fn document(orders: &RegisteredApi, keys: &SigningKeys) -> Value {
    json!({ "name": "Deployment", "preset": "m2m", "scopes": "read write", "apis": [orders.id],
        "options": { "protocol": { "assertion_issuers": [
            { "issuer": BUILDS, "jwks": keys.public_jwks(), "subjects": [MAIN, "repo:orders:ref:next"] },
        ] } } })
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

fn said(error: &str) -> (u16, String) {
    (400, error.to_owned())
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_machine_without_a_secret_gets_a_token_by_what_its_issuer_says(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    assert_eq!(world.robot.secret, None);
    let assertion = world.keys.sign(&world.claims(&json!({})));
    let answer = world.show(&world.robot, &assertion, &[("scope", "read")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!((&answer.json()["scope"], &answer.json()["refresh_token"]), (&json!("read"), &json!(null)));
    let claims = jwt::claims(&answer.member("access_token"));
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(world.robot.id), &json!(world.robot.id)));
    assert_eq!((&claims["aud"], &claims["roles"]), (&json!("https://orders.test"), &json!(["viewer"])));
    let guard = world.server.admin.guard_client(&world.orders).await;
    assert!(world.server.machine.is_active(&guard, &answer.member("access_token")).await);
}

#[rstest]
#[tokio::test]
async fn section_3_an_assertion_counts_once(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let assertion = world.keys.sign(&world.claims(&json!({})));
    // A mistake in the request spends nothing.
    let mistaken = world.show(&world.robot, &assertion, &[("scope", "audit")]).await;
    assert_eq!(refusal(&mistaken), said("invalid_scope"));
    let mistaken = world.show(&world.robot, &assertion, &[("resource", "https://nobody.test")]).await;
    assert_eq!(refusal(&mistaken), said("invalid_target"));
    let shows = (0..8).map(|_| world.show(&world.robot, &assertion, &[]));
    let answers = futures_util::future::join_all(shows).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert_eq!(world.refused(&assertion).await, said("invalid_grant"));
    // The same name by another client, which trusts the same issuer, is the same assertion.
    let twin = world.server.admin.client(document(&world.orders, &world.keys)).await;
    assert_eq!(refusal(&world.show(&twin, &assertion, &[]).await), said("invalid_grant"));
    let trail = world.server.admin.get("/audit?limit=200").await.json();
    let events = trail["items"].as_array().unwrap().iter();
    let replays: Vec<_> = events.filter(|event| event["action"] == "assertion.replayed").collect();
    assert_eq!(replays.len(), 9, "each one is in the audit trail: {trail}");
    assert_eq!((&replays[0]["actor"], &replays[0]["detail"]["issuer"]), (&json!(twin.id), &json!(BUILDS)));
}

#[rstest]
#[tokio::test]
async fn section_3_and_3_1_and_rfc_7521_section_4_1_1_what_is_no_assertion_of_a_trusted_issuer_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let now = world.server.clock.now().as_secs();
    let token_url = world.server.machine.url("/token");
    for change in [
        json!({ "iss": "https://other.example" }),
        json!({ "sub": "repo:orders:ref:evil" }),
        json!({ "sub": world.robot.id }),
        json!({ "aud": token_url }),
        json!({ "aud": [world.server.issuer, "https://other.example"] }),
        json!({ "exp": now }),
        json!({ "exp": now + 4_000 }),
        json!({ "nbf": now + 60 }),
        json!({ "iat": now + 60 }),
        json!({ "exp": null }),
        json!({ "jti": null }),
    ] {
        let assertion = world.keys.sign(&world.claims(&change));
        assert_eq!(world.refused(&assertion).await, said("invalid_grant"), "{change}");
    }
    let good = world.claims(&json!({}));
    let forged = SigningKeys::generate().sign(&good);
    assert_eq!(world.refused(&forged).await, said("invalid_grant"), "other keys");
    assert_eq!(world.refused(&world.keys.sign_as("at+jwt", &good)).await, said("invalid_grant"));
    assert_eq!(world.refused(&jwt::damaged(&world.keys.sign(&good))).await, said("invalid_grant"));
    assert_eq!(world.refused("x.y.z").await, said("invalid_grant"));
    assert_eq!(world.refused("").await, said("invalid_request"));
    let ours = world.server.admin.token().await;
    assert_eq!(world.refused(&ours).await, said("invalid_grant"), "a token of this server");
    assert_eq!(world.show(&world.robot, &world.keys.sign(&good), &[]).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_3_1_only_a_client_that_trusts_somebody(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let assertion = world.keys.sign(&world.claims(&json!({})));
    for other in
        [world.server.admin.machine_client(&[&world.orders]).await, world.server.admin.web_client(&[]).await]
    {
        assert_eq!(refusal(&world.show(&other, &assertion, &[]).await), said("unauthorized_client"));
    }
    let anonymous = [("grant_type", GRANT), ("assertion", assertion.as_str())];
    let anonymous = world.server.machine.post("/token", &anonymous).await;
    assert_eq!(refusal(&anonymous), (401, "invalid_client".to_owned()));
    // Without a secret there is nothing else to get a token with, and nothing to ask about tokens with.
    let own = world.server.machine.client_credentials(&world.robot, "https://orders.test").await;
    assert_eq!(refusal(&own), said("unauthorized_client"));
    let asked = world.server.machine.introspect(&world.robot, "x").await;
    assert_eq!(refusal(&asked), (401, "invalid_client".to_owned()));
    world.server.admin.post(&format!("/clients/{}/disable", world.robot.id), &json!({})).await;
    assert_eq!(world.refused(&assertion).await, (401, "invalid_client".to_owned()));
    world.server.admin.post(&format!("/clients/{}/enable", world.robot.id), &json!({})).await;
    assert_eq!(world.show(&world.robot, &assertion, &[]).await.status, 200, "nobody spent it");
}

#[rstest]
#[tokio::test]
async fn section_5_trust_is_checked_as_a_whole_and_taken_back_at_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let admin = &world.server.admin;
    let good = document(&world.orders, &world.keys);
    let trusted = good["options"]["protocol"]["assertion_issuers"][0].clone();
    let at = "/options/protocol/assertion_issuers";
    let with = |list: Value, preset: &str| {
        json!({ "name": "x", "preset": preset, "redirect_uris": if preset == "web" { json!(["https://rp.test/cb"]) } else { json!([]) },
            "options": { "protocol": { "assertion_issuers": list } } })
    };
    let star = json!({ "issuer": BUILDS, "jwks": world.keys.public_jwks(), "subjects": ["repo:*"] });
    let keyless = json!({ "issuer": BUILDS, "jwks": { "keys": [] }, "subjects": [MAIN] });
    for (document, pointer) in [
        (with(json!([trusted, trusted]), "m2m"), format!("{at}/1/issuer")),
        (with(json!([star]), "m2m"), format!("{at}/0/subjects/0")),
        (with(json!([keyless]), "m2m"), format!("{at}/0/jwks")),
        (with(json!([trusted]), "web"), at.to_owned()),
    ] {
        let refused = admin.send(reqwest::Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{document}");
        assert!(refused.text().contains(&format!("\"{pointer}\"")), "{document}: {}", refused.text());
    }
    let path = format!("/clients/{}", world.robot.id);
    let shown = admin.get(&path).await;
    assert_eq!(shown.json()["settings"]["protocol"]["assertion_issuers"], json!([trusted]));
    assert_eq!(shown.json()["grants"], json!([GRANT]));
    let change = async |document: &Value| {
        let etag = admin.get(&path).await.header("etag").to_owned();
        Answer::to(admin.request(reqwest::Method::PUT, &path).await.header("if-match", etag).json(document))
            .await
    };
    // What is shown can be sent back, the method among it.
    let mut named = good.clone();
    named["options"]["authentication"] = json!({ "token_endpoint_auth_method": "none" });
    assert_eq!(change(&named).await.status, 200);
    let mut nobody = good.clone();
    nobody["options"]["protocol"]["assertion_issuers"] = json!([]);
    let refused = change(&nobody).await;
    assert_eq!(refused.status, 422, "it could prove itself by nothing: {}", refused.text());
    let mut others = good;
    others["options"]["protocol"]["assertion_issuers"][0]["jwks"] = SigningKeys::generate().public_jwks();
    assert_eq!(change(&others).await.status, 200);
    let assertion = world.keys.sign(&world.claims(&json!({})));
    assert_eq!(world.refused(&assertion).await, said("invalid_grant"), "the keys of before");
}
