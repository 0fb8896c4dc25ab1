//! What operators do with the program.

use std::process::Output;

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess, finished};
use portcullis_tests::registered::Registered;
use rstest::rstest;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

pub(crate) const ORDERS: &str = "https://orders.example";
pub(crate) const PASSWORD: &str = "umbrella walnut fortnight";

pub(crate) async fn place_on(database: Database) -> (TempDir, Place) {
    let folder = tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let place = Place { database_url: Some(url), ..Place::new(folder.path()) };
    (folder, place)
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that has to succeed and prints JSON.
pub(crate) fn json(place: &Place, arguments: &[&str]) -> Value {
    let output = place.run(&[&["--format", "json"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

pub(crate) fn registered(made: &Value) -> Registered {
    let text = |name: &str| made[name].as_str().map(str::to_owned);
    Registered { id: text("client_id").unwrap(), secret: text("client_secret"), redirect_uris: Vec::new() }
}

#[rstest]
#[tokio::test]
async fn every_preset_makes_a_client_and_a_running_server_knows_it_at_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let service =
        json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    assert!(service["client_secret"].as_str().unwrap().starts_with("pck_"));
    let rules = service["rules"][0].as_str().unwrap();
    assert!(rules.starts_with(&format!("{}/admin/policies/api_", place.address())), "{rules}");
    for (preset, has_secret) in [("web", true), ("spa", false), ("native", false)] {
        let redirect = if preset == "native" { "http://127.0.0.1/cb" } else { "https://rp.test/cb" };
        let made = json(
            &place,
            &[
                "client",
                "create",
                "--preset",
                preset,
                "--name",
                "App",
                "--redirect-uri",
                redirect,
                "--api",
                ORDERS,
            ],
        );
        assert_eq!(made["client_secret"].is_string(), has_secret, "{preset}");
    }
    let robot =
        ["client", "create", "--preset", "m2m", "--name", "Robot", "--api", ORDERS, "--role", "viewer"];
    let robot = registered(&json(&place, &robot));
    let token = server.machine.client_credentials(&robot, ORDERS).await;
    assert_eq!(token.status, 200, "{}", token.text());
    for secret in [robot.secret.unwrap(), registered(&service).secret.unwrap()] {
        assert!(!server.log().contains(&secret));
    }
}

#[rstest]
#[tokio::test]
async fn a_command_that_is_refused_leaves_nothing_behind(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let wrong_role = place.run(&[
        "client", "create", "--preset", "m2m", "--name", "Robot", "--api", ORDERS, "--role", "veiwer",
    ]);
    assert_eq!(wrong_role.status.code(), Some(1), "{}", said(&wrong_role));
    assert!(said(&wrong_role).contains("did you mean viewer?"), "{}", said(&wrong_role));
    let wrong_form = place.run(&[
        "client",
        "create",
        "--preset",
        "service",
        "--name",
        "",
        "--api",
        "https://stock.example",
    ]);
    assert!(!wrong_form.status.success(), "{}", said(&wrong_form));
    let again = place.run(&[
        "client",
        "create",
        "--preset",
        "m2m",
        "--name",
        "Robot",
        "--api",
        "https://stock.example",
    ]);
    assert!(said(&again).contains("there is no API"), "{}", said(&again));
    assert!(said(&again).contains("`api list` prints those that are, such as"), "{}", said(&again));
    assert!(!said(&again).contains("did you mean"), "nothing is near: {}", said(&again));
    let robot = ["client", "create", "--preset", "m2m", "--name", "Robot", "--api"];
    let slip = place.run(&[&robot[..], &[ORDERS.replace("orders", "oders").as_str()]].concat());
    assert!(said(&slip).contains(&format!("did you mean {ORDERS}?")), "{}", said(&slip));

    let password = place.data_dir.join("password");
    std::fs::write(&password, "umbrella walnut fortnight\n").unwrap();
    let create = |role: &str| {
        let file = password.to_str().unwrap();
        place.run(&["user", "create", "ada", "--password-file", file, "--role", role])
    };
    let refused = create("ownr");
    assert!(said(&refused).contains("did you mean owner?"), "{}", said(&refused));
    let made = create("owner");
    assert!(made.status.success(), "the name is not taken: {}", said(&made));
    assert_eq!(create("owner").status.code(), Some(1), "now it is");
    let consents = place.run(&["user", "consents", "ada"]);
    assert!(consents.status.success() && said(&consents).contains("ALLOWED"), "{}", said(&consents));
    let nothing = place.run(&["user", "withdraw", "ada", "--client", "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(said(&nothing).contains("consent"), "{}", said(&nothing));
}

/// The file with a password for a new account.
pub(crate) fn password_file(place: &Place) -> String {
    let file = place.data_dir.join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

fn keys_of(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Programs read these: a key that goes or is called otherwise breaks them.
#[rstest]
#[tokio::test]
async fn what_commands_print_has_stable_keys_and_columns(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let password = password_file(&place);
    let service = ["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS];
    let user = |name: &'static str| ["user", "create", name, "--password-file", &password].map(str::to_owned);
    let [user_in_columns, user_in_json] = [user("ada"), user("bea")];
    let [user_in_columns, user_in_json] =
        [&user_in_columns, &user_in_json].map(|user| user.iter().map(String::as_str).collect::<Vec<_>>());
    for (in_columns, in_json, heading, keys) in [
        (&service[..], &service[..], "CLIENT ID NAME", &["client_id", "client_secret", "name", "rules"][..]),
        (&user_in_columns, &user_in_json, "ID SUB USERNAME", &["id", "sub", "username"]),
        (&["db", "status"], &["db", "status"], "APPLIED KNOWN CURRENT", &["applied", "current", "known"]),
        (
            &["key", "list"],
            &["key", "list"],
            "KID ALG STATE SIGNS FROM SIGNS UNTIL",
            &["alg", "kid", "signs_from", "signs_until", "state"],
        ),
        (
            &["api", "list"],
            &["api", "list"],
            "ID AUDIENCE NAME FOUR EYES RULES",
            &["audience", "four_eyes", "id", "name", "revision", "rules"],
        ),
        (
            &["api", "four-eyes", "on", "--api", ORDERS],
            &["api", "four-eyes", "off", "--api", ORDERS],
            "ID AUDIENCE FOUR EYES",
            &["audience", "four_eyes", "id"],
        ),
        (
            &["api", "signing-alg", "--api", ORDERS],
            &["api", "signing-alg", "--api", ORDERS, "--to", "RS256"],
            "ID AUDIENCE SIGNING ALG",
            &["access_token_signing_alg", "audience", "id"],
        ),
    ] {
        let columns = place.run(in_columns);
        assert_eq!(columns.status.code(), Some(0), "{in_columns:?}: {}", said(&columns));
        let text = String::from_utf8(columns.stdout).unwrap();
        let first: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(first.join(" "), heading, "{text}");
        let value = json(&place, in_json);
        let one = value.as_array().map_or(&value, |list| list.first().unwrap());
        assert_eq!(keys_of(one), keys, "{in_json:?}");
    }
    assert_eq!(keys_of(&json(&place, &["bootstrap", "admin", "--link"])), ["link"]);
}

#[rstest]
#[tokio::test]
async fn every_api_is_listed_with_the_page_of_its_rules(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let service =
        json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let listed = json(&place, &["api", "list"]);
    let audiences: Vec<&str> =
        listed.as_array().unwrap().iter().map(|api| api["audience"].as_str().unwrap()).collect();
    assert_eq!(audiences, [format!("{}/api", place.address()).as_str(), ORDERS]);
    assert_eq!(listed[1]["rules"], service["rules"][0]);
    assert_eq!(listed[1]["revision"], 1);
    let page = place.run(&["api", "list"]);
    assert!(said(&page).contains(service["rules"][0].as_str().unwrap()), "{}", said(&page));
}

#[test]
fn a_database_that_is_made_in_a_folder_nobody_named_is_told() {
    let folder = tempdir().unwrap();
    let place = Place::new(folder.path());
    let bare = |arguments: &[&str]| {
        let mut command = std::process::Command::new(place.command(&[]).get_program());
        command.env_clear().current_dir(folder.path()).args(arguments);
        let output = finished(command);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stderr).unwrap()
    };
    let create = ["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS];
    let (first, second) = (bare(&create), bare(&["client", "list"]));
    let file = folder.path().join("data/portcullis.db");
    assert!(first.contains(&format!("so {} was made", file.display())), "{first}");
    assert_eq!(second, "", "it is there now");
}

#[rstest]
#[tokio::test]
async fn a_secret_is_printed_once_and_taken_by_no_argument(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let made = place.run(&["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let text = String::from_utf8(made.stdout).unwrap();
    assert_eq!(text.matches("pck_").count(), 1, "{text}");
    assert!(text.contains("/admin/policies/api_"), "{text}");
    assert_eq!(String::from_utf8_lossy(&made.stderr), "");
    for command in [&["api", "list"][..], &["key", "list"], &["config", "show"], &["config", "check"]] {
        assert!(!said(&place.run(command)).contains("pck_"), "{command:?}");
    }
    for (arguments, code) in [
        (&["user", "create", "ada", "--password", "hidden-word"][..], 2),
        (&["client", "create", "--preset", "web", "--name", "x", "--secret", "hidden-word"], 2),
        (&["--set", "keys.master_key=hidden-word", "key", "list"], 3),
        (&["--set", "database.url=postgres://hidden-word@x/y", "key", "list"], 3),
    ] {
        let refused = place.run(arguments);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {}", said(&refused));
        assert!(!said(&refused).contains("hidden-word"), "{}", said(&refused));
    }
}

#[tokio::test]
async fn every_command_tells_wrong_usage_wrong_configuration_and_a_database_that_is_away_apart() {
    let (_folder, place) = place_on(Sqlite).await;
    let password = password_file(&place);
    let url = "postgres://nobody:secret-word@127.0.0.1:9/none".to_owned();
    let away = Place { database_url: Some(url), ..place.clone() };
    for command in [
        &["api", "list"][..],
        &["api", "four-eyes", "on", "--api", "admin"],
        &["bootstrap", "admin", "--link"],
        &["client", "create", "--preset", "m2m", "--name", "Robot"],
        &["client", "show", "cli_00000000000070008000000000000001"],
        &["client", "disable", "cli_00000000000070008000000000000001"],
        &["config", "check"],
        &["db", "migrate"],
        &["db", "status"],
        &["key", "list"],
        &["key", "rotate"],
        &["policy", "approve", "--api", "admin"],
        &["policy", "schedule", "--api", "admin", "--at", "2030-01-31T09:00:00Z", "--message", "x"],
        &["policy", "schedule", "cancel", "--api", "admin"],
        &["policy", "schedule", "list", "--api", "admin"],
        &["user", "create", "ada", "--password-file", &password],
    ] {
        let usage = place.run(&[command, &["--no-such-flag"]].concat());
        assert_eq!(usage.status.code(), Some(2), "{command:?}: {}", said(&usage));
        let configuration = place.run(&[&["--set", "tokens.access_ttl_secs=1"], command].concat());
        assert_eq!(configuration.status.code(), Some(3), "{command:?}: {}", said(&configuration));
        let lost = away.run(&[&["--set", "database.connect_timeout_secs=1"], command].concat());
        assert_eq!(lost.status.code(), Some(4), "{command:?}: {}", said(&lost));
        assert!(!said(&lost).contains("secret-word"), "{command:?}: {}", said(&lost));
    }
    assert_eq!(place.run(&["bootstrap", "admin"]).status.code(), Some(2));
    assert_eq!(place.run(&["client", "create", "--preset", "other", "--name", "x"]).status.code(), Some(2));
    assert_eq!(
        place.run(&["client", "create", "--preset", "service", "--name", "x"]).status.code(),
        Some(2),
        "a service without its API"
    );
    let unknown = place.run(&["user", "create", "ada", "--password-file", "/no/such/file"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", said(&unknown));
}

/// What is meant for one API must not befall another, and least of all the one that administers the server.
#[tokio::test]
async fn a_command_about_rules_of_the_server_needs_to_be_told_whose() {
    let (_folder, place) = place_on(Sqlite).await;
    for command in [
        &["api", "four-eyes", "on"][..],
        &["policy", "activate", "--message", "x"],
        &["policy", "approve"],
        &["policy", "history"],
        &["policy", "pull"],
        &["policy", "push", "rules.csv"],
        &["policy", "rollback", "--to", "1", "--message", "x"],
        &["policy", "routes"],
        &["policy", "routes", "approve", "0123456789ab"],
        &["policy", "routes", "reject", "0123456789ab"],
        &["policy", "routes", "report"],
        &["policy", "schedule", "--at", "2030-01-31T09:00:00Z", "--message", "x"],
        &["policy", "schedule", "cancel"],
        &["policy", "schedule", "list"],
        &["policy", "shadow", "show"],
        &["policy", "shadow", "start"],
        &["policy", "shadow", "stop"],
        &["policy", "simulate"],
    ] {
        let refused = place.run(command);
        assert_eq!(refused.status.code(), Some(2), "{command:?}: {}", said(&refused));
        assert!(said(&refused).contains("--api <AUDIENCE>"), "{command:?}: {}", said(&refused));
        let help = place.run(&[command, &["--help"]].concat());
        assert!(said(&help).contains("`admin` is the admin API"), "{command:?}: {}", said(&help));
    }
    assert!(place.run(&["db", "migrate"]).status.success());
    let admin_api = format!("{}/api", place.address());
    assert_eq!(json(&place, &["api", "four-eyes", "on", "--api", "admin"])["audience"], admin_api);
    assert_eq!(json(&place, &["policy", "schedule", "--api", "admin", "list"]), serde_json::json!([]));
    assert_eq!(json(&place, &["policy", "routes", "--api", "admin"]), serde_json::json!([]));
    assert_eq!(json(&place, &["policy", "history", "--api", "admin"])[0]["number"], 1);
}

#[tokio::test]
async fn a_variable_that_is_not_utf_8_is_refused_and_not_passed_over() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let (_folder, place) = place_on(Sqlite).await;
    for arguments in [&["serve"][..], &["config", "show"], &["key", "list"]] {
        let mut command = place.command(arguments);
        command.env("PORTCULLIS__KEYS__MASTER_KEY", OsStr::from_bytes(b"hidden-word\xff"));
        let refused = finished(command);
        assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
        assert!(said(&refused).contains("PORTCULLIS__KEYS__MASTER_KEY"), "{}", said(&refused));
        assert!(!said(&refused).contains("hidden-word"), "{}", said(&refused));
    }
    let mut command = place.command(&["config", "show"]);
    command.env("SOMETHING_ELSE", OsStr::from_bytes(b"\xff"));
    assert!(finished(command).status.success(), "what is not ours is not looked at");
}

#[rstest]
#[tokio::test]
async fn keys_are_listed_and_rotated_and_links_are_made(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let keys = json(&place, &["key", "list"]);
    assert_eq!(keys.as_array().map(Vec::len), Some(4));
    json(&place, &["key", "rotate", "--alg", "ES256", "--urgent"]);
    assert_eq!(json(&place, &["key", "list"]).as_array().map(Vec::len), Some(5));
    assert_eq!(place.run(&["key", "rotate", "--alg", "HS256"]).status.code(), Some(2));
    let link = place.run(&["bootstrap", "admin", "--link"]);
    assert!(said(&link).contains(&format!("{}/setup#k=pcl_", place.address())), "{}", said(&link));
    assert_eq!(server.machine.get("/setup").await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    assert!(place.run(&["db", "migrate"]).status.success());
    let later =
        "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (9001, 'later', '', 0)";
    portcullis_tests::database::execute(place.database_url.as_deref().unwrap(), later).await;
    for command in [&["serve"][..], &["config", "check"], &["db", "migrate"], &["db", "status"]] {
        let refused = place.run(command);
        assert_eq!(refused.status.code(), Some(1), "{command:?}: {}", said(&refused));
        for part in ["9001", "use a newer program"] {
            assert!(said(&refused).contains(part), "{command:?}: {}", said(&refused));
        }
    }
}
