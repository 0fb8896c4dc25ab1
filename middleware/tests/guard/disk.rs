//! Guards that start while their issuer is away, from what an earlier one left on the disk.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::StatusCode;
use portcullis_guard::{
    BuildError, Guard, GuardBuilder, GuardExt, GuardedRouter, Issuer, Policy, PolicyEndpoint, Source, rbac,
};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::issuer::{Answer, TestIssuer, etag_of};
use crate::policy::signed;
use crate::service::{Dial, fetch, request, send, service};
use crate::signer::{AUDIENCE, NOW, Signer, jwks};

const ALLOWED: &str = "p, viewer, *, orders, read";
const WITHDRAWN: &str = "p, admin, *, orders, read";
const SERVED: [u16; 2] = [200, 403];
const CLOSED: [u16; 2] = [503, 503];

/// A machine on which guards start and end, and the issuer that they know.
struct Machine {
    folder: TempDir,
    issuer: TestIssuer,
    signer: Signer,
    dial: Dial,
}

impl Machine {
    /// One on which a guard ran, and heard of revision 7, until the issuer went away.
    async fn left_alone() -> Self {
        let machine = Self::new().await;
        machine.publish(&machine.signer, ALLOWED, &json!({}));
        let guard = machine.start().await;
        assert_eq!(guard.policy_revision(), Some(7));
        machine.issuer.leave();
        machine
    }

    async fn new() -> Self {
        let signer = Signer::es256("a");
        let issuer = TestIssuer::start(jwks([&signer])).await;
        Self { folder: tempdir().unwrap(), issuer, signer, dial: Dial::new() }
    }

    fn publish(&self, signer: &Signer, rules: &str, changes: &Value) {
        let mut claims = json!({ "revision": 7, "exp": NOW + 86_400 });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.issuer.hand_out(Answer::Document(signed(signer, &self.issuer.url, rules, &claims)));
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("guard")
    }

    fn endpoint(&self) -> PolicyEndpoint {
        PolicyEndpoint::new(format!("{}/policies/snapshot", self.issuer.url), "orders", "s3cret")
    }

    fn builder(&self, endpoint: PolicyEndpoint, audience: &str) -> GuardBuilder {
        Guard::builder()
            .issuer(Issuer::oidc(&self.issuer.url))
            .audience(audience)
            .policy(Policy::remote(endpoint))
            .cache_dir(self.cache())
            .clock(self.dial.clock_of_new_process())
            .manual_refresh()
    }

    async fn start(&self) -> Guard {
        self.builder(self.endpoint(), AUDIENCE).build().await.unwrap()
    }

    async fn start_with(&self, endpoint: PolicyEndpoint) -> Guard {
        self.builder(endpoint, AUDIENCE).build().await.unwrap()
    }

    fn token(&self, signer: &Signer) -> String {
        signer.token(&json!({ "iss": self.issuer.url, "exp": NOW + 80_000 }))
    }

    /// What reading and creating are answered.
    async fn statuses(&self, guard: &Guard) -> [u16; 2] {
        self.statuses_by(guard, &self.signer).await
    }

    async fn statuses_by(&self, guard: &Guard, signer: &Signer) -> [u16; 2] {
        let (service, token) = (service(guard), self.token(signer));
        let read = fetch(&service, "/orders", &token).await;
        let create = send(&service, request("POST", "/orders", &token).body(Body::empty()).unwrap()).await;
        for answer in [&read, &create] {
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("unavailable", "1"));
            }
        }
        [read, create].map(|answer| answer.status.as_u16())
    }

    fn file(&self, kind: &str) -> PathBuf {
        let entries = fs::read_dir(self.cache()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().contains(kind)).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }
}

#[tokio::test]
async fn a_guard_starts_from_disk_and_changes_over_when_the_issuer_is_back() {
    let machine = Machine::left_alone().await;
    machine.dial.turn(Duration::from_mins(50));
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    let status = guard.status();
    assert!(status.ready && guard.is_ready());
    let (policy, keys) = (status.policy.unwrap(), &status.issuers[0]);
    assert_eq!((policy.revision, policy.source, policy.usable), (Some(7), Some(Source::Disk), true));
    assert_eq!((keys.keys, keys.source, keys.usable), (1, Some(Source::Disk), true));
    assert_eq!((policy.age, keys.age), (Some(Duration::from_mins(50)), Some(Duration::from_mins(50))));

    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 8 }));
    machine.issuer.come_back();
    machine.dial.turn(Duration::from_secs(30));
    guard.refresh().await;
    assert_eq!(machine.statuses(&guard).await, [403, 403]);
    let status = guard.status();
    let (policy, keys) = (status.policy.unwrap(), &status.issuers[0]);
    assert_eq!(
        (policy.revision, policy.source, policy.age),
        (Some(8), Some(Source::Network), Some(Duration::ZERO))
    );
    assert_eq!((keys.source, keys.age), (Some(Source::Network), Some(Duration::ZERO)));
    machine.issuer.leave();
    assert_eq!(machine.start().await.policy_revision(), Some(8), "the new one is kept");
}

#[tokio::test]
async fn ages_go_on_across_a_restart() {
    let machine = Machine::left_alone().await;
    machine.dial.turn(Duration::from_mins(40));
    let guard = machine.start_with(machine.endpoint().policy_max_age(Duration::from_mins(50))).await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    machine.dial.turn(Duration::from_mins(10));
    assert_eq!(machine.statuses(&guard).await, SERVED);
    machine.dial.turn(Duration::from_secs(1));
    assert_eq!(machine.statuses(&guard).await, CLOSED, "the policy is fifty minutes old and a second");
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, SERVED, "by the limits of an hour and of a day, it is not");
    machine.dial.turn(Duration::from_mins(10));
    assert_eq!(machine.statuses(&guard).await, CLOSED, "but the keys are");
    assert!(!guard.status().issuers[0].usable && !guard.is_ready());
}

#[tokio::test]
async fn what_is_confirmed_again_and_again_does_not_age_on_disk() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    let guard = machine.start().await;
    for _ in 0..90 {
        machine.dial.turn(Duration::from_mins(1));
        guard.refresh().await;
    }
    machine.issuer.leave();
    machine.dial.turn(Duration::from_mins(30));
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    assert_eq!(guard.status().policy.unwrap().age, Some(Duration::from_mins(30)));
}

#[tokio::test]
async fn a_policy_that_the_server_only_says_to_hold_does_not_age_either() {
    let machine = Machine::new().await;
    let changes = json!({ "revision": 7, "exp": NOW + 86_400 });
    let snapshot = signed(&machine.signer, &machine.issuer.url, ALLOWED, &changes);
    let state = json!({ "seq": 0, "reset": false, "policy": etag_of(&snapshot), "keys": "k", "revoked": [] });
    machine.issuer.say(Answer::Document(state.to_string()));
    machine.issuer.hand_out(Answer::Document(snapshot));
    let guard = machine.start().await;
    machine.issuer.hand_out(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    machine.dial.turn(Duration::from_mins(45));
    guard.refresh().await;
    assert_eq!(guard.status().policy.unwrap().age, Some(Duration::ZERO));
    machine.issuer.leave();
    machine.dial.turn(Duration::from_mins(5));
    assert_eq!(machine.start().await.status().policy.unwrap().age, Some(Duration::from_mins(5)));
}

#[tokio::test]
async fn what_is_too_old_serves_nobody_but_the_routes_that_serve_stale() {
    let machine = Machine::left_alone().await;
    machine.dial.turn(Duration::from_hours(3));
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, CLOSED);
    let stale = |hours| rbac("orders", "read").serve_stale(Duration::from_hours(hours));
    let routes: Router = GuardedRouter::new()
        .route("/four", get(async || "served").guard(stale(4)))
        .route("/two", get(async || "served").guard(stale(2)))
        .guarded_by(&guard);
    let token = machine.token(&machine.signer);
    assert_eq!(fetch(&routes, "/four", &token).await.status, StatusCode::OK);
    assert_eq!(fetch(&routes, "/two", &token).await.status, StatusCode::SERVICE_UNAVAILABLE);
    machine.issuer.come_back();
    machine.dial.turn(Duration::from_secs(1));
    guard.refresh().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
}

#[tokio::test]
async fn a_snapshot_whose_signature_has_expired_is_not_used() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({ "exp": NOW + 600 }));
    machine.start().await;
    machine.issuer.leave();
    machine.dial.turn(Duration::from_secs(629));
    assert_eq!(machine.start().await.policy_revision(), Some(7), "clocks differ by half a minute");
    machine.dial.turn(Duration::from_secs(1));
    let guard = machine.start().await;
    assert_eq!((guard.policy_revision(), machine.statuses(&guard).await), (None, CLOSED));
}

#[tokio::test]
async fn an_older_revision_is_refused_across_a_restart() {
    let machine = Machine::left_alone().await;
    machine.issuer.come_back();
    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 6 }));
    let guard = machine.start().await;
    assert_eq!((guard.policy_revision(), machine.statuses(&guard).await), (Some(7), SERVED));
    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 7 }));
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, SERVED, "a revision does not change");
    assert_eq!(guard.status().policy.unwrap().source, Some(Source::Disk), "nobody confirmed it");
    machine.publish(&machine.signer, ALLOWED, &json!({ "revision": 7, "exp": NOW + 90_000 }));
    let guard = machine.start().await;
    assert_eq!(guard.status().policy.unwrap().source, Some(Source::Network), "it may be signed anew");
    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 8 }));
    let guard = machine.start().await;
    assert_eq!((guard.policy_revision(), machine.statuses(&guard).await), (Some(8), [403, 403]));
}

#[tokio::test]
async fn a_damaged_file_is_not_used_and_is_replaced() {
    let machine = Machine::left_alone().await;
    let (keys, policy) = (machine.file("keys"), machine.file("policy"));
    for path in [keys, policy] {
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let half = &whole[..whole.len() / 2];
        for bytes in [half, &flipped, b"", b"\n\n\n", b"\xff\xfe", &[0; 4096], b"{}"] {
            fs::write(&path, bytes).unwrap();
            let guard = machine.start().await;
            assert_eq!(machine.statuses(&guard).await, CLOSED, "{}: {} bytes", path.display(), bytes.len());
        }
        machine.issuer.come_back();
        assert_eq!(machine.statuses(&machine.start().await).await, SERVED);
        machine.issuer.leave();
        assert_eq!(machine.statuses(&machine.start().await).await, SERVED, "replaced");
    }
}

#[tokio::test]
async fn a_policy_that_somebody_else_signed_or_that_is_for_others_is_not_used() {
    let machine = Machine::left_alone().await;
    let good = fs::read(machine.file("policy")).unwrap();
    let stranger = Machine::new().await;
    let other_client =
        PolicyEndpoint::new(format!("{}/policies/snapshot", machine.issuer.url), "billing", "s3cret");

    // A whole file, digest and all, around a snapshot of another key.
    machine.issuer.come_back();
    fs::remove_dir_all(machine.cache()).unwrap();
    machine.issuer.publish(Answer::Document(jwks([&stranger.signer])));
    machine.publish(&stranger.signer, ALLOWED, &json!({}));
    machine.start().await;
    let forged = fs::read(machine.file("policy")).unwrap();

    // One of another client, in the place of ours.
    fs::remove_dir_all(machine.cache()).unwrap();
    machine.issuer.publish(Answer::Document(jwks([&machine.signer])));
    machine.publish(&machine.signer, ALLOWED, &json!({ "aud": "billing" }));
    machine.start_with(other_client).await;
    let foreign = fs::read(machine.file("policy")).unwrap();
    fs::remove_file(machine.file("policy")).unwrap();

    machine.publish(&machine.signer, ALLOWED, &json!({}));
    machine.start().await;
    machine.issuer.leave();
    for bytes in [forged, foreign] {
        fs::write(machine.file("policy"), bytes).unwrap();
        let guard = machine.start().await;
        assert_eq!((guard.policy_revision(), machine.statuses(&guard).await), (None, CLOSED));
        assert!(guard.status().issuers[0].usable, "the keys are good all the same");
    }
    fs::write(machine.file("policy"), good).unwrap();
    assert_eq!(machine.statuses(&machine.start().await).await, SERVED);
}

#[tokio::test]
async fn guards_of_several_apis_share_a_folder() {
    let machine = Machine::left_alone().await;
    machine.issuer.come_back();
    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 3, "api": "https://stock.test" }));
    machine.builder(machine.endpoint(), "https://stock.test").build().await.unwrap();
    machine.issuer.leave();
    assert_eq!(fs::read_dir(machine.cache()).unwrap().count(), 3, "one file of keys, two of policies");
    let stock = machine.builder(machine.endpoint(), "https://stock.test").build().await.unwrap();
    assert_eq!((stock.policy_revision(), machine.start().await.policy_revision()), (Some(3), Some(7)));
}

#[tokio::test]
async fn what_was_forged_with_keys_and_all_ends_when_the_issuer_answers() {
    let machine = Machine::new().await;
    let thief = Signer::es256("a");
    machine.issuer.publish(Answer::Document(jwks([&thief])));
    machine.publish(&thief, ALLOWED, &json!({ "revision": 4_000_000_000_u64 }));
    machine.start().await;
    machine.issuer.publish(Answer::Document(jwks([&machine.signer])));
    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 5 }));
    machine.issuer.leave();
    let guard = machine.start().await;
    assert_eq!(machine.statuses_by(&guard, &thief).await, SERVED, "whoever can write there is believed");
    machine.issuer.come_back();
    machine.dial.turn(Duration::from_secs(30));
    guard.refresh().await;
    assert_eq!(machine.statuses_by(&guard, &thief).await, [401, 401]);
    assert_eq!((guard.policy_revision(), machine.statuses(&guard).await), (Some(5), [403, 403]));
}

#[tokio::test]
async fn a_key_that_is_not_on_disk_is_503_while_nobody_can_ask_about_it() {
    let machine = Machine::left_alone().await;
    let guard = machine.start().await;
    let new = Signer::es256("new");
    assert_eq!(machine.statuses_by(&guard, &new).await, CLOSED);
    machine.issuer.come_back();
    machine.issuer.publish(Answer::Document(jwks([&new])));
    machine.dial.turn(Duration::from_secs(30));
    assert_eq!(machine.statuses_by(&guard, &new).await, SERVED);
    assert_eq!(machine.statuses(&guard).await, [401, 401], "the one on disk was withdrawn");
}

#[tokio::test]
async fn a_guard_that_has_to_hear_of_revocations_waits_for_the_server() {
    let machine = Machine::left_alone().await;
    let endpoint = machine.endpoint().revocations_max_stale(Duration::from_secs(5));
    let guard = machine.start_with(endpoint).await;
    assert_eq!(machine.statuses(&guard).await, CLOSED, "what was revoked is not kept");
    assert!(guard.status().revocations_age.is_none() && !guard.is_ready());
    machine.issuer.come_back();
    let state = r#"{"seq":1,"reset":true,"policy":"new","keys":"k","revoked":[]}"#;
    machine.issuer.say(Answer::Document(state.into()));
    guard.refresh().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    assert!(guard.status().revocations_age == Some(Duration::ZERO) && guard.is_ready());
}

#[tokio::test]
async fn a_folder_that_others_may_write_to_is_a_build_error_and_one_that_cannot_be_had_is_none() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::left_alone().await;
    fs::set_permissions(machine.cache(), fs::Permissions::from_mode(0o770)).unwrap();
    let refused = machine.builder(machine.endpoint(), AUDIENCE).build().await;
    assert!(matches!(refused, Err(BuildError::CacheDir(_))), "{refused:?}");
    machine.issuer.come_back();
    let nowhere = machine.builder(machine.endpoint(), AUDIENCE).cache_dir("/proc/nowhere");
    assert_eq!(machine.statuses(&nowhere.build().await.unwrap()).await, SERVED);
}

#[tokio::test]
async fn a_folder_that_is_taken_away_stops_nothing() {
    let machine = Machine::new().await;
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    let guard = machine.start().await;
    fs::remove_dir_all(machine.cache()).unwrap();
    machine.publish(&machine.signer, WITHDRAWN, &json!({ "revision": 8 }));
    guard.refresh().await;
    assert_eq!((guard.policy_revision(), machine.statuses(&guard).await), (Some(8), [403, 403]));
    assert!(guard.status().ready && !machine.cache().exists());
}

#[tokio::test]
async fn what_needs_no_server_is_local_and_has_no_age() {
    let machine = Machine::new().await;
    let policy = crate::service::policy(ALLOWED, 4);
    let guard = crate::service::guard_of(&machine.signer)
        .policy(Policy::shared(portcullis_guard::SharedPolicy::new(policy)))
        .build()
        .await
        .unwrap();
    let status = guard.status();
    let policy = status.policy.unwrap();
    assert_eq!((policy.revision, policy.source, policy.age), (Some(4), Some(Source::Local), None));
    assert_eq!((status.issuers[0].source, status.issuers[0].age), (Some(Source::Local), None));
    assert!(status.ready && status.revocations_age.is_none());
}
