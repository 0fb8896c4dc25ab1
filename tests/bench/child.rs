//! The servers that are measured, each in a process of its own so that its CPU account is its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::load;

/// A running server; it ends with this value.
pub(crate) struct Server {
    child: Child,
    /// Where it answers, without a path.
    pub(crate) base: String,
}

impl Server {
    /// Starts this program again in another role and waits until it prints its address.
    pub(crate) fn start_role(role: &str, environment: &[(&str, &str)]) -> Self {
        let program = std::env::current_exe().expect("a running program has a path");
        let mut command = Command::new(program);
        command.arg(role).envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts");
        let output = child.stdout.take().expect("the output is piped");
        let mut base = String::new();
        BufReader::new(output).read_line(&mut base).expect("the role prints its address");
        Self { child, base: base.trim().to_owned() }
    }

    /// Starts the sign-in server on `port` with its data in `folder`; it may not be ready yet.
    pub(crate) fn start_portcullis(program: &Path, folder: &Path, port: u16) -> Self {
        let base = format!("http://127.0.0.1:{port}");
        let child = Command::new(program)
            .arg("--data-dir")
            .arg(folder)
            .args(["--listen", &format!("127.0.0.1:{port}"), "--issuer", &base, "serve"])
            // The same person signs in again and again, which the limits are there to slow.
            .env("PORTCULLIS__LIMITS__LOGIN_PER_ADDRESS_PER_MINUTE", "1000000")
            .env("PORTCULLIS__LIMITS__LOGIN_PER_ACCOUNT_PER_MINUTE", "1000000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        Self { child, base }
    }

    /// Waits for the discovery document and returns it.
    pub(crate) async fn until_ready(&self) -> String {
        let client = load::client();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let asked = client.get(format!("{}/.well-known/openid-configuration", self.base)).send().await;
            match asked {
                Ok(answer) if answer.status().is_success() => return answer.text().await.expect("a body"),
                _ => assert!(Instant::now() < deadline, "the server is not ready after 30 s"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The process whose CPU and memory count.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ending one that has ended is no error worth a word here.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
