//! How long it takes to try a draft on 100,000 different requests that a service was asked, from the question of the administrator
//! to the whole answer. On SQLite, and with `PORTCULLIS_TEST_POSTGRES` on PostgreSQL too.

use std::time::{Duration, Instant};

use portcullis_tests::admin::Admin;
use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database;
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::registered::Registered;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::policy::workload::source;
use crate::report::Report;
use crate::server::program;
use crate::{ROUNDS, cpu};

const API: &str = "https://orders.test";
const REQUESTS: u32 = 100_000;
/// A batch holds no more.
const BATCH: u32 = 1_000;
/// Rules of the policy in force.
const RULES: u32 = 10_000;
const WHOLE: &str = "until the whole answer";
const CPU: &str = "CPU of the server";
/// What the engine is held to.
const BOUND: Duration = Duration::from_secs(10);

/// Measures and prints.
pub(crate) async fn measure() {
    let mut databases = vec![Database::Sqlite];
    if std::env::var_os("PORTCULLIS_TEST_POSTGRES").is_some() {
        databases.push(Database::Postgres);
    }
    println!(
        "{:<44} {:>10} {:>10}   at most {} ms",
        "replay of 100,000, ms",
        "median",
        "slowest",
        BOUND.as_millis()
    );
    for database in databases {
        Box::pin(measure_on(database)).await;
    }
}

async fn measure_on(database: Database) {
    let folder = tempdir().expect("a folder can be made");
    let url = database.create(folder.path()).await;
    let place = Place { program: Some(program()), database_url: Some(url), ..Place::new(folder.path()) };
    let admin = Admin::in_place(&place);
    let server = ServerProcess::start_unlimited(&place).await;
    let api = admin.api(API).await;
    let rules = source(RULES).rules;
    admin.activate(&api, &rules).await;
    let guard = admin.guard_client(&api).await;
    for batch in 0..REQUESTS / BATCH {
        send(&server.address, &guard, batch).await;
    }
    // The first rule of a name gives its role a thing to read: it is gone in the draft.
    let draft = rules.replacen("p, r1, *, thing1, read\n", "", 1);
    let path = format!("/apis/{}/policy", api.id);
    let saved = admin.request(Method::PUT, &format!("{path}/draft")).await.header("if-match", "*");
    assert_eq!(Answer::to(saved.json(&json!({ "rules": draft }))).await.status, 200);
    let mut report = Report::default();
    for _ in 0..ROUNDS {
        let (started, before) = (Instant::now(), cpu::of_process(server.pid()));
        let answer = admin.get(&format!("{path}/replay")).await;
        report.add(WHOLE, millis(started.elapsed()));
        report.add(CPU, millis(cpu::of_process(server.pid()).saturating_sub(before)));
        assert_found(&answer);
    }
    for name in [WHOLE, CPU] {
        let (median, most) = (report.median(name), report.most(name));
        let verdict = if most <= millis(BOUND) { "met" } else { "MISSED" };
        println!("{:<44} {median:>10.0} {most:>10.0}   {verdict}", format!("{database:?}: {name}"));
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn assert_found(answer: &Answer) {
    let found = answer.json();
    assert_eq!(found.pointer("/all/requests"), Some(&json!(REQUESTS)), "{}", answer.text());
    let changes = found.pointer("/changes").and_then(Value::as_array);
    assert_eq!(changes.map(Vec::len), Some(1), "{}", answer.text());
}

/// A batch of requests, each by another caller, a thousandth of them for what the draft takes away.
async fn send(issuer: &str, guard: &Registered, batch: u32) {
    let decisions: Vec<Value> = (batch * BATCH..(batch + 1) * BATCH).map(decision).collect();
    let body = json!({
        "batch": format!("replay-{batch}"), "age_secs": 0, "lost": 0, "pseudonymous": false, "decisions": decisions,
    });
    let deadline = Instant::now() + BOUND;
    loop {
        let request = agent().request(Method::POST, format!("{issuer}/policies/decisions"));
        let answer = Answer::to(request.basic_auth(&guard.id, guard.secret.as_deref()).json(&body)).await;
        if answer.status == 204 {
            return;
        }
        assert!(answer.status == 429 && Instant::now() < deadline, "{}: {}", answer.status, answer.text());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn decision(n: u32) -> Value {
    let thing = if n.is_multiple_of(1_000) { 1 } else { n % 1_500 * 5 + 6 };
    json!({
        "subject": format!("0191f2a4-6c1e-7d3a-9c55-{n:012x}"), "roles": [format!("r{}", thing % (RULES / 10)), "viewer"],
        "domain": "acme", "object": format!("thing{thing}"), "action": "read",
        "allowed": true, "revision": 2, "count": 3,
    })
}
