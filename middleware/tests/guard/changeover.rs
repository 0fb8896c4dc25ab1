//! A guard that started from its disk, and an issuer that comes back with other keys: no request falls between two policies.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt as _;
use http::StatusCode;
use portcullis_guard::{Guard, Source};
use serde_json::{Value, json};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry;

use crate::issuer::Answer;
use crate::machine::{ALLOWED, CLOSED, Machine, SERVED, WITHDRAWN};
use crate::service::{fetch, service};
use crate::signer::{NOW, Signer, jwks};

/// What the guard that changes over says on its way.
const REMOTE: &str = "portcullis_guard::policy::remote";

/// Sends a request whenever the guard says something: it speaks between the steps of a change-over, and nobody else gets in
/// there, because the test has one thread.
struct Witness {
    service: Router,
    token: String,
    seen: Arc<Mutex<Vec<u16>>>,
}

impl<S: Subscriber> Layer<S> for Witness {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != REMOTE {
            return;
        }
        let answer = fetch(&self.service, "/orders", &self.token).now_or_never();
        let status = answer.map_or(0, |answer| answer.status.as_u16());
        self.seen.lock().unwrap().push(status);
    }
}

/// A witness at work.
struct Watch {
    seen: Arc<Mutex<Vec<u16>>>,
    _set: DefaultGuard,
}

impl Watch {
    fn over(guard: &Guard, token: String) -> Self {
        let seen = Arc::default();
        let witness = Witness { service: service(guard), token, seen: Arc::clone(&seen) };
        Self { seen, _set: set_default(registry().with(witness)) }
    }

    /// What requests were answered, in their order.
    fn statuses(self) -> Vec<u16> {
        self.seen.lock().unwrap().clone()
    }
}

/// A guard from the disk, with revision 7.
async fn from_disk() -> (Machine, Guard) {
    let machine = Machine::left_alone().await;
    let guard = machine.start().await;
    assert_eq!(machine.statuses(&guard).await, SERVED);
    assert_eq!(guard.status().policy.unwrap().source, Some(Source::Disk));
    (machine, guard)
}

/// Has the issuer back with these keys and this policy, and the guard hear of it.
async fn comes_back(
    machine: &Machine,
    guard: &Guard,
    keys: &[&Signer],
    policy: (&Signer, &str, Value),
) -> Vec<u16> {
    let (signer, rules, changes) = policy;
    machine.issuer.publish(Answer::Document(jwks(keys.iter().copied())));
    machine.publish(signer, rules, &changes);
    hears(machine, guard, keys[0]).await
}

async fn hears(machine: &Machine, guard: &Guard, caller: &Signer) -> Vec<u16> {
    machine.issuer.come_back();
    machine.dial.turn(Duration::from_secs(30));
    let watch = Watch::over(guard, machine.token(caller));
    guard.refresh().await;
    watch.statuses()
}

#[tokio::test]
async fn a_policy_of_withdrawn_keys_is_followed_by_any_revision_and_no_request_is_left_without_one() {
    for revision in [6, 7, 8] {
        let ((machine, guard), rotated) = (from_disk().await, Signer::es256("rotated"));
        let policy = (&rotated, WITHDRAWN, json!({ "revision": revision }));
        let seen = comes_back(&machine, &guard, &[&rotated], policy).await;
        assert_eq!(seen, [200, 200, 403], "{revision}: the old one decides until the new one does");
        assert_eq!(guard.policy_revision(), Some(revision));
        assert_eq!(machine.statuses_by(&guard, &rotated).await, [403, 403]);
        assert_eq!(machine.statuses(&guard).await, [401, 401], "the key was withdrawn");
        assert_eq!(guard.status().policy.unwrap().source, Some(Source::Network));
        machine.issuer.leave();
        assert_eq!(machine.start().await.policy_revision(), Some(revision), "it is on the disk");
    }
}

#[tokio::test]
async fn a_revision_says_something_else_only_when_nothing_proves_the_one_from_the_disk() {
    for (revision, stays) in [(6, true), (7, true), (8, false)] {
        let ((machine, guard), rotated) = (from_disk().await, Signer::es256("rotated"));
        let keys = [&rotated, &machine.signer];
        let policy = (&rotated, WITHDRAWN, json!({ "revision": revision }));
        let seen = comes_back(&machine, &guard, &keys, policy).await;
        assert_eq!(seen, if stays { vec![200] } else { vec![200, 403] }, "{revision}");
        let (held, statuses, source) =
            if stays { (7, SERVED, Source::Disk) } else { (revision, [403, 403], Source::Network) };
        assert_eq!((guard.policy_revision(), machine.statuses(&guard).await), (Some(held), statuses));
        assert_eq!(guard.status().policy.unwrap().source, Some(source), "{revision}");
    }
}

#[tokio::test]
async fn the_same_revision_by_new_keys_is_confirmed_without_a_change() {
    let ((machine, guard), rotated) = (from_disk().await, Signer::es256("rotated"));
    let keys = [&rotated, &machine.signer];
    let seen = comes_back(&machine, &guard, &keys, (&rotated, ALLOWED, json!({}))).await;
    assert_eq!(seen, [200], "it is said to be confirmed, and no more");
    let policy = guard.status().policy.unwrap();
    assert_eq!((policy.revision, policy.source), (Some(7), Some(Source::Network)));
    assert_eq!(machine.statuses_by(&guard, &rotated).await, SERVED);
}

#[tokio::test]
async fn a_document_that_does_not_open_leaves_the_old_policy_in_force_until_one_does() {
    let (rotated, stranger) = (Signer::es256("rotated"), Signer::es256("rotated"));
    let expired = json!({ "revision": 8, "exp": NOW - 31 });
    for (signer, rules, changes) in [
        (&stranger, WITHDRAWN, json!({ "revision": 8 })),
        (&rotated, WITHDRAWN, expired),
        (&rotated, WITHDRAWN, json!({ "revision": 8, "aud": "billing" })),
        (&rotated, WITHDRAWN, json!({ "revision": 8, "api": "https://stock.test" })),
        (&rotated, "p, viewer", json!({ "revision": 8 })),
    ] {
        let (machine, guard) = from_disk().await;
        let on_disk = fs::read(machine.file("policy")).unwrap();
        let seen = comes_back(&machine, &guard, &[&rotated], (signer, rules, changes.clone())).await;
        assert_eq!(seen, [200], "{rules} {changes}");
        assert_eq!((guard.policy_revision(), machine.statuses_by(&guard, &rotated).await), (Some(7), SERVED));
        assert_eq!(guard.status().policy.unwrap().source, Some(Source::Disk), "{rules} {changes}");
        assert_eq!(fs::read(machine.file("policy")).unwrap(), on_disk, "{rules} {changes}");

        let good = (&rotated, WITHDRAWN, json!({ "revision": 5 }));
        let seen = comes_back(&machine, &guard, &[&rotated], good).await;
        assert_eq!(seen, [200, 200, 403], "{rules} {changes}");
        assert_eq!(guard.policy_revision(), Some(5));
        assert_eq!(machine.statuses_by(&guard, &rotated).await, [403, 403]);
    }
}

#[tokio::test]
async fn a_policy_whose_key_comes_later_waits_for_it_and_the_old_one_decides_meanwhile() {
    let ((machine, guard), rotated) = (from_disk().await, Signer::es256("rotated"));
    machine.issuer.publish(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    machine.publish(&rotated, WITHDRAWN, &json!({ "revision": 6 }));
    assert_eq!(hears(&machine, &guard, &machine.signer).await, [200]);
    assert_eq!((guard.policy_revision(), machine.statuses(&guard).await), (Some(7), SERVED));
    assert_eq!(machine.statuses_by(&guard, &rotated).await, CLOSED, "nobody can say whether the key is good");
    machine.issuer.publish(Answer::Document(jwks([&rotated])));
    assert_eq!(hears(&machine, &guard, &rotated).await, [200, 200, 403]);
    assert_eq!(guard.policy_revision(), Some(6));
    assert_eq!(machine.statuses_by(&guard, &rotated).await, [403, 403]);
}
