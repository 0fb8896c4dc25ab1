//! An issuer that stalls for an hour, while services go on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use portcullis_guard::Guard;
use portcullis_guard::test_util::{Fault, Issuer};

use crate::whole::{app, clock, status};

/// Requests in each second, of which an hour has many.
const EACH_SECOND: usize = 10;

#[tokio::test]
async fn an_issuer_that_stalls_for_an_hour_refuses_nobody_whose_key_is_known() {
    let (secs, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let guard = Guard::builder()
        .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
        .audience("https://orders.test")
        .clock(clock)
        .manual_refresh()
        .build()
        .await
        .unwrap();
    let app = app(&guard);
    let mint = || issuer.mint("https://orders.test").expires_in(Duration::from_hours(2)).token();
    let tokens: Vec<_> = (0..50).map(|_| mint()).collect();
    issuer.misbehave(Fault::Stall);
    let mut looks = Vec::new();
    for second in 0..3_600 {
        // Somebody looks for new keys all the while, and somebody comes with a token that was never seen.
        if second % 300 == 0 {
            let guard = guard.clone();
            looks.push(tokio::spawn(async move { guard.refresh().await }));
            assert_eq!(status(&app, &mint()).await, StatusCode::OK);
        }
        for token in tokens.iter().cycle().skip(second).take(EACH_SECOND) {
            assert_eq!(status(&app, token).await, StatusCode::OK, "second {second}");
        }
        secs.fetch_add(1, Ordering::Relaxed);
    }
    secs.fetch_add(1, Ordering::Relaxed);
    assert_eq!(
        status(&app, &mint()).await,
        StatusCode::SERVICE_UNAVAILABLE,
        "that is for nobody to answer 401"
    );
    looks.iter().for_each(tokio::task::JoinHandle::abort);
    issuer.misbehave(None);
    guard.refresh().await;
    assert_eq!(status(&app, &mint()).await, StatusCode::OK);
}
