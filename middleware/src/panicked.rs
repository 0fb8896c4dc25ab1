//! Handlers that panic.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How much of what a panic says is logged, in bytes.
const MOST: usize = 256;

/// That something behind the guard panicked, and what it said: for the log and nobody else.
#[derive(Clone, Debug)]
pub(crate) struct Panicked(Arc<str>);

impl Panicked {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let said = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        let end = said.floor_char_boundary(MOST);
        Self(said.get(..end).unwrap_or_default().into())
    }
}

/// In quotes, without what could break a line of the log.
impl fmt::Display for Panicked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", &*self.0)
    }
}

/// Does something that may panic, and is not gone on with if it does.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    // Whoever panicked is only dropped after that, which gives back what it held.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::new(&*payload))
}

/// Polls something that may panic, and is not polled again if it does.
pub(crate) fn poll_caught<F: Future>(
    future: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Poll<Result<F::Output, Panicked>> {
    match caught(|| future.poll(context)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(work: impl FnOnce()) -> String {
        caught(work).unwrap_err().to_string()
    }

    #[test]
    fn what_a_panic_says_is_one_line_of_bounded_length() {
        assert_eq!(said(|| panic!("no\nway")), r#""no\nway""#);
        assert_eq!(said(|| panic!("{} is odd", 3)), r#""3 is odd""#);
        assert_eq!(said(|| std::panic::panic_any(7)), r#""""#);
        let long = said(|| panic!("{}", "\u{e9}".repeat(MOST)));
        assert_eq!(long.chars().count(), MOST / 2 + 2);
        assert!(caught(|| 7).is_ok_and(|seven| seven == 7));
    }
}
