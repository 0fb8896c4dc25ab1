//! What is asked of callers beside a good token: how they signed in, what their token is bound to and who issued it, that it was not
//! revoked, and that they do not come too often.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{any, get};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Request;
use portcullis_guard::test_util::{Fault, Issuer, Mint, ProofKey};
use portcullis_guard::{
    CertificateHeader, ClientCertificates, Clock, Dpop, Guard, GuardBuilder, GuardExt, GuardedRouter, Limits,
    OnAxum, Policy, PolicyEndpoint, Proxies, Quota, RouteTable, SharedPolicy, authenticated, issuer, rbac,
};
use portcullis_policy::{PolicySource, Snapshot};
use serde_json::{Value, json};

use super::{AUDIENCE, assert_answered, assert_refused, now};
use crate::whole::clock;

/// A rule for each condition that a rule may have.
const RULES: &str = "
p, clerk, *, class, use, allow, acr=phr
p, clerk, *, recent, use, allow, max_age=300
p, clerk, *, key, use, allow, dpop
p, clerk, *, certificate, use, allow, mtls";

fn builder(issuers: &[&Issuer], clock: &Clock) -> GuardBuilder {
    let trusted = |builder: GuardBuilder, issuer: &&Issuer| {
        builder.issuer(portcullis_guard::Issuer::oidc(issuer.url()))
    };
    let builder = issuers.iter().fold(Guard::builder().audience(AUDIENCE), trusted);
    builder
        .clock(clock.clone())
        .manual_refresh()
        .proxies(Proxies::trust(["127.0.0.1"]).unwrap())
        .dpop(Dpop::new())
        .client_certificates(ClientCertificates::of_header(CertificateHeader::ClientCert))
}

fn policy() -> Policy {
    let source = PolicySource::with_default_model(RULES);
    Policy::shared(SharedPolicy::new(Snapshot::compile(&source, 1).unwrap()))
}

/// A request from a proxy that is trusted.
fn asking(path: &str, scheme: &str, token: &str) -> http::request::Builder {
    let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 7)));
    Request::get(path).header("authorization", format!("{scheme} {token}")).extension(peer)
}

fn bearing(path: &str, token: &str) -> Request<Body> {
    asking(path, "Bearer", token).body(Body::empty()).unwrap()
}

#[derive(serde::Deserialize)]
struct Payment {
    amount: u64,
}

#[tokio::test]
async fn who_signed_in_otherwise_or_long_ago_is_asked_to_do_so_again() {
    let (secs, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let guard = builder(&[&issuer], &clock).policy(policy()).build().await.unwrap();
    let app: Router = GuardedRouter::new()
        .route("/route/class", get(async || "ok").guard(authenticated().acr("phrh").acr("phr")))
        .route("/route/recent", get(async || "ok").guard(authenticated().max_age(Duration::from_mins(5))))
        .route("/rule/class", get(async || "ok").guard(rbac("class", "use")))
        .route("/rule/recent", get(async || "ok").guard(rbac("recent", "use")))
        .guarded_by(&guard);
    let mint = || issuer.mint(AUDIENCE).roles(["clerk"]);
    let of_class = |class: Value| mint().claim("acr", class).token();
    let since = |ago: u64| mint().claim("auth_time", now(&secs) - ago).token();
    for by in ["route", "rule"] {
        let (class, recent) = (format!("/{by}/class"), format!("/{by}/recent"));
        assert_answered(&app, bearing(&class, &of_class(json!("phr")))).await;
        assert_answered(&app, bearing(&recent, &since(300))).await;
        let attack =
            |what: &str, path: &str, token: &str| (format!("{what} at {path}"), bearing(path, token));
        assert_refused(
            &app,
            [
                attack("no class of sign-in", &class, &mint().token()),
                attack("another class of sign-in", &class, &of_class(json!("pwd"))),
                attack("half a class of sign-in", &class, &of_class(json!("ph"))),
                attack("no time of sign-in", &recent, &mint().token()),
                attack("a sign-in of an hour ago", &recent, &since(3_600)),
                attack("a sign-in that is just too old", &recent, &since(331)),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn who_has_no_bound_token_is_not_served_where_one_is_asked_for() {
    let (secs, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let guard = builder(&[&issuer], &clock).policy(policy()).build().await.unwrap();
    let app: Router = GuardedRouter::new()
        .route("/route/key", get(async || "ok").guard(authenticated().dpop()))
        .route("/route/certificate", get(async || "ok").guard(authenticated().mtls()))
        .route("/rule/key", get(async || "ok").guard(rbac("key", "use")))
        .route("/rule/certificate", get(async || "ok").guard(rbac("certificate", "use")))
        .guarded_by(&guard);
    let mint = || issuer.mint(AUDIENCE).roles(["clerk"]);
    let key = Arc::new(ProofKey::new());
    let shown = STANDARD.encode(b"what the client showed");
    let thumbprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"what the client showed");
    let with_key = |path: &str| {
        let token = mint().bound_to(&key).token();
        let proof = key.proof(("GET", &format!("{AUDIENCE}{path}")), &token, now(&secs));
        asking(path, "DPoP", &token).header("dpop", proof).body(Body::empty()).unwrap()
    };
    let with_certificate = |path: &str| {
        let confirmation = json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint) });
        let token = mint().claim("cnf", confirmation).token();
        asking(path, "Bearer", &token)
            .header("client-cert", format!(":{shown}:"))
            .body(Body::empty())
            .unwrap()
    };
    for by in ["route", "rule"] {
        let (of_key, of_certificate) = (format!("/{by}/key"), format!("/{by}/certificate"));
        assert_answered(&app, with_key(&of_key)).await;
        assert_answered(&app, with_certificate(&of_certificate)).await;
        let token = mint().token();
        assert_refused(
            &app,
            [
                (format!("an unbound token at {of_key}"), bearing(&of_key, &token)),
                (format!("an unbound token at {of_certificate}"), bearing(&of_certificate, &token)),
                (format!("a key in place of a certificate at {of_certificate}"), with_key(&of_certificate)),
                (format!("a certificate in place of a key at {of_key}"), with_certificate(&of_key)),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn tokens_of_another_issuer_and_without_their_details_open_nothing() {
    let (_, clock) = clock();
    let (staff, customers) =
        (Issuer::start_at(clock.clone()).await.unwrap(), Issuer::start_at(clock.clone()).await.unwrap());
    let guard = builder(&[&staff, &customers], &clock).build().await.unwrap();
    let small = |payment: &Payment| payment.amount <= 100;
    let app: Router = GuardedRouter::new()
        .route("/staff", get(async || "ok").guard(issuer(staff.url().to_owned())))
        .route("/paid", get(async || "ok").guard(authenticated().details("payment", small)))
        .guarded_by(&guard);
    let paying = |details: Value| staff.mint(AUDIENCE).claim("authorization_details", details).token();
    assert_answered(&app, bearing("/staff", &staff.mint(AUDIENCE).token())).await;
    let fine = paying(json!([{ "type": "payment", "amount": 100 }]));
    assert_answered(&app, bearing("/paid", &fine)).await;
    let attack = |what: &str, path: &str, token: &str| (what.to_owned(), bearing(path, token));
    assert_refused(
        &app,
        [
            attack("a token of the other issuer", "/staff", &customers.mint(AUDIENCE).token()),
            attack("no details", "/paid", &staff.mint(AUDIENCE).token()),
            attack(
                "details that ask for more",
                "/paid",
                &paying(json!([{ "type": "payment", "amount": 101 }])),
            ),
            attack("details of another type", "/paid", &paying(json!([{ "type": "refund", "amount": 1 }]))),
            attack(
                "details that cannot be read",
                "/paid",
                &paying(json!([{ "type": "payment", "amount": "1" }])),
            ),
        ],
    )
    .await;
}

fn hearing(issuer: &Issuer, clock: &Clock) -> GuardBuilder {
    let endpoint = PolicyEndpoint::new(format!("{}/policies/snapshot", issuer.url()), "orders", "secret");
    let endpoint = endpoint.revocations_max_stale(Duration::from_mins(1));
    builder(&[issuer], clock).policy(Policy::remote(endpoint))
}

#[tokio::test]
async fn a_token_that_was_revoked_opens_nothing_and_none_does_when_nobody_says_what_was() {
    let (secs, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    issuer.hand_out(AUDIENCE, "orders", "p, clerk, *, orders, read");
    let guard = hearing(&issuer, &clock).build().await.unwrap();
    let app: Router =
        GuardedRouter::new().route("/me", get(async || "me").guard(authenticated())).guarded_by(&guard);
    let mint = |subject: &str| issuer.mint(AUDIENCE).subject(subject).token();
    let (revoked, of_alice, of_bob) = (mint("carol"), mint("alice"), mint("bob"));
    for token in [&revoked, &of_alice, &of_bob] {
        assert_answered(&app, bearing("/me", token)).await;
    }
    issuer.revoke(&revoked);
    issuer.revoke_all_of("alice");
    guard.refresh().await;
    assert_answered(&app, bearing("/me", &of_bob)).await;
    assert_refused(
        &app,
        [
            ("a token that was revoked".to_owned(), bearing("/me", &revoked)),
            ("a token of a subject that was revoked".to_owned(), bearing("/me", &of_alice)),
        ],
    )
    .await;
    issuer.misbehave(Fault::Status(500));
    secs.fetch_add(61, Ordering::Relaxed);
    guard.refresh().await;
    let unheard = ("a token while nobody says what was revoked".to_owned(), bearing("/me", &of_bob));
    assert_refused(&app, [unheard]).await;
}

#[tokio::test]
async fn a_policy_that_has_not_come_and_a_route_that_states_nothing_let_nobody_in() {
    let (_, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let mint: Mint = issuer.mint(AUDIENCE).roles(["clerk"]);
    let unheard = hearing(&issuer, &clock).build().await.unwrap();
    let waiting: Router = GuardedRouter::new()
        .route("/orders", get(async || "orders").guard(rbac("orders", "read")))
        .guarded_by(&unheard);
    let token = mint.token();
    assert_refused(&waiting, [("a rule that has not come".to_owned(), bearing("/orders", &token))]).await;

    let guard = builder(&[&issuer], &clock).policy(policy()).build().await.unwrap();
    let unstated: Router = Router::new().route("/forgotten", any(async || "ok")).layer(guard.clone());
    assert_refused(&unstated, [("a route that states nothing".to_owned(), bearing("/forgotten", &token))])
        .await;
    let table = RouteTable::new().route("/known", authenticated()).guarded_by(&guard).unwrap();
    let listed = Router::new().fallback(async || "ok").layer(OnAxum::new(table));
    assert_answered(&listed, bearing("/known", &token)).await;
    assert_refused(&listed, [("a path that is in no table".to_owned(), bearing("/unknown", &token))]).await;
}

#[tokio::test]
async fn who_comes_too_often_is_not_served() {
    let (_, clock) = clock();
    let issuer = Issuer::start_at(clock.clone()).await.unwrap();
    let (few, many) = (Quota::per_hour(2), Quota::per_hour(1_000));
    for (what, limits) in [
        ("a third request from an address", Limits::new().by_address(few).by_identity(many)),
        ("a third request of a caller", Limits::new().by_address(many).by_identity(few)),
    ] {
        let guard = builder(&[&issuer], &clock).limits(limits).build().await.unwrap();
        let app: Router =
            GuardedRouter::new().route("/me", get(async || "me").guard(authenticated())).guarded_by(&guard);
        let token = issuer.mint(AUDIENCE).token();
        for _ in 0..2 {
            assert_answered(&app, bearing("/me", &token)).await;
        }
        assert_refused(&app, [(what.to_owned(), bearing("/me", &token))]).await;
    }
}
