//! A Redis that a test may end and hold up, and what the guard says of it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry;

/// A Redis of its own.
pub(crate) struct Redis {
    child: Child,
    pub(crate) port: u16,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_at(port)
    }

    pub(crate) fn start_at(port: u16) -> Self {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is there: `tests/run` installs it");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self { child, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Signals the process, which is one of ours.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success()
        );
    }

    pub(crate) fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answers to a command.
pub(crate) fn cli(url: &str, command: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-u", url, "--raw"]).args(command).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Counts what the guard says to the log of what it shares.
#[derive(Clone, Default)]
pub(crate) struct Said {
    warnings: Arc<AtomicUsize>,
    lines: Arc<AtomicUsize>,
}

impl Said {
    pub(crate) fn listen(&self) -> DefaultGuard {
        set_default(registry().with(self.clone()))
    }

    /// Warnings, and lines beside.
    pub(crate) fn so_far(&self) -> (usize, usize) {
        (self.warnings.load(Ordering::Relaxed), self.lines.load(Ordering::Relaxed))
    }
}

impl<S: Subscriber> Layer<S> for Said {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !event.metadata().target().ends_with("::link") {
            return;
        }
        match *event.metadata().level() {
            Level::WARN => drop(self.warnings.fetch_add(1, Ordering::Relaxed)),
            Level::INFO => drop(self.lines.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
    }
}
