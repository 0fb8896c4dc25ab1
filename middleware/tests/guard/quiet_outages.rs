//! What strangers have the log say while something is away: it is said once, and then ever more rarely.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::{Request, StatusCode};
use portcullis_guard::{
    GuardExt, GuardedRouter, Limits, Quota, RedisLimits, RedisSessions, WhileAway, public,
};
use serde_json::json;

use crate::login::browser::{OWN, guard_at, service as pages};
use crate::login::provider::{CLIENT, Provider};
use crate::outages::Log;
use crate::service::{Dial, guard_of, send};
use crate::signer::{NOW, Signer};

/// Nobody listens there.
const AWAY: &str = "redis://127.0.0.1:1";
const REQUESTS: usize = 50;

/// Sends the same request again and again, and says how many lines a person has to read.
async fn said(app: &Router, log: &Log, request: impl Fn() -> Request<Body>) -> usize {
    for _ in 0..REQUESTS {
        let answer = send(app, request()).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    }
    let is_loud = |line: &String| line.starts_with("WARN") || line.starts_with("ERROR");
    log.lines().iter().filter(|line| is_loud(line)).count()
}

fn asking(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request =
        headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn sessions_that_were_made_up_are_told_of_rarely_while_redis_is_away() {
    let dial = Dial::new();
    let provider = Provider::start(&dial).await;
    let store = RedisSessions::new(AWAY).unwrap();
    let guard = guard_at(&provider, &dial, |login| login.store(store), |guard| guard).await;
    let app = pages(&guard);
    let (log, _set) = Log::begin();
    let id = "A".repeat(43);
    let session = format!("__Host-session={id}");
    let visits = said(&app, &log, || asking("/me", &[("cookie", &session)])).await;
    assert!(visits < 5, "{visits}");
    let begun = format!("__Host-session-login-0=1.{id}");
    let callback = format!("/auth/callback?state=0.{id}&code=x");
    let returns = said(&app, &log, || asking(&callback, &[("cookie", &begun)])).await;
    assert!((1..5).contains(&returns), "{returns}");
    let sign_outs = said(&app, &log, || {
        let request = Request::post("/auth/logout").header("cookie", &session).header("origin", OWN);
        request.body(Body::empty()).unwrap()
    });
    let sign_outs = sign_outs.await;
    assert!((1..5).contains(&sign_outs), "{sign_outs}");
}

#[tokio::test]
async fn limits_that_are_closed_are_told_of_rarely() {
    let signer = Signer::es256("a");
    let shared = RedisLimits::new(AWAY, 1).while_away(WhileAway::Closed);
    let limits = Limits::new().by_address(Quota::per_minute(60)).secret([7; 32]).shared(shared);
    let guard = guard_of(&signer).limits(limits).build().await.unwrap();
    let app: Router = GuardedRouter::new().route("/", get(async || "x").guard(public())).guarded_by(&guard);
    let (log, _set) = Log::begin();
    let requests = said(&app, &log, || {
        let mut request = asking("/", &[]);
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1))));
        request
    });
    let requests = requests.await;
    assert!(requests < 5, "{requests}");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_told_of_rarely() {
    let dial = Dial::new();
    let provider = Provider::start(&dial).await;
    provider.told().is_away = true;
    let guard = guard_at(&provider, &dial, |login| login, |guard| guard).await;
    let app = pages(&guard);
    let (log, _set) = Log::begin();
    let departures = said(&app, &log, || asking("/auth/login", &[])).await;
    assert!((1..5).contains(&departures), "{departures}");
    let stranger = Signer::es256("made-up");
    let mut header = stranger.header();
    header["typ"] = "logout+jwt".into();
    let claims =
        json!({ "iss": provider.url, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "l1", "sid": "s1" });
    let form = format!("logout_token={}", stranger.sign(&header, &claims));
    let told = said(&app, &log, || {
        let request = Request::post("/auth/backchannel-logout");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(Body::from(form.clone())).unwrap()
    });
    let told = told.await;
    assert!((1..5).contains(&told), "{told}");
}
