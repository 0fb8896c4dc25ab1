//! What the servers of this process wrote to their log, to be searched for secrets.

use std::io::{self, Write};
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::{Arc, Mutex, OnceLock};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What a line says of a panic.
pub const PANICKED: &str = "panicked";

/// Every line that was written since the first server of this process started, at the finest level.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Starts to listen. A second call returns the same log.
    pub fn of_this_process() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            let lines = tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::new("trace"))
                .with_writer(log.clone())
                .with_ansi(false)
                .finish();
            // When something else already listens, the search below finds an empty log and the test fails.
            _ = lines.try_init();
            log.hear_of_panics();
            log
        })
        .clone()
    }

    /// Everything that was written so far.
    ///
    /// # Panics
    ///
    /// When a writer panicked.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no writer panics")).into_owned()
    }

    /// Writes down where the program panics, what runs in the background included; the suites themselves may.
    fn hear_of_panics(&self) {
        let (usual, log) = (take_hook(), self.clone());
        let written = move |panic: &PanicHookInfo<'_>| {
            let place = panic.location().filter(|place| !place.file().starts_with("tests/"));
            if let Some(place) = place {
                _ = writeln!(log.clone(), "{PANICKED} at {place}");
            }
            usual(panic);
        };
        set_hook(Box::new(written));
    }

    /// Whether a text was written so far.
    ///
    /// # Panics
    ///
    /// When a writer panicked.
    pub fn holds(&self, needle: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().expect("no writer panics")).contains(needle)
    }

    /// The lines that contain a text.
    pub fn lines_with(&self, needle: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(needle)).map(str::to_owned).collect()
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
