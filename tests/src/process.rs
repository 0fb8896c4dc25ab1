//! The real program: started, asked, stopped and killed.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};

use crate::database::Database::Postgres;
use crate::database::required;
use crate::token::Machine;

/// How long the program may take to start on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a running program may take to hear of a change: it looks by itself, each second.
const HEARD_WITHIN: Duration = Duration::from_secs(20);

/// More CPU time than an idle server uses by chance, less than one password hash of the test that waits for it.
const AT_WORK: Duration = Duration::from_millis(40);

/// Waits until something holds that another program brings about: there is no event to wait for.
///
/// # Panics
///
/// When it never does.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < HEARD_WITHIN, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a program is started with: its folder, its database, its port.
#[derive(Clone, Debug)]
pub struct Place {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The database, when it is not the one in the data folder.
    pub database_url: Option<String>,
    /// Where it listens.
    pub port: u16,
    /// The issuer, when it is not the address.
    pub issuer: Option<String>,
    /// The program, when it is not the one that `tests/run` built.
    pub program: Option<PathBuf>,
}

impl Place {
    /// A place in a folder, on a free port.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn new(data_dir: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port exists");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        Self { data_dir: data_dir.to_owned(), database_url: None, port, issuer: None, program: None }
    }

    /// The address of the program.
    pub fn address(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The program with the settings of this place and these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = self.program.clone().unwrap_or_else(|| required("PORTCULLIS_TEST_BINARY").into());
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PORTCULLIS__PASSWORDS__MEMORY_KIB", "64")
            .env("PORTCULLIS__PASSWORDS__ITERATIONS", "1")
            .env("PORTCULLIS__LIMITS__LOGIN_PER_ACCOUNT_PER_MINUTE", "100000")
            .env("PORTCULLIS__LIMITS__LOGIN_PER_ADDRESS_PER_MINUTE", "100000")
            .env("PORTCULLIS__SESSIONS__SECOND_STEP", "optional")
            .env("PORTCULLIS__LOG__FORMAT", "json")
            // The applications of tests run on this machine.
            .env("PORTCULLIS__OUTBOUND__ALLOW", "127.0.0.1")
            .arg("--data-dir")
            .arg(&self.data_dir)
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", self.port))
            .current_dir(&self.data_dir)
            .stdin(Stdio::null());
        if let Some(url) = &self.database_url {
            command.env("PORTCULLIS__DATABASE__URL", url);
        }
        if let Some(issuer) = &self.issuer {
            command.arg("--issuer").arg(issuer);
        }
        command.args(arguments);
        command
    }

    /// Runs a command of the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        finished(self.command(arguments))
    }
}

/// Two places with one database and one name.
///
/// # Panics
///
/// When PostgreSQL is not there.
pub async fn two_places() -> (TempDir, Place, Place) {
    let folder = tempdir().expect("a folder can be made");
    let url = Postgres.create(folder.path()).await;
    let first = Place { database_url: Some(url), ..Place::new(folder.path()) };
    let first = Place { issuer: Some(first.address()), ..first };
    let second = Place { port: Place::new(folder.path()).port, ..first.clone() };
    (folder, first, second)
}

/// Runs a command that has to end by itself.
///
/// # Panics
///
/// When it cannot be started, or goes on: it is killed then, and the panic shows what it said.
pub fn finished(mut command: Command) -> Output {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let started = Instant::now();
    let mut in_time = true;
    while child.try_wait().expect("the child is ours").is_none() {
        if started.elapsed() > PATIENCE {
            in_time = false;
            child.kill().expect("it still runs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("what it said can be read");
    assert!(in_time, "it goes on: {}", String::from_utf8_lossy(&output.stdout));
    output
}

/// A running server.
pub struct ServerProcess {
    /// Asks its machine endpoints.
    pub machine: Machine,
    /// What it is called and where it listens.
    pub address: String,
    child: Child,
    log: PathBuf,
}

impl ServerProcess {
    /// Starts a server and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready: the panic shows its log.
    pub async fn start(place: &Place) -> Self {
        let mut server = Self::spawn(place);
        server.ready().await;
        server
    }

    /// Starts a server that lets everybody ask as often as they like, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready: the panic shows its log.
    pub async fn start_unlimited(place: &Place) -> Self {
        let mut command = place.command(&["serve"]);
        for limit in ["ADMIN_PER_CALLER", "FLOWS_PER_ADDRESS", "TOKEN_PER_CLIENT"] {
            command.env(format!("PORTCULLIS__LIMITS__{limit}_PER_MINUTE"), "1000000");
        }
        let mut server = Self::of(command, place);
        server.ready().await;
        server
    }

    /// Starts a server without waiting.
    ///
    /// # Panics
    ///
    /// When the program cannot be started at all.
    pub fn spawn(place: &Place) -> Self {
        Self::of(place.command(&["serve"]), place)
    }

    /// Starts a server by a command that the test prepared.
    ///
    /// # Panics
    ///
    /// When the program cannot be started at all.
    pub fn of(mut command: Command, place: &Place) -> Self {
        let log = place.data_dir.join(format!("server-{}.log", place.port));
        let out = File::options().create(true).append(true).open(&log).expect("the log can be written");
        let errors = out.try_clone().expect("a file can be shared");
        let child = command.stdout(out).stderr(errors).spawn().expect("the program starts");
        Self { machine: Machine::new(&place.address()), address: place.address(), child, log }
    }

    /// Waits until the server is ready.
    ///
    /// # Panics
    ///
    /// When it ends or never becomes ready.
    pub async fn ready(&mut self) {
        let started = Instant::now();
        let client = crate::agent::agent();
        loop {
            let asked = client.get(format!("{}/healthz/ready", self.address)).send().await;
            if asked.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            let ended = self.child.try_wait().expect("the child is ours");
            assert!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "not ready ({ended:?}):\n{}",
                self.log()
            );
            // Waiting for another program to start: there is no event to wait for.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it has worked for a while: something it was asked is being done.
    ///
    /// # Panics
    ///
    /// When it stays idle.
    pub async fn busy(&self) {
        let (started, before) = (Instant::now(), self.cpu_time());
        while self.cpu_time() < before + AT_WORK {
            assert!(started.elapsed() < PATIENCE, "it stays idle:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The CPU time that its threads have used, from the scheduler's own account.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn cpu_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the program runs");
        let accounts =
            tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
        let nanos = accounts.filter_map(|account| account.split(' ').next()?.parse::<u64>().ok()).sum();
        Duration::from_nanos(nanos)
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without any warning, as a power cut does.
    ///
    /// # Panics
    ///
    /// When it has ended already.
    pub fn kill(mut self) {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("the child is ours");
    }

    /// Asks it to stop, as an operator does.
    ///
    /// # Panics
    ///
    /// When the signal cannot be sent.
    pub fn terminate(&self) {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(sent.expect("the system can send signals").success());
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// When it goes on.
    pub async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "it goes on:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // A failed test must not leave a server behind; one that has ended cannot be ended again.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
