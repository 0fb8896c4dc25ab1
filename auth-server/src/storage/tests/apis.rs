//! APIs, and what older replicas leave unsaid about them.

use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::ids::ApiId;
use crate::domain::rbac::{AccessTokenSettings, Api};
use crate::domain::signing::SigningAlg;
use crate::storage::{StoreError, apis};

/// How a replica adds an API that does not know what tokens can be signed with.
const OLDER: &str = "
    INSERT INTO apis (id, audience, name, access_token_ttl_secs, created_at)
    VALUES ('api_00000000000070008000000000000009', 'https://older.example', 'Older', 300, 1800000000000000)";

async fn found(fixture: &Fixture, id: &ApiId) -> Result<Option<Api>, StoreError> {
    apis::find(&mut fixture.read().await, id).await
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_api_keeps_what_its_tokens_are_signed_with(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await;
    assert_eq!(found(&fixture, &api.id).await.unwrap().as_ref(), Some(&api));
    for alg in SigningAlg::ALL {
        let changed = Api { access_tokens: AccessTokenSettings { alg, ..api.access_tokens }, ..api.clone() };
        let written = changed.clone();
        assert!(fixture.write(move |tx| Box::pin(async move { apis::update(tx, &written).await })).await);
        assert_eq!(found(&fixture, &api.id).await.unwrap().as_ref(), Some(&changed));
        let mut tx = fixture.read().await;
        assert_eq!(apis::list(&mut tx, None, 10).await.unwrap(), std::slice::from_ref(&changed));
        assert_eq!(apis::find_by_audience(&mut tx, &api.audience).await.unwrap(), Some(changed));
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_api_of_a_replica_that_says_nothing_of_signatures_has_its_tokens_signed_by_es256(
    #[case] backend: Backend,
) {
    let fixture = Fixture::new(backend).await;
    fixture.place.tamper(OLDER).await;
    let id = ApiId::parse("api_00000000000070008000000000000009").unwrap();
    assert_eq!(found(&fixture, &id).await.unwrap().unwrap().access_tokens.alg, SigningAlg::Es256);
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn an_algorithm_that_is_not_known_is_an_error_and_not_the_usual_one(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let api = fixture.api("https://orders.example").await;
    fixture.place.tamper("UPDATE apis SET access_token_signing_alg = 'HS256'").await;
    let refused = found(&fixture, &api.id).await;
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
}
