//! Limits that replicas share through Redis: `tests/run` starts the server that `PORTCULLIS_TEST_REDIS` names.

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use portcullis_guard::{
    BuildError, Dpop, Guard, GuardExt, GuardedRouter, Issuer, Key, Limit, LimitError, Limits, Quota,
    RedisLimits, authenticated, public,
};
use serde_json::json;

use crate::bound::{bound_token, proof};
use crate::redis::cli;
use crate::service::{Answer, Dial, builder, fetch, send};
use crate::signer::{ISSUER, Signer, jwks};

/// Nobody waits so long: what is tested is what is counted, however busy the machine is.
pub(crate) const PATIENT: Duration = Duration::from_mins(1);

/// The server of the test run, and a prefix that no other test has.
pub(crate) fn server() -> (String, String) {
    let url =
        std::env::var("PORTCULLIS_TEST_REDIS").expect("PORTCULLIS_TEST_REDIS: tests/run starts a server");
    let mut random = [0; 8];
    SystemRandom::new().fill(&mut random).unwrap();
    (url, format!("test:{:016x}", u64::from_be_bytes(random)))
}

pub(crate) fn shared(limits: Limits, url: &str, prefix: &str) -> Limits {
    limits.secret([7; 32]).shared(RedisLimits::new(url, 2).prefix(prefix).patience(PATIENT))
}

/// The type of the problem that a limit has with a request.
pub(crate) fn problem_type(answer: &Answer) -> Option<String> {
    let problem = (!answer.status.is_success()).then(|| answer.problem())?;
    Some(
        problem["type"]
            .as_str()?
            .strip_prefix("https://iana.org/assignments/http-problem-types#")?
            .to_owned(),
    )
}

pub(crate) struct Replica {
    pub(crate) guard: Guard,
    service: Router,
}

pub(crate) struct Setup {
    signer: Signer,
    dial: Dial,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self { signer: Signer::es256("a"), dial: Dial::new() }
    }

    pub(crate) fn token(&self, sub: &str) -> String {
        self.signer.token(&json!({ "sub": sub }))
    }

    pub(crate) async fn replica(&self, limits: Limits) -> Replica {
        self.replica_by(&self.dial, limits).await
    }

    /// One with a clock of its own.
    async fn replica_by(&self, dial: &Dial, limits: Limits) -> Replica {
        let issuer = Issuer::static_jwks(ISSUER, jwks([&self.signer]));
        let guard = builder(dial).issuer(issuer).dpop(Dpop::new()).limits(limits).build().await.unwrap();
        let service = GuardedRouter::new()
            .route("/me", get(async || "me").guard(authenticated()))
            .route("/dear", get(async || "dear").guard(authenticated().cost(4)))
            .route("/open", get(async || "open").guard(public()))
            .guarded_by(&guard);
        Replica { guard, service }
    }
}

impl Replica {
    pub(crate) async fn ask(&self, token: &str) -> Answer {
        fetch(&self.service, "/me", token).await
    }

    pub(crate) async fn passes(&self, token: &str) -> bool {
        let answer = self.ask(token).await;
        assert!([200, 429, 503].contains(&answer.status.as_u16()), "{answer:?}");
        assert_eq!(
            answer.status.is_success(),
            problem_type(&answer).is_none(),
            "a refusal by a limit: {answer:?}"
        );
        answer.status == StatusCode::OK
    }

    /// How many of so many requests pass.
    pub(crate) async fn count(&self, token: &str, requests: usize) -> usize {
        let mut passed = 0;
        for _ in 0..requests {
            passed += usize::from(self.passes(token).await);
        }
        passed
    }
}

#[tokio::test]
async fn replicas_let_through_one_quota_between_them() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let limits = || shared(Limits::new().by_identity(Quota::per_hour(100)), &url, &prefix);
    let replicas = [setup.replica(limits()).await, setup.replica(limits()).await];
    let token = setup.token("alice");
    assert_eq!(replicas[0].guard.status().limits_shared, Some(true));
    let first = replicas[0].ask(&token).await;
    assert_eq!(first.header("ratelimit"), r#""identity";r=99;t=36"#);
    let mut passed = 1;
    for round in 0..300 {
        passed += usize::from(replicas[round % 2].passes(&token).await);
    }
    assert_eq!(passed, 100);
    let refused = replicas[0].ask(&token).await;
    assert_eq!(refused.problem()["violated-policies"], json!(["identity"]));
    assert!((1..=37).contains(&refused.header("retry-after").parse::<u32>().unwrap()), "{refused:?}");
    assert!(replicas[1].passes(&setup.token("bob")).await, "another caller has a count of its own");
}

#[tokio::test]
async fn requests_that_come_at_once_are_counted_once_each() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let limits = || shared(Limits::new().by_identity(Quota::per_hour(100)), &url, &prefix);
    let replicas = [setup.replica(limits()).await, setup.replica(limits()).await];
    let token = setup.token("alice");
    let asked = (0..400).map(|number| replicas[number % 2].passes(&token));
    let passed = join_all(asked).await.into_iter().filter(|passed| *passed).count();
    // What was refused while the last tokens were on loan to the other replica is there now: five at each, at most.
    assert!((90..=100).contains(&passed), "{passed}");
    let rest = replicas[0].count(&token, 20).await + replicas[1].count(&token, 20).await;
    assert_eq!(passed + rest, 100);
}

#[tokio::test]
async fn a_day_is_shared_and_ends_at_midnight() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let limits =
        || shared(Limits::new().limit(Limit::new("day", Key::subject(), Quota::per_day(40))), &url, &prefix);
    let replicas = [setup.replica(limits()).await, setup.replica(limits()).await];
    let token = setup.signer.token(&json!({ "exp": 1_800_080_000 }));
    assert_eq!(replicas[0].ask(&token).await.header("ratelimit"), r#""day";r=39;t=57600"#);
    let passed = 1 + replicas[0].count(&token, 30).await + replicas[1].count(&token, 30).await;
    // The last one or two may be on loan to the replica that asked before.
    let rest = replicas[0].count(&token, 10).await;
    assert_eq!(passed + rest, 40);
    let refused = replicas[1].ask(&token).await;
    assert_eq!(refused.header("retry-after"), "57600");
    setup.dial.turn(Duration::from_hours(16));
    assert!(replicas[1].passes(&token).await, "a new day");
}

#[tokio::test]
async fn what_a_replica_did_not_spend_it_gives_back() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let limits = || {
        shared(Limits::new().limit(Limit::new("day", Key::subject(), Quota::per_day(1_000))), &url, &prefix)
    };
    let replica = setup.replica(limits()).await;
    let token = setup.token("alice");
    // It has borrowed 63 by then, for 40 requests.
    assert_eq!(replica.count(&token, 40).await, 40);
    setup.dial.turn(Duration::from_secs(3));
    let answer = replica.ask(&token).await;
    assert!(answer.header("ratelimit").starts_with(r#""day";r=959;"#), "{answer:?}");
    let other = setup.replica(limits()).await;
    let answer = other.ask(&token).await;
    let left: u32 = answer.header("ratelimit").split(['=', ';']).nth(2).unwrap().parse().unwrap();
    assert!((920..959).contains(&left), "at most a batch is on loan: {left}");
}

#[tokio::test]
async fn a_replica_that_dies_takes_along_what_it_had_at_hand_and_nothing_more() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let limits =
        || shared(Limits::new().limit(Limit::new("day", Key::subject(), Quota::per_day(100))), &url, &prefix);
    let token = setup.token("alice");
    let dying = setup.replica(limits()).await;
    assert_eq!(dying.count(&token, 8).await, 8);
    drop(dying);
    setup.dial.turn(Duration::from_secs(3));
    let rest = setup.replica(limits()).await.count(&token, 120).await;
    assert!((87..=92).contains(&rest), "at most five were on loan: {rest}");
}

#[tokio::test]
async fn a_request_that_waited_for_tokens_shows_its_proof_once() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let limits = shared(Limits::new().by_identity(Quota::per_hour(100)), &url, &prefix);
    let replica = setup.replica(limits).await;
    let key = Signer::es256("k");
    let token = bound_token(&setup.signer, &key);
    let proof = proof(&key, &token, &json!({}), &json!({}));
    let request = || {
        let request = Request::get("/me").header("authorization", format!("DPoP {token}"));
        request.header("dpop", &proof).body(Body::empty()).unwrap()
    };
    assert_eq!(send(&replica.service, request()).await.status, StatusCode::OK);
    assert_eq!(
        send(&replica.service, request()).await.status,
        StatusCode::UNAUTHORIZED,
        "a proof counts once"
    );
}

#[tokio::test]
async fn costs_and_guesses_are_shared_too() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let limits = || {
        let limits = Limits::new().by_identity(Quota::per_hour(10)).by_address(Quota::per_hour(20));
        shared(limits, &url, &prefix)
    };
    let replicas = [setup.replica(limits()).await, setup.replica(limits()).await];
    let ask = async |replica: &Replica, path: &str, token: &str| {
        let mut request = Request::get(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new([192, 0, 2, 1].into(), 1)));
        send(&replica.service, request).await.status.as_u16()
    };
    let token = setup.token("alice");
    assert_eq!(ask(&replicas[0], "/dear", &token).await, 200);
    assert_eq!(ask(&replicas[1], "/dear", &token).await, 200);
    assert_eq!(ask(&replicas[0], "/dear", &token).await, 429, "2 of 10 are left");
    // Of the 20 of the address, 8 are left, or 7: the third request spent them before it was refused.
    let mut statuses = Vec::new();
    for number in 0..8 {
        statuses.push(ask(&replicas[number % 2], "/me", "a.b.c").await);
        tokio::task::yield_now().await;
    }
    assert!(statuses.iter().filter(|status| **status == 401).count() < 8, "{statuses:?}");
    assert_eq!(ask(&replicas[0], "/open", "").await, 429, "guesses took the rest");
}

#[tokio::test]
async fn limits_are_not_shared_without_a_secret_or_without_an_address() {
    let build = async |limits: Limits| {
        let setup = Setup::new();
        let issuer = Issuer::static_jwks(ISSUER, jwks([&setup.signer]));
        builder(&setup.dial).issuer(issuer).limits(limits).build().await.map(drop)
    };
    let limits = || Limits::new().by_identity(Quota::per_hour(5));
    let url = "redis://:geheim@127.0.0.1:1";
    let open = build(limits().shared(RedisLimits::new(url, 2))).await;
    assert!(matches!(open, Err(BuildError::Limit(LimitError::NoSecret))));
    for url in ["http://:geheim@127.0.0.1", "", "redis://:geheim@127.0.0.1/x"] {
        let Err(error) = build(limits().secret([7; 32]).shared(RedisLimits::new(url, 2))).await else {
            panic!("{url}")
        };
        assert!(matches!(error, BuildError::Limit(LimitError::Url(_))), "{error}");
        assert!(!error.to_string().contains("geheim"), "{error}");
    }
    let shown = format!("{:?}", limits().secret([7; 32]).shared(RedisLimits::new(url, 2)));
    assert!(!shown.contains("geheim") && !shown.contains("7, 7"), "{shown}");
}

#[tokio::test]
async fn a_day_goes_on_at_a_replica_whose_clock_was_set_back() {
    let (url, prefix) = server();
    let (setup, behind) = (Setup::new(), Dial::new());
    setup.dial.turn(Duration::from_hours(16));
    let day = || Limits::new().limit(Limit::new("day", Key::subject(), Quota::per_day(4)));
    let ahead = setup.replica(shared(day(), &url, &prefix)).await;
    let late = setup.replica_by(&behind, shared(day(), &url, &prefix)).await;
    let token = setup.signer.token(&json!({ "exp": 1_800_080_000 }));
    assert_eq!(late.count(&token, 9).await, 4);
    assert_eq!(ahead.count(&token, 9).await, 4, "a new day");
    assert_eq!(late.count(&token, 9).await, 0, "the old one is remembered for those who are late");
    behind.turn(Duration::from_hours(16));
    assert_eq!(late.count(&token, 9).await, 0, "and the new one is the same for all");
}

#[tokio::test]
async fn redis_learns_nobodys_name_and_nobody_can_choose_a_name_there() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let limits = Limits::new().by_identity(Quota::per_hour(100)).limit(Limit::new(
        "day",
        Key::organisation().and(Key::route()),
        Quota::per_day(100),
    ));
    let replica = setup.replica(shared(limits, &url, &prefix)).await;
    for name in ["alice", "x:identity:0", "* FLUSHALL", "{a}", "\u{e9}\u{2028}"] {
        let token = setup.signer.token(&json!({ "sub": name, "org": name, "client_id": name }));
        assert!(replica.passes(&token).await, "{name:?}");
    }
    let listed = cli(&url, &["--scan", "--pattern", &format!("{prefix}:*")]);
    let names: Vec<_> = listed.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
    assert_eq!(names.len(), 11, "five callers, two counts of each, and the probe: {names:?}");
    for name in names.into_iter().filter(|name| *name != ":probe") {
        let parts: Vec<_> = name.split(':').collect();
        let is_hash = |part: &str| part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_day = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        assert!(["identity", "day"].contains(&parts[1]) && is_hash(parts[2]), "{name}");
        assert!(parts.get(3).is_none_or(is_day) && parts.len() < 5, "{name}");
    }
}
