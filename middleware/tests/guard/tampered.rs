//! A disk that holds what it should not: damaged, forged, foreign, expired or newer than what the server says.

use std::fs;
use std::time::Duration;

use portcullis_guard::{BuildError, PolicyEndpoint, Source};
use serde_json::json;

use crate::issuer::Answer;
use crate::machine::{ALLOWED, CLOSED, Machine, SERVED, WITHDRAWN};
use crate::signer::{AUDIENCE, NOW, Signer, jwks};

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
