//! Policies that arrive, change and stay away.

use std::time::Duration;

use axum::Router;
use http::StatusCode;
use portcullis_guard::{BuildError, Guard, Issuer, Policy, PolicyEndpoint, PolicyError, SharedPolicy};
use portcullis_policy::{DEFAULT_MODEL, PolicySource};
use serde_json::{Value, json};

use crate::issuer::{Answer, TestIssuer, etag_of};
use crate::service::{Dial, builder, fetch, guard_of, policy, service};
use crate::signer::{AUDIENCE, NOW, Signer, jwks};

pub(crate) const ALLOWED: &str = "p, viewer, *, orders, read";
const WITHDRAWN: &str = "p, admin, *, orders, read";

/// A service whose policy comes over a socket.
pub(crate) struct Setup {
    pub(crate) issuer: TestIssuer,
    pub(crate) signer: Signer,
    pub(crate) dial: Dial,
    pub(crate) guard: Guard,
    pub(crate) service: Router,
}

impl Setup {
    async fn new(rules: Option<(&str, u64)>) -> Self {
        Self::with(rules, |endpoint| endpoint).await
    }

    pub(crate) async fn with(
        rules: Option<(&str, u64)>,
        configure: fn(PolicyEndpoint) -> PolicyEndpoint,
    ) -> Self {
        let (signer, dial) = (Signer::es256("a"), Dial::new());
        let issuer = TestIssuer::start(jwks([&signer])).await;
        if let Some((rules, revision)) = rules {
            issuer.hand_out(Answer::Document(signed(
                &signer,
                &issuer.url,
                rules,
                &json!({ "revision": revision }),
            )));
        }
        let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", issuer.url), "orders", "s3cret");
        let guard = builder(&dial)
            .issuer(Issuer::oidc(&issuer.url))
            .policy(Policy::remote(configure(endpoint)))
            .build()
            .await
            .unwrap();
        let service = service(&guard);
        Self { issuer, signer, dial, guard, service }
    }

    async fn activate(&self, rules: &str, changes: &Value) {
        self.issuer.hand_out(Answer::Document(signed(&self.signer, &self.issuer.url, rules, changes)));
        self.guard.refresh().await;
    }

    async fn status(&self) -> StatusCode {
        let token = self.signer.token(&json!({ "iss": self.issuer.url, "exp": NOW + 80_000 }));
        fetch(&self.service, "/orders", &token).await.status
    }
}

fn snapshot_claims(issuer: &str, rules: &str, changes: &Value) -> Value {
    let mut claims = json!({
        "iss": issuer, "aud": "orders", "iat": NOW, "exp": NOW + 60, "api": AUDIENCE, "revision": 1,
        "model": DEFAULT_MODEL, "rules": rules,
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims
}

pub(crate) fn signed(signer: &Signer, issuer: &str, rules: &str, changes: &Value) -> String {
    let header = json!({ "alg": signer.alg, "typ": "portcullis-policy+jwt", "kid": signer.kid });
    signer.sign(&header, &snapshot_claims(issuer, rules, changes))
}

#[tokio::test]
async fn a_signed_policy_decides_and_is_asked_for_with_credentials() {
    let setup = Setup::new(Some((ALLOWED, 4))).await;
    assert_eq!(setup.guard.policy_revision(), Some(4));
    assert!(setup.guard.is_ready());
    assert_eq!(setup.status().await, StatusCode::OK);
    assert_eq!(setup.issuer.authorization().unwrap(), "Basic b3JkZXJzOnMzY3JldA==");
}

#[tokio::test]
async fn a_new_revision_takes_the_permission_from_the_same_token() {
    let setup = Setup::new(Some((ALLOWED, 1))).await;
    assert_eq!(setup.status().await, StatusCode::OK);
    setup.activate(WITHDRAWN, &json!({ "revision": 2 })).await;
    assert_eq!(setup.status().await, StatusCode::FORBIDDEN);
    assert_eq!(setup.guard.policy_revision(), Some(2));
    setup.activate(ALLOWED, &json!({ "revision": 3 })).await;
    assert_eq!(setup.status().await, StatusCode::OK);
}

#[tokio::test]
async fn an_older_revision_is_refused() {
    let setup = Setup::new(Some((WITHDRAWN, 7))).await;
    setup.activate(ALLOWED, &json!({ "revision": 6 })).await;
    assert_eq!(setup.guard.policy_revision(), Some(7));
    assert_eq!(setup.status().await, StatusCode::FORBIDDEN);
    setup.activate(ALLOWED, &json!({ "revision": 7 })).await;
    assert_eq!(setup.status().await, StatusCode::FORBIDDEN, "a revision does not change");
}

#[tokio::test]
async fn a_snapshot_that_is_not_ours_changes_nothing() {
    let setup = Setup::new(Some((WITHDRAWN, 1))).await;
    for changes in [
        json!({ "revision": 2, "aud": "other-client" }),
        json!({ "revision": 2, "api": "https://other.test" }),
        json!({ "revision": 2, "iss": "https://evil.test" }),
        json!({ "revision": 2, "exp": NOW - 31 }),
        json!({ "revision": 2, "exp": "soon" }),
        json!({ "revision": "2" }),
        json!({ "revision": -2 }),
        json!({ "revision": 2, "model": "[request_definition]" }),
        json!({ "revision": 2, "rules": "p, viewer" }),
    ] {
        setup.activate(ALLOWED, &changes).await;
        assert_eq!(setup.guard.policy_revision(), Some(1), "{changes}");
        assert_eq!(setup.status().await, StatusCode::FORBIDDEN, "{changes}");
    }
}

#[tokio::test]
async fn a_snapshot_with_another_signature_or_type_changes_nothing() {
    let setup = Setup::new(Some((WITHDRAWN, 1))).await;
    let claims = snapshot_claims(&setup.issuer.url, ALLOWED, &json!({ "revision": 2 }));
    let good = signed(&setup.signer, &setup.issuer.url, ALLOWED, &json!({ "revision": 2 }));
    let (signed_part, signature) = good.rsplit_once('.').unwrap();
    let stranger = signed(&Signer::es256("a"), &setup.issuer.url, ALLOWED, &json!({ "revision": 2 }));
    let typed = |typ: &str| setup.signer.sign(&json!({ "alg": "ES256", "kid": "a", "typ": typ }), &claims);
    for text in [
        stranger,
        typed("at+jwt"),
        typed("JWT"),
        format!("{signed_part}."),
        format!("{signed_part}.{}", "A".repeat(86)),
        format!("{signed_part}x.{signature}"),
        claims.to_string(),
        "<html>".into(),
        String::new(),
    ] {
        setup.issuer.hand_out(Answer::Document(text.clone()));
        setup.guard.refresh().await;
        assert_eq!(setup.guard.policy_revision(), Some(1), "{text}");
    }
    setup.issuer.hand_out(Answer::Document(good));
    setup.guard.refresh().await;
    assert_eq!(setup.guard.policy_revision(), Some(2));
}

#[tokio::test]
async fn a_policy_by_a_new_key_is_believed_once_the_issuer_publishes_it() {
    let setup = Setup::new(Some((WITHDRAWN, 1))).await;
    let new = Signer::es256("new");
    let activate = |revision: u64| signed(&new, &setup.issuer.url, ALLOWED, &json!({ "revision": revision }));
    setup.issuer.hand_out(Answer::Document(activate(2)));
    setup.guard.refresh().await;
    assert_eq!(setup.guard.policy_revision(), Some(1));
    let fetches = setup.issuer.fetches();
    setup.issuer.publish(Answer::Document(jwks([&setup.signer, &new])));
    setup.dial.turn(Duration::from_secs(30));
    setup.guard.refresh().await;
    assert_eq!(setup.guard.policy_revision(), Some(2));
    assert!(setup.issuer.fetches() > fetches);
    assert_eq!(setup.status().await, StatusCode::OK);
}

#[tokio::test]
async fn an_unchanged_policy_is_not_sent_again() {
    let setup = Setup::new(Some((ALLOWED, 1))).await;
    let before = setup.issuer.not_modified();
    setup.guard.refresh().await;
    assert_eq!(setup.issuer.not_modified(), before + 2, "keys and policy");
    assert_eq!(setup.status().await, StatusCode::OK);
}

// F22
#[tokio::test]
async fn the_last_good_policy_holds_for_a_day_while_the_server_is_away() {
    let setup = Setup::new(Some((ALLOWED, 1))).await;
    setup.issuer.hand_out(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    for _ in 0..24 {
        setup.dial.turn(Duration::from_hours(1));
        setup.guard.refresh().await;
    }
    assert_eq!(setup.guard.policy_revision(), Some(1));
    let token =
        setup.signer.token(&json!({ "iss": setup.issuer.url, "iat": NOW + 80_000, "exp": NOW + 160_000 }));
    assert_eq!(fetch(&setup.service, "/orders", &token).await.status, StatusCode::OK);
    setup.dial.turn(Duration::from_secs(1));
    assert_eq!(fetch(&setup.service, "/orders", &token).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_policy_with_a_greatest_age_closes_the_door_when_it_is_older() {
    let setup =
        Setup::with(Some((ALLOWED, 1)), |endpoint| endpoint.policy_max_age(Duration::from_mins(10))).await;
    setup.issuer.hand_out(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    setup.dial.turn(Duration::from_mins(10));
    assert_eq!(setup.status().await, StatusCode::OK);
    setup.dial.turn(Duration::from_secs(1));
    assert_eq!(setup.status().await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!setup.guard.is_ready());
    setup.activate(ALLOWED, &json!({ "revision": 1, "exp": NOW + 900 })).await;
    assert_eq!(setup.status().await, StatusCode::OK);
}

#[tokio::test]
async fn without_a_policy_yet_the_answer_is_503_and_not_403() {
    let setup = Setup::new(None).await;
    assert!(!setup.guard.is_ready());
    assert_eq!(setup.status().await, StatusCode::SERVICE_UNAVAILABLE);
    setup.activate(ALLOWED, &json!({})).await;
    assert_eq!(setup.status().await, StatusCode::OK);
}

#[tokio::test]
async fn a_shared_policy_changes_while_the_service_runs() {
    let signer = Signer::es256("a");
    let shared = SharedPolicy::new(policy(ALLOWED, 1));
    let guard = guard_of(&signer).policy(Policy::shared(shared.clone())).build().await.unwrap();
    let service = service(&guard);
    let token = signer.token(&json!({}));
    assert_eq!(fetch(&service, "/orders", &token).await.status, StatusCode::OK);
    shared.store(policy(WITHDRAWN, 2));
    assert_eq!(fetch(&service, "/orders", &token).await.status, StatusCode::FORBIDDEN);
    assert_eq!(guard.policy_revision(), Some(2));
}

#[tokio::test]
async fn a_folder_is_read_again_and_a_broken_file_changes_nothing() {
    let folder = std::env::temp_dir().join(format!("portcullis-guard-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |rules: &str| std::fs::write(folder.join("policy.csv"), rules).unwrap();
    write(ALLOWED);
    let signer = Signer::es256("a");
    let guard = guard_of(&signer).policy(Policy::files(&folder)).build().await.unwrap();
    let (service, token) = (service(&guard), signer.token(&json!({})));
    assert_eq!(fetch(&service, "/orders", &token).await.status, StatusCode::OK);
    write("p, viewer");
    guard.refresh().await;
    assert_eq!(fetch(&service, "/orders", &token).await.status, StatusCode::OK);
    write(WITHDRAWN);
    guard.refresh().await;
    assert_eq!(fetch(&service, "/orders", &token).await.status, StatusCode::FORBIDDEN);
    std::fs::remove_dir_all(&folder).unwrap();
    let gone = guard_of(&signer).policy(Policy::files(&folder)).build().await;
    assert!(gone.unwrap_err().to_string().contains("policy.csv"));
}

#[tokio::test]
async fn in_the_background_a_new_revision_arrives_by_itself() {
    let signer = Signer::es256("a");
    let issuer = TestIssuer::start(jwks([&signer])).await;
    let hand_out = |revision: u64| {
        let changes = json!({ "revision": revision, "exp": 4_000_000_000_u64 });
        issuer.hand_out(Answer::Document(signed(&signer, &issuer.url, ALLOWED, &changes)));
    };
    hand_out(1);
    let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", issuer.url), "orders", "s3cret");
    let guard = Guard::builder()
        .issuer(Issuer::oidc(&issuer.url))
        .audience(AUDIENCE)
        .policy(Policy::remote(endpoint.poll_every(Duration::from_millis(1))))
        .build()
        .await
        .unwrap();
    assert_eq!(guard.policy_revision(), Some(1));
    hand_out(2);
    while guard.policy_revision() != Some(2) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_policy_with_errors_or_an_insecure_url_is_not_built() {
    let signer = Signer::es256("a");
    let bad = Policy::source(PolicySource::with_default_model("p, viewer"));
    let Err(BuildError::Policy(PolicyError::Invalid(report))) = guard_of(&signer).policy(bad).build().await
    else {
        panic!("a policy with errors")
    };
    assert_eq!(report.findings[0].code, "field-count", "{report}");
    let plain = Policy::remote(PolicyEndpoint::new("http://id.example.com/policies/snapshot", "c", "s"));
    let refused = guard_of(&signer).policy(plain).build().await.err();
    assert!(matches!(refused, Some(BuildError::Policy(PolicyError::Url(_)))), "{refused:?}");
}

#[tokio::test]
async fn of_several_issuers_that_are_trusted_the_one_whose_server_it_is_signs_the_policy_and_no_other() {
    const PARTNER: &str = "https://partner.test";
    let (own, partner) = (Signer::es256("a"), Signer::es256("b"));
    let issuer = TestIssuer::start(jwks([&own])).await;
    let guard = async |url: &str, named: Option<&str>| {
        let endpoint = PolicyEndpoint::new(format!("{url}/policies/snapshot"), "orders", "s3cret");
        let endpoint = named.into_iter().fold(endpoint, PolicyEndpoint::of_issuer);
        let guard = builder(&Dial::new()).issuer(Issuer::oidc(&issuer.url));
        let guard = guard.issuer(Issuer::static_jwks(PARTNER, jwks([&partner])));
        issuer.hand_out(Answer::Status(StatusCode::NOT_FOUND));
        guard.policy(Policy::remote(endpoint)).build().await
    };
    let by_own = |revision| signed(&own, &issuer.url, ALLOWED, &json!({ "revision": revision }));
    let by_partner = |revision| signed(&partner, PARTNER, ALLOWED, &json!({ "revision": revision }));
    let hears = async |guard: &Guard, policy: String| {
        issuer.hand_out(Answer::Document(policy));
        guard.refresh().await;
        guard.policy_revision()
    };
    // By the URL, or by what is said.
    let elsewhere = issuer.url.replace("127.0.0.1", "localhost");
    for (url, named) in [(&issuer.url, None), (&elsewhere, Some(issuer.url.as_str()))] {
        let guard = guard(url, named).await.unwrap();
        assert_eq!(hears(&guard, by_partner(9)).await, None, "{url} {named:?}");
        assert_eq!(hears(&guard, by_own(4)).await, Some(4));
        assert_eq!(hears(&guard, by_partner(9)).await, Some(4));
    }
    let of_partner = guard(&issuer.url, Some(PARTNER)).await.unwrap();
    assert_eq!(hears(&of_partner, by_own(9)).await, None);
    assert_eq!(hears(&of_partner, by_partner(4)).await, Some(4));
    // Where nothing tells, the first one who signs it is the one.
    let unsaid = guard(&elsewhere, None).await.unwrap();
    assert_eq!(hears(&unsaid, by_own(4)).await, Some(4));
    assert_eq!(hears(&unsaid, by_partner(9)).await, Some(4));
    assert_eq!(hears(&unsaid, by_own(5)).await, Some(5));
    let refused = guard(&issuer.url, Some("https://nobody.test")).await.unwrap_err();
    assert!(
        matches!(refused, BuildError::Policy(PolicyError::NoSuchIssuer(name)) if name == "https://nobody.test")
    );
}

#[tokio::test]
async fn new_keys_of_the_server_have_nobody_else_asked_for_theirs() {
    let (own, partner) = (Signer::es256("a"), Signer::es256("b"));
    let (server, other) = (TestIssuer::start(jwks([&own])).await, TestIssuer::start(jwks([&partner])).await);
    let policy = signed(&own, &server.url, ALLOWED, &json!({ "revision": 1 }));
    let state = |seq: u64, keys: &str| {
        json!({ "seq": seq, "reset": true, "policy": etag_of(&policy), "keys": keys, "revoked": [] })
            .to_string()
    };
    server.hand_out(Answer::Document(policy.clone()));
    server.say(Answer::Document(state(1, "k")));
    let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", server.url), "orders", "s3cret");
    let guard = builder(&Dial::new()).issuer(Issuer::oidc(&server.url)).issuer(Issuer::oidc(&other.url));
    let guard = guard.policy(Policy::remote(endpoint)).build().await.unwrap();
    guard.refresh().await;
    let before = (server.fetches(), other.fetches());
    server.say(Answer::Document(state(2, "l")));
    guard.refresh().await;
    let more = (server.fetches() - before.0, other.fetches() - before.1);
    assert_eq!(more, (2, 1), "once as every time, and the server once more");
}
