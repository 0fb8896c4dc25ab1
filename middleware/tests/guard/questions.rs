//! When the issuer is asked about a token, and when not.

use std::time::Duration;

use http::StatusCode;
use portcullis_guard::{GuardBuilder, Introspection, Policy, PolicyEndpoint};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::introspection::Setup;
use crate::issuer::{Answer, TestIssuer};
use crate::service::fetch;
use crate::signer::{NOW, b64, jwks};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

async fn asking(ask: impl FnOnce(Introspection) -> Introspection) -> Setup {
    Setup::with(ask, |guard| guard).await
}

impl Setup {
    /// Sends a request that nobody waits for yet.
    pub(crate) fn begin(&self, token: &str) -> JoinHandle<u16> {
        let (service, token) = (self.service.clone(), token.to_owned());
        tokio::spawn(async move { fetch(&service, "/me", &token).await.status.as_u16() })
    }

    pub(crate) async fn has_been_asked(&self, questions: usize) {
        while self.issuer.questions() < questions {
            tokio::task::yield_now().await;
        }
    }

    fn fail(&self, status: StatusCode) {
        self.issuer.asked().instead = Some(Answer::Status(status));
    }
}

#[tokio::test]
async fn a_good_token_is_remembered_for_half_a_minute_and_no_longer_than_it_lives() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({ "exp": NOW + 40 }));
    for (turn, questions) in [(0, 1), (29, 1), (1, 2), (9, 2)] {
        setup.dial.turn(secs(turn));
        assert_eq!(setup.status(&token).await, 200);
        assert_eq!(setup.issuer.questions(), questions, "after {turn} more");
    }
    setup.issuer.say_of(&token, &json!({ "active": false }));
    assert_eq!(setup.status(&token).await, 200);
    setup.dial.turn(secs(1));
    assert_eq!(setup.status(&token).await, 401, "what is remembered ends with the token, to the second");
    assert_eq!(setup.issuer.questions(), 3);
}

#[tokio::test]
async fn rfc_7662_section_4_and_fapi2_section_5_3_4_a_token_taken_back_is_refused_after_half_a_minute() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({}));
    assert_eq!(setup.status(&token).await, 200);
    setup.issuer.say_of(&token, &json!({ "active": false }));
    setup.dial.turn(secs(30));
    assert_eq!(setup.status(&token).await, 401);
}

#[tokio::test]
async fn a_token_that_is_not_good_is_remembered_for_two_seconds() {
    let setup = Setup::new().await;
    for (turn, questions) in [(0, 1), (1, 1), (1, 2)] {
        setup.dial.turn(secs(turn));
        assert_eq!(setup.status("opaque-1").await, 401);
        assert_eq!(setup.issuer.questions(), questions);
    }
    let token = setup.token("opaque-1", &json!({}));
    setup.dial.turn(secs(2));
    assert_eq!(setup.status(&token).await, 200, "it is known everywhere now");
}

#[tokio::test]
async fn nothing_is_remembered_where_that_is_declared() {
    for ask in [
        |it: Introspection| it.remember_for(Duration::ZERO).remember_refused_for(Duration::ZERO),
        |it: Introspection| it.memory_bytes(0).remember_refused_for(Duration::ZERO),
        |it: Introspection| it.memory_tokens(0).remember_refused_for(Duration::ZERO),
    ] {
        let setup = asking(ask).await;
        let token = setup.token("opaque-1", &json!({}));
        for questions in 1..4 {
            assert_eq!(setup.status(&token).await, 200);
            assert_eq!(setup.status("unknown").await, 401);
            assert_eq!(setup.issuer.questions(), questions * 2);
        }
        assert_eq!(setup.guard.status().introspection.unwrap().tokens, 0);
    }
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let setup = asking(|it| it.memory_tokens(5)).await;
    for number in 0..40 {
        assert_eq!(setup.status(&setup.token(&format!("opaque-{number}"), &json!({}))).await, 200);
    }
    let held = setup.guard.status().introspection.unwrap().tokens;
    assert!((1..=5).contains(&held), "{held}");
}

#[tokio::test]
async fn requests_with_one_token_are_one_question() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({}));
    setup.issuer.stall();
    let waiting: Vec<_> = (0..20).map(|_| setup.begin(&token)).collect();
    setup.has_been_asked(1).await;
    setup.issuer.resume();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 200);
    }
    assert_eq!(setup.issuer.questions(), 1);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_the_question() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({}));
    setup.issuer.stall();
    let impatient = setup.begin(&token);
    setup.has_been_asked(1).await;
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    setup.issuer.resume();
    assert_eq!(setup.status(&token).await, 200);
    assert_eq!(setup.issuer.questions(), 1);
}

#[tokio::test]
async fn whoever_comes_beyond_the_open_questions_is_503_at_once() {
    let setup = asking(|it| it.max_requests(2)).await;
    let known = setup.token("known", &json!({}));
    assert_eq!(setup.status(&known).await, 200);
    let tokens = ["opaque-1", "opaque-2"].map(|name| setup.token(name, &json!({})));
    setup.issuer.stall();
    let waiting = tokens.each_ref().map(|token| setup.begin(token));
    setup.has_been_asked(3).await;
    let third = setup.token("opaque-3", &json!({}));
    setup.assert_unavailable(&third, "a third one").await;
    assert_eq!(setup.status(&known).await, 200, "what is remembered needs no question");
    let joins = setup.begin(&tokens[0]);
    setup.issuer.resume();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 200);
    }
    assert_eq!(joins.await.unwrap(), 200);
    assert_eq!(setup.status(&third).await, 200, "there is room again");
    assert_eq!(setup.issuer.questions(), 4);
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_holds_nobody_for_long() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({}));
    setup.issuer.stall();
    tokio::time::pause();
    setup.assert_unavailable(&token, "no answer").await;
}

#[tokio::test]
async fn an_issuer_that_is_away_is_asked_now_and_then() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({}));
    setup.fail(StatusCode::SERVICE_UNAVAILABLE);
    for number in 0..10 {
        setup.assert_unavailable(&format!("opaque-{number}"), "away").await;
    }
    assert_eq!(setup.issuer.questions(), 3, "it is left alone after three failures");
    assert!(!setup.guard.status().introspection.unwrap().answers);
    assert!(setup.guard.is_ready(), "without requests it would not find out that the issuer is back");
    setup.dial.turn(secs(2));
    setup.assert_unavailable(&token, "still away").await;
    setup.assert_unavailable(&token, "one question is enough").await;
    assert_eq!(setup.issuer.questions(), 4);
    setup.issuer.asked().instead = None;
    setup.dial.turn(secs(3));
    assert_eq!(setup.status(&token).await, 200);
    assert_eq!(setup.status("unknown").await, 401);
    assert_eq!(setup.issuer.questions(), 6);
    assert!(setup.guard.status().introspection.unwrap().answers);
}

/// What an issuer, or a proxy before it, may answer because of one token.
const STUMBLES: [StatusCode; 8] = [
    StatusCode::BAD_REQUEST,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::URI_TOO_LONG,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::INTERNAL_SERVER_ERROR,
];

#[tokio::test]
async fn an_issuer_that_stumbles_over_made_up_tokens_is_asked_about_others() {
    for status in STUMBLES {
        let setup = Setup::new().await;
        let token = setup.token("opaque-1", &json!({}));
        setup.fail(status);
        for number in 0..10 {
            setup.assert_unavailable(&format!("made-up-{number}"), "a stumble").await;
        }
        setup.issuer.asked().instead = None;
        assert_eq!(setup.status(&token).await, 200);
    }
}

#[tokio::test]
async fn an_issuer_that_refuses_whoever_asks_is_left_alone() {
    for status in [
        StatusCode::UNAUTHORIZED,
        StatusCode::NOT_FOUND,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ] {
        let setup = Setup::new().await;
        setup.fail(status);
        for number in 0..5 {
            setup.assert_unavailable(&format!("opaque-{number}"), status.as_str()).await;
        }
        assert_eq!(setup.issuer.questions(), 3, "{status}");
    }
}

#[tokio::test]
async fn an_issuer_that_stumbles_is_there_again() {
    for status in STUMBLES {
        let setup = Setup::new().await;
        let token = setup.token("opaque-1", &json!({}));
        setup.fail(StatusCode::BAD_GATEWAY);
        for number in 0..3 {
            setup.assert_unavailable(&format!("opaque-{number}"), "away").await;
        }
        assert!(!setup.guard.status().introspection.unwrap().answers);
        setup.fail(status);
        setup.dial.turn(secs(2));
        setup.assert_unavailable("made-up", status.as_str()).await;
        setup.issuer.asked().instead = None;
        assert_eq!(setup.status(&token).await, 200, "{status} was an answer");
    }
}

#[tokio::test]
async fn an_endpoint_that_could_not_be_found_is_looked_for_again() {
    let without_metadata = |guard: GuardBuilder, issuer: &TestIssuer| {
        issuer.move_to(None);
        guard
    };
    let setup = Setup::near(|it| it, without_metadata).await;
    let token = setup.token("opaque-1", &json!({}));
    setup.assert_unavailable(&token, "it is nowhere").await;
    setup.issuer.move_to(Some(&setup.issuer));
    assert_eq!(setup.status(&token).await, 200);
    assert_eq!(setup.issuer.questions(), 1);
}

#[tokio::test]
async fn an_endpoint_that_moved_is_found_again() {
    let setup = Setup::new().await;
    let elsewhere = TestIssuer::start(jwks([&setup.signer])).await;
    let token = setup.token("opaque-1", &json!({}));
    assert_eq!(setup.status(&token).await, 200);
    setup.issuer.move_to(Some(&elsewhere));
    setup.fail(StatusCode::NOT_FOUND);
    elsewhere.say_of("opaque-2", &setup.active(&json!({})));
    setup.assert_unavailable("opaque-2", "it is not where it was").await;
    assert_eq!(setup.status("opaque-2").await, 200);
    assert_eq!((setup.issuer.questions(), elsewhere.questions()), (2, 1));
}

#[tokio::test]
async fn an_endpoint_that_failed_once_is_asked_where_it_was_while_there_is_no_metadata() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({}));
    setup.issuer.move_to(None);
    for _ in 0..3 {
        setup.fail(StatusCode::BAD_GATEWAY);
        setup.assert_unavailable("unknown", "away for a moment").await;
        setup.issuer.asked().instead = None;
        assert_eq!(setup.status(&token).await, 200);
        setup.dial.turn(secs(30));
    }
}

#[tokio::test]
async fn what_is_remembered_is_good_while_the_issuer_is_away_until_it_ends() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({ "exp": NOW + 400 }));
    assert_eq!(setup.status(&token).await, 200);
    setup.fail(StatusCode::BAD_GATEWAY);
    let both = async || {
        let stale = setup.get("/stale", &token).await.status.as_u16();
        (setup.status(&token).await, stale)
    };
    setup.dial.turn(secs(29));
    assert_eq!(both().await, (200, 200));
    setup.dial.turn(secs(1));
    assert_eq!(both().await, (503, 200), "a route that serves stale goes by what was said last");
    assert_eq!(setup.get("/stale", "another").await.status.as_u16(), 503, "if anything was");
    setup.dial.turn(secs(369));
    assert_eq!(both().await, (503, 200));
    setup.dial.turn(secs(1));
    assert_eq!(both().await, (503, 503), "the token has expired");
}

#[tokio::test]
async fn a_route_serves_stale_up_to_its_own_bound() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({ "exp": NOW + 4_000 }));
    assert_eq!(setup.status(&token).await, 200);
    setup.fail(StatusCode::BAD_GATEWAY);
    for (turn, status) in [(600, 200), (1, 503)] {
        setup.dial.turn(secs(turn));
        assert_eq!(setup.get("/stale", &token).await.status.as_u16(), status);
    }
}

#[tokio::test]
async fn what_was_refused_since_is_not_served_stale() {
    let setup = Setup::new().await;
    let token = setup.token("opaque-1", &json!({}));
    assert_eq!(setup.get("/stale", &token).await.status, StatusCode::OK);
    setup.dial.turn(secs(30));
    setup.issuer.say_of(&token, &json!({ "active": false }));
    assert_eq!(setup.get("/stale", &token).await.status, StatusCode::UNAUTHORIZED, "the issuer answers");
    setup.fail(StatusCode::BAD_GATEWAY);
    setup.dial.turn(secs(2));
    assert_eq!(setup.get("/stale", &token).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

/// What is said of a claim and its value that were revoked.
fn mark(claim: &str, value: &str, nbf: Option<u64>) -> Value {
    let hash = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        &[claim.as_bytes(), &[0], value.as_bytes()].concat(),
    );
    json!({ "id": b64(&hash.as_ref()[..16]), "nbf": nbf, "exp": NOW + 3_600 })
}

#[tokio::test]
async fn what_a_server_says_was_revoked_ends_what_is_remembered() {
    for (revoked, touches) in [
        (mark("jti", "token-1", None), true),
        (mark("gid", "grant-1", None), true),
        (mark("sub", "alice", Some(NOW)), true),
        (mark("client_id", "web", None), true),
        (mark("sub", "alice", Some(NOW - 1)), false),
        (mark("jti", "token-2", None), false),
    ] {
        let policy = |guard: GuardBuilder, issuer: &TestIssuer| {
            let url = format!("{}/policies/snapshot", issuer.url);
            guard.policy(Policy::remote(PolicyEndpoint::new(url, "orders", "s3cret")))
        };
        let setup = Setup::near(|it| it, policy).await;
        let token = setup.token("opaque-1", &json!({ "gid": "grant-1" }));
        assert_eq!(setup.status(&token).await, 200, "{revoked}");
        let state = json!({ "seq": 1, "reset": true, "policy": "new", "keys": "k", "revoked": [revoked] });
        setup.issuer.say(Answer::Document(state.to_string()));
        setup.guard.refresh().await;
        let expected = if touches { 401 } else { 200 };
        for _ in 0..2 {
            assert_eq!(setup.status(&token).await, expected, "{revoked}");
        }
        let another = setup.token("opaque-2", &json!({ "gid": "grant-1" }));
        assert_eq!(setup.status(&another).await, expected, "a new answer is held to it as well: {revoked}");
    }
}
