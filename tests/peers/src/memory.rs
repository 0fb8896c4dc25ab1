//! What a limiter takes for a million callers.

use std::process::Command;

use crate::cost::of;
use crate::{apps, cpu};

const BOUND_MIB: f64 = 128.0;
/// Requests that are made at a time, so that they take no memory that counts.
const BATCH: usize = 10_000;

/// Starts this program once for each limiter and number of callers, and prints what it grew by.
pub(crate) fn compare() {
    println!(
        "MiB that a process grows by while so many addresses ask once each (the guard remembers a million)"
    );
    for limiter in ["guard", "tower_governor"] {
        for keys in ["1000000", "4000000"] {
            let program = std::env::current_exe().expect("a running program has a path");
            let output = Command::new(program).args(["remember", limiter, keys]).output().expect("it starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let grown = String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().expect("a number");
            let verdict = match (limiter, keys, grown <= BOUND_MIB) {
                ("guard", "1000000", true) => "met, at most 128",
                ("guard", "1000000", false) => "MISSED, at most 128",
                _ => "",
            };
            println!("{limiter:<16} {keys:>8} keys {grown:>8.1} {verdict}");
        }
    }
    println!();
}

/// What this process grows by while so many addresses ask once each.
pub(crate) async fn remember(limiter: &str, keys: usize) {
    let app = match limiter {
        "guard" => apps::limited(1_000_000).await,
        _ => apps::governor(),
    };
    // What the first requests need is no key's.
    of(&app, 500, |_| apps::from(0)).await;
    let resident = || cpu::resident_mib(std::process::id());
    let before = resident();
    for batch in 0..keys / BATCH {
        of(&app, BATCH, |n| apps::from(u32::try_from(batch * BATCH + n).expect("an address"))).await;
    }
    println!("{}", resident() - before);
}
