//! Authorization Server Metadata ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414)): what no other suite shows of it.

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

const PLACES: [&str; 2] = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

#[rstest]
#[tokio::test]
async fn section_2_every_endpoint_that_takes_assertions_names_their_algorithms(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for place in PLACES {
        let metadata = server.machine.get(place).await.json();
        for endpoint in ["introspection_endpoint", "revocation_endpoint", "token_endpoint"] {
            let list = |what: &str| -> Vec<Value> {
                metadata[format!("{endpoint}_{what}").as_str()].as_array().cloned().unwrap_or_default()
            };
            assert!(list("auth_methods_supported").contains(&json!("private_key_jwt")), "{endpoint}");
            let algorithms = list("auth_signing_alg_values_supported");
            assert!(algorithms.contains(&json!("RS256")), "{endpoint}: {algorithms:?}");
            let forbidden =
                |alg: &Value| alg == "none" || alg.as_str().is_none_or(|alg| alg.starts_with("HS"));
            assert!(!algorithms.iter().any(forbidden), "{endpoint}: {algorithms:?}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_3_2_no_list_is_empty_and_no_member_is_null(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(false, true)] device_grant: bool,
) {
    let server = TestServer::start_with(database, |config| config.protocol.device_grant = device_grant).await;
    for place in PLACES {
        let metadata = server.machine.get(place).await.json();
        for (name, value) in metadata.as_object().unwrap() {
            assert!(!value.is_null(), "{place} {name}");
            assert_ne!(value.as_array().map(Vec::len), Some(0), "{place} {name}");
        }
    }
}
