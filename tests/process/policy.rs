//! What the commands for files of rules print, and how they end. They need no server and no database.

use std::io::Write as _;
use std::process::{Output, Stdio};

use portcullis_tests::process::{Place, finished};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::commands::said;

const RULES: &str = "p, viewer, *, /orders/{id}, read\np, editor, acme, /orders/{id}, write\ng, editor, viewer, acme\n\
                     p, banned, *, *, *, deny\np, user:17, *, stock, read\n";

/// A folder with files, and the program in it. Its database is never there: a command that asks for it fails.
fn place_with(files: &[(&str, &str)]) -> (TempDir, Place) {
    let folder = tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let place =
        Place { database_url: Some("postgres://127.0.0.1:9/none".to_owned()), ..Place::new(folder.path()) };
    (folder, place)
}

#[track_caller]
fn printed(place: &Place, code: i32, arguments: &[&str]) -> Output {
    let output = place.run(&[&["policy"], arguments].concat());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    output
}

#[track_caller]
fn document(place: &Place, code: i32, arguments: &[&str]) -> Value {
    let output = printed(place, code, &[&["--format", "json"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

#[track_caller]
fn refused(place: &Place, code: i32, arguments: &[&str], part: &str) {
    let output = printed(place, code, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains(part), "{part}: {errors}");
}

/// Runs a command with a text as its standard input.
fn fed(place: &Place, arguments: &[&str], text: &str) -> Output {
    let (mut command, (reader, mut writer)) = (place.command(arguments), std::io::pipe().unwrap());
    command.stdin(Stdio::from(reader));
    writer.write_all(text.as_bytes()).unwrap();
    drop(writer);
    finished(command)
}

#[test]
fn a_check_prints_place_code_message_and_way_out() {
    let bad = "p, viewer, *, /orders/:id, read\np, viewer, *, orders, read, alow\n";
    let (_folder, place) = place_with(&[("good.csv", RULES), ("bad.csv", bad), ("odd.csv", "p, a, *, *, *")]);
    assert_eq!(said(&printed(&place, 0, &["check", "good.csv"])), "nothing is wrong\n");
    let output = printed(&place, 1, &["check", "bad.csv"]);
    let text = said(&output);
    assert!(text.contains("1:23   error     template") && text.contains("/orders/{id}"), "{text}");
    assert!(text.contains("2:29") && text.contains("portcullis: bad.csv: errors in 2 places"), "{text}");
    std::fs::write(place.data_dir.join("one.csv"), "p, viewer, *, orders, read, alow\n").unwrap();
    refused(&place, 1, &["check", "one.csv"], "one.csv: errors in 1 place\n");
    let checked = document(&place, 1, &["check", "bad.csv"]);
    assert_eq!(checked["usable"], false);
    assert_eq!(checked["findings"][1]["fix"], "allow");
    let doubtful = document(&place, 0, &["check", "odd.csv"]);
    assert_eq!((&doubtful["usable"], &doubtful["findings"][0]["code"]), (&json!(true), &json!("catch-all")));
}

#[test]
fn a_check_reads_the_model_and_standard_input() {
    let model = portcullis_policy::DEFAULT_MODEL;
    let other = model.replace("keyMatch5", "ownMatch");
    let files = [("rules.csv", RULES), ("model.conf", model), ("other.conf", &other)];
    let (_folder, place) = place_with(&files);
    printed(&place, 0, &["check", "rules.csv", "--model", "model.conf"]);
    let checked = document(&place, 1, &["check", "rules.csv", "--model", "other.conf"]);
    assert_eq!(checked["findings"][0]["code"], "model-unsupported");
    assert_eq!(checked["findings"][0]["file"], "model");
    let output = fed(&place, &["policy", "check", "-"], "p, viewer");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("field-count") && said(&output).contains("standard input"),
        "{}",
        said(&output)
    );
}

#[test]
fn cases_pass_or_fail_with_the_reason() {
    let cases = "# people\nallow, editor, acme, /orders/17, write\ndeny, viewer, acme, /orders/17, write\n";
    let wrong = format!("{cases}allow, viewer, acme, /orders/17, write\n");
    let files = [("rules.csv", RULES), ("cases", cases), ("wrong", &wrong), ("none", "alow, a, b, c, d")];
    let (_folder, place) = place_with(&files);
    assert_eq!(said(&printed(&place, 0, &["test", "rules.csv", "--cases", "cases"])), "2 passed, 0 failed\n");
    let output = printed(&place, 1, &["test", "rules.csv", "--cases", "wrong"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.starts_with("line 4: expected allow, but denied: no rule allows it\n  line 1 would"),
        "{text}"
    );
    assert!(text.ends_with("2 passed, 1 failed\n"), "{text}");
    refused(&place, 1, &["test", "rules.csv", "--cases", "wrong"], "wrong: 1 case is decided otherwise\n");
    let outcome = document(&place, 1, &["test", "rules.csv", "--cases", "wrong"]);
    assert_eq!(outcome["failed"][0]["case"]["line"], 4);
    assert_eq!(outcome["failed"][0]["explanation"]["reason"]["kind"], "no-rule");
    refused(&place, 1, &["test", "rules.csv", "--cases", "none"], "cases:1:1: error[unknown-decision]");
    refused(&place, 2, &["test", "-", "--cases", "-"], "only one of the files");
    refused(&place, 2, &["test", "rules.csv"], "--cases");
}

#[test]
fn a_difference_is_told_in_grants() {
    let new = RULES.replace("g, editor, viewer, acme\n", "").replace("{id}", "{order}");
    let (_folder, place) = place_with(&[("old.csv", RULES), ("new.csv", &new)]);
    let difference = document(&place, 0, &["diff", "old.csv", "new.csv"]);
    assert_eq!(difference["complete"], true);
    let changes = difference["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{difference}");
    assert_eq!(changes[0]["grantee"], json!({ "role": "editor" }));
    assert_eq!(changes[0]["after"], json!({ "kind": "silent" }));
    let text = said(&printed(&place, 0, &["diff", "old.csv", "new.csv"]));
    assert!(text.contains("lost    editor  acme    /orders/{id}  read    allowed by line 1"), "{text}");
    assert!(!text.contains("in part"), "{text}");
    std::fs::write(place.data_dir.join("wide.csv"), format!("{RULES}p, viewer, *, *, *\n")).unwrap();
    let wide = said(&printed(&place, 0, &["diff", "wide.csv", "old.csv"]));
    assert!(wide.contains("\nlost in part  viewer  *       *       *       allowed by"), "{wide}");
    assert!(wide.contains("\n\nin part: what a rule, old or new, names more closely"), "{wide}");
    let wide = document(&place, 0, &["diff", "wide.csv", "old.csv"]);
    assert_eq!(wide["changes"][0]["exceptions"], true, "{wide}");
    assert_eq!(said(&printed(&place, 0, &["diff", "old.csv", "old.csv"])), "no grant changes\n");
    refused(&place, 2, &["diff", "-", "-"], "only one of the files");
}

#[test]
fn a_request_is_explained() {
    let (_folder, place) = place_with(&[("rules.csv", RULES)]);
    let ask = ["explain", "rules.csv", "--role", "editor", "--domain", "acme"];
    let text = said(&printed(&place, 0, &[&ask[..], &["/orders/17", "read"]].concat()));
    assert_eq!(text, "allowed by line 1, by editor -> viewer (in acme)\n");
    let banned = ["--role", "banned", "/orders/17", "read"];
    let explained = document(&place, 0, &[&ask[..], &banned].concat());
    assert_eq!((&explained["allowed"], &explained["reason"]["otherwise"]), (&json!(false), &json!(1)));
    let user = document(&place, 0, &["explain", "rules.csv", "--user", "17", "stock", "read"]);
    assert_eq!(user["reason"]["rule"]["grantee"], json!({ "user": "17" }));
    let typo = ["explain", "rules.csv", "--role", "editr", "stock", "read"];
    refused(&place, 0, &typo, "no rule names the role \"editr\"");
    refused(&place, 2, &["explain", "rules.csv", "stock"], "<ACTION>");
}

#[test]
fn a_request_under_a_condition_is_explained_by_what_the_token_shows() {
    let rules =
        "p, clerk, *, payments, create, allow, acr=phr, max_age=300\np, clerk, *, keys, read, allow, dpop\n";
    let (_folder, place) = place_with(&[("rules.csv", rules)]);
    let asked = |more: &[&str]| {
        said(&printed(
            &place,
            0,
            &[&["explain", "rules.csv", "--role", "clerk", "--domain", "acme"], more].concat(),
        ))
    };
    let payments = |more: &[&str]| asked(&[more, &["payments", "create"]].concat());
    let condition = "if the user signed in by phr within 300 s\n";
    let by = "allowed by line 1, by clerk, ";
    assert_eq!(payments(&[]), format!("conditional: {by}{condition}"));
    assert_eq!(payments(&["--acr", "phr", "--age", "301"]), format!("conditional: {by}{condition}"));
    assert_eq!(payments(&["--acr", "phr", "--age", "300"]), format!("{by}{condition}"));
    assert!(asked(&["keys", "read", "--mtls"]).starts_with("conditional: "));
    assert!(asked(&["keys", "read", "--dpop"]).starts_with("allowed by line 2"));
    refused(&place, 2, &["explain", "rules.csv", "--age", "soon", "keys", "read"], "--age");
}

#[test]
fn who_and_what_can() {
    let (_folder, place) = place_with(&[("rules.csv", RULES)]);
    let who = ["who-can", "rules.csv", "/orders/17", "read", "--domain", "acme"];
    let found = document(&place, 0, &who);
    let names: Vec<_> =
        found["allowed"].as_array().unwrap().iter().map(|access| &access["grantee"]).collect();
    assert_eq!(names, [&json!({ "role": "viewer" }), &json!({ "role": "editor" })]);
    assert_eq!(found["denied"][0]["grantee"], json!({ "role": "banned" }));
    let text = said(&printed(&place, 0, &[&who[..], &["--limit", "1"]].concat()));
    assert!(text.contains("There are 2. For the next: --offset 1"), "{text}");
    let note = |object: &str, action: &str| {
        let output = printed(&place, 0, &["who-can", "rules.csv", object, action]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert_eq!(note("bills", "raed"), "", "a rule for everything speaks of them too");
    std::fs::write(place.data_dir.join("rules.csv"), RULES.replace("p, banned, *, *, *, deny\n", ""))
        .unwrap();
    assert_eq!(note("bills", "read"), "portcullis: no rule names the object \"bills\"\n");
    assert_eq!(note("/orders/17", "raed"), "portcullis: no rule names the action \"raed\"\n");
    assert_eq!(note("/orders/17", "write"), "", "a template matches, though nobody may outside of acme");
    std::fs::write(place.data_dir.join("rules.csv"), RULES).unwrap();
    let what = ["what-can", "rules.csv", "--role", "editor", "--role", "banned", "--domain", "acme"];
    let found = document(&place, 0, &what);
    let permissions = found["permissions"].as_array().unwrap();
    assert_eq!(permissions.len(), 3, "{found}");
    assert!(permissions.iter().all(|permission| permission["effect"] == "deny"), "{found}");
    refused(&place, 2, &["what-can", "rules.csv"], "give --role or --user");
}

const OTHER_MODEL: &str = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[role_definition]\n\
                           g = _, _\n[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\n\
                           m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act\n";

#[test]
fn under_another_model_a_command_answers_rightly_or_says_why_it_does_not() {
    let (_folder, place) = place_with(&[
        ("model.conf", OTHER_MODEL),
        ("rules.csv", "p, viewer, /orders/:id, read\ng, editor, viewer\np, viewer, /orders/:id, read\n"),
        ("kept.csv", "allow, editor, *, /orders/7, read\ndeny, nobody, acme, /orders/7, read\n"),
        ("broken.csv", "deny, editor, *, /orders/7, read\n"),
    ]);
    let model = ["rules.csv", "--model", "model.conf"];
    let with = |command: &'static str, more: &[&'static str]| [&[command][..], &model, more].concat();
    let checked = document(&place, 0, &with("check", &[]));
    assert_eq!(checked["findings"][0]["code"], "duplicate-rule");
    assert_eq!(said(&printed(&place, 0, &with("test", &["--cases", "kept.csv"]))), "2 passed, 0 failed\n");
    let failed = said(&printed(&place, 1, &with("test", &["--cases", "broken.csv"])));
    assert!(failed.contains("line 1: expected deny, but allowed by line 1"), "{failed}");
    let why = said(&printed(&place, 0, &with("explain", &["/orders/7", "read", "--role", "editor"])));
    assert!(why.starts_with("allowed by line 1\n  (under another model than the default,"), "{why}");
    let why = document(&place, 0, &with("explain", &["/orders/7", "write", "--role", "editor"]));
    assert_eq!(
        (&why["allowed"], &why["reason"]),
        (&json!(false), &json!({ "kind": "other-model", "line": null }))
    );
    for arguments in [
        with("who-can", &["/orders/7", "read"]),
        with("what-can", &["--role", "editor"]),
        vec!["diff", "rules.csv", "rules.csv", "--model", "model.conf"],
    ] {
        refused(&place, 1, &arguments, "answered under the default model only");
        refused(&place, 1, &arguments, "and cases run, under any model");
    }
    refused(&place, 1, &["diff", "rules.csv", "rules.csv"], "fields");
}

#[test]
fn help_says_which_commands_need_a_server_and_sets_apart_what_every_command_takes() {
    let (_folder, place) = place_with(&[]);
    for flag in ["-h", "--help"] {
        let help = said(&printed(&place, 0, &[flag]));
        for (heading, commands) in [
            ("Work on files alone,", "  check (without --api), diff, explain, test, what-can, who-can\n"),
            (
                "Work on the database of a server,",
                "  activate, approve, history, pull, push, rollback, routes, schedule,",
            ),
        ] {
            let (_, part) = help.split_once(heading).unwrap_or_else(|| panic!("{heading}: {help}"));
            assert!(part.contains(commands), "{commands}: {help}");
        }
    }
    let help = said(&printed(&place, 0, &["check", "--help"]));
    let (own, shared) = help.split_once("Options of every command:").unwrap_or_else(|| panic!("{help}"));
    assert!(
        own.contains("--model") && shared.contains("--data-dir") && !shared.contains("--model"),
        "{help}"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_refused_by_its_name() {
    let (folder, place) = place_with(&[("bad.csv", "p, viewer"), ("rules.csv", RULES)]);
    refused(&place, 1, &["check", "missing.csv"], "missing.csv: No such file");
    refused(&place, 1, &["check", "."], ".: Is a directory");
    std::fs::write(folder.path().join("latin.csv"), b"# caf\xe9").unwrap();
    refused(&place, 1, &["check", "latin.csv"], "latin.csv: the text is not UTF-8, from byte 5 on");
    let explain = ["explain", "bad.csv", "--role", "viewer", "orders", "read"];
    refused(&place, 1, &explain, "bad.csv: cannot be used\n  rules:1:1: error[field-count]");
    refused(&place, 1, &["diff", "rules.csv", "bad.csv"], "bad.csv: cannot be used");
    let huge = std::fs::File::create(folder.path().join("huge.csv")).unwrap();
    huge.set_len(17 * 1024 * 1024).unwrap();
    refused(&place, 1, &["check", "huge.csv"], "huge.csv: more than");
    refused(&place, 2, &["check"], "<FILE>");
}
