//! A program that is told what it needs by lines, and asks by lines for what a person or an administrator does: see
//! `programs/conversation.mjs`.

use std::process::Stdio;
use std::time::Duration;

use portcullis_tests::visitor::Visitor;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use url::Url;

use crate::features::{laid_out, note_version};
use crate::ground::Ground;
use crate::pages::{End, go};

/// How long a flow may take on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running program; it ends with the test.
pub(crate) struct Program {
    name: &'static str,
    told: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Program {
    /// Starts a script.
    pub(crate) fn start(interpreter: &str, script: &'static str) -> Self {
        let mut child = Command::new(interpreter)
            .arg(script)
            .current_dir(laid_out())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{interpreter}: {error}; tests/run installs what is missing"));
        let told = child.stdin.take().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { name: script, told, said, child }
    }

    /// Runs one of its flows to the end.
    ///
    /// # Panics
    ///
    /// When the flow fails, or asks for something that the server does not advertise and has to.
    pub(crate) async fn run(mut self, flow: &str, ground: &Ground, more: Value) {
        let mut told = ground.told();
        told["flow"] = json!(flow);
        if let Value::Object(more) = more {
            told.as_object_mut().unwrap().extend(more);
        }
        let flow = format!("{} {flow}", self.name);
        self.tell(&told).await;
        let talk = self.talk(&flow, ground);
        tokio::time::timeout(PATIENCE, talk).await.unwrap_or_else(|_| panic!("{flow} goes on"));
    }

    async fn talk(&mut self, flow: &str, ground: &Ground) {
        let mut visitor = ground.visitor();
        while let Some(line) = self.said.next_line().await.expect("it writes text") {
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "version" => note_version(rest),
                "register" => {
                    let registered = register(ground, rest).await;
                    self.tell(&registered).await;
                }
                "visit" => {
                    let end = visit(&mut visitor, ground, rest).await;
                    self.tell(&end).await;
                }
                "lacks" => panic!("{flow} did not run: the server does not advertise {rest}"),
                "ran" => return,
                _ => eprintln!("{flow}: {line}"),
            }
        }
        panic!("{flow} failed, and said why above: {:?}", self.child.wait().await);
    }

    async fn tell(&mut self, what: &Value) {
        self.told.write_all(format!("{what}\n").as_bytes()).await.expect("it listens");
    }
}

async fn register(ground: &Ground, document: &str) -> Value {
    let made = ground.admin.client(serde_json::from_str(document).expect("it writes JSON")).await;
    json!({ "client_id": made.id, "client_secret": made.secret })
}

async fn visit(visitor: &mut Visitor, ground: &Ground, target: &str) -> Value {
    let target = Url::parse(target).expect("it goes to a URL");
    match go(visitor, &ground.person, &target).await {
        End::Elsewhere(url) => json!({ "url": url }),
        End::Form(form) => json!({ "action": form.action, "fields": form.fields }),
        End::Page(page) => json!({ "url": page.url, "status": page.status.as_u16() }),
    }
}
