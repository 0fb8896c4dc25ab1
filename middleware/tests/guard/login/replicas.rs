//! Sessions that replicas share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use http::StatusCode;
use portcullis_guard::{Guard, RedisSessions, StoreState};
use serde_json::json;

use crate::login::browser::{Browser, guard_at, service};
use crate::login::provider::{CLIENT, Provider};
use crate::redis::{Redis, cli};
use crate::service::Dial;
use crate::signer::NOW;

/// Two replicas with one store.
struct Pair {
    redis: Redis,
    provider: Provider,
    dial: Dial,
    guards: [Guard; 2],
    services: [Router; 2],
}

impl Pair {
    async fn new() -> Self {
        let (redis, dial) = (Redis::start(), Dial::new());
        let provider = Provider::start(&dial).await;
        let guard = async || {
            let store = RedisSessions::new(redis.url()).unwrap();
            let guard = guard_at(&provider, &dial, |login| login.store(store), |guard| guard).await;
            guard.refresh().await;
            guard
        };
        let guards = [guard().await, guard().await];
        let services = [service(&guards[0]), service(&guards[1])];
        Self { redis, provider, dial, guards, services }
    }

    fn browser(&self, replica: usize) -> Browser {
        Browser { service: self.services[replica].clone(), cookies: BTreeMap::new() }
    }

    /// The same browser, whose requests come to another replica.
    fn moved(&self, browser: &Browser, replica: usize) -> Browser {
        Browser { service: self.services[replica].clone(), cookies: browser.cookies.clone() }
    }

    async fn signed_in(&self) -> Browser {
        let mut browser = self.browser(0);
        let location = browser.begin("/auth/login").await;
        let mut browser = self.moved(&browser, 1);
        let answer = browser.come_back(&self.provider.answer(&location)).await;
        assert_eq!(answer.header("location"), "/", "{answer:?}");
        self.moved(&browser, 0)
    }
}

#[tokio::test]
async fn a_sign_in_is_finished_at_another_replica_and_its_session_is_known_to_all() {
    let pair = Pair::new().await;
    let browser = pair.signed_in().await;
    for replica in [0, 1] {
        assert_eq!(pair.moved(&browser, replica).fetch("/me").await.body, "alice");
    }
    let mut other = pair.browser(0);
    let location = other.begin("/auth/login").await;
    let back = pair.provider.answer(&location);
    assert_eq!(pair.moved(&other, 1).come_back(&back).await.status, StatusCode::SEE_OTHER);
    assert_eq!(
        pair.moved(&other, 0).come_back(&back).await.status,
        StatusCode::BAD_REQUEST,
        "once, anywhere"
    );
}

#[tokio::test]
async fn a_copy_of_the_store_says_nothing() {
    let pair = Pair::new().await;
    let browser = pair.signed_in().await;
    let url = pair.redis.url();
    let keys = cli(&url, &["KEYS", "*"]);
    let session = browser.session().unwrap();
    assert!(keys.contains("{portcullis:sessions}:s:") && !keys.contains(session.as_str()), "{keys}");
    let key = keys.lines().find(|key| key.contains(":s:")).unwrap();
    let sealed =
        std::process::Command::new("redis-cli").args(["-u", &url, "HGET", key, "s"]).output().unwrap();
    let text = String::from_utf8_lossy(&sealed.stdout).into_owned();
    assert!(!text.contains("refresh-") && !text.contains("alice") && !text.contains("eyJ"), "{text}");
    assert!(!format!("{:?}", RedisSessions::new("redis://:s3cret@127.0.0.1").unwrap()).contains("s3cret"));
    assert!(RedisSessions::new("http://127.0.0.1").is_err());
}

#[tokio::test]
async fn services_with_prefixes_of_their_own_share_a_server_and_no_sessions() {
    let (redis, dial) = (Redis::start(), Dial::new());
    let provider = Provider::start(&dial).await;
    let service_of = async |prefix: Option<&str>| {
        let store = RedisSessions::new(redis.url()).unwrap();
        let store = prefix.into_iter().fold(store, RedisSessions::prefix);
        let guard = guard_at(&provider, &dial, |login| login.store(store), |guard| guard).await;
        guard.refresh().await;
        service(&guard)
    };
    let mut browser = Browser { service: service_of(Some("{the shop}")).await, cookies: BTreeMap::new() };
    let location = browser.begin("/auth/login").await;
    browser.begin("/auth/login").await;
    let answer = browser.come_back(&provider.answer(&location)).await;
    assert_eq!(answer.header("location"), "/", "{answer:?}");
    for (prefix, is_known) in
        [(Some("{the shop}"), true), (Some("{theshop}"), true), (Some("{desk}"), false), (None, false)]
    {
        let mut same = Browser { service: service_of(prefix).await, cookies: browser.cookies.clone() };
        let answer = same.fetch("/me").await;
        assert_eq!(answer.body == "alice", is_known, "{prefix:?} {answer:?}");
        assert!(is_known || answer.status == StatusCode::UNAUTHORIZED, "{prefix:?} {answer:?}");
    }
    // A user who may touch what is under one prefix can be given to a service: it asks for nothing else, its probe neither.
    cli(&redis.url(), &["ACL", "SETUSER", "desk", "on", ">word", "~{desk}:*", "+@all"]);
    let store = || RedisSessions::new(redis.url().replace("redis://", "redis://desk:word@")).unwrap();
    for (prefix, state) in [("{desk}", StoreState::Reached), ("{shop}", StoreState::Failing)] {
        let store = store().prefix(prefix);
        let guard = guard_at(&provider, &dial, |login| login.store(store), |guard| guard).await;
        guard.refresh().await;
        assert_eq!(guard.status().sessions, Some(state), "{prefix}");
        let mut browser = Browser { service: service(&guard), cookies: BTreeMap::new() };
        if state == StoreState::Reached {
            let location = browser.begin("/auth/login").await;
            browser.come_back(&provider.answer(&location)).await;
            assert_eq!(browser.fetch("/me").await.body, "alice");
        }
    }
}

#[tokio::test]
async fn replicas_renew_a_session_once_together() {
    let pair = Pair::new().await;
    let browser = pair.signed_in().await;
    pair.dial.turn(Duration::from_secs(301));
    pair.provider.hold().await;
    let requests = [0, 1, 0, 1].map(|replica| {
        let mut browser = pair.moved(&browser, replica);
        tokio::spawn(async move { browser.fetch("/token").await })
    });
    while pair.provider.told().asked.renewals == 0 {
        tokio::task::yield_now().await;
    }
    pair.provider.let_go();
    let mut tokens = Vec::new();
    for request in requests {
        tokens.push(request.await.unwrap().body);
    }
    assert!(tokens.iter().all(|token| *token == tokens[0] && token.starts_with("token-")), "{tokens:?}");
    assert_eq!(pair.provider.told().asked.renewals, 1);
}

#[tokio::test]
async fn a_replica_that_was_taken_for_dead_goes_on_with_what_another_one_brought() {
    let pair = Pair::new().await;
    let browser = pair.signed_in().await;
    pair.provider.told().members = json!({ "refresh_token": null });
    pair.dial.turn(Duration::from_secs(301));
    pair.provider.hold().await;
    let mut requests = Vec::new();
    for replica in [0, 1] {
        let mut browser = pair.moved(&browser, replica);
        requests.push(tokio::spawn(async move { browser.fetch("/token").await }));
        while pair.provider.told().asked.renewals == replica {
            tokio::task::yield_now().await;
        }
        // Its turn ends before it does.
        let url = pair.redis.url();
        for key in cli(&url, &["KEYS", "*:c:*"]).lines() {
            cli(&url, &["DEL", key]);
        }
    }
    pair.provider.let_go();
    let mut tokens = Vec::new();
    for request in requests {
        let answer = request.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        tokens.push(answer.body);
    }
    assert_eq!(tokens[0], tokens[1]);
    assert!(pair.provider.told().asked.revoked.is_empty(), "the other one may go by the same refresh token");
}

#[tokio::test]
async fn a_sign_out_anywhere_is_one_everywhere() {
    let pair = Pair::new().await;
    let browser = pair.signed_in().await;
    pair.moved(&browser, 1).submit("/auth/logout").await;
    assert_eq!(pair.moved(&browser, 0).fetch("/me").await.code(), "unauthenticated");

    let browser = pair.signed_in().await;
    let token = pair.provider.sign(
        "logout+jwt",
        &json!({
            "iss": pair.provider.url, "aud": CLIENT, "iat": NOW, "exp": NOW + 120, "jti": "l1", "sub": "alice",
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        }),
    );
    let body = format!("logout_token={token}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for (replica, status) in [(0, StatusCode::OK), (1, StatusCode::BAD_REQUEST)] {
        let answer = pair.browser(replica).ask("POST", "/auth/backchannel-logout", &form, &body).await;
        assert_eq!(answer.status, status, "a logout token counts once: {answer:?}");
    }
    assert_eq!(pair.moved(&browser, 1).fetch("/me").await.code(), "unauthenticated");
    assert!(!cli(&pair.redis.url(), &["KEYS", "*"]).contains(":n:"), "no name is left behind");
}

#[tokio::test]
async fn sessions_are_kept_for_as_long_as_they_are_used() {
    let pair = Pair::new().await;
    let mut browser = pair.signed_in().await;
    let url = pair.redis.url();
    let left = || {
        let keys = cli(&url, &["KEYS", "*"]);
        let of =
            |kind: &str| keys.lines().filter(|key| key.contains(kind)).map(str::to_owned).collect::<Vec<_>>();
        let ttl = |key: String| cli(&url, &["TTL", &key]).trim().parse::<u64>().unwrap();
        of(":s:").into_iter().chain(of(":n:")).map(ttl).min().unwrap()
    };
    assert!((28_700..=28_800).contains(&left()), "eight hours: {}", left());
    pair.dial.turn(Duration::from_hours(20));
    // By its clock it has ended, whether the store knows it or not.
    assert_eq!(browser.fetch("/me").await.code(), "unauthenticated");
    let mut browser = pair.signed_in().await;
    pair.dial.turn(Duration::from_hours(7));
    assert_eq!(browser.fetch("/me").await.body, "alice");
    pair.dial.turn(Duration::from_hours(7));
    assert_eq!(browser.fetch("/me").await.body, "alice");
}

#[tokio::test]
async fn nobody_fills_the_store_alone_and_of_too_many_sessions_the_oldest_end() {
    let pair = Pair::new().await;
    let mut browsers = Vec::new();
    for _ in 0..100 {
        browsers.push(pair.signed_in().await);
    }
    // One that is renewed is no younger for it.
    pair.dial.turn(Duration::from_secs(301));
    assert_eq!(browsers[0].fetch("/me").await.body, "alice");
    browsers[3].submit("/auth/logout").await;
    for _ in 0..3 {
        browsers.push(pair.signed_in().await);
    }
    let keys = cli(&pair.redis.url(), &["KEYS", "*"]);
    assert_eq!(keys.lines().filter(|key| key.contains(":s:")).count(), 100);
    for (number, browser) in browsers.iter_mut().enumerate() {
        let answer = browser.fetch("/me").await;
        let has_ended = [0, 1, 3].contains(&number);
        assert_eq!(answer.status == StatusCode::UNAUTHORIZED, has_ended, "{number}: {answer:?}");
    }
}

#[tokio::test]
async fn strangers_who_begin_sign_ins_are_refused_when_there_are_too_many_and_none_gives_way() {
    let (redis, dial) = (Redis::start(), Dial::new());
    let provider = Provider::start(&dial).await;
    let store = RedisSessions::new(redis.url()).unwrap().most_sign_ins(20);
    let guard = guard_at(&provider, &dial, |login| login.store(store), |guard| guard).await;
    guard.refresh().await;
    let from = |address: &str| {
        let peer = ConnectInfo(SocketAddr::new(address.parse().unwrap(), 1));
        Browser { service: service(&guard).layer(Extension(peer)), cookies: BTreeMap::new() }
    };
    let mut first = from("2001:db8:1::1");
    let location = first.begin("/auth/login").await;
    let refused = async |address: &str| {
        let answer = from(address).open("/auth/login").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert_eq!((answer.header("retry-after"), answer.header("set-cookie")), ("1", ""));
    };
    from("2001:db8:1:ffff::1").begin("/auth/login").await;
    refused("2001:db8:1:2::1").await;
    for network in 2..11 {
        for host in 1..3 {
            from(&format!("2001:db8:{network:x}::{host}")).begin("/auth/login").await;
        }
    }
    refused("192.0.2.1").await;
    let keys = cli(&redis.url(), &["KEYS", "*"]);
    assert_eq!(keys.lines().filter(|key| key.contains(":b:")).count(), 20);
    // Who comes back makes room, and was not pushed out.
    assert_eq!(first.come_back(&provider.answer(&location)).await.header("location"), "/");
    from("192.0.2.1").begin("/auth/login").await;
    refused("192.0.2.2").await;
    dial.turn(Duration::from_mins(10));
    from("192.0.2.1").begin("/auth/login").await;
    let keys = cli(&redis.url(), &["KEYS", "*"]);
    let ends = |key: &str| cli(&redis.url(), &["TTL", key]).trim().parse::<i64>().unwrap();
    assert!(keys.lines().all(|key| ends(key) != -1), "nothing there is for ever: {keys}");
}

#[tokio::test]
async fn a_store_that_is_away_signs_nobody_out() {
    let mut pair = Pair::new().await;
    let mut browser = pair.signed_in().await;
    let port = pair.redis.port;
    pair.redis.signal("-STOP");
    for answer in [browser.fetch("/me").await, browser.open("/me").await, browser.open("/auth/login").await] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    }
    let answer = browser.submit("/auth/logout").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(browser.session().is_some(), "whoever is told to try again can");
    assert_eq!(
        (pair.guards[0].status().sessions, pair.guards[0].is_ready()),
        (Some(StoreState::Away), false)
    );
    pair.redis.signal("-CONT");
    pair.guards[0].refresh().await;
    assert_eq!(
        (pair.guards[0].status().sessions, pair.guards[0].is_ready()),
        (Some(StoreState::Reached), true)
    );
    assert_eq!(browser.fetch("/me").await.body, "alice");
    // One that comes back without its data knows nobody.
    pair.redis.end();
    assert_eq!(browser.fetch("/me").await.status, StatusCode::SERVICE_UNAVAILABLE);
    pair.redis = Redis::start_at(port);
    pair.guards[0].refresh().await;
    assert_eq!(browser.fetch("/me").await.code(), "unauthenticated");
}

#[tokio::test]
async fn a_store_that_answers_with_errors_is_told_from_one_that_is_away() {
    let pair = Pair::new().await;
    let mut browser = pair.signed_in().await;
    let guard = &pair.guards[0];
    let state = || (guard.status().sessions.unwrap(), guard.is_ready());
    assert_eq!(state(), (StoreState::Reached, true));
    let most = |bytes: &str| cli(&pair.redis.url(), &["config", "set", "maxmemory", bytes]);
    most("1");
    let answer = browser.open("/auth/login").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(state(), (StoreState::Failing, false));
    guard.refresh().await;
    assert_eq!(state(), (StoreState::Failing, false), "it is there, and cannot write");
    most("0");
    guard.refresh().await;
    assert_eq!(state(), (StoreState::Reached, true));
    assert_eq!(browser.fetch("/me").await.body, "alice");
}
