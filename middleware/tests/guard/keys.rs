//! Keys that are fetched: new ones, bad ones, and none.

use std::time::Duration;

use axum::Router;
use http::StatusCode;
use portcullis_guard::{Guard, Issuer};
use serde_json::{Value, json};

use crate::issuer::{Answer, TestIssuer};
use crate::service::{Dial, builder, fetch, service};
use crate::signer::{Signer, jwks};

/// A service that trusts an issuer on a socket.
struct Setup {
    issuer: TestIssuer,
    dial: Dial,
    guard: Guard,
    service: Router,
}

impl Setup {
    async fn with(issuer: TestIssuer) -> Self {
        let dial = Dial::new();
        let guard = builder(&dial).issuer(Issuer::oidc(&issuer.url)).build().await.unwrap();
        let service = service(&guard);
        Self { issuer, dial, guard, service }
    }

    async fn new(signer: &Signer) -> Self {
        Self::with(TestIssuer::start(jwks([signer])).await).await
    }

    fn token(&self, signer: &Signer) -> String {
        signer.token(&json!({ "iss": self.issuer.url }))
    }

    fn token_until(&self, signer: &Signer, exp: u64) -> String {
        signer.token(&json!({ "iss": self.issuer.url, "exp": exp }))
    }

    async fn status(&self, token: &str) -> StatusCode {
        fetch(&self.service, "/me", token).await.status
    }
}

const LATE: u64 = crate::signer::NOW + 80_000;

#[tokio::test]
async fn keys_are_discovered_before_the_first_request() {
    let signer = Signer::es256("a");
    let setup = Setup::new(&signer).await;
    assert!(setup.guard.is_ready());
    assert_eq!(setup.status(&setup.token(&signer)).await, StatusCode::OK);
    assert_eq!(setup.issuer.fetches(), 1);
}

#[tokio::test]
async fn one_line_builds_a_guard_that_is_ready() {
    let issuer = TestIssuer::start(jwks([&Signer::es256("a")])).await;
    let guard = Guard::oidc(&issuer.url, "https://api.test").await.unwrap();
    assert!(guard.is_ready());
    assert_eq!(guard.policy_revision(), None);
}

#[tokio::test]
async fn a_new_key_is_fetched_by_the_first_request_that_meets_it() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let setup = Setup::new(&old).await;
    setup.issuer.publish(Answer::Document(jwks([&old, &new])));
    assert_eq!(setup.status(&setup.token(&new)).await, StatusCode::OK, "at once, and not after a cool-down");
    assert_eq!(setup.status(&setup.token(&old)).await, StatusCode::OK);
    assert_eq!(setup.issuer.fetches(), 2);
}

#[tokio::test]
async fn invented_key_ids_cause_a_few_fetches_and_then_one_in_thirty_seconds() {
    let signer = Signer::es256("a");
    let setup = Setup::new(&signer).await;
    for round in 0..100 {
        let stranger = Signer::eddsa(&format!("invented-{round}"));
        assert_eq!(setup.status(&setup.token(&stranger)).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(setup.issuer.fetches(), 1 + 4);
    for (secs, fetches) in [(29, 5), (1, 6), (29, 6), (1, 7)] {
        setup.dial.turn(Duration::from_secs(secs));
        for round in 0..3 {
            let stranger = Signer::eddsa(&format!("other-{round}"));
            assert_eq!(setup.status(&setup.token(&stranger)).await, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(setup.issuer.fetches(), fetches);
    }
}

#[tokio::test]
async fn whoever_invents_a_key_id_now_and_then_delays_no_new_key() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let setup = Setup::new(&old).await;
    let stranger = setup.token_until(&Signer::eddsa("invented"), LATE);
    for _ in 0..20 {
        setup.dial.turn(Duration::from_secs(30));
        assert_eq!(setup.status(&stranger).await, StatusCode::UNAUTHORIZED);
    }
    setup.issuer.publish(Answer::Document(jwks([&old, &new])));
    assert_eq!(setup.status(&setup.token_until(&new, LATE)).await, StatusCode::OK, "at once");
}

#[tokio::test]
async fn an_issuer_that_is_away_takes_the_service_from_no_caller_of_another_and_the_status_names_it() {
    let (here, there) = (Signer::es256("here"), Signer::es256("there"));
    let (one, other) = (TestIssuer::start(jwks([&here])).await, TestIssuer::start("").await);
    other.publish(Answer::Status(StatusCode::SERVICE_UNAVAILABLE));
    let dial = Dial::new();
    let issuers = builder(&dial).issuer(Issuer::oidc(&one.url)).issuer(Issuer::oidc(&other.url));
    let guard = issuers.build().await.unwrap();
    let service = service(&guard);
    let status = async |signer: &Signer, issuer: &TestIssuer| {
        let token = signer.token(&json!({ "iss": issuer.url, "exp": LATE }));
        fetch(&service, "/me", &token).await.status.as_u16()
    };
    let usable = || -> Vec<(String, bool)> {
        let status = guard.status();
        assert_eq!(status.ready, guard.is_ready());
        status.issuers.into_iter().map(|keys| (keys.issuer, keys.usable)).collect()
    };
    let named = |one_is: bool, other_is: bool| vec![(one.url.clone(), one_is), (other.url.clone(), other_is)];
    assert_eq!((guard.is_ready(), usable()), (true, named(true, false)));
    assert_eq!((status(&here, &one).await, status(&there, &other).await), (200, 503));

    other.publish(Answer::Document(jwks([&there])));
    guard.refresh().await;
    assert_eq!((guard.is_ready(), usable()), (true, named(true, true)));
    assert_eq!(status(&there, &other).await, 200);

    for issuer in [&one, &other] {
        issuer.publish(Answer::Status(StatusCode::SERVICE_UNAVAILABLE));
    }
    dial.turn(Duration::from_secs(3_661));
    guard.refresh().await;
    assert_eq!((guard.is_ready(), usable()), (false, named(false, false)), "nobody can be served");
}

#[tokio::test]
async fn requests_that_wait_for_the_same_keys_share_one_fetch() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let setup = Setup::new(&old).await;
    setup.issuer.publish(Answer::Document(jwks([&old, &new])));
    setup.dial.turn(Duration::from_secs(31));
    setup.issuer.stall();
    let token = setup.token(&new);
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (service, token) = (setup.service.clone(), token.clone());
            tokio::spawn(async move { fetch(&service, "/me", &token).await.status })
        })
        .collect();
    while setup.issuer.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(setup.status(&setup.token(&old)).await, StatusCode::OK, "nobody else waits");
    setup.issuer.resume();
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(setup.issuer.fetches(), 2);
}

/// However many look at once whether the issuer is being asked, none is told that it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn made_up_keys_are_refused_as_such_by_all_who_meet_them_at_once() {
    let setup = Setup::new(&Signer::es256("known")).await;
    let token = setup.token(&Signer::es256("made-up"));
    let mut tries = 0;
    while setup.status(&token).await != StatusCode::UNAUTHORIZED || setup.issuer.fetches() < 5 {
        tries += 1;
        assert!(tries < 1_000, "{} fetches", setup.issuer.fetches());
    }
    let guesses = (0..8).map(|_| {
        let (service, token) = (setup.service.clone(), token.clone());
        tokio::spawn(async move {
            for _ in 0..1_000 {
                assert_eq!(fetch(&service, "/me", &token).await.status, StatusCode::UNAUTHORIZED);
            }
        })
    });
    for guess in guesses.collect::<Vec<_>>() {
        guess.await.unwrap();
    }
    assert_eq!(setup.issuer.fetches(), 5);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_the_fetch() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let setup = Setup::new(&old).await;
    setup.issuer.publish(Answer::Document(jwks([&new])));
    setup.dial.turn(Duration::from_secs(31));
    setup.issuer.stall();
    let (service, token) = (setup.service.clone(), setup.token(&new));
    let impatient = tokio::spawn(async move { fetch(&service, "/me", &token).await });
    while setup.issuer.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    setup.issuer.resume();
    assert_eq!(setup.status(&setup.token(&new)).await, StatusCode::OK);
    assert_eq!(setup.issuer.fetches(), 2);
}

// JW-21 over the network
#[tokio::test]
async fn a_withdrawn_key_is_refused_after_the_next_refresh() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let setup = Setup::new(&old).await;
    let token = setup.token(&old);
    assert_eq!(setup.status(&token).await, StatusCode::OK);
    setup.issuer.publish(Answer::Document(jwks([&new])));
    setup.guard.refresh().await;
    assert_eq!(setup.status(&token).await, StatusCode::UNAUTHORIZED);
}

// F20
#[tokio::test]
async fn a_warm_guard_goes_on_for_an_hour_without_its_issuer_and_then_says_503() {
    let signer = Signer::es256("a");
    let setup = Setup::new(&signer).await;
    let token = setup.token_until(&signer, LATE);
    assert_eq!(setup.status(&token).await, StatusCode::OK);
    setup.issuer.publish(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR));
    for _ in 0..59 {
        setup.dial.turn(Duration::from_mins(1));
        setup.guard.refresh().await;
        assert_eq!(setup.status(&token).await, StatusCode::OK);
    }
    let unseen = signer.token(&json!({ "iss": setup.issuer.url, "exp": LATE, "jti": "unseen" }));
    assert_eq!(setup.status(&unseen).await, StatusCode::OK);
    setup.dial.turn(Duration::from_secs(61));
    let answer = fetch(&setup.service, "/me", &token).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!setup.guard.is_ready());
    setup.issuer.publish(Answer::Document(jwks([&signer])));
    setup.guard.refresh().await;
    assert_eq!(setup.status(&token).await, StatusCode::OK);
}

#[tokio::test]
async fn a_key_that_nobody_can_ask_about_is_503_and_not_401() {
    let signer = Signer::es256("a");
    let setup = Setup::new(&signer).await;
    setup.issuer.publish(Answer::Status(StatusCode::BAD_GATEWAY));
    setup.dial.turn(Duration::from_secs(31));
    let stranger = setup.token(&Signer::es256("maybe new"));
    for _ in 0..10 {
        assert_eq!(setup.status(&stranger).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(setup.issuer.fetches(), 2, "one attempt for all of them");
    assert_eq!(setup.status(&setup.token(&signer)).await, StatusCode::OK);
}

// F21
#[tokio::test]
async fn a_cold_guard_says_503_and_recovers_with_the_first_request_after() {
    let signer = Signer::es256("a");
    let issuer = TestIssuer::start("").await;
    issuer.publish(Answer::Status(StatusCode::SERVICE_UNAVAILABLE));
    let setup = Setup::with(issuer).await;
    assert!(!setup.guard.is_ready());
    let token = setup.token(&signer);
    assert_eq!(setup.status(&token).await, StatusCode::SERVICE_UNAVAILABLE);
    let nobody = "a.b.c";
    assert_eq!(setup.status(nobody).await, StatusCode::UNAUTHORIZED, "what is no token needs no key");
    setup.issuer.publish(Answer::Document(jwks([&signer])));
    setup.dial.turn(Duration::from_secs(1));
    assert_eq!(setup.status(&token).await, StatusCode::OK);
}

// F23
#[tokio::test]
async fn whatever_is_no_key_set_leaves_the_last_good_one() {
    let signer = Signer::es256("a");
    let setup = Setup::new(&signer).await;
    let token = setup.token_until(&signer, LATE);
    let evil = TestIssuer::start(jwks([&Signer::es256("a")])).await;
    let huge = json!({ "keys": [signer.jwk()], "pad": "x".repeat(10 * 1024 * 1024) }).to_string();
    let weak: Value = json!({ "keys": [{ "kty": "oct", "k": "AA", "kid": "a" }] });
    for answer in [
        Answer::Document("garbage".into()),
        Answer::Document("<html>200 OK</html>".into()),
        Answer::Document(r#"{"keys":[]}"#.into()),
        Answer::Document("{}".into()),
        Answer::Document(String::new()),
        Answer::Document(weak.to_string()),
        Answer::Document(huge),
        Answer::Status(StatusCode::NOT_FOUND),
        Answer::Status(StatusCode::NO_CONTENT),
        Answer::Redirect(format!("{}/jwks", evil.url)),
    ] {
        setup.issuer.publish(answer.clone());
        setup.guard.refresh().await;
        let shown: String = format!("{answer:?}").chars().take(80).collect();
        assert_eq!(setup.status(&token).await, StatusCode::OK, "{shown}");
    }
    assert_eq!(evil.fetches(), 0, "redirects are not followed");
}

#[tokio::test]
async fn one_bad_key_does_not_take_the_others_down() {
    let signer = Signer::es256("a");
    let weak = json!({ "kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB", "alg": "RS256" });
    let set = json!({ "keys": [{ "kty": "unheard-of" }, weak, signer.jwk(), null] });
    let setup = Setup::with(TestIssuer::start(set.to_string()).await).await;
    assert_eq!(setup.status(&setup.token(&signer)).await, StatusCode::OK);
}

#[tokio::test]
async fn unchanged_keys_are_not_sent_again() {
    let signer = Signer::es256("a");
    let setup = Setup::new(&signer).await;
    let token = setup.token(&signer);
    for _ in 0..3 {
        setup.guard.refresh().await;
        assert_eq!(setup.status(&token).await, StatusCode::OK);
    }
    assert_eq!((setup.issuer.fetches(), setup.issuer.not_modified()), (4, 3));
}

#[tokio::test]
async fn rfc_8414_section_3_3_metadata_of_another_issuer_brings_no_keys() {
    let signer = Signer::es256("a");
    let issuer = TestIssuer::start(jwks([&signer])).await;
    let impostor = format!("{}/", issuer.url);
    let guard = builder(&Dial::new()).issuer(Issuer::oidc(&impostor)).build().await.unwrap();
    assert!(!guard.is_ready());
    assert_eq!(issuer.fetches(), 0);
    let answer = fetch(&service(&guard), "/me", &signer.token(&json!({ "iss": impostor }))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}
