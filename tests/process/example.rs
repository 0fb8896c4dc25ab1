//! The example of the guard, as a program.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::required;

/// How long a service may take to hear of new rules: it asks by itself, each second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Where the examples of the workspace are: beside the server.
pub(crate) fn example_program(name: &str) -> PathBuf {
    Path::new(&required("PORTCULLIS_TEST_BINARY")).parent().unwrap().join("examples").join(name)
}

/// The example service; it ends with the test.
pub(crate) struct Example {
    child: Child,
    pub(crate) address: String,
}

impl Example {
    /// Starts it on a port, and waits until it answers.
    pub(crate) async fn start(mut shell: Command, port: u16) -> Self {
        shell.env("ORDERS_LISTEN", format!("127.0.0.1:{port}")).stdout(Stdio::null());
        let child = shell.spawn().expect("the system has a shell");
        let mut example = Self { child, address: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while Answer::try_to(agent().get(format!("{}/health", example.address))).await.is_none() {
            let ended = example.child.try_wait().expect("the child is ours");
            assert!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "the example does not answer: {ended:?}"
            );
            // Waiting for another program to start: there is no event to wait for.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        example
    }
}

impl Example {
    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(sent.expect("the system has kill").success());
        assert!(self.child.wait().expect("the child is ours").success());
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
