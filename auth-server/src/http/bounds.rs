//! What is around every answer, of the server and of a gateway: a bound on time, a net that catches a panic, and how long it took.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    Panic,
    TooSlow,
}

/// The answer, if it comes in time and without a panic.
pub(crate) async fn bounded<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Infallible>>,
) -> Result<T, Cut> {
    match tokio::time::timeout(limit, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(_panic)) => Err(Cut::Panic),
        Err(_elapsed) => Err(Cut::TooSlow),
    }
}

/// Milliseconds for the log, in whole microseconds: what is finer is noise.
pub(crate) fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn what_panics_or_never_ends_is_told_from_an_answer() {
        assert_eq!(bounded(LIMIT, std::future::ready(Ok(1))).await, Ok(1));
        let panics = async { if LIMIT.is_zero() { Ok(1) } else { panic!("of the test") } };
        assert_eq!(bounded(LIMIT, panics).await, Err(Cut::Panic));
        assert_eq!(bounded(LIMIT, std::future::pending::<Result<u8, _>>()).await, Err(Cut::TooSlow));
    }

    #[test]
    fn a_log_is_told_nothing_finer_than_microseconds() {
        for (nanos, expected) in [(0, "0"), (1_499, "0.001"), (1_234_567, "1.235"), (2_000_000_000, "2000")] {
            assert_eq!(milliseconds(Duration::from_nanos(nanos)).to_string(), expected);
        }
    }
}
