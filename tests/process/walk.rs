//! The walk of the README: its own shell blocks, run with the real programs.

use std::path::Path;

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::required;
use portcullis_tests::markup::{attribute, textarea, unescape};
use portcullis_tests::process::{Place, ServerProcess, eventually};
use portcullis_tests::visitor::{Person, Visitor, the_form};
use rstest::rstest;
use tempfile::tempdir;

use crate::commands::{PASSWORD, place_on};
use crate::example::{Example, example_program};
use crate::terminal::{Terminal, adapted, blocks};

/// The section of the README that leads through a first minute.
fn section() -> String {
    let file = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is"))
        .join("../README.md");
    let readme = std::fs::read_to_string(file).unwrap();
    let (_, section) = readme.split_once("## Sixty seconds").expect("the README has the section");
    section.split_once("\n## ").map_or(section, |(section, _)| section).to_owned()
}

/// The administrator that the printed link makes, signed in.
async fn administrator(server: &ServerProcess) -> Visitor {
    let log = server.log();
    let (_, link) = log.split_once("/setup#k=").expect("the server prints a link");
    let code = link.split_whitespace().next().unwrap();
    let mut visitor = Visitor::new(&server.address);
    let form = the_form(&visitor.open("/setup").await, "setup");
    let form = form.with("code", code).with("username", "root").with("new-password", PASSWORD);
    assert_eq!(visitor.submit(&form).await.status, 303);
    let root = Person {
        id: String::new(),
        sub: String::new(),
        username: "root".to_owned(),
        password: PASSWORD.to_owned(),
    };
    visitor.sign_in(&root).await;
    visitor
}

/// Where the link with this text leads.
fn link(page: &Answer, text: &str) -> String {
    let page = page.text();
    let mut links = page.split("<a ").skip(1).filter_map(|link| link.split_once('>'));
    let found = links.find(|(_, inside)| {
        let inside = inside.split("</a>").next().unwrap_or_default();
        inside.contains(&format!("<strong>{text}</strong>"))
    });
    let (tag, _) = found.unwrap_or_else(|| panic!("no link `{text}` in:\n{page}"));
    attribute(tag, "href").unwrap()
}

/// Signs in, follows the words of the README to the rules, removes the line and activates.
async fn remove(server: &ServerProcess, section: &str, line: &str) {
    let mut root = administrator(server).await;
    let words = "sign in at `http://localhost:8080` and follow **Rules** to **Orders**";
    assert!(section.contains(words), "the README says where the rules are");
    let account = root.open("/").await;
    let list = root.open(&link(&account, "Rules")).await;
    let page = root.open(&link(&list, "Orders")).await;
    let rules = textarea(&page.text(), "rules").unwrap();
    assert!(rules.contains(line), "{rules}");
    let form = the_form(&page, "policies")
        .with("rules", &rules.replace(line, ""))
        .with("message", "Nobody reads any more")
        .with("step", "activate");
    let sent = root.submit(&form).await;
    let activated = root.follow(sent).await;
    assert_eq!(activated.status, 200, "{}", unescape(&activated.text()));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_walk_of_the_readme_leads_where_it_says(#[values(Sqlite, Postgres)] database: Database) {
    let section = section();
    let [start, register, guard, call] = <[String; 4]>::try_from(blocks(&section)).expect("four blocks");
    let (_folder, place) = place_on(database).await;
    let here = tempdir().unwrap();
    let terminal = Terminal { place: &place, folder: here.path().to_owned() };
    let program = required("PORTCULLIS_TEST_BINARY");
    let example = example_program("orders");

    assert_eq!(start, "cargo run --release\n");
    let server = ServerProcess::start(&place).await;
    terminal.run(&adapted(&register, &[("target/release/portcullis", &program)]));

    let port = Place::new(&place.data_dir).port;
    let run_example = format!("exec {}", example.display());
    let guard = adapted(
        &guard,
        &[
            ("http://localhost:8080", &server.address),
            ("cargo run --release -p portcullis-guard --features html --example orders", &run_example),
        ],
    );
    let orders = Example::start(terminal.shell(&guard), port).await;

    let call = adapted(
        &call,
        &[("http://localhost:8080", &server.address), ("http://127.0.0.1:8081", &orders.address)],
    );
    assert!(section.contains(
        "without a token (401), with one for what its role may not do (403), and for what it may (200)"
    ));
    assert_eq!(terminal.statuses(&format!("{call}\nprintf %s \"$TOKEN\" > token\n")), [401, 403, 200]);

    let removed = "p, viewer, *, *, read";
    assert!(section.contains(&format!("Remove the line `{removed}`")));
    remove(&server, &section, removed).await;
    let again = format!("TOKEN=$(cat token)\n{}", call.trim_end().lines().last().unwrap());
    eventually("the service hears of the new rules", async || terminal.statuses(&again) == [403]).await;
}
