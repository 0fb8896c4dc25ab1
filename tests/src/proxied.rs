//! A proxy, the gateway that it asks, and the service behind it: three programs, as they stand in production.

use std::fs;
use std::net::TcpListener as Port;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::agent::{Answer, agent};
use crate::database::required;

/// How long a program may take to start on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A port of this machine that is free.
///
/// # Panics
///
/// When none is.
pub fn free_port() -> u16 {
    let listener = Port::bind("127.0.0.1:0").expect("a free port exists");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// A request as it reached the service.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method, path and query.
    pub line: String,
    /// Its headers.
    pub headers: HeaderMap,
}

impl Seen {
    /// A header; empty when it is absent. Two are joined by `|`.
    pub fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join("|")
    }
}

type Notes = Arc<Mutex<Vec<Seen>>>;

/// A service that believes whatever the proxy says, and takes notes.
pub struct Upstream {
    /// Its port.
    pub port: u16,
    notes: Notes,
    serving: JoinHandle<()>,
}

impl Upstream {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let notes = Notes::default();
        let app = Router::new().fallback(note).with_state(Arc::clone(&notes));
        let serving = tokio::spawn(async move {
            _ = axum::serve(listener, app).await;
        });
        Self { port, notes, serving }
    }

    /// What reached it since this was asked last.
    ///
    /// # Panics
    ///
    /// When taking a note panicked.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.notes.lock().expect("no note panics"))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn note(State(notes): State<Notes>, request: Request) -> &'static str {
    let line = format!("{} {}", request.method(), request.uri());
    let seen = Seen { line, headers: request.headers().clone() };
    notes.lock().expect("no note panics").push(seen);
    "here"
}

/// A program that listens; it ends with the test.
pub struct Listening {
    /// Where.
    pub address: String,
    child: Child,
    log: PathBuf,
}

impl Listening {
    fn begin(mut command: Command, port: u16, log: PathBuf) -> Self {
        let out = fs::File::create(&log).expect("the log can be written");
        let errors = out.try_clone().expect("a file can be shared");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn();
        let child =
            child.unwrap_or_else(|error| panic!("{command:?}: {error}; tests/run installs what is missing"));
        Self { address: format!("http://127.0.0.1:{port}"), child, log }
    }

    /// Starts a program on a port, and waits until it answers at a path.
    ///
    /// # Panics
    ///
    /// When it does not: the panic shows its log.
    pub async fn start(command: Command, (port, probe): (u16, &str), log: PathBuf) -> Self {
        let mut program = Self::begin(command, port, log);
        let started = Instant::now();
        while Answer::try_to(agent().get(format!("{}{probe}", program.address))).await.is_none() {
            let ended = program.child.try_wait().expect("the child is ours");
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "{ended:?}:\n{}", program.log());
            // Waiting for another program to start: there is no event to wait for.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        program
    }

    /// What it printed.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal, such as `HUP`.
    ///
    /// # Panics
    ///
    /// When that is not possible.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("the system has kill").success());
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Panics
    ///
    /// When it cannot be asked.
    pub fn end(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("the child is ours")
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A gateway by its file, and waits until it answers.
///
/// # Panics
///
/// When it does not.
pub async fn gateway(file: &Path, port: u16) -> Listening {
    let mut command = gateway_command(file);
    command.env("PORTCULLIS__SERVER__LISTEN", "of no account here");
    Listening::start(command, (port, "/healthz"), file.with_extension("log")).await
}

/// The program with the file of a gateway.
pub fn gateway_command(file: &Path) -> Command {
    let mut command = Command::new(required("PORTCULLIS_TEST_BINARY"));
    command.env_clear().arg("gateway").arg("--config").arg(file);
    command
}

/// A Redis that keeps nothing, and waits until it answers.
///
/// # Panics
///
/// When it is not there or does not answer.
pub async fn redis(folder: &Path, port: u16) -> Listening {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]).arg("--dir").arg(folder);
    let program = Listening::begin(command, port, folder.join("redis.log"));
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "{}", program.log());
        // Waiting for another program to start, as above.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    program
}

/// nginx with what stands in its `http` block, and waits until it answers.
///
/// # Panics
///
/// When it is not there or does not answer.
pub async fn nginx(folder: &Path, port: u16, http: &str) -> Listening {
    let here = folder.display();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = kinds.map(|kind| format!("{kind}_temp_path {here}/{kind};\n")).concat();
    // One process, so that its id is all there is to end.
    let whole = format!(
        "daemon off;\nmaster_process off;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{http}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, whole).expect("the folder can be written to");
    let found =
        ["/usr/sbin/nginx", "/usr/local/sbin/nginx"].into_iter().find(|path| Path::new(path).exists());
    let mut command = Command::new(found.unwrap_or("nginx"));
    command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(file);
    Listening::start(command, (port, "/"), folder.join("nginx.log")).await
}
