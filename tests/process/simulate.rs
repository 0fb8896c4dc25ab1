//! Rules that are tried on what services were asked, by command, before anybody is locked out.

use std::fs;
use std::process::Command;

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess};
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
    assert!(help.contains("portcullis-guard") && help.contains("AuthZEN` are not recorded"), "{help}");
    drop(server);
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
