//! The examples of the guard, as programs, and what they say about how to run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::{Database, required};
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::proxied::free_port;
use portcullis_tests::registered::Registered;
use tempfile::{TempDir, tempdir};
use tokio::net::TcpStream;

use crate::commands::{json, place_on, registered};
use crate::terminal::{Terminal, blocks};

/// How long a service may take to hear of new rules: it asks by itself, each second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Where the examples of the workspace are: beside the server.
pub(crate) fn example_program(name: &str) -> PathBuf {
    Path::new(&required("PORTCULLIS_TEST_BINARY")).parent().unwrap().join("examples").join(name)
}

/// The shell blocks on top of an example, in order.
pub(crate) fn instructions(file: &str) -> Vec<String> {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let source = fs::read_to_string(Path::new(&folder).join("../middleware/examples").join(file)).unwrap();
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    blocks(&format!("{}\n", lines.join("\n")))
}

/// A block with what differs here in the place of what it says. No address of it may be left over.
pub(crate) fn at_home(block: &str, places: &[(&str, &str)]) -> String {
    let program = required("PORTCULLIS_TEST_BINARY");
    let start = "cargo run --release -p portcullis-guard --example ";
    let examples = format!("exec {}", example_program("").display());
    let usual = [("target/release/portcullis", program.as_str()), (start, examples.as_str())];
    let places = usual.iter().chain(places);
    let adapted = places.fold(block.to_owned(), |block, (theirs, ours)| block.replace(theirs, ours));
    assert!(!adapted.contains("127.0.0.1:80") && !adapted.contains("localhost:80"), "{adapted}");
    adapted
}

/// A server, and an example service that is run beside it as it says itself.
pub(crate) struct Ground {
    pub(crate) place: Place,
    pub(crate) server: ServerProcess,
    pub(crate) here: TempDir,
    port: u16,
    /// The address of the example by hand.
    usual: &'static str,
    _folder: TempDir,
}

impl Ground {
    pub(crate) async fn new(database: Database, usual: &'static str) -> Self {
        let (folder, place) = place_on(database).await;
        let server = ServerProcess::start(&place).await;
        Self { place, server, here: tempdir().unwrap(), port: free_port(), usual, _folder: folder }
    }

    pub(crate) fn terminal(&self) -> Terminal<'_> {
        Terminal { place: &self.place, folder: self.here.path().to_owned() }
    }

    pub(crate) fn at_home(&self, block: &str) -> String {
        let here = format!("http://127.0.0.1:{}", self.port);
        at_home(block, &[("http://localhost:8080", &self.server.address), (self.usual, &here)])
    }

    /// Starts the example by the block that says how.
    pub(crate) async fn start(&self, block: &str) -> Example {
        Example::listening(self.terminal().shell(&self.at_home(block)), self.port).await
    }

    /// A client that a block has registered, by the file that it is in.
    pub(crate) fn client(&self, file: &str) -> Registered {
        client_in(&self.here.path().join(file))
    }

    /// Another client, with a role or with none.
    pub(crate) fn other(&self, api: &str, role: Option<&str>) -> Registered {
        let command = ["client", "create", "--preset", "m2m", "--name", "Other", "--api", api];
        let role = role.map(|role| ["--role", role]);
        registered(&json(&self.place, &[&command[..], role.as_ref().map_or(&[], |it| it)].concat()))
    }

    pub(crate) async fn token(&self, client: &Registered, api: &str) -> String {
        let answer = self.server.machine.client_credentials(client, api).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.member("access_token")
    }
}

pub(crate) fn client_in(file: &Path) -> Registered {
    registered(&serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
}

/// An example service; it ends with the test.
pub(crate) struct Example {
    child: Child,
    pub(crate) address: String,
}

impl Example {
    /// Starts it on a port, and waits until it answers.
    pub(crate) async fn start(shell: Command, port: u16) -> Self {
        let health = format!("http://127.0.0.1:{port}/health");
        Self::once(shell, port, async || Answer::try_to(agent().get(&health)).await.is_some()).await
    }

    /// The same for one that need not speak HTTP/1.1: waits until it listens.
    pub(crate) async fn listening(shell: Command, port: u16) -> Self {
        Self::once(shell, port, async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await
    }

    async fn once(mut shell: Command, port: u16, mut answers: impl AsyncFnMut() -> bool) -> Self {
        for name in ["CHAT", "DOCS", "ORDERS", "SHOP", "TOOLS", "WEBAPP"] {
            shell.env(format!("{name}_LISTEN"), format!("127.0.0.1:{port}"));
        }
        let child = shell.stdout(Stdio::null()).spawn().expect("the system has a shell");
        let mut example = Self { child, address: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while !answers().await {
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
