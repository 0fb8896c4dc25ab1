//! What this thread has used of a processor, to the nanosecond: loops here are short beside the steps in which the scheduler's account of a
//! running thread moves.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The CPU time that the calling thread has used so far.
pub(crate) fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.expect("a thread ran for some time"), nanos.expect("less than a second"))
}

/// Runs `operation` so often, and returns the CPU microseconds that one took.
pub(crate) fn micros(count: u32, mut operation: impl FnMut()) -> f64 {
    let before = used();
    for _ in 0..count {
        operation();
    }
    (used() - before).as_secs_f64() * 1e6 / f64::from(count)
}
