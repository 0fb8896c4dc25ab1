//! Routes that serve on when what they are decided by is too old for the others.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use portcullis_guard::{Guard, GuardExt, GuardedRouter, Issuer, Policy, PolicyEndpoint, authenticated, rbac};
use serde_json::json;

use crate::issuer::{Answer, TestIssuer};
use crate::policy::signed;
use crate::service::{Dial, builder, fetch};
use crate::signer::{NOW, Signer, jwks};

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
