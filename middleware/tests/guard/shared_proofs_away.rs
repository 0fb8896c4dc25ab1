//! What becomes of proofs while the Redis that replicas share them through is away, and how it is told of.

use std::time::Duration;

use portcullis_guard::{Dpop, RedisProofs};

use crate::redis::{Redis, Said, cli};
use crate::shared_proofs::{Setup, through};

/// So long nobody waits for a server that hangs.
const IMPATIENT: Duration = Duration::from_millis(5);

#[tokio::test]
async fn while_redis_is_away_requests_with_a_proof_are_refused_and_others_are_not() {
    let said = Said::default();
    let _listening = said.listen();
    let mut redis = Redis::start();
    let setup = Setup::new();
    let [one, two] = setup.pair(&through(&redis.url(), "test")).await;
    assert_eq!(setup.status(&one, &setup.named("a")).await, 200);

    redis.end();
    for replica in [&one, &two] {
        for number in 0..3 {
            let refused = setup.show(replica, &setup.named(&format!("away-{number}"))).await;
            assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "unavailable"));
            assert_eq!(refused.header("retry-after"), "1");
        }
        assert_eq!(setup.bearer(replica).await, 200);
        assert_eq!(replica.guard.status().proofs_shared, Some(false));
        assert!(replica.guard.is_ready(), "some are served");
    }
    assert_eq!(setup.status(&one, &setup.named("a")).await, 401, "it is known here");
    assert_eq!(said.so_far(), (2, 0), "one warning of each guard");

    let _redis = Redis::start_at(redis.port);
    for replica in [&one, &two] {
        replica.guard.refresh().await;
        assert_eq!(replica.guard.status().proofs_shared, Some(true));
    }
    assert_eq!(said.so_far(), (2, 2), "and one line when it is back");
    let again = setup.named("away-0");
    assert_eq!(setup.status(&one, &again).await, 401, "what was answered 503 is spent");
    let new = setup.named("new");
    assert_eq!((setup.status(&one, &new).await, setup.status(&two, &new).await), (200, 401));
}

#[tokio::test]
async fn a_replica_that_may_answers_alone_meanwhile_and_takes_a_proof_once_itself() {
    let said = Said::default();
    let _listening = said.listen();
    let mut redis = Redis::start();
    let setup = Setup::new();
    let [one, two] = setup.pair(&through(&redis.url(), "test").alone_while_away()).await;
    redis.end();
    for jti in ["a", "b"] {
        let same = setup.named(jti);
        for replica in [&one, &two] {
            assert_eq!(setup.status(replica, &same).await, 200, "{jti}");
            assert_eq!(setup.status(replica, &same).await, 401, "{jti}");
        }
    }
    assert_eq!((one.guard.status().proofs_shared, said.so_far()), (Some(false), (2, 0)));
    assert!(one.guard.is_ready());

    let _redis = Redis::start_at(redis.port);
    one.guard.refresh().await;
    two.guard.refresh().await;
    let new = setup.named("new");
    assert_eq!((setup.status(&one, &new).await, setup.status(&two, &new).await), (200, 401));
    assert_eq!(said.so_far(), (2, 2));
}

#[tokio::test]
async fn a_guard_that_serves_nobody_without_a_proof_is_not_ready_unless_it_answers_alone() {
    let mut redis = Redis::start();
    redis.end();
    let setup = Setup::new();
    let through = through(&redis.url(), "test");
    let closed = setup.replica(Dpop::new().required().shared(through.clone())).await;
    let alone = setup.replica(Dpop::new().required().shared(through.alone_while_away())).await;
    assert_eq!((closed.guard.is_ready(), alone.guard.is_ready()), (false, true));
    assert_eq!(closed.guard.status().proofs_shared, Some(false), "it starts nevertheless");
    assert_eq!(setup.status(&closed, &setup.named("a")).await, 503);
    assert_eq!(setup.status(&alone, &setup.named("a")).await, 200);
    let _redis = Redis::start_at(redis.port);
    closed.guard.refresh().await;
    assert!(closed.guard.is_ready());
    assert_eq!(setup.status(&closed, &setup.named("b")).await, 200);
}

#[tokio::test]
async fn a_redis_that_hangs_holds_no_request_up() {
    let redis = Redis::start();
    let setup = Setup::new();
    let through = RedisProofs::new(redis.url(), [7; 32]).patience(IMPATIENT);
    let closed = setup.replica(Dpop::new().shared(through.clone())).await;
    let alone = setup.replica(Dpop::new().shared(through.alone_while_away())).await;
    redis.signal("-STOP");
    for number in 0..3 {
        let new = setup.named(&number.to_string());
        assert_eq!(setup.status(&closed, &new).await, 503);
        assert_eq!((setup.status(&alone, &new).await, setup.status(&alone, &new).await), (200, 401));
    }
    redis.signal("-CONT");
}

#[tokio::test]
async fn a_redis_that_is_full_counts_as_away_until_there_is_room() {
    let redis = Redis::start();
    let setup = Setup::new();
    let [one, two] = setup.pair(&through(&redis.url(), "test")).await;
    let bound =
        |bytes: &str| assert_eq!(cli(&redis.url(), &["config", "set", "maxmemory", bytes]).trim(), "OK");
    bound("1");
    assert_eq!(setup.status(&one, &setup.named("a")).await, 503);
    one.guard.refresh().await;
    assert_eq!(one.guard.status().proofs_shared, Some(false), "it answers, and can note nothing");
    bound("0");
    one.guard.refresh().await;
    let same = setup.named("b");
    assert_eq!((setup.status(&one, &same).await, setup.status(&two, &same).await), (200, 401));
}

#[tokio::test]
async fn a_redis_that_lost_its_data_is_not_trusted_by_who_saw_the_proof() {
    let redis = Redis::start();
    let setup = Setup::new();
    let [one, _] = setup.pair(&through(&redis.url(), "test")).await;
    let same = setup.named("a");
    assert_eq!(setup.status(&one, &same).await, 200);
    assert_eq!(cli(&redis.url(), &["flushall"]).trim(), "OK");
    assert_eq!(setup.status(&one, &same).await, 401);
}
