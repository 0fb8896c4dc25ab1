//! The full stack on a server beside the same server bare, and beside Envoy where it is there.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_guard::Quota;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::apps::{self, Keyed};
use crate::cost::Table;
use crate::driver::{self, Asked, request};
use crate::envoy::{self, Filters};
use crate::{cpu, raw};

const ROUNDS: usize = 5;
/// Requests of a round to a server.
const REQUESTS: usize = 30_000;
/// Requests of a round that bring a token each.
const UNSEEN: usize = 8_000;
/// Requests of a round at a fixed rate.
const PACED: usize = 20_000;
/// Carries the keys to the guarded server.
const JWKS: &str = "PEERS_JWKS";

/// A server under load; it ends with this value.
struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    /// What Envoy reads.
    configuration: Option<PathBuf>,
}

/// Serves one of the applications until it is ended.
pub(crate) async fn serve(app: &str) {
    let app = match app {
        "bare" => apps::bare(),
        _ => {
            let jwks = std::env::var(JWKS).expect("the guard is given its keys");
            apps::stack(jwks, 10_000, Quota::per_second(1_000_000)).await
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("a bound address"));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await.expect("it serves until it is ended");
}

/// Compares the servers, and prints it.
pub(crate) async fn compare() {
    let keyed = Keyed::new();
    let seen = keyed.tokens(1, 0).remove(0);
    // Servers come to one processor, and whoever asks them stays on another.
    run_on(0);
    let jwks = keyed.jwks();
    let mut servers = vec![Server::app("bare axum", "bare", &jwks), Server::app(STACK, "stack", &jwks)];
    match std::env::var_os(envoy::PROGRAM) {
        Some(program) => {
            servers.extend(ENVOYS.map(|(name, filters)| Server::envoy(&program, name, filters, &jwks)))
        }
        None => println!("Envoy is left out: {} does not say where it is", envoy::PROGRAM),
    }
    run_on(1);
    servers.iter().for_each(Server::wait);
    servers.iter().for_each(|server| server.probe(&seen));
    let mut table = Table::default();
    let signed = raw::Signed::new(&jwks, &seen);
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        table.add(V, signed.by_aws_lc(10_000));
        let fresh = keyed.tokens(UNSEEN, u32::try_from(round * 100_000).expect("a small number"));
        full_speed(&servers, &seen, &fresh, &mut table);
        paced(&servers, &seen, &mut table);
    }
    hold(&mut table, servers.len() > 2);
    println!("servers on one processor, asked over 8 connections from another");
    println!("{table}");
}

const V: &str = "raw ES256 verify, us";
const STACK: &str = "full stack";
const UNSEEN_STACK: &str = "full stack, a token each: CPU us";
const ENVOYS: [(&str, Filters); 4] = [
    ("Envoy, no filter", Filters::None),
    ("Envoy, jwt_authn", Filters::Jwt),
    ("Envoy, jwt_authn cached", Filters::JwtCache),
    ("Envoy, jwt_authn cached, RBAC, limit", Filters::All),
];

fn full_speed(servers: &[Server], seen: &str, fresh: &[String], table: &mut Table) {
    let requests = [request("GET", "/", Some(seen))];
    for server in servers {
        let (rate, micros) = server.load(&requests, REQUESTS);
        table.add(&cpu_of(server.name), micros);
        table.add(&rate_of(server.name), rate);
    }
    let requests: Vec<_> = fresh.iter().map(|token| request("GET", "/", Some(token))).collect();
    let stack = servers.iter().find(|server| server.name == STACK).expect("it is always there");
    table.add(UNSEEN_STACK, stack.load(&requests, UNSEEN).1);
}

/// At half of what the slower one can do.
fn paced(servers: &[Server], seen: &str, table: &mut Table) {
    let requests = [request("GET", "/", Some(seen))];
    let asked = Asked { requests: &requests, status: "200", body: "hello" };
    let rate = 0.5 * table.median(&rate_of(STACK)).min(table.median(&rate_of("bare axum")));
    let [bare, stack] =
        [&servers[0], &servers[1]].map(|server| driver::open(server.address, &asked, rate, PACED));
    table.add("asked at a fixed rate, a second", rate);
    table.add("bare axum: p99 ms at that rate", bare.p99());
    table.add("full stack: p99 ms at that rate", stack.p99());
    table.add(ADDED_P99, stack.p99() - bare.p99());
    table.add("the driver's own lateness: p99 ms", bare.late_p99().max(stack.late_p99()));
}

const ADDED_P99: &str = "full stack: p99 ms more than bare";

fn hold(table: &mut Table, has_envoy: bool) {
    let [bare, stack] = ["bare axum", STACK].map(|name| table.median(&rate_of(name)));
    table.hold(
        "bare axum's rate beside the full stack's",
        bare / stack,
        1.0 / 0.75,
        "0.75 of its throughput",
    );
    let floor = table.median(&cpu_of("bare axum"));
    let added = table.median(&cpu_of(STACK)) - floor;
    let unseen = (table.median(UNSEEN_STACK) - floor) / table.median(V);
    table.hold("full stack, a token each, in V", unseen, 1.3, "added CPU");
    table.hold("added p99, ms", table.median(ADDED_P99), 0.2, "at half of the most");
    if has_envoy {
        let [none, cached, all] = [0, 2, 3].map(|at: usize| table.median(&cpu_of(ENVOYS[at].0)));
        table.hold("full stack, added CPU us", added, 0.5 * (all - none), "half of what Envoy's filters add");
        table.hold(
            "full stack, added CPU us",
            added,
            cached - none,
            "what Envoy's cached jwt_authn alone adds",
        );
        table.hold("bare axum and full stack, CPU us", added + floor, none, "Envoy without a filter");
    }
}

fn cpu_of(name: &str) -> String {
    format!("{name}: CPU us")
}

fn rate_of(name: &str) -> String {
    format!("{name}: answers a second")
}

/// Keeps this thread, and what it starts, on one processor. A machine with one has no other to go to.
fn run_on(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    let _ = sched_setaffinity(None, &set);
}

impl Server {
    fn app(name: &'static str, app: &str, jwks: &str) -> Self {
        let program = std::env::current_exe().expect("a running program has a path");
        let mut command = Command::new(program);
        command.args(["serve", app]).env(JWKS, jwks).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("the output is piped");
        BufReader::new(output).read_line(&mut address).expect("it says where it listens");
        let address = address.trim().parse().expect("an address");
        Self { name, child, address, configuration: None }
    }

    fn envoy(program: &OsStr, name: &'static str, filters: Filters, jwks: &str) -> Self {
        let (text, port) = envoy::configuration(jwks, filters);
        let path = std::env::temp_dir().join(format!("portcullis-peers-{}-{port}.json", std::process::id()));
        std::fs::write(&path, text).expect("a folder for temporary files");
        let child = Command::new(program).args(envoy::arguments(&path, port)).spawn().expect("Envoy starts");
        Self { name, child, address: (Ipv4Addr::LOCALHOST, port).into(), configuration: Some(path) }
    }

    fn wait(&self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(self.address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} does not listen", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it lets through what it should, and nothing else.
    fn probe(&self, token: &str) {
        let answers = |method: &str, token: Option<&str>, status: &str| {
            let requests = [request(method, "/", token)];
            driver::closed(self.address, &Asked { requests: &requests, status, body: "" }, 8);
        };
        answers("GET", Some(token), "200");
        if !["bare axum", ENVOYS[0].0].contains(&self.name) {
            answers("GET", None, "401");
            answers("GET", Some(&format!("{}AAAA", &token[..token.len() - 4])), "401");
        }
        if self.name == ENVOYS[3].0 {
            answers("DELETE", Some(token), "403");
        }
    }

    /// Answers a second, and CPU microseconds of each.
    fn load(&self, requests: &[Vec<u8>], total: usize) -> (f64, f64) {
        let asked = Asked { requests, status: "200", body: "hello" };
        let before = cpu::of_process(self.child.id());
        let rate = driver::closed(self.address, &asked, total);
        let used = cpu::of_process(self.child.id()) - before;
        (rate, used.as_secs_f64() * 1e6 / total as f64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ending one that has ended is no error worth a word here.
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(path) = &self.configuration {
            drop(std::fs::remove_file(path));
        }
    }
}
