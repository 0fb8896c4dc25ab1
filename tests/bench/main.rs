//! What Portcullis costs, beside the floor of the same run.
//!
//! Everything that is compared runs in one invocation, in interleaved rounds; figures are CPU time of the server's process per operation
//! (median, least and most of the rounds), since rates on a machine with few cores mix the server with the load. Every answer is checked.
//!
//! ```text
//! cargo build --release --workspace --bins --examples && cargo bench --workspace --bench speed [-- guard|server|logins|drivers|policy|replay|revocation]
//! ```

mod child;
mod cpu;
mod drivers;
mod guard;
mod load;
mod logins;
mod policy;
mod raw;
mod replay;
mod report;
mod revocation;
mod roles;
mod server;
mod tokens;

use report::Report;

/// Rounds of each measurement.
const ROUNDS: usize = 5;
/// What can be asked for alone; the floors are always measured.
const PARTS: [&str; 3] = ["guard", "server", "logins"];

#[tokio::main]
async fn main() {
    let asked = std::env::args().nth(1);
    if asked.as_deref() == Some("drivers") {
        drivers::compare_all().await;
        return;
    }
    if asked.as_deref() == Some("revocation") {
        revocation::measure().await;
        return;
    }
    if asked.as_deref() == Some("replay") {
        Box::pin(replay::measure()).await;
        return;
    }
    if asked.as_deref() == Some("policy") {
        Box::pin(policy::measure()).await;
        return;
    }
    if roles::serve(asked.as_deref()).await.is_some() {
        return;
    }
    // The client's TLS needs a provider even where no TLS is spoken; a second call is told off, harmlessly.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let only = asked.filter(|part| PARTS.contains(&part.as_str()));
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut report = Report::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        let raw = tokio::task::spawn_blocking(raw::measure).await.expect("the floors are measured");
        report.add("raw ES256 sign", raw.sign);
        report.add("raw ES256 verify", raw.verify);
        report.add("raw Argon2id", raw.argon2);
        if wanted("guard") {
            guard::round(&mut report).await;
        }
        if wanted("server") {
            server::round(&mut report).await;
        }
        if wanted("logins") {
            Box::pin(logins::round(&mut report)).await;
        }
    }
    print!("{}", report.render());
}
