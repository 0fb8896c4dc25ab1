//! The log: lines on standard error, in JSON or for reading.

use std::io::{self, IsTerminal};
use std::panic;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Starts the log of this process. A second call changes nothing.
pub(crate) fn start(log: &Log) {
    // The configuration was checked, so the filter parses; were it not, less is written and not more.
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Auto if io::stderr().is_terminal() => {
            lines.compact().with_ansi(colours()).finish().try_init()
        }
        LogFormat::Pretty => {
            lines.compact().with_ansi(io::stderr().is_terminal() && colours()).finish().try_init()
        }
        LogFormat::Auto | LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).finish().try_init()
        }
    };
    if started.is_ok() {
        panic::set_hook(Box::new(log_panic));
    }
}

/// See <https://no-color.org>.
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The place of a panic and not its message, which may quote what was being worked on.
fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string);
    tracing::error!(
        panic.location = place,
        "a panic was caught; this is a defect, please report its location"
    );
}
