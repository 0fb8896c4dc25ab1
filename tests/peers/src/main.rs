//! The guard beside other middleware for the same work: what each adds to a request, in one run, round by round.
//!
//! ```sh
//! cargo run --release --manifest-path tests/peers/Cargo.toml
//! ```
//!
//! Everything runs in this process, without sockets: requests go into a service and answers are looked at. A figure is the CPU time of
//! this thread for one request, less that of the same handler bare. It gates nothing: a figure of one machine is compared with another
//! of the same run only.

mod apps;
mod cost;
#[path = "../../bench/cpu.rs"]
#[expect(dead_code, reason = "processes are looked at elsewhere")]
mod cpu;
#[path = "../../bench/tokens.rs"]
mod tokens;

use apps::Keyed;
use cost::{Table, of};

/// What the tokens say.
mod roles {
    pub(crate) const ISSUER: &str = "https://bench.test";
    pub(crate) const AUDIENCE: &str = "https://orders.bench.test";
}

const ROUNDS: u32 = 7;
/// Requests of a round.
const REQUESTS: usize = 40_000;
/// Addresses that the limits tell apart.
const ADDRESSES: u32 = 100_000;
/// Rules of a policy: those of the documentation of Casbin.
const RULES: [(u32, &str); 3] = [(10, "12 rules"), (1_000, "1,100 rules"), (10_000, "11,000 rules")];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    compare().await;
}

async fn compare() {
    let mut table = Table::default();
    let keyed = Keyed::new();
    let (seen, unseen) = (keyed.tokens(1, 0), |round| keyed.tokens(REQUESTS, round * 100_000));
    let (bare, bare_07) = (apps::bare(), apps::bare_07());
    let (guard, authorizer) = (keyed.guard().await, keyed.jwt_authorizer().await);
    let (limited, governor) = (apps::limited().await, apps::governor());
    let mut ruled = Vec::new();
    for (rules, _) in RULES {
        ruled.push((keyed.ruled_guard(rules).await, apps::casbin(rules).await));
    }
    for round in 1..=ROUNDS {
        let floor = of(&bare, REQUESTS, |_| apps::plain()).await;
        let floor_07 = of(&bare_07, REQUESTS, |_| apps::plain()).await;
        table.add("bare axum", floor);
        let token = |tokens: &[String], n: usize| apps::with_token(&tokens[n % tokens.len()]);
        let fresh = unseen(round);
        table.add("token seen before: guard", of(&guard, REQUESTS, |n| token(&seen, n)).await - floor);
        table.add("token not seen: guard", of(&guard, REQUESTS, |n| token(&fresh, n)).await - floor);
        let authorized = of(&authorizer, REQUESTS, |n| token(&fresh, n)).await;
        table.add("any token: jwt-authorizer", authorized - floor_07);
        for ((guard, casbin), (count, name)) in ruled.iter().zip(RULES) {
            let ruled = of(guard, REQUESTS, |n| token(&seen, n)).await - floor;
            table.add(&format!("{name}, same caller: guard, token and rules"), ruled);
            let again = of(casbin, REQUESTS, |_| apps::as_user(0)).await - floor;
            table.add(&format!("{name}, same caller: axum-casbin, rules, from its cache"), again);
            // Every caller is another one, which its cache has not seen.
            let some = if count > 1_000 { 100 } else { 1_000 };
            let each = of(casbin, some, |n| apps::as_user(round as usize * 1_000 + n)).await;
            table.add(&format!("{name}, another caller: axum-casbin, rules"), each - floor);
        }
        let from = |n: usize| apps::from((n as u32 * 7_919) % ADDRESSES);
        table.add("limit by address: guard", of(&limited, REQUESTS, from).await - floor);
        table.add("limit by address: tower_governor", of(&governor, REQUESTS, from).await - floor);
    }
    print!("{table}");
}
