//! Proofs that replicas take once together: `tests/run` starts the server that `PORTCULLIS_TEST_REDIS` names.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use portcullis_guard::{
    BuildError, Dpop, Guard, GuardBuilder, GuardExt, GuardedRouter, Issuer, Limits, Quota, RedisProofs,
    authenticated,
};
use serde_json::{Value, json};

use crate::bound::{ask, bound_token, proof};
use crate::redis::cli;
use crate::service::{Answer, Dial, builder, fetch};
use crate::shared_limits::{PATIENT, server, shared};
use crate::signer::{ISSUER, NOW, Signer, jwks};

const SECRET: [u8; 32] = [7; 32];

/// Proofs at a server, which is waited for however busy the machine is.
pub(crate) fn through(url: &str, prefix: &str) -> RedisProofs {
    RedisProofs::new(url, SECRET).prefix(prefix).patience(PATIENT)
}

/// An issuer, a client with a key and a token, and the time.
pub(crate) struct Setup {
    issuer: Signer,
    key: Signer,
    pub(crate) dial: Dial,
    token: String,
}

pub(crate) struct Replica {
    pub(crate) guard: Guard,
    service: Router,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let (issuer, key) = (Signer::es256("a"), Signer::es256("k"));
        let token = bound_token(&issuer, &key);
        Self { issuer, key, dial: Dial::new(), token }
    }

    pub(crate) async fn replica(&self, dpop: Dpop) -> Replica {
        self.replica_with(|guard| guard.dpop(dpop)).await
    }

    pub(crate) async fn pair(&self, through: &RedisProofs) -> [Replica; 2] {
        let dpop = || Dpop::new().shared(through.clone());
        [self.replica(dpop()).await, self.replica(dpop()).await]
    }

    async fn replica_with(&self, with: impl FnOnce(GuardBuilder) -> GuardBuilder) -> Replica {
        let issuer = Issuer::static_jwks(ISSUER, jwks([&self.issuer]));
        let guard = with(builder(&self.dial).issuer(issuer)).build().await.unwrap();
        let me = get(async || "me").guard(authenticated());
        let service = GuardedRouter::new().route("/me", me).guarded_by(&guard);
        Replica { guard, service }
    }

    /// A proof of this name.
    pub(crate) fn named(&self, jti: &str) -> String {
        self.claiming(&json!({ "jti": jti }))
    }

    fn claiming(&self, claims: &Value) -> String {
        proof(&self.key, &self.token, claims, &json!({}))
    }

    pub(crate) async fn show(&self, replica: &Replica, proof: &str) -> Answer {
        ask(&replica.service, "/me", &self.token, proof).await
    }

    /// The status of the answer to a proof.
    pub(crate) async fn status(&self, replica: &Replica, proof: &str) -> u16 {
        self.show(replica, proof).await.status.as_u16()
    }

    /// The answer to a token that is bound to nothing.
    pub(crate) async fn bearer(&self, replica: &Replica) -> u16 {
        fetch(&replica.service, "/me", &self.issuer.token(&json!({}))).await.status.as_u16()
    }
}

/// What a server holds under a prefix, beside the probe.
fn names(url: &str, prefix: &str) -> Vec<String> {
    let listed = cli(url, &["--scan", "--pattern", &format!("{prefix}:*")]);
    let names = listed.lines().filter_map(|line| line.strip_prefix(prefix)?.strip_prefix(':'));
    names.filter(|name| *name != "probe").map(str::to_owned).collect()
}

// RFC 9449 §11.1
#[tokio::test]
async fn a_proof_that_one_replica_took_is_refused_by_the_other_and_after_a_restart() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let through = through(&url, &prefix);
    let [one, two] = setup.pair(&through).await;
    assert_eq!(one.guard.status().proofs_shared, Some(true));
    let first = setup.named("a");
    assert_eq!(setup.status(&one, &first).await, 200);
    let [restarted, _] = setup.pair(&through).await;
    for replica in [&two, &one, &two, &restarted] {
        let again = setup.show(replica, &first).await;
        assert_eq!((again.status.as_u16(), again.code().as_str()), (401, "invalid_dpop_proof"));
        assert!(again.header("www-authenticate").contains("invalid_dpop_proof"), "{again:?}");
    }
    assert_eq!(setup.status(&two, &setup.named("b")).await, 200);
    let other = Signer::es256("o");
    let token = bound_token(&setup.issuer, &other);
    let same_name = proof(&other, &token, &json!({ "jti": "a" }), &json!({}));
    assert_eq!(ask(&two.service, "/me", &token, &same_name).await.status, 200, "two keys may use one name");
}

#[tokio::test]
async fn of_many_at_once_at_both_replicas_one_passes() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let replicas = setup.pair(&through(&url, &prefix)).await;
    for round in ["a", "b", "c"] {
        let same = setup.named(round);
        let asked = (0..50).map(|number| setup.status(&replicas[number % 2], &same));
        let mut answers = join_all(asked).await;
        answers.sort_unstable();
        assert_eq!(answers[0], 200, "{answers:?}");
        assert!(answers[1..].iter().all(|status| *status == 401), "{answers:?}");
    }
}

#[tokio::test]
async fn a_proof_is_known_everywhere_until_it_is_too_old_by_any_clock() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let [one, two] = setup.pair(&through(&url, &prefix)).await;
    let youngest = setup.claiming(&json!({ "iat": NOW + 30 }));
    assert_eq!(setup.status(&one, &youngest).await, 200);
    let kept = |name: &str| cli(&url, &["pttl", &format!("{prefix}:{name}")]).trim().parse::<u64>().unwrap();
    // Half a minute until it is made, a minute of age, and two leeways: of the client's clock and of a replica's.
    let before = names(&url, &prefix);
    assert!((100_000..=151_000).contains(&kept(&before[0])), "{before:?}");
    setup.dial.turn(Duration::from_mins(2));
    let told = async |replica| setup.show(replica, &youngest).await.problem()["detail"].clone();
    assert_eq!(told(&two).await, "The DPoP proof is refused: it was used before");
    setup.dial.turn(Duration::from_secs(1));
    assert_eq!(told(&two).await, "The DPoP proof is refused: it was not made just now");
    let oldest = setup.claiming(&json!({ "jti": "old", "iat": NOW + 121 - 90 }));
    assert_eq!(setup.status(&two, &oldest).await, 200);
    let after = names(&url, &prefix);
    let new = after.iter().find(|name| !before.contains(*name)).unwrap();
    assert!((1..=31_000).contains(&kept(new)), "one second here, and half a minute by a late clock");
}

#[tokio::test]
async fn services_are_apart_and_guards_that_share_another_prefix_are_too() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let through = through(&url, &prefix);
    let one = setup.replica(Dpop::new().shared(through.clone())).await;
    let other = "https://other.test";
    let elsewhere =
        setup.replica_with(|guard| guard.audience(other).dpop(Dpop::new().shared(through.clone()))).await;
    let apart = setup.replica(Dpop::new().shared(through.clone().prefix(format!("{prefix}:apart")))).await;
    let same = setup.named("a");
    assert_eq!(setup.status(&one, &same).await, 200);
    assert_eq!(setup.status(&apart, &same).await, 200);
    let jkt = crate::bound::public(&setup.key).1;
    let token = setup.issuer.token(&json!({ "aud": other, "cnf": { "jkt": jkt } }));
    let same_name = json!({ "jti": "a", "htu": format!("{other}/me") });
    let same_name = proof(&setup.key, &token, &same_name, &json!({}));
    assert_eq!(ask(&elsewhere.service, "/me", &token, &same_name).await.status, 200);
}

#[tokio::test]
async fn redis_learns_nothing_of_proofs_and_nobody_can_choose_a_name_there() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let [one, two] = setup.pair(&through(&url, &prefix)).await;
    let nasty = ["a", "* FLUSHALL", "\r\nFLUSHALL\r\n", "{a}", "x:probe", "\u{e9}\u{2028}", &"j".repeat(256)];
    for jti in nasty {
        let same = setup.named(jti);
        assert_eq!(setup.status(&one, &same).await, 200, "{jti:?}");
        assert_eq!(setup.status(&two, &same).await, 401, "{jti:?}");
    }
    for bad in ["", "a.b.c", "* FLUSHALL", &setup.named(&"j".repeat(257))] {
        assert_eq!(setup.status(&one, bad).await, 401);
    }
    let names = names(&url, &prefix);
    assert_eq!(names.len(), nasty.len(), "what is no good proof is not asked for: {names:?}");
    for name in names {
        assert!(name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        assert_eq!(cli(&url, &["get", &format!("{prefix}:{name}")]).trim(), "1");
    }
}

#[tokio::test]
async fn whoever_is_over_their_limit_takes_no_room_and_who_waited_for_tokens_shows_a_proof_once() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let counts = format!("{prefix}:limits");
    let proofs = format!("{prefix}:proofs");
    let replica = async || {
        let limits = shared(Limits::new().by_identity(Quota::per_hour(2)), &url, &counts);
        let dpop = Dpop::new().shared(through(&url, &proofs));
        setup.replica_with(|guard| guard.limits(limits).dpop(dpop)).await
    };
    let (one, two) = (replica().await, replica().await);
    let first = setup.show(&one, &setup.named("a")).await;
    assert_eq!((first.status.as_u16(), first.header("ratelimit")), (200, r#""identity";r=1;t=1800"#));
    assert_eq!(setup.status(&two, &setup.named("a")).await, 401, "which was counted, too");
    for replica in [&one, &two] {
        assert_eq!(setup.status(replica, &setup.named("b")).await, 429);
    }
    assert_eq!(names(&url, &proofs).len(), 1);
}

#[tokio::test]
async fn the_same_guard_around_itself_takes_a_shared_proof_once() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let [one, two] = setup.pair(&through(&url, &prefix)).await;
    let nested = one.service.layer(one.guard.require(authenticated()));
    let nested = Replica { guard: one.guard, service: nested };
    let same = setup.named("a");
    assert_eq!(setup.status(&nested, &same).await, 200);
    assert_eq!((setup.status(&nested, &same).await, setup.status(&two, &same).await), (401, 401));
}

#[tokio::test]
async fn a_client_that_hangs_up_has_spent_its_proof() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let [one, two] = setup.pair(&through(&url, &prefix)).await;
    let same = setup.named("a");
    assert!(setup.status(&one, &same).now_or_never().is_none(), "it waits");
    // Behind it on the same connection.
    assert_eq!(setup.status(&one, &setup.named("b")).await, 200);
    assert_eq!((setup.status(&one, &same).await, setup.status(&two, &same).await), (401, 401));
}

// RFC 9449 §9
#[tokio::test]
async fn replicas_know_each_others_nonces_and_take_a_proof_with_one_once() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let dpop = |secret| Dpop::new().nonces(secret).shared(through(&url, &prefix));
    let (one, two) = (setup.replica(dpop(SECRET)).await, setup.replica(dpop(SECRET)).await);
    let asked = setup.show(&one, &setup.named("a")).await;
    assert_eq!((asked.status.as_u16(), asked.code().as_str()), (401, "use_dpop_nonce"));
    let nonce = asked.header("dpop-nonce").to_owned();
    let with = setup.claiming(&json!({ "jti": "a", "nonce": nonce }));
    assert_eq!(setup.status(&two, &with).await, 200, "no second question, and the name is not spent");
    assert_eq!(setup.show(&one, &with).await.code(), "invalid_dpop_proof");
    assert_eq!(setup.show(&two, &setup.named("b")).await.header("dpop-nonce"), nonce);
    let stranger = setup.replica(dpop([8; 32])).await;
    let new = setup.claiming(&json!({ "jti": "c", "nonce": nonce }));
    assert_eq!(setup.show(&stranger, &new).await.code(), "use_dpop_nonce");
}

#[tokio::test]
async fn proofs_are_not_shared_without_an_address_and_no_secret_is_shown() {
    for url in ["http://:geheim@127.0.0.1", "", "redis://:geheim@127.0.0.1/x"] {
        let setup = Setup::new();
        let issuer = Issuer::static_jwks(ISSUER, jwks([&setup.issuer]));
        let dpop = Dpop::new().shared(RedisProofs::new(url, SECRET));
        let Err(error) = builder(&setup.dial).issuer(issuer).dpop(dpop).build().await else {
            panic!("{url}")
        };
        assert!(matches!(error, BuildError::Dpop(_)), "{error}");
        assert!(!error.to_string().contains("geheim"), "{error}");
    }
    let through = RedisProofs::new("redis://:geheim@127.0.0.1:1", SECRET);
    let shown = format!("{through:?} {:?}", Dpop::new().shared(through.clone()));
    assert!(!shown.contains("geheim") && !shown.contains("7, 7"), "{shown}");
}

#[tokio::test]
async fn who_has_no_proof_waits_for_nothing() {
    let (url, prefix) = server();
    let setup = Setup::new();
    let [one, _] = setup.pair(&through(&url, &prefix)).await;
    assert_eq!(setup.bearer(&one).now_or_never(), Some(200));
    let request = Request::get("/me").body(Body::empty()).unwrap();
    let answer = crate::service::send(&one.service, request).now_or_never().unwrap();
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(names(&url, &prefix), Vec::<String>::new());
}
