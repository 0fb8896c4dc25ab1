//! What the sign-in server costs: documents, tokens, memory and its start.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Request, Url};
use serde_json::Value;

use crate::child::Server;
use crate::load::{self, closed_loop};
use crate::report::Report;
use crate::roles::BODY;

/// Requests of a round for a document.
const DOCUMENTS: u32 = 20_000;
/// Tokens of a round.
const TOKENS: u32 = 8_000;
/// How long the server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// A client that may ask for tokens.
struct Credentials {
    id: String,
    secret: String,
}

/// One round on a data folder of its own.
pub(crate) async fn round(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let credentials = register(&data);
    let client = load::client();
    let started = Instant::now();
    let server = Server::start_portcullis(&program(), &data, free_port());
    let discovery = server.until_ready().await;
    report.add("start to ready, ms", started.elapsed().as_secs_f64() * 1e3);
    tokio::time::sleep(IDLE).await;
    report.add("idle memory, MiB", crate::cpu::resident_mib(server.pid()));
    let jwks =
        client.get(format!("{}/jwks", server.base)).send().await.expect("keys").text().await.expect("text");
    document(
        report,
        &client,
        ["discovery", "floor of discovery"],
        (&server, "/.well-known/openid-configuration", discovery),
    )
    .await;
    document(report, &client, ["jwks", "floor of jwks"], (&server, "/jwks", jwks)).await;
    tokens(report, &client, &server, credentials).await;
}

/// The document from the server, and the same bytes from bare axum.
async fn document(
    report: &mut Report,
    client: &Client,
    names: [&'static str; 2],
    served: (&Server, &str, String),
) {
    let [name, floor_name] = names;
    let (subject, path, body) = served;
    let floor = Server::start_role("floor", &[(BODY, &body)]);
    for (name, process, url) in
        [(name, subject, format!("{}{path}", subject.base)), (floor_name, &floor, floor.base.clone())]
    {
        let url: Url = url.parse().expect("an address");
        let ask = move || Request::new(Method::GET, url.clone());
        closed_loop(client, process.pid(), DOCUMENTS / 10, "{", ask.clone()).await;
        report.add(name, closed_loop(client, process.pid(), DOCUMENTS, "{", ask).await.cpu_micros);
    }
}

async fn tokens(report: &mut Report, client: &Client, server: &Server, credentials: Credentials) {
    let url: Url = format!("{}/token", server.base).parse().expect("an address");
    let asking = client.clone();
    let ask = move || {
        let form = [("grant_type", "client_credentials")];
        let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        asking
            .post(url.clone())
            .basic_auth(&credentials.id, Some(&credentials.secret))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .build()
            .expect("a request")
    };
    closed_loop(client, server.pid(), TOKENS / 10, "access_token", ask.clone()).await;
    let cost = closed_loop(client, server.pid(), TOKENS, "access_token", ask).await;
    report.add("client_credentials", cost.cpu_micros);
    report.add("client_credentials, tokens a second", cost.per_second);
}

/// Makes the database and a client with the command line, as an operator does.
fn register(data: &Path) -> Credentials {
    let printed = Command::new(program())
        .arg("--data-dir")
        .arg(data)
        .args(["--format", "json", "client", "create", "--preset", "m2m", "--name", "Bench"])
        .output()
        .expect("the command starts");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let client: Value = serde_json::from_slice(&printed.stdout).expect("the command prints JSON");
    let text = |key: &str| client.get(key).and_then(Value::as_str).expect("a client has it").to_owned();
    Credentials { id: text("client_id"), secret: text("client_secret") }
}

/// The server's program, built beside this one: `target/release/deps/speed-..` and `target/release/portcullis`.
pub(crate) fn program() -> PathBuf {
    let here = std::env::current_exe().expect("a running program has a path");
    let program = here.parent().and_then(Path::parent).map(|folder| folder.join("portcullis"));
    program.filter(|program| program.exists()).expect("`cargo build --release` comes first")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}
