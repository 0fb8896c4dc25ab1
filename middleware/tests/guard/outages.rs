//! What a guard tells while its issuer is away: enough to act on, and not a line for each attempt.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_guard::Guard;
use serde_json::json;
use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::fmt::MakeWriter;

use crate::introspection::Setup;
use crate::issuer::Answer;
use crate::machine::{ALLOWED, Machine, SERVED};
use crate::signer::{Signer, jwks};

/// What was logged in this thread: a test has only one.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn begin() -> (Self, DefaultGuard) {
        Self::begin_at(tracing::Level::INFO)
    }

    pub(crate) fn begin_at(level: tracing::Level) -> (Self, DefaultGuard) {
        let log = Self::default();
        let lines = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).without_time();
        (log, set_default(lines.with_max_level(level).finish()))
    }

    /// The lines since the last call, without padding.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(|line| line.trim_start().to_owned()).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The lines about keys, and those about the policy.
fn told(lines: &[String]) -> [Vec<&String>; 2] {
    let of = |what: &str| lines.iter().filter(|line| line.contains(what)).collect();
    [of("keys could not be fetched"), of("the policy could not be refreshed")]
}

async fn asks_for(machine: &Machine, guard: &Guard, minutes: u64) {
    for _ in 0..minutes * 15 {
        machine.dial.turn(Duration::from_secs(4));
        guard.refresh().await;
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_is_told_of_ever_more_rarely_and_until_when_it_is_not_needed() {
    let machine = Machine::left_alone().await;
    let (log, _set) = Log::begin();
    let guard = machine.start().await;
    let lines = log.lines();
    let [keys, policy] = told(&lines);
    assert_eq!((keys.len(), policy.len()), (1, 1), "{lines:#?}");
    for (line, until) in [(keys[0], "2027-01-15T09:00:00Z"), (policy[0], "2027-01-16T08:00:00Z")] {
        assert!(line.starts_with("WARN portcullis_guard::"), "{line}");
        for part in ["what is held serves on", "age_secs=0", until, "fault="] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert!(
        lines.iter().any(|line| line.contains("kids=a") && line.contains("from the cache")),
        "{lines:#?}"
    );

    asks_for(&machine, &guard, 50).await;
    let lines = log.lines();
    let [keys, policy] = told(&lines);
    assert_eq!((keys.len(), policy.len()), (5, 5), "after 1, 3, 7, 15 and 31 minutes: {lines:#?}");
    assert!(keys[4].contains("age_secs=1860") && keys[4].contains("attempts=466"), "{}", keys[4]);
    assert_eq!(machine.statuses(&guard).await, SERVED);

    asks_for(&machine, &guard, 11).await;
    let lines = log.lines();
    let [keys, policy] = told(&lines);
    assert_eq!((keys.len(), policy.len()), (1, 0), "the keys have become too old: {lines:#?}");
    assert!(
        keys[0].contains("requests are answered 503") && !keys[0].contains("serves_until"),
        "{}",
        keys[0]
    );
}

#[tokio::test]
async fn an_issuer_that_is_back_is_told_of_once() {
    let machine = Machine::left_alone().await;
    let (log, _set) = Log::begin();
    let guard = machine.start().await;
    machine.dial.turn(Duration::from_secs(90));
    machine.issuer.come_back();
    log.lines();
    guard.refresh().await;
    guard.refresh().await;
    let lines = log.lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("again")).collect();
    assert_eq!(told.len(), 2, "{lines:#?}");
    assert!(told[0].starts_with("INFO") && told[0].contains("keys are fetched again"), "{}", told[0]);
    assert!(told[0].contains("kids=\"a\"") && told[0].contains("for_secs=90"), "{}", told[0]);
    assert!(told[1].starts_with("INFO") && told[1].contains("the policy is confirmed again"), "{}", told[1]);
}

#[tokio::test]
async fn a_guard_that_has_nothing_says_so() {
    let machine = Machine::new().await;
    machine.issuer.leave();
    let (log, _set) = Log::begin();
    let _guard = machine.start().await;
    let lines = log.lines();
    for line in told(&lines).concat() {
        assert!(line.contains("there is nothing yet") && !line.contains("age_secs"), "{line}");
    }
    assert_eq!(told(&lines).map(|lines| lines.len()), [1, 1], "{lines:#?}");
}

#[tokio::test]
async fn keys_are_called_by_their_plain_names() {
    let machine = Machine::new().await;
    let wordy = Signer::es256(&"l".repeat(500));
    let mut set: serde_json::Value = serde_json::from_str(&jwks([&machine.signer, &wordy])).unwrap();
    let keys = set["keys"].as_array_mut().unwrap();
    let mut sealing = keys[0].clone();
    (sealing["use"], sealing["kid"]) = (json!("enc"), json!("sealing"));
    keys.extend([json!({ "kty": "OKP", "crv": "X448", "kid": "strange" }), sealing]);
    machine.issuer.publish(Answer::Document(set.to_string()));
    machine.publish(&machine.signer, ALLOWED, &json!({}));
    let (log, _set) = Log::begin();
    drop(machine.start().await);
    let unused = log.lines().into_iter().find(|line| line.contains("are not used")).unwrap();
    assert!(unused.contains("unused=\"strange (its algorithm is not one of"), "{unused}");
    assert!(!unused.contains("sealing"), "what others encrypt with is nothing to wonder about: {unused}");
    machine.issuer.leave();
    let _guard = machine.start().await;
    let taken = log.lines().into_iter().find(|line| line.contains("keys taken")).unwrap();
    assert!(taken.ends_with(&format!("kids=a, {}", "l".repeat(64))), "{taken}");
}

#[tokio::test]
async fn an_issuer_that_cannot_be_asked_about_tokens_is_told_of_once_and_no_token_with_it() {
    let setup = Setup::new().await;
    setup.issuer.asked().instead = Some(Answer::Status(http::StatusCode::UNAUTHORIZED));
    let (log, _set) = Log::begin();
    for number in 0..9 {
        setup.assert_unavailable(&format!("opaque-{number}"), "refused").await;
    }
    let lines = log.lines();
    let of = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!(of("fault=the server answered 401"), 1, "{lines:#?}");
    assert_eq!((of("opaque-"), of("s3cret")), (0, 0), "{lines:#?}");
    assert_eq!(of("WARN"), 1, "not a line for each token that somebody makes up: {lines:#?}");
    setup.issuer.asked().instead = None;
    setup.dial.turn(Duration::from_secs(5));
    assert_eq!(setup.status("opaque-1").await, 401);
    assert!(log.lines().iter().any(|line| line.contains("the issuer answers about tokens again")));
}

#[tokio::test]
async fn active_tokens_that_are_refused_for_what_is_not_said_are_told_of_with_what_to_do() {
    let setup = Setup::new().await;
    let (log, _set) = Log::begin();
    for (member, advice) in
        [("aud", "danger_accept_missing_audience"), ("token_type", "danger_accept_untyped")]
    {
        for number in 0..5 {
            let token = setup.token(&format!("{member}-{number}"), &json!({ member: null }));
            assert_eq!(setup.status(&token).await, 401);
        }
        let lines = log.lines();
        assert_eq!(lines.iter().filter(|line| line.contains(advice)).count(), 1, "{lines:#?}");
    }
    setup.issuer.asked().answers.insert("odd".to_owned(), ("text/html", String::new()));
    setup.assert_unavailable("odd", "a page").await;
    assert!(log.lines().iter().any(|line| line.contains("neither JSON nor a signed answer")));
}
