//! A service behind the guard that trusts an issuer whose keys the test holds, beside the server from which it has its policy.

use portcullis_guard::Issuer;
use portcullis_server::domain::clock::Clock;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::random_text;
use portcullis_tests::database::Database;
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use serde_json::{Value, json};

pub(crate) const ORDERS: &str = "https://orders.test";
const ISSUER: &str = "https://issuer.test";

pub(crate) struct Resource {
    pub(crate) server: TestServer,
    pub(crate) service: GuardedService,
    pub(crate) keys: SigningKeys,
}

impl Resource {
    pub(crate) async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let orders = server.admin.api(ORDERS).await;
        let guard = server.admin.guard_client(&orders).await;
        let keys = SigningKeys::generate();
        let issuer = Issuer::static_jwks(ISSUER, keys.public_jwks().to_string());
        let service =
            GuardedService::start_with(&server.issuer, ORDERS, &guard, |guard| guard.issuer(issuer)).await;
        Self { server, service, keys }
    }

    /// What a good access token of the issuer says, with changes; a `null` takes a claim out.
    pub(crate) fn claims(changes: &Value) -> Value {
        let now = Clock::system().now().as_secs();
        let mut claims = json!({ "iss": ISSUER, "aud": ORDERS, "sub": "alice", "client_id": "web", "jti": random_text(),
            "iat": now, "exp": now + 300, "roles": ["viewer"] });
        for (name, value) in changes.as_object().into_iter().flatten() {
            if value.is_null() {
                claims.as_object_mut().expect("it is an object").remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    /// An access token with such claims.
    pub(crate) fn token(&self, changes: &Value) -> String {
        self.keys.sign_as("at+jwt", &Self::claims(changes))
    }

    /// A good token opens the service.
    pub(crate) async fn assert_open(&self) {
        let answer = self.service.get("/orders", Some(&self.token(&json!({})))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// A token that is none is refused as RFC 6750 §3 has it.
    pub(crate) async fn assert_refused(&self, token: &str, why: &str) {
        let answer = self.service.get("/orders", Some(token)).await;
        assert_eq!(answer.status, 401, "{why}: {}", answer.text());
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""),
            "{why}: {challenge}"
        );
        assert!(!answer.text().contains("orders of"), "{why}");
    }
}
