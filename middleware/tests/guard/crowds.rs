//! What the log is told where more comes than there is room for.

use std::time::Duration;

use portcullis_guard::{Dpop, Issuer};
use serde_json::json;

use crate::bound::{app, ask, proof, public};
use crate::introspection::Setup;
use crate::outages::Log;
use crate::service::{Dial, builder};
use crate::signer::{ISSUER, NOW, Signer, jwks};

#[tokio::test]
async fn that_none_can_be_remembered_is_told_until_it_is_over_and_then_anew() {
    let (issuer, key, dial) = (Signer::es256("a"), Signer::es256("k"), Dial::new());
    let keys = Issuer::static_jwks(ISSUER, jwks([&issuer]));
    let app = app(builder(&dial).issuer(keys).dpop(Dpop::new().max_proofs(10))).await;
    let changes = json!({ "exp": NOW + 3_000, "cnf": { "jkt": public(&key).1 } });
    let token = issuer.token(&changes);
    let (log, _set) = Log::begin();
    let told = async |jti: &str, status: u16| {
        let proof = proof(&key, &token, &json!({ "jti": jti, "iat": dial.now() }), &json!({}));
        assert_eq!(ask(&app, "/me", &token, &proof).await.status.as_u16(), status, "{jti}");
        let mut lines = log.lines();
        lines.retain(|line| line.contains("INFO") || line.contains("WARN"));
        lines
    };
    assert_eq!(told("a", 200).await, Vec::<String>::new());
    for (jti, begun, ended) in [("b", "c", "d"), ("e", "f", "g")] {
        let first = told(jti, 503).await;
        assert!(
            matches!(&first[..], [line] if line.contains("WARN") && line.contains("attempts=1")),
            "{first:?}"
        );
        assert_eq!(told(begun, 503).await, Vec::<String>::new());
        dial.turn(Duration::from_mins(10));
        let over = told(ended, 200).await;
        let is_over = |line: &str| line.contains("can be remembered again") && line.contains("attempts=2");
        assert!(matches!(&over[..], [line] if is_over(line)), "{over:?}");
    }
}

#[tokio::test]
async fn that_no_more_can_be_asked_is_told_until_it_is_over_and_then_anew() {
    let setup = Setup::with(|it| it.max_requests(1), |guard| guard).await;
    let (log, _set) = Log::begin();
    let told = || {
        let mut lines = log.lines();
        lines.retain(|line| line.contains("all questions") || line.contains("room for questions"));
        lines
    };
    for round in 0..2 {
        let [one, two] = ["one", "two"].map(|name| setup.token(&format!("{name}-{round}"), &json!({})));
        setup.issuer.stall();
        let waiting = setup.begin(&one);
        setup.has_been_asked(1 + 2 * round).await;
        setup.assert_unavailable(&two, "the first one").await;
        let lines = told();
        assert!(matches!(&lines[..], [line] if line.contains("attempts=1")), "{lines:?}");
        setup.assert_unavailable(&two, "the second one").await;
        setup.issuer.resume();
        assert_eq!(waiting.await.unwrap(), 200);
        assert_eq!(told(), Vec::<String>::new());
        setup.dial.turn(Duration::from_mins(1));
        assert_eq!(setup.status(&two).await, 200);
        let lines = told();
        assert!(matches!(&lines[..], [line] if line.contains("attempts=2")), "{lines:?}");
    }
}
