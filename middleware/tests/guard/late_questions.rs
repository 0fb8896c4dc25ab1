//! What handlers ask late, while nobody says what was revoked.

use std::time::Duration;

use portcullis_guard::{Decider, Requirement, authenticated, rbac};
use serde_json::json;

use crate::decider::{held, status};
use crate::outages::Log;
use crate::signer::NOW;
use crate::stale::Asking;

#[tokio::test]
async fn a_late_question_has_the_issuer_asked_while_nobody_says_what_was_revoked() {
    let waiting = async |decider: &Decider, requirement: &Requirement| {
        let outcome = decider.decide_when_known(requirement).await;
        outcome.map_or_else(|rejection| rejection.status().as_u16(), |_| 200)
    };
    let (closed, asking) = (rbac("orders", "read"), rbac("orders", "read").introspect_when_stale());
    let setup = Asking::new().await;
    let good = held(&setup.guard, &setup.token("good", true)).await;
    let taken_back = held(&setup.guard, &setup.token("bad", false)).await;
    let late = held(&setup.guard, &setup.token("late", true)).await;
    let told = (waiting(&good, &asking).await, waiting(&taken_back, &asking).await);
    assert_eq!((told, setup.issuer.questions()), ((200, 200), 0), "nobody is asked who is told");
    setup.hear(false).await;
    assert_eq!((status(&good, &asking), waiting(&good, &closed).await), (503, 503));
    assert_eq!(setup.issuer.questions(), 0);
    assert_eq!((waiting(&good, &asking).await, waiting(&taken_back, &asking).await), (200, 401));
    assert_eq!((status(&good, &asking), setup.issuer.questions()), (200, 2));
    setup.dial.turn(Duration::from_secs(1_000));
    assert_eq!(
        (waiting(&late, &asking).await, setup.issuer.questions()),
        (401, 2),
        "what has ended is known"
    );

    let setup = Asking::new().await;
    let decider = held(&setup.guard, &setup.token("good", true)).await;
    setup.hear(false).await;
    setup.issuer.leave();
    assert_eq!(waiting(&decider, &asking).await, 503, "an issuer that is away is no refusal");
}

#[tokio::test]
async fn the_log_says_whether_it_was_the_issuer_or_its_keys_that_a_question_could_not_be_answered_without() {
    let setup = Asking::new().await;
    let exp = NOW + 80_000;
    let token = setup.token_of(&json!({ "exp": exp }), &json!({ "token_type": "Bearer", "exp": exp }));
    let (decider, asking) = (held(&setup.guard, &token).await, authenticated().introspect_when_stale());
    setup.hear(false).await;
    assert!(decider.decide_when_known(&asking).await.is_ok());
    setup.issuer.leave();
    let (log, _set) = Log::begin_at(tracing::Level::DEBUG);
    for (pause, cause) in [
        (Duration::from_mins(1), "the issuer cannot be asked about the token"),
        (Duration::from_hours(2), "the keys of the issuer cannot be had"),
    ] {
        setup.dial.turn(pause);
        assert_eq!(status(&decider, &asking), 503);
        let lines = log.lines();
        assert!(
            lines.iter().any(|line| line.contains("refused") && line.contains(cause)),
            "{cause}: {lines:?}"
        );
    }
}
