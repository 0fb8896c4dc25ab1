//! What becomes of shared limits while Redis is away, and how it is told of.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use portcullis_guard::{
    GuardExt, GuardedRouter, Key, Limit, Limits, Quota, RedisLimits, WhileAway, authenticated,
};
use serde_json::json;

use crate::redis::{Redis, Said};
use crate::service::fetch;
use crate::shared_limits::{PATIENT, Setup, problem_type, shared};

// FAULTS F15
#[tokio::test]
async fn while_redis_is_away_each_replica_lets_through_its_share_and_says_so_once() {
    let said = Said::default();
    let _listening = said.listen();
    let mut redis = Redis::start();
    let setup = Setup::new();
    let limits = || shared(Limits::new().by_identity(Quota::per_hour(100)), &redis.url(), "test");
    let replicas = [setup.replica(limits()).await, setup.replica(limits()).await];
    let token = setup.token("alice");
    let before = replicas[0].count(&token, 10).await + replicas[1].count(&token, 10).await;
    assert_eq!((before, said.so_far()), (20, (0, 0)));

    redis.end();
    let mut meanwhile = 0;
    for replica in &replicas {
        let passed = replica.count(&token, 200).await;
        // Its share is 50; beside, it had up to 5 on loan.
        assert!((50..=55).contains(&passed), "{passed}");
        assert_eq!(replica.guard.status().limits_shared, Some(false));
        assert!(replica.guard.is_ready(), "limits alone close no guard");
        meanwhile += passed;
    }
    assert!(meanwhile <= 110, "{meanwhile}");
    assert_eq!(said.so_far(), (2, 0), "one warning of each guard");
    assert!(replicas[0].passes(&setup.token("bob")).await, "others are served");

    let _redis = Redis::start_at(redis.port);
    for replica in &replicas {
        replica.guard.refresh().await;
        assert_eq!(replica.guard.status().limits_shared, Some(true));
    }
    assert_eq!(said.so_far(), (2, 2), "and one line when it is back");
    let after = replicas[0].count(&token, 200).await + replicas[1].count(&token, 200).await;
    assert_eq!(
        after + replicas[0].count(&token, 10).await,
        100,
        "it came back without its data, and counts anew"
    );
}

#[tokio::test]
async fn whom_a_share_refuses_is_told_so_and_who_exceeds_the_quota_by_itself_is_told_that() {
    let mut redis = Redis::start();
    redis.end();
    let setup = Setup::new();
    let limits = shared(Limits::new().by_identity(Quota::per_hour(4)), &redis.url(), "test");
    let replica = setup.replica(limits).await;
    let token = setup.token("alice");
    assert_eq!(replica.count(&token, 2).await, 2);
    let reduced = replica.ask(&token).await;
    assert_eq!(reduced.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reduced.code(), "reduced_capacity");
    assert_eq!(problem_type(&reduced).as_deref(), Some("temporary-reduced-capacity"));
    assert_eq!(reduced.problem()["title"], json!("Temporary Reduced Capacity"));
    assert_eq!(reduced.problem()["violated-policies"], json!(["identity"]));
    assert_eq!(reduced.header("ratelimit-policy"), r#""identity";q=2;w=3600"#, "what there is for now");
    assert_eq!(reduced.header("ratelimit"), r#""identity";r=0;t=1800"#);
    assert_eq!(reduced.header("retry-after"), "1800");
    assert_eq!(replica.ask(&token).await.status, StatusCode::SERVICE_UNAVAILABLE, "the fourth of four");
    let exceeded = replica.ask(&token).await;
    assert_eq!(exceeded.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(problem_type(&exceeded).as_deref(), Some("quota-exceeded"));
    assert_eq!(exceeded.header("ratelimit-policy"), r#""identity";q=4;w=3600"#);
    assert_eq!(exceeded.header("retry-after"), "1800", "sooner, the share would refuse it");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_where_it_should_counts_as_away() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rediss://{}", plain.local_addr().unwrap());
    std::thread::spawn(move || {
        plain.incoming().for_each(|stream| drop(stream.unwrap().write_all(b"-ERR this is no TLS\r\n")));
    });
    let setup = Setup::new();
    let replica = setup.replica(shared(Limits::new().by_identity(Quota::per_hour(4)), &url, "test")).await;
    assert_eq!(replica.guard.status().limits_shared, Some(false));
    assert_eq!(replica.count(&setup.token("alice"), 4).await, 2);
}

// FAULTS F17
#[tokio::test]
async fn a_redis_that_hangs_holds_no_request_up() {
    let redis = Redis::start();
    let setup = Setup::new();
    let through = RedisLimits::new(redis.url(), 2).patience(Duration::from_millis(5));
    let limits = Limits::new().by_identity(Quota::per_hour(4)).secret([7; 32]).shared(through);
    let replica = setup.replica(limits).await;
    assert_eq!(replica.guard.status().limits_shared, Some(true));
    redis.signal("-STOP");
    // None of it waits for an answer that never comes: two pass, by the share, and the rest is told so.
    assert_eq!(replica.count(&setup.token("alice"), 20).await, 2);
    redis.signal("-CONT");
}

#[tokio::test]
async fn a_guard_starts_without_redis_and_finds_it_later() {
    let said = Said::default();
    let _listening = said.listen();
    let mut redis = Redis::start();
    redis.end();
    let setup = Setup::new();
    let limits = shared(Limits::new().by_identity(Quota::per_hour(4)), &redis.url(), "test");
    let replica = setup.replica(limits).await;
    assert_eq!(replica.guard.status().limits_shared, Some(false));
    assert_eq!(replica.count(&setup.token("alice"), 4).await, 2);
    replica.guard.refresh().await;
    assert_eq!(said.so_far(), (1, 0));
    let _redis = Redis::start_at(redis.port);
    replica.guard.refresh().await;
    assert_eq!((replica.guard.status().limits_shared, said.so_far()), (Some(true), (1, 1)));
    assert_eq!(replica.count(&setup.token("alice"), 5).await, 4);
}

#[tokio::test]
async fn where_limits_are_open_everybody_passes_and_is_told_what_was_seen_here() {
    let mut redis = Redis::start();
    let setup = Setup::new();
    let through = |url: String| RedisLimits::new(url, 2).patience(PATIENT).while_away(WhileAway::Open);
    let limits = Limits::new().by_identity(Quota::per_hour(4)).secret([7; 32]).shared(through(redis.url()));
    let replica = setup.replica(limits).await;
    let token = setup.token("alice");
    assert_eq!(replica.count(&token, 10).await, 4, "while it is there, it counts");
    redis.end();
    let bob = setup.token("bob");
    assert_eq!(replica.count(&bob, 3).await, 3);
    assert_eq!(replica.ask(&bob).await.header("ratelimit"), r#""identity";r=0;t=3600"#);
    assert_eq!(replica.count(&bob, 20).await, 20);
    assert!(replica.guard.is_ready());
    let _redis = Redis::start_at(redis.port);
    replica.guard.refresh().await;
    assert_eq!(replica.count(&bob, 10).await, 4, "and counts again when it is back");
}

#[tokio::test]
async fn where_limits_are_closed_nobody_passes_who_has_nothing_at_hand() {
    let mut redis = Redis::start();
    let setup = Setup::new();
    let through = RedisLimits::new(redis.url(), 2).patience(PATIENT).while_away(WhileAway::Closed);
    let limits = Limits::new().by_identity(Quota::per_hour(4)).secret([7; 32]).shared(through);
    let replica = setup.replica(limits).await;
    assert_eq!(replica.ask(&setup.token("alice")).await.status, StatusCode::OK);
    assert!(replica.guard.is_ready());
    redis.end();
    // The first finds out, and the others know.
    for _ in 0..3 {
        let answer = replica.ask(&setup.token("bob")).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        assert_eq!(answer.header("retry-after"), "1");
        assert!(!replica.guard.is_ready(), "it would refuse everybody");
    }
    let _redis = Redis::start_at(redis.port);
    replica.guard.refresh().await;
    assert!(replica.guard.is_ready());
    assert_eq!(replica.count(&setup.token("bob"), 10).await, 4);
}

#[tokio::test]
async fn a_limit_may_say_otherwise_than_the_guard() {
    let mut redis = Redis::start();
    redis.end();
    let setup = Setup::new();
    let mode = |all, one| {
        let own = Limit::new("own", Key::subject(), Quota::per_hour(4)).while_away(one);
        let through = RedisLimits::new(redis.url(), 2).patience(PATIENT).while_away(all);
        Limits::new().by_identity(Quota::per_hour(100)).limit(own).secret([7; 32]).shared(through)
    };
    for (all, one, passed, is_ready) in [
        (WhileAway::Closed, WhileAway::Open, 0, false),
        (WhileAway::Open, WhileAway::Closed, 0, false),
        (WhileAway::Closed, WhileAway::Share, 0, false),
        (WhileAway::Open, WhileAway::Share, 2, true),
        (WhileAway::Share, WhileAway::Open, 20, true),
    ] {
        let replica = setup.replica(mode(all, one)).await;
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(replica.ask(&setup.token("alice")).await.status);
        }
        let served = statuses.iter().filter(|status| **status == StatusCode::OK).count();
        assert_eq!((served, replica.guard.is_ready()), (passed, is_ready), "{all:?} {one:?}");
    }
}

#[tokio::test]
async fn a_route_may_be_closed_where_the_others_go_on() {
    let mut redis = Redis::start();
    redis.end();
    let setup = Setup::new();
    let codes = Limit::new("codes", Key::subject(), Quota::per_hour(4)).while_away(WhileAway::Closed);
    let limits = shared(Limits::new().by_identity(Quota::per_hour(100)), &redis.url(), "test");
    let replica = setup.replica(limits).await;
    let service: Router = GuardedRouter::new()
        .route("/code", get(async || "right").guard(authenticated().limit(codes)))
        .route("/me", get(async || "me").guard(authenticated()))
        .guarded_by(&replica.guard);
    let token = setup.token("alice");
    assert_eq!(fetch(&service, "/code", &token).await.code(), "unavailable");
    assert_eq!(fetch(&service, "/me", &token).await.status, StatusCode::OK);
    assert!(replica.guard.is_ready(), "one route is not the guard");
}
