//! The walk of `docs/authzen.md`: its own shell blocks, and what it says that they print.

use std::path::Path;

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::required;
use portcullis_tests::process::ServerProcess;
use rstest::rstest;
use serde_json::Value;
use tempfile::tempdir;

use crate::commands::place_on;
use crate::terminal::{Terminal, adapted, blocks};

const END: &str = "----";

fn section() -> String {
    let file = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is"))
        .join("../auth-server/docs/authzen.md");
    let page = std::fs::read_to_string(file).unwrap();
    let (_, section) = page.split_once("## A walk").expect("the page has the section");
    section.split_once("\n## ").map_or(section, |(section, _)| section).to_owned()
}

/// Replaces what differs each time by what stands for it on the page.
fn leveled(answer: &mut Value, (robot, address): (&str, &str)) {
    match answer {
        Value::Array(items) => items.iter_mut().for_each(|item| leveled(item, (robot, address))),
        Value::Object(members) => {
            for (name, value) in members {
                if let (true, Some(id)) = (name == "decision_id", value.as_str()) {
                    let (_, number) = id.split_once('-').unwrap();
                    *value = Value::from(format!("q5f0kv79y70x5-{number}"));
                }
                if name == "next_token" && value != "" {
                    *value = Value::from("TOKEN");
                }
                leveled(value, (robot, address));
            }
        }
        Value::String(text) => *text = text.replace(robot, "ROBOT").replace(address, "http://localhost:8080"),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_about_authzen_shows_is_what_is_answered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let section = section();
    let shown: Vec<Value> = section
        .split("```json\n")
        .skip(1)
        .map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap())
        .collect();
    let asked = blocks(&section);
    let (prepare, requests) = asked.split_first().unwrap();
    assert_eq!(requests.len(), shown.len(), "each request is shown with its answer");

    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let here = tempdir().unwrap();
    let terminal = Terminal { place: &place, folder: here.path().to_owned() };
    let program = required("PORTCULLIS_TEST_BINARY");
    let adapt = |request: &String| adapted(request, &[("http://localhost:8080", &server.address)]);
    let mut script = vec![adapted(prepare, &[("target/release/portcullis", &program)])];
    script.extend(requests.iter().flat_map(|request| [format!("echo\necho {END}"), adapt(request)]));
    script.push("printf %s \"$ROBOT\" > robot".to_owned());
    let printed = terminal.run(&script.join("\n"));
    let robot = std::fs::read_to_string(here.path().join("robot")).unwrap();
    let answers: Vec<&str> = printed.split(&format!("{END}\n")).skip(1).collect();
    assert_eq!(answers.len(), shown.len());
    for ((answer, shown), request) in answers.into_iter().zip(shown).zip(requests) {
        let mut answer: Value =
            serde_json::from_str(answer).unwrap_or_else(|error| panic!("{request}\n{error}: {answer}"));
        leveled(&mut answer, (&robot, &server.address));
        assert_eq!(answer, shown, "{request}");
    }
    drop(server);
}
