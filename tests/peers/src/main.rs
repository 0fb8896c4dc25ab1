//! The guard beside other middleware for the same work: what each adds to a request, in one run, round by round.
//!
//! ```sh
//! cargo run --release --manifest-path tests/peers/Cargo.toml [-- calls|memory|served]
//! ```
//!
//! - `calls` runs in this process, without sockets: requests go into a service and answers are looked at. A figure is the CPU time of
//!   this thread for one request, less that of the same handler bare.
//! - `memory` is what a million callers take, each limiter in a process of its own.
//! - `served` asks servers over loopback, each in a process and on a processor of its own, and Envoy with the same work too where
//!   `PORTCULLIS_PEERS_ENVOY` is the path of its program.
//!
//! `repeat NAME COUNT` does one thing so many times, for a program that counts instructions.
//!
//! It gates nothing: a figure of one machine is compared with another of the same run only.

mod apps;
mod bodies;
mod calls;
mod cost;
#[path = "../../bench/cpu.rs"]
#[expect(dead_code, reason = "threads are looked at in another way here")]
mod cpu;
mod driver;
mod envoy;
mod hostile;
mod limits;
mod memory;
mod raw;
mod refusals;
mod reload;
mod repeat;
mod rules;
mod served;
mod thread_time;
#[path = "../../bench/tokens.rs"]
mod tokens;

/// What the tokens say.
mod roles {
    pub(crate) const ISSUER: &str = "https://bench.test";
    pub(crate) const AUDIENCE: &str = "https://orders.bench.test";
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    match asked.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["repeat", name, count] => repeat::run(name, count.parse().expect("a number")).await,
        ["remember", limiter, keys] => memory::remember(limiter, keys.parse().expect("a number")).await,
        ["serve", app] => served::serve(app).await,
        [] => {
            calls::compare().await;
            memory::compare();
            served::compare().await;
        }
        ["calls"] => calls::compare().await,
        ["memory"] => memory::compare(),
        ["served"] => served::compare().await,
        other => panic!("{other:?} is nothing that can be asked for"),
    }
}
