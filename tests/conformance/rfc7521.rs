//! Assertion Framework for OAuth 2.0 ([RFC 7521](https://www.rfc-editor.org/rfc/rfc7521)): what is no assertion of a client.

use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use rstest::rstest;
use serde_json::{Value, json};

use crate::rfc7523_clients::Signer;
use crate::signed_in::told;

#[rstest]
#[tokio::test]
async fn section_4_2_a_client_id_beside_an_assertion_is_the_one_of_its_client(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let signer = Signer::on(database).await;
    let other = signer.server.admin.machine_client(&[]).await;
    for id in [other.id.as_str(), "nobody"] {
        let refused = signer.present_as(Some(id), &signer.keys.sign(&signer.claims())).await;
        assert_eq!(told(&refused), (400, "invalid_request".to_owned()), "{id}");
    }
    let good = signer.present_as(Some(&signer.id), &signer.keys.sign(&signer.claims())).await;
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(signer.present(&signer.keys.sign(&signer.claims())).await.status, 200);
}

/// Section 5.2: what an assertion has to hold, and for how long and how often it counts.
#[rstest]
#[tokio::test]
async fn section_4_2_1_and_5_2_and_rfc_7523_section_3_2_an_assertion_that_does_not_hold_is_refused(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let signer = Signer::on(database).await;
    let now = signer.server.clock.now().as_secs();
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
        let mut claims = signer.claims();
        claims[claim] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        }
        let refused = signer.present(&signer.keys.sign(&claims)).await;
        assert_eq!(told(&refused), (401, "invalid_client".to_owned()), "{claim}: {value}");
    }
    let forged = SigningKeys::generate().sign(&signer.claims());
    assert_eq!(told(&signer.present(&forged).await), (401, "invalid_client".to_owned()));
    let once = signer.keys.sign(&signer.claims());
    assert_eq!(signer.present(&once).await.status, 200);
    assert_eq!(told(&signer.present(&once).await), (401, "invalid_client".to_owned()), "a second time");
}
