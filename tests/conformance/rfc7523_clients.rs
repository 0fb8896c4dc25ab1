//! JWT Profile for Client Authentication ([RFC 7523](https://www.rfc-editor.org/rfc/rfc7523)), with the audience of its revision and of
//! FAPI 2.0: the issuer alone, as one string.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_of};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

use crate::signed_in::told;

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that shows who it is by signing.
pub(crate) struct Signer {
    pub(crate) server: TestServer,
    pub(crate) keys: SigningKeys,
    pub(crate) id: String,
}

impl Signer {
    pub(crate) async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let keys = SigningKeys::generate();
        let document = json!({ "name": "Signer", "preset": "m2m", "jwks": keys.public_jwks() });
        let id = server.admin.client(document).await.id;
        Self { server, keys, id }
    }

    /// A token request whose assertion has one claim of the test's choice.
    async fn with(&self, claim: &str, value: &Value) -> Answer {
        let mut claims = self.claims();
        claims[claim] = value.clone();
        self.present(&self.keys.sign(&claims)).await
    }

    /// What a good assertion says.
    pub(crate) fn claims(&self) -> Value {
        assertion_of(&self.id, &self.server.issuer, self.server.clock.now())
    }

    pub(crate) async fn present(&self, assertion: &str) -> Answer {
        self.present_as(None, assertion).await
    }

    /// A token request with an assertion, and with a `client_id` beside it.
    pub(crate) async fn present_as(&self, client_id: Option<&str>, assertion: &str) -> Answer {
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
async fn section_3_and_rfc_7519_section_4_1_3_the_audience_is_the_issuer_and_nothing_else(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let signer = Signer::on(database).await;
    let issuer = signer.server.issuer.clone();
    assert_eq!(signer.with("aud", &json!(issuer)).await.status, 200);
    for other in [
        json!([issuer]),
        json!([issuer, "https://other.test"]),
        json!(format!("{issuer}/token")),
        json!(format!("{issuer}/par")),
        json!(format!("{issuer}/")),
        json!("https://other.test"),
        Value::Null,
    ] {
        let answer = signer.with("aud", &other).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, "invalid_client"), "{other}");
    }
}

#[rstest]
#[tokio::test]
async fn section_3_and_rfc_7519_section_4_1_5_a_clock_may_be_ahead_by_seconds_and_not_by_a_minute(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("nbf", "iat")] claim: &str,
) {
    let signer = Signer::on(database).await;
    let now = signer.server.clock.now().as_secs();
    for (ahead, status) in [(8, 200), (10, 200), (60, 401)] {
        let answer = signer.with(claim, &json!(now + ahead)).await;
        assert_eq!(answer.status.as_u16(), status, "{claim} {ahead}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_secret_signs_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let signer = Signer::on(database).await;
    let robot = signer.server.admin.machine_client(&[]).await;
    let claims = assertion_of(&robot.id, &signer.server.issuer, signer.server.clock.now());
    for header in [json!({ "alg": "HS256", "typ": "JWT" }), json!({ "alg": "none" })] {
        let answer = signer.present(&signer.keys.sign_with(&header, &claims)).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, "invalid_client"), "{header}");
    }
    let metadata = signer.server.machine.get("/.well-known/openid-configuration").await.json();
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(!methods.contains(&json!("client_secret_jwt")), "{methods:?}");
}

fn typed(assertion: &str) -> [(&str, &str); 2] {
    [("client_assertion_type", BEARER), ("client_assertion", assertion)]
}

#[rstest]
#[tokio::test]
async fn section_2_2_an_assertion_comes_with_its_type_and_of_the_client_that_is_named(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let signer = Signer::on(database).await;
    let other = signer.server.admin.machine_client(&[]).await.id;
    let own =
        || signer.keys.sign(&assertion_of(&signer.id, &signer.server.issuer, signer.server.clock.now()));
    let ask = async |more: &[(&str, &str)]| {
        let fields = [&[("grant_type", "client_credentials")][..], more].concat();
        signer.server.machine.post("/token", &fields).await
    };
    for kind in [None, Some(""), Some("x"), Some("urn:ietf:params:oauth:client-assertion-type:saml2-bearer")]
    {
        let assertion = own();
        let mut fields = vec![("client_assertion", assertion.as_str())];
        fields.extend(kind.map(|kind| ("client_assertion_type", kind)));
        let answer = ask(&fields).await;
        assert!(matches!(answer.status.as_u16(), 400 | 401), "{kind:?}: {}", answer.text());
        assert_eq!(answer.member("access_token"), "", "{kind:?}");
    }
    for id in [other.as_str(), "nobody"] {
        let assertion = own();
        let answer = ask(&[&typed(&assertion)[..], &[("client_id", id)]].concat()).await;
        assert_eq!(told(&answer), (400, "invalid_request".to_owned()), "{id}");
    }
    let assertion = own();
    let answer = ask(&[&typed(&assertion)[..], &[("client_id", &signer.id)]].concat()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
