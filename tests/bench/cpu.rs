//! What the kernel's scheduler says of a process: CPU time in nanoseconds and resident memory.
//!
//! CPU per operation is compared rather than operations per second, because on a machine with few cores the rate mixes the server with
//! the load that asks it.

use std::fs;
use std::time::Duration;

/// The CPU time that every thread of process `pid` has used so far.
pub(crate) fn of_process(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs on a system with /proc");
    let nanos = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|account| account.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanos)
}

/// The CPU time that the calling thread has used so far.
pub(crate) fn of_this_thread() -> Duration {
    let account = fs::read_to_string("/proc/thread-self/schedstat").expect("the scheduler keeps an account");
    let nanos = account.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("the account starts with nanoseconds"))
}

/// Resident memory of process `pid` in MiB.
pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("the kernel tells VmRSS");
    let kib: f64 =
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("VmRSS is a number");
    kib / 1024.0
}

/// Runs `operation` `count` times on this thread and returns the CPU microseconds that one took.
pub(crate) fn micros_per_operation(count: u32, mut operation: impl FnMut()) -> f64 {
    let before = of_this_thread();
    for _ in 0..count {
        operation();
    }
    of_this_thread().saturating_sub(before).as_secs_f64() * 1e6 / f64::from(count)
}
