//! Assertion Framework for OAuth 2.0 ([RFC 7521](https://www.rfc-editor.org/rfc/rfc7521)): what is no assertion of a client.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_of};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

use crate::signed_in::told;

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Scene {
    server: TestServer,
    keys: SigningKeys,
    id: String,
}

impl Scene {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let keys = SigningKeys::generate();
        let document = json!({ "name": "Signer", "preset": "m2m", "jwks": keys.public_jwks() });
        let id = server.admin.client(document).await.id;
        Self { server, keys, id }
    }

    fn claims(&self) -> Value {
        assertion_of(&self.id, &self.server.issuer, self.server.clock.now())
    }

    async fn present(&self, assertion: &str, client_id: Option<&str>) -> Answer {
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_assertion_type", BEARER),
            ("client_assertion", assertion),
        ];
        fields.extend(client_id.map(|id| ("client_id", id)));
        self.server.machine.post("/token", &fields).await
    }
}

#[rstest]
#[tokio::test]
async fn section_4_2_a_client_id_beside_an_assertion_is_the_one_of_its_client(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let other = scene.server.admin.machine_client(&[]).await;
    for id in [other.id.as_str(), "nobody"] {
        let refused = scene.present(&scene.keys.sign(&scene.claims()), Some(id)).await;
        assert_eq!(told(&refused), (400, "invalid_request".to_owned()), "{id}");
    }
    let good = scene.present(&scene.keys.sign(&scene.claims()), Some(&scene.id)).await;
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(scene.present(&scene.keys.sign(&scene.claims()), None).await.status, 200);
}

/// Section 5.2: what an assertion has to hold, and for how long and how often it counts.
#[rstest]
#[tokio::test]
async fn section_4_2_1_and_5_2_an_assertion_that_does_not_hold_what_it_has_to_is_refused(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let scene = Scene::on(database).await;
    let now = scene.server.clock.now().as_secs();
    for (claim, value) in [
        ("iss", Value::Null),
        ("iss", json!("somebody")),
        ("sub", Value::Null),
        ("sub", json!("somebody")),
        ("aud", Value::Null),
        ("aud", json!("https://other.test")),
        ("exp", Value::Null),
        ("exp", json!(now - 1)),
        ("iat", json!(now + 3600)),
    ] {
        let mut claims = scene.claims();
        claims[claim] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        }
        let refused = scene.present(&scene.keys.sign(&claims), None).await;
        assert_eq!(told(&refused), (401, "invalid_client".to_owned()), "{claim}: {value}");
    }
    let forged = SigningKeys::generate().sign(&scene.claims());
    assert_eq!(told(&scene.present(&forged, None).await), (401, "invalid_client".to_owned()));
    let once = scene.keys.sign(&scene.claims());
    assert_eq!(scene.present(&once, None).await.status, 200);
    assert_eq!(told(&scene.present(&once, None).await), (401, "invalid_client".to_owned()), "a second time");
}
