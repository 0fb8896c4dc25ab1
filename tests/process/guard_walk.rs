//! What the README of the guard, the page about policies and the example of rooms say, done as they say it.

use std::fs;
use std::path::Path;

use axum::routing::get;
use portcullis_guard::{Guard, GuardExt, GuardedRouter, Principal, public, scope};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::required;
use portcullis_tests::process::ServerProcess;
use rstest::rstest;
use tempfile::tempdir;
use tokio::net::TcpListener;

use crate::commands::{place_on, said};
use crate::example::{Ground, instructions};
use crate::terminal::{Terminal, adapted, blocks};

/// What the README calls its API.
const API: &str = "https://orders.example.com";

fn page(file: &str) -> String {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    fs::read_to_string(Path::new(&here).join("..").join(file)).unwrap()
}

/// The service of the README, beside this server.
async fn service(issuer: &str) -> String {
    let guard = Guard::oidc(issuer, API).await.unwrap();
    let app = GuardedRouter::new()
        .route(
            "/orders",
            get(async |who: Principal| format!("orders of {}", who.subject())).guard(scope("orders")),
        )
        .route("/health", get(async || "ok").guard(public()))
        .guarded_by(&guard);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_of_the_guards_readme_opens_its_service(#[values(Sqlite, Postgres)] database: Database) {
    let readme = page("middleware/README.md");
    for line in [
        format!("Guard::oidc(\"https://id.example.com\", \"{API}\")"),
        ".guard(scope(\"orders\"))".to_owned(),
        "bind(\"127.0.0.1:3000\")".to_owned(),
    ] {
        assert!(readme.contains(&line), "its service is the one of this test: {line}");
    }
    let (_, section) = readme.split_once("## A token to try it").expect("the README has the section");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    assert!(section.contains("without a token (401) and with one (200)"));
    let [register, call] = <[String; 2]>::try_from(blocks(section)).expect("two blocks");

    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let here = tempdir().unwrap();
    let terminal = Terminal { place: &place, folder: here.path().to_owned() };
    let program = required("PORTCULLIS_TEST_BINARY");
    terminal.run(&adapted(&register, &[("target/release/portcullis", &program)]));
    let service = service(&server.address).await;
    let places =
        [("http://localhost:8080", server.address.as_str()), ("http://127.0.0.1:3000", service.as_str())];
    let call = adapted(&call, &places);
    assert_eq!(terminal.statuses(&call), [401, 200]);
}

/// Lines that only rustdoc hides would be pasted with the rest.
#[test]
fn no_line_of_the_guards_readme_is_one_that_only_the_documentation_hides() {
    let readme = page("middleware/README.md");
    let blocks = readme.split("\n```rust").skip(1).filter_map(|rest| rest.split("\n```").next());
    let blocks: Vec<_> = blocks.collect();
    assert!(blocks.len() > 3, "{blocks:?}");
    for line in blocks.iter().flat_map(|block| block.lines()) {
        assert!(!line.trim_start().starts_with('#') || line.starts_with("#["), "{line}");
    }
    assert!(
        blocks[0].contains("tracing_subscriber::fmt().with_env_filter(filter).init();"),
        "a whole service is heard"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_that_the_page_about_policies_shows_are_rules_sqlite() {
    let page = page("auth-server/docs/policies.md");
    let shown: Vec<_> = page.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(shown.len() > 1 && shown[0].contains("p, viewer, *, orders, read"), "{shown:?}");
    let (_folder, place) = place_on(Sqlite).await;
    let file = place.data_dir.join("shown.csv");
    for rules in shown {
        fs::write(&file, rules).unwrap();
        let output = place.run(&["policy", "check", file.to_str().unwrap()]);
        assert!(output.status.success(), "{rules}: {}", said(&output));
    }
    fs::write(&file, "p, viewer, *, orders\n").unwrap();
    assert!(!place.run(&["policy", "check", file.to_str().unwrap()]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_joined_as_the_example_says_sqlite() {
    let [register, start, join] = <[String; 3]>::try_from(instructions("chat.rs")).expect("three blocks");
    let ground = Ground::new(Sqlite, "http://127.0.0.1:8082").await;
    ground.terminal().run(&ground.at_home(&register));
    let _chat = ground.start(&start).await;
    // A person goes on after a command that was cut off; a script would end.
    let join = format!("set +o errexit +o pipefail\n{}", ground.at_home(&join));
    assert_eq!(ground.terminal().statuses(&join), [401, 101]);
}
