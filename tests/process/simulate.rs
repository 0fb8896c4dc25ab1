//! Rules that are tried on what services were asked, by command, before anybody is locked out.

use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess, eventually, two_places};
use portcullis_tests::registered::Registered;
use rstest::rstest;
use serde_json::{Value, json};

use crate::commands::{ORDERS, json as printed, place_on, registered, said};
use crate::example::{Example, example_program};

const RULES: &str = "p, viewer, *, orders, read\np, editor, *, orders, create\ng, editor, viewer, *\n";

async fn tell(place: &Place, guard: &Registered, name: &str, decisions: &Value) {
    let url = format!("{}/policies/decisions", place.address());
    let body = json!({ "batch": name, "lost": 3, "decisions": decisions });
    let request = agent().post(url).basic_auth(&guard.id, guard.secret.as_deref()).json(&body);
    assert_eq!(Answer::to(request).await.status, 204);
}

fn asked(subject: &str, role: &str, action: &str, count: u64) -> Value {
    json!({
        "subject": subject, "roles": [role], "domain": "", "object": "orders", "action": action,
        "allowed": true, "revision": 2, "count": count,
    })
}

#[rstest]
#[tokio::test]
async fn a_rule_whose_removal_would_lock_a_role_out_is_caught_and_it_is_said_whom(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let guard = ["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS];
    let guard = registered(&printed(&place, &guard));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let run = |arguments: &[&str]| place.run(&[&["policy"], arguments, &["--api", ORDERS]].concat());
    let done = run(&["push", &file("rules.csv", RULES), "--activate", "Begin"]);
    assert!(done.status.success(), "{}", said(&done));

    let nothing = run(&["simulate"]);
    assert!(nothing.status.success());
    assert_eq!(said(&nothing), "nothing was recorded in 7 days: nothing can be said\n");

    let decisions = json!([
        asked("ada", "viewer", "read", 5),
        asked("bob", "editor", "read", 2),
        asked("bob", "editor", "create", 1)
    ]);
    for _ in 0..2 {
        tell(&place, &guard, "g-1", &decisions).await;
    }
    let same = run(&["simulate", "--days", "30"]);
    assert!(same.status.success(), "{}", said(&same));
    let expected = "of 8 decisions on 1 day, 0 that the rules in force allow would be refused, and 0 that they refuse allowed\n\
                    3 decisions were not recorded: there were too many different ones\n";
    assert_eq!(said(&same), expected);

    let without = file(
        "without.csv",
        "p, editor, *, orders, create\ng, editor, viewer, *\np, viewer, *, stock, read\n",
    );
    let caught = run(&["simulate", &without]);
    assert_eq!(caught.status.code(), Some(1));
    let text = said(&caught);
    let lines: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines[..3],
        [
            "CHANGE WHO OBJECT ACTION DECISIONS CALLERS FOR EXAMPLE",
            "loses viewer orders read 5 1 ada (viewer)",
            "loses editor orders read 2 1 bob (editor)",
        ],
        "{text}"
    );
    assert!(text.contains("1 of 2 rules decided nothing: line 3\n"), "{text}");
    let end = "portcullis: 7 decisions that the rules in force allow would be refused, to editor, viewer\n";
    assert!(text.ends_with(end), "{text}");
    assert!(
        text.contains("of 8 decisions on 1 day, 7 that the rules in force allow would be refused"),
        "{text}"
    );
    assert!(run(&["simulate", &without, "--allow-losses"]).status.success());

    let done = run(&["push", &without]);
    assert!(done.status.success(), "{}", said(&done));
    let draft = place.run(&["--format", "json", "policy", "simulate", "--api", ORDERS]);
    assert_eq!(draft.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&draft.stdout).unwrap();
    assert_eq!(found["denied"], json!({ "decisions": 7, "requests": 2 }));
    assert_eq!(found["changes"][0]["grantee"], json!({ "role": "viewer" }));
    assert_eq!(found["recorded"]["lost"], 3);
    let help = said(&run(&["simulate", "--help"]));
    assert!(help.contains("portcullis-guard") && help.contains("names the client that asked"), "{help}");
    drop(server);
}

/// Asks so often whether a viewer may read orders.
async fn ask(address: &str, service: &Registered, times: usize) {
    let question = json!({
        "subject": { "type": "role", "id": "viewer" }, "action": { "name": "read" },
        "resource": { "type": "orders", "id": "17" },
    });
    for _ in 0..times {
        let request = agent().post(format!("{address}/access/v1/evaluation")).json(&question);
        let answer = Answer::to(request.basic_auth(&service.id, service.secret.as_deref())).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["decision"]), (200, &json!(true)));
    }
}

/// The rules without what a viewer may do with orders, in a file.
fn without_orders(folder: &Path) -> String {
    let path = folder.join("without.csv");
    fs::write(&path, "p, editor, *, orders, create\n").unwrap();
    path.to_str().unwrap().to_owned()
}

#[rstest]
#[tokio::test]
async fn what_a_service_asked_the_server_is_recorded_before_the_server_ends(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (folder, place) = place_on(database).await;
    let mut server = ServerProcess::start(&place).await;
    let create = ["client", "create", "--preset", "service", "--name", "Orders in PHP", "--api", ORDERS];
    let service = registered(&printed(&place, &create));
    ask(&server.address, &service, 3).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());

    let without = without_orders(folder.path());
    let caught = place.run(&["policy", "simulate", &without, "--api", ORDERS]);
    assert_eq!(caught.status.code(), Some(1), "{}", said(&caught));
    let text = said(&caught);
    assert!(text.contains("- (viewer), asked by Orders in PHP"), "{text}");
    let end = "portcullis: 3 decisions that the rules in force allow would be refused, to viewer\n";
    assert!(text.ends_with(end), "{text}");
    let found = place.run(&["--format", "json", "policy", "simulate", &without, "--api", ORDERS]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["changes"][0]["examples"][0]["asker"], json!(service.id));
    assert_eq!(found["askers"], json!({ &service.id: "Orders in PHP" }));
}

#[tokio::test]
async fn two_programs_record_what_each_was_asked_and_one_that_is_killed_takes_little_with_it_postgres() {
    let (folder, first, second) = two_places().await;
    let one = ServerProcess::start(&first).await;
    let two = ServerProcess::start(&second).await;
    let create = ["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS];
    let service = registered(&printed(&first, &create));
    let without = without_orders(folder.path());
    let decisions = || {
        let found = first.run(&["--format", "json", "policy", "simulate", &without, "--api", ORDERS]);
        let found: Value = serde_json::from_slice(&found.stdout).unwrap();
        found["denied"]["decisions"].as_u64().unwrap()
    };
    ask(&one.address, &service, 2).await;
    ask(&second.address(), &service, 3).await;
    eventually("both are recorded, without a stop", async || decisions() == 5).await;
    one.kill();
    assert_eq!(decisions(), 5, "what was written stays");
    let one = ServerProcess::start(&first).await;
    ask(&one.address, &service, 1).await;
    eventually("a program that came back is no other program", async || decisions() == 6).await;
    drop((one, two));
}

#[rstest]
#[tokio::test]
async fn what_a_service_decided_is_told_before_it_ends(#[values(Sqlite, Postgres)] database: Database) {
    let (folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let create = |preset, more: &[&str]| {
        let start = ["client", "create", "--preset", preset, "--name", preset, "--api", ORDERS];
        registered(&printed(&place, &[&start[..], more].concat()))
    };
    let (guard, robot) = (create("service", &[]), create("m2m", &["--role", "viewer"]));
    let token = server.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    let mut program = Command::new(example_program("orders"));
    program
        .env("ORDERS_ISSUER", place.address())
        .env("ORDERS_AUDIENCE", ORDERS)
        .env("ORDERS_CLIENT_ID", &guard.id)
        .env("ORDERS_CLIENT_SECRET", guard.secret.as_deref().unwrap());
    let orders = Example::start(program, Place::new(folder.path()).port).await;
    let read = agent().get(format!("{}/orders", orders.address)).bearer_auth(&token);
    assert_eq!(Answer::to(read).await.status, 200);
    orders.end();
    let without = folder.path().join("without.csv");
    fs::write(&without, "p, editor, *, orders, create\n").unwrap();
    let caught = place.run(&["policy", "simulate", without.to_str().unwrap(), "--api", ORDERS]);
    assert_eq!(caught.status.code(), Some(1), "{}", said(&caught));
    assert!(
        said(&caught).contains("1 decision that the rules in force allow would be refused, to viewer"),
        "{}",
        said(&caught)
    );
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_tried_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let (folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let run = |arguments: &[&str]| place.run(&[&["policy", "simulate"], arguments].concat());
    let admin = ["--api", "admin"];
    let bad = folder.path().join("bad.csv");
    fs::write(&bad, "p, viewer").unwrap();
    for (arguments, code, part) in [
        (&["--days", "0"][..], 1, "1 to 366"),
        (&["--days", "x"], 2, "invalid value"),
        (&["--api", "https://nobody.example"], 1, "there is no API"),
        (&[bad.to_str().unwrap()], 1, "field"),
        (&["/nowhere/rules.csv"], 1, "No such file"),
        (&["--model", "model.conf"], 2, "FILE"),
    ] {
        let whose = if arguments.contains(&"--api") { &[][..] } else { &admin };
        let refused = run(&[arguments, whose].concat());
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {}", said(&refused));
        assert!(said(&refused).contains(part), "{arguments:?}: {}", said(&refused));
    }
    drop(server);
}
