//! An issuer that is away for an hour, while services go on.
//!
//! `PORTCULLIS_HOUR_RATE=1000 cargo test --release -p portcullis-guard --all-features --test kit hour -- --nocapture` asks as often
//! as a busy service is asked.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use portcullis_guard::Guard;
use portcullis_guard::test_util::{Fault, Issuer};
use tokio::runtime::Runtime;

use crate::whole::{app, clock, status};

const AUDIENCE: &str = "https://orders.test";

/// Tokens that are used again and again.
const KNOWN: usize = 500;

/// Requests in each second, of which an hour has many.
fn each_second() -> usize {
    let told = std::env::var("PORTCULLIS_HOUR_RATE");
    told.map_or(10, |rate| rate.parse().expect("PORTCULLIS_HOUR_RATE is a number of requests"))
}

/// How an issuer is away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Absence {
    /// Its connections are closed, and no new one is taken.
    Dead,
    /// It takes every question and answers none.
    Stalled,
}

/// What an issuer lives by: its tasks and sockets end with this. Its keys sign on.
struct Life(Option<Runtime>);

impl Life {
    fn end(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}

/// The answers, by status.
#[derive(Debug, Default)]
struct Answers(BTreeMap<u16, usize>);

impl Answers {
    /// Asks with a token and counts the answer, which has to be the expected one.
    async fn ask(&mut self, app: &Router, token: &str, expected: StatusCode) {
        let status = status(app, token).await;
        *self.0.entry(status.as_u16()).or_default() += 1;
        assert_eq!(status, expected, "after {:?}", self.0);
    }
}

/// With each second come tokens that are known, one in a hundred that was never seen, and a forged one.
async fn an_hour(app: &Router, issuer: &Issuer, mut begin: impl FnMut(usize)) -> Answers {
    let rate = each_second();
    let mint = || issuer.mint(AUDIENCE).expires_in(Duration::from_hours(2)).token();
    let known: Vec<_> = (0..KNOWN).map(|_| mint()).collect();
    let (fresh, mut answers) = (rate.div_ceil(100), Answers::default());
    for second in 0..3_600 {
        begin(second);
        // Who looks for new keys has to get on with it.
        tokio::task::yield_now().await;
        for token in known.iter().cycle().skip(second % KNOWN).take(rate - fresh) {
            answers.ask(app, token, StatusCode::OK).await;
        }
        let mut last = String::new();
        for _ in 0..fresh {
            last = mint();
            answers.ask(app, &last, StatusCode::OK).await;
        }
        let (signed, signature) = last.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{signed}.{other}{}", &signature[1..]);
        answers.ask(app, &forged, StatusCode::UNAUTHORIZED).await;
    }
    answers
}

#[tokio::test]
async fn an_issuer_that_stalls_for_an_hour_refuses_nobody_whose_key_is_known() {
    an_issuer_that_is_away_refuses_nobody_whose_key_is_known(Absence::Stalled).await;
}

#[tokio::test]
async fn an_issuer_that_dies_for_an_hour_refuses_nobody_whose_key_is_known() {
    an_issuer_that_is_away_refuses_nobody_whose_key_is_known(Absence::Dead).await;
}

async fn an_issuer_that_is_away_refuses_nobody_whose_key_is_known(absence: Absence) {
    let (secs, clock) = clock();
    let runtime = Runtime::new().unwrap();
    let issuer = runtime.spawn(Issuer::start_at(clock.clone())).await.unwrap().unwrap();
    let mut life = Life(Some(runtime));
    let guard = Guard::builder()
        .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
        .audience(AUDIENCE)
        .clock(clock)
        .manual_refresh()
        .build()
        .await
        .unwrap();
    let app = app(&guard);
    match absence {
        Absence::Dead => life.end(),
        Absence::Stalled => issuer.misbehave(Fault::Stall),
    }
    let mut looks = Vec::new();
    let answers = an_hour(&app, &issuer, |second| {
        secs.fetch_add(u64::from(second > 0), Ordering::Relaxed);
        // Somebody looks for new keys all the while.
        if second % 300 == 0 {
            let guard = guard.clone();
            looks.push(tokio::spawn(async move { guard.refresh().await }));
        }
    });
    let answers = answers.await;
    println!(
        "{absence:?} for an hour at {} requests a second, answers by status: {:?}",
        each_second(),
        answers.0
    );
    secs.fetch_add(2, Ordering::Relaxed);
    let token = issuer.mint(AUDIENCE).token();
    assert_eq!(
        status(&app, &token).await,
        StatusCode::SERVICE_UNAVAILABLE,
        "that is for nobody to answer 401"
    );
    looks.iter().for_each(tokio::task::JoinHandle::abort);
    if absence == Absence::Stalled {
        issuer.misbehave(None);
        guard.refresh().await;
        assert_eq!(status(&app, &issuer.mint(AUDIENCE).token()).await, StatusCode::OK);
    }
}
