//! npm's `oidc-provider`, as a program: see `issuer/issuer.mjs`.

use std::process::Stdio;
use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::database::required;
use portcullis_tests::token::Machine;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The audience of the service under test.
pub(crate) const ORDERS: &str = "https://orders.example";

/// The audience of another service of the same issuer.
pub(crate) const INVOICES: &str = "https://invoices.example";

/// A resource whose tokens name the service under test, and are said to be no access tokens.
pub(crate) const UNTYPED: &str = "https://orders.example/untyped";

/// Its one client.
pub(crate) const ROBOT: &str = "robot";
const SECRET: &str = "a secret that only this test knows";

/// How long it may take for one thing on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The issuer; it ends with the test.
pub(crate) struct ForeignIssuer {
    url: String,
    told: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl ForeignIssuer {
    /// Starts it on a free port, and waits until it listens.
    pub(crate) async fn start() -> Self {
        let mut child = Command::new("node")
            .arg(required("PORTCULLIS_TEST_FOREIGN_ISSUER"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("tests/run installs node");
        let told = child.stdin.take().expect("it is piped");
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut issuer = Self { url: String::new(), told, said, child };
        issuer.url = issuer.hear("ready ").await;
        issuer
    }

    /// Its name, where it can be asked.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The name under which it signs other tokens with the same keys.
    pub(crate) fn other_url(&self) -> String {
        format!("{}/other", self.url)
    }

    /// Signs with a new key of the other kind from now on, and publishes those before it as well.
    pub(crate) async fn change_key(&mut self) {
        self.tell("change").await;
    }

    /// Publishes the key that it signs with, and no other.
    pub(crate) async fn withdraw_keys(&mut self) {
        self.tell("withdraw").await;
    }

    /// A token for a resource, with the scope `orders:read`.
    pub(crate) async fn token(&self, resource: &str) -> String {
        token_of(&self.url, resource).await
    }

    /// A token for a resource, under the other name.
    pub(crate) async fn other_token(&self, resource: &str) -> String {
        token_of(&self.other_url(), resource).await
    }

    async fn tell(&mut self, what: &str) {
        self.told.write_all(format!("{what}\n").as_bytes()).await.expect("it listens");
        assert_eq!(self.hear(what).await, "");
    }

    /// What stands behind the start of the next line that starts so: the library says things of its own, too.
    async fn hear(&mut self, start: &str) -> String {
        let mut passed = Vec::new();
        let heard = async {
            while let Some(line) = self.said.next_line().await.expect("it writes text") {
                if let Some(rest) = line.strip_prefix(start) {
                    return rest.to_owned();
                }
                passed.push(line);
            }
            panic!("it ended before it said {start:?}");
        };
        if let Ok(rest) = tokio::time::timeout(PATIENCE, heard).await {
            return rest;
        }
        // How much of a processor it has got tells one that hangs from one that had to wait for others.
        let process = self.child.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok());
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        panic!(
            "it has not said {start:?} for {PATIENCE:?}, but {passed:?}; load {load}, process {process:?}"
        );
    }
}

async fn token_of(issuer: &str, resource: &str) -> String {
    let fields = [("grant_type", "client_credentials"), ("scope", "orders:read"), ("resource", resource)];
    let issuer = Machine::new(issuer);
    let request =
        issuer.request(reqwest::Method::POST, "/token").basic_auth(ROBOT, Some(SECRET)).form(&fields);
    let answer = Answer::to(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.member("access_token")
}
