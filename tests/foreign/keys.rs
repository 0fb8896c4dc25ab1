//! What happens when it changes its key.

use portcullis_tests::jwt;
use portcullis_tests::log::Log;

use crate::issuer::{ForeignIssuer, ORDERS};
use crate::service::Service;

#[tokio::test]
async fn a_new_key_is_followed_by_the_first_request_that_needs_it() {
    let mut issuer = ForeignIssuer::start().await;
    let service = Service::trusting(issuer.url()).await;
    let before = issuer.token(ORDERS).await;
    service.accepts(&before).await;

    issuer.change_key().await;
    let after = issuer.token(ORDERS).await;
    let algorithms = [&before, &after].map(|token| jwt::header(token)["alg"].clone());
    assert_eq!(algorithms, ["RS256", "ES256"]);
    // Nobody told the guard, and no timer has run.
    service.accepts(&after).await;
    service.accepts(&before).await;
}

#[tokio::test]
async fn a_key_that_is_withdrawn_is_forgotten() {
    let log = Log::of_this_process();
    let mut issuer = ForeignIssuer::start().await;
    let service = Service::trusting(issuer.url()).await;
    let before = issuer.token(ORDERS).await;
    service.accepts(&before).await;

    issuer.change_key().await;
    issuer.withdraw_keys().await;
    service.refresh().await;
    service.refuses(&before).await;
    assert_eq!(log.lines_with("the issuer has no such key").len(), 1);
    service.accepts(&issuer.token(ORDERS).await).await;
}
