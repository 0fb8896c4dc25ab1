//! Whom the assertions of a client are for that an administrator lets name endpoints ([RFC 9126 §2], RFC 7523 §3).
//!
//! [RFC 9126 §2]: https://www.rfc-editor.org/rfc/rfc9126#section-2

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_of};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Where clients say who they are, and what a request gets there once they are believed.
const ENDPOINTS: [(&str, u16); 6] = [
    ("/token", 400),
    ("/par", 201),
    ("/introspect", 200),
    ("/revoke", 200),
    ("/device_authorization", 200),
    ("/bc-authorize", 400),
];

struct Signer {
    server: TestServer,
    keys: SigningKeys,
    client: Registered,
}

impl Signer {
    async fn on(database: Database, audience: Option<&str>) -> Self {
        let server = TestServer::start_on(database).await;
        let keys = SigningKeys::generate();
        let document = json!({ "name": "Signer", "preset": "web", "jwks": keys.public_jwks(),
            "redirect_uris": ["https://rp.test/cb"],
            "options": { "protocol": { "device_grant": true, "assertion_audience": audience,
                "backchannel_token_delivery_mode": "poll" } } });
        let client = server.admin.client(document).await;
        Self { server, keys, client }
    }

    fn assertion_for(&self, audience: &Value) -> String {
        let mut claims = assertion_of(&self.client.id, &self.server.issuer, self.server.clock.now());
        claims["aud"] = audience.clone();
        self.keys.sign(&claims)
    }

    /// A request that only the client's proof keeps from an answer.
    async fn present(&self, endpoint: &str, assertion: &str) -> Answer {
        let request = AuthorizeRequest::of(&self.client);
        let mut fields = match endpoint {
            "/token" => vec![("grant_type", "refresh_token"), ("refresh_token", "x")],
            "/par" => request.fields_without("client_id"),
            "/device_authorization" => vec![("scope", "openid")],
            "/bc-authorize" => vec![("scope", "openid"), ("login_hint", "nobody")],
            _ => vec![("token", "x")],
        };
        fields.extend([("client_assertion_type", BEARER), ("client_assertion", assertion)]);
        self.server.machine.post(endpoint, &fields).await
    }

    fn at(&self, path: &str) -> Value {
        json!(format!("{}{path}", self.server.issuer))
    }

    async fn assert_refused(&self, endpoint: &str, audience: &Value) {
        let answer = self.present(endpoint, &self.assertion_for(audience)).await;
        let told = (answer.status.as_u16(), answer.error());
        assert_eq!(told, (401, "invalid_client".to_owned()), "{endpoint} {audience}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_an_assertion_may_be_for_the_issuer_the_token_endpoint_or_the_one_that_is_called(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let signer = Signer::on(database, Some("endpoint")).await;
    for (endpoint, status) in ENDPOINTS {
        for audience in ["", "/token", endpoint].map(|path| signer.at(path)) {
            let answer = signer.present(endpoint, &signer.assertion_for(&audience)).await;
            assert_eq!(answer.status.as_u16(), status, "{endpoint} {audience}: {}", answer.text());
            assert_ne!(answer.error(), "invalid_client");
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_2_an_assertion_for_anything_else_is_refused_everywhere(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let signer = Signer::on(database, Some("endpoint")).await;
    for (endpoint, _) in ENDPOINTS {
        let others = ENDPOINTS.map(|(other, _)| other);
        for other in others.into_iter().filter(|other| *other != endpoint && *other != "/token") {
            signer.assert_refused(endpoint, &signer.at(other)).await;
        }
        for audience in [
            json!([signer.server.issuer]),
            json!([signer.at(endpoint), "https://other.test/token"]),
            json!([signer.at("/token")]),
            json!("https://other.test/token"),
            json!(endpoint),
            signer.at("/"),
            signer.at("/token/"),
            signer.at("/token?x"),
            Value::Null,
        ] {
            signer.assert_refused(endpoint, &audience).await;
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_2_an_assertion_that_was_used_at_one_endpoint_is_used_up_at_all(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let signer = Signer::on(database, Some("endpoint")).await;
    for (first, status) in ENDPOINTS {
        let assertion = signer.assertion_for(&signer.at("/token"));
        assert_eq!(signer.present(first, &assertion).await.status.as_u16(), status, "{first}");
        for (again, _) in ENDPOINTS {
            let answer = signer.present(again, &assertion).await;
            assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, "invalid_client"), "{again}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_client_of_which_nothing_is_said_names_the_issuer_everywhere(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(None, Some("issuer"))] audience: Option<&str>,
) {
    let signer = Signer::on(database, audience).await;
    for (endpoint, status) in ENDPOINTS {
        let issuer = signer.assertion_for(&json!(signer.server.issuer));
        assert_eq!(signer.present(endpoint, &issuer).await.status.as_u16(), status, "{endpoint}");
        for path in ["/token", endpoint] {
            signer.assert_refused(endpoint, &signer.at(path)).await;
        }
    }
}
