//! The walk of `docs/mcp.md`: its own shell blocks, and what it says that they print.

use std::path::Path;

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::required;
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::registered::Registered;
use portcullis_tests::visitor::{Person, Visitor};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::commands::place_on;
use crate::example::{Example, example_program};
use crate::terminal::{Terminal, adapted, blocks};

const ISSUER: &str = "http://localhost:8080";
const SERVICE: &str = "http://127.0.0.1:8086";

fn section() -> String {
    let file = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is"))
        .join("../auth-server/docs/mcp.md");
    let page = std::fs::read_to_string(file).unwrap();
    let (_, section) = page.split_once("## A walk").expect("the page has the section");
    section.split_once("\n## ").map_or(section, |(section, _)| section).to_owned()
}

/// What the page shows behind a block of the shell.
fn shown(section: &str, request: &str) -> String {
    let (_, behind) = section.split_once(request).unwrap();
    let (_, answer) = behind.split_once("```\n```").expect("the answer is shown");
    let (_, answer) = answer.split_once('\n').unwrap();
    answer.split("```").next().unwrap().to_owned()
}

/// What a tool says, and whether that is an error.
async fn call(tools: &Example, token: &str, tool: &str) -> (String, bool) {
    let params = json!({ "name": tool, "arguments": { "item": "gate" } });
    let asked = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = agent().post(format!("{}/mcp", tools.address)).bearer_auth(token);
    let answer =
        Answer::to(request.header("accept", "application/json, text/event-stream").json(&asked)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let result = answer.json()["result"].clone();
    (result["content"][0]["text"].as_str().unwrap().to_owned(), result["isError"] == true)
}

/// The token of somebody who signs in at the client that the walk registered.
async fn token(server: &ServerProcess, client: &Registered, resource: &str) -> String {
    let ada = Person {
        id: String::new(),
        sub: String::new(),
        username: "ada".to_owned(),
        password: "correct horse ada battery".to_owned(),
    };
    let request = AuthorizeRequest::of(client).without("scope").with("resource", resource);
    let callback = Visitor::new(&server.address).authorize(&request, &ada).await;
    assert_eq!(callback.error(), "", "{callback:?}");
    server.machine.redeem(client, &request, &callback).await.member("access_token")
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_about_tools_shows_is_what_is_answered(#[values(Sqlite, Postgres)] database: Database) {
    let section = section();
    let [serve, register, start, challenge, about, issuer, newcomer] =
        <[String; 7]>::try_from(blocks(&section)).expect("seven blocks");
    let (_folder, place) = place_on(database).await;
    let here = tempdir().unwrap();
    let terminal = Terminal { place: &place, folder: here.path().to_owned() };
    let program = required("PORTCULLIS_TEST_BINARY");
    let port = Place::new(&place.data_dir).port;
    let address = format!("http://127.0.0.1:{port}");

    let run = format!("exec {program}");
    let serve = adapted(&serve, &[("cargo run --release --", &run), (SERVICE, &address)]);
    let mut server = ServerProcess::of(terminal.shell(&serve), &place);
    server.ready().await;
    terminal.run(&adapted(&register, &[("target/release/portcullis", &program), (SERVICE, &address)]));
    let example = format!("exec {}", example_program("mcp").display());
    let start = adapted(
        &start,
        &[
            (ISSUER, &server.address),
            (SERVICE, &address),
            ("cargo run --release -p portcullis-guard --example mcp", &example),
        ],
    );
    let tools = Example::listening(terminal.shell(&start), port).await;

    let here_it_is = |text: String| text.replace(SERVICE, &address).replace(ISSUER, &server.address);
    let printed = terminal.run(&here_it_is(challenge.clone()));
    assert_eq!(printed, here_it_is(shown(&section, &challenge)));
    for request in [&about, &issuer, &newcomer] {
        let printed: Value = serde_json::from_str(&terminal.run(&here_it_is(request.clone()))).unwrap();
        let shown: Value = serde_json::from_str(&here_it_is(shown(&section, request))).unwrap();
        assert_eq!(printed, shown, "{request}");
    }

    // The page cuts off what differs each time; the client needs its name.
    let (request, _) = newcomer.split_once(" | jq").expect("it is cut");
    let made: Value = serde_json::from_str(&terminal.run(&here_it_is(request.to_owned()))).unwrap();
    let client = Registered {
        id: made["client_id"].as_str().unwrap().to_owned(),
        secret: None,
        redirect_uris: vec!["http://127.0.0.1/cb".to_owned()],
    };
    let resource = format!("{address}/mcp");
    let viewer = token(&server, &client, &resource).await;
    assert_eq!(call(&tools, &viewer, "stock").await, ("7 of gate".to_owned(), false));
    let (text, is_error) = call(&tools, &viewer, "order").await;
    assert!(is_error && text.starts_with("The policy of this service does not allow this (dec_"), "{text}");
    let (_, grant) = section.split_once("`portcullis user grant").expect("it says how to give more");
    let grant = format!("{program} user grant{}", grant.split('`').next().unwrap());
    terminal.run(&here_it_is(grant));
    let editor = token(&server, &client, &resource).await;
    assert_eq!(call(&tools, &editor, "order").await, ("gate is ordered".to_owned(), false));
}
