//! An issuer that takes questions and answers none: nobody waits for it longer than was said, and nobody has to help afterwards.

use std::time::Duration;

use http::StatusCode;
use portcullis_guard::test_util::{Fault, Issuer};
use portcullis_guard::{Guard, GuardBuilder};
use tokio::time::{Instant, sleep};

use crate::whole::{app, clock, status};

const AUDIENCE: &str = "https://orders.test";

/// How long a start waits for keys, and how long a fetch may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a pause may be longer than it was said to be.
const SLACK: Duration = Duration::from_millis(500);

/// A guard by the clock of the runtime, which moves on by itself while everything waits, and the issuer beside it.
async fn setup() -> (Issuer, GuardBuilder) {
    let (_, clock) = clock();
    let began = Instant::now();
    let steady =
        portcullis_guard::Clock::from_fn(move || Duration::from_secs(crate::whole::NOW) + began.elapsed());
    let issuer = Issuer::start_at(clock).await.unwrap();
    let keys = portcullis_guard::Issuer::oidc(issuer.url());
    (issuer, Guard::builder().issuer(keys).audience(AUDIENCE).clock(steady))
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_a_stalled_issuer_for_five_seconds_and_the_service_recovers_alone() {
    let (issuer, builder) = setup().await;
    issuer.misbehave(Fault::Stall);
    let began = Instant::now();
    let guard = builder.build().await.unwrap();
    let waited = began.elapsed();
    assert!((DEADLINE.saturating_sub(SLACK)..=DEADLINE + SLACK).contains(&waited), "{waited:?}");
    assert!(!guard.is_ready());
    let app = app(&guard);
    let token = issuer.mint(AUDIENCE).token();
    let asked = Instant::now();
    assert_eq!(status(&app, &token).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(asked.elapsed() <= Duration::from_secs(2) + SLACK, "{:?}", asked.elapsed());
    issuer.misbehave(None);
    // The fetch that hangs still, and the longest pause between two while nobody is served.
    let patience = Instant::now() + DEADLINE + Duration::from_millis(4_400) + SLACK;
    while !guard.is_ready() {
        assert!(Instant::now() < patience, "it does not recover by itself");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status(&app, &token).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_of_keys_that_is_not_answered_ends_after_five_seconds() {
    let (issuer, builder) = setup().await;
    let guard = builder.manual_refresh().build().await.unwrap();
    let app = app(&guard);
    let known = issuer.mint(AUDIENCE).token();
    issuer.rotate();
    issuer.misbehave(Fault::Stall);
    let (before, began) = (issuer.fetches(), Instant::now());
    guard.refresh().await;
    let waited = began.elapsed();
    assert!((DEADLINE.saturating_sub(SLACK)..=DEADLINE + SLACK).contains(&waited), "{waited:?}");
    assert_eq!(issuer.fetches(), before + 1, "it was the keys that were asked for");
    assert_eq!(status(&app, &known).await, StatusCode::OK);
    issuer.misbehave(None);
    guard.refresh().await;
    assert_eq!(
        status(&app, &issuer.mint(AUDIENCE).token()).await,
        StatusCode::OK,
        "nothing is held up by it"
    );
}

// JW-21 where nobody calls `Guard::refresh`
#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_dies_by_the_refresh_in_the_background() {
    let (issuer, builder) = setup().await;
    let guard = builder.build().await.unwrap();
    let app = app(&guard);
    let old = issuer.mint(AUDIENCE).expires_in(Duration::from_hours(1)).token();
    assert_eq!(status(&app, &old).await, StatusCode::OK);
    issuer.rotate();
    issuer.withdraw_old_keys();
    let withdrawn = Instant::now();
    let mut last = Duration::ZERO;
    while status(&app, &old).await == StatusCode::OK {
        last = withdrawn.elapsed();
        sleep(Duration::from_secs(1)).await;
    }
    // A minute, a tenth more or less.
    assert!((Duration::from_secs(52)..=Duration::from_secs(67)).contains(&last), "{last:?}");
    assert_eq!(status(&app, &old).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&app, &issuer.mint(AUDIENCE).token()).await, StatusCode::OK);
}
