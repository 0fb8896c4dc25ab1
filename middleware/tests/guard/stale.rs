//! Routes that serve on when what they are decided by is too old for the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::future::join_all;
use http::StatusCode;
use portcullis_guard::{
    Guard, GuardExt, GuardedRouter, Introspection, Issuer, Policy, PolicyEndpoint, SharedPolicy,
    authenticated, rbac, scope,
};
use serde_json::json;
use tokio::sync::Barrier;

use crate::issuer::{Answer, TestIssuer};
use crate::policy::signed;
use crate::service::{Dial, builder, fetch, guard_of, policy};
use crate::signer::{NOW, Signer, claims, jwks};

const KEYS: Duration = Duration::from_mins(20);
const POLICY: Duration = Duration::from_mins(10);
const STALE: Duration = Duration::from_hours(2);

/// A guard that has been left alone by its issuer, and one route of each kind.
struct Setup {
    issuer: TestIssuer,
    signer: Signer,
    dial: Dial,
    guard: Guard,
    service: Router,
}

impl Setup {
    async fn alone(configure: fn(PolicyEndpoint) -> PolicyEndpoint) -> Self {
        let (signer, dial) = (Signer::es256("a"), Dial::new());
        let issuer = TestIssuer::start(jwks([&signer])).await;
        issuer.hand_out(Answer::Document(signed(
            &signer,
            &issuer.url,
            "p, viewer, *, orders, read",
            &json!({}),
        )));
        issuer.say(Answer::Document(
            r#"{"seq":0,"reset":false,"policy":"new","keys":"k","revoked":[]}"#.into(),
        ));
        let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", issuer.url), "orders", "s3cret");
        let guard = builder(&dial)
            .issuer(Issuer::oidc(&issuer.url).keys_max_age(KEYS))
            .policy(Policy::remote(configure(endpoint.policy_max_age(POLICY))))
            .build()
            .await
            .unwrap();
        guard.refresh().await;
        issuer.leave();
        let service = GuardedRouter::new()
            .route("/closed", get(async || "served").guard(rbac("orders", "read")))
            .route("/token", get(async || "served").guard(authenticated()))
            .route("/stale", get(async || "served").guard(rbac("orders", "read").serve_stale(STALE)))
            .route("/other", get(async || "served").guard(rbac("orders", "delete").serve_stale(STALE)))
            .guarded_by(&guard);
        Self { issuer, signer, dial, guard, service }
    }

    /// Each route's status, after time has passed without the issuer.
    async fn after(&self, pause: Duration) -> [u16; 4] {
        self.dial.turn(pause);
        self.guard.refresh().await;
        let token = self.signer.token(&json!({ "iss": self.issuer.url, "exp": NOW + 80_000 }));
        let mut statuses = [0; 4];
        for (status, path) in statuses.iter_mut().zip(["/closed", "/token", "/stale", "/other"]) {
            let answer = fetch(&self.service, path, &token).await;
            *status = answer.status.as_u16();
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("unavailable", "1"));
            }
        }
        statuses
    }
}

#[tokio::test]
async fn a_route_that_serves_stale_outlasts_the_others_up_to_its_own_bound() {
    let setup = Setup::alone(|endpoint| endpoint).await;
    assert_eq!(setup.after(POLICY).await, [200, 200, 200, 403]);
    assert_eq!(setup.after(Duration::from_secs(1)).await, [503, 200, 200, 403], "the policy is too old");
    assert_eq!(setup.after(Duration::from_mins(10)).await, [503, 503, 200, 403], "so are the keys");
    assert!(!setup.guard.is_ready());
    assert_eq!(setup.after(Duration::from_secs(5_999)).await, [503, 503, 200, 403]);
    assert_eq!(setup.after(Duration::from_secs(1)).await, [503; 4], "after two hours nobody serves for ever");
    setup.issuer.come_back();
    assert_eq!(setup.after(Duration::from_secs(4)).await, [200, 200, 200, 403]);
}

#[tokio::test]
async fn a_stale_route_tolerates_that_revocations_are_not_heard_as_well() {
    let setup = Setup::alone(|endpoint| endpoint.revocations_max_stale(Duration::from_secs(5))).await;
    assert_eq!(setup.after(Duration::from_secs(5)).await, [200, 200, 200, 403]);
    assert_eq!(setup.after(Duration::from_secs(1)).await, [503, 503, 200, 403]);
    assert_eq!(setup.after(STALE).await, [503, 503, 503, 503]);
}

#[tokio::test]
async fn a_token_that_expires_meanwhile_is_401_on_a_stale_route() {
    let setup = Setup::alone(|endpoint| endpoint).await;
    let token = setup.signer.token(&json!({ "iss": setup.issuer.url, "exp": NOW + 1_800 }));
    assert_eq!(fetch(&setup.service, "/stale", &token).await.status, StatusCode::OK);
    setup.dial.turn(Duration::from_secs(1_831));
    assert_eq!(fetch(&setup.service, "/stale", &token).await.status, StatusCode::UNAUTHORIZED);
}

// CB-19
#[tokio::test]
async fn fifty_callers_at_a_policy_that_is_too_old_ask_nobody_and_one_refresh_serves_them_all() {
    let setup = Setup::alone(|endpoint| endpoint).await;
    setup.dial.turn(POLICY + Duration::from_secs(1));
    setup.issuer.come_back();
    let token = setup.signer.token(&json!({ "iss": setup.issuer.url, "exp": NOW + 80_000 }));
    let asked = async || {
        let answers = join_all((0..50).map(|_| fetch(&setup.service, "/closed", &token))).await;
        answers.iter().map(|answer| answer.status.as_u16()).collect::<Vec<_>>()
    };
    let before = (setup.issuer.fetches(), setup.issuer.not_modified());
    assert_eq!(asked().await, [503; 50]);
    assert_eq!((setup.issuer.fetches(), setup.issuer.not_modified()), before, "no request asks the server");
    setup.guard.refresh().await;
    assert_eq!(asked().await, [200; 50]);
    assert_eq!(setup.issuer.not_modified(), before.1 + 2, "keys and policy, once each");
}

// CB-19
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_of_fifty_callers_passes_by_rules_that_were_replaced() {
    let (signer, rules) = (Signer::es256("a"), SharedPolicy::new(policy("p, viewer, *, orders, read", 1)));
    let guard = guard_of(&signer).policy(Policy::shared(rules.clone())).build().await.unwrap();
    let service: Router = GuardedRouter::new()
        .route("/orders", get(async || "served").guard(rbac("orders", "read")))
        .guarded_by(&guard);
    let token = signer.token(&json!({}));
    let (is_replaced, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(51)));
    let callers = (0..50).map(|_| {
        let (service, token, is_replaced, begun) =
            (service.clone(), token.clone(), Arc::clone(&is_replaced), Arc::clone(&begun));
        tokio::spawn(async move {
            let first = fetch(&service, "/orders", &token).await.status;
            begun.wait().await;
            let mut after = Vec::new();
            while after.len() < 10 {
                let was_replaced = is_replaced.load(Ordering::SeqCst);
                let status = fetch(&service, "/orders", &token).await.status;
                after.extend(was_replaced.then_some(status));
            }
            (first, after)
        })
    });
    let callers: Vec<_> = callers.collect();
    begun.wait().await;
    rules.store(policy("p, clerk, *, orders, read", 2));
    is_replaced.store(true, Ordering::SeqCst);
    for caller in callers {
        let (first, after) = caller.await.unwrap();
        assert_eq!((first, after), (StatusCode::OK, vec![StatusCode::FORBIDDEN; 10]));
    }
}

/// A guard that may ask its issuer about tokens, and is told what was revoked.
struct Asking {
    issuer: TestIssuer,
    signer: Signer,
    dial: Dial,
    guard: Guard,
    service: Router,
}

impl Asking {
    async fn new() -> Self {
        let (signer, dial) = (Signer::es256("a"), Dial::new());
        let issuer = TestIssuer::start(jwks([&signer])).await;
        let rules = signed(&signer, &issuer.url, "p, viewer, *, orders, read", &json!({}));
        issuer.hand_out(Answer::Document(rules));
        let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", issuer.url), "orders", "s3cret");
        let guard = builder(&dial)
            .issuer(Issuer::oidc(&issuer.url))
            .policy(Policy::remote(endpoint.revocations_max_stale(Duration::from_secs(5))))
            .introspection(Introspection::discovered("orders", "s3cret"))
            .build()
            .await
            .unwrap();
        let read = || rbac("orders", "read");
        let service = GuardedRouter::new()
            .route("/closed", get(async || "served").guard(read()))
            .route("/asking", get(async || "served").guard(read().introspect_when_stale()))
            .route("/scoped", get(async || "served").guard(scope("a").introspect_when_stale()))
            .guarded_by(&guard);
        let setup = Self { issuer, signer, dial, guard, service };
        setup.hear(true).await;
        setup
    }

    /// Whether the issuer says what was revoked from now on.
    async fn hear(&self, is_told: bool) {
        self.issuer.say(if is_told {
            Answer::Document(r#"{"seq":0,"reset":false,"policy":"new","keys":"k","revoked":[]}"#.into())
        } else {
            Answer::Status(StatusCode::INTERNAL_SERVER_ERROR)
        });
        self.dial.turn(Duration::from_secs(6));
        self.guard.refresh().await;
    }

    /// A token, of which the issuer says this if it is asked.
    fn token(&self, name: &str, is_active: bool) -> String {
        let token = self.signer.token(&json!({ "iss": self.issuer.url, "jti": name, "exp": NOW + 800 }));
        let said = claims(&json!({
            "active": is_active, "iss": self.issuer.url, "token_type": "Bearer", "jti": name, "exp": NOW + 800,
        }));
        self.issuer.say_of(&token, &said);
        token
    }

    async fn status(&self, path: &str, token: &str) -> u16 {
        fetch(&self.service, path, token).await.status.as_u16()
    }
}

#[tokio::test]
async fn a_route_may_ask_the_issuer_while_nobody_says_what_was_revoked() {
    let setup = Asking::new().await;
    let (good, taken_back) = (setup.token("good", true), setup.token("bad", false));
    assert_eq!(setup.status("/asking", &good).await, 200);
    assert_eq!(setup.status("/asking", &taken_back).await, 200, "nobody says that it was taken back");
    assert_eq!(setup.issuer.questions(), 0);

    setup.hear(false).await;
    assert_eq!(setup.status("/closed", &good).await, 503, "a route that does not say so fails closed");
    assert_eq!(setup.status("/asking", &good).await, 200);
    assert_eq!(setup.status("/asking", &good).await, 200, "what was said is remembered");
    assert_eq!(setup.issuer.questions(), 1);
    assert_eq!(setup.status("/asking", &taken_back).await, 401);
    assert_eq!(setup.status("/scoped", &good).await, 403, "what it requires, it requires as before");
    assert_eq!(setup.issuer.questions(), 2);
    let forged = Signer::es256("a").token(&json!({ "iss": setup.issuer.url, "exp": NOW + 800 }));
    assert_eq!(setup.status("/asking", &forged).await, 401);
    assert_eq!(setup.issuer.questions(), 2, "what nobody signed is not asked about");
    assert!(!setup.guard.is_ready());

    setup.hear(true).await;
    assert_eq!(setup.status("/closed", &good).await, 200);
    assert_eq!(setup.status("/asking", &setup.token("other", true)).await, 200);
    assert_eq!(setup.issuer.questions(), 2, "nobody is asked who is told");
}

#[tokio::test]
async fn a_route_that_asks_the_issuer_is_503_when_the_issuer_is_away_as_well() {
    let setup = Asking::new().await;
    let token = setup.token("good", true);
    setup.hear(false).await;
    assert_eq!(setup.status("/asking", &token).await, 200);
    setup.issuer.leave();
    assert_eq!(setup.status("/asking", &token).await, 200, "it was asked just now");
    setup.dial.turn(Duration::from_secs(31));
    assert_eq!(setup.status("/asking", &token).await, 503);
    setup.issuer.come_back();
    setup.dial.turn(Duration::from_secs(10));
    assert_eq!(setup.status("/asking", &token).await, 200);
}

#[tokio::test]
async fn a_token_of_an_issuer_that_is_not_asked_stays_503() {
    let setup = Asking::new().await;
    let (other, key) = ("https://other.test", Signer::es256("o"));
    let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", setup.issuer.url), "orders", "s3cret");
    let guard = builder(&setup.dial)
        .issuer(Issuer::oidc(&setup.issuer.url))
        .issuer(Issuer::static_jwks(other, jwks([&key])))
        .policy(Policy::remote(endpoint.revocations_max_stale(Duration::from_secs(5))))
        .introspection(Introspection::discovered("orders", "s3cret").of_issuer(&setup.issuer.url))
        .build()
        .await
        .unwrap();
    let service: Router = GuardedRouter::new()
        .route("/asking", get(async || "served").guard(authenticated().introspect_when_stale()))
        .guarded_by(&guard);
    let theirs = key.token(&json!({ "iss": other }));
    assert_eq!(fetch(&service, "/asking", &theirs).await.status, StatusCode::OK);
    setup.hear(false).await;
    guard.refresh().await;
    let answer = fetch(&service, "/asking", &theirs).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(fetch(&service, "/asking", &setup.token("good", true)).await.status, StatusCode::OK);
    assert_eq!(setup.issuer.questions(), 1);
}
