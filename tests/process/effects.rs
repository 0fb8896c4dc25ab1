//! What a running server makes of the commands beside it.

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::text_of;
use portcullis_tests::process::{ServerProcess, eventually};
use portcullis_tests::visitor::{Person, Visitor, the_form};
use rstest::rstest;
use serde_json::Value;

use crate::commands::{ORDERS, PASSWORD, json, password_file, place_on, registered, said};

/// Somebody whose account a command made.
pub(crate) fn person(made: &Value, password: &str) -> Person {
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Person { id: text("id"), sub: text("sub"), username: text("username"), password: password.to_owned() }
}

#[rstest]
#[tokio::test]
async fn roles_are_given_together_with_what_is_made(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    // The API is as new as its service, and the role was typed twice.
    let arguments = ["--name", "Orders", "--api", ORDERS, "--role", "viewer", "--role", "viewer"];
    json(&place, &[&["client", "create", "--preset", "service"][..], &arguments].concat());
    let robot = json(&place, &[&["client", "create", "--preset", "m2m"][..], &arguments].concat());
    let token = server.machine.client_credentials(&registered(&robot), ORDERS).await;
    let claims = portcullis_tests::jwt::claims(&token.member("access_token"));
    assert_eq!(claims["roles"], serde_json::json!(["viewer"]));

    let mut wrong = arguments;
    wrong[7] = "accountant";
    let before = json(&place, &["api", "list"]);
    wrong[3] = "https://stock.example";
    let refused = place.run(&[&["client", "create", "--preset", "service"][..], &wrong].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("it has editor, viewer"), "{}", said(&refused));
    assert!(!said(&refused).contains("pck_"), "there is no client whose secret could be told");
    assert_eq!(json(&place, &["api", "list"]), before, "and no API");
}

#[rstest]
#[tokio::test]
async fn an_account_from_the_command_line_signs_in_at_a_running_server(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let password = password_file(&place);
    let arguments = ["user", "create", "Ada", "--password-file", &password, "--role", "policy-editor"];
    let made = json(&place, &arguments);
    assert_eq!(made["username"], "ada");
    let mut visitor = Visitor::new(&server.address);
    visitor.sign_in(&person(&made, PASSWORD)).await;
    let account = visitor.get("/account").await.text();
    assert_eq!(text_of(&account, "signed-in-as").as_deref(), Some("ada"));
    assert!(account.contains("/admin/policies"), "the role counts at once");
    assert!(!server.log().contains(PASSWORD));
}

#[rstest]
#[tokio::test]
async fn a_link_from_the_command_line_works_once_at_a_running_server(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let link = json(&place, &["bootstrap", "admin", "--link"]);
    let code = link["link"].as_str().unwrap().split_once("/setup#k=").unwrap().1;
    let mut visitor = Visitor::new(&server.address);
    let form = the_form(&visitor.open("/setup").await, "setup");
    let form = form.with("code", code).with("username", "root").with("new-password", PASSWORD);
    assert_eq!(visitor.submit(&form).await.status, 303);
    assert_eq!(visitor.submit(&form.with("username", "toor")).await.status, 404, "set-up is over");
    let late = place.run(&["bootstrap", "admin", "--link"]);
    assert_eq!(late.status.code(), Some(1), "{}", said(&late));
    assert!(!said(&late).contains("pcl_"), "{}", said(&late));
}

#[rstest]
#[tokio::test]
async fn a_key_from_the_command_line_is_published_by_a_running_server(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let rotated = json(&place, &["key", "rotate", "--alg", "EdDSA"]);
    let next: Vec<_> = rotated.as_array().unwrap().iter().filter(|key| key["state"] == "next").collect();
    assert_eq!((next.len(), &next[0]["alg"]), (1, &Value::from("EdDSA")));
    eventually("the server publishes the key", async || {
        let published = server.machine.get("/jwks").await.json();
        published["keys"].as_array().unwrap().iter().any(|key| key["kid"] == next[0]["kid"])
    })
    .await;
    assert_eq!(json(&place, &["key", "rotate"]).as_array().unwrap().len(), 9, "all of them");
}

/// Somebody has a signing key: whatever it signed is worth nothing from now on, here and at whoever asks for our keys.
#[rstest]
#[tokio::test]
async fn a_key_that_is_revoked_counts_no_longer_at_a_running_server(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let robot =
        ["client", "create", "--preset", "m2m", "--name", "Robot", "--api", ORDERS, "--role", "viewer"];
    let robot = registered(&json(&place, &robot));
    let token = server.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    let active = async |token: &str| server.machine.is_active(&robot, token).await;
    assert!(active(&token).await);
    let kid_of = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    let keys = json(&place, &["key", "list"]);
    let signing = keys.as_array().unwrap().iter().find(|key| key["alg"] == "ES256").map(kid_of).unwrap();
    assert_eq!(place.run(&["key", "revoke", "nonsense"]).status.code(), Some(1));
    json(&place, &["key", "revoke", &signing]);

    eventually("the server refuses what the key signed", async || !active(&token).await).await;
    let published = server.machine.get("/jwks").await.json();
    assert!(!published["keys"].as_array().unwrap().iter().map(kid_of).any(|kid| kid == signing));
    let next = server.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    assert!(active(&next).await, "another key signs");
}

#[rstest]
#[tokio::test]
async fn an_operator_finds_and_mends_accounts_and_clients(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let password = password_file(&place);
    let made = json(&place, &["user", "create", "ada", "--password-file", &password]);
    let users = json(&place, &["user", "list"]);
    assert_eq!((&users[0]["id"], &users[0]["username"]), (&made["id"], &Value::from("ada")));
    let mut visitor = Visitor::new(&server.address);
    visitor.sign_in(&person(&made, PASSWORD)).await;
    assert!(!visitor.get("/account").await.text().contains("/admin/policies"));
    let granted = place.run(&["user", "grant", "ada", "--role", "owner"]);
    assert_eq!(said(&granted), format!("ada has the role owner at {}/api\n", place.address()));
    assert!(visitor.get("/account").await.text().contains("/admin/policies"), "it counts at once");
    let other = "another umbrella walnut";
    std::fs::write(&password, other).unwrap();
    let changed = place.run(&["user", "password", "ada", "--password-file", &password]);
    assert!(changed.status.success(), "{}", said(&changed));
    assert_eq!(visitor.get("/account").await.status, 303, "who was signed in is no longer");
    let mut visitor = Visitor::new(&server.address);
    visitor.sign_in(&person(&made, other)).await;
    assert_eq!(visitor.get("/account").await.status, 200);
    for (arguments, code) in [
        (&["user", "grant", "bea", "--role", "owner"][..], 1),
        (&["user", "grant", "ada", "--role", "king"], 1),
        (&["user", "grant", "ada", "--role", "viewer", "--api", "https://nowhere.test"], 1),
        (&["client", "secret", "rotate", "nonsense"], 2),
        (&["client", "secret", "rotate", "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c"], 1),
    ] {
        assert_eq!(place.run(arguments).status.code(), Some(code), "{arguments:?}");
    }
    let unknown = said(&place.run(&["user", "grant", "ada", "--role", "king"]));
    assert!(unknown.contains("has no role king: it has ") && unknown.contains("owner"), "{unknown}");
    let near = said(&place.run(&["user", "grant", "ada", "--role", "ownr", "--api", "admin"]));
    assert!(near.contains("did you mean owner?"), "{near}");

    let robot =
        json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let clients = json(&place, &["client", "list"]);
    assert_eq!(
        (&clients[0]["client_id"], &clients[0]["preset"]),
        (&robot["client_id"], &Value::from("service"))
    );
    let rotated = json(&place, &["client", "secret", "rotate", robot["client_id"].as_str().unwrap()]);
    let snapshot = async |client: &Value| {
        let client = registered(client);
        let basic = portcullis_tests::token::basic(&client.id, client.secret.as_deref().unwrap());
        let request = server.machine.request(reqwest::Method::GET, "/policies/snapshot");
        portcullis_tests::agent::Answer::to(request.header("authorization", basic)).await.status.as_u16()
    };
    assert_eq!((snapshot(&robot).await, snapshot(&rotated).await), (401, 200));
    let id = robot["client_id"].as_str().unwrap();
    let added = json(&place, &["client", "secret", "add", id]);
    eventually("both work", async || (snapshot(&rotated).await, snapshot(&added).await) == (200, 200)).await;
    assert_eq!(json(&place, &["client", "secret", "list", id]).as_array().unwrap().len(), 2);
    json(&place, &["client", "secret", "retire", id, rotated["secret_id"].as_str().unwrap()]);
    eventually("one works", async || (snapshot(&rotated).await, snapshot(&added).await) == (401, 200)).await;
}

#[test]
fn a_command_about_what_is_there_makes_nothing_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = portcullis_tests::process::Place::new(folder.path());
    for arguments in [&["api", "list"][..], &["user", "list"], &["client", "list"], &["key", "list"]] {
        let refused = place.run(arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        assert!(said(&refused).contains("there is no database"), "{}", said(&refused));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no key, no database");
}

#[rstest]
#[tokio::test]
async fn rules_go_from_a_file_to_the_server_and_back_byte_for_byte(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let file = folder.path().join("rules.csv");
    let path = file.to_str().unwrap();
    let text = "# who may what\r\np, viewer, *, orders, read   \n\n\tg,editor,viewer,*";
    std::fs::write(&file, text).unwrap();
    let of = |arguments: &[&'static str]| {
        [&["policy"], arguments, &["--api", ORDERS]]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |arguments: Vec<String>| place.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut push = of(&["push"]);
    push.push(path.to_owned());
    assert_eq!(said(&run(push.clone())), format!("the draft of {ORDERS} is stored, version 1\n"));
    assert_eq!(run(of(&["pull", "--draft"])).stdout, text.as_bytes());
    assert_ne!(run(of(&["pull"])).stdout, text.as_bytes(), "it is not in force yet");
    let activated = run(of(&["activate", "--message", "From the repository"]));
    assert!(said(&activated).contains("From the repository"), "{}", said(&activated));
    assert_eq!(run(of(&["pull"])).stdout, text.as_bytes());
    assert_ne!(run(of(&["pull", "--revision", "1"])).stdout, text.as_bytes());

    let pushed = [push.clone(), ["--activate", "Again"].map(str::to_owned).into()].concat();
    let again = run(of(&["activate", "--message", "Again"]));
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(said(&again).contains("nothing would change"), "{}", said(&again));
    let again = run(pushed);
    assert!(again.status.success(), "what a repository holds is in force: {}", said(&again));
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(told.contains("in force already") && said(&again).contains("From the repository"), "{told}");

    std::fs::write(&file, "p, viewer, orders\n").unwrap();
    let refused = run(push);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("nothing was saved"), "{}", said(&refused));
    assert_eq!(run(of(&["pull", "--draft"])).stdout, text.as_bytes());

    assert!(run(of(&["rollback", "--to", "1", "--message", "Too strict"])).status.success());
    let history = json(&place, &["policy", "history", "--api", ORDERS]);
    let numbers: Vec<_> =
        history.as_array().unwrap().iter().map(|it| it["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!((&history[0]["message"], &history[0]["author"]), (&"Too strict".into(), &"operator".into()));
    for (arguments, code) in [(&["rollback", "--to", "9", "--message", "x"][..], 1), (&["activate"], 2)] {
        assert_eq!(run(of(arguments)).status.code(), Some(code), "{arguments:?}");
    }
    for (arguments, said_of_it) in [
        (&["rollback", "--to", "99", "--message", "x"][..], "has no revision 99: there are 1 to 3"),
        (&["pull", "--revision", "99"], "has no revision 99: there are 1 to 3"),
    ] {
        let refused = run(of(arguments));
        assert!(said(&refused).contains(said_of_it), "{}", said(&refused));
    }
    assert_eq!(place.run(&["policy", "pull", "--api", "https://nowhere.test"]).status.code(), Some(1));
    drop(server);
}

#[rstest]
#[tokio::test]
async fn cases_go_with_the_rules_and_rules_that_break_them_stay_out(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (rules, cases, back) = (file("rules.csv"), file("cases.txt"), file("back.txt"));
    let text = "# staff\r\n\tallow, viewer, acme, orders, read   \n\ndeny,viewer,acme,orders,write";
    std::fs::write(&rules, "p, viewer, *, orders, read\n").unwrap();
    std::fs::write(&cases, text).unwrap();
    let run = |arguments: &[&str]| place.run(&[&["policy"], arguments, &["--api", ORDERS]].concat());
    assert!(run(&["push", &rules, "--cases", &cases, "--activate", "First"]).status.success());
    assert_eq!(run(&["pull", "--cases", &back]).stdout, std::fs::read(&rules).unwrap());
    assert_eq!(std::fs::read(&back).unwrap(), text.as_bytes());

    std::fs::write(&rules, "p, viewer, *, orders, write\n").unwrap();
    let refused = run(&["push", &rules, "--activate", "Second"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("2 of 2 cases") && said(&refused).contains("lines 2, 4"),
        "{}",
        said(&refused)
    );
    assert!(said(&refused).contains("note: the draft was stored all the same"), "{}", said(&refused));
    let warned = run(&["push", &rules]);
    assert!(warned.status.success(), "{}", said(&warned));
    let warning = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert!(warning.contains("warning: the draft is stored") && warning.contains("lines 2, 4"), "{warning}");
    let stored = json(&place, &["policy", "push", &rules, "--api", ORDERS]);
    let expected = serde_json::json!([ORDERS, 4, false, 2]);
    assert_eq!(
        serde_json::json!([stored["audience"], stored["version"], stored["usable"], stored["failing_cases"]]),
        expected
    );
    assert_eq!(run(&["pull"]).stdout, b"p, viewer, *, orders, read\n");
    assert!(run(&["pull", "--draft", "--cases", &back]).status.success());
    assert_eq!(std::fs::read(&back).unwrap(), text.as_bytes(), "a push of rules alone keeps the cases");

    std::fs::write(&cases, "allow, viewer, acme, orders\n").unwrap();
    let refused = run(&["push", &rules, "--cases", &cases]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("cases:1:1: error[field-count]"), "{}", said(&refused));
    assert_eq!(run(&["push", "-", "--cases", "-"]).status.code(), Some(2));

    std::fs::write(&cases, "").unwrap();
    assert!(run(&["push", &rules, "--cases", &cases, "--activate", "Without cases"]).status.success());
    std::fs::write(&rules, "p, viewer, *, orders, delete\n").unwrap();
    let activated = ["policy", "push", &rules, "--api", ORDERS, "--activate", "Others"];
    assert_eq!(json(&place, &activated)[0]["message"], "Others", "one document, of what is in force");
    drop(server);
}

#[rstest]
#[tokio::test]
async fn a_trial_says_what_it_is_of_and_where_there_is_none_how_to_begin_one(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let shadow = |what: &'static str| ["policy", "shadow", what, "--api", ORDERS];
    for what in ["show", "stop"] {
        let none = place.run(&shadow(what));
        assert_eq!(none.status.code(), Some(1), "{}", said(&none));
        let expected =
            format!("nothing is on trial at {ORDERS}: `policy shadow start` puts the draft on trial");
        assert!(said(&none).contains(&expected), "{}", said(&none));
    }
    let rules = place.data_dir.join("rules.csv");
    std::fs::write(&rules, "p, viewer, *, orders, read\n").unwrap();
    json(&place, &["policy", "push", rules.to_str().unwrap(), "--api", ORDERS]);
    let started = place.run(&shadow("start"));
    assert!(said(&started).starts_with(&format!("the draft of {ORDERS} is on trial")), "{}", said(&started));
    let shown = said(&place.run(&shadow("show")));
    assert!(shown.contains("0 decisions of 0 requests would be otherwise"), "{shown}");
    let stopped = place.run(&shadow("stop"));
    assert_eq!(said(&stopped), format!("nothing is on trial at {ORDERS} any more\n"));
    json(&place, &shadow("start"));
    assert_eq!(json(&place, &shadow("stop"))["stopped"], true);
}

#[rstest]
#[tokio::test]
async fn an_api_is_given_roles_of_its_own(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let names = |roles: Value| -> Vec<String> {
        roles.as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(json(&place, &["api", "roles", "--api", ORDERS])), ["editor", "viewer"]);
    let packer =
        ["client", "create", "--preset", "m2m", "--name", "Robot", "--api", ORDERS, "--role", "packer"];
    let refused = place.run(&packer);
    let advice = format!("`api roles --api {ORDERS} --add packer` adds it");
    assert!(said(&refused).contains(&advice), "{}", said(&refused));
    // Once more is no mistake.
    for _ in 0..2 {
        let added =
            names(json(&place, &["api", "roles", "--api", ORDERS, "--add", "packer", "--add", "viewer"]));
        assert_eq!(added.iter().filter(|name| *name == "packer").count(), 1, "{added:?}");
        assert_eq!(added.len(), 3, "{added:?}");
    }
    assert!(json(&place, &packer)["client_id"].is_string());
    let wrong = place.run(&["api", "roles", "--api", ORDERS, "--add", "no role"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", said(&wrong));
}
