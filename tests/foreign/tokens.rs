//! Which of its tokens are accepted. The caller learns the same of all that are not, so the log says which rule it was.

use portcullis_tests::jwt;
use portcullis_tests::log::Log;
use reqwest::StatusCode;

use crate::issuer::{ForeignIssuer, INVOICES, ORDERS, UNTYPED};
use crate::service::Service;

#[tokio::test]
async fn a_token_is_accepted_with_nothing_but_the_url_of_the_issuer() {
    let issuer = ForeignIssuer::start().await;
    let service = Service::trusting(issuer.url()).await;
    let token = issuer.token(ORDERS).await;
    assert_eq!(jwt::header(&token)["typ"], "at+jwt");
    service.accepts(&token).await;
}

#[tokio::test]
async fn a_token_allows_what_its_scope_says() {
    let issuer = ForeignIssuer::start().await;
    let service = Service::trusting(issuer.url()).await;
    let answer = service.post(&issuer.token(ORDERS).await).await;
    assert_eq!((answer.status, &*answer.member("code")), (StatusCode::FORBIDDEN, "insufficient_scope"));
}

#[tokio::test]
async fn a_token_for_another_service_is_refused() {
    let log = Log::of_this_process();
    let issuer = ForeignIssuer::start().await;
    let service = Service::trusting(issuer.url()).await;
    service.refuses(&issuer.token(INVOICES).await).await;
    assert_eq!(log.lines_with("the token is meant for another service").len(), 1);
    service.accepts(&issuer.token(ORDERS).await).await;
}

#[tokio::test]
async fn a_token_of_another_name_is_refused_though_the_key_is_the_same() {
    let log = Log::of_this_process();
    let issuer = ForeignIssuer::start().await;
    let service = Service::trusting(issuer.url()).await;
    let [own, others] = [issuer.token(ORDERS).await, issuer.other_token(ORDERS).await];
    assert_eq!(jwt::header(&own), jwt::header(&others));
    service.refuses(&others).await;
    assert_eq!(log.lines_with("the issuer is not trusted").len(), 1);
    Service::trusting(&issuer.other_url()).await.accepts(&others).await;
}

#[tokio::test]
async fn a_token_of_another_type_is_refused() {
    let log = Log::of_this_process();
    let issuer = ForeignIssuer::start().await;
    let service = Service::trusting(issuer.url()).await;
    let token = issuer.token(UNTYPED).await;
    assert_eq!((&jwt::header(&token)["typ"], &jwt::claims(&token)["aud"]), (&"JWT".into(), &ORDERS.into()));
    service.refuses(&token).await;
    assert_eq!(log.lines_with("the token is not an access token").len(), 1);
}

#[tokio::test]
async fn a_token_that_was_touched_is_refused() {
    let log = Log::of_this_process();
    let issuer = ForeignIssuer::start().await;
    let service = Service::trusting(issuer.url()).await;
    service.refuses(&jwt::damaged(&issuer.token(ORDERS).await)).await;
    assert_eq!(log.lines_with("the signature does not verify").len(), 1);
}
